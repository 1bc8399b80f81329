"""The checks of notebook 05b's exercises on sick runs: eight curves told apart, and one mistake made on purpose."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from utils.guard import NotYet, Wrong, call, check, not_yet
from utils.practice.sick_runs import MISTAKES, Signals, flat, lettered, reader, recognise, spoiled, text_loss, windows

__all__ = ["check_diagnosis", "check_reproduced"]

# --- eight curves -----------------------------------------------------------------------------------------------------


@check
def check_diagnosis(candidate: dict) -> str:
    """Judge `answers`: letter → the name of the mistake, for the curves of sick_runs.lettered()."""
    truth = lettered()
    if candidate is ... or (isinstance(candidate, dict) and any(value is ... for value in candidate.values())):
        raise NotYet(not_yet("`answers`"))
    if not isinstance(candidate, dict) or set(candidate) != set(truth):
        raise Wrong('`answers` is a dict with a mistake for each letter: `{"A": "lr too high", "B": …}`.')
    known = {name.lower(): name for name in MISTAKES}
    answers = {}
    for letter in truth:
        answer = candidate[letter]
        if not isinstance(answer, str) or answer.strip().lower() not in known:
            raise Wrong(f"{letter}: `{answer}` is none of the eight: {', '.join(MISTAKES)}.")
        answers[letter] = known[answer.strip().lower()]
    wrong = [letter for letter in truth if answers[letter] != truth[letter]]
    if not wrong:
        return "all eight. In real life the signals are the same; only the letters are missing."
    first, *others = [_not_so(letter, answers[letter], truth[letter]) for letter in wrong]
    raise Wrong(f"{8 - len(wrong)} of 8 are right. {first}", others)


def _not_so(letter: str, answer: str, truth: str) -> str:
    """What would be seen if the answer were right, and what is."""
    return (
        f"{letter} is not “{answer}”. There you would see that {MISTAKES[answer].message}.\n"
        f"But {letter} shows this: {told(spoiled(truth))}."
    )


def told(signals: Signals) -> str:
    """The four signals of a run in words."""
    done = np.isfinite(signals.loss)
    if not done.all():
        last = int(done.sum()) - 1
        return (
            f"a loss that is not finite after step {last}, and a gradient that went from {signals.gradient[0]:.2g} to "
            f"{np.nanmax(signals.gradient):.2g}"
        )
    loss, weights, update = signals.loss, signals.weights, signals.update
    return (
        f"loss {loss[0]:.2g} → {loss[-10:].mean():.2g}, lowest {loss.min():.2g}; weights' norm {weights[0]:.2g} → "
        f"{weights[-1]:.2g}; length of the updates {np.median(update[:10]):.2g} → {np.median(update[-5:]):.2g}"
    )


# --- one of them, by one's own hand -----------------------------------------------------------------------------------

REPRODUCE, _SEED = "scheduler per iteration", 7


class _Watched:
    """Hands out batches and notes, between two of them, what the model shows: loss, gradient, weights, update."""

    def __init__(self, model: nn.Module, batches: list):
        self.model, self.batches, self.rows = model, batches, []

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self):
        before = flat(self.model)
        for x, y in self.batches:
            with torch.no_grad():
                loss = text_loss(self.model, x, y).item()
            yield x, y
            grads = [p.grad for p in self.model.parameters() if p.grad is not None]
            norm = nn.utils.get_total_norm(grads).item() if grads else 0.0
            now = flat(self.model)
            self.rows.append((loss, norm, now.norm().item(), (now - before).norm().item()))
            before = now


@check
def check_reproduced(candidate: Callable) -> str:
    """Judge `sick_run(model, batches)`: it trains the model so that it shows the symptoms of REPRODUCE."""
    model, batches = reader(_SEED), windows(_SEED)
    watched = _Watched(model, batches)
    call(candidate, model, watched, timeout=30.0).answer(may_change=True, may_be_none=True)
    if len(watched.rows) < len(batches):
        raise Wrong(f"Your run took {len(watched.rows)} of the {len(batches)} batches: go through all of them.")
    signals = Signals(*np.array(watched.rows).T)
    seen = recognise(signals)
    if seen == REPRODUCE:
        return f"the same illness, on another seed: {told(signals)}."
    looks = "a healthy run" if seen == "healthy" else f"“{seen}”"
    raise Wrong(
        f"Your run looks like {looks}: {told(signals)}.\nAsked for is “{REPRODUCE}”: {MISTAKES[REPRODUCE].message}."
    )
