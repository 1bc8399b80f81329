"""What each judge says of an optimizer, as a short text: FINE where the judge is right, WRONG where it is not.

A judge is a function of a factory `make(params, lr=…)`. One more judge is one more entry in JUDGES.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from utils.checks.examiner.examine import examine
from utils.descent import descend
from utils.guard import Wrong
from utils.internals.process_state import as_it_was
from utils.internals.stepping import set_mode
from utils.labs.race import race
from utils.labs.race_picture import Entry
from utils.labs.racers import PROBLEMS
from utils.labs.racers import STEPS as RACED
from utils.surfaces import ravine
from utils.sweeps import sweep

STEPS, SEEDS, LRS = 40, (0, 1), (0.003, 0.03)
CLOSE = 1e-3  # relative
_draw = torch.Generator().manual_seed(0)
X = torch.randn(STEPS, len(SEEDS), 16, 6, generator=_draw, dtype=torch.float64)
Y = torch.randn(STEPS, len(SEEDS), 16, 3, generator=_draw, dtype=torch.float64)


def init(seed):
    draw = torch.Generator().manual_seed(seed)
    shapes = {"V": (6, 8), "a": (8,), "W": (8, 3), "b": (3,)}
    return {name: torch.randn(shape, generator=draw, dtype=torch.float64) / 2 for name, shape in shapes.items()}


def loss(p, step):
    hidden = (torch.einsum("sbi,gsio->gsbo", X[step], p["V"]) + p["a"].unsqueeze(-2)).tanh()
    return (hidden @ p["W"] + p["b"].unsqueeze(-2) - Y[step]).square().mean((-1, -2))


def alone(make: Callable, lr: float, place: int) -> np.ndarray:
    """(STEPS,): the losses of one run in a plain loop: backward, then step, with a closure if it must."""
    try:
        return _alone(make, lr, place, closure=False)
    except Exception as error:
        try:
            return _alone(make, lr, place, closure=True)
        except Exception:
            raise error from None


def _alone(make, lr, place, *, closure):
    p = {name: nn.Parameter(value) for name, value in init(SEEDS[place]).items()}
    torch.manual_seed(SEEDS[place])
    optimizer = make(list(p.values()), lr=lr)
    set_mode(optimizer, training=True)
    losses = np.empty(STEPS)
    for step in range(STEPS):

        def ask(step=step):
            optimizer.zero_grad()
            now = ((X[step, place] @ p["V"] + p["a"]).tanh() @ p["W"] + p["b"] - Y[step, place]).square().mean()
            now.backward()
            return now

        losses[step] = ask().item()
        optimizer.step(ask) if closure else optimizer.step()
    return losses


def swept(make: Callable) -> str:
    """sweep(): each replica measures what it measures alone, or the run alone fails as well."""
    try:
        truth = np.array([[alone(make, lr, place) for place in range(len(SEEDS))] for lr in LRS])
        reason = None
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    try:
        losses = sweep(make, init, loss, STEPS, lrs=LRS, seeds=SEEDS).losses
    except ValueError as error:
        return f"FINE, refused: {error}" if reason else f"WRONG, refused though it runs alone: {error}"
    except Exception as error:
        return f"WRONG, {type(error).__name__}: {error}"
    if reason:
        return f"WRONG, swept though alone it raises {reason}"
    truth = truth.transpose(2, 0, 1)
    known = np.isfinite(truth)
    gap = np.abs(losses - truth)[known] / np.abs(truth)[known]
    if (np.isfinite(losses) != known).any() or gap.max() > CLOSE:
        return f"WRONG, off by {gap.max():.1g}"
    return f"FINE, equal to {max(gap.max(), 1e-16):.0e}"


def walked(make: Callable) -> str:
    """descend(): the path of a plain loop, with a closure where it needs one, or the error that it has alone."""
    surface = ravine()

    def by_hand(closure):
        p = nn.Parameter(torch.tensor(surface.start, dtype=torch.float64))
        torch.manual_seed(0)
        optimizer = make([p], lr=0.01)
        path = [p.detach().numpy().copy()]
        set_mode(optimizer, training=True)
        for _ in range(30):

            def ask():
                p.grad = torch.tensor(np.array(surface.gradient(*p.detach().numpy())))
                return torch.tensor(surface.loss(*p.detach().numpy()))

            ask()
            optimizer.step(ask) if closure else optimizer.step()
            set_mode(optimizer, training=False)
            path.append(p.detach().numpy().copy())
            set_mode(optimizer, training=True)
        return np.array(path)

    truth = None
    for closure in (False, True):
        try:
            truth = by_hand(closure) if truth is None else truth
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
    try:
        torch.manual_seed(0)
        trace = descend(surface, lambda params: make(params, lr=0.01), 30)
    except Exception as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        return f"FINE, raises as alone: {said}" if truth is None else f"WRONG, raises though it walks alone: {said}"
    if truth is None:
        return f"WRONG, walks though alone it raises {reason}"
    known = np.isfinite(trace.path).all(axis=1)
    gap = np.abs(trace.path - truth)[known].max() / max(np.ptp(truth[known]), 1e-12)
    return f"FINE, equal to {max(gap, 1e-16):.0e}" if gap < CLOSE else f"WRONG, off by {gap:.1g}"


def examined(make: Callable) -> str:
    """The examiner: what runs at all passes as its own reference."""

    def candidate(params, **options) -> Optimizer:
        return make(params, **{"lr": 0.01, **options})

    try:
        examine(candidate, candidate)
    except Wrong as error:
        if "reference itself cannot be examined" in str(error):
            return f"FINE, refused as a reference: {str(error).splitlines()[0]}"
        lines = [line for line in str(error).splitlines() if "✗" in line or "not" in line] or str(error).splitlines()
        return f"WRONG, fails as its own reference: {lines[0].strip()}"
    except Exception as error:
        return f"FINE, refused as a reference: {type(error).__name__}: {str(error).splitlines()[0]}"
    return "FINE, passes as its own reference"


def raced(make: Callable) -> str:
    """Lab 2: what it says of the racer is how descend() ends at the same setting, or what was raised there."""
    try:
        lab = race({"own": make})
        lab.controls["own on"].value = True
        lab.controls["own lr"].index += 1
        lr, seen = lab.controls["own lr"].value, lab.plot.frame["alt"]
    except Exception as error:
        return f"WRONG, the lab raises {type(error).__name__}: {error}"
    shown = seen.partition(f"own, lr {lr:.3g}: ")[2]
    surface, noise = PROBLEMS[lab.controls["problem"].value]
    try:
        torch.manual_seed(0)
        trace = descend(surface, lambda params: make(params, lr=lr), RACED, noise=noise, label="own")
    except Exception as error:
        name = type(error).__name__
        return f"FINE, shows the {name}" if name in shown else f"WRONG, hides the {name}: {shown}"
    truth = Entry("own", lr, trace, np.empty(0)).result(lab.controls["target"].value)
    if shown.startswith(truth):
        return "FINE, shows what it does"
    nan = trace.diverged_at is not None and shown.startswith(f"nan after step {trace.diverged_at}")
    return "FINE, shows that it arrives at nan" if nan else f"WRONG, shows: {shown} in place of: {truth}"


JUDGES = {"sweep": swept, "examiner": examined, "descend": walked, "race": raced}


def judged(judge: str, make: Callable) -> str:
    """The judge's word, with what belongs to the process put back afterwards."""
    with as_it_was():
        return JUDGES[judge](make)
