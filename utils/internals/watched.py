"""What an optimizer's step does to tensors, watched: does it treat every number on its own?

A few steps tried beforehand cannot say what an optimizer does later, so each step of a run is watched itself.
"""

from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_HARMLESS = set(  # they make, copy or set tensors and mix nothing, but have not the tag of what works number by number
    "detach alias clone copy_ _to_copy lift_fresh fill_ zero_ zeros_like ones_like empty_like full_like "
    "_local_scalar_dense".split()  # the last is item(): here of counters only, since no tensor has but one number
)
_PAST_THE_WATCH = {Tensor.numpy, Tensor.tolist, Tensor.__array__, Tensor.data_ptr, Tensor.untyped_storage}


class Unproven(Exception):
    """One optimizer for all replicas is not known to do what each replica's own would do."""


class NumberByNumber(TorchDispatchMode):
    """Inside, every operation on tensors of this shape gives each number from the numbers at its place.

    Raises Unproven for any other: one that reduces, indexes, multiplies matrices, or draws random numbers; check()
    afterwards does so too, since what is inside may catch it. Tensors of shape () count steps and hold no data.
    """

    def __init__(self, shape: torch.Size):
        super().__init__()
        self.shape, self.broken = shape, False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        shapes_known = all(tensor.shape in (self.shape, ()) for tensor in _tensors((args, list(kwargs.values()))))
        if not shapes_known or not _keeps_places(func):
            self.fail(func)
        return func(*args, **kwargs)

    def fail(self, func) -> None:
        """Note and say that func may mix numbers."""
        self.broken = True
        raise Unproven(f"its step uses {func}")

    def check(self) -> None:
        """Raise Unproven if anything inside may have mixed numbers."""
        if self.broken:
            raise Unproven("it may mix numbers")


class NoWayOut(TorchFunctionMode):
    """Inside, no tensor is read or changed but by torch's operations, which a NumberByNumber sees."""

    def __init__(self, watch: NumberByNumber):
        super().__init__()
        self.watch = watch

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in _PAST_THE_WATCH:
            self.watch.fail(func)
        return func(*args, **(kwargs or {}))


def _tensors(value) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


@cache
def _keeps_places(operation) -> bool:
    """Whether what it gives at a place depends on nothing but what it gets there."""
    name = operation._schema.name.removeprefix("aten::")
    if name.startswith("profiler::"):
        return True
    if torch.Tag.nondeterministic_seeded in operation.tags:
        return False
    if name.startswith("_foreach_"):  # the same for each tensor of a list
        name = name.removeprefix("_foreach_")
        packet = getattr(torch.ops.aten, name, None)
        overloads = [getattr(packet, overload) for overload in packet.overloads()] if packet else []
        return name in _HARMLESS or any(torch.Tag.pointwise in overload.tags for overload in overloads)
    return torch.Tag.pointwise in operation.tags or name in _HARMLESS
