"""The checks of the first steps: one step of gradient descent, in notebook 00, and its path, in notebook 01.

Longer than two screens by the ways in which a path goes wrong.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from utils.checks.paths import PATH_HINTS, close, count, first_difference, judge_shape, show, torch_path, vector
from utils.guard import Mistake, Wrong, call, check

__all__ = ["check_gradient_descent", "check_one_step"]

# --- one step ---------------------------------------------------------------------------------------------------------

_STEPS = [(3.0, 2.0, 0.1), (-1.0, -4.0, 0.5), (0.0, 6.0, 0.01)]  # w, gradient, lr

_ONE_STEP_MISTAKES = (  # what comes back, given w, the gradient and lr
    Mistake(
        "uphill",
        lambda w, g, lr: w + lr * g,
        "It goes uphill: the gradient points to where the loss grows. Look at the sign.",
    ),
    Mistake("no lr", lambda w, g, lr: w - g, "It moves by the whole gradient: where does `lr` come in?"),
    Mistake("no gradient", lambda w, g, lr: w - lr, "It moves by `lr` whatever the gradient is."),
    Mistake("the step alone", lambda w, g, lr: -lr * g, "That is the step alone: add it to where you are."),
    Mistake("its length", lambda w, g, lr: lr * g, "That is the length of the step: subtract it from where you are."),
    Mistake("unchanged", lambda w, g, lr: w, "`w` comes back as it was."),
)


@check
def check_one_step(candidate) -> str:
    """Judge `one_step(w, gradient, lr)`: where one step of gradient descent leads from the number `w`."""
    for w, gradient, lr in _STEPS:
        answer = call(candidate, w, gradient, lr).answer()
        if isinstance(answer, bool) or not isinstance(answer, int | float):
            raise Wrong(f"You returned an object of type `{type(answer).__name__}`: one number is asked for.")
        if not math.isclose(answer, w - lr * gradient, rel_tol=1e-9, abs_tol=1e-12):
            alike = (
                mistake.message
                for mistake in _ONE_STEP_MISTAKES
                if all(_returns(candidate, step, mistake.does(*step)) for step in _STEPS)
            )
            hint = next(alike, "How far, and to which side, does the formula above tell you to go?")
            raise Wrong(f"From w = {w:g} with gradient {gradient:g} and lr {lr:g} you come to {answer:g}. {hint}")
    return "that is the step that every optimizer in this workshop is built around."


def _returns(candidate, step, value: float) -> bool:
    answer = call(candidate, *step).value
    return isinstance(answer, int | float) and math.isclose(answer, value, rel_tol=1e-9, abs_tol=1e-12)


# --- the path of gradient descent -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Descent:
    """One call of the student's function: `gradient(x)`, both of shape (n,), from `start` in `steps` steps."""

    name: str
    gradient: Callable[[Tensor], Tensor]
    start: Tensor
    lr: float
    steps: int

    def truth(self, *, lr: float | None = None) -> Tensor:
        """The path of a real torch.optim.SGD, shape (steps + 1, n), with this lr or with another."""
        lrs = [self.lr if lr is None else lr] * self.steps
        return torch_path(torch.optim.SGD, self.start, gradient=lambda k, x: self.gradient(x), lrs=lrs)

    def mistaken(self, mistake: Mistake) -> Tensor:
        """The path that a mistake leads along, shape (steps + 1, n)."""
        path, gradients = [self.start], []
        for t in range(self.steps):
            gradients.append(self.gradient(path[-1]))
            path.append(path[-1] - mistake.does(gradients, t, self.lr))
        return torch.stack(path)


_TILTED = torch.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
_DESCENTS = (
    Descent("a tilted bowl", lambda x: _TILTED @ x, vector(4.0, -3.0), 0.1, 6),
    Descent("a curve of one parameter", lambda x: x**3 + x.sin(), vector(1.5), 0.05, 9),
    Descent(
        "a ravine beside the origin", lambda x: vector(1.0, 25.0) * (x - vector(1.0, 0.5)), vector(-2.0, 1.0), 0.03, 12
    ),
    Descent("a valley of three parameters", lambda x: x.tanh() + x.flip(0) / 4, vector(2.0, -1.0, 0.5), 0.4, 5),
    Descent("a single step", lambda x: 2 * x, vector(1.0, -2.0), 0.2, 1),
)

# (what is in the error, in its first line if after ^, or in its line of code; what to do about it)
_DESCENT_HINTS = [
    (r"^.*(dtype|can't be cast|scalar type)", "Make your tensors of the same dtype as `start`: `dtype=start.dtype`."),
    (
        r"requires?_grad|requires? grad|backward|\.grad\b|scalar outputs|differentiated",
        "`gradient(x)` already is the gradient, a tensor like `x`: no autograd needed.",
    ),
    *PATH_HINTS,
]

# Each moves by a function of the gradients so far, the step from 0 and lr.
_MOVES = (
    Mistake(
        "never moves", lambda g, t, lr: 0 * g[-1], "No row differs from `start`: is the new point stored anywhere?"
    ),
    Mistake(
        "climbs",
        lambda g, t, lr: -lr * g[-1],
        "It climbs: the gradient points uphill, so look at the sign of your update.",
    ),
    Mistake("no lr", lambda g, t, lr: g[-1], "It moves by the whole gradient: where does `lr` come in?"),
    Mistake(
        "lr squared",
        lambda g, t, lr: lr**2 * g[-1],
        "`lr` is in it twice: each step is `lr` squared times the gradient.",
    ),
    Mistake(
        "lr decays",
        lambda g, t, lr: lr / (t + 1) * g[-1],
        "Your `lr` shrinks from step to step: here it stays as it is.",
    ),
    Mistake(
        "gradient of the start",
        lambda g, t, lr: lr * g[0],
        "Every step uses the gradient at `start`: ask for it anew at each point.",
    ),
    Mistake(
        "always from the start",
        lambda g, t, lr: lr * g[0] * (t == 0),
        "Every step goes out from `start`, so it always ends at the same point: go on from the newest point.",
    ),
    Mistake(
        "always from the start, newest gradient",
        lambda g, t, lr: lr * (g[-1] - g[-2] if t else g[-1]),
        "Every step subtracts from `start`, with the newest gradient: subtract from the newest point.",
    ),
    Mistake(
        "gradients add up",
        lambda g, t, lr: lr * sum(g),
        "Your gradients add up over the steps: that is momentum 1. Use only the newest.",
    ),
    Mistake(
        "normalised",
        lambda g, t, lr: lr * g[-1] / g[-1].norm(),
        "All your steps are equally long: do not normalise the gradient.",
    ),
    Mistake(
        "sign",
        lambda g, t, lr: lr * g[-1].sign(),
        "Only the sign of the gradient counts in your step: its size should too.",
    ),
)


@check
def check_gradient_descent(candidate) -> str:
    """Judge `gradient_descent(gradient, start, lr, steps)`: the path, shape (steps + 1, len(start)), start included."""
    seen = []
    for descent in _DESCENTS:
        outcome = call(candidate, descent.gradient, descent.start.clone(), descent.lr, descent.steps)
        path = outcome.answer(may_change=True, hints=_DESCENT_HINTS)
        truth = descent.truth()
        where = f"On {descent.name} (lr {descent.lr}, {count(descent.steps)})"
        judge_shape(path, truth, where)
        path = path.detach()
        seen.append((descent, path))
        if not path.isfinite().all():
            row = int((~path.isfinite()).any(1).nonzero()[0])
            right = row and close(path[:row], truth[:row])
            filled = "\nAll rows before it are right: was this one ever filled?" if right else ""
            raise Wrong(f"{where} row {row} of your path is not finite: {show(path[row])}.{filled}")
        row = first_difference(path, truth)
        if row is not None:
            part = f"{where} you part from torch.optim.SGD at step {row}: {show(path[row])}, not {show(truth[row])}."
            raise Wrong(f"{part}\n{_descent_mistake(seen, truth, row)}")
        if outcome.changed:
            raise Wrong(outcome.changed)
    return f"your path is that of `torch.optim.SGD` at every step of {len(_DESCENTS)} different descents."


def _descent_mistake(seen: list[tuple[Descent, Tensor]], truth: Tensor, row: int) -> str:
    """What it looks like if the last of these paths first differs in this row, and those before it are right."""
    descent, path = seen[-1]
    steps = descent.steps
    if row and not path[row:].any():
        if row == steps:
            return f"Row {row}, the last, holds only zeros: was it ever filled? Look where your loop ends."
        returns = " Is your `return` inside the loop?" if row == 2 else ""
        return f"Rows {row} to {steps} hold only zeros: were they ever filled?{returns}"
    for mistake in _MOVES:
        if all(close(path, descent.mistaken(mistake)) for descent, path in reversed(seen)):
            return mistake.message
    if steps > 1 and close(path, truth[-1].expand_as(path)):
        return "All rows are the last point: you stored one tensor many times and changed it in place. Store copies."
    if row == 0:
        return "Row 0 should be `start` itself: put it there before the loop."
    first, g = descent.start - path[1], descent.gradient(descent.start)
    lr = float((first @ g) / (g @ g))
    if lr > 0 and close(path, descent.truth(lr=lr)):  # SGD takes no lr below 0
        return f"Every step is as long as if `lr` were {lr:.4g}: is the argument `lr` used as it is?"
    if 1 < row == steps:
        return f"All rows but row {row}, the last, are right: was it ever filled? Look where your loop ends."
    return "Compare that one step by hand: the point before it, minus `lr` times the gradient there."
