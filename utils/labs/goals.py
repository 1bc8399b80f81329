"""The goals of the labs: what a student is to bring about with the sliders, and what has been brought about by now."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from utils import progress
from utils.descent import Trace
from utils.practice.schedule_runs import SEEDS, Run


@dataclass(frozen=True)
class Goal:
    """What to bring about, in words, and `met`: what a lab shows → does it?

    was   the words of old, under which a student's work has it, where they have changed
    """

    text: str
    met: Callable[..., bool]
    was: str = ""

    @property
    def name(self) -> str:
        """Under which it is noted."""
        return self.was or self.text


class Goals:
    """The goals of one lab on one page. A goal once reached stays reached, in a student's copy also by the next kernel.

    reached   one bool for each goal
    """

    def __init__(self, *goals: Goal, heading: str = ""):
        self._goals, self._heading = goals, heading
        self.reached = [progress.mine.known("goals", goal.name) for goal in goals]

    def see(self, shown) -> bool:
        """Note what the lab shows, in the form that the rules of its goals take. Is a goal reached that was not?"""
        before = self.reached
        self.reached = [done or bool(goal.met(shown)) for done, goal in zip(before, self._goals, strict=True)]
        for known, done, goal in zip(before, self.reached, self._goals, strict=True):
            if done and not known:
                progress.mine.note("goals", goal.name, of=len(self._goals))
        return self.reached != before

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


EDGE = 1  # which goal of Lab 1 is to find the edge


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
        heading="κ = L/μ says how narrow the valley is: across it the curvature is L, along it μ = 1. Goals:",
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


# --- Lab 2 ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Raced:
    """What Lab 2 shows.

    problem      its name
    noise        how strong it is
    by_lrs       whether nothing but lrs has been moved since the problem was chosen
    ends         racer → its loss at the end, infinite if it has diverged; of those that race
    passed       racer → the steps that it took to the target; of those that got there
    tuned        whether all that race stand at the lr that tuning found here
    """

    problem: str
    noise: float
    by_lrs: bool
    ends: Mapping[str, float]
    passed: Mapping[str, int]
    tuned: bool

    def best(self, racer: str, *others: str) -> bool:
        """Whether this racer ends lowest on the ravine, against all of these others, and by lrs alone."""
        rivals = [self.ends.get(other) for other in others]
        own = self.ends.get(racer, np.inf)
        return self.problem == "ravine" and self.by_lrs and all(rival is not None and own < rival for rival in rivals)


def race_goals() -> Goals:
    """The goals of Lab 2; they see a Raced."""
    noisy = "ravine, noisy"
    return Goals(
        Goal(
            "Ravine, lrs alone: RMSprop wins; then SGD beats Momentum.",
            _EachOnce(
                lambda raced: raced.best("RMSprop", "SGD", "Momentum", "Adam"),
                lambda raced: raced.best("SGD", "Momentum"),
            ),
            was="The ravine, by lrs alone: make RMSprop win, then make SGD beat Momentum.",
        ),
        Goal(
            "Tune all on the ravine, then on the turned one.",
            _EachOnce(
                lambda raced: raced.tuned and raced.problem == "ravine",
                lambda raced: raced.tuned and raced.problem == "ravine, turned",
            ),
        ),
        Goal(
            "Saddle: let one pass the target in half the steps of another.",
            _far_apart,
            was="The saddle: let one pass the target in half the steps of another.",
        ),
        Goal(
            "Noisy ravine: tune all, then set noise to 0 and tune again.",
            _EachOnce(
                lambda raced: raced.tuned and raced.problem == noisy and raced.noise > 0,
                lambda raced: raced.tuned and raced.problem == noisy and raced.noise == 0,
            ),
            was="The noisy ravine: tune all, then set noise to 0 and tune all again.",
        ),
        heading='Goals; <code>labs.race({"NAdam": optim.NAdam})</code> enters a racer of your own:',
    )


class _EachOnce:
    """Whether each of these has been so at one time or another."""

    def __init__(self, *conditions: Callable[..., bool]):
        self._conditions, self._met = conditions, [False] * len(conditions)

    def __call__(self, shown) -> bool:
        self._met = [met or condition(shown) for met, condition in zip(self._met, self._conditions, strict=True)]
        return all(self._met)


def _far_apart(raced: Raced) -> bool:
    steps = raced.passed.values()
    return raced.problem == "saddle" and len(steps) > 1 and max(steps) >= 2 * min(steps)


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
            "or less. End below 0.15.",
            lambda shown: shown.composed and _ends_below(0.15, shown.schedule) and _warmed_up(shown.schedule.lr),
            was="Compose two: at least 20 steps of warm-up from a tenth of the highest lr or less, then down to 1 % of "
            "it or less by the last step. End below 0.15.",
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
