"""Small experiments on an optimizer: gradients that we choose, a rule held against torch's, walks from many starts."""

import inspect
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from utils.surfaces import Surface
from utils.sweeps import Sweep


def push(make_optimizer: Callable[[list], Optimizer], gradients: Iterable[float], start: float = 0.0) -> np.ndarray:
    """Feed one parameter the gradients that we choose; how far does each step move it downhill?

    `make_optimizer([parameter])`, e.g. `partial(torch.optim.SGD, lr=0.1)`, gets one float64 parameter, at `start`.
    Returns shape (gradients,), in the parameter's unit: positive where the step goes against a positive gradient.
    """
    p = torch.tensor([start], dtype=torch.float64, requires_grad=True)
    optimizer, moves = make_optimizer([p]), []
    for g in gradients:
        before = p.item()
        p.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
        moves.append(before - p.item())
    return np.array(moves)


@dataclass(frozen=True)
class Agreement:
    """How far a rule and a class of torch come apart.

    settings   how many combinations of options were walked
    flags      the implementations tried beside torch's own choice: "foreach", "fused"
    steps      how many steps each walk has
    largest    the largest difference between any two coordinates; nan if the rule's numbers are not finite
    """

    settings: int
    flags: tuple[str, ...]
    steps: int
    largest: float

    def __str__(self) -> str:
        with_flags = f", {' and '.join(self.flags)} included" if self.flags else ""
        found = "no difference above 1e-12" if self.largest <= 1e-12 else f"they differ by up to {self.largest:.2g}"
        return f"{self.settings} settings{with_flags}, {self.steps} steps each: {found}"

    __repr__ = __str__


def agreement(
    rule: Callable[..., Tensor], optimizer_class: type[Optimizer], *, steps: int = 20, **choices: Sequence
) -> Agreement:
    """Walk with a rule and with torch's class, for every combination of options and every implementation of torch.

    rule      (parameter, gradient, state, *, lr, **options) → the parameter after the step; shape (5,) in float64, and
              `state` is a dict that is empty before the first step
    choices   the values of each option to combine, e.g. `momentum=[0, 0.9], nesterov=[False, True]`; combinations that
              torch refuses are left out

    Raises ValueError if torch refuses all of them.
    """
    gradients = torch.randn(steps, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    flags = tuple(flag for flag in ("foreach", "fused") if flag in inspect.signature(optimizer_class).parameters)
    differences = []
    for values, flag in itertools.product(itertools.product(*choices.values()), [None, *flags]):
        options, state = dict(zip(choices, values, strict=True)), {}
        theirs = torch.ones(5, dtype=torch.float64, requires_grad=True)
        ours = theirs.detach().clone()
        try:
            optimizer = optimizer_class([theirs], lr=0.1, **options, **({flag: True} if flag else {}))
        except ValueError:
            continue
        apart = []
        for g in gradients:
            theirs.grad = g.clone()
            optimizer.step()
            ours = rule(ours, g, state, lr=0.1, **options)
            apart.append((ours - theirs.detach()).abs().max().item())
        differences.append(np.max(apart))
    if not differences:
        raise ValueError(f"{optimizer_class.__name__} refuses every one of these combinations")
    return Agreement(len(differences), flags, steps, float(np.max(differences)))


def from_circle(
    surface: Surface, *, steps: int, radius: float = 1.0, floor: float = 0.0
) -> Callable[[Sequence[int]], dict]:
    """The `problem` for `tune()`: walks on a surface, each seed from its own place on a circle around the origin.

    A walk is judged by its loss after the last step, or by `floor` where it is lower: a ratio needs numbers above 0.
    """

    def init(seed):
        angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
        return {"p": radius * torch.tensor([np.cos(angle), np.sin(angle)], dtype=torch.float64)}

    def loss(params, step=None):
        return surface.loss(*params["p"].unbind(-1))

    def problem(seeds):
        return {"init": init, "loss": loss, "steps": steps, "evaluate": lambda params: loss(params).clamp(min=floor)}

    return problem


def steps_to(target: float) -> Callable[[Sweep], np.ndarray]:
    """The `judge` for `tune()`: how many steps each run takes to a loss of at most `target`, (lrs, seeds).

    A run that never comes there within the sweep counts with all of its steps.
    """

    def judge(swept):
        reached = swept.losses <= target
        return np.where(reached.any(axis=0), reached.argmax(axis=0), len(swept.losses)).astype(float)

    return judge
