"""The learning-rate range test: raise lr at every step and watch where the loss falls fastest.

Longer than two screens by what it takes to leave everything as it was.
"""

import contextlib
import copy
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from utils.descent import requires_closure
from utils.internals.process_state import random_state, set_random_state
from utils.internals.snapshots import same, snapshot
from utils.internals.stepping import set_mode
from utils.internals.torch_steps import attributes_without_schedulers
from utils.training import History, Loss, check_parts, loss_of


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What a learning-rate range test found.

    history       `batch_loss` and `lr` per step; nothing per epoch
    smoothed      (steps,): `batch_loss` averaged over the steps before, nan once the test has stopped
    suggestion    an lr to start from, or None where the curve suggests none
    reason        why, in a sentence
    """

    history: History
    smoothed: np.ndarray
    suggestion: float | None
    reason: str

    def __repr__(self) -> str:
        found = "no suggestion" if self.suggestion is None else f"lr {self.suggestion:.2g}"
        return f"RangeTest({found}: {self.reason})"


def lr_range_test(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loader,
    *,
    lowest: float = 1e-5,
    highest: float = 10.0,
    steps: int = 100,
    loss_fn: Loss | None = None,
    memory: float = 0.9,
) -> RangeTest:
    """Raise lr by the same factor at every step, from `lowest` to `highest`, and watch the loss (after Smith, 2017).

    Works on copies: model and optimizer, the random states of torch, NumPy and Python, and the loader's generators are
    afterwards what they were. `loader` is an iterable of (x, y) batches, gone through anew when it ends. The first
    group goes from `lowest` to `highest`, the others keep their ratio to it. The loss is smoothed by an exponential
    average that forgets by `memory` per step, and the test stops once that is 4 times its lowest, or the loss not
    finite. Suggested is the lr at which it falls fastest per decade of lr, at most a third of the one at which it is
    lowest: an lr to start from, not the best one. Raises ValueError for a range or a length that cannot be, for a first
    group without an lr above 0, and for an optimizer that cannot be copied or does not read its groups' lr.
    """
    check_parts(model, optimizer, None, "epoch", 1)
    if not (0 < lowest < highest < math.inf and 0 <= memory < 1):
        raise ValueError(f"use 0 < lowest < highest and 0 <= memory < 1, got {lowest}, {highest} and {memory}")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 10:
        raise ValueError(f"steps is {steps!r}: use 10 or more, so that there is a curve to read")
    if requires_closure(optimizer):
        raise ValueError(f"{type(optimizer).__name__} searches for its step length by itself: it needs no range test")
    label = f"{type(optimizer).__name__}, lr {lowest:g} to {highest:g}"
    ratios = _ratios(optimizer)
    lrs = np.geomspace(lowest, highest, steps)
    batch_loss, lr, smoothed = np.full((3, steps), np.nan)
    diverged_at, average, batches = None, 0.0, _endless(loader)
    with _put_back(loader), _untouched(model, optimizer):
        model, optimizer = _copies(model, optimizer)
        model.train()
        set_mode(optimizer, training=True)
        for step, (now, (x, y)) in enumerate(zip(lrs, batches, strict=False)):
            for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
                group["lr"] = _like(group["lr"], float(now) * ratio)
            lr[step] = now
            optimizer.zero_grad()
            loss = loss_of(model(x), y, loss_fn)
            batch_loss[step] = loss.item()
            if not math.isfinite(batch_loss[step]):
                diverged_at = step
                break
            average = memory * average + (1 - memory) * batch_loss[step]
            smoothed[step] = average / (1 - memory ** (step + 1))
            if smoothed[step] > 4 * np.nanmin(smoothed):
                break
            loss.backward()
            if step == 0:
                first = _twins(model, optimizer)
            optimizer.step()
            if step == 0:
                after = snapshot(list(model.parameters()))
        if np.isfinite(smoothed[0]):
            _check_that_lr_matters(first, after, [highest * ratio for ratio in ratios])
    nothing = np.empty(0)
    history = History(label, batch_loss, lr, nothing, nothing, nothing, diverged_at)
    return RangeTest(history, smoothed, *_suggestion(lrs, smoothed))


def _like(lr, value: float):
    """The value as a number, or as a tensor where the lr is one."""
    return torch.full_like(lr, value) if isinstance(lr, torch.Tensor) else value


def _ratios(optimizer: torch.optim.Optimizer) -> list[float]:
    """The lr of each group, in units of the first group's."""
    lrs = [group.get("lr") for group in optimizer.param_groups]
    if any(lr is None for lr in lrs):
        raise ValueError(f"{type(optimizer).__name__} has a group without an lr: there is nothing to raise")
    first = float(lrs[0])
    if not 0 < first < math.inf:
        raise ValueError(
            f"the first group's lr is {first:g}, so the ratio of the others to it is unknown: set an lr above 0 before "
            "the range test. Was a scheduler made that starts there, as a warm-up does? Make it afterwards"
        )
    return [float(lr) / first for lr in lrs]


def _copies(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A copy of each, the optimizer's on the parameters of the model's.

    torch copies an optimizer's groups and state alone, and leaves out whatever else it keeps: an lr of its own, the
    optimizer that it wraps. Here all of it is copied; a scheduler's wrapper around `step` is not, for it knows the
    original.
    """
    optimizers = list(_optimizers(optimizer, set()))
    copies = {id(one): object.__new__(type(one)) for one in optimizers}
    memo = dict(copies)
    try:
        copied = copy.deepcopy(model, memo)
        for one in optimizers:
            for name, value in copy.deepcopy(attributes_without_schedulers(one), memo).items():
                object.__setattr__(copies[id(one)], name, value)
    except Exception as error:
        kind = type(optimizer).__name__
        raise ValueError(f"the model or {kind} cannot be copied: {type(error).__name__}: {error}") from error
    return copied, copies[id(optimizer)]


def _optimizers(thing: object, seen: set[int]) -> Iterator[torch.optim.Optimizer]:
    """Each optimizer that is kept in another's attributes, and itself."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    inside = ()
    if isinstance(thing, torch.optim.Optimizer):
        yield thing
        inside = [value for name, value in vars(thing).items() if name not in ("state", "param_groups")]
    elif isinstance(thing, dict):
        inside = thing.values()
    elif isinstance(thing, list | tuple):
        inside = thing
    for value in inside:
        yield from _optimizers(value, seen)


@contextlib.contextmanager
def _untouched(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """ValueError, and all as it was, if what happens within changes the model or the optimizer."""
    tensors = [*model.parameters(), *model.buffers()]
    numbers, state = snapshot(tensors), copy.deepcopy(optimizer.state_dict())
    try:
        yield
    finally:
        moved = not (same(numbers, tensors) and same(snapshot(state), optimizer.state_dict()))
        if moved:
            with torch.no_grad():
                for tensor, before in zip(tensors, numbers, strict=True):
                    tensor.copy_(before)
            optimizer.load_state_dict(state)
    if moved:
        raise ValueError(
            f"a step of a copy of {type(optimizer).__name__} moved the original: a function that it keeps, such as a "
            "replaced `step` or a hook, knows the original. Nothing has changed; test an optimizer without it"
        )


def _twins(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Copies with the gradients."""
    other, twin = _copies(model, optimizer)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        q.grad = None if p.grad is None else p.grad.clone()
    return other, twin


def _check_that_lr_matters(first: tuple, after: list[torch.Tensor], lrs: list[float]) -> None:
    """ValueError if the first step, which led to `after`, leads there at these lrs, too. `first`: copies before it."""
    model, optimizer = first
    before = snapshot(list(model.parameters()))
    for group, lr in zip(optimizer.param_groups, lrs, strict=True):
        group["lr"] = _like(group["lr"], lr)
    optimizer.step()
    if same(after, list(model.parameters())) and not same(before, after):
        raise ValueError(
            f"a step of {type(optimizer).__name__} is the same at every lr of its groups: it keeps an lr of its own, "
            "which a range test would change in vain, and so would a scheduler"
        )


@contextlib.contextmanager
def _put_back(loader) -> Iterator[None]:
    """The global random states, and those of the generators that the loader keeps, come back as they were."""
    everywhere, generators = random_state(), list(_generators(loader, set()))
    states = [_state_of(generator) for generator in generators]
    try:
        yield
    finally:
        set_random_state(everywhere)
        for generator, state in zip(generators, states, strict=True):
            _set_state(generator, state)


def _generators(thing: object, seen: set[int], depth: int = 4) -> Iterator[object]:
    """Each random generator in the attributes of a loader, of its sampler, of its data set…"""
    if id(thing) in seen or depth < 0:
        return
    seen.add(id(thing))
    if isinstance(thing, torch.Generator | np.random.Generator | np.random.RandomState | random.Random):
        yield thing
    elif isinstance(thing, list | tuple):
        for value in thing[:100]:
            yield from _generators(value, seen, depth - 1)
    elif hasattr(thing, "__dict__") and not isinstance(thing, torch.Tensor | type | nn.Module):
        for value in list(vars(thing).values()):
            yield from _generators(value, seen, depth - 1)


def _state_of(generator) -> object:
    if isinstance(generator, torch.Generator | np.random.RandomState):
        return generator.get_state()
    return generator.bit_generator.state if isinstance(generator, np.random.Generator) else generator.getstate()


def _set_state(generator, state) -> None:
    if isinstance(generator, torch.Generator | np.random.RandomState):
        generator.set_state(state)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        generator.setstate(state)


def _endless(loader):
    while True:
        seen = 0
        for batch in loader:
            seen += 1
            yield batch
        if not seen:
            raise ValueError("the loader gave no batch: if it is an iterator, it has been used up")


def _suggestion(lrs: np.ndarray, smoothed: np.ndarray) -> tuple[float | None, str]:
    """Where the smoothed loss falls fastest per decade of lr, at most a third of where it is lowest, and why.

    (None, why) if it hardly falls.
    """
    settled = int(len(lrs) * 0.1)  # the average of the first few batches is still their own noise
    valley = int(np.nanargmin(smoothed)) if np.isfinite(smoothed).any() else 0
    if valley < settled + 2 or smoothed[valley] > 0.9 * smoothed[settled]:
        return None, "the loss never fell by a tenth: start lower, end higher, or take more steps"
    falls = np.gradient(smoothed[settled : valley + 1], np.log10(lrs[settled : valley + 1]))
    steepest, limit = float(lrs[settled + int(falls.argmin())]), float(lrs[valley]) / 3
    lowest = f"it is lowest, {smoothed[valley]:.2g}, at lr {lrs[valley]:.2g}"
    if np.isnan(smoothed[-1]):
        lowest += f", and has left by lr {lrs[int(np.isfinite(smoothed).sum()) - 1]:.2g}"
    elif valley == len(lrs) - 1:
        lowest += ", the end of the range: go higher"
    reason = f"the loss falls fastest there; {lowest}"
    if steepest > limit:
        reason = f"a third of the lr at which the loss is lowest, for it falls fastest close to that; {lowest}"
    return min(steepest, limit), reason
