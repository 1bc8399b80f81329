"""What a history is that an optimizer is examined on, and where two walks through one part."""

import functools
import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

TOLERANCE = {torch.float64: 1e-12, torch.complex128: 1e-12, torch.float32: 1e-4, torch.bfloat16: 5e-2}
Rows = list[list[Tensor]]  # the parameters after each step


@dataclass(frozen=True, eq=False)
class Case:
    """A history to be examined on: parameters, their gradients, and what happens meanwhile.

    shapes      of the parameters; each has a group of its own if `lrs` holds a factor of lr for each
    start       the largest absolute value that the parameters may start from
    scale       (first, last): the size of the gradients, falling or rising geometrically
    zeros       the share of gradient entries that are 0; of the third step all are, of the last parameter's first two
    absent      which gradients are None: "some" now and then, and the last parameter's always; "all" in every other
                step, the first among them; "in turn" those of every other parameter, and then those of the rest
    reused      True if each gradient is written over the one before, as after `zero_grad(set_to_none=False)`
    given       how the parameters are handed over: "generator" (their groups' too), "named", or beside an "empty group"
    strided     True if they are not contiguous: channels_last with four axes, else transposed
    schedule    what lr is multiplied by after each step
    warm_up     or the number of steps in which it rises from 0
    tensor_lr   True if the lr of each group is a tensor
    options     of the last group, where they differ from the others'
    event       half-way: "late" (the last parameter joins, in a new group), "state_dict", "deepcopy" or "pickle";
                "moved": to other memory, and other values before the first step
    dtypes      of the parameters, in turn
    most_steps  enough to see what can be seen here
    least_steps as many as there must be, however few were asked for; 0: none
    refusable   what a clear error may refuse: "complex", "sparse" or "tensor"
    refused_alike   True if what the reference refuses here the candidate has to refuse too
    hint        what a difference here mostly comes from
    """

    name: str
    shapes: tuple = ((3,),)
    start: float = 1.0
    scale: tuple[float, float] = (1.0, 1.0)
    zeros: float = 0.0
    absent: str = ""
    reused: bool = False
    given: str = ""
    strided: bool = False
    lrs: tuple = ()
    schedule: float = 1.0
    warm_up: int = 0
    tensor_lr: bool = False
    options: dict = field(default_factory=dict)
    event: str = ""
    maximize: bool = False
    dtypes: tuple = (torch.float64,)
    most_steps: int = 8
    least_steps: int = 0
    refusable: str = ""
    refused_alike: bool = False
    hint: str = ""

    def parameters(self) -> list[Tensor]:
        """Where they start, one tensor for each of `shapes`; the same in every run."""
        draw = torch.Generator().manual_seed(1)
        # Drawn on [-1, 1] in float64 so that every dtype starts from about the same point.
        points = [self.start * (2 * torch.rand(s, dtype=torch.float64, generator=draw) - 1) for s in self.shapes]
        return [self._stored(p + 0.5j * p if self._dtype(i).is_complex else p, i) for i, p in enumerate(points)]

    def gradients(self, steps: int) -> list[list[Tensor | None]]:
        """[step][parameter]; independent of where the parameters are, so that differences do not feed on themselves.

        Drawn once for all who ask: nobody changes them in place.
        """
        return _drawn(self, steps)

    def _dtype(self, i: int) -> torch.dtype:
        return self.dtypes[i % len(self.dtypes)]

    def _stored(self, values: Tensor, i: int) -> Tensor:
        """The values of parameter i in its dtype and layout."""
        p = values.to(self._dtype(i))
        if not self.strided:
            return p
        # None has gaps: torch's own fused optimizers write into them.
        return p.contiguous(memory_format=torch.channels_last) if p.ndim == 4 else p.mT.contiguous().mT

    def _is_absent(self, i: int, k: int) -> bool:
        """Whether the gradient of parameter i is None in step k, both from 0."""
        if self.absent == "some":
            return i == len(self.shapes) - 1 or (i + k) % 3 == 1
        return k % 2 == 0 if self.absent == "all" else (i + k) % 2 == 0 if self.absent else False

    def joins(self, i: int, steps: int) -> int:
        """The step, from 0, from which parameter i takes part."""
        return max(1, steps // 2) if self.event == "late" and i == len(self.shapes) - 1 else 0

    def factor(self, i: int) -> float:
        """What the lr of parameter i's group is multiplied by."""
        return self.lrs[i] if self.lrs else 1.0

    def share(self, k: int) -> float:
        """What the schedule multiplies every lr by in step k, from 0."""
        return min(1.0, k / self.warm_up) if self.warm_up else self.schedule**k

    def of_matrices(self) -> "Case":
        """The same for a reference that takes nothing but matrices (0-d and empty parameters stay what they are)."""
        shapes = tuple(s if not math.prod(s) or not s else (s[0], max(2, math.prod(s[1:]))) for s in self.shapes)
        return replace(self, shapes=shapes)


@functools.lru_cache(maxsize=64)  # more than an examination has
def _drawn(case: Case, steps: int) -> list[list[Tensor | None]]:
    draw = torch.Generator().manual_seed(2)
    first, last = case.scale
    history = []
    for k in range(steps):
        size = first * (last / first) ** (k / max(1, steps - 1))
        row = []
        for i, shape in enumerate(case.shapes):
            g = size * (0.5 + torch.randn(shape, dtype=torch.float64, generator=draw))
            mask = torch.rand(shape, dtype=torch.float64, generator=draw) >= case.zeros
            g = g * mask * (not (case.zeros and (k == 2 or (k < 2 and i == len(case.shapes) - 1))))
            g = case._stored(g - 0.3j * g.flip(0) if case._dtype(i).is_complex else g, i)
            row.append(None if case._is_absent(i, k) else g.to_sparse() if case.refusable == "sparse" else g)
        history.append(row)
    return history


def apart(ours: Rows, theirs: Rows) -> tuple[int, int] | None:
    """(step, parameter), from 0, where two walks first differ by more than rounding; None if nowhere."""
    largest = [0.0] * (len(theirs[0]) if theirs else 0)  # rounding is judged beside the largest value so far
    for k, (row, truth) in enumerate(zip(ours, theirs, strict=False)):
        for i, (a, b) in enumerate(zip(row, truth, strict=True)):
            if a.shape != b.shape or a.dtype != b.dtype:
                return k, i
            if not b.numel():
                continue
            a, b = (torch.view_as_real(x) if x.is_complex() else x for x in (a, b))
            finite = b[b.isfinite()]  # one nan would else leave no room for rounding in the others
            largest[i] = max(largest[i], float(finite.abs().max())) if finite.numel() else largest[i]
            tolerance = TOLERANCE.get(theirs[k][i].dtype, 5e-2) * largest[i]
            if not torch.allclose(a, b, rtol=0, atol=tolerance + 1e-300, equal_nan=True):
                return k, i
    return None
