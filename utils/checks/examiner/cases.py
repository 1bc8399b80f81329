"""The histories that an optimizer is examined on, and where two walks through one part."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

TOLERANCE = {torch.float64: 1e-12, torch.complex128: 1e-12, torch.float32: 1e-4, torch.bfloat16: 5e-2}
Rows = list[list[Tensor]]  # the parameters after each step


@dataclass(frozen=True)
class Case:
    """A history to be examined on: parameters, their gradients, and what happens meanwhile.

    shapes    of the parameters; each has a group of its own if `lrs` holds a factor of lr for each
    start     the largest absolute value that the parameters may start from
    scale     (first, last): the size of the gradients, falling or rising geometrically
    zeros     the share of gradient entries that are 0; of the third step all are
    missing   True if gradients are None now and then, and the last parameter's always
    reused    True if each gradient is written over the one before, as after `zero_grad(set_to_none=False)`
    event     half-way: "late" (the last parameter joins, in a new group), "state_dict", "deepcopy" or "pickle"
    refusable what a clear error may refuse: "complex" or "sparse"
    refused_alike   True if what the reference refuses here the candidate has to refuse too
    hint      what a difference here mostly comes from
    """

    name: str
    shapes: tuple = ((3,),)
    start: float = 1.0
    scale: tuple[float, float] = (1.0, 1.0)
    zeros: float = 0.0
    missing: bool = False
    reused: bool = False
    lrs: tuple = ()
    schedule: float = 1.0  # lr is multiplied by it after each step
    event: str = ""
    maximize: bool = False
    dtype: torch.dtype = torch.float64
    refusable: str = ""
    refused_alike: bool = False
    hint: str = ""

    def parameters(self) -> list[Tensor]:
        """Where they start, one tensor of `dtype` for each of `shapes`; the same in every run."""
        draw = torch.Generator().manual_seed(1)
        # Drawn on [-1, 1] in float64 so that every dtype starts from about the same point.
        points = [self.start * (2 * torch.rand(s, dtype=torch.float64, generator=draw) - 1) for s in self.shapes]
        return [(p + 0.5j * p if self.dtype.is_complex else p).to(self.dtype) for p in points]

    def gradients(self, steps: int) -> list[list[Tensor | None]]:
        """[step][parameter]; independent of where the parameters are, so that differences do not feed on themselves."""
        draw = torch.Generator().manual_seed(2)
        first, last = self.scale
        history = []
        for k in range(steps):
            size = first * (last / first) ** (k / max(1, steps - 1))
            row = []
            for i, shape in enumerate(self.shapes):
                g = size * (0.5 + torch.randn(shape, dtype=torch.float64, generator=draw))
                mask = torch.rand(shape, dtype=torch.float64, generator=draw) >= self.zeros
                g = g * mask * (not (self.zeros and k == 2))
                g = (g - 0.3j * g.flip(0) if self.dtype.is_complex else g).to(self.dtype)
                gone = self.missing and (i == len(self.shapes) - 1 or (i + k) % 3 == 1)
                row.append(None if gone else g.to_sparse() if self.refusable == "sparse" else g)
            history.append(row)
        return history

    def joins(self, i: int, steps: int) -> int:
        """The step, from 0, from which parameter i takes part."""
        return max(1, steps // 2) if self.event == "late" and i == len(self.shapes) - 1 else 0

    def factor(self, i: int) -> float:
        """What the lr of parameter i's group is multiplied by."""
        return self.lrs[i] if self.lrs else 1.0

    def of_matrices(self) -> "Case":
        """The same for a reference that takes nothing but matrices (0-d and empty parameters stay what they are)."""
        shapes = tuple(s if not math.prod(s) or not s else (s[0], max(2, math.prod(s[1:]))) for s in self.shapes)
        return replace(self, shapes=shapes)


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


VALUES = [
    Case("one vector"),
    Case("a matrix", shapes=((3, 2),)),
    Case("two parameters of one shape", shapes=((4,), (4,))),
    Case("parameters of several shapes", shapes=((4,), (2, 3), (3, 1, 2))),
    Case("gradients that shrink from 1e3 to 1e-3", shapes=((5,),), scale=(1e3, 1e-3)),
    Case("tiny gradients", start=0.0, scale=(1e-7, 1e-6)),
    Case("gradients with zeros", shapes=((6,), (3,)), zeros=0.4),
]
_OUTSIDE = "What an optimizer keeps outside `self.state` and `param_groups`, such as `self.t`, is lost here."
_LOST = f"{_OUTSIDE} Read options from `group` and keep the rest in `self.state[p]`."
CONTRACT = [
    Case(
        "groups with their own lr",
        shapes=((3,), (3,), (2, 2)),
        lrs=(0.7, 0.3, 2.0),  # none is the default, so that it is seen where an lr was read
        hint="Read every option from `group`, inside the loop over `self.param_groups`.",
    ),
    Case("a scheduler that changes lr", schedule=0.8, hint="Read `group['lr']` anew in every step."),
    Case(
        "a group added later",
        shapes=((3,), (3,)),
        event="late",
        lrs=(0.7, 0.3),
        hint="Make the state of a parameter in the first `step` that meets it, not in `__init__`.",
    ),
    Case(
        "gradients that are None",
        shapes=((3,), (2,), (3,)),
        missing=True,
        hint="A parameter whose `p.grad` is None is to be skipped, with its state left as it is.",
    ),
    Case(
        "gradients written into the same memory",
        shapes=((3,), (2, 2)),
        reused=True,
        hint="Your state holds `p.grad` itself, and the next gradient overwrites it: keep a copy, `p.grad.clone()`.",
    ),
    Case("a state_dict saved and loaded half-way", shapes=((3,), (2, 2)), event="state_dict", hint=_LOST),
    Case("a deepcopy half-way", shapes=((3,), (2, 2)), event="deepcopy", hint=_LOST),
    Case("a pickle half-way", shapes=((3,), (2, 2)), event="pickle", hint=_LOST),
    Case("maximize", maximize=True, hint="With `maximize` the gradient changes its sign, before the weight decay."),
    Case("0-d and empty parameters", shapes=((), (0,), (2, 0), (1,))),
    Case("float32", dtype=torch.float32, hint="Make the state with `torch.zeros_like(p)`: it then has p's dtype."),
    Case("bfloat16", dtype=torch.bfloat16, hint="Make the state with `torch.zeros_like(p)`: it then has p's dtype."),
    Case(
        "complex parameters",
        dtype=torch.complex128,
        refusable="complex",
        hint="A square is taken of real and imaginary part apart: work on `torch.view_as_real(p)`, or refuse complex "
        "parameters with an error that says so.",
    ),
    Case(
        "sparse gradients",
        shapes=((4, 2),),
        refusable="sparse",
        refused_alike=True,
        hint="Refuse them before anything is changed: `if p.grad.is_sparse: raise RuntimeError('… sparse gradients')`.",
    ),
]
