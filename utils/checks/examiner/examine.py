"""The examiner: does an optimizer of one's own do what a reference does, and all that torch expects of an optimizer?

Candidate and reference are led through the same histories, each in a guarded call, and compared after every step.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch.optim import Optimizer

from utils.checks.examiner.attempt import Attempt, attempt
from utils.checks.examiner.cases import CONTRACT, VALUES, Case, apart
from utils.checks.examiner.mistakes import Walk, diagnose
from utils.checks.examiner.walks import walk, walk_closure, walk_wrong_groups
from utils.guard import NotYet, Verdict, Wrong, check, has_placeholder, not_yet

__all__ = ["Differs", "check_optimizer", "examine"]

SECONDS = 3.0  # for all that the candidate does in 20 steps; on a quiet machine a reference needs 0.1 to 0.3
PATIENCE = 8  # or so many times as long as the reference took: where that is slow, it is the machine that is busy

_EFFECTS = {  # what an attempt notes beside the parameters: what is to be said if it noted nothing
    "memory": "updates in place",
    "autograd": "updates outside autograd",
    "gradients": "gradients left alone",
    "globals": "the rest of the process left alone",
}
_ERRORS = [  # pattern in an error, what it comes from
    (
        r"leaf [Vv]ariable that requires grad",
        "Your update is tracked by autograd: put `@torch.no_grad()` above `step`.",
    ),
    (r"ZeroDivisionError", "Does your step counter start at 0? 1 - beta ** 0 is 0: the first step has t = 1."),
    (r"step\(\) takes 1 positional", "`step` takes no closure: `def step(self, closure=None)`."),
]


class Differs(Wrong):
    """The first point that failed is one in which the parameters are not those of the reference."""


@dataclass(frozen=True, eq=False)
class Point:
    """One point of the examination, and what came of it.

    part            "values" or "contract": the line of the report card in which it stands if it is passed
    run             leads an optimizer through it, `run(make, attempt, lr=…)`
    case            the history, where there is one
    truth, tried    what the reference and the candidate did, as far as they have been led through
    failure         what is wrong, as a sentence; empty if nothing is
    differs         True if the failure is that the parameters are not those of the reference
    skipped         why it was not examined; empty if it was
    """

    name: str
    part: str
    run: Callable[..., None] | None = None
    case: Case | None = None
    truth: Attempt | None = None
    tried: Attempt | None = None
    failure: str = ""
    differs: bool = False
    skipped: str = ""


def check_optimizer(
    candidate: Callable[..., Optimizer], reference: Callable[..., Optimizer], *, steps: int = 20
) -> Verdict:
    """Examine the optimizer that `candidate(params)` makes beside the one that `reference(params)` makes.

    Both are factories, such as `partial(torch.optim.SGD, lr=0.1)`. In float64 the parameters must agree after every
    step to 1e-12 of their largest value. The message of the verdict is a report card: what passed, the first thing
    that failed and, where a known mistake explains it, the name of the mistake. Never raises, except AssertionError
    for a failure where WORKSHOP_STRICT=1; takes at most 5 seconds however the candidate behaves (for 20 steps, and on
    a machine that is not so busy that the reference alone takes half a second).
    """
    return check(lambda made: examine(made, reference, steps=steps))(candidate)


def examine(candidate: Callable[..., Optimizer], reference: Callable[..., Optimizer], *, steps: int = 20) -> str:
    """As check_optimizer, for use in a check: returns the report card, raises Wrong (or Differs) or NotYet with it."""
    _judge_arguments(candidate, reference, steps)
    limit = SECONDS * max(1.0, steps / 20)
    options, of_matrices = _look_at(reference)
    lr, begin = options["lr"], time.monotonic()
    points = [
        replace(point, truth=attempt(partial(point.run, lr=lr), reference, 10 * limit))
        for point in _points(steps, of_matrices=of_matrices)
    ]
    now = time.monotonic()
    points = _try(points, candidate, lr=lr, end=now + max(limit, PATIENCE * (now - begin)))
    _stop_at_stub(points)
    values = [point for point in points if point.part == "values"]
    card = values + _effects(points) + [point for point in points if point.part != "values"]
    return _report(card, partial(_reason, points=points, reference=reference, options=options, steps=steps))


def _judge_arguments(candidate, reference, steps) -> None:
    if candidate is ...:
        raise NotYet(not_yet("your answer"))
    if not callable(candidate):
        raise Wrong("This is no factory: hand over a function of the parameters, as in `partial(MyOptimizer, lr=0.1)`.")
    if isinstance(candidate, Optimizer) or not callable(reference) or not isinstance(steps, int) or steps < 1:
        raise Wrong("The examiner takes two factories and a number of steps that is at least 1.")


def _look_at(reference: Callable) -> tuple[dict, bool]:
    """The options of the reference's group, its lr as a float, and whether it takes nothing but matrices."""
    vector, matrix = (attempt(partial(walk, case=case, steps=1, lr=0.0), reference, 10) for case in VALUES[:2])
    if matrix.error or "lr" not in matrix.options:
        raise Wrong(f"The reference itself cannot be examined. {matrix.error or 'Its groups have no `lr`.'}")
    return {**matrix.options, "lr": float(matrix.options["lr"])}, bool(vector.error)


def _points(steps: int, *, of_matrices: bool) -> list[Point]:
    """All points, in the order in which they are examined."""
    points = []
    for part, cases in (("values", VALUES), ("contract", CONTRACT)):
        for case in [case.of_matrices() if of_matrices else case for case in cases]:
            points.append(Point(case.name, part, partial(walk, case=case, steps=steps), case))
    refusal = "a state_dict with the wrong number of groups is refused"
    return [
        *points,
        Point("step(closure)", "contract", partial(walk_closure, steps=steps)),
        Point(refusal, "contract", walk_wrong_groups),
    ]


def _try(points: list[Point], candidate: Callable, *, lr: float, end: float) -> list[Point]:
    """The points with what the candidate did in them, until the monotonic time `end` or until it had to be stopped."""
    tried = []
    for point in points:
        if tried and tried[-1].tried and not tried[-1].tried.ended:
            break  # its time is up, or its thread may still be running
        if point.truth.skipped or (point.truth.error and not (point.case and point.case.refused_alike)):
            tried.append(replace(point, skipped="the reference does not take that"))
            continue
        ours = attempt(partial(point.run, lr=lr), candidate, max(0.0, end - time.monotonic()))
        point = replace(point, tried=ours, skipped=ours.skipped)
        tried.append(point if point.skipped else _judged(point))
    return tried + [replace(point, skipped="the time was up") for point in points[len(tried) :]]


def _judged(point: Point) -> Point:
    """The point with what is wrong with what the candidate did, if anything is."""
    tried, truth, word = point.tried, point.truth, point.case.refusable if point.case else ""
    clear = tried.refused and word in tried.error.lower()
    if word and tried.ended and tried.error and (clear or (truth.error and not truth.refused)):
        return point
    if tried.error:
        return replace(point, failure=tried.error)
    if truth.error:
        return replace(point, failure=f"It takes {point.name}, which the reference refuses.")
    where = apart(tried.rows, truth.rows)
    return point if where is None else replace(point, failure=_difference(tried, truth, *where), differs=True)


def _difference(tried: Attempt, truth: Attempt, k: int, i: int) -> str:
    """How the two differ in parameter i after step k, both from 0."""
    ours, theirs = tried.rows[k][i], truth.rows[k][i]
    several = len(truth.rows[0]) > 1
    which = f"parameter {i + 1} of {len(truth.rows[0])}" if several else "the parameter"
    gap = (ours - theirs).abs().flatten().nan_to_num(nan=torch.inf)
    j = int(gap.argmax())
    a, b = (x.flatten()[j].item() for x in (ours, theirs))
    a, b = next(((f"{a:.{n}g}", f"{b:.{n}g}") for n in (6, 9, 12) if f"{a:.{n}g}" != f"{b:.{n}g}"), (repr(a), repr(b)))
    at = "".join(f"[{n}]" for n in torch.unravel_index(torch.tensor(j), ours.shape))
    return f"At step {k + 1} {which} differs from the reference by {float(gap[j]):.2g}: {at or 'it'} is {a}, not {b}."


def _effects(points: list[Point]) -> list[Point]:
    """A point for each kind of side effect, failed where the candidate had it and the reference had not."""
    seen = [point for point in points if point.tried]
    found = []
    for kind, name in _EFFECTS.items():
        sentences = [p.tried.effects[kind] for p in seen if kind in p.tried.effects and kind not in p.truth.effects]
        found.append(Point(name, "contract", failure=sentences[0] if sentences else ""))
    return found


def _reason(point: Point, *, points: list[Point], reference: Callable, options: dict, steps: int) -> str:
    """The mistake behind a failure, or where to look for it."""
    case, tried, truth = point.case, point.tried, point.truth
    if tried is None:  # a side effect, whose sentence says it all
        return ""
    hint = case.hint if case else ""
    if tried.rebound:
        return "You put a new tensor into the group: update the parameter in place, as with `p.add_(…)`."
    if tried.error:
        return next((text for pattern, text in _ERRORS if re.search(pattern, tried.error)), hint if tried.ended else "")
    if case and all(apart([row], [case.parameters()]) is None for row in tried.rows):
        return (
            "It does not move at all. `p = p - …`, for one, only binds a new name: update in place, with `p.add_(…)`."
        )
    for key in [key for key in truth.options if key in tried.options]:
        ours, theirs = tried.options[key], truth.options[key]
        if type(ours) in (int, float, bool, tuple) and ours != theirs:
            return f"Your `{key}` is {ours}, the reference's {theirs}."
    if case and case.dtype == torch.float64:
        others = [p for p in points if p.part == "values" and p.tried and p is not point]
        walks = [Walk(p.case, p.tried.rows, p.truth.rows) for p in [*others, point] if not p.tried.error]
        mistake = diagnose(reference, options, walks=walks, steps=steps)
        if mistake:
            return mistake.message
    if tried.other_dtype and not truth.other_dtype:
        return "Your state has another dtype than its parameter: make it with `torch.zeros_like(p)`."
    return hint or "Compare that one step by hand: the state first, then the update."


def _stop_at_stub(points: list[Point]) -> None:
    """Raise NotYet if the optimizer is not written yet: it fails, and a `...` stands in one of its methods."""
    failed = any(point.failure for point in points)
    for tried in [point.tried for point in points if point.tried]:
        own = tried.kind and not tried.kind.__module__.startswith("torch.")
        methods = [method for method in vars(tried.kind).values() if callable(method)] if own else []
        if tried.unwritten or (failed and any(map(has_placeholder, methods))):
            raise NotYet(not_yet(f"`{tried.kind.__name__}`" if tried.kind else "your answer"))


def _report(points: list[Point], reason: Callable[[Point], str]) -> str:
    """The report card; raises Wrong with it if something failed, and Differs where that is a difference."""
    examined = [point for point in points if not point.skipped]
    failed = [point for point in examined if point.failure]
    passed = [point for point in examined if not point.failure]
    lines = [f"{len(passed) if failed else 'all'} {'of ' if failed else ''}{len(examined)} points."]
    if failed:
        lines.append(f"✗ {failed[0].name}: {failed[0].failure} {reason(failed[0])}".rstrip())
    if failed[1:]:
        lines.append("✗ after that also: " + " · ".join(point.name for point in failed[1:]))
    for part in dict.fromkeys(point.part for point in passed):
        lines.append(f"✓ {part}: " + " · ".join(point.name for point in passed if point.part == part))
    for why in dict.fromkeys(point.skipped for point in points if point.skipped):
        lines.append(f"– not examined, since {why}: " + " · ".join(p.name for p in points if p.skipped == why))
    card = "\n".join(lines)
    if failed:
        raise Differs(card) if failed[0].differs else Wrong(card)
    return card
