"""The examiner: does an optimizer of one's own do what a reference does, and all that torch expects of an optimizer?

Candidate and reference are led through the same histories, each in a guarded call, and compared after every step.
"""

import re
import time
from collections.abc import Callable
from functools import partial

import torch
from torch.optim import Optimizer

from utils.checks.examiner.attempt import Attempt, attempt, walk, walk_closure, walk_wrong_groups
from utils.checks.examiner.cases import CONTRACT, VALUES, apart
from utils.checks.examiner.mistakes import diagnose
from utils.guard import NotYet, Verdict, Wrong, check, has_placeholder, not_yet

__all__ = ["check_optimizer", "examine"]

SECONDS = 3.0  # for all that the candidate does in 20 steps; on a quiet machine a reference needs 0.1 to 0.3
PATIENCE = 8  # or so many times as long as the reference took: where that is slow, it is the machine that is busy

_NOTES = {  # what a walk notes beside the parameters: what is to be said if it noted nothing
    "memory": "updates in place",
    "autograd": "updates outside autograd",
    "gradients": "gradients left alone",
    "globals": "the rest of the process left alone",
}
_CLOSURE, _GROUPS = "step(closure)", "a state_dict with the wrong number of groups is refused"
_ERRORS = [  # pattern in an error, what it comes from
    (
        r"leaf [Vv]ariable that requires grad",
        "Your update is tracked by autograd: put `@torch.no_grad()` above `step`.",
    ),
    (r"ZeroDivisionError", "Does your step counter start at 0? 1 - beta ** 0 is 0: the first step has t = 1."),
    (r"step\(\) takes 1 positional", "`step` takes no closure: `def step(self, closure=None)`."),
]


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
    """As check_optimizer, for use in a check: returns the report card, raises Wrong or NotYet with it."""
    if candidate is ...:
        raise NotYet(not_yet("your answer"))
    if not callable(candidate):
        raise Wrong("This is no factory: hand over a function of the parameters, as in `partial(MyOptimizer, lr=0.1)`.")
    if isinstance(candidate, Optimizer) or not callable(reference) or not isinstance(steps, int) or steps < 1:
        raise Wrong("The examiner takes two factories and a number of steps that is at least 1.")
    limit = SECONDS * max(1.0, steps / 20)
    vector, first = (attempt(partial(walk, case=case, steps=1, lr=0.0), reference, 10) for case in VALUES[:2])
    cases = {case.name: case.of_matrices() if vector.error else case for case in VALUES + CONTRACT}
    runs = {name: partial(walk, case=case, steps=steps) for name, case in cases.items()}
    runs |= {_CLOSURE: partial(walk_closure, steps=steps), _GROUPS: walk_wrong_groups}
    options = first.notes.get("options", {})
    if first.error or "lr" not in options:
        raise Wrong(f"The reference itself cannot be examined. {first.error or 'Its groups have no `lr`.'}")
    lr = float(options["lr"])
    begin = time.monotonic()
    truths = {name: attempt(partial(run, lr=lr), reference, 10 * limit) for name, run in runs.items()}

    now = time.monotonic()
    end = now + max(limit, PATIENCE * (now - begin))
    tries, failures, skipped = {}, {}, {}
    for name, run in runs.items():
        truth = truths[name]
        if truth.skipped or (truth.error and name != "sparse gradients"):
            skipped[name] = "the reference does not take that"
            continue
        tried = tries[name] = attempt(partial(run, lr=lr), candidate, max(0.0, end - time.monotonic()))
        if tried.skipped:
            skipped[name] = tried.skipped
            continue
        failures[name] = _failure(name, tried, truth)
        if not tried.ended:
            skipped |= {later: "the time was up" for later in runs if later not in tries}
            break
    _stop_at_stub(tries, failed=any(failures.values()))
    done = {name: (cases.get(name), tried, truths[name]) for name, tried in tries.items()}
    noted = {}
    for kind, name in _NOTES.items():
        notes = [
            tried.notes[kind]
            for other, tried in tries.items()
            if kind in tried.notes and kind not in truths[other].notes
        ]
        noted[name] = notes[0] if notes else None
    values = {case.name: failures.pop(case.name) for case in VALUES if case.name in failures}
    reason = partial(_reason, done=done, reference=reference, options={**options, "lr": lr}, steps=steps)
    return _report({"values": values, "contract": noted | failures}, skipped, reason)


def _failure(name: str, tried: Attempt, truth: Attempt) -> str | None:
    """What is wrong with what the candidate did, or None."""
    word = next((case.refusable for case in CONTRACT if case.name == name), "")
    clear = tried.refused and word in tried.error.lower()
    if word and tried.ended and tried.error and (clear or (truth.error and not truth.refused)):
        return None
    if tried.error:
        return tried.error
    if truth.error:
        return f"It takes {name}, which the reference refuses."
    where = apart(tried.rows, truth.rows)
    if where is None:
        return None
    (k, i), several = where, len(truth.rows[0]) > 1
    ours, theirs = tried.rows[k][i], truth.rows[k][i]
    which = f"parameter {i + 1} of {len(truth.rows[0])}" if several else "the parameter"
    gap = (ours - theirs).abs().flatten().nan_to_num(nan=torch.inf)
    j = int(gap.argmax())
    a, b = (x.flatten()[j].item() for x in (ours, theirs))
    a, b = next(((f"{a:.{n}g}", f"{b:.{n}g}") for n in (6, 9, 12) if f"{a:.{n}g}" != f"{b:.{n}g}"), (repr(a), repr(b)))
    at = "".join(f"[{n}]" for n in torch.unravel_index(torch.tensor(j), ours.shape))
    return f"At step {k + 1} {which} differs from the reference by {float(gap[j]):.2g}: {at or 'it'} is {a}, not {b}."


def _reason(name: str, done: dict, reference: Callable, options: dict, steps: int) -> str:
    """The mistake behind a failure, or where to look for it; `done`: name → (case or None, what was tried, truth)."""
    if name not in done:  # one of the notes, which say it all
        return ""
    case, tried, truth = done[name]
    hint = case.hint if case else ""
    if tried.notes.get("rebound"):
        return "You put a new tensor into the group: update the parameter in place, as with `p.add_(…)`."
    if tried.error:
        return next((text for pattern, text in _ERRORS if re.search(pattern, tried.error)), hint if tried.ended else "")
    if case and all(apart([row], [case.parameters()]) is None for row in tried.rows):
        return (
            "It does not move at all. `p = p - …`, for one, only binds a new name: update in place, with `p.add_(…)`."
        )
    theirs, ours = truth.notes["options"], tried.notes["options"]
    for key in [key for key in theirs if key in ours]:
        if type(ours[key]) in (int, float, bool, tuple) and ours[key] != theirs[key]:
            return f"Your `{key}` is {ours[key]}, the reference's {theirs[key]}."
    if case and case.dtype == torch.float64:
        sound = [case.name for case in VALUES if case.name in done and case.name != name]
        walks = [(c, at.rows, t.rows) for c, at, t in map(done.get, [*sound, name]) if not at.error]
        mistake = diagnose(reference, options, walks, steps)
        if mistake:
            return mistake
    if tried.notes.get("state of another dtype") and not truth.notes.get("state of another dtype"):
        return "Your state has another dtype than its parameter: make it with `torch.zeros_like(p)`."
    return hint or "Compare that one step by hand: the state first, then the update."


def _stop_at_stub(tries: dict, *, failed: bool) -> None:
    """Raise NotYet if the optimizer is not written yet: it fails, and a `...` stands in one of its methods."""
    for tried in tries.values():
        made = tried.notes.get("class")
        methods = vars(made).values() if made and not made.__module__.startswith("torch.") else []
        unwritten = "raised `NotImplementedError`" in tried.error and tried.refused
        if unwritten or (failed and any(callable(method) and has_placeholder(method) for method in methods)):
            raise NotYet(not_yet(f"`{made.__name__}`" if made else "your answer"))


def _report(card: dict[str, dict], skipped: dict, reason: Callable[[str], str]) -> str:
    """The report card; raises Wrong with it if something failed."""
    points = {name: said for part in card.values() for name, said in part.items()}
    failed = [name for name in points if points[name]]
    lines = [f"{len(points) - len(failed) if failed else 'all'} {'of ' if failed else ''}{len(points)} points."]
    if failed:
        lines.append(f"✗ {failed[0]}: {points[failed[0]]} {reason(failed[0])}".rstrip())
    if failed[1:]:
        lines.append("✗ after that also: " + " · ".join(failed[1:]))
    for part, names in card.items():
        passed = [name for name in names if not points[name]]
        lines += [f"✓ {part}: " + " · ".join(passed)] if passed else []
    for why in dict.fromkeys(skipped.values()):
        lines.append(f"– not examined, since {why}: " + " · ".join(name for name in skipped if skipped[name] == why))
    if failed:
        raise Wrong("\n".join(lines))
    return "\n".join(lines)
