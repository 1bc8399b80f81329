"""The plain training loop on real data, and what it measured."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import ReduceLROnPlateau

from utils._progress import Progress
from utils.descent import requires_closure

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class History:
    """What one run measured: float64 arrays, per optimizer step of shape (steps,) or per epoch of shape (epochs,).

    label            name of the run
    batch_loss       per step: mean loss of the step's batch, before the step
    lr               per step: learning rate of `param_groups[0]` that the step used
    train_loss       per epoch: mean of `batch_loss` over the rows seen, while the model was changing
    test_loss        per epoch: mean loss over the test rows, after the epoch
    test_accuracy    per epoch: share of test rows classified right, 0…1; nan for a regression
    diverged_at      first step (from 0) whose batch loss was inf or nan, else None. That step is not taken and training
                     stops: `batch_loss` and `lr` are nan after it, the arrays per epoch from its epoch on.
    """

    label: str
    batch_loss: np.ndarray
    lr: np.ndarray
    train_loss: np.ndarray
    test_loss: np.ndarray
    test_accuracy: np.ndarray
    diverged_at: int | None = None

    def __repr__(self) -> str:
        size = f"{self.label}: {len(self.train_loss)} epochs, {len(self.batch_loss)} steps"
        if not len(self.test_loss):  # of a range test
            size = f"{self.label}: {len(self.batch_loss)} steps"
        if self.diverged_at is not None:
            return f"History({size}, diverged at step {self.diverged_at})"
        if not len(self.test_loss):
            return f"History({size})"
        return f"History({size}, last test loss {self.test_loss[-1]:.4g}, accuracy {self.test_accuracy[-1]:.4g})"


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loaders,
    epochs: int,
    *,
    scheduler=None,
    per: str = "epoch",
    loss_fn: Loss | None = None,
    label: str | None = None,
    progress: bool = True,
) -> History:
    """Train `model` in place for `epochs` passes over the first of `loaders`; test it on the second after each pass.

    `loaders` is a pair (train, test) of sized iterables of (x, y) batches. `scheduler` was built on `optimizer` and
    steps once `per` "epoch" or "iteration"; ReduceLROnPlateau gets the test loss. `loss_fn(prediction, target)` is a
    mean over rows: by default cross entropy for whole-number targets, squared error for floats. Raises ValueError if
    these do not belong together.
    """
    _check(model, optimizer, scheduler, per, epochs)
    train_loader, test_loader = loaders
    steps = epochs * len(train_loader)
    batch_loss, lr = np.full((2, steps), np.nan)
    train_loss, test_loss, test_accuracy = np.full((3, epochs), np.nan)
    label = type(optimizer).__name__ if label is None else label
    history = History(label, batch_loss, lr, train_loss, test_loss, test_accuracy)
    wants_closure = requires_closure(optimizer)
    step = 0

    model.train()
    with Progress(steps, label, show=progress) as bar:
        for epoch in range(epochs):
            rows = 0
            total = 0.0
            for x, y in train_loader:
                lr[step] = float(optimizer.param_groups[0].get("lr", math.nan))
                optimizer.zero_grad()
                loss = _loss(model(x), y, loss_fn)
                batch_loss[step] = loss.item()
                if not math.isfinite(batch_loss[step]):
                    return History(label, batch_loss, lr, train_loss, test_loss, test_accuracy, diverged_at=step)
                if wants_closure:
                    optimizer.step(_closure(model, optimizer, x, y, loss_fn))
                else:
                    loss.backward()
                    optimizer.step()
                if scheduler is not None and per == "iteration":
                    scheduler.step()

                rows += len(x)
                total += len(x) * batch_loss[step]
                step += 1
                bar.update(step, f"epoch {epoch + 1} of {epochs}, loss {batch_loss[step - 1]:.3g}")

            train_loss[epoch] = total / rows
            test_loss[epoch], test_accuracy[epoch] = evaluate(model, test_loader, loss_fn=loss_fn)
            if scheduler is not None and per == "epoch":
                scheduler.step(test_loss[epoch]) if isinstance(scheduler, ReduceLROnPlateau) else scheduler.step()
    return history


def evaluate(model: nn.Module, loader, *, loss_fn: Loss | None = None) -> tuple[float, float]:
    """Mean loss over the rows of `loader` and share of them classified right (nan for a regression).

    The model is in eval mode meanwhile, without gradients; afterwards each of its modules is in the mode it was in.
    """
    modes = [(module, module.training) for module in model.modules()]
    rows, total, right = 0, 0.0, 0.0
    model.eval()
    try:
        with torch.no_grad():
            for x, y in loader:
                prediction = model(x)
                rows += len(x)
                total += len(x) * _loss(prediction, y, loss_fn).item()
                right += math.nan if y.is_floating_point() else (prediction.argmax(1) == y).sum().item()
    finally:
        for module, mode in modes:
            module.training = mode
    return total / rows, right / rows


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
    _check(model, optimizer, None, "epoch", 1)
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
            loss = _loss(model(x), y, loss_fn)
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


def _loss(prediction: Tensor, target: Tensor, loss_fn: Loss | None) -> Tensor:
    if loss_fn is not None:
        return loss_fn(prediction, target)
    return F.mse_loss(prediction, target) if target.is_floating_point() else F.cross_entropy(prediction, target)


def _closure(model, optimizer, x, y, loss_fn) -> Callable[[], Tensor]:
    """What LBFGS calls, several times per step, to measure the loss and its gradient anew."""

    def closure():
        optimizer.zero_grad()
        loss = _loss(model(x), y, loss_fn)
        loss.backward()
        return loss

    return closure


def _check(model, optimizer, scheduler, per, epochs) -> None:
    """Mistakes that would otherwise train nothing, in silence."""
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"epochs is {epochs!r}: use a whole number from 1 up")
    if per not in ("epoch", "iteration"):
        raise ValueError(f"per is {per!r}: a scheduler steps per 'epoch' or per 'iteration'")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if held.isdisjoint(id(p) for p in model.parameters()):
        raise ValueError(
            "optimizer built on another model: it holds none of this model's parameters, so its steps would not move "
            "them. Build it anew with model.parameters()."
        )
    if scheduler is None:
        return
    if getattr(scheduler, "optimizer", None) is not optimizer:
        raise ValueError(
            "scheduler built on another optimizer: it would change the lr of that one. Build it anew on this optimizer."
        )
    if isinstance(scheduler, ReduceLROnPlateau) and per == "iteration":
        raise ValueError("ReduceLROnPlateau waits for the test loss, known once an epoch: use per='epoch'")
