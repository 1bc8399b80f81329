"""The checks of notebook 03's exercises: optimizers of the student's own, led by the examiner beside torch's.

Each answer is a class. It is examined with several settings; the message names the setting and holds the report card.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, optim
from torch.optim import Optimizer

from utils.checks.examiner.examine import Differs, examine
from utils.guard import Mistake, NotYet, Wrong, check, has_placeholder, not_yet

__all__ = ["ClippedSGD", "check_adamw", "check_centered", "check_clipped", "check_dampened"]

_STEPS = 12


@check
def check_dampened(candidate) -> str:
    """Judge a class `Dampened(params, lr, momentum=…, dampening=…)`: torch's SGD with momentum and dampening."""
    settings = [
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},  # not 0.5, which is its own complement
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

    params, lr and momentum are SGD's; `clip` is the largest entry, an option of each group. A mistake replaces `cut` or
    `limit`. Raises RuntimeError, with nothing changed, for a sparse or a complex gradient.
    """

    def __init__(self, params, lr=1e-3, *, momentum=0.0, clip=1.0):
        super().__init__(params, lr=lr, momentum=momentum, foreach=False)
        self.defaults["clip"] = clip  # groups that join later get it from here
        for group in self.param_groups:
            group.setdefault("clip", clip)

    def cut(self, g: Tensor, group: dict) -> Tensor:
        """What enters the buffer instead of the gradient that is followed downhill."""
        return g.clamp(-group["clip"], group["clip"])

    def limit(self, group: dict) -> float:
        """How far one step may move a number."""
        return math.inf

    @torch.no_grad()
    def step(self, closure=None):
        """As torch's SGD; each `p.grad` is the same tensor afterwards."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        whole = [(p, p.grad, group) for group in self.param_groups for p in group["params"] if p.grad is not None]
        if any(g.is_sparse or g.is_complex() for _, g, _ in whole):
            raise RuntimeError("ClippedSGD takes no sparse gradients and no complex parameters")
        before = [p.clone() for p, _, _ in whole]
        for p, g, group in whole:
            downhill = -1 if group["maximize"] else 1  # what is cut is the gradient that is followed
            p.grad = downhill * self.cut(downhill * g, group)
        super().step()
        for (p, g, group), old in zip(whole, before, strict=True):
            p.grad = g
            if math.isfinite(limit := self.limit(group)):
                p.copy_(old + (p - old).clamp(-limit, limit))
        return loss


def _whole(self, g: Tensor, group: dict) -> Tensor:
    return g.clone()


_MISTAKES = (  # each replaces methods of ClippedSGD
    Mistake(
        "norm",
        {"cut": lambda self, g, group: g * min(1.0, group["clip"] / max(float(g.norm()), 1e-300))},
        "You clip by the norm: the whole gradient is shortened. By value means entry by entry, as `clamp` does.",
    ),
    Mistake(
        "step",
        {"cut": _whole, "limit": lambda self, group: group["clip"]},
        "You clip the step that is taken, lr included: it is the gradient that is to be clipped, before all else.",
    ),
    Mistake(
        "buffer",
        {"cut": _whole, "limit": lambda self, group: group["lr"] * group["clip"]},
        "You clip after the momentum: the gradient is to be clipped before it enters the buffer.",
    ),
    Mistake(
        "above",
        {"cut": lambda self, g, group: g.clamp(max=group["clip"])},
        "You clip from above only: a gradient far below -clip goes through whole.",
    ),
)


@check
def check_clipped(candidate) -> str:
    """Judge a class `Clipped(params, lr, momentum=…, clip=…)`: SGD with momentum on gradients clipped by value."""
    settings = [{"lr": 0.1, "momentum": 0.9, "clip": 0.5}, {"lr": 0.1, "momentum": 0.0, "clip": 0.1}]
    return _judge(candidate, ClippedSGD, settings, mistakes=_MISTAKES)


def _judge(candidate, reference: Callable, settings: list[dict], *, mistakes: Iterable[Mistake] = ()) -> str:
    """Examine the class with each of the settings; raises Wrong with the first that fails, NotYet for a stub.

    `mistakes` replace methods of `reference`, which is then a class. Where the values differ, the first that explains
    them is named; what the examiner itself found stands below.
    """
    judge_kind(candidate)
    card = ""
    for number, options in enumerate(settings, start=1):
        try:
            card = examine(partial(candidate, **options), partial(reference, **options), steps=_STEPS)
        except Wrong as wrong:
            shown = ", ".join(f"{key}={value}" for key, value in options.items()) or "no argument but the parameters"
            found = f"With {shown}: {wrong}"
            seen = settings[:number]
            named = [m for m in mistakes if isinstance(wrong, Differs) and _makes(candidate, m, reference, seen)][:1]
            raise Wrong("\n".join([*(mistake.message for mistake in named), found]), wrong.others) from None
    return f"with each of {len(settings)} settings {card}"


def judge_kind(candidate) -> None:
    """Raise Wrong if this is no class of an optimizer, NotYet if it is one that is not written yet."""
    if candidate is ...:
        raise NotYet(not_yet("your answer"))
    if isinstance(candidate, Optimizer):
        raise Wrong("Hand over the class itself, without calling it: the examiner makes the optimizers.")
    if not isinstance(candidate, type) or not issubclass(candidate, Optimizer):
        raise Wrong("This is no optimizer: hand over a class that inherits from `optim.Optimizer`.")
    own = vars(candidate)
    if not any(map(callable, own.values())) or any(has_placeholder(f) for f in own.values() if callable(f)):
        raise NotYet(not_yet(f"`{candidate.__name__}`"))


def _makes(candidate: type, mistake: Mistake, reference: type, settings: list[dict]) -> bool:
    """True if the candidate makes this mistake and no other, in each of the settings."""
    mistaken = type("Mistaken", (reference,), mistake.does)
    try:
        for options in settings:
            examine(partial(candidate, **options), partial(mistaken, **options), steps=4)
    except (Wrong, NotYet):
        return False
    return True
