"""A second look at one replica of a sweep: led through the same gradients by itself, does it go the same way?

Each replica has an optimizer of its own, but what a class, a module or a clock keeps belongs to all of them. An update
that depends on it would do something else in a run alone.
"""

from collections.abc import Callable, Sequence

from torch import Tensor

from utils.internals.replicas import FailsAlone, Make, Schedule, Separate

CLOSE = 1e-6  # of the way gone: the same operations on the same numbers round the same


class Witness:
    """What one replica of a sweep met: its gradients before each step, and what it was told when it asked again."""

    def __init__(self, runs: Separate, lrs: Sequence[float], seeds: Sequence[int]):
        self._runs, self._lr, self._seed = runs, lrs[len(lrs) // 2], seeds[-1]
        self._at = len(lrs) // 2, len(seeds) - 1
        self._met: list[list[tuple[Tensor, list[Tensor | None]]]] = []  # per step: (loss, gradients), each time
        self._scheduled: list[tuple] = []  # per step: what its scheduler was stepped with, if it was

    def begin(self, loss: Tensor) -> None:
        """A step begins: note the loss and the gradients that stand in the leaves."""
        self._met.append([])
        self.hear(loss)

    def hear(self, loss: Tensor) -> None:
        """All replicas were evaluated, before the step or because one of them asked."""
        gradients = [leaf.grad for leaf in self._runs.leaves.values()]
        here = [None if gradient is None else gradient[self._at].clone() for gradient in gradients]
        self._met[-1].append((loss[self._at].clone(), here))

    def schedule(self, metrics: Tensor | None, *, moved: bool) -> None:
        """The step ends: was the scheduler moved, and by which of the metrics?"""
        self._scheduled.append((moved, None if metrics is None else metrics[self._at].view(1, 1).clone()))

    def check(self, start: dict[str, Tensor], make: Make, schedule: Schedule) -> None:
        """Raises FailsAlone if the replica, led through it again by itself, ends elsewhere; a diverged one may."""
        ends = [leaf.detach()[self._at] for leaf in self._runs.leaves.values()]
        if not all(bool(end.isfinite().all()) for end in ends):
            return
        alone = Separate([start], [self._seed], [self._lr], make, schedule)
        try:
            for met, (moved, metric) in zip(self._met, self._scheduled, strict=True):
                answer = self._answering(alone, iter(met))
                alone.step("", answer, answer())
                if moved:
                    alone.schedule("", metric)
        except Exception as error:
            raise FailsAlone(f"{_REASON} ({error})") from error
        way = sum(float((end - start[key].detach()).abs().sum()) for key, end in zip(alone.leaves, ends, strict=True))
        gap = sum(
            float((leaf.detach()[0, 0] - end).abs().sum())
            for leaf, end in zip(alone.leaves.values(), ends, strict=True)
        )
        if not gap <= CLOSE * way:
            raise FailsAlone(_REASON)

    @staticmethod
    def _answering(alone: Separate, met) -> Callable[[], Tensor]:
        def answer() -> Tensor:
            loss, gradients = next(met)
            for leaf, gradient in zip(alone.leaves.values(), gradients, strict=True):
                leaf.grad = None if gradient is None else gradient[None, None].clone()
            return loss[None, None]

        return answer


_REASON = (
    "led through the same gradients a second time, a run goes elsewhere: its update depends on something outside the "
    "optimizer, such as a counter of the class, a global or the clock, or on random numbers that are not torch's"
)
