"""The bug clinics: each check runs a repaired program and says whether the fault is gone, and which it was.

Here are loops that train; clinic_classes has optimizers, clinic_experiments what surrounds a run. While a program still
shows what it showed on the page, its verdict is that of an exercise not yet begun, and names no fault.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn, optim

from utils.checks.paths import count
from utils.guard import NotYet, Wrong, call, check
from utils.practice import sick_runs
from utils.schedules import lr_curve

__all__ = ["check_clipping", "check_fresh", "check_log", "check_moves", "check_words", "clinic", "still"]

clinic = partial(check, help="Stuck? Open “Diagnosis” below this cell.")
IN_PLACE = [
    ("leaf Variable|view of a leaf", "Autograd watches a parameter: what changes it belongs under `torch.no_grad()`.")
]


def still(seen: str) -> NotYet:
    """What a check raises where the program behaves as on the page; `seen` is the symptom."""
    return NotYet(f"The fault is still there: {seen}")


@clinic
def check_moves(candidate: Callable) -> str:
    """Judge `by_hand(model)`: its steps bring the only weight of the model nearer to 3."""
    for start in (0.0, 5.0):
        model = nn.Linear(1, 1, bias=False)
        nn.init.constant_(model.weight, start)
        call(candidate, model).answer(may_change=True, hints=IN_PLACE)
        reached = model.weight.item()
        if reached == start:
            raise still(f"the weight of the model is {start:g} before the loop, and {start:g} after it.")
        if not abs(reached - 3) < abs(start - 3):
            away = (reached - start) * (3 - start) < 0
            why = "which way does the gradient point?" if away else "how much of the gradient makes a step?"
            raise Wrong(f"The weight moves now, from {start:g} to {reached:.3g}. The loss is lowest at 3: {why}")
    return (
        "the weight moves towards 3. It was the name: `param = …` binds it to a new tensor, and the tensor inside the "
        "model stays as it was."
    )


@clinic
def check_fresh(candidate: Callable) -> str:
    """Judge `fresh_start(make_model, x, y)`: the losses of a model that learns."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=generator)
    y = x[:, :3].argmax(1)

    def make_model(seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))

    losses = _numbers(call(candidate, make_model, x, y).answer(may_change=True), "the loss at each step")
    if len(losses) < 2:
        raise Wrong(f"You returned {count(len(losses))}: two or more show whether the loss moves.")
    if np.ptp(losses) == 0:
        raise still(f"on data of the check's own the loss is {losses[0]:.4f} at every step.")
    if not losses[-1] < losses[0]:
        raise Wrong(f"The loss moves now, and not down: it goes from {losses[0]:.4f} to {losses[-1]:.4f}.")
    return (
        f"the loss falls from {losses[0]:.2f} to {losses[-1]:.2f}. It was the order: the optimizer held the parameters "
        "of a model that was then replaced, and `step()` found no gradients there."
    )


_WORDS = [5, 2, 2, 9]
_LAYOUTS = [
    ("does not support sparse gradients", "The gradient is sparse now: which optimizer of torch takes one?"),
    ("does not support dense gradients", "`SparseAdam` asks for the sparse layout: `nn.Embedding(…, sparse=True)`."),
]


@clinic
def check_words(candidate: Callable) -> str:
    """Judge `embed(words)`: the rows that move at each step are those of the words that occur in it."""
    moved = call(candidate, list(_WORDS)).answer(hints=_LAYOUTS)
    if not isinstance(moved, list) or len(moved) != len(_WORDS) or not all(isinstance(rows, list) for rows in moved):
        raise Wrong("Return a list for each word: the rows that moved when it occurred, as `embed` did at first.")
    for word, rows in zip(_WORDS, moved, strict=True):
        if word not in rows:
            raise Wrong(f"Word {word} occurs, and its row does not move: only those that are absent should stay.")
        if absent := [row for row in rows if row != word]:
            raise still(f"when word {word} occurs, row {absent[0]} moves as well.")
    return (
        "a row moves only when its word occurs. The optimizer did not fit the layout of the gradient: a dense Adam "
        "keeps averages for every row and goes on moving it by them."
    )


@clinic
def check_clipping(candidate: Callable) -> str:
    """Judge `train_clipped(model, batches)`: the length of a step does not follow that of a large gradient."""
    small, large = (_first_step(candidate, scale) for scale in (1e4, 1e6))
    if not small[0]:
        raise Wrong("The model is as it was: each batch should end in `optimizer.step()`.")
    if all(b < 2 * a for a, b in zip(small, large, strict=True)):
        return (
            "a gradient a hundred times as large makes the same step. It was the order: before `backward()` there is "
            "no gradient to clip, and `clip_grad_norm_` does not complain."
        )
    loss = call(candidate, sick_runs.reader(0), sick_runs.windows(0, steps=30), timeout=30.0).answer(may_change=True)
    if not np.isfinite(loss):
        raise still("after 30 steps the loss is not finite.")
    raise Wrong(
        "The loss stays finite now, but the gradient still is not clipped: where it is a hundred times as large, so is "
        f"{'the step' if large[0] > 2 * small[0] else 'what `.grad` holds when the step is taken'}."
    )


def _first_step(candidate: Callable, scale: float) -> tuple[float, float]:
    """How far one batch moves the model when gradients are `scale` times as large; and the gradient that is left."""
    model = sick_runs.reader(1)
    for p in model.parameters():
        p.register_hook(lambda g: scale * g)
    before = sick_runs.flat(model)
    call(candidate, model, sick_runs.windows(1, steps=1), timeout=30.0).answer(may_change=True)
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    return (sick_runs.flat(model) - before).norm().item(), nn.utils.get_total_norm(grads).item() if grads else 0.0


@clinic
def check_log(candidate: Callable) -> str:
    """Judge `logged_run()`: the lr of each of the 40 steps of a OneCycleLR up to 0.03."""
    logged = _numbers(call(candidate, timeout=60.0).answer(), "the lr of each step")
    used = lr_curve(partial(optim.lr_scheduler.OneCycleLR, max_lr=0.03, total_steps=40), 40, lr=0.03)
    if len(logged) != len(used):
        raise Wrong(f"You logged {len(logged)} lrs in {len(used)} steps: one for each step is asked for.")
    differ = np.flatnonzero(~np.isclose(logged, used, rtol=1e-6))
    if not len(differ):
        return (
            "each lr is the one that its step used. `optimizer.defaults` holds what the constructor was given; a "
            "scheduler writes to `param_groups`, and what stands there after its step belongs to the next one."
        )
    step = differ[0]
    if np.ptp(logged) == 0:
        raise still(f"{logged[0]:g} is logged at every step.")
    part = f"at step {step + 1} you log {logged[step]:.4g}, and that step used {used[step]:.4g}."
    if np.allclose(logged[:-1], used[1:], rtol=1e-6):
        raise Wrong(f"The log moves now, one step ahead: {part} When does the scheduler write?")
    raise Wrong(f"The log moves now, but {part}")


def _numbers(answer, what: str) -> np.ndarray:
    """A list of numbers, or of lists or tensors with one each, as float64 of shape (n,)."""
    try:
        return np.array([float(Tensor(each) if isinstance(each, list) else each) for each in answer])
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"Return a list of numbers: {what}.") from None
