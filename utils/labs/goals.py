"""The goals of the labs: what a student is to bring about with the sliders, and what has been brought about by now."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from utils import progress
from utils.descent import Trace
from utils.practice.schedule_runs import SEEDS, Run


@dataclass(frozen=True)
class Goal:
    """What to bring about, in words, and `met`: what a lab shows → does it?"""

    text: str
    met: Callable[..., bool]


class Goals:
    """The goals of one lab on one page. A goal once reached stays reached, in a student's copy also by the next kernel.

    reached   one bool for each goal
    """

    def __init__(self, *goals: Goal, heading: str = ""):
        self._goals, self._heading = goals, heading
        self.reached = [progress.mine.known("goals", goal.text) for goal in goals]

    def see(self, shown) -> str:
        """Note what the lab shows, in the form that the rules of its goals take, and return the list as HTML."""
        self.reached = [done or bool(goal.met(shown)) for done, goal in zip(self.reached, self._goals, strict=True)]
        for done, goal in zip(self.reached, self._goals, strict=True):
            if done:
                progress.mine.note("goals", goal.text, of=len(self._goals))
        return self.listed()

    def listed(self) -> str:
        """The list as HTML, as far as the goals are reached by now."""
        marks = ("✓" if done else "○" for done in self.reached)
        listed = "".join(f"<div>{mark} {goal.text}</div>" for mark, goal in zip(marks, self._goals, strict=True))
        return (f"<p>{self._heading}</p>" if self._heading else "") + listed


# --- Lab 1 ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Walk:
    """What Lab 1 shows: a run from `start` at this lr on the ravine with this condition number."""

    lr: float
    kappa: float
    start: tuple[float, float]
    trace: Trace

    @property
    def fell(self) -> bool:
        """Whether the run ended lower than it began."""
        return self.trace.diverged_at is None and self.trace.loss[-1] < self.trace.loss[0]


def edge_goals() -> Goals:
    """The goals of Lab 1; they see a Walk."""
    return Goals(
        Goal("κ = 10: get from the start below 1e-6 within 40 steps.", _quick),
        Goal(
            "κ = 30: find the edge. Show one lr that goes down and one that goes up, at most 5 % apart.", _BothSides()
        ),
        Goal(
            "κ = 100, lr at least 0.5: find a start from which it converges all the same. Why does it?", _on_the_floor
        ),
    )


def _quick(walk: Walk) -> bool:
    steps = walk.trace.steps_to(1e-6)
    return walk.kappa == 10 and all(walk.start) and steps is not None and 0 < steps <= 40


class _BothSides:
    """Whether, of all walks seen so far, one went down and another, at most 5 % further, went up."""

    def __init__(self):
        self._down, self._up = 0.0, np.inf  # the highest lr that went down, the lowest that went up

    def __call__(self, walk: Walk) -> bool:
        if walk.kappa == 30 and all(walk.start):
            if walk.fell:
                self._down = max(self._down, walk.lr)
            else:
                self._up = min(self._up, walk.lr)
        return self._down > 0 and self._up <= 1.05 * self._down


def _on_the_floor(walk: Walk) -> bool:
    return walk.kappa == 100 and walk.lr >= 0.5 and any(walk.start) and walk.fell


# --- Lab 3 ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trained:
    """What Lab 3 shows: a run under a schedule, composed of two or not, and one at a constant lr."""

    composed: bool
    schedule: Run
    constant: Run


def designer_goals() -> Goals:
    """The goals of Lab 3; they see a Trained."""
    return Goals(
        Goal(
            "Give the constant lr its best chance: find one that ends below 0.19.",
            lambda shown: _ends_below(0.19, shown.constant),
        ),
        Goal(
            "Find a schedule that ends below 0.14. No constant lr comes below 0.17.",
            lambda shown: _ends_below(0.14, shown.schedule),
        ),
        Goal(
            "Compose two: at least 20 steps of warm-up from a tenth of the highest lr or less, then down to 1 % of it "
            "or less by the last step. End below 0.15.",
            lambda shown: shown.composed and _ends_below(0.15, shown.schedule) and _warmed_up(shown.schedule.lr),
        ),
        Goal(
            "Let lr be 0.3 or more in at least 20 steps, and end below 0.2 all the same. "
            "The constant 0.316 ends above 1.",
            lambda shown: _ends_below(0.2, shown.schedule) and (shown.schedule.lr >= 0.3).sum() >= 20,
        ),
        heading=f"Goals, by the mean validation loss of {len(SEEDS)} runs:",
    )


def _ends_below(loss: float, run: Run) -> bool:
    return run.accuracy is not None and run.mean[-1] < loss


def _warmed_up(lr: np.ndarray) -> bool:
    """Whether lr climbs for 20 steps or more, at least tenfold, and then falls to 1 % of its highest."""
    top = int(lr.argmax())
    climbs = top >= 20 and lr[top] >= 9.999 * lr[0] > 0 and (np.diff(lr[: top + 1]) >= 0).all()
    return climbs and lr[-1] <= 0.01 * lr[top]
