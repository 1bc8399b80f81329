"""The examiner: does an optimizer of one's own do what a reference does, and all that torch expects of an optimizer?

Candidate and reference are led through the same histories, each in a guarded call, and compared after every step.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch.optim import Optimizer

from utils.checks.examiner.attempt import Attempt, attempt
from utils.checks.examiner.cases import Case, apart
from utils.checks.examiner.contract_walks import walk_closure, walk_side_by_side, walk_twice, walk_wrong_groups
from utils.checks.examiner.histories import CONTRACT, OWN_OPTIONS, SIDE_BY_SIDE, TWICE, VALUES
from utils.checks.examiner.reasons import reason_of
from utils.checks.examiner.report import Differs, Point, judged, report
from utils.checks.examiner.walks import walk
from utils.guard import NotYet, Verdict, Wrong, check, has_placeholder, name_of, not_yet
from utils.internals.running import Clock

__all__ = ["Differs", "check_optimizer", "examine"]

SECONDS = 3.0  # for all that the candidate does in 20 steps; a reference needs 0.1 to 0.3
PATIENCE = 8  # or so many times as long as the reference took, where that is slow itself

_EFFECTS = {  # what an attempt notes beside the parameters: what is to be said if it noted nothing
    "memory": "updates in place",
    "autograd": "updates outside autograd",
    "gradients": "gradients left alone",
    "globals": "the rest of the process left alone",
}


def check_optimizer(
    candidate: Callable[..., Optimizer], reference: Callable[..., Optimizer], *, steps: int = 20
) -> Verdict:
    """Examine the optimizer that `candidate(params)` makes beside the one that `reference(params)` makes.

    Both are factories, such as `partial(torch.optim.SGD, lr=0.1)`. In float64 the parameters must agree after every
    step to 1e-12 of their largest value. The message of the verdict is a report card: what passed, the first thing
    that failed and, where a known mistake explains it, the name of the mistake. Never raises, except AssertionError
    for a failure where WORKSHOP_STRICT=1; takes at most 5 seconds of a processor however the candidate behaves (for 20
    steps, and unless the reference alone takes half a second).
    """

    def judge(made):
        return examine(made, reference, steps=steps)

    kind = candidate.func if isinstance(candidate, partial) else candidate
    judge.__name__ = f"check_optimizer({name_of(kind)})"  # under which it is noted that this one has passed
    return check(judge)(candidate)


def examine(candidate: Callable[..., Optimizer], reference: Callable[..., Optimizer], *, steps: int = 20) -> str:
    """As check_optimizer, for use in a check: returns the report card, raises Wrong (or Differs) or NotYet with it."""
    _judge_arguments(candidate, reference, steps)
    limit = SECONDS * max(1.0, steps / 20)
    options, of_matrices = _look_at(reference)
    lr, clock = options["lr"], Clock()

    def with_truth(point: Point) -> Point:
        return replace(point, truth=attempt(partial(point.run, lr=lr), reference, 10 * limit))

    points = [with_truth(point) for point in _points(steps, of_matrices=of_matrices)]
    broken = next((point.truth.error for point in points[:2] if point.truth.error), "")
    if broken:
        raise Wrong(f"The reference itself cannot be examined. {broken}")
    if apart(points[0].truth.rows, points[1].truth.rows):
        raise Wrong("The reference itself cannot be examined. Two of it, one after the other, do not do the same.")
    points = _try(points, candidate, with_truth, lr=lr, seconds=max(limit, PATIENCE * clock.seconds()))
    _stop_at_stub(points)
    _refuse_a_reference_that_changes(points, with_truth)
    values = [point for point in points if point.part == "values"]
    card = values + _effects(points) + [point for point in points if point.part != "values"]
    return report(card, partial(reason_of, points=points, makes=(candidate, reference), options=options))


def _judge_arguments(candidate, reference, steps) -> None:
    if candidate is ...:
        raise NotYet(not_yet("your answer"))
    if not callable(candidate):
        raise Wrong("This is no factory: hand over a function of the parameters, as in `partial(MyOptimizer, lr=0.1)`.")
    if isinstance(candidate, Optimizer) or not callable(reference) or not isinstance(steps, int) or steps < 1:
        raise Wrong("The examiner takes two factories and a number of steps that is at least 1.")


def _look_at(reference: Callable) -> tuple[dict, bool]:
    """The options of the reference's group, its lr as a float, and whether it takes nothing but matrices."""
    cases = (Case("a vector"), Case("a matrix", shapes=((3, 2),)))
    vector, matrix = (attempt(partial(walk, case=case, steps=1, lr=0.0), reference, 10) for case in cases)
    lr = matrix.options.get("lr")
    if matrix.error or not isinstance(lr, int | float | torch.Tensor):
        raise Wrong(
            f"The reference itself cannot be examined. {matrix.error or 'The `lr` of its groups is no number.'}"
        )
    return {**matrix.options, "lr": float(lr)}, bool(vector.error)


def _points(steps: int, *, of_matrices: bool) -> list[Point]:
    """All points, in the order in which they are examined."""
    points = []
    for part, cases in (("values", VALUES), ("contract", CONTRACT)):
        for case in [case.of_matrices() if of_matrices else case for case in cases]:
            count = case.least_steps or (steps if part == "values" else min(steps, case.most_steps))
            points.append(Point(case.name, part, partial(walk, case=case, steps=count), case, count))
    refusal = "a state_dict with the wrong number of groups is refused"
    beside = partial(walk_side_by_side, case=SIDE_BY_SIDE, steps=min(steps, 3))
    return [
        *points,
        Point(SIDE_BY_SIDE.name, "contract", beside, SIDE_BY_SIDE),
        Point(TWICE.name, "contract", partial(walk_twice, case=TWICE), TWICE),
        Point("step(closure)", "contract", partial(walk_closure, steps=steps)),
        Point(refusal, "contract", walk_wrong_groups),
    ]


def _try(points: list[Point], candidate: Callable, with_truth: Callable, *, lr: float, seconds: float) -> list[Point]:
    """The points with what the candidate did in them, until it has used up its `seconds` and had to be stopped.

    `with_truth(point)` is the point with what the reference did in it.
    """
    tried, clock = [], Clock()
    for point in points:
        if tried and tried[-1].tried and not tried[-1].tried.ended:
            break  # its time is up, or its thread may still be running
        if point.name == OWN_OPTIONS:
            options = _own_options(tried[0].tried, tried[0].truth)
            if not options:
                tried.append(replace(point, skipped="your groups have no options in common with the reference's"))
                continue
            case = replace(point.case, options=options)
            point = with_truth(replace(point, case=case, run=partial(point.run, case=case)))
        if point.truth.skipped or (point.truth.error and not (point.case and point.case.refused_alike)):
            tried.append(replace(point, skipped="the reference does not take that"))
            continue
        ours = attempt(partial(point.run, lr=lr), candidate, max(0.0, seconds - clock.seconds()))
        point = replace(point, tried=ours, skipped=ours.skipped)
        tried.append(point if point.skipped else judged(point))
    return tried + [replace(point, skipped="the time was up") for point in points[len(tried) :]]


def _own_options(ours: Attempt, theirs: Attempt) -> dict:
    """What another group may have otherwise: half of each float, or tuple of floats, that both have, but for lr."""
    both = {key: value for key, value in theirs.options.items() if key != "lr" and ours.options.get(key) == value}
    found = {}
    for key, value in both.items():
        numbers = value if isinstance(value, tuple) else (value,)
        if all(type(number) is float for number in numbers) and any(numbers):
            halves = tuple(number / 2 for number in numbers)
            found[key] = halves if isinstance(value, tuple) else halves[0]
    return found


def _effects(points: list[Point]) -> list[Point]:
    """A point for each kind of side effect, failed where the candidate had it and the reference had not."""
    seen = [point for point in points if point.tried]
    found = []
    for kind, name in _EFFECTS.items():
        sentences = [p.tried.effects[kind] for p in seen if kind in p.tried.effects and kind not in p.truth.effects]
        found.append(Point(name, "contract", failure=sentences[0] if sentences else ""))
    return found


def _refuse_a_reference_that_changes(points: list[Point], with_truth: Callable) -> None:
    """Before a failure is reported: does the reference still do there what it did?"""
    for point in [point for point in points if point.failure and point.tried.ended][:1]:
        now = with_truth(point).truth
        if now.error != point.truth.error or apart(now.rows, point.truth.rows):
            raise Wrong(f"The reference itself cannot be examined. It does not do the same each time. {now.error}")


def _stop_at_stub(points: list[Point]) -> None:
    """Raise NotYet if the optimizer is not written yet: it fails, and a `...` stands in one of its methods."""
    tried = [point.tried for point in points if point.tried]
    unwritten = [one.kind for one in tried if one.unwritten]
    kinds = {id(one.kind): one.kind for one in tried if one.kind}.values()  # as a rule one, and to read it takes time
    if any(point.failure for point in points):
        unwritten += filter(_has_placeholder, kinds)
    for kind in unwritten[:1]:
        raise NotYet(not_yet(f"`{kind.__name__}`" if kind else "your answer"))


def _has_placeholder(kind: type) -> bool:
    """Whether a `...` stands in a method of a student's class."""
    methods = [] if kind.__module__.startswith("torch.") else filter(callable, vars(kind).values())
    return any(map(has_placeholder, methods))
