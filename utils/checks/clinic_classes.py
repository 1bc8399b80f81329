"""The bug clinics of notebook 03: two optimizers that train, each with one fault."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn, optim

from utils.checks.clinics import IN_PLACE, clinic, still
from utils.checks.custom import judge_kind
from utils.checks.examiner.attempt import Attempt, attempt
from utils.checks.examiner.cases import apart
from utils.guard import Wrong

__all__ = ["check_borrowed", "check_repaired"]

_STEPS, _SECONDS = 12, 5.0


@clinic
def check_repaired(candidate: type) -> str:
    """Judge a class `Repaired(params, lr)`: torch's SGD, with and without a closure, and no graph kept."""
    judge_kind(candidate)
    torchs = partial(optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.1)
    plain = _led(partial(_walk, closure=False), candidate)
    if remembered := plain.effects["graph"]:
        raise still(f"after {_STEPS} steps autograd remembers {remembered} operations.")
    _judge_values(plain, _led(partial(_walk, closure=False), torchs), "Autograd remembers nothing any more, but")
    closed = attempt(partial(_walk, closure=True), partial(candidate, lr=0.1), _SECONDS)
    if closed.error:
        raise Wrong(f"Memory no longer grows, but with a closure: {closed.error} Are gradients enabled while it runs?")
    _judge_values(closed, _led(partial(_walk, closure=True), torchs), "With a closure")
    return (
        "autograd remembers nothing, a closure works, and the values are those of SGD. The step ran under autograd, so "
        "the buffer carried the operations of all steps before; `.data` hid the warning."
    )


@clinic
def check_borrowed(candidate: type) -> str:
    """Judge a class `Borrowed(params, lr)`: SGD with momentum, however the gradients are cleared."""
    judge_kind(candidate)
    truth = _led(_clear, partial(optim.SGD, lr=0.1, momentum=0.9))
    home, neighbour = (_led(partial(_clear, set_to_none=none), candidate) for none in (True, False))
    _judge_values(home, truth, "At home, with `set_to_none=True`,")
    if apart(neighbour.rows, truth.rows):
        ends = [at.rows[-1][0].item() for at in (home, neighbour)]
        raise still(f"after {_STEPS} steps w is {ends[0]:+.3f} at home and {ends[1]:+.3f} next door.")
    return (
        "the same at home and next door. The buffer was no copy: it was the tensor of the first gradient, which "
        "`zero_grad(set_to_none=False)` clears and the next `backward()` fills again."
    )


def _led(run: Callable, make: Callable) -> Attempt:
    """What came of it; raises Wrong if it did not come to its end."""
    at = attempt(run, partial(make, lr=0.1), _SECONDS)
    if at.error:
        hint = next((f"\n{hint}" for word, hint in IN_PLACE if any(w in at.error for w in word.split("|"))), "")
        raise Wrong(f"{at.error}{hint}")
    return at


def _judge_values(ours: Attempt, truth: Attempt, where: str) -> None:
    if part := apart(ours.rows, truth.rows):
        step, _ = part
        a, b = (at.rows[step][0].flatten()[0].item() for at in (ours, truth))
        raise Wrong(
            f"{where} the values are no longer torch's: at step {step + 1} you come to {a:.4g}, torch to {b:.4g}."
        )


def _walk(make: Callable, at: Attempt, *, closure: bool) -> None:
    w = nn.Parameter(torch.tensor([3.0, 2.0, -1.0], dtype=torch.float64))
    optimizer = make([w])

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = ((w - 1) ** 2).sum() / 2
        value.backward()
        return value

    for at.step in range(1, _STEPS + 1):
        if closure:
            optimizer.step(loss)
        else:
            w.grad = w.detach() - 1
            optimizer.step()
        at.rows.append([w.detach().clone()])
    held = [x for state in optimizer.state.values() for x in state.values() if isinstance(x, torch.Tensor)]
    at.effects["graph"] = len(set(_operations([x.grad_fn for x in held])))


def _operations(waiting: list) -> Iterator:
    """All that autograd remembers behind these."""
    met = set()
    while waiting:
        function = waiting.pop()
        if function is not None and function not in met:
            met.add(function)
            yield function
            waiting += [earlier for earlier, _ in function.next_functions]


def _clear(make: Callable, at: Attempt, *, set_to_none: bool = True) -> None:
    w = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = make([w])
    for at.step in range(1, _STEPS + 1):
        optimizer.zero_grad(set_to_none=set_to_none)
        (w**2 / 2).sum().backward()
        optimizer.step()
        at.rows.append([w.detach().clone()])
