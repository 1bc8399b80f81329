"""The checks of the exercises of 02a, momentum by hand, and of 02b, Adam with its bias correction.

Each answer gets gradients that do not depend on where it stands, so the first point that differs from torch.optim's
names the first wrong step. It is then compared with the paths that known mistakes lead along.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from utils.checks.adam_mistakes import OF_ADAM
from utils.checks.momentum_mistakes import OF_MOMENTUM
from utils.checks.paths import (
    PATH_HINTS,
    close,
    count,
    first_difference,
    judge_shape,
    rule_path,
    show,
    torch_path,
    vector,
)
from utils.checks.update_mistakes import LR_OF_DEFAULTS, SIGN, T_FROM_2
from utils.checks.update_rules import ADAM, MOMENTUM, Rule
from utils.guard import Mistake, Wrong, call, check

__all__ = ["check_adam_path", "check_momentum_path"]

_START = vector(2.0, -1.0, 0.5)


@dataclass(frozen=True, eq=False)
class Setting:
    """One call of the student's function.

    lrs          of each step
    options      the others of the optimizer, as torch names them
    arguments    what the function gets after the gradients and the start
    scale        of the gradients
    """

    name: str
    lrs: tuple[float, ...]
    options: dict
    arguments: tuple
    scale: float = 1.0

    @property
    def gradients(self) -> Tensor:
        """(steps, 3) in float64, around a mean that is not zero; the same in every run."""
        generator = torch.Generator().manual_seed(len(self.lrs))
        noise = torch.randn(len(self.lrs), len(_START), dtype=torch.float64, generator=generator)
        return self.scale * (0.5 + noise)

    def truth(self, optimizer: Callable) -> Tensor:
        """The points of torch.optim, shape (steps + 1, 3)."""
        gradients = self.gradients
        return torch_path(partial(optimizer, **self.options), _START, gradient=lambda k, x: gradients[k], lrs=self.lrs)

    def path(self, rule: Rule) -> Tensor:
        """The points of a rule, shape (steps + 1, 3)."""
        return rule_path(rule, _START, gradients=self.gradients, lrs=self.lrs, options=self.options)


def _judge(
    candidate,
    optimizer: Callable,
    *,
    settings: Iterable[Setting],
    mistakes: list[tuple[Rule, Mistake]],
    otherwise: str,
    judge_finite: Callable[[Tensor, str], None] = lambda path, where: None,
) -> None:
    """Raise Wrong where the answer's path first parts from that of the optimizer, in the first setting where it does.

    mistakes        each with the rule that makes it; named is the first that leads along all paths seen until then
    otherwise       what to say if none does
    judge_finite    raises Wrong where a path holds numbers that are not finite
    """
    seen = []
    for setting in settings:
        arguments = (setting.gradients, _START.clone(), *setting.arguments)
        outcome = call(candidate, *arguments)
        path, truth = outcome.answer(may_change=True, hints=PATH_HINTS), setting.truth(optimizer)
        where = f"With {setting.name} ({count(len(setting.lrs))})"
        judge_shape(path, truth, where)
        path = path.detach()
        judge_finite(path, where)
        seen.append((setting, path))
        row = first_difference(path, truth)
        if row is not None:
            shown, expected = show(path[row]), show(truth[row])
            off = f"not {expected}" if shown != expected else f"off by {(path[row] - truth[row]).abs().max():.1g}"
            found = f"{where} you part from torch.optim at step {row}: {shown}, {off}."
            raise Wrong(f"{found}\n{_explanation(seen, mistakes) or _stored_once(path, truth) or otherwise}")
        if outcome.changed:
            raise Wrong(outcome.changed)


def _explanation(seen: list[tuple[Setting, Tensor]], mistakes: list[tuple[Rule, Mistake]]) -> str | None:
    """The sentence of the first mistake that leads along all these paths; the last is the one that went wrong."""
    for rule, mistake in mistakes:
        if all(close(path, setting.path(rule)) for setting, path in reversed(seen)):
            return mistake.message
    return None


def _stored_once(path: Tensor, truth: Tensor) -> str | None:
    if len(truth) > 2 and close(path, path[-1].expand_as(path)) and not close(path[0], truth[0]):
        return "All rows are one point: you stored one tensor many times and changed it in place. Store copies."
    return None


def _with(rule: Rule, *mistakes: Mistake) -> list[tuple[Rule, Mistake]]:
    return [(rule.with_mistake(mistake), mistake) for mistake in mistakes]


# --- momentum ---------------------------------------------------------------------------------------------------------


def _momentum(name: str, lrs: tuple[float, ...], momentum: float, dampening: float, nesterov: bool) -> Setting:
    options = {"momentum": momentum, "dampening": dampening, "nesterov": nesterov}
    return Setting(name, lrs, options, (list(lrs), momentum, dampening, nesterov))


_MOMENTA = (
    _momentum("plain momentum", (0.15,) * 6, 0.9, 0.0, False),
    _momentum("momentum while lr falls", (0.4, 0.2, 0.1, 0.05, 0.02), 0.8, 0.0, False),
    _momentum("dampening", (0.1,) * 6, 0.9, 0.5, False),
    _momentum("Nesterov", (0.1,) * 6, 0.7, 0.0, True),
    _momentum("momentum 0", (0.3,) * 4, 0.0, 0.0, False),
)
_IN_MOMENTUM = _with(
    MOMENTUM,
    SIGN,
    *OF_MOMENTUM,
    Mistake("first lr", LR_OF_DEFAULTS.does, "You use lrs[0] at every step."),
    Mistake(
        "never moves",  # so does a buffer of zeros to which dampening × gradient is added
        {"step": lambda g, old, new, o: 0 * g},
        "The point never moves. Does it take the step? And the new gradient counts 1 - dampening times, here once.",
    ),
)


@check
def check_momentum_path(candidate) -> str:
    """Judge `momentum_path(gradients, start, lrs, momentum, dampening, nesterov)`: points, shape (steps + 1, n)."""
    otherwise = "Compare that one step by hand: the new buffer first, then the point."
    _judge(candidate, torch.optim.SGD, settings=_MOMENTA, mistakes=_IN_MOMENTUM, otherwise=otherwise)
    return f"your points are those of `torch.optim.SGD` in {len(_MOMENTA)} settings, dampening and Nesterov included."


# --- Adam -------------------------------------------------------------------------------------------------------------


def _adam(
    name: str, steps: int, *, lr: float, betas: tuple[float, float], eps: float = 1e-8, scale: float = 1.0
) -> Setting:
    return Setting(name, (lr,) * steps, {"betas": betas, "eps": eps}, (lr, betas, eps), scale)


_ADAMS = (
    _adam("the default betas", 6, lr=0.1, betas=(0.9, 0.999)),
    _adam("other betas", 8, lr=0.05, betas=(0.5, 0.8)),
    _adam("a large eps", 5, lr=0.1, betas=(0.9, 0.99), eps=0.5),
    _adam("tiny gradients", 5, lr=0.1, betas=(0.9, 0.999), scale=1e-7),
)
_IN_ADAM = _with(ADAM, SIGN, *OF_ADAM, T_FROM_2)


def _judge_adam_finite(path: Tensor, where: str) -> None:
    if not path[1].isfinite().any():  # the first step divided by 1 - beta ** 0 = 0
        raise Wrong(
            f"{where} step 1 is not finite: {show(path[1])}.\nDoes your t count from 0? "
            "Then 1 - beta ** t is 0, and m / 0 is infinite. The first step has t = 1."
        )
    if path.isnan().any():
        row = int(path.isnan().any(1).nonzero()[0])
        raise Wrong(
            f"{where} step {row} is not finite: {show(path[row])}.\nA root of a negative number makes nan. "
            "Does v average g**2? Is its correction a power, 1 - betas[1] ** t?"
        )


@check
def check_adam_path(candidate) -> str:
    """Judge `adam_path(gradients, start, lr, betas, eps)`: the points that Adam visits, shape (steps + 1, n)."""
    otherwise = "Compare that one step by hand: m and v, their corrections, then m / (√v + eps)."
    _judge(
        candidate,
        torch.optim.Adam,
        settings=_ADAMS,
        mistakes=_IN_ADAM,
        otherwise=otherwise,
        judge_finite=_judge_adam_finite,
    )
    return f"your points are those of `torch.optim.Adam` in {len(_ADAMS)} settings, from the first step on."
