"""Checkpoints of a whole run: written all at once or not at all, and restored all at once or not at all.

A file is what `torch.save` writes, followed by one line with the SHA-256 digest of those bytes: `torch.load` alone
still reads it, and restore() notices every bit that changed, which `torch.load` does not.

Longer than two screens, since writing and restoring must agree on every part.
"""

import copy
import hashlib
import io
import os
import pickle
import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from utils.internals.process_state import random_state, set_random_state

FORMAT = 1
_MARK = b"\nsha256 "
_TRAILER = len(_MARK) + 64  # the digest in hexadecimal


class CheckpointError(Exception):
    """A checkpoint that cannot be written or restored; nothing was changed. The message says why and what to do."""


class Batches:
    """Row numbers in batches, shuffled anew in every pass, without end; its place is part of a checkpoint.

    `next(batches)` gives int64 of shape (batch_size,). The rows left over at the end of a pass sit it out, as in
    `data.loaders`. The order depends on `seed` alone.
    """

    def __init__(self, rows: int, batch_size: int, *, seed: int):
        if not 0 < batch_size <= rows:
            raise ValueError(f"batch_size is {batch_size}: with {rows} rows use 1 to {rows}")
        self.rows, self.batch_size, self.place = rows, batch_size, 0
        self.generator = torch.Generator().manual_seed(seed)
        self.order = torch.randperm(rows, generator=self.generator)

    def __iter__(self) -> "Batches":
        return self

    def __next__(self) -> Tensor:
        if self.place + self.batch_size > self.rows:
            self.order, self.place = torch.randperm(self.rows, generator=self.generator), 0
        self.place += self.batch_size
        return self.order[self.place - self.batch_size : self.place]

    def state_dict(self) -> dict:
        """The place in the pass, its order (int64, shape (rows,)), and the generator of the passes to come."""
        return {
            "rows": self.rows,
            "batch_size": self.batch_size,
            "place": self.place,
            "order": self.order.clone(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on where `state` was taken; ValueError if that had other rows or batches of another size."""
        if (state["rows"], state["batch_size"]) != (self.rows, self.batch_size):
            raise ValueError(
                f"saved with {state['rows']} rows in batches of {state['batch_size']}, here are {self.rows} rows in "
                f"batches of {self.batch_size}"
            )
        self.place, self.order = state["place"], state["order"].clone()
        self.generator.set_state(state["generator"])


def save(path: str | Path, parts: Mapping[str, object], *, step: int, notes: Mapping | None = None) -> None:
    """Write `parts` (name → model, optimizer, scheduler, Batches, …), the random states and `step` to `path`.

    A part has `state_dict` and `load_state_dict`, or is a `torch.Generator`. `notes` are numbers (NumPy's, too),
    strings, tensors, and lists or dicts of them. An optimizer comes with the model whose parameters it holds, or was
    built on `named_parameters()`: its state is kept by name, and a warning says where that cannot be. The file appears
    complete or not at all: it is written beside `path`, read back, and only then put in its place. Raises
    CheckpointError, and leaves an older file as it was, when that fails.
    """
    path = Path(path)
    try:
        notes = _plain(dict(notes or {}))
    except RecursionError:
        raise CheckpointError(f"{path.name} was not written: `notes` hold themselves, or nest too deeply") from None
    content = {
        "format": FORMAT,
        "step": _plain(step),
        "notes": notes,
        "random": random_state(),
        "kinds": {name: _kind(part) for name, part in parts.items()},
        "shapes": {name: _shapes(part) for name, part in parts.items()},
        "names": _names(parts),
        "parts": {name: _plain(_state(name, part), exact=True) for name, part in parts.items()},
    }
    for name, names in content["names"].items():
        if unclear := _unclear(names, content["shapes"][name]):
            warnings.warn(f"{path.name} will not be restored: `{name}` {unclear}", stacklevel=2)
    buffer, scratch = io.BytesIO(), None
    try:
        torch.save(content, buffer)
        body = buffer.getvalue()
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(body + _MARK + hashlib.sha256(body).hexdigest().encode())
            file.flush()
            os.fsync(file.fileno())  # on the disk before it takes the place of the older one
        _read(Path(scratch))
        os.replace(scratch, path)
    except CheckpointError as error:
        raise CheckpointError(
            f"What was to be saved cannot be read back, so {path.name} was not written"
            f"{_culprit(content) or f' ({error})'}. Keep to tensors, numbers, strings, lists and dicts."
        ) from None
    except Exception as error:  # the disk is full, no permission, an object that cannot be pickled
        culprit = "" if isinstance(error, OSError) else _culprit(content)
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise CheckpointError(f"{path.name} was not written{culprit}: {reason}") from error
    finally:
        if scratch is not None:
            Path(scratch).unlink(missing_ok=True)


def restore(path: str | Path, parts: Mapping[str, object]) -> tuple[int, dict]:
    """Give every part, and the random states, what the file holds; return (step, notes).

    `parts` are objects of the same kinds and shapes as those saved. The state of an optimizer goes to the parameters of
    the same names, in whatever order its groups hold them now. All is checked before anything is touched, and if a part
    still refuses its state, those before it are put back. A file that was written on a GPU is read on any machine.
    Raises CheckpointError; then nothing has changed.
    """
    content = _read(Path(path))
    name = Path(path).name
    names = _names(parts)
    if problems := _mismatches(content, parts, names):
        raise CheckpointError(f"{name} does not belong to this run:\n" + "\n".join(f"- {text}" for text in problems))
    for key, here in names.items():
        content["parts"][key] = _in_order(content["parts"][key], content["names"].get(key), here)
    before = {key: copy.deepcopy(_state(key, part)) for key, part in parts.items()}
    random_before, touched = random_state(), []
    try:
        for key, part in parts.items():
            touched.append(key)
            _load(part, content["parts"][key])
        set_random_state(content["random"])
    except Exception as error:
        for key in touched:
            _load(parts[key], before[key])
        set_random_state(random_before)
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise CheckpointError(
            f"{name}: `{touched[-1]}` refuses its state, so nothing was restored: {reason}"
        ) from error
    return content["step"], content["notes"]


def _read(path: Path) -> dict:
    """What the file holds, once its digest is right. Only then is it handed to torch, and without running its code."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror or error}") from None
    body, trailer = raw[:-_TRAILER], raw[-_TRAILER:]
    if not trailer.startswith(_MARK):
        raise CheckpointError(
            f"{path.name} ends without its digest: it was cut off, its end is damaged, or another program wrote it. "
            "Take an older checkpoint."
        )
    if trailer[len(_MARK) :] != hashlib.sha256(body).hexdigest().encode():
        raise CheckpointError(f"{path.name} is damaged: its digest does not fit. Take an older checkpoint.")
    try:
        # On the CPU, wherever the tensors were: each part puts its own where it needs them.
        content = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path.name} holds more than data: {_first_line(error)}") from None
    except Exception as error:
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise CheckpointError(f"{path.name} cannot be read by this torch: {reason}") from None
    parts = {"step", "notes", "random", "kinds", "shapes", "parts"}
    if not isinstance(content, dict) or content.get("format") != FORMAT or not parts <= content.keys():
        raise CheckpointError(f"{path.name} is of another format: restore it with the version that wrote it.")
    return {"names": {}} | content


def _first_line(error: Exception) -> str:
    """What an error says first, without the codes that colour a terminal."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return text.splitlines()[0] if text else ""


# ---- what a file may hold


def _plain(value: object, *, exact: bool = False) -> object:
    """The same with Python's numbers in place of NumPy's; if `exact`, of those alone that compute as Python's do."""
    alike = np.float64 | np.integer | np.bool if exact else np.number | np.bool | np.character
    if isinstance(value, alike) and not isinstance(value, np.timedelta64):
        return value.item()
    if isinstance(value, dict):
        plain = copy.copy(value)  # of its own class, with what a model's state has beside the tensors
        plain.clear()
        plain.update({_plain(key, exact=exact): _plain(item, exact=exact) for key, item in value.items()})
        return plain
    if type(value) in (list, tuple):
        return type(value)(_plain(item, exact=exact) for item in value)
    return value


def _culprit(content: dict) -> str:
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


# ---- whether it fits

Names = list[list[str | None]]  # the parameters of an optimizer, group by group; None where nobody names one


def _names(parts: Mapping[str, object]) -> dict[str, Names]:
    """The parameters of each optimizer by the names that they have in a model among the parts, or were given."""
    known = {}
    for key, part in parts.items():
        if isinstance(part, nn.Module):
            for name, parameter in part.named_parameters():
                known.setdefault(id(parameter), f"{key}.{name}")
    return {
        key: [
            [
                known.get(id(p)) or given
                for p, given in zip(
                    group["params"], group.get("param_names") or [None] * len(group["params"]), strict=True
                )
            ]
            for group in part.param_groups
        ]
        for key, part in parts.items()
        if isinstance(part, Optimizer)
    }


def _unclear(names: Names, shapes: Mapping[str, str]) -> str | None:
    """Why nobody could say which parameter is which: some of one shape have no name. None if it is clear."""
    twice = [shape for shape, times in Counter(shapes.values()).items() if times > 1]
    if not twice or all(name is not None for group in names for name in group):
        return None
    return (
        f"holds several parameters of shape {twice[0]}, and nothing says which is which: save and restore it together "
        "with the model that they belong to, or build it on `named_parameters()`"
    )


def _order_problem(key: str, saved: Names | None, here: Names, content: dict, shapes: Mapping[str, str]) -> str | None:
    """Why the state in the file cannot be given to the right parameters; None if it can."""
    if saved == here and not _unclear(here, shapes):
        return None
    if not _in_another_order(saved, here):
        unclear = _unclear([[None]], shapes)
        return f"`{key}` {unclear}" if unclear else None
    for k, (theirs, ours) in enumerate(zip(saved, here, strict=True)):
        if sorted(theirs) != sorted(ours):
            lost, found = sorted(set(theirs) - set(ours)), sorted(set(ours) - set(theirs))
            return (
                f"`{key}`: group {k} held {_some(lost)} when it was saved, and holds {_some(found)} here: make the "
                "groups of the same parameters, in the same order"
            )
    owners = [name for group in saved for name in group]
    theirs = _of_no_one(content["parts"][key], dict(enumerate(content["shapes"][key].values())))
    return theirs and (
        f"`{key}` held its parameters in another order, and nothing says to which of them its `{theirs}` belongs: "
        f"order them as they were, {_some(owners)}"
    )


def _of_no_one(state: Mapping, shapes: Mapping[int, str]) -> str | None:
    """What an optimizer keeps that may not belong to one parameter alone; `shapes` are those, by place."""
    if not {"state", "param_groups"} <= state.keys():
        return "state"
    for name in state.keys() - {"state", "param_groups"}:
        return str(name)
    for group in state["param_groups"]:
        for name in group.keys() - {"params", "param_names"}:
            if _of_several(group[name]):
                return str(name)
    for place, kept in state["state"].items():
        if place not in shapes or not isinstance(kept, dict):
            return str(place)
        for name, value in kept.items():
            whole = _told(value).split(" ", 1)[1] if isinstance(value, Tensor) and value.ndim else ""
            if isinstance(value, list | tuple | dict) or not shapes[place].endswith(whole):
                return str(name)
    return None


def _of_several(value: object) -> bool:
    """Whether an option of a group may hold something for each parameter."""
    if isinstance(value, tuple):  # betas, say
        return any(map(_of_several, value))
    return isinstance(value, list | dict) or (isinstance(value, Tensor) and value.ndim > 0)


def _in_another_order(saved: Names | None, here: Names) -> bool:
    """Whether both name all, and not alike."""
    return saved is not None and saved != here and all(name is not None for group in saved + here for name in group)


def _some(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:3])
    return shown + (", …" if len(names) > 3 else "") if names else "nothing of its own"


def _in_order(state: dict, saved: Names | None, here: Names) -> dict:
    """The state of an optimizer with the parameters in the order that they have here."""
    if not _in_another_order(saved, here):
        return state
    places = iter(range(sum(map(len, saved))))
    place_of = {name: place for group in saved for name, place in zip(group, places, strict=False)}
    order = [place_of[name] for group in here for name in group]
    groups = []
    for ours, theirs, group in zip(here, saved, state["param_groups"], strict=True):
        moved = {"params": [place_of[name] for name in ours]}
        if "param_names" in group:
            moved["param_names"] = [group["param_names"][theirs.index(name)] for name in ours]
        groups.append(group | moved)
    return state | {"state": {p: state["state"][p] for p in order if p in state["state"]}, "param_groups": groups}


def _mismatches(content: dict, parts: Mapping[str, object], names: Mapping[str, Names]) -> list[str]:
    """What in the file does not fit the parts at hand, a sentence each."""
    problems = [f"`{key}` is not in the file" for key in parts if key not in content["parts"]]
    problems += [f"`{key}` is in the file, but nobody asks for it" for key in content["parts"] if key not in parts]
    orders = []  # worth a word only where all else fits
    for key in parts.keys() & content["parts"].keys():
        saved, here = content["kinds"][key], _kind(parts[key])
        if saved != here:
            problems.append(f"`{key}` was saved from {saved}, here it is {here}")
            continue
        saved, here = content["shapes"][key], _shapes(parts[key])
        if key in names and sorted(saved) == sorted(here):  # as many groups, each of as many parameters
            theirs = content["names"].get(key)
            wrong = _order_problem(key, theirs, names[key], content, here)
            if wrong is None and _in_another_order(theirs, names[key]):
                continue  # the shapes are those of the model
            if wrong and Counter(saved.values()) == Counter(here.values()):
                orders.append(wrong)
                continue
        problems += [f"`{key}` lacks {one} in the file" for one in here if one not in saved]
        problems += [f"`{key}` has no {one}, the file has" for one in saved if one not in here]
        for one in saved.keys() & here.keys():
            if saved[one] != here[one]:
                problems.append(f"`{key}`, {one}: {saved[one]} in the file, {here[one]} here")
    return sorted(problems or orders)


def _kind(part: object) -> str:
    # A model is told by its tensors: the class may be a Sequential or one's own.
    return "a model" if isinstance(part, nn.Module) else type(part).__name__


def _shapes(part: object) -> dict[str, str]:
    """What must fit, by name: the tensors of a model, the parameters of an optimizer group by group."""
    if isinstance(part, nn.Module):
        return {f"`{key}`": _told(value) for key, value in part.state_dict().items()}
    if isinstance(part, Optimizer):
        groups = enumerate(part.param_groups)
        return {f"group {k} parameter {i}": _told(p) for k, group in groups for i, p in enumerate(group["params"])}
    return {}


def _told(value: object) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


def _state(name: str, part: object) -> object:
    if isinstance(part, torch.Generator):
        return part.get_state()
    if not (hasattr(part, "state_dict") and hasattr(part, "load_state_dict")):
        raise CheckpointError(f"`{name}` is a {type(part).__name__}: it has no state_dict to save or restore.")
    return part.state_dict()


def _load(part: object, state: object) -> None:
    if isinstance(part, torch.Generator):
        part.set_state(state)
    else:
        part.load_state_dict(copy.deepcopy(state))  # an optimizer keeps the very tensors that it is given
