"""The bug clinics around a run: a comparison (02d), a schedule drawn first (04a), one that follows a metric (04b)."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn, optim

from utils.checks.clinics import clinic, still
from utils.guard import Wrong, call
from utils.schedules import lr_curve
from utils.training import History

__all__ = ["check_contest", "check_plan", "check_plateau"]

# --- a comparison -----------------------------------------------------------------------------------------------------


class _Runs:
    """Stands in for train(): notes what every run starts from, trains nothing, and gives a History of even numbers."""

    def __init__(self):
        self.lrs, self.starts, self.batches = defaultdict(set), defaultdict(set), defaultdict(set)
        self.pairs, self.held, self.shared = defaultdict(set), [], False

    def train(self, model: nn.Module, optimizer: optim.Optimizer, loaders, epochs: int = 5, **_) -> History:
        kind, params = type(optimizer).__name__, list(model.parameters())
        start = b"".join(p.detach().numpy().tobytes() for p in params)
        batch = next(iter(loaders[0]))[0].numpy().tobytes()
        self.shared |= any(p is other for p in params for other in self.held)
        self.held += params
        self.lrs[kind] |= {group["lr"] for group in optimizer.param_groups}
        self.starts[kind].add(start)
        self.batches[kind].add(batch)
        self.pairs[kind].add((start, batch))
        per_epoch = np.full(epochs, 0.5)
        return History("a run", per_epoch, per_epoch, per_epoch, per_epoch, per_epoch)


_FAULTS = 5


@clinic
def check_contest(candidate: Callable) -> str:
    """Judge `contest(train)`: two optimizers, each tuned, on models, batches and seeds that they share."""
    first, second = _watched(candidate, 1), _watched(candidate, 2)
    if len(first.lrs) < 2:
        raise Wrong(
            f"The check saw {len(first.lrs)} optimizers train, and two are to be compared: train each with the `train` "
            "that your function is given."
        )
    faults = list(_faults(first, second))
    if len(faults) == _FAULTS:
        raise still("nothing about this comparison has become fairer yet.")
    if faults:
        gone = _FAULTS - len(faults)
        raise Wrong(f"{gone} of {_FAULTS} faults {'is' if gone == 1 else 'are'} gone. {faults[0]}", faults[1:])
    return (
        "a model of its own for every run, from the same seeds; the same batches; an lr for each optimizer; more than "
        "two seeds. `sweep()` makes each of these faults hard to make."
    )


def _watched(candidate: Callable, seed: int) -> _Runs:
    runs = _Runs()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        call(candidate, runs.train, timeout=20.0).answer(may_change=True)
    return runs


def _faults(first: _Runs, second: _Runs):
    """What is unfair, from two calls that found the random generator in different states."""
    if first.shared:
        yield "Still shared: a model that another run has trained already. Who comes second goes on where it stopped."
    if len(set().union(*first.lrs.values())) == 1:
        yield f"Still one lr for all, {min(min(first.lrs.values())):g}: whom does it suit?"
    if len(set(map(frozenset, first.batches.values()))) > 1:
        yield "Still unequal: the optimizers do not see the same batches."
    if first.starts != second.starts:
        yield "Still by chance: called twice, the program starts from other weights. When is the seed set?"
    elif len(set(map(frozenset, first.starts.values()))) > 1:
        yield "Still unequal: the optimizers do not start from the same weights."
    if min(map(len, first.pairs.values())) < 3:
        yield "Still too few runs: fewer than three seeds each, so nothing tells luck from merit."


# --- a schedule -------------------------------------------------------------------------------------------------------


@clinic
def check_plan(candidate: Callable) -> str:
    """Judge `draw_then_train()`: (the lrs that were planned, the History of a training that uses them)."""
    answer = call(candidate, timeout=60.0).answer(may_change=True)
    if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[1], History):
        raise Wrong("Return what the program returned at first: `planned` and the history of `train()`.")
    planned, history = np.array(answer[0], dtype=float), answer[1]
    right = lr_curve(partial(optim.lr_scheduler.CosineAnnealingLR, T_max=5), 5, lr=0.1)
    trained = history.lr[:: max(1, len(history.lr) // 5)][:5]
    told = f"planned is {_row(planned)}, trained {_row(trained)}"
    if not _close(planned, right):
        raise Wrong(f"The plan should still show the cosine from 0.1, {_row(right)}; {told}.")
    if _close(trained, right):
        return (
            f"training follows the plan, and the test loss ends at {history.test_loss[-1]:.3f}. Drawing had spent the "
            "scheduler: it stood at the end of its cosine when training began."
        )
    if not np.any(trained > 1e-9):
        raise Wrong(f"Now lr is 0 all the time: {told}. Which lr had the optimizer when this scheduler was made?")
    if np.ptp(trained) < 1e-9:
        raise Wrong(f"Now lr stays as it is: {told}. Does the scheduler reach `train()`, and is it of this optimizer?")
    if trained[0] < 1e-9:
        raise still(f"{told}.")
    raise Wrong(f"Training does something else now, but not what was planned: {told}.")


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=1e-9)


def _row(numbers: np.ndarray) -> str:
    return " → ".join(f"{number:.2g}" for number in numbers) or "empty"


class _Constant(nn.Module):
    """Gives the same scores for every image, whatever it is trained on."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(10))

    def forward(self, x):
        return x.new_zeros(len(x), 10) + 0 * self.weight


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))


@clinic
def check_plateau(candidate: Callable) -> str:
    """Judge `follow(make_model)`: (accuracies, lrs) by epoch; lr is cut where the accuracy rests, and only there."""
    accuracies, lrs = _followed(candidate, _net)
    cuts = np.flatnonzero(np.diff(lrs) < 0)  # the last epoch with the old lr
    if len(cuts) and (np.diff(accuracies[: cuts[0] + 1]) > 0).all():
        rising = " → ".join(f"{accuracy:.2f}" for accuracy in accuracies[: cuts[0] + 1])
        raise still(f"the accuracy rises, {rising}, and then lr is cut from {lrs[cuts[0]]:g} to {lrs[cuts[0] + 1]:g}.")
    resting, lrs_resting = _followed(candidate, _Constant)
    if not lrs_resting[-1] < lrs_resting[0]:
        raise Wrong(
            f"A rising accuracy cuts lr no more. But with a model that learns nothing the accuracy is {resting[0]:.2f} "
            f"for {len(resting)} epochs, and lr stays at {lrs_resting[0]:g}: the scheduler should see that."
        )
    return (
        f"lr rests while the accuracy rises, which ends at {accuracies[-1]:.2f}, and falls where it does not. By "
        'default `mode` is "min": the scheduler took every rise for a failure.'
    )


def _followed(candidate: Callable, make_model: Callable) -> tuple[np.ndarray, np.ndarray]:
    answer = call(candidate, make_model, timeout=60.0).answer(may_change=True)
    try:
        accuracies, lrs = (np.array(part, dtype=float) for part in answer)
    except (TypeError, ValueError):
        accuracies = lrs = np.zeros(0)
    if len(accuracies) < 4 or accuracies.shape != lrs.shape:
        raise Wrong("Return what the program returned at first: the accuracies and the lrs, one of each for an epoch.")
    return accuracies, lrs
