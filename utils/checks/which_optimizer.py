"""The checks of notebook 02d's exercises: tune an optimizer within a budget, and tell optimizers by their traces."""

from functools import partial

import numpy as np
import torch
from torch import nn, optim

from utils.descent import Trace, descend
from utils.guard import NotYet, Wrong, call, check, not_yet
from utils.surfaces import ravine, rosenbrock

__all__ = ["BUDGET", "CANDIDATES", "TARGET", "check_tuned", "check_which", "mysteries"]

# --- an optimizer for Rosenbrock's valley -----------------------------------------------------------------------------

BUDGET, TARGET = 200, 0.005  # steps, and the loss to reach within them
_FACTORS = 10 ** np.arange(-2, 2.01, 0.125)  # other lrs that the check tries


@check
def check_tuned(candidate) -> str:
    """Judge `my_optimizer(params)`: the optimizer that it makes reaches TARGET on Rosenbrock in BUDGET steps."""
    parameter = nn.Parameter(torch.tensor(rosenbrock().start, dtype=torch.float64))
    optimizer = call(candidate, [parameter], timeout=20).answer(may_change=True)
    if isinstance(optimizer, type) or not isinstance(optimizer, optim.Optimizer):
        kind = optimizer.__name__ if isinstance(optimizer, type) else type(optimizer).__name__
        raise Wrong(
            f"You returned `{kind}`, and an optimizer that holds `params` is asked for: `return optim.…(params, …)`."
        )
    if not any(p is parameter for group in optimizer.param_groups for p in group["params"]):
        raise Wrong("Your optimizer does not hold the `params` that your function got: it would move something else.")
    if isinstance(optimizer, optim.LBFGS):
        raise Wrong(
            "LBFGS asks for up to 20 gradients in one step, so its 200 steps are not this budget. Take an optimizer "
            "that asks for one."
        )
    name = type(optimizer).__name__
    trace = _walk(candidate, 1.0)
    end = _end(trace)
    if end <= TARGET:
        return f"{name} ends at {end:.2g} after {BUDGET} steps; the target {TARGET} was met at step {_met(trace)}."
    ends = np.array([_end(_walk(candidate, factor)) for factor in _FACTORS])
    if trace.diverged_at is not None:
        told = f"{name} left the valley at step {trace.diverged_at}: its lr is too large."
    else:
        told = f"{name} ends at {end:.2g} after {BUDGET} steps, {end / TARGET:.0f} times the target of {TARGET}."
        best = _FACTORS[ends.argmin()]
        if ends.min() > end / 2:
            told += " Other lrs do not help it."
        else:
            told += f" Its lr is too {'small' if best > 1 else 'large'}."
    if ends.min() <= TARGET:
        raise Wrong(f"{told}\nThis optimizer can do it: there is an lr with which it ends at {ends.min():.2g}.")
    raise Wrong(
        f"{told}\nNone of the {len(_FACTORS)} lrs that the check tried, from yours / 100 to yours × 100, meets the "
        f"target (the best ends at {ends.min():.2g}): change another setting, or take another optimizer."
    )


def _walk(candidate, factor: float) -> Trace:
    """BUDGET steps of the student's optimizer, its lr times `factor`."""

    def scaled(params):
        optimizer = candidate(params)
        for group in optimizer.param_groups:
            group["lr"] = factor * group["lr"]
        return optimizer

    return call(partial(descend, rosenbrock(), scaled), BUDGET, timeout=20).answer(may_change=True)


def _end(trace: Trace) -> float:
    return float(trace.loss[-1]) if np.isfinite(trace.loss[-1]) else np.inf


def _met(trace: Trace) -> int:
    """The step from which on the loss stays at the target or below."""
    above = np.flatnonzero(~(trace.loss <= TARGET))
    return int(above[-1]) + 1


# --- which optimizer left this trace? ---------------------------------------------------------------------------------

CANDIDATES = {
    "SGD": optim.SGD,
    "Momentum": partial(optim.SGD, momentum=0.9),
    "Nesterov": partial(optim.SGD, momentum=0.9, nesterov=True),
    "Adagrad": optim.Adagrad,
    "RMSprop": optim.RMSprop,
    "Adam": optim.Adam,
}
_MYSTERIES = {"A": ("Adagrad", 0.2), "B": ("RMSprop", 0.03), "C": ("Momentum", 0.02)}  # the optimizer and its lr
_HINTS = {
    "A": "Both coordinates move by lr at first, though their gradients differ: which ones divide a gradient by its own "
    "size? And from the second step on it gets shorter: who never forgets a gradient?",
    "B": "Both coordinates move by the same length at first, and it is ten times lr: whose average starts at zero, "
    "without a correction, so that the first divisor is a tenth of the gradient?",
    "C": "The first step is lr times the gradient, the second is longer than gradient and lr explain: something is "
    "carried over. With a look ahead the very first step would be longer too.",
}


def mysteries() -> dict[str, Trace]:
    """Three traces on the same ravine, κ = 20, 40 steps each; their labels tell the lr, not the optimizer."""
    return {letter: _replay(name, lr, f"{letter}, lr {lr}") for letter, (name, lr) in _MYSTERIES.items()}


def _replay(name: str, lr: float, label: str) -> Trace:
    return descend(ravine(20), partial(CANDIDATES[name], lr=lr), 40, label=label)


@check
def check_which(candidate) -> str:
    """Judge `answers`: a dict from each letter of mysteries() to the name of the optimizer that left that trace."""
    if candidate is ... or (isinstance(candidate, dict) and any(value is ... for value in candidate.values())):
        raise NotYet(not_yet("`answers`"))
    if not isinstance(candidate, dict) or set(candidate) != set(_MYSTERIES):
        raise Wrong('`answers` is a dict with a name for each letter: `{"A": "SGD", "B": …, "C": …}`.')
    known = {name.lower(): name for name in CANDIDATES}
    for letter, answer in candidate.items():
        if not isinstance(answer, str) or answer.strip().lower() not in known:
            raise Wrong(f"{letter}: `{answer}` is none of the six that may have done it: {', '.join(CANDIDATES)}.")
    named = {letter: known[answer.strip().lower()] for letter, answer in candidate.items()}
    wrong = [_not_by(letter, named[letter]) for letter, (truth, _) in _MYSTERIES.items() if named[letter] != truth]
    if wrong:
        raise Wrong(wrong[0], wrong[1:])
    return "each of the three, run again, leaves its trace to the last bit."


def _not_by(letter: str, named: str) -> str:
    """Where the trace of this letter parts from that of the optimizer that was named."""
    truth, lr = _MYSTERIES[letter]
    true, other = (np.diff(_replay(name, lr, name).path, axis=0) for name in (truth, named))
    step = int(np.flatnonzero(~np.isclose(true, other).all(axis=1))[0])
    return (
        f"{letter} is not {named}: with lr {lr} they part at step {step + 1}, where {named} moves by "
        f"{_move(other[step])} and {letter} by {_move(true[step])}.\n{_HINTS[letter]}"
    )


def _move(step: np.ndarray) -> str:
    return f"({step[0]:+.3f}, {step[1]:+.3f})"
