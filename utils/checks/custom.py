"""The checks of notebook 03's exercises: optimizers of the student's own, led by the examiner beside torch's.

Each answer is a class. It is examined with several settings; the message names the setting and holds the report card.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, optim
from torch.optim import Optimizer

from utils.checks.examiner.examine import examine
from utils.guard import NotYet, Wrong, check, has_placeholder, not_yet

__all__ = ["ClippedSGD", "check_adamw", "check_centered", "check_clipped", "check_dampened"]

_STEPS = 12


@check
def check_dampened(candidate) -> str:
    """Judge a class `Dampened(params, lr, momentum=…, dampening=…)`: torch's SGD with momentum and dampening."""
    settings = [
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.5},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.0},
        {"lr": 0.05, "momentum": 0.5, "dampening": 0.9},
    ]
    return _judge(candidate, optim.SGD, settings)


@check
def check_centered(candidate) -> str:
    """Judge a class `CenteredRMSprop(params, lr, alpha=…, eps=…)`: torch's RMSprop with `centered=True`."""
    settings = [{"lr": 0.01, "alpha": 0.9, "eps": 1e-8}, {"lr": 0.1, "alpha": 0.99, "eps": 1e-3}]
    return _judge(candidate, partial(optim.RMSprop, centered=True), settings)


@check
def check_adamw(candidate) -> str:
    """Judge a class `MyAdamW(params, lr, betas=…, eps=…, weight_decay=…)`, torch's AdamW, its defaults included."""
    settings = [
        {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1},
        {"lr": 0.01, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.0},
        {},
    ]
    return _judge(candidate, optim.AdamW, settings)


class ClippedSGD(optim.SGD):
    """torch's SGD on gradients whose every entry is first cut to -clip … clip, in a copy; dense, real ones only.

    `what` is what else might be cut, the mistakes that check_clipped knows: "norm", "step", "buffer", "above".
    """

    def __init__(self, params, lr=1e-3, *, momentum=0.0, clip=1.0, what="gradient"):
        super().__init__(params, lr=lr, momentum=momentum, foreach=False)
        self.defaults |= {"clip": clip, "what": what}  # groups that join later get them from here
        for group in self.param_groups:
            group |= {"clip": clip, "what": what}

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else torch.enable_grad()(closure)()
        whole = [(p, p.grad, group) for group in self.param_groups for p in group["params"] if p.grad is not None]
        if any(g.is_sparse or g.is_complex() for _, g, _ in whole):
            raise RuntimeError("ClippedSGD takes no sparse gradients and no complex parameters")
        before = [p.clone() for p, _, _ in whole]
        for p, g, group in whole:
            downhill = -1 if group["maximize"] else 1  # what is cut is the gradient that is followed
            p.grad = downhill * _cut(downhill * g, group["clip"], group["what"])
        super().step()
        for (p, g, group), old in zip(whole, before, strict=True):
            p.grad = g
            limit = {"step": group["clip"], "buffer": group["lr"] * group["clip"]}.get(group["what"])
            if limit is not None:
                p.copy_(old + (p - old).clamp(-limit, limit))
        return loss


def _cut(g: Tensor, clip: float, what: str) -> Tensor:
    if what == "norm":
        return g * min(1.0, clip / max(float(g.norm()), 1e-300))
    if what == "above":
        return g.clamp(max=clip)
    return g.clamp(-clip, clip) if what == "gradient" else g.clone()


_CUT = {
    "norm": "You clip by the norm: the whole gradient is shortened. By value means entry by entry, as `clamp` does.",
    "step": "You clip the step that is taken, lr included: it is the gradient that is to be clipped, before all else.",
    "buffer": "You clip after the momentum: the gradient is to be clipped before it enters the buffer.",
    "above": "You clip from above only: a gradient far below -clip goes through whole.",
}


@check
def check_clipped(candidate) -> str:
    """Judge a class `Clipped(params, lr, momentum=…, clip=…)`: SGD with momentum on gradients clipped by value."""
    settings = [{"lr": 0.1, "momentum": 0.9, "clip": 0.5}, {"lr": 0.1, "momentum": 0.0, "clip": 0.1}]
    try:
        return _judge(candidate, ClippedSGD, settings)
    except Wrong as wrong:
        for what, said in _CUT.items():
            if "differs from the reference" in str(wrong) and _does(candidate, what, settings[0]):
                raise Wrong(f"{said}\n{wrong}") from None
        raise


def _does(candidate: Callable, what: str, options: dict) -> bool:
    """True if the candidate is right but for this mistake."""
    try:
        examine(partial(candidate, **options), partial(ClippedSGD, **options, what=what), steps=4)
    except (Wrong, NotYet):
        return False
    return True


def _judge(candidate, reference: Callable, settings: list[dict]) -> str:
    """Examine the class with each of the settings; raises Wrong with the first that fails, NotYet for a stub."""
    if candidate is ...:
        raise NotYet(not_yet("your answer"))
    if isinstance(candidate, Optimizer):
        raise Wrong("Hand over the class itself, without calling it: the examiner makes the optimizers.")
    if not isinstance(candidate, type) or not issubclass(candidate, Optimizer):
        raise Wrong("This is no optimizer: hand over a class that inherits from `optim.Optimizer`.")
    own = vars(candidate)
    if not any(map(callable, own.values())) or any(has_placeholder(f) for f in own.values() if callable(f)):
        raise NotYet(not_yet(f"`{candidate.__name__}`"))
    card = ""
    for options in settings:
        try:
            card = examine(partial(candidate, **options), partial(reference, **options), steps=_STEPS)
        except Wrong as wrong:
            shown = ", ".join(f"{key}={value}" for key, value in options.items()) or "no argument but the parameters"
            raise Wrong(f"With {shown}: {wrong}") from None
    return f"with each of {len(settings)} settings {card}"
