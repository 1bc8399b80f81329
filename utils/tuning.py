"""The fair way in one call: some seeds choose the lr, others report what an optimizer does at it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from utils.sweeps import Sweep, sweep


@dataclass(frozen=True, eq=False)
class Tuned:
    """An optimizer at its best lr.

    chosen     the `Sweep` of all lrs on the choosing seeds
    reported   the `Sweep` of the best lr alone, on the reporting seeds
    """

    chosen: Sweep
    reported: Sweep

    @property
    def label(self) -> str:
        """What a figure calls it."""
        return self.chosen.label

    @property
    def lr(self) -> float:
        """The lr that the choosing seeds prefer."""
        return self.chosen.best_lr

    @property
    def edge(self) -> str | None:
        """ "lower" or "upper" if that lr lies at an end of the grid: a better one may lie beyond."""
        return self.chosen.edge

    @property
    def final(self) -> np.ndarray:
        """(reporting seeds,): the number to judge by, lower is better; inf for a run that diverged."""
        return self.reported.final[0]

    @property
    def curves(self) -> np.ndarray:
        """(steps, reporting seeds): the losses."""
        return self.reported.losses[:, 0]

    def __str__(self) -> str:
        spread = f"{self.final.mean():.3g} ± {self.final.std(ddof=1):.2g}"
        text = f"{self.label}: {spread} at lr {self.lr:.2g}, n = {len(self.final)}"
        return text + (f" (at the {self.edge} edge of the grid: widen it)" if self.edge else "")

    __repr__ = __str__


def tune(
    make_optimizer: Callable[..., Optimizer],
    problem: Callable[[Sequence[int]], dict],
    *,
    lrs: Sequence[float],
    choosing: Sequence[int],
    reporting: Sequence[int],
    make_scheduler: Callable[[Optimizer], LRScheduler] | None = None,
    judge: Callable[[Sweep], np.ndarray] | None = None,
    label: str | None = None,
) -> Tuned:
    """Train every lr on the choosing seeds, and the best of them on the reporting seeds.

    make_optimizer, make_scheduler, label   as for `sweep()`
    problem     seeds → the arguments of `sweep()` that say what is trained on these seeds: init, loss, steps, evaluate
    judge       Sweep → (lrs, seeds), another number to judge by than its `final`; what is not finite counts as diverged

    Raises ValueError if a seed both chooses and reports, and for what `sweep()` refuses.
    """
    shared = sorted(set(choosing) & set(reporting))
    if shared:
        raise ValueError(f"seeds that choose the lr may not report as well: {shared} do both")

    def run(lrs, seeds):
        arguments = {**problem(seeds), "seeds": seeds}
        swept = sweep(make_optimizer, **arguments, lrs=lrs, make_scheduler=make_scheduler, label=label)
        if judge is None:
            return swept
        final = np.asarray(judge(swept), dtype=float)
        return replace(swept, final=np.where(np.isfinite(final) & np.isfinite(swept.final), final, np.inf))

    chosen = run(lrs, choosing)
    return Tuned(chosen, run([chosen.best_lr], reporting))
