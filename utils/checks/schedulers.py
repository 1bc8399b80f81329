"""The checks of the notebooks on schedulers: is it this schedule, and does that schedule reach the target?

A schedule is judged by the lrs that lr_curve() sees, so by what it does and not by how it is written. The first step
that differs is named, then the mistake that gives just these lrs.
Longer than two screens by the run that the last exercise is judged by.
"""

import math
import operator
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiStepLR

from utils.checks.schedule_mistakes import apart, diagnose
from utils.guard import NotYet, Verdict, Wrong, call, check, not_yet
from utils.schedules import lr_curve

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
    candidate: MakeScheduler, reference: MakeScheduler, steps: int, *, lr: float = 0.1, epoch: int | None = None
) -> Verdict:
    """Compare the lrs of `steps` optimizer steps under the schedulers that two factories make, from this base lr.

    A factory takes an optimizer and returns a scheduler of it: `partial(StepLR, step_size=30)`. `epoch`, if given, is
    the number of iterations in an epoch, so that a mix-up of the two is named as such. Momentum is not looked at. The
    message names the first step that differs and, where one explains all lrs, the mistake. Rounding, float32's too, is
    none. Never raises because of the candidate, except AssertionError where WORKSHOP_STRICT=1.
    """
    return check(lambda made: _judge(made, reference, steps, lr=lr, epoch=epoch))(candidate)


def _judge(candidate, reference, steps, *, lr: float, epoch: int | None = None, where: str = "") -> str:
    if candidate is ...:
        raise NotYet(not_yet("your answer"))
    truth = lr_curve(reference, operator.index(steps) + 1, lr=lr)  # one more, for what runs ahead
    _judge_kind(candidate, lr)
    curve = _curve(candidate, steps, lr)
    step = apart(curve, truth)
    if step is None:
        again = apart(_curve(candidate, steps, lr), truth)
        if again is None:
            return f"the lrs of all {steps} steps agree, from {truth[0]:.3g} to {truth[steps - 1]:.3g}."
        raise Wrong(
            f"{where}Right the first time, but a second scheduler from your function parts from it at step {again}: "
            "something outside of the scheduler counts the steps. Let the factor depend on `step` alone."
        )
    found = f"at step {step}, counted from 0, lr is {curve[step]:.4g}, not {truth[step]:.4g}."
    found = where + found if where else found[0].upper() + found[1:]
    told = diagnose(curve, truth, lr=lr, epoch=epoch)
    raise Wrong(f"{found}\n{told}" if told else found)


def _judge_kind(candidate, lr: float) -> None:
    """The first call, by itself: its errors show the student's own line."""
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


def _curve(candidate, steps: int, lr: float) -> np.ndarray:
    """The candidate's lrs, float64 of shape (steps,), all finite."""
    curve = call(partial(lr_curve, candidate, lr=lr), steps).answer(may_change=True)
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
    return _judge(candidate, _warm_up_cosine, TOTAL, lr=0.3)


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
        _judge(made, reference, 100, lr=0.3, where=f"With milestones {milestones} and gamma {gamma}, ")
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
