"""Update rules made of named parts, so that a known mistake can replace some of them.

The rules are pure functions of tensors. Without a mistake each leads along the path of its optimizer in torch.optim,
which tests hold to rounding. The mistakes stand in `update_mistakes`.

Longer than two screens: the five rules share their parts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace as Parts

import torch
from torch import Tensor, nn

from utils.guard import Mistake

Turn = tuple[int, Tensor | None, float]  # in one step: the number of a parameter, its gradient, the lr of its group
History = Sequence[Sequence[Turn]]  # the turns of each step; a parameter that has not joined yet has none


@dataclass(frozen=True, eq=False)
class Rule:
    """An update rule: `move(part, state, p, g, options, t)` → (the new p, the new state), without touching the old.

    state      a dict, empty at first
    options    those of the group: `lr`, `momentum`, …
    t          the number of the step, from 1
    part       holds the functions in `parts` as attributes; `move` and `follow` take every choice from there
    """

    move: Callable[..., tuple[Tensor, dict]]
    parts: dict[str, Callable]

    def with_mistake(self, mistake: Mistake) -> "Rule":
        """The rule that makes this mistake, and no other."""
        return replace(self, parts=self.parts | mistake.does)


def follow(rule: Rule, points: Sequence[Tensor], history: History, options: dict) -> Iterator[list[Tensor]]:
    """The points after each step of `history`, starting from `points`; `options["lr"]` is the lr of the first turn."""
    part, points = Parts(**rule.parts), list(points)
    states, counts, calls = [{} for _ in points], [0] * len(points), 0
    for step, turns in enumerate(history, start=1):
        for i, g, lr in turns:
            g = part.missing(points[i]) if g is None else g
            if g is None:
                continue
            counts[i] += 1
            calls += 1
            owner, t = part.owner(i), part.count(counts[i], calls, step)
            now = {**options, "lr": part.lr(lr, turns[0][2], options["lr"])}
            points[i], states[owner] = rule.move(part, states[owner], points[i], g, now, t)
        yield list(points)


# --- the parts that all rules have ------------------------------------------------------------------------------------


def coupled(g: Tensor, p: Tensor, o: dict) -> Tensor:
    """Weight decay as L2 regularisation: it is added to the gradient."""
    return g + o.get("weight_decay", 0) * p


def apart_from_gradient(g: Tensor, p: Tensor, o: dict) -> Tensor:
    """The gradient as it is, where weight decay shrinks the parameter itself (Loshchilov and Hutter, 2019)."""
    return g


def shrinks(o: dict) -> float:
    """The factor by which decoupled weight decay shrinks a parameter."""
    return 1 - o["lr"] * o.get("weight_decay", 0)


_LOOP = {
    "missing": lambda p: None,  # the gradient of a parameter whose `p.grad` is None; None to skip it
    "owner": lambda i: i,  # the number of the parameter whose state parameter i uses
    "count": lambda own, calls, step: own,  # t: from the updates of this one, of all, and the calls of `step`
    "lr": lambda own, first, default: own,  # from the lr of its group, of the first group, of the defaults
}
_AROUND = {
    "ascend": lambda g, o: -g if o.get("maximize") else g,
    "pull": coupled,
    "keep": lambda o: 1,  # the factor by which p shrinks before the step
    "land": lambda p, update, keep: p * keep - update,
}


def _around(core: Callable) -> Callable:
    """`move` of a core(part, state, g, o, t) → (update, new state): with weight decay and maximize around it."""

    def move(part, state: dict, p: Tensor, g: Tensor, o: dict, t: float) -> tuple[Tensor, dict]:
        update, state = core(part, state, part.pull(part.ascend(g, o), p, o), o, t)
        return part.land(p, update, part.keep(o)), state

    return move


def rule_of(make: Callable) -> Rule:
    """The rule of an optimizer that is none of those below: the optimizer itself, which `make` makes, on one parameter.

    It has no parts of its own, so only mistakes around it can be made.
    """

    def move(part, state: dict, p: Tensor, g: Tensor, o: dict, t: float) -> tuple[Tensor, dict]:
        if not state:
            own = nn.Parameter(p.clone())
            state = {"p": own, "optimizer": make([own])}
        own, optimizer = state["p"], state["optimizer"]
        optimizer.param_groups[0].update({k: o[k] for k in ("lr", "maximize") if k in o})
        with torch.no_grad():
            own.copy_(p)
        own.grad = g.clone()
        optimizer.step()
        return part.land(p, p - own.detach(), 1), state

    return Rule(move, _LOOP | {"land": _AROUND["land"]})


# --- momentum: Polyak (1964), Nesterov (1983), with torch's dampening -------------------------------------------------


def _momentum(part, state: dict, g: Tensor, o: dict, t: float) -> tuple[Tensor, dict]:
    if not o.get("momentum"):
        return o["lr"] * g, state
    old = state.get("buffer")
    new = part.first(g, o) if old is None else part.following(old, g, o)
    return part.step(g, torch.zeros_like(g) if old is None else old, new, o), {"buffer": new}


def step_of_momentum(g: Tensor, old: Tensor, new: Tensor, o: dict) -> Tensor:
    """What is subtracted, from the gradient and the buffer before and after it."""
    return o["lr"] * (g + o["momentum"] * new if o.get("nesterov") else new)


_MOMENTUM_PARTS = {
    "first": lambda g, o: g,  # the buffer after the first gradient
    "following": lambda old, g, o: o["momentum"] * old + (1 - o.get("dampening", 0)) * g,
    "step": step_of_momentum,
}

# --- Adam (Kingma and Ba, 2015) ---------------------------------------------------------------------------------------


def _adam(part, state: dict, g: Tensor, o: dict, t: float) -> tuple[Tensor, dict]:
    zeros = torch.zeros_like(g)
    b, old = part.betas(o), state.get("m", zeros)
    m = part.m(old, g, b[0], t)
    c1, c2 = part.c1(b, t), part.c2(b, t)
    v = part.v(state.get("v", zeros), part.squared(g, old, m, m / c1), b[1], t)
    top = part.top(state.get("top", v), v, o)
    m_hat, v_hat = m / c1, top / c2
    m, v = part.stored(m, v, m_hat, v_hat)
    return o["lr"] * m_hat / part.denominator(v_hat, c2, o), {"m": m, "v": v, "top": top}


def average(old: Tensor, new: Tensor, beta: float, t: float) -> Tensor:
    """The running average of Adam: beta is the weight of the old one."""
    return beta * old + (1 - beta) * new


def average_of_squares(old: Tensor, new: Tensor, beta: float, t: float) -> Tensor:
    """The running average of new². It multiplies in torch's order, since a centred RMSprop can hang on the rounding."""
    return beta * old + (1 - beta) * new * new


_ROOT = {
    "squared": lambda g, old, m, m_hat: g,  # what v averages the square of
    "denominator": lambda v_hat, c, o: v_hat.sqrt() + o["eps"],  # v_hat is v / c
}
_ADAM_PARTS = _ROOT | {
    "betas": lambda o: tuple(map(float, o["betas"])),
    "m": average,
    "v": average_of_squares,
    "c1": lambda b, t: 1 - b[0] ** t,  # what m is divided by
    "c2": lambda b, t: 1 - b[1] ** t,
    "top": lambda top, v, o: torch.maximum(top, v) if o.get("amsgrad") else v,
    "stored": lambda m, v, m_hat, v_hat: (m, v),  # what the next step starts from
}

# --- RMSprop (Tieleman and Hinton, 2012) and Adagrad (Duchi, Hazan and Singer, 2011) ----------------------------------


def _rmsprop(part, state: dict, g: Tensor, o: dict, t: float) -> tuple[Tensor, dict]:
    alpha, old = part.alpha(o), state.get("m", torch.zeros_like(g))
    m = alpha * old + (1 - alpha) * g
    v = average_of_squares(state.get("v", torch.zeros_like(g)), part.squared(g, old, m, m), alpha, t)
    c = part.correction(alpha, t)
    step = g / part.denominator(part.spread(v / c, m / c, o), c, o)
    if o.get("momentum"):
        step = o["momentum"] * state.get("buffer", 0) + step
    return o["lr"] * step, {"m": m, "v": v, "buffer": step}


_RMSPROP_PARTS = _ROOT | {
    "alpha": lambda o: o["alpha"],
    "correction": lambda alpha, t: 1,  # what m and v are divided by
    "spread": lambda v, m, o: v - m * m if o.get("centered") else v,
}


def _adagrad(part, state: dict, g: Tensor, o: dict, t: float) -> tuple[Tensor, dict]:
    v = state.get("sum", o.get("initial_accumulator_value", 0) * torch.ones_like(g)) + g * g
    return o["lr"] / part.slower(o, t) * g / part.denominator(v, 1, o), {"sum": v}


_ADAGRAD_PARTS = {"denominator": _ROOT["denominator"], "slower": lambda o, t: 1 + (t - 1) * o["lr_decay"]}

_ALL = _LOOP | _AROUND
MOMENTUM = Rule(_around(_momentum), _ALL | _MOMENTUM_PARTS)
ADAM = Rule(_around(_adam), _ALL | _ADAM_PARTS)
ADAMW = Rule(ADAM.move, ADAM.parts | {"pull": apart_from_gradient, "keep": shrinks})
RMSPROP = Rule(_around(_rmsprop), _ALL | _RMSPROP_PARTS)
ADAGRAD = Rule(_around(_adagrad), _ALL | _ADAGRAD_PARTS)
