"""What a checkpoint may hold: tensors, numbers, strings, lists and dicts, and the name of what is none of these."""

import copy
import io
from collections.abc import Iterator

import numpy as np
import torch


def plain(value: object, *, exact: bool = False) -> object:
    """The same with Python's numbers in place of NumPy's; if `exact`, of those alone that compute as Python's do."""
    alike = np.float64 | np.integer | np.bool if exact else np.number | np.bool | np.character
    if isinstance(value, alike) and not isinstance(value, np.timedelta64):
        return value.item()
    if isinstance(value, dict):
        same = copy.copy(value)  # of its own class, with what a model's state has beside the tensors
        same.clear()
        same.update({plain(key, exact=exact): plain(item, exact=exact) for key, item in value.items()})
        return same
    if type(value) in (list, tuple):
        return type(value)(plain(item, exact=exact) for item in value)
    return value


def culprit(content: dict) -> str:
    """Which entry cannot be written and read back, as the end of a sentence; empty if each can."""
    found = _unreadable({"notes": content["notes"], **content["parts"], "step": content["step"]})
    for where, value in found:
        kind = f"the class `{value.__name__}`" if isinstance(value, type) else f"a `{type(value).__name__}`"
        return f": {where} is {kind}"
    return ""


def _unreadable(value: object, where: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _unreadable(item, f"{where}[{key!r}]" if where else str(key))
    elif type(value) in (list, tuple):
        for place, item in enumerate(value):
            yield from _unreadable(item, f"{where}[{place}]")
    else:
        try:
            buffer = io.BytesIO()
            torch.save(value, buffer)
            buffer.seek(0)
            torch.load(buffer, map_location="cpu", weights_only=True)
        except Exception:
            yield where, value
