"""Checkpoints of a whole run: written all at once or not at all, and restored all at once or not at all.

A file is what `torch.save` writes, followed by one line with the SHA-256 digest of those bytes: `torch.load` alone
still reads it, and restore() notices every bit that changed, which `torch.load` does not.

Longer than two screens, since writing and restoring must agree on every part.
"""

import copy
import hashlib
import io
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

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

    A part has `state_dict` and `load_state_dict`, or is a `torch.Generator`. `notes` are numbers, strings, tensors, and
    lists or dicts of them. The file appears complete or not at all: it is written beside `path`, read back, and only
    then put in its place. Raises CheckpointError, and leaves an older file as it was, when that fails.
    """
    path = Path(path)
    content = {
        "format": FORMAT,
        "step": step,
        "notes": dict(notes or {}),
        "random": random_state(),
        "kinds": {name: _kind(part) for name, part in parts.items()},
        "shapes": {name: _shapes(part) for name, part in parts.items()},
        "parts": {name: _state(name, part) for name, part in parts.items()},
    }
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
            f"What was to be saved cannot be read back, so {path.name} was not written. Keep to tensors, numbers, "
            f"strings, lists and dicts. ({error})"
        ) from None
    except Exception as error:  # the disk is full, no permission, an object that cannot be pickled
        raise CheckpointError(f"{path.name} was not written: {type(error).__name__}: {error}") from error
    finally:
        if scratch is not None:
            Path(scratch).unlink(missing_ok=True)


def restore(path: str | Path, parts: Mapping[str, object]) -> tuple[int, dict]:
    """Give every part, and the random states, what the file holds; return (step, notes).

    `parts` are objects of the same kinds and shapes as those saved. All is checked before anything is touched, and if a
    part still refuses its state, those before it are put back. Raises CheckpointError; then nothing has changed.
    """
    content = _read(Path(path))
    name = Path(path).name
    if problems := _mismatches(content, parts):
        raise CheckpointError(f"{name} does not belong to this run:\n" + "\n".join(f"- {text}" for text in problems))
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
        reason = f"{type(error).__name__}: {error}"
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
        content = torch.load(io.BytesIO(body), weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path.name} holds more than data: {str(error).strip().splitlines()[0]}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path.name} is of another format: restore it with the version that wrote it.")
    return content


def _mismatches(content: dict, parts: Mapping[str, object]) -> list[str]:
    """What in the file does not fit the parts at hand, a sentence each."""
    problems = [f"`{key}` is not in the file" for key in parts if key not in content["parts"]]
    problems += [f"`{key}` is in the file, but nobody asks for it" for key in content["parts"] if key not in parts]
    for key in parts.keys() & content["parts"].keys():
        saved, here = content["kinds"][key], _kind(parts[key])
        if saved != here:
            problems.append(f"`{key}` was saved from {saved}, here it is {here}")
            continue
        saved, here = content["shapes"][key], _shapes(parts[key])
        problems += [f"`{key}` lacks {one} in the file" for one in here if one not in saved]
        problems += [f"`{key}` has no {one}, the file has" for one in saved if one not in here]
        for one in saved.keys() & here.keys():
            if saved[one] != here[one]:
                problems.append(f"`{key}`, {one}: {saved[one]} in the file, {here[one]} here")
    return sorted(problems)


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
