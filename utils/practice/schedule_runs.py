"""What a schedule does to training: six networks on digits at once, each with its own start and batches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from utils.data import Dataset, digits
from utils.schedules import needs_metric

STEPS, MOMENTUM = 200, 0.9  # of every run
BATCH, HIDDEN, SEEDS = 16, 32, range(6)


@dataclass
class Run:
    """Six copies of a 64-32-10 network, each with its own start and batches by its seed, and what they have measured.

    loss         (STEPS + 1, seeds): on the rows held out, before the first step and after each; nan where not yet
                 trained, inf from where a copy has diverged
    lr           (STEPS,): what each step used
    accuracy     (seeds,): share of the held-out rows that is right at the end
    train_loss   (seeds,): on all rows trained on, at the end
    step         how many steps have been taken
    error        what the scheduler raised, at its making or on the way
    """

    loss: np.ndarray = field(default_factory=lambda: np.full((STEPS + 1, len(SEEDS)), np.nan))
    lr: np.ndarray = field(default_factory=lambda: np.full(STEPS, np.nan))
    accuracy: np.ndarray | None = None
    train_loss: np.ndarray | None = None
    step: int = 0
    error: str | None = None

    @property
    def finished(self) -> bool:
        """Whether it has taken all its steps, or failed."""
        return self.accuracy is not None or self.error is not None

    @property
    def diverged(self) -> int:
        """How many copies have."""
        return int(np.isinf(self.loss[self.step]).sum())

    @property
    def mean(self) -> np.ndarray:
        """(STEPS + 1,): the mean of `loss` over the copies."""
        return self.loss.mean(axis=1)


@cache
def _rows() -> tuple[Dataset, list[Tensor], Tensor]:
    """The digits; W1, b1, W2, b2 of all copies, stacked; (STEPS, seeds, BATCH) numbers of the rows of each batch.

    Examples are columns: a product of (outputs, inputs) with (inputs, rows) that all copies share is one large one.
    """
    data, cpu = digits(), {"dtype": torch.float64, "device": "cpu"}
    # In float32 the last bit of a start decides where a run with a high lr ends, and machines round it differently.
    data = replace(data, x_train=data.x_train.double(), x_test=data.x_test.double())
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in SEEDS]
    first, last = (
        torch.stack([torch.randn(size, generator=g, **cpu) * gain for g in generators])
        for size, gain in (((HIDDEN, 64), (2 / 64) ** 0.5), ((10, HIDDEN), HIDDEN**-0.5))
    )
    start = [first, torch.zeros(len(SEEDS), HIDDEN, 1, **cpu), last, torch.zeros(len(SEEDS), 10, 1, **cpu)]
    epochs = -(-STEPS * BATCH // len(data.x_train))
    orders = [
        torch.cat([torch.randperm(len(data.x_train), generator=g, device="cpu") for _ in range(epochs)])
        for g in generators
    ]
    batches = torch.stack([order[: STEPS * BATCH].view(STEPS, BATCH) for order in orders], dim=1)
    return data, start, batches


def train(run: Run, make_scheduler: Callable | None, lr: float) -> Iterator[None]:
    """Train the copies of `run` and note what they measure; yields after each step, so that it can be left off.

    One SGD with momentum moves the stacked copies, and none of them has a say in another. `make_scheduler(optimizer)`
    gives the scheduler, or None as `make_scheduler` itself may be: then `lr` stays. A scheduler is stepped after each
    step of the optimizer; one that needs a metric is given the mean of the copies' losses on the rows held out.
    Nothing is raised: whatever the scheduler or its factory raises ends the run and is noted in `run.error`.
    """
    data, start, batches = _rows()
    parameters = [each.clone().requires_grad_() for each in start]
    held_out = data.x_test.T, data.y_test
    optimizer = torch.optim.SGD(parameters, lr=lr, momentum=MOMENTUM)
    try:
        scheduler = None if make_scheduler is None else make_scheduler(optimizer)
        with_metric = scheduler is not None and needs_metric(type(scheduler))
        run.loss[0] = _measured(parameters, *held_out)
        for step in range(STEPS):
            run.lr[step] = optimizer.param_groups[0]["lr"]
            with torch.enable_grad():
                optimizer.zero_grad()
                x, y = data.x_train[batches[step]].mT, data.y_train[batches[step]]
                _losses(parameters, x, y).sum().backward()  # the derivative of a sum: each copy gets its own gradient
            optimizer.step()
            # A copy that has diverged may by chance become finite again; it has diverged all the same.
            now = _measured(parameters, *held_out)
            run.loss[step + 1] = np.where(np.isinf(run.loss[step]), np.inf, now)
            run.step = step + 1
            if with_metric:
                scheduler.step(float(run.loss[step + 1].mean()))
            elif scheduler is not None:
                scheduler.step()
            yield
    except Exception as error:  # a scheduler of the student's own may raise anything, and the lab must go on
        run.error = f"{type(error).__name__}: {error}"
        return
    run.train_loss = _measured(parameters, data.x_train.T, data.y_train)
    with torch.no_grad():
        right = _scores(parameters, held_out[0]).argmax(dim=1) == held_out[1]
    run.accuracy = right.double().mean(dim=1).numpy()


def _scores(parameters: list[Tensor], x: Tensor) -> Tensor:
    """(seeds, 10, rows) for x of shape (64, rows), the same for all copies, or (seeds, 64, rows)."""
    w1, b1, w2, b2 = parameters
    return w2 @ (w1 @ x + b1).relu() + b2


def _losses(parameters: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """(seeds,): the mean loss of each copy on rows of its own, or on the same."""
    scores = _scores(parameters, x)
    return cross_entropy(scores, y.expand(len(SEEDS), -1), reduction="none").mean(dim=1)


@torch.no_grad()
def _measured(parameters: list[Tensor], x: Tensor, y: Tensor) -> np.ndarray:
    """(seeds,): the mean loss of each copy, inf where it is not finite."""
    losses = _losses(parameters, x, y).double().numpy()
    return np.where(np.isfinite(losses), losses, np.inf)
