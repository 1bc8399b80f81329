"""The check of notebook 01's exercise on the largest stable learning rate: a real SGD says where the edge is."""

import math

import torch
from torch import Tensor, nn

from utils.checks.paths import count, vector
from utils.guard import Mistake, NotYet, Wrong, call, check

__all__ = ["check_largest_stable_lr"]

_SPECTRA = [(1.0, 6.0, 8.0), (0.5, 20.0), (3.0,), (0.1, 0.3, 1.0, 5.0, 7.0), (2.0, 2.0, 2.0, 2.0)]

# Each returns a function of the matrix and its eigenvalues, in ascending order.
_LRS = (
    Mistake(
        "2 / smallest",
        lambda h, e: 2 / e[0],
        "It looks like 2 / the smallest eigenvalue: which direction is the first to blow up?",
    ),
    Mistake(
        "1 / largest",
        lambda h, e: 1 / e[-1],
        "It looks like 1 / the largest eigenvalue: safe, but the step may overshoot and still shrink.",
    ),
    Mistake(
        "2 / (smallest + largest)",
        lambda h, e: 2 / (e[0] + e[-1]),
        "It looks like 2 / (smallest + largest eigenvalue): the fastest lr, not the edge.",
    ),
    Mistake(
        "2 / trace",
        lambda h, e: 2 / h.trace(),
        "It looks like 2 / trace: that sums all eigenvalues, and only one of them decides.",
    ),
    Mistake(
        "2 / mean",
        lambda h, e: 2 / e.mean(),
        "It looks like 2 / mean eigenvalue: the directions do not average, one of them decides.",
    ),
    Mistake(
        "2 / diagonal",
        lambda h, e: 2 / h.diag().max(),
        "It looks like 2 / largest diagonal entry: right only if the axes are not tilted.",
    ),
    Mistake(
        "2 / Frobenius",
        lambda h, e: 2 / h.norm(),
        "It looks like 2 / Frobenius norm: that mixes all eigenvalues, and only one decides.",
    ),
    Mistake(
        "2 / row sum",
        lambda h, e: 2 / h.abs().sum(0).max(),
        "It looks like 2 / largest row sum: a bound on the eigenvalue, not its value.",
    ),
    Mistake(
        "largest / 2",
        lambda h, e: e[-1] / 2,
        "It looks like the largest eigenvalue / 2: should a steeper loss allow a larger lr?",
    ),
    Mistake(
        "2 / κ",
        lambda h, e: 2 * e[0] / e[-1],
        "It looks like 2 / κ, with κ = largest / smallest eigenvalue: "
        "right only where the smallest is 1. Does that one matter?",
    ),
    Mistake(
        "1 / κ",
        lambda h, e: e[0] / e[-1],
        "It looks like 1 / κ, with κ = largest / smallest eigenvalue: does the smallest one matter for the edge?",
    ),
    Mistake(
        "κ",
        lambda h, e: e[-1] / e[0],
        "It looks like κ, largest / smallest eigenvalue: it tells how many steps are needed, not how large one may be.",
    ),
    Mistake(
        "largest", lambda h, e: e[-1], "It looks like the largest eigenvalue itself: that is a curvature, not yet a lr."
    ),
    Mistake(
        "2 / square",
        lambda h, e: 2 / e[-1] ** 2,
        "It looks like 2 / largest eigenvalue squared: was the matrix multiplied by itself?",
    ),
    Mistake(
        "2 / root",
        lambda h, e: 2 / e[-1].sqrt(),
        "It looks like 2 / root of the largest eigenvalue: take no root here.",
    ),
    Mistake(
        "1 / smallest",
        lambda h, e: 1 / e[0],
        "It looks like 1 / the smallest eigenvalue: which direction is the first to blow up?",
    ),
)

_LR_HINTS = [
    (
        "(?i)complex",
        "`torch.linalg.eigvals` is complex for every matrix, and complex numbers have no order. For symmetric matrices "
        "there is `torch.linalg.eigvalsh`: real numbers, in ascending order.",
    )
]


def _hessian(spectrum: tuple[float, ...]) -> Tensor:
    """Symmetric, with these eigenvalues, on tilted axes that are the same in every run."""
    n = len(spectrum)
    axes = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n)))[0]
    hessian = axes @ torch.diag(vector(*spectrum)) @ axes.T
    return (hessian + hessian.T) / 2  # to the last bit


def _last_loss(hessian: Tensor, lr: float, steps: int = 100) -> tuple[float, int]:
    """Loss after `steps` of a real SGD from loss 1, all directions mixed, and the steps done: fewer if it blows up."""
    eigenvalues, axes = torch.linalg.eigh(hessian)
    x = nn.Parameter(axes.sum(1) * (2 / eigenvalues.sum()).sqrt())
    optimizer = torch.optim.SGD([x], lr=lr)
    done, loss = 0, 1.0
    while done < steps and loss < 1e12:
        x.grad = hessian @ x.detach()
        optimizer.step()
        loss = float(x.detach() @ hessian @ x.detach()) / 2
        loss = math.inf if math.isnan(loss) else loss
        done += 1
    return loss, done


@check
def check_largest_stable_lr(candidate) -> str:
    """Judge `largest_stable_lr(hessian)`: the lr above which gradient descent on ½ xᵀHx diverges."""
    for spectrum in _SPECTRA:
        hessian = _hessian(spectrum)
        lr = _lr_of(candidate, hessian)
        (below, steps), (above, last) = _last_loss(hessian, 0.98 * lr), _last_loss(hessian, 1.02 * lr)
        if below <= 1 < above:
            continue
        if below > 1:
            ran = f"even at 0.98 × that the loss went from 1 to {below:.2g} in {count(steps)}: too large"
        else:
            ran = f"even at 1.02 × that the loss fell from 1 to {above:.2g} in {count(last)}: too small"
        size = f"{len(spectrum)} × {len(spectrum)}"
        raise Wrong(f"For a {size} matrix you give {lr:.4g}; {ran}.\n{_lr_mistake(candidate)}")
    return f"on {len(_SPECTRA)} matrices SGD falls at 0.98 × your lr and blows up at 1.02 × your lr: that is the edge."


def _lr_of(candidate, hessian: Tensor) -> float:
    return _positive_number(call(candidate, hessian.clone()).answer(hints=_LR_HINTS), len(hessian))


def _lr_mistake(candidate) -> str:
    """The known mistake that gives the answer's lr on every matrix, since on one alone many look alike."""
    hessians = [_hessian(spectrum) for spectrum in _SPECTRA]
    try:
        lrs = [_lr_of(candidate, hessian) for hessian in hessians]
    except (Wrong, NotYet):
        lrs = []
    if lrs:
        cases = [(lr, h, torch.linalg.eigvalsh(h)) for lr, h in zip(lrs, hessians, strict=True)]
        for mistake in _LRS:
            if all(math.isclose(lr, float(mistake.does(h, e)), rel_tol=1e-3) for lr, h, e in cases):
                return mistake.message
        if all(any(math.isclose(lr, 2 / x, rel_tol=1e-3) for x in e.tolist()) for lr, _, e in cases):
            return "It looks like 2 / an eigenvalue that is not the largest: `torch.linalg.eigvals` does not sort them."
    return "Along an eigenvector with eigenvalue λ one step multiplies x by 1 - lr · λ: when does that stop shrinking?"


def _positive_number(value, size: int) -> float:
    if isinstance(value, list | tuple) or (hasattr(value, "shape") and math.prod(value.shape) != 1):
        raise Wrong(f"You returned several numbers for a {size} × {size} matrix: which single one decides?")
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, complex) and abs(value.imag) <= 1e-9 * abs(value.real):
        value = value.real  # torch.linalg.eigvals gives complex numbers even where all are real
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Wrong(f"You returned an object of type `{type(value).__name__}`: a learning rate is one real number.")
    if not 0 < value < math.inf:
        raise Wrong(f"You returned {value:.4g}: a learning rate is positive and finite, and so are the eigenvalues.")
    return float(value)
