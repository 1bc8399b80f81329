"""The checks of notebook 02a's exercises: momentum by hand, and Adam with its bias correction.

Each answer gets gradients that do not depend on where it stands, so the first point that differs from torch.optim's
names the first wrong step. It is then compared with the paths that known mistakes lead along.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from utils.checks.concepts import _close, _count, _judge_shape, _show
from utils.guard import Wrong, call, check

__all__ = ["check_adam_path", "check_momentum_path"]

Mistake = tuple[Callable[..., Iterator[Tensor]], str]


def _gradients(steps: int, size: int, *, scale: float = 1.0) -> Tensor:
    """(steps, size) in float64, around a mean that is not zero; the same in every run."""
    generator = torch.Generator().manual_seed(steps)
    return scale * (0.5 + torch.randn(steps, size, dtype=torch.float64, generator=generator))


def _path(start: Tensor, updates: Iterator[Tensor]) -> Tensor:
    """The points that lead from `start`, each the one before minus an update: shape (steps + 1, n)."""
    points = [start]
    for update in updates:
        points.append(points[-1] - update)
    return torch.stack(points)


def _torch_path(optimizer_class, gradients: Tensor, start: Tensor, lrs: list[float], **options) -> Tensor:
    """The points that a real optimizer of torch.optim visits with these gradients, at step k with lrs[k]."""
    x = nn.Parameter(start.clone())
    optimizer = optimizer_class([x], lr=lrs[0], **options)
    path = [start.clone()]
    for gradient, lr in zip(gradients, lrs, strict=True):
        optimizer.param_groups[0]["lr"] = lr
        x.grad = gradient.clone()
        optimizer.step()
        path.append(x.detach().clone())
    return torch.stack(path)


def _judge(candidate, arguments: tuple, truth: Tensor, where: str, mistakes: list[Mistake], otherwise: str) -> None:
    """Raise Wrong where the answer's path parts from `truth`, with the mistake that leads along the same path."""
    outcome = call(candidate, *arguments)
    path = outcome.answer(may_change=True)
    _judge_shape(path, truth, where)
    path = path.detach()
    if not _close(path, truth):
        row = next(i for i in range(len(path)) if not _close(path[i], truth[i]))
        shown, expected = _show(path[row]), _show(truth[row])
        off = f"not {expected}" if shown != expected else f"off by {(path[row] - truth[row]).abs().max():.1g}"
        found = f"{where} you part from torch.optim at step {row}: {shown}, {off}."
        gradients, start, *settings = arguments
        for updates, message in mistakes:
            if _close(path, _path(start, updates(gradients, *settings))):
                raise Wrong(f"{found}\n{message}")
        aliased = len(truth) > 2 and _close(path, path[-1].expand_as(path)) and not _close(path[0], truth[0])
        kept = "All rows are one point: you stored one tensor many times and changed it in place. Store copies."
        raise Wrong(f"{found}\n{kept if aliased else otherwise}")
    if outcome.changed:
        raise Wrong(outcome.changed)


# --- momentum -------------------------------------------------------------------------------------------------------

_START = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
_MOMENTA = {  # name: lrs, momentum, dampening, nesterov
    "plain momentum": ([0.15] * 6, 0.9, 0.0, False),
    "momentum while lr falls": ([0.4, 0.2, 0.1, 0.05, 0.02], 0.8, 0.0, False),
    "dampening": ([0.1] * 6, 0.9, 0.5, False),
    "Nesterov": ([0.1] * 6, 0.7, 0.0, True),
    "momentum 0": ([0.3] * 4, 0.0, 0.0, False),
}


def _velocity(*, step, first=None, keep=None) -> Callable[..., Iterator[Tensor]]:
    """A momentum rule from its parts: the first buffer, the next ones, and the step along them."""
    first = first or (lambda g, b, d, lr: g)
    keep = keep or (lambda old, g, b, d, lr: b * old + (1 - d) * g)

    def updates(gradients, lrs, momentum, dampening, nesterov):
        new = torch.zeros_like(gradients[0])
        for k, (g, lr) in enumerate(zip(gradients, lrs, strict=True)):
            old = new
            new = first(g, momentum, dampening, lr) if k == 0 else keep(old, g, momentum, dampening, lr)
            yield step(g, old, new, momentum, nesterov, lr)

    return updates


def _right(g, old, new, b, nesterov, lr):
    return lr * (g + b * new if nesterov else new)


def _with_first_lr(gradients, lrs, *settings):
    return _velocity(step=_right)(gradients, lrs[:1] * len(lrs), *settings)


_MOMENTUM_MISTAKES: list[Mistake] = [
    (_velocity(step=lambda g, old, new, b, n, lr: -_right(g, old, new, b, n, lr)), "It climbs: look at the sign."),
    (_velocity(step=lambda g, old, new, b, n, lr: lr * g), "No buffer is kept: each step follows its own gradient."),
    (
        _velocity(step=_right, keep=lambda old, g, b, d, lr: b * 0 + (1 - d) * g),
        "The buffer is forgotten at each step: is it still there the next time, outside the loop's body?",
    ),
    (
        _velocity(step=_right, first=lambda g, b, d, lr: (1 - d) * g),
        "You dampen the first gradient too: torch starts the buffer with the whole gradient.",
    ),
    (
        _velocity(step=_right, keep=lambda old, g, b, d, lr: b * old + g),
        "`dampening` is not used: from the second step on the gradient counts (1 - dampening) times.",
    ),
    (
        _velocity(step=_right, first=lambda g, b, d, lr: (1 - b) * g, keep=lambda o, g, b, d, lr: b * o + (1 - b) * g),
        "Your buffer is a running average with the weight 1 - momentum: torch adds the gradient with the weight 1.",
    ),
    (
        _velocity(step=_right, keep=lambda o, g, b, d, lr: b * o + (1 - b) * g),
        "Your buffer is a running average with the weight 1 - momentum: torch adds the gradient with the weight 1.",
    ),
    (
        _velocity(step=_right, keep=lambda o, g, b, d, lr: b * (1 - d) * o + g),
        "`dampening` scales the new gradient only, not the old buffer.",
    ),
    (
        _velocity(step=_right, keep=lambda o, g, b, d, lr: (1 - d) * (b * o + g)),
        "`dampening` scales the new gradient only, not the old buffer.",
    ),
    (
        _velocity(
            step=_right, first=lambda g, b, d, lr: (1 - d) * g, keep=lambda o, g, b, d, lr: (1 - d) * (b * o + g)
        ),
        "`dampening` scales the new gradient only, not the old buffer.",
    ),
    (
        _velocity(step=_right, keep=lambda o, g, b, d, lr: b * o + d * g),
        "The new gradient counts 1 - dampening times, not dampening times.",
    ),
    (
        _velocity(step=lambda g, old, new, b, n, lr: 0 * g),  # also where a buffer of zeros gets b * o + d * g
        "The point never moves. Does the new gradient count dampening times, here 0? It counts 1 - dampening times.",
    ),
    (_with_first_lr, "You use lrs[0] at every step."),
    (
        _velocity(
            step=lambda g, old, new, b, n, lr: lr * g + b * new if n else new,
            first=lambda g, b, d, lr: lr * g,
            keep=lambda old, g, b, d, lr: b * old + (1 - d) * lr * g,
        ),
        "`lr` is inside your buffer, so old steps keep their old lr: torch multiplies the whole buffer by today's lr.",
    ),
    (
        _velocity(step=_right, first=lambda g, b, d, lr: lr * g, keep=lambda o, g, b, d, lr: b * o + (1 - d) * lr * g),
        "`lr` is in it twice: once inside the buffer and once in the step.",
    ),
    (
        _velocity(step=lambda g, old, new, b, n, lr: new),
        "The whole buffer is subtracted: where does `lr` come in?",
    ),
    (
        _velocity(step=lambda g, old, new, b, n, lr: lr * new),
        "`nesterov` changes nothing: with it the step follows gradient + momentum × buffer, the buffer updated before.",
    ),
    (
        _velocity(step=lambda g, old, new, b, n, lr: lr * (g + b * new)),
        "Your step is Nesterov's even where `nesterov` is False.",
    ),
    (
        _velocity(step=lambda g, old, new, b, n, lr: lr * (new + b * new) if n else lr * new),
        "Your Nesterov step adds the buffer to itself: it is the gradient plus momentum × buffer.",
    ),
    (
        _velocity(step=lambda g, old, new, b, n, lr: lr * (new + b * g) if n else lr * new),
        "Nesterov's roles are exchanged: gradient + momentum × buffer.",
    ),
    (
        _velocity(step=lambda g, old, new, b, n, lr: lr * old),
        "You step along the buffer from before this gradient: update the buffer first.",
    ),
]


@check
def check_momentum_path(candidate) -> str:
    """Judge `momentum_path(gradients, start, lrs, momentum, dampening, nesterov)`: points, shape (steps + 1, n)."""
    for name, (lrs, momentum, dampening, nesterov) in _MOMENTA.items():
        gradients = _gradients(len(lrs), len(_START))
        options = {"momentum": momentum, "dampening": dampening, "nesterov": nesterov}
        truth = _torch_path(torch.optim.SGD, gradients, _START, lrs, **options)
        arguments = (gradients, _START.clone(), list(lrs), momentum, dampening, nesterov)
        where = f"With {name} ({_count(len(lrs))})"
        otherwise = "Compare that one step by hand: the new buffer first, then the point."
        _judge(candidate, arguments, truth, where, _MOMENTUM_MISTAKES, otherwise)
    return f"your points are those of `torch.optim.SGD` in {len(_MOMENTA)} settings, dampening and Nesterov included."


# --- Adam -----------------------------------------------------------------------------------------------------------

_ADAMS = {  # name: steps, lr, betas, eps, scale of the gradients
    "the default betas": (6, 0.1, (0.9, 0.999), 1e-8, 1.0),
    "other betas": (8, 0.05, (0.5, 0.8), 1e-8, 1.0),
    "a large eps": (5, 0.1, (0.9, 0.99), 0.5, 1.0),
    "tiny gradients": (5, 0.1, (0.9, 0.999), 1e-8, 1e-7),
}


def _average(old, new, beta):
    return beta * old + (1 - beta) * new


def _sum(old, new, beta):
    return beta * old + new


def _exchanged(old, new, beta):
    return (1 - beta) * old + beta * new


def _moments(
    *,
    m_keep=_average,
    v_keep=_average,
    m_by=lambda b, t: 1 - b[0] ** t,
    v_by=lambda b, t: 1 - b[1] ** t,
    power=2,
    swapped=False,
    whole_first=False,
    stored=False,
    step=lambda m, v, c, eps: m / (v.sqrt() + eps),
) -> Callable[..., Iterator[Tensor]]:
    """Adam from its parts: how m and v go on, what they are divided by at step t (from 1), the step made of the two."""

    def updates(gradients, lr, betas, eps):
        b = betas[::-1] if swapped else betas
        m = v = torch.zeros_like(gradients[0])
        for t, g in enumerate(gradients, start=1):
            whole = whole_first and t == 1
            m = g if whole else m_keep(m, g, b[0])
            v = g**power if whole else v_keep(v, g**power, b[1])
            m_hat, v_hat = m / m_by(b, t), v / v_by(b, t)
            yield lr * step(m_hat, v_hat, v_by(b, t), eps)
            if stored:
                m, v = m_hat, v_hat

    return updates


def _with_default_betas(gradients, lr, betas, eps):
    return _moments()(gradients, lr, (0.9, 0.999), eps)


_ADAM_MISTAKES: list[Mistake] = [
    (_moments(step=lambda m, v, c, eps: -m / (v.sqrt() + eps)), "It climbs: look at the sign."),
    (
        _moments(m_by=lambda b, t: 1, v_by=lambda b, t: 1),
        "You skipped both bias corrections: m and v start at zero and are too small in the first steps.",
    ),
    (_moments(m_by=lambda b, t: 1), "You skipped the bias correction of m: divide it by 1 - betas[0] ** t."),
    (_moments(v_by=lambda b, t: 1), "You skipped the bias correction of v: divide it by 1 - betas[1] ** t."),
    (
        _moments(m_by=lambda b, t: 1, v_by=lambda b, t: 1, whole_first=True),
        "m and v start at zero in Adam; that is why there is a correction.",
    ),
    (_moments(whole_first=True), "m and v start at zero in Adam; that is why there is a correction."),
    (
        _moments(m_by=lambda b, t: 1 / (1 - b[0] ** t), v_by=lambda b, t: 1 / (1 - b[1] ** t)),
        "You multiply by the correction 1 - beta ** t. Divide by it.",
    ),
    (_moments(step=lambda m, v, c, eps: m / ((v / c).sqrt() + eps)), "Correct v before you take the root."),
    (_moments(step=lambda m, v, c, eps: m / (((v * c).sqrt() + eps) / c)), "Correct v before you take the root."),
    (_with_default_betas, "Use `betas`: 0.9 and 0.999 are only the defaults."),
    (
        _moments(step=lambda m, v, c, eps: m / (v + eps).sqrt()),
        "Your eps is inside the root: torch adds it outside, to √v.",
    ),
    (
        _moments(step=lambda m, v, c, eps: m * c.__pow__(0.5) / ((v * c).sqrt() + eps)),
        "Your eps is added before v is corrected: torch corrects v first, takes the root, then adds eps.",
    ),
    (_moments(step=lambda m, v, c, eps: m / v.sqrt()), "`eps` is not used: it bounds the step where v is tiny."),
    (
        _moments(m_by=lambda b, t: 1 - b[0] ** (t + 1), v_by=lambda b, t: 1 - b[1] ** (t + 1)),
        "Your t is one too large: the first step has t = 1.",
    ),
    (
        _moments(m_by=lambda b, t: 1 - b[0], v_by=lambda b, t: 1 - b[1]),
        "You always divide by 1 - beta: the correction is 1 - beta ** t, and it fades.",
    ),
    (_moments(v_by=lambda b, t: 1 - b[0] ** t), "You correct v with betas[0]: its own is betas[1]."),
    (_moments(m_by=lambda b, t: 1 - b[1] ** t), "You correct m with betas[1]: its own is betas[0]."),
    (_moments(swapped=True), "Your betas are swapped: betas[0] belongs to m, betas[1] to v."),
    (_moments(power=1, step=lambda m, v, c, eps: m / (v.abs().sqrt() + eps)), "v averages g, not its square."),
    (_moments(step=lambda m, v, c, eps: m / (v + eps)), "The root is missing: m is divided by √v, not by v."),
    (_moments(m_keep=_exchanged, v_keep=_exchanged), "Weights exchanged: beta is the weight of the old average."),
    (_moments(m_keep=_sum), "m adds the whole gradient: it should count (1 - betas[0]) times."),
    (_moments(v_keep=_sum), "v adds the whole square: it should count (1 - betas[1]) times."),
    (
        _moments(stored=True),
        "You keep the corrected m and v for the next step: correct copies, the averages go on uncorrected.",
    ),
]


def _counts_from_zero(path: Tensor) -> bool:
    """True if the first step divided by 1 - beta ** 0 = 0."""
    return bool((~path[1].isfinite()).all())


@check
def check_adam_path(candidate) -> str:
    """Judge `adam_path(gradients, start, lr, betas, eps)`: the points that Adam visits, shape (steps + 1, n)."""
    for name, (steps, lr, betas, eps, scale) in _ADAMS.items():
        gradients = _gradients(steps, len(_START), scale=scale)
        truth = _torch_path(torch.optim.Adam, gradients, _START, [lr] * steps, betas=betas, eps=eps)
        arguments = (gradients, _START.clone(), lr, betas, eps)
        where = f"With {name} ({_count(steps)})"
        path = call(candidate, *arguments).value
        if isinstance(path, Tensor) and path.shape == truth.shape:
            if _counts_from_zero(path):
                raise Wrong(
                    f"{where} step 1 is not finite: {_show(path[1])}.\nDoes your t count from 0? "
                    "Then 1 - beta ** t is 0, and 0 / 0 is nan. The first step has t = 1."
                )
            if path.isnan().any():
                row = int(path.isnan().any(1).nonzero()[0])
                raise Wrong(
                    f"{where} step {row} is not finite: {_show(path[row])}.\nA root of a negative number makes nan. "
                    "Does v average g**2? Is its correction a power, 1 - betas[1] ** t?"
                )
        otherwise = "Compare that one step by hand: m and v, their corrections, then m / (√v + eps)."
        _judge(candidate, (gradients, _START.clone(), lr, betas, eps), truth, where, _ADAM_MISTAKES, otherwise)
    return f"your points are those of `torch.optim.Adam` in {len(_ADAMS)} settings, from the first step on."
