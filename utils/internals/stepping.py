"""How an optimizer from elsewhere wants to be stepped: in which of its modes, and whether with a closure."""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.optim import Optimizer

from utils.internals.process_state import generator_kept


def has_modes(optimizer: Optimizer) -> bool:
    """Schedule-free optimizers have one point to train at, another to be judged by, and methods for both."""
    return all(callable(getattr(optimizer, name, None)) for name in ("train", "eval"))


def set_mode(optimizer: Optimizer, *, training: bool) -> None:
    """Tell an optimizer that has two modes which point its parameters should be at; most have none."""
    if has_modes(optimizer):
        optimizer.train() if training else optimizer.eval()


def needs_closure(make: Callable[[list], Optimizer], params: Sequence[nn.Parameter]) -> bool:
    """Whether step() raises and step(closure) does not, tried on copies of these parameters and their gradients."""

    def fails(*arguments) -> bool:
        copies = [nn.Parameter(p.detach().clone(), requires_grad=p.requires_grad) for p in params]
        try:
            optimizer = make(copies)
            set_mode(optimizer, training=True)
            for copy, known in zip(copies, params, strict=True):
                copy.grad = None if known.grad is None else known.grad.clone()
            optimizer.step(*arguments)
        except Exception:
            return True
        return False

    with generator_kept():
        return fails() and not fails(lambda: torch.tensor(1.0))
