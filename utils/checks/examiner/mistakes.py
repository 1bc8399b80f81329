"""The known mistake behind walks that went wrong.

A mistake is named only if a rule that makes it, and makes no other, leads along the student's own path in all walks.
The rules are trusted only where they reproduce the reference when they make no mistake.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from utils.checks.examiner.cases import Case, Rows, apart
from utils.checks.update_mistakes import KNOWN, OF_ANY
from utils.checks.update_rules import History, Rule, follow, rule_of
from utils.guard import Mistake
from utils.internals.running import Clock

SECONDS = 1.0  # for the search: a reference may be slow


@dataclass(frozen=True, eq=False)
class Walk:
    """Where the candidate went in a history of so many steps, and the reference: the parameters after each step."""

    case: Case
    rows: Rows
    truth: Rows
    steps: int


def history(case: Case, steps: int, *, lr: float) -> History:
    """The turns of a case, for update_rules.follow(): its gradients, and the lrs of its groups under its schedule."""
    turns = []
    for k, row in enumerate(case.gradients(steps)):
        lrs = [lr * case.factor(i) * case.share(k) for i in range(len(row))]
        turns.append([(i, g, lrs[i]) for i, g in enumerate(row) if k >= case.joins(i, steps)])
    return turns


def follow_case(rule: Rule, case: Case, steps: int, *, options: dict) -> Iterator[list[Tensor]]:
    """The rows that a rule leads through in a case, with these options of the group, `lr` among them."""
    options = {**options, "maximize": case.maximize}
    return follow(rule, case.parameters(), history(case, steps, lr=options["lr"]), options)


def _leads_along(rule: Rule, case: Case, rows: Rows, steps: int, options: dict) -> bool:
    """True if the rule goes where `rows` went, as far as they went."""
    done = []
    try:
        for new, _ in zip(follow_case(rule, case, steps, options=options), rows, strict=False):
            done.append(new)
            if len(done) == 1 and apart(rows[:1], done):  # most stop here
                return False
    except (ArithmeticError, KeyError, RuntimeError, TypeError, ValueError):  # a rule for other options or shapes
        pass
    return len(done) == len(rows) and not apart(rows, done)


def diagnose(make_reference: Callable, options: dict, *, walks: list[Walk]) -> Mistake | None:
    """The mistake that explains where the candidate went in all walks, or None; the last is the one that went wrong.

    make_reference    the factory of the reference
    options           those of its group, `lr` among them
    """
    clock = Clock()
    known = [*KNOWN, (rule_of(make_reference), OF_ANY)]
    right = ((r, m) for r, m in known if all(_leads_along(r, w.case, w.truth, w.steps, options) for w in walks))
    rule, mistakes = next(right, (None, ()))
    for mistake in mistakes:
        if clock.seconds() > SECONDS:
            return None
        flawed = rule.with_mistake(mistake)
        if all(_leads_along(flawed, walk.case, walk.rows, walk.steps, options) for walk in reversed(walks)):
            return mistake
    return None
