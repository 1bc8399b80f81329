"""Checkpoints of a whole run: written all at once or not at all, and restored all at once or not at all.

A file is what `torch.save` writes, followed by one line with the SHA-256 digest of those bytes: `torch.load` alone
still reads it, and restore() notices every bit that changed, which `torch.load` does not.
"""

import copy
import hashlib
import io
import os
import pickle
import re
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from utils.internals.process_state import random_state, set_random_state
from utils.practice.belonging import in_order, kind_of, mismatches, names_of, shapes_of, unclear
from utils.practice.plain_values import culprit, plain

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
        notes = plain(dict(notes or {}))
    except RecursionError:
        raise CheckpointError(f"{path.name} was not written: `notes` hold themselves, or nest too deeply") from None
    content = {
        "format": FORMAT,
        "step": plain(step),
        "notes": notes,
        "random": random_state(),
        "kinds": {name: kind_of(part) for name, part in parts.items()},
        "shapes": {name: shapes_of(part) for name, part in parts.items()},
        "names": names_of(parts),
        "parts": {name: plain(_state(name, part), exact=True) for name, part in parts.items()},
    }
    for name, names in content["names"].items():
        if problem := unclear(names, content["shapes"][name]):
            warnings.warn(f"{path.name} will not be restored: `{name}` {problem}", stacklevel=2)
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
            f"{culprit(content) or f' ({error})'}. Keep to tensors, numbers, strings, lists and dicts."
        ) from None
    except Exception as error:  # the disk is full, no permission, an object that cannot be pickled
        named = "" if isinstance(error, OSError) else culprit(content)
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise CheckpointError(f"{path.name} was not written{named}: {reason}") from error
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
    names = names_of(parts)
    if problems := mismatches(content, parts, names):
        raise CheckpointError(f"{name} does not belong to this run:\n" + "\n".join(f"- {text}" for text in problems))
    for key, here in names.items():
        ordered = in_order(content["parts"][key], content["names"].get(key), here)
        content["parts"][key] = _as_this_machine_can(ordered, parts[key])
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


def _as_this_machine_can(state: dict, optimizer: Optimizer) -> dict:
    """The state with `capturable` as it is here: one that was made for a GPU's graphs cannot step on a CPU."""
    if "param_groups" not in state:
        return state
    groups = [
        saved | {key: now[key] for key in ("capturable",) if key in saved and key in now}
        for saved, now in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    return state | {"param_groups": groups}


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
