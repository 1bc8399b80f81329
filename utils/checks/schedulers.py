"""The checks of the notebooks on schedulers: is it this schedule, and does that schedule reach the target?

A schedule is judged by the lrs that lr_curve() sees, so by what it does and not by how it is written. The first step
that differs is named, then the mistake that gives just these lrs.
Longer than two screens by the run that the last exercise is judged by.
"""

import contextlib
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiStepLR

from utils.checks.schedule_mistakes import apart, diagnose
from utils.guard import NotYet, Verdict, Wrong, call, check, not_yet
from utils.schedules import lr_curve, needs_metric

__all__ = [
    "BUDGET",
    "FLOOR",
    "LR",
    "TARGET",
    "TOTAL",
    "WARM_UP",
    "check_multistep",
    "check_schedule",
    "check_target",
    "check_warm_up_cosine",
    "noisy_run",
]

MakeScheduler = Callable[[Optimizer], LRScheduler]


def check_schedule(
    candidate: MakeScheduler,
    reference: MakeScheduler,
    steps: int,
    *,
    lr: float = 0.1,
    epoch: int | None = None,
    metrics: Sequence[float] | None = None,
) -> Verdict:
    """Compare the lrs of `steps` optimizer steps under the schedulers that two factories make, from this base lr.

    A factory takes an optimizer and returns a scheduler of it: `partial(StepLR, step_size=30)`. `epoch`, if given, is
    the number of iterations in an epoch, so that a mix-up of the two is named as such. Momentum is not looked at. The
    message names the first step that differs and, where one explains all lrs, the mistake. Rounding, float32's too, is
    none. Schedulers that follow a metric are compared with each other alone, under `metrics`, one after each step, or
    one that falls, rests, rises and falls again. Never raises because of the candidate, except AssertionError where
    WORKSHOP_STRICT=1; raises what lr_curve() raises where the reference has no lrs.
    """
    right = _right(reference, steps, lr, metrics)
    return check(lambda made: _judge(made, right, epoch=epoch))(candidate)


@dataclass(frozen=True, eq=False)
class _Right:
    """The schedule that is asked for: its lrs, shape (steps + 1,), and what gives more of them.

    The last lr is nan where the schedule ends before. `metrics` are None where it follows none.
    """

    make: MakeScheduler
    lr: float
    lrs: np.ndarray
    metrics: Sequence[float] | None

    def longer(self, steps: int) -> np.ndarray | None:
        try:
            return lr_curve(self.make, steps, lr=self.lr)
        except Exception:  # it ends before, or follows a metric
            return None


def _right(reference, steps: int, lr: float, metrics=None) -> _Right:
    steps = operator.index(steps)
    if callable(reference) and needs_metric(type(reference(SGD([torch.zeros(1)], lr=lr, momentum=0.9)))):
        metrics = _some_metrics(steps) if metrics is None else metrics
    else:
        metrics = None
    lrs = lr_curve(reference, steps, lr=lr, metrics=metrics)
    if metrics is None:
        with contextlib.suppress(ValueError):  # one more, for what runs ahead
            return _Right(reference, lr, lr_curve(reference, steps + 1, lr=lr), None)
    return _Right(reference, lr, np.append(lrs, np.nan), metrics)


def _some_metrics(steps: int) -> list[float]:
    """A metric that falls, rests, rises a little and falls again, shape (steps,)."""
    fourth = steps // 4 + 1
    falls, rests = [1 / (1 + k) for k in range(fourth)], [1 / fourth] * fourth
    rises = [(1 + 0.01 * k) / fourth for k in range(fourth)]
    return (falls + rests + rises + [metric / fourth for metric in falls])[:steps]


def _judge(candidate, right: _Right, *, epoch: int | None = None, where: str = "") -> str:
    if candidate is ...:
        raise NotYet(not_yet("your answer"))
    truth, lr, metrics = right.lrs, right.lr, right.metrics
    steps = len(truth) - 1
    _judge_kind(candidate, lr, metric=metrics is not None)
    curve = _curve(candidate, steps, lr, metrics)
    step = apart(curve, truth)
    if step is None:
        again = apart(_curve(candidate, steps, lr, metrics), truth)
        if again is None:
            under = "" if metrics is None else " under a metric that falls, rests and rises"
            return f"the lrs of all {steps} steps agree{under}, from {truth[0]:.3g} to {truth[steps - 1]:.3g}."
        raise Wrong(
            f"{where}Right the first time, but a second scheduler from your function parts from it at step {again}: "
            "something outside of the scheduler counts the steps. Let the factor depend on `step` alone."
        )
    found = f"at step {step}, counted from 0, lr is {curve[step]:.4g}, not {truth[step]:.4g}."
    found = where + found if where else found[0].upper() + found[1:]
    if metrics is not None:  # what such a schedule does depends on more than the step
        raise Wrong(found)

    def longer(more: int) -> np.ndarray | None:
        lrs = call(partial(lr_curve, candidate, lr=lr), more).value
        return lrs if lrs is not None and np.isfinite(lrs).all() and np.array_equal(lrs[:steps], curve) else None

    sentence = diagnose(curve, truth, lr=lr, epoch=epoch, curve_to=longer, truth_to=right.longer)
    raise Wrong(f"{found}\n{sentence}" if sentence else found)


def _judge_kind(candidate, lr: float, *, metric: bool = False) -> None:
    """The first call, by itself: its errors show the student's own line. `metric`: whether it is to follow one."""
    if isinstance(candidate, LRScheduler):
        raise Wrong(
            "This is a scheduler, and looking at its lrs would spend it: hand over the function that makes one, "
            "`def my_schedule(optimizer): …`."
        )
    optimizer = SGD([torch.zeros(1)], lr=lr, momentum=0.9)
    made = call(candidate, optimizer).answer(may_change=True)
    if isinstance(made, type) or not isinstance(made, LRScheduler):
        kind = made.__name__ if isinstance(made, type) else type(made).__name__
        raise Wrong(f"You returned `{kind}`, and a scheduler is asked for: `return …LR(optimizer, …)`.")
    if made.optimizer is not optimizer:
        raise Wrong(
            "Your scheduler belongs to another optimizer, and would set the lr of that one: make it from the "
            "`optimizer` that your function got."
        )
    kind = type(made).__name__
    if needs_metric(type(made)) and not metric:
        raise Wrong(
            f"`{kind}` follows a metric, so its lrs depend on how the training goes; those that are asked for "
            "depend on the step alone."
        )
    if metric and not needs_metric(type(made)):
        raise Wrong(f"The schedule that is asked for follows a metric, and `{kind}` looks at the step alone.")


def _curve(candidate, steps: int, lr: float, metrics: Sequence[float] | None = None) -> np.ndarray:
    """The candidate's lrs, float64 of shape (steps,), all finite."""
    curve = call(partial(lr_curve, candidate, lr=lr, metrics=metrics), steps).answer(may_change=True)
    wild = np.flatnonzero(~np.isfinite(curve))
    if len(wild):
        raise Wrong(f"At step {wild[0]}, counted from 0, lr is {curve[wild[0]]}: is there a division by zero?")
    return curve


# --- exercise: warm-up and cosine by LambdaLR -------------------------------------------------------------------------

WARM_UP, TOTAL, FLOOR = 20, 120, 0.05  # steps, steps in all, and the share of lr at the end


def _warm_up_cosine(optimizer: Optimizer) -> LambdaLR:
    def factor(step: int) -> float:
        if step < WARM_UP:
            return (step + 1) / WARM_UP
        share = (step - WARM_UP) / (TOTAL - WARM_UP)
        return FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * share)) / 2

    return LambdaLR(optimizer, factor)


@check
def check_warm_up_cosine(candidate) -> str:
    """Judge `my_schedule(optimizer)`: up to lr in WARM_UP steps, from the first on, then a cosine to FLOOR × lr."""
    # Not lr 1: a function that returns an lr instead of a share would pass.
    return _judge(candidate, _right(_warm_up_cosine, TOTAL, 0.3))


# --- exercise: MultiStepLR from its closed form -----------------------------------------------------------------------

_SETTINGS = [([30, 80], 0.1), ([5, 20, 20, 60], 0.5), ([50, 10], 0.3), ([40], 2.0)]  # milestones, gamma


@check
def check_multistep(candidate) -> str:
    """Judge `multistep(step, milestones, gamma)`: the factor of the first lr at this step, as MultiStepLR has it."""
    for milestones, gamma in _SETTINGS:
        call(candidate, 0, list(milestones), gamma).answer()

        def made(optimizer, milestones=milestones, gamma=gamma):
            return LambdaLR(optimizer, lambda step: candidate(step, list(milestones), gamma))

        reference = partial(MultiStepLR, milestones=milestones, gamma=gamma)
        _judge(made, _right(reference, 100, 0.3), where=f"With milestones {milestones} and gamma {gamma}, ")
    return f"MultiStepLR in one line: 100 lrs agree in each of {len(_SETTINGS)} settings."


# --- exercise: reach the target in a budget ---------------------------------------------------------------------------

BUDGET, LR, TARGET = 200, 0.5, 0.009  # optimizer steps, the lr that the optimizer has, and the mean loss at the end
_CURVATURE = torch.logspace(-0.7, 0, 20, dtype=torch.float64)
_RUNS = 16


def noisy_run(make_scheduler: MakeScheduler, *, noise: float = 0.2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(losses, lrs) of BUDGET steps of SGD from lr LR on a quadratic of 20 curvatures with noisy gradients.

    The losses, shape (BUDGET + 1,), are the mean over 16 runs, before the first step and after each; lrs (BUDGET,).
    """
    draw = torch.Generator().manual_seed(seed)
    w = torch.ones(_RUNS, len(_CURVATURE), dtype=torch.float64, requires_grad=True)
    optimizer = SGD([w], lr=LR)
    scheduler = make_scheduler(optimizer)
    losses, lrs = np.empty(BUDGET + 1), np.empty(BUDGET)
    for step in range(BUDGET):
        losses[step], lrs[step] = _loss(w), float(optimizer.param_groups[0]["lr"])
        w.grad = _CURVATURE * w.detach() + noise * torch.randn(w.shape, generator=draw, dtype=w.dtype)
        optimizer.step()
        scheduler.step()
    losses[-1] = _loss(w)
    return losses, lrs


def _loss(w: torch.Tensor) -> float:
    return float((_CURVATURE * w.detach() ** 2).sum(-1).mean()) / 2


@check
def check_target(candidate) -> str:
    """Judge `my_schedule(optimizer)`: with its scheduler noisy_run() ends at TARGET or lower."""
    _judge_kind(candidate, LR)
    losses, lrs = _run(candidate)
    end = losses[-1]
    if end <= TARGET:
        return f"the mean loss of {_RUNS} runs ends at {end:.2g}; the target is {TARGET}."
    if not math.isfinite(end) or end > losses[0]:
        limit = 2 / float(_CURVATURE.max())
        beyond = np.flatnonzero(lrs > limit)
        raise Wrong(
            f"It diverges: lr is up to {lrs.max():.2g}"
            + (f", at step {beyond[0]} beyond the edge 2/L = {limit:.2g}." if len(beyond) else ".")
        )
    # Without noise what is left is the way that was not walked; the rest of the loss is what noise stirs up.
    unwalked = _run(candidate, noise=0.0)[0][-1]
    told = f"It ends at {end:.2g}, {end / TARGET:.1f} times the target of {TARGET}."
    if unwalked > end / 2:
        small = np.flatnonzero(lrs < LR / 10)
        since = f" From step {small[0]} on lr is below a tenth of {LR}." if len(small) else ""
        raise Wrong(
            f"{told}\nWithout any noise it would still end at {unwalked:.2g}: your lr is too small for too long to "
            f"walk the whole way in {BUDGET} steps.{since}"
        )
    told += f"\nWithout any noise it would end at {unwalked:.2g}, so what is left is noise."
    ahead = np.cumsum(lrs[::-1])[::-1]  # how far the optimizer may still go, in units of 1 / L
    asleep = np.flatnonzero(ahead * float(_CURVATURE.max()) < 1)
    if len(asleep) and asleep[0] < 0.95 * BUDGET:
        raise Wrong(
            f"{told} From step {asleep[0]} on lr is too small for the optimizer to move, and before that it was so "
            "large that much noise is frozen in: come down earlier, and more gently at the end."
        )
    raise Wrong(f"{told} Your last lr is {lrs[-1]:.2g}, and the floor of the noise lies as high as lr does.")


def _run(candidate, noise: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    return call(partial(noisy_run, candidate, noise=noise), timeout=20).answer(may_change=True)
