"""The report card of an examination: its points, and what is wrong with each."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from utils.checks.examiner.attempt import Attempt
from utils.checks.examiner.cases import Case, apart
from utils.guard import Wrong


class Differs(Wrong):
    """The first point that failed is one in which the parameters are not those of the reference."""


@dataclass(frozen=True, eq=False)
class Point:
    """One point of the examination, and what came of it.

    part            "values" or "contract": the line of the report card in which it stands if it is passed
    run             leads an optimizer through it, `run(make, attempt, lr=…)`
    case, steps     the history, where there is one, and its length
    truth, tried    what the reference and the candidate did, as far as they have been led through
    failure         what is wrong, as a sentence; empty if nothing is
    differs         True if the failure is that the parameters are not those of the reference
    skipped         why it was not examined; empty if it was
    """

    name: str
    part: str
    run: Callable[..., None] | None = None
    case: Case | None = None
    steps: int = 0
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
    at = "".join(f"[{n}]" for n in np.unravel_index(j, ours.shape))  # torch's loads sympy first, for two seconds
    return f"At step {k + 1} {which} differs from the reference by {float(gap[j]):.2g}: {at or 'it'} is {a}, not {b}."


def report(points: list[Point], reason: Callable[[Point], str]) -> str:
    """The report card; raises Wrong with it if something failed, and Differs where that is a difference.

    Only the first failure is explained: those after it often have its cause, and are the exception's `others`.
    """
    examined = [point for point in points if not point.skipped]
    failed = [point for point in examined if point.failure]
    passed = [point for point in examined if not point.failure]
    lines = [f"{len(passed) if failed else 'all'} {'of ' if failed else ''}{len(examined)} points."]
    if failed:
        lines.append(f"✗ {failed[0].name}: {failed[0].failure} {reason(failed[0])}".rstrip())
    for part in dict.fromkeys(point.part for point in passed):
        names = [point.name for point in passed if point.part == part]
        # Beside what is wrong their names would be a wall of words, and they all stand on the card that is passed.
        lines.append(f"✓ {part}: " + (f"{len(names)} points" if failed else " · ".join(names)))
    for why in dict.fromkeys(point.skipped for point in points if point.skipped):
        lines.append(f"– not examined, since {why}: " + " · ".join(p.name for p in points if p.skipped == why))
    card = "\n".join(lines)
    if failed:
        others = [f"{point.name}: {point.failure}" for point in failed[1:]]
        raise (Differs if failed[0].differs else Wrong)(card, others)
    return card
