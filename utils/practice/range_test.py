"""The learning-rate range test: raise lr at every step and watch where the loss falls fastest."""

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from utils.descent import requires_closure
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

    Works on copies: model, optimizer and the global random state are afterwards what they were. `loader` is an iterable
    of (x, y) batches, gone through anew when it ends. The first group goes from `lowest` to `highest`, the others keep
    their ratio to it. The loss is smoothed by an exponential average that forgets by `memory` per step, and the test
    stops once that is 4 times its lowest, or the loss not finite. Suggested is the lr at which it falls fastest per
    decade of lr, at most a third of the one at which it is lowest: an lr to start from, not the best one. Raises
    ValueError for a range or a length that cannot be.
    """
    check_parts(model, optimizer, None, "epoch", 1)
    if not (0 < lowest < highest < math.inf and 0 <= memory < 1):
        raise ValueError(f"use 0 < lowest < highest and 0 <= memory < 1, got {lowest}, {highest} and {memory}")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 10:
        raise ValueError(f"steps is {steps!r}: use 10 or more, so that there is a curve to read")
    if requires_closure(optimizer):
        raise ValueError(f"{type(optimizer).__name__} searches for its step length by itself: it needs no range test")
    label = f"{type(optimizer).__name__}, lr {lowest:g} to {highest:g}"
    model, optimizer = copy.deepcopy((model, optimizer))  # together, so that the copy holds the copy's parameters
    ratios = [float(group["lr"]) / float(optimizer.param_groups[0]["lr"]) for group in optimizer.param_groups]
    lrs = np.geomspace(lowest, highest, steps)
    batch_loss, lr, smoothed = np.full((3, steps), np.nan)
    diverged_at, average, batches = None, 0.0, _endless(loader)
    model.train()
    with torch.random.fork_rng():
        for step, (now, (x, y)) in enumerate(zip(lrs, batches, strict=False)):
            for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
                group["lr"] = float(now) * ratio
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
            optimizer.step()
    nothing = np.empty(0)
    history = History(label, batch_loss, lr, nothing, nothing, nothing, diverged_at)
    return RangeTest(history, smoothed, *_suggestion(lrs, smoothed))


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
