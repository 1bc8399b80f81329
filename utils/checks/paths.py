"""What the checks of paths share: the points that an optimizer of torch visits, and an answer's beside them.

A path is a tensor of shape (steps + 1, n), float64 or float32: a row for each point, the start included.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from utils.checks.update_rules import Rule, follow
from utils.guard import Wrong

# (what is in the error or in its line of code, what to do about it): for `Outcome.answer`
PATH_HINTS = [
    (
        r"torch\.(as_)?tensor\(|only one element tensors|only length-1 arrays|converted to Python scalars",
        "`torch.stack(path)` makes one tensor of a list of points, a row for each; `torch.tensor` takes numbers.",
    ),
    (
        r"expected Tensor as element|must be tuple of Tensors",
        "`torch.stack` takes a list of tensors: keep each point as a tensor, as `start` is one.",
    ),
    (
        r"stack expects each tensor to be equal size|zero-dimensional tensor",
        "The points in your list differ in shape: each should have the shape of `start`.",
    ),
]


def vector(*numbers: float) -> Tensor:
    """The numbers as a tensor of shape (n,), float64."""
    return torch.tensor(numbers, dtype=torch.float64)


def show(point: Tensor) -> str:
    """A point in words, four digits of each number."""
    return "(" + ", ".join(f"{x:.4g}" for x in point.tolist()) + ")"


def count(steps: int) -> str:
    """ "1 step", "2 steps"."""
    return f"{steps} step" + "s" * (steps != 1)


def close(a: Tensor, b: Tensor) -> bool:
    """True if `a` has the shape of `b` and equals it up to rounding: of float64, or of float32 if `a` is of that."""
    tolerance = 1e-9 if a.dtype == torch.float64 else 1e-4
    return a.shape == b.shape and torch.allclose(a.to(b.dtype), b, rtol=tolerance, atol=tolerance)


def first_difference(path: Tensor, truth: Tensor) -> int | None:
    """The first row in which a path of the right shape is not that of `truth`; None if there is none."""
    return next((row for row in range(len(truth)) if not close(path[row], truth[row])), None)


def torch_path(
    make: Callable[..., torch.optim.Optimizer], start: Tensor, *, gradient: Callable, lrs: Sequence[float]
) -> Tensor:
    """The points that a real optimizer of torch.optim visits from `start`, shape (n,): shape (len(lrs) + 1, n).

    make        makes the optimizer from [parameter] and `lr`, as `partial(torch.optim.SGD, momentum=0.9)` does
    gradient    gradient(k, x), shape (n,): at step k, from 0, where the optimizer stands at x
    lrs         the lr of each step
    """
    x = nn.Parameter(start.clone())
    optimizer = make([x], lr=lrs[0])
    path = [start.clone()]
    for k, lr in enumerate(lrs):
        optimizer.param_groups[0]["lr"] = lr
        x.grad = gradient(k, x.detach()).clone()
        optimizer.step()
        path.append(x.detach().clone())
    return torch.stack(path)


def rule_path(rule: Rule, start: Tensor, *, gradients: Tensor, lrs: Sequence[float], options: dict) -> Tensor:
    """The points that an update rule leads through, as torch_path() has them, with `gradients` of shape (steps, n)."""
    history = [[(0, g, lr)] for g, lr in zip(gradients, lrs, strict=True)]
    points = [point for (point,) in follow(rule, [start], history, {**options, "lr": lrs[0]})]
    return torch.stack([start, *points])


def judge_shape(path, truth: Tensor, where: str) -> None:
    """Raise Wrong if `path` is no tensor of the shape of `truth`, with what it looks like after `where`."""
    if isinstance(path, list | tuple):
        raise Wrong(
            f"You returned a {type(path).__name__} of {len(path)} items: make one tensor of it, one row per point."
        )
    if not isinstance(path, Tensor):
        raise Wrong(
            f"You returned an object of type `{type(path).__name__}`: a tensor is asked for, one row per point."
        )
    if path.dtype not in (torch.float64, torch.float32):
        raise Wrong(f"Your path has the dtype `{path.dtype}`, `start` has `{truth.dtype}`: keep that one.")
    if path.shape != truth.shape:
        hint = _shape_hint(path.detach(), truth)
        raise Wrong(f"{where} your path has the shape {tuple(path.shape)}, it should have {tuple(truth.shape)}. {hint}")


def _shape_hint(path: Tensor, truth: Tensor) -> str:
    """What a path of a wrong shape looks like."""
    shape, expected, steps = tuple(path.shape), tuple(truth.shape), len(truth) - 1
    if shape == expected[::-1]:
        return "Rows and columns are swapped: `torch.stack(points)` without a second argument makes each point a row."
    if len(shape) == 2 and shape[1] == expected[1]:
        if shape[0] == steps and close(path, truth[1:]):
            return "The first row should be `start` itself: keep it before you move."
        if shape[0] == steps and close(path, truth[:-1]):
            return "The point after the last step is missing."
        if shape[0] == 2 and close(path, truth[[0, -1]]):
            return "Those are the first and the last point: keep the ones between them too."
        if shape[0] == 2:
            return "That is a single step: is your `return` inside the loop?"
        if shape[0] > steps + 1:
            return f"That is {shape[0] - 1} steps: how often does your loop run?"
    elif close(path, truth[-1]):
        return "That is the last point alone: keep all those before it too."
    hint = "One row per point, one column per parameter."
    if path.numel() == truth.numel():
        hint += " The numbers are as many as they should be: `torch.stack` keeps points apart, `torch.cat` does not."
    return hint
