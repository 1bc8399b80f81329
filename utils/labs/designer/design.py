"""A schedule as data, which makes the scheduler, and the program that says the same to whoever copies it."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, LRScheduler, SequentialLR

from utils.labs.guarded import Guarded
from utils.practice.schedule_runs import MOMENTUM
from utils.schedules import needs_metric


@dataclass(frozen=True)
class Rule:
    """A function of the step, and `text`, its body in Python. Rules with the same text are equal."""

    text: str
    function: Callable[[int], float] = field(compare=False)

    def __call__(self, step: int) -> float:
        """The factor at a step, from 0."""
        return self.function(step)

    def __repr__(self) -> str:
        return f"lambda step: {self.text}"


@dataclass(frozen=True)
class Part:
    """One scheduler of a design: `make(optimizer, **arguments)`.

    name       of the class, or of a scheduler that the student entered
    make       the class, or the student's factory
    arguments  (keyword, value) pairs; a tuple stands for a list, so that parts can be compared
    own        what runs it if it is the student's, else None
    """

    name: str
    make: Callable[..., LRScheduler] = field(compare=False)
    arguments: tuple[tuple[str, object], ...] = ()
    own: Guarded | None = field(compare=False, default=None)


@dataclass(frozen=True)
class Design:
    """A schedule: no part is a constant lr, one stands alone, two are composed.

    lr          of the optimizer before the scheduler is made
    parts       in the order in which they are composed
    milestone   the step at which the second takes over from the first; None: both act at once
    """

    lr: float
    parts: tuple[Part, ...] = ()
    milestone: int | None = None

    def make(self, optimizer: Optimizer) -> LRScheduler | None:
        """The scheduler for this optimizer, None for a constant lr. Whatever a part or torch raises passes through."""
        parts = [part.make(optimizer, **dict(part.arguments)) for part in self.parts]
        if len(parts) < 2:
            return parts[0] if parts else None
        return ChainedScheduler(parts) if self.milestone is None else SequentialLR(optimizer, parts, [self.milestone])

    @property
    def own(self) -> Guarded | None:
        """What runs it if a part is the student's."""
        return next((part.own for part in self.parts if part.own), None)

    @cached_property
    def needs_metric(self) -> bool:
        """Whether `step` of the scheduler must be given a metric, as that of ReduceLROnPlateau.

        It is the scheduler itself that is asked, for a student's factory does not say what it makes. One that cannot
        be made needs none: why it cannot is said where its curve should be.
        """

        def asked() -> bool:
            return needs_metric(type(self.make(SGD([torch.zeros((), device="cpu")], lr=self.lr, momentum=MOMENTUM))))

        return bool((self.own or Guarded()).run(asked).value)

    @property
    def code(self) -> str:
        """The program to copy, without the training loop; it needs a `model`.

        A scheduler of the student's own is taken from `own`, what design_schedule() was given: its factory may be a
        lambda or a class from some cell, so its source cannot be told here.
        """
        lines = [*_imports(self), "", f"optimizer = SGD(model.parameters(), lr={self.lr!r}, momentum={MOMENTUM})"]
        if self.own:
            lines.append("# own: the schedulers that you gave the lab, name → what makes it")
        metric = "validation_loss" if self.needs_metric else ""
        lines.append(f"scheduler = {_expression(self)}")
        lines.append(f"# and after every optimizer.step(): scheduler.step({metric})")
        return "\n".join(lines)


# --- how it is written ----------------------------------------------------------------------------------------------


def _imports(design: Design) -> list[str]:
    names = {part.name for part in design.parts if not part.own}
    if len(design.parts) > 1:
        names.add("ChainedScheduler" if design.milestone is None else "SequentialLR")
    lines, used = ["from torch.optim import SGD"], sorted(names - {"SWALR"})
    if used:
        line = f"from torch.optim.lr_scheduler import {', '.join(used)}"
        wrapped = "\n    ".join(["from torch.optim.lr_scheduler import (", *(f"{name}," for name in used)]) + "\n)"
        lines.append(line if len(line) < 79 else wrapped)
    return lines + ["from torch.optim.swa_utils import SWALR"] * ("SWALR" in names)


def _expression(design: Design) -> str:
    """What makes the scheduler, in Python, with `optimizer` and the names that _imports() brings."""
    if len(design.parts) == 1:
        return _call(design.parts[0])
    listed = textwrap.indent("\n".join(f"{_call(part)}," for part in design.parts), " " * 8)
    if design.milestone is None:
        return f"ChainedScheduler(\n    [\n{listed}\n    ]\n)"
    return f"SequentialLR(\n    optimizer,\n    [\n{listed}\n    ],\n    milestones=[{design.milestone}],\n)"


def _call(part: Part) -> str:
    if part.own:
        return f"own[{part.name!r}](optimizer)"
    values = ((keyword, list(value) if isinstance(value, tuple) else value) for keyword, value in part.arguments)
    arguments = ", ".join(f"{keyword}={value!r}" for keyword, value in values)
    if len(part.name) + len(arguments) < 55:
        return f"{part.name}(optimizer, {arguments})"
    lines = "\n".join(textwrap.wrap(f"optimizer, {arguments},", 66))  # no argument of such a long call has a blank
    return f"{part.name}(\n{textwrap.indent(lines, ' ' * 4)}\n)"
