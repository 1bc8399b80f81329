"""The plain training loop on real data, and what it measured.

Longer than two screens by its progress bar, which nothing else shows, and by what it refuses.
"""

import html
import math
import shutil
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.descent import requires_closure
from utils.internals.stepping import set_mode
from utils.schedules import needs_metric

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

    `loaders` is a pair (train, test) of iterables of (x, y) batches; the first has a length, which may be wrong: what
    counts are the batches that come. `scheduler` was built on `optimizer` and steps once `per` "epoch" or "iteration";
    one that needs a metric gets the test loss. `loss_fn(prediction, target)` is a mean over rows: by default cross
    entropy for whole-number targets, squared error for floats. An optimizer with two modes, as a schedule-free one, is
    in `eval()` when the model is tested, and at the end. Raises ValueError if these do not belong together, and for a
    loader without batches; warns of parameters that the optimizer does not hold.
    """
    check_parts(model, optimizer, scheduler, per, epochs)
    train_loader, test_loader = loaders
    planned = epochs * _check_loaders(train_loader, test_loader, epochs)
    batch_loss, lr = [], []
    train_loss, test_loss, test_accuracy = np.full((3, epochs), np.nan)
    label = type(optimizer).__name__ if label is None else label
    wants_closure = requires_closure(optimizer)
    step = 0

    def history(diverged_at: int | None = None) -> History:
        rest = [math.nan] * (planned - len(lr) if diverged_at is not None else 0)
        per_step = np.array(batch_loss + rest, dtype=float), np.array(lr + rest, dtype=float)
        return History(label, *per_step, train_loss, test_loss, test_accuracy, diverged_at)

    model.train()
    with Progress(planned, label, show=progress) as bar:
        for epoch in range(epochs):
            set_mode(optimizer, training=True)
            rows = 0
            total = 0.0
            for x, y in train_loader:
                now = optimizer.param_groups[0].get("lr")
                lr.append(math.nan if now is None else float(now))
                optimizer.zero_grad()
                loss = loss_of(model(x), y, loss_fn)
                batch_loss.append(loss.item())
                if not math.isfinite(batch_loss[step]):
                    return history(diverged_at=step)
                loss.backward()  # also before a closure: some begin with the gradient that is there
                optimizer.step(_closure(model, optimizer, x, y, loss_fn)) if wants_closure else optimizer.step()
                if scheduler is not None and per == "iteration":
                    scheduler.step()

                rows += len(x)
                total += len(x) * batch_loss[step]
                step += 1
                bar.update(step, f"epoch {epoch + 1} of {epochs}, loss {batch_loss[step - 1]:.3g}")

            if not rows:
                raise ValueError(f"the training loader gave no batch in epoch {epoch + 1}: {_USED_UP}")
            train_loss[epoch] = total / rows
            set_mode(optimizer, training=False)
            test_loss[epoch], test_accuracy[epoch] = evaluate(model, test_loader, loss_fn=loss_fn)
            if scheduler is not None and per == "epoch":
                scheduler.step(test_loss[epoch]) if needs_metric(type(scheduler)) else scheduler.step()
    return history()


_USED_UP = "it is empty, or was used up before"


def _check_loaders(train_loader, test_loader, epochs: int) -> int:
    """The number of training batches in an epoch; ValueError for a loader that could not last."""
    for name, loader in {"training": train_loader, "test": test_loader}.items():
        once = epochs > 1 and isinstance(loader, Iterator)
        if once:
            raise ValueError(f"the {name} loader can be gone through only once, and there are {epochs} epochs")
        if _length(loader) == 0:
            raise ValueError(f"the {name} loader has no batch: {_USED_UP}")
    length = _length(train_loader)
    if length is None:
        raise ValueError("the training loader has no length: hand over a DataLoader or a list of batches")
    return length


def _length(loader) -> int | None:
    try:
        return len(loader)
    except TypeError:  # a stream, or a loader of one
        return None


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
                total += len(x) * loss_of(prediction, y, loss_fn).item()
                right += math.nan if y.is_floating_point() else (prediction.argmax(1) == y).sum().item()
    finally:
        for module, mode in modes:
            module.training = mode
    if not rows:
        raise ValueError(f"the loader gave no batch to evaluate on: {_USED_UP}")
    return total / rows, right / rows


def loss_of(prediction: Tensor, target: Tensor, loss_fn: Loss | None) -> Tensor:
    """The mean loss of a batch, 0-d: that of `loss_fn`, else cross entropy, or squared error for floats."""
    if loss_fn is not None:
        return loss_fn(prediction, target)
    return F.mse_loss(prediction, target) if target.is_floating_point() else F.cross_entropy(prediction, target)


def _closure(model, optimizer, x, y, loss_fn) -> Callable[[], Tensor]:
    """What LBFGS calls, several times per step, to measure the loss and its gradient anew."""

    def closure():
        optimizer.zero_grad()
        loss = loss_of(model(x), y, loss_fn)
        loss.backward()
        return loss

    return closure


def check_parts(model, optimizer, scheduler, per, epochs) -> None:
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
    own = {id(p) for p in model.parameters()}
    missing = [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in held]
    shown = ", ".join(f"`{name}`" for name in missing[:3]) + (", …" if len(missing) > 3 else "")
    if missing and held - own:
        raise ValueError(
            f"optimizer built before a part of the model was replaced: it does not hold {shown}, but {len(held - own)} "
            "parameters that the model does not have. Build it anew with model.parameters(); what is to stay as it is "
            "gets requires_grad_(False)."
        )
    if missing:
        warnings.warn(
            f"the optimizer does not hold {shown}, which will stay as they are. If that is meant, say so with "
            "requires_grad_(False).",
            stacklevel=3,
        )
    if scheduler is None:
        return
    if getattr(scheduler, "optimizer", None) is not optimizer:
        raise ValueError(
            "scheduler built on another optimizer: it would change the lr of that one. Build it anew on this optimizer."
        )
    if needs_metric(type(scheduler)) and per == "iteration":
        raise ValueError(f"{type(scheduler).__name__} waits for the test loss, known once an epoch: use per='epoch'")


# --- the progress bar ------------------------------------------------------------------------------------------------


class Progress:
    """A progress bar for runs longer than `delay` seconds, gone without a trace when the run ends, however it ends.

    In a notebook it is an output that holds nothing at first and nothing at last: only updates in between fill it, and
    those are neither stored nor compared by nbval. In a terminal it is a line of stderr. Anywhere else it is silent.
    """

    def __init__(self, total: int, label: str, *, show=True, delay=2.0, interval=0.25, clock=time.monotonic):
        self.total, self.label, self.interval, self.clock = total, label, interval, clock
        self._draw = (_notebook_line() or _terminal_line()) if show else None
        self._next = clock() + delay
        self._shown = False

    def __enter__(self) -> "Progress":
        return self

    def update(self, done: int, text: str) -> None:
        """Show that `done` of `total` is done, at most once per `interval` seconds."""
        if self._draw is None or (now := self.clock()) < self._next:
            return
        self._next, self._shown = now + self.interval, True
        self._draw(done, self.total, f"{self.label}: {text}")

    def __exit__(self, *error) -> None:
        if self._shown:
            self._draw(0, 0, "")


def _notebook_line():
    """A function that draws into one output of the running cell, or None where no kernel runs."""
    ipython = sys.modules.get("IPython")  # a kernel has imported it long ago
    shell = ipython.get_ipython() if ipython else None
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display, update_display

    name = uuid.uuid4().hex
    published = False

    def draw(done, total, text):
        nonlocal published
        if not published:
            display({}, raw=True, display_id=name)
            published = True
        bar = f'<progress max="{total}" value="{done}" aria-label="training"></progress> {html.escape(text)}'
        data = {"text/html": bar, "text/plain": text} if text else {}
        update_display(data, raw=True, display_id=name)

    return draw


def _terminal_line():
    """A function that rewrites one line of a terminal, or None where stderr is a file or a pipe."""
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    width = 0

    def draw(done, total, text):
        nonlocal width
        line = f"{done / total:4.0%} {text}"[: shutil.get_terminal_size().columns - 1] if text else ""
        sys.stderr.write(f"\r{line.ljust(width)}" + ("" if text else "\r"))
        sys.stderr.flush()
        width = len(line)

    return draw
