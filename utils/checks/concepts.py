"""The checks of the exercises: each runs the answer beside torch.optim and says where the two part, and why.

A check of one's own is a function that takes the answer, raises Wrong(message) at a mistake and returns its praise; the
decorator `check` makes it give a Verdict and never raise. It calls the answer through `call(...).answer()`.
"""

import copy
import math

import torch
from torch import Tensor, nn

from utils.guard import NotYet, Outcome, Verdict, Wrong, call, check, in_short, same

__all__ = ["NotYet", "Outcome", "Verdict", "Wrong", "call", "check"]
__all__ += ["check_gradient_descent", "check_largest_stable_lr", "check_one_step", "check_resume"]


def _vector(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def _show(point: Tensor) -> str:
    return "(" + ", ".join(f"{x:.4g}" for x in point.tolist()) + ")"


def _count(steps: int) -> str:
    return f"{steps} step" + "s" * (steps != 1)


# --- the path of gradient descent -----------------------------------------------------------------------------------

_TILTED = torch.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
_DESCENTS = {  # name: gradient, start, lr, steps
    "a tilted bowl": (lambda x: _TILTED @ x, _vector(4.0, -3.0), 0.1, 6),
    "a curve of one parameter": (lambda x: x**3 + x.sin(), _vector(1.5), 0.05, 9),
    "a ravine beside the origin": (
        lambda x: _vector(1.0, 25.0) * (x - _vector(1.0, 0.5)),
        _vector(-2.0, 1.0),
        0.03,
        12,
    ),
    "a valley of three parameters": (lambda x: x.tanh() + x.flip(0) / 4, _vector(2.0, -1.0, 0.5), 0.4, 5),
    "a single step": (lambda x: 2 * x, _vector(1.0, -2.0), 0.2, 1),
}

# (what is in the error, in its first line if after ^, or in its line of code; what to do about it)
_DESCENT_HINTS = [
    (r"^.*(dtype|can't be cast|scalar type)", "Make your tensors of the same dtype as `start`: `dtype=start.dtype`."),
    (
        r"requires?_grad|requires? grad|backward|\.grad\b|scalar outputs|differentiated",
        "`gradient(x)` already is the gradient, a tensor like `x`: no autograd needed.",
    ),
]

# What the mistake moves by, given the gradients so far, the step from 0 and lr; then what it looks like.
_MOVES = [
    (lambda g, t, lr: 0 * g[-1], "No row differs from `start`: is the new point stored anywhere?"),
    (lambda g, t, lr: -lr * g[-1], "It climbs: the gradient points uphill, so look at the sign of your update."),
    (lambda g, t, lr: g[-1], "It moves by the whole gradient: where does `lr` come in?"),
    (lambda g, t, lr: lr**2 * g[-1], "`lr` is in it twice: each step is `lr` squared times the gradient."),
    (lambda g, t, lr: lr / (t + 1) * g[-1], "Your `lr` shrinks from step to step: here it stays as it is."),
    (lambda g, t, lr: lr * g[0], "Every step uses the gradient at `start`: ask for it anew at each point."),
    (
        lambda g, t, lr: lr * g[0] * (t == 0),
        "Every step goes out from `start`, so it always ends at the same point: go on from the newest point.",
    ),
    (
        lambda g, t, lr: lr * (g[-1] - g[-2] if t else g[-1]),
        "Every step subtracts from `start`, with the newest gradient: subtract from the newest point.",
    ),
    (lambda g, t, lr: lr * sum(g), "Your gradients add up over the steps: that is momentum 1. Use only the newest."),
    (lambda g, t, lr: lr * g[-1] / g[-1].norm(), "All your steps are equally long: do not normalise the gradient."),
    (lambda g, t, lr: lr * g[-1].sign(), "Only the sign of the gradient counts in your step: its size should too."),
]


def _sgd_path(gradient, start: Tensor, lr: float, steps: int) -> Tensor:
    """The path of a real torch.optim.SGD, shape (steps + 1, n)."""
    x = nn.Parameter(start.clone())
    optimizer = torch.optim.SGD([x], lr=lr)
    path = [start.clone()]
    for _ in range(steps):
        x.grad = gradient(x.detach())
        optimizer.step()
        path.append(x.detach().clone())
    return torch.stack(path)


def _mistaken_path(move, gradient, start: Tensor, lr: float, steps: int) -> Tensor:
    path, gradients = [start], []
    for t in range(steps):
        gradients.append(gradient(path[-1]))
        path.append(path[-1] - move(gradients, t, lr))
    return torch.stack(path)


def _close(a: Tensor, b: Tensor) -> bool:
    """Equal up to rounding: of float64, or of float32 if `a` was computed in that."""
    tolerance = 1e-9 if a.dtype == torch.float64 else 1e-4
    return a.shape == b.shape and torch.allclose(a.to(b.dtype), b, rtol=tolerance, atol=tolerance)


@check
def check_gradient_descent(candidate) -> str:
    """Judge `gradient_descent(gradient, start, lr, steps)`: the path, shape (steps + 1, len(start)), start included."""
    for name, (gradient, start, lr, steps) in _DESCENTS.items():
        outcome = call(candidate, gradient, start.clone(), lr, steps)
        path = outcome.answer(may_change=True, hints=_DESCENT_HINTS)
        truth = _sgd_path(gradient, start, lr, steps)
        where = f"On {name} (lr {lr}, {_count(steps)})"
        _judge_shape(path, truth, where)
        path = path.detach()
        if not path.isfinite().all():
            row = int((~path.isfinite()).any(1).nonzero()[0])
            filled = (
                "\nAll rows before it are right: was this one ever filled?" if _close(path[:row], truth[:row]) else ""
            )
            raise Wrong(f"{where} row {row} of your path is not finite: {_show(path[row])}.{filled if row else ''}")
        if not _close(path, truth):
            row = next(i for i in range(len(path)) if not _close(path[i], truth[i]))
            part = f"{where} you part from torch.optim.SGD at step {row}: {_show(path[row])}, not {_show(truth[row])}."
            raise Wrong(f"{part}\n{_descent_mistake(path, truth, row, gradient, start, lr, steps)}")
        if outcome.changed:
            raise Wrong(outcome.changed)
    return f"your path is that of `torch.optim.SGD` at every step of {len(_DESCENTS)} different descents."


def _judge_shape(path, truth: Tensor, where: str) -> None:
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
    if path.shape == truth.shape:
        return
    shape, expected, path = tuple(path.shape), tuple(truth.shape), path.detach()
    rows, steps = shape[0] if shape else 0, len(truth) - 1
    hint = "One row per point, one column per parameter."
    if shape == expected[::-1]:
        hint = "Rows and columns are swapped: `torch.stack(points)` without a second argument makes each point a row."
    elif len(shape) == 2 and shape[1] == expected[1]:
        if rows == steps and _close(path, truth[1:]):
            hint = "The first row should be `start` itself: keep it before you move."
        elif rows == steps and _close(path, truth[:-1]):
            hint = "The point after the last step is missing."
        elif rows == 2 and _close(path, truth[[0, -1]]):
            hint = "Those are the first and the last point: keep the ones between them too."
        elif rows == 2:
            hint = "That is a single step: is your `return` inside the loop?"
        elif rows > steps + 1:
            hint = f"That is {rows - 1} steps: how often does your loop run?"
    elif _close(path, truth[-1]):
        hint = "That is the last point alone: keep all those before it too."
    elif path.numel() == truth.numel():
        hint += " The numbers are as many as they should be: `torch.stack` keeps points apart, `torch.cat` does not."
    raise Wrong(f"{where} your path has the shape {shape}, it should have {expected}. {hint}")


def _descent_mistake(path, truth, row, gradient, start, lr, steps) -> str:
    """What it looks like if the rows before `row` are right and that one is not."""
    if row and not path[row:].any():
        if row == steps:
            return f"Row {row}, the last, holds only zeros: was it ever filled? Look where your loop ends."
        returns = " Is your `return` inside the loop?" if row == 2 else ""
        return f"Rows {row} to {steps} hold only zeros: were they ever filled?{returns}"
    for move, message in _MOVES:
        if _close(path, _mistaken_path(move, gradient, start, lr, steps)):
            return message
    if steps > 1 and _close(path, truth[-1].expand_as(path)):
        return "All rows are the last point: you stored one tensor many times and changed it in place. Store copies."
    if row == 0:
        return "Row 0 should be `start` itself: put it there before the loop."
    first, g = start - path[1], gradient(start)
    factor = float((first @ g) / (g @ g))
    if _close(path, _sgd_path(gradient, start, factor, steps)):
        return f"Every step is as long as if `lr` were {factor:.4g}: is the argument `lr` used as it is?"
    if 1 < row == steps:
        return f"All rows but row {row}, the last, are right: was it ever filled? Look where your loop ends."
    return "Compare that one step by hand: the point before it, minus `lr` times the gradient there."


# --- the largest stable learning rate -------------------------------------------------------------------------------

_SPECTRA = [(1.0, 6.0, 8.0), (0.5, 20.0), (3.0,), (0.1, 0.3, 1.0, 5.0, 7.0), (2.0, 2.0, 2.0, 2.0)]

# (what the mistake returns, given the matrix and its eigenvalues in ascending order; what it looks like)
_LRS = [
    (lambda h, e: 2 / e[0], "It looks like 2 / the smallest eigenvalue: which direction is the first to blow up?"),
    (
        lambda h, e: 1 / e[-1],
        "It looks like 1 / the largest eigenvalue: safe, but the step may overshoot and still shrink.",
    ),
    (
        lambda h, e: 2 / (e[0] + e[-1]),
        "It looks like 2 / (smallest + largest eigenvalue): the fastest lr, not the edge.",
    ),
    (lambda h, e: 2 / h.trace(), "It looks like 2 / trace: that sums all eigenvalues, and only one of them decides."),
    (
        lambda h, e: 2 / e.mean(),
        "It looks like 2 / mean eigenvalue: the directions do not average, one of them decides.",
    ),
    (
        lambda h, e: 2 / h.diag().max(),
        "It looks like 2 / largest diagonal entry: right only if the axes are not tilted.",
    ),
    (lambda h, e: 2 / h.norm(), "It looks like 2 / Frobenius norm: that mixes all eigenvalues, and only one decides."),
    (
        lambda h, e: 2 / h.abs().sum(0).max(),
        "It looks like 2 / largest row sum: a bound on the eigenvalue, not its value.",
    ),
    (lambda h, e: e[-1] / 2, "It looks like the largest eigenvalue / 2: should a steeper loss allow a larger lr?"),
    (
        lambda h, e: 2 * e[0] / e[-1],
        "It looks like 2 / κ, with κ = largest / smallest eigenvalue: "
        "right only where the smallest is 1. Does that one matter?",
    ),
    (
        lambda h, e: e[0] / e[-1],
        "It looks like 1 / κ, with κ = largest / smallest eigenvalue: does the smallest one matter for the edge?",
    ),
    (
        lambda h, e: e[-1] / e[0],
        "It looks like κ, largest / smallest eigenvalue: it tells how many steps are needed, not how large one may be.",
    ),
    (lambda h, e: e[-1], "It looks like the largest eigenvalue itself: that is a curvature, not yet a lr."),
    (lambda h, e: 2 / e[-1] ** 2, "It looks like 2 / largest eigenvalue squared: was the matrix multiplied by itself?"),
    (lambda h, e: 2 / e[-1].sqrt(), "It looks like 2 / root of the largest eigenvalue: take no root here."),
    (lambda h, e: 1 / e[0], "It looks like 1 / the smallest eigenvalue: which direction is the first to blow up?"),
]


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
    hessian = axes @ torch.diag(_vector(*spectrum)) @ axes.T
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
            ran = f"even at 0.98 × that the loss went from 1 to {below:.2g} in {_count(steps)}: too large"
        else:
            ran = f"even at 1.02 × that the loss fell from 1 to {above:.2g} in {_count(last)}: too small"
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
        for formula, message in _LRS:
            if all(math.isclose(lr, float(formula(h, e)), rel_tol=1e-3) for lr, h, e in cases):
                return message
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


# --- resuming from a checkpoint -------------------------------------------------------------------------------------

_RECIPES = {  # how the optimizers of the exercise are built; its checkpoint holds an lr that was lowered since
    "SGD with momentum": lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9),
    "Adam": lambda params: torch.optim.Adam(params, lr=0.05),
}
_RESUME_HINTS = [
    (
        r'Unexpected key\(s\) in state_dict: "model", "optimizer"',
        "`checkpoint` holds two state dicts: take `['model']` for the model.",
    ),
    (
        r'Unexpected key\(s\) in state_dict: "state", "param_groups"',
        "That is the state dict of the optimizer: take `['model']` for the model.",
    ),
    (
        "KeyError: 'param_groups'",
        "`checkpoint` holds two state dicts: take `['optimizer']` for the optimizer.",
    ),
    (
        "KeyError: 'step'",  # Adam, given the state of another
        "The state is of another class of optimizer than yours: build the optimizer with `make_optimizer`.",
    ),
    ("_IncompatibleKeys", "`load_state_dict` works in place and returns no model: do not assign what it returns."),
]
_LOWERED, _BEFORE, _AFTER = 0.02, 5, 5  # lr of the checkpoint, steps before it, steps after it


def _fresh_model(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()


def _steps(model: nn.Module, optimizer: torch.optim.Optimizer, numbers) -> list[list[Tensor]]:
    """Take the steps with these numbers, each on a batch of its own; the parameters after each."""
    after = []
    for number in numbers:
        x = torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(number))
        optimizer.zero_grad()
        (model(x) - x.prod(1, keepdim=True)).square().mean().backward()
        optimizer.step()
        after.append([p.detach().clone() for p in model.parameters()])
    return after


@check
def check_resume(candidate) -> str:
    """Judge `resume(checkpoint, make_model, make_optimizer)`: (model, optimizer) that go on as if never stopped."""
    shared = False
    for name, make_optimizer in _RECIPES.items():
        model = _fresh_model(0)
        expected = make_optimizer(model.parameters())
        _steps(model, expected, range(_BEFORE))
        expected.param_groups[0]["lr"] = _LOWERED
        checkpoint = copy.deepcopy({"model": model.state_dict(), "optimizer": expected.state_dict()})
        untouched = copy.deepcopy(checkpoint)
        further = range(_BEFORE, _BEFORE + _AFTER)
        truth = _steps(model, expected, further)

        made = []  # every model made for the student, with the parameters that it had at birth

        def make_model(made=made):
            fresh = _fresh_model(1 + len(made))
            made.append((fresh, list(fresh.parameters())))
            return fresh

        resumed = call(candidate, checkpoint, make_model, make_optimizer).answer(hints=_RESUME_HINTS)
        model, optimizer = _judge_pair(resumed)
        _judge_parameters(model, optimizer, made)
        shapes = [
            {key: tuple(t.shape) for key, t in state.items()} for state in (model.state_dict(), checkpoint["model"])
        ]
        if shapes[0] != shapes[1]:
            raise Wrong(
                "The model that you return has other parameters than `checkpoint['model']`: take `make_model()`."
            )
        suspicion = _resume_mistake(model, optimizer, untouched)
        other_class = type(optimizer) is not type(expected)
        if other_class:
            kinds = f"Your optimizer is of the class `{type(optimizer).__name__}`, that of the checkpoint of"
            suspicion = f"{kinds} `{type(expected).__name__}`: build the optimizer with `make_optimizer`."
        outcome = call(_steps, model, optimizer, further)
        if outcome.error:  # raised in no line of the student's
            raised = f"With {name} the run cannot go on: a step raises `{in_short(outcome.error)}`."
            raise Wrong(f"{raised}\n{suspicion}" if other_class else raised)
        path = outcome.answer(may_change=True)
        for number, (ours, theirs) in enumerate(zip(truth, path, strict=True), start=1):
            if not all(map(torch.equal, ours, theirs)):
                gap = max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))
                where = f"With {name} your run parts from the uninterrupted one at step {number} after resuming"
                raise Wrong(f"{where}: the parameters differ by up to {gap:.2g}.\n{suspicion}")
        if not same(untouched["model"], checkpoint["model"]):
            raise Wrong(
                f"With {name} training on changed `checkpoint['model']`: your model shares its tensors, so nobody can "
                "resume from it twice. `load_state_dict` copies the numbers."
            )
        shared = shared or not same(untouched["optimizer"], checkpoint["optimizer"])
    praise = f"with {' and with '.join(_RECIPES)} all {_AFTER} further steps equal the uninterrupted run, bit for bit."
    if shared:
        praise += (
            "\nMind: `optimizer.load_state_dict` keeps the checkpoint's own tensors, so training on changed them. To "
            "resume twice from one checkpoint in memory, load a `copy.deepcopy` of it."
        )
    return praise


def _judge_pair(resumed) -> tuple[nn.Module, torch.optim.Optimizer]:
    if isinstance(resumed, nn.Module | torch.optim.Optimizer):
        only = "model" if isinstance(resumed, nn.Module) else "optimizer"
        raise Wrong(f"You returned only the {only}: going on takes the model and the optimizer, in this order.")
    if not isinstance(resumed, tuple | list) or len(resumed) != 2:
        raise Wrong(
            f"You returned an object of type `{type(resumed).__name__}`: a pair (model, optimizer) is asked for."
        )
    first, second = resumed
    if isinstance(first, torch.optim.Optimizer) and isinstance(second, nn.Module):
        raise Wrong("You returned (optimizer, model): the model comes first.")
    for thing, kind, name in ((first, nn.Module, "model"), (second, torch.optim.Optimizer, "optimizer")):
        if isinstance(thing, kind):
            continue
        found = "None" if thing is None else f"a `{type(thing).__name__}`"
        hint = ""
        if thing is None or type(thing).__name__ == "_IncompatibleKeys":  # what load_state_dict returns
            hint = f" `load_state_dict` works in place and returns no {name}: do not assign what it returns."
        should = "a module" if kind is nn.Module else "an optimizer"
        raise Wrong(f"In your pair there is {found} where {should} should be.{hint}")
    return first, second


def _judge_parameters(model: nn.Module, optimizer: torch.optim.Optimizer, made: list) -> None:
    """The optimizer must hold the very tensors that the model computes with."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    own = {id(p) for p in model.parameters()}
    if own <= held:
        return
    if own & held:
        raise Wrong(
            f"Your optimizer holds {len(own & held)} of the model's {len(own)} parameters: the others never move."
        )
    if any(model is fresh and held & {id(p) for p in birth} for fresh, birth in made):
        raise Wrong(
            "Your optimizer holds the parameters that the model had before they were replaced. Those get no gradient, "
            "so `step()` skips them. Which has to come first, or is replacing needed at all?"
        )
    raise Wrong(
        "Your optimizer was built on another model than the one you return. The parameters that it holds get no "
        "gradient, so `step()` skips them, and your model stays as it is. How many models do you make?"
    )


def _resume_mistake(model: nn.Module, optimizer: torch.optim.Optimizer, checkpoint: dict) -> str:
    """What is not the checkpoint's before the first further step."""
    if not same(checkpoint["model"], dict(model.state_dict())):
        return "The model that you return does not hold the parameters of `checkpoint['model']`: was it loaded?"
    ours, theirs = optimizer.state_dict(), checkpoint["optimizer"]
    if not ours["state"]:
        kept = ", ".join(f"`{key}`" for key in theirs["state"][0])
        return f"The optimizer starts from nothing: what `checkpoint['optimizer']` kept ({kept}) is lost."
    lr, kept = ours["param_groups"][0]["lr"], theirs["param_groups"][0]["lr"]
    if lr != kept:
        return f"The lr is {float(lr):g} where the checkpoint has {kept:g}: who sets it after the state was loaded?"
    if not same(theirs["state"], ours["state"]):
        return (
            "The optimizer has a state, but not that of `checkpoint['optimizer']`: does anything change it afterwards?"
        )
    return "Model, state and lr are right before that step: does anything else change what a step does?"


# --- one step, the exercise of the first notebook -------------------------------------------------------------------

_STEPS = [(3.0, 2.0, 0.1), (-1.0, -4.0, 0.5), (0.0, 6.0, 0.01)]  # w, gradient, lr

_ONE_STEP_MISTAKES = [
    (lambda w, g, lr: w + lr * g, "It goes uphill: the gradient points to where the loss grows. Look at the sign."),
    (lambda w, g, lr: w - g, "It moves by the whole gradient: where does `lr` come in?"),
    (lambda w, g, lr: w - lr, "It moves by `lr` whatever the gradient is."),
    (lambda w, g, lr: -lr * g, "That is the step alone: add it to where you are."),
    (lambda w, g, lr: lr * g, "That is the length of the step: subtract it from where you are."),
    (lambda w, g, lr: w, "`w` comes back as it was."),
]


@check
def check_one_step(candidate) -> str:
    """Judge `one_step(w, gradient, lr)`: where one step of gradient descent leads from the number `w`."""
    for w, gradient, lr in _STEPS:
        answer = call(candidate, w, gradient, lr).answer()
        if isinstance(answer, bool) or not isinstance(answer, int | float):
            raise Wrong(f"You returned an object of type `{type(answer).__name__}`: one number is asked for.")
        if not math.isclose(answer, w - lr * gradient, rel_tol=1e-9, abs_tol=1e-12):
            alike = (
                message
                for mistake, message in _ONE_STEP_MISTAKES
                if all(_returns(candidate, step, mistake(*step)) for step in _STEPS)
            )
            hint = next(alike, "How far, and to which side, does the formula above tell you to go?")
            raise Wrong(f"From w = {w:g} with gradient {gradient:g} and lr {lr:g} you come to {answer:g}. {hint}")
    return "that is the step that every optimizer in this workshop is built around."


def _returns(candidate, step, value: float) -> bool:
    answer = call(candidate, *step).value
    return isinstance(answer, int | float) and math.isclose(answer, value, rel_tol=1e-9, abs_tol=1e-12)
