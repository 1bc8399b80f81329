"""Better, or luck? The one judge of experiments: paired by seed, with an interval, in one of four words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import nctdtr, stdtrit


@dataclass(frozen=True)
class Comparison:
    """A paired comparison over `n` seeds: `mean` of new − old, or of new / old if `ratio`, and its 95 % interval.

    `low` and `high` are the interval's ends. `margin` is the largest difference that does not matter: in the units of
    the numbers, or as a share if `ratio` (0.05: from 1 / 1.05 to 1.05).
    """

    mean: float
    low: float
    high: float
    n: int
    margin: float
    ratio: bool = False

    @property
    def verdict(self) -> str:
        """The word for it, where lower is better: "no difference", "better", "worse" or "undecided".

        No difference if the whole interval lies within the margin, even where it leaves 0 out: what does not matter
        does not become a gain by being measured well. Better or worse if the interval lies on one side of no change.
        """
        none = 1.0 if self.ratio else 0.0
        least, most = (1 / (1 + self.margin), 1 + self.margin) if self.ratio else (-self.margin, self.margin)
        if least <= self.low and self.high <= most:
            return "no difference"
        if self.high < none:
            return "better"
        return "worse" if self.low > none else "undecided"

    def __str__(self) -> str:
        if self.ratio:
            return f"× {self.mean:.3g} ({self.low:.3g} to {self.high:.3g}), n = {self.n}"
        return f"{_signed(self.mean)} ({_signed(self.low)} to {_signed(self.high)}), n = {self.n}"


def _signed(number: float) -> str:
    digits = 2 if number == 0 else min(max(2, 1 - math.floor(math.log10(abs(number)))), 6)
    return f"{number:+.{digits}f}".replace("-", "−")


def compare(new: Sequence[float], old: Sequence[float], *, margin: float, ratio: bool = False) -> Comparison:
    """Is `new` lower than `old`, seed by seed? Student's paired t: mean difference ± t · s/√n, at 95 %.

    new, old   (n,) each, one number per seed, lower is better; the same seeds in the same order
    margin     the largest difference that does not matter, fixed before the look (`Comparison`)
    ratio      compare the logarithms, and so new / old: for numbers above 0 whose differences grow with them

    Raises ValueError for what is not paired, for fewer than two seeds, and for runs that diverged (inf, nan): these
    need a look, not a mean.
    """
    new, old = np.asarray(new, dtype=float), np.asarray(old, dtype=float)
    if new.shape != old.shape or new.ndim != 1 or len(new) < 2:
        raise ValueError(f"new and old must be paired by seed, two or more: got shapes {new.shape} and {old.shape}")
    if not (np.isfinite(new).all() and np.isfinite(old).all()):
        raise ValueError("a run diverged: its inf has no mean. Look at it first, then lower its lr")
    if not (margin >= 0 and math.isfinite(margin)):
        raise ValueError(f"margin must be 0 or larger, got {margin}")
    if ratio and min(new.min(), old.min()) <= 0:
        raise ValueError("a ratio needs numbers above 0: compare the differences, with ratio=False")
    gap = np.log(new) - np.log(old) if ratio else new - old
    half = float(stdtrit(len(gap) - 1, 0.975)) * gap.std(ddof=1) / math.sqrt(len(gap))
    ends = (float(gap.mean()), float(gap.mean() - half), float(gap.mean() + half))
    return Comparison(*(map(math.exp, ends) if ratio else ends), len(gap), margin, ratio)


def seeds_needed(spread: float, difference: float, *, power: float = 0.9) -> int:
    """How many seeds a comparison needs to find a `difference` in a share `power` of its repetitions.

    `spread` is the standard deviation (ddof=1) of the paired differences, seed by seed, from a small trial; both in the
    same units, or both of logarithms for a ratio. Counted with Student's noncentral t, since the spread itself is only
    estimated. Raises ValueError for a spread or power without meaning and for more than 10,000 seeds.
    """
    difference = abs(difference)
    if not (spread >= 0 and difference > 0 and 0 < power < 1):
        raise ValueError(f"spread ≥ 0, difference ≠ 0 and 0 < power < 1, got {spread}, {difference}, {power}")
    for n in range(2, 10_001):
        if spread == 0 or 1 - nctdtr(n - 1, math.sqrt(n) * difference / spread, stdtrit(n - 1, 0.975)) >= power:
            return n
    raise ValueError(f"more than 10,000 seeds: {difference:g} is too small beside a spread of {spread:g}")
