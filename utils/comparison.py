"""Better, or noise? The judge of experiments: paired by seed, with an interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit


@dataclass(frozen=True)
class Comparison:
    """A paired comparison over seeds: `mean` of the differences, new − old, and its 95 % interval, `low` to `high`."""

    mean: float
    low: float
    high: float
    small: float

    @property
    def verdict(self) -> str:
        """The word for it, where lower is better.

        "gain" or "loss" if the interval lies on one side of 0; else "no gain" if it lies within ± small; else "noise".
        """
        if self.high < 0:
            return "gain"
        if self.low > 0:
            return "loss"
        return "no gain" if max(-self.low, self.high) <= self.small else "noise"

    def __str__(self) -> str:
        return f"{self.mean:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def compare(new: Sequence[float], old: Sequence[float], *, small: float = 0.5) -> Comparison:
    """Is `new` lower than `old`, seed by seed? Student's paired t: mean difference ± t · s/√n, at 95 %.

    The seeds must be the same in both, in the same order. `small` is the difference that nobody would care about, in
    the units of the numbers. Runs that diverged (inf) are refused: they need a look, not a mean.
    """
    new, old = np.asarray(new, dtype=float), np.asarray(old, dtype=float)
    if new.shape != old.shape or new.ndim != 1 or len(new) < 2:
        raise ValueError(f"new and old must be paired by seed, two or more: got shapes {new.shape} and {old.shape}")
    if not (np.isfinite(new).all() and np.isfinite(old).all()):
        raise ValueError("a run diverged: its inf has no mean. Look at it first, then lower its lr")
    gap = new - old
    half = float(stdtrit(len(gap) - 1, 0.975)) * gap.std(ddof=1) / math.sqrt(len(gap))
    return Comparison(float(gap.mean()), float(gap.mean() - half), float(gap.mean() + half), small)
