"""The report card of an examination: its points, what is wrong with each, and the reason for the first."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from utils.checks.examiner.attempt import Attempt
from utils.checks.examiner.cases import Case, apart
from utils.checks.examiner.mistakes import Walk, diagnose
from utils.guard import Wrong

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


def judged(point: Point) -> Point:
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


def reason_of(point: Point, *, points: list[Point], reference: Callable, options: dict, steps: int) -> str:
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


def report(points: list[Point], reason: Callable[[Point], str]) -> str:
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
