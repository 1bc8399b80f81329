"""A walk of an optimizer that a student wrote, guarded: the trace, or why there is none."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from utils.descent import Trace
from utils.labs.guarded import Guarded

RANDOM = "It draws random numbers, here those of one seed: with others it would go elsewhere"


@dataclass(frozen=True)
class Walked:
    """How a walk came out.

    trace    where it led, None if it gave none to be shown
    error    why not, or ""
    random   whether random numbers had a part in it
    """

    trace: Trace | None
    error: str = ""
    random: bool = False


def guard_of(make: Callable) -> Guarded:
    """What runs the optimizers that `make` makes; those of torch end by themselves, however busy the machine is."""
    made = make.func if isinstance(make, partial) else make
    return Guarded(endless=isinstance(made, type) and made.__module__.startswith("torch.optim."))


def walked(guarded: Guarded, walk: Callable[[Callable], Trace], make: Callable, *, seed: int = 0) -> Walked:
    """What came of `walk(make)`, guarded. One that arrives at nan has diverged nowhere: it has no trace."""
    kept = []

    def make_and_keep(params):
        kept.extend(params)
        return make(params)

    ran = guarded.run(lambda: walk(make_and_keep), seed=seed)
    if ran.error:
        return Walked(None, ran.error)
    end = ran.value.diverged_at
    if end is not None and any(p.isnan().any() for p in kept):
        return Walked(None, f"nan after step {end}: is there a 0 / 0, or the root of a negative number?")
    return Walked(ran.value, random=ran.random)


def nowhere(start: tuple[float, float], steps: int) -> Trace:
    """The trace of a walk that never began."""
    path = np.full((steps + 1, 2), np.nan)
    path[0] = start
    return Trace("", path, np.full(steps + 1, np.nan), np.full(steps, np.nan), None)
