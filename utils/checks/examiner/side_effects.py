"""What a step did beside moving the parameters."""

import torch
from torch.optim import Optimizer

from utils.checks.examiner.attempt import Attempt, Failed


def note_effects(at: Attempt, optimizer: Optimizer, params: list, *, given: list, gradients: list, before: list):
    """Note what the last step did beside moving the parameters, the first time that it did.

    given        each `p.grad` as the step got it, the object; `gradients` has its numbers
    before       (place in memory, dtype, shape) of each parameter
    """
    k, effects = at.step, at.effects
    for p, grad, g, (place, dtype, shape) in zip(params, given, gradients, before, strict=True):
        if p.dtype != dtype or p.shape != shape:
            raise Failed(f"After step {k} a parameter is {p.dtype} of shape {tuple(p.shape)}: keep dtype and shape.")
        if p.grad is not grad or (grad is not None and not torch.equal(grad.to_dense(), g.to_dense())):
            effects.setdefault(
                "gradients", f"At step {k} it changed `p.grad`: leave it, and work on `g = p.grad.clone()`."
            )
        if p.data_ptr() != place:
            effects.setdefault(
                "memory",
                f"At step {k} `p.data` was rebound to a new tensor: whoever shares the parameter's memory keeps the "
                "old values. Update in place, as with `p.add_(…)`.",
            )
        if p.grad_fn is not None or not p.requires_grad:
            effects.setdefault("autograd", f"After step {k} a parameter is no leaf that requires grad any more.")
        kept = _tensors(optimizer.state.get(p, {}))
        at.other_dtype = at.other_dtype or any(x.ndim and x.shape == shape and x.dtype != dtype for x in kept)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    at.rebound = at.rebound or not held <= {id(p) for p in params}
    tracked = [x for state in optimizer.state.values() for x in _tensors(state) if x.requires_grad]
    if any(x.grad_fn is not None for x in tracked):
        effects.setdefault(
            "autograd",
            f"After step {k} the state requires grad: your update is tracked by autograd, and its graph grows with "
            "every step. Put `@torch.no_grad()` above `step`.",
        )
    elif tracked:
        effects.setdefault(
            "autograd",
            f"After step {k} the state requires grad, since it holds the parameter itself: keep a copy, "
            "`p.detach().clone()`.",
        )


def _tensors(state) -> list[torch.Tensor]:
    """The tensors in what an optimizer keeps of one parameter, which need not be a dict."""
    return [x for x in state.values() if isinstance(x, torch.Tensor)] if isinstance(state, dict) else []
