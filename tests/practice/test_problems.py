"""What 04b trains; and a scheduler that watches a metric, in a sweep as in a run alone."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.optim.lr_scheduler import ReduceLROnPlateau

from utils.practice.problems import least_squares, on_digits
from utils.sweeps import sweep
from utils.tuning import tune

LRS, SEEDS, STEPS = [0.003, 0.03, 0.3], [3, 5], 100
MAKE, EVERY = partial(ReduceLROnPlateau, factor=0.3, patience=0), 2
PROBLEM = least_squares(STEPS, watch=10, every=EVERY)


def alone(make_optimizer, lr, seed):
    """A plain loop over one run: its losses, the number to judge by, its last lr."""
    arguments = PROBLEM([seed])
    params = {key: nn.Parameter(value[None, None].clone()) for key, value in arguments["init"](seed).items()}
    optimizer = make_optimizer(params.values(), lr=lr)
    scheduler, losses = MAKE(optimizer), []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = arguments["loss"](params, step).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % EVERY == 0:
            with torch.no_grad():
                scheduler.step(arguments["metric"](params).item())
    return losses, arguments["evaluate"](params).item(), optimizer.param_groups[0]["lr"]


class Clipped(optim.SGD):
    """Looks at the whole gradient."""

    def step(self, closure=None):
        nn.utils.clip_grad_norm_([p for group in self.param_groups for p in group["params"]], 1.0)
        return super().step(closure)


@pytest.mark.parametrize("make_optimizer", [optim.SGD, optim.Adam, partial(optim.SGD, momentum=0.9), Clipped])
def test_a_replica_runs_as_it_would_alone(make_optimizer):
    swept = sweep(make_optimizer, **PROBLEM(SEEDS), lrs=LRS[:2], seeds=SEEDS, make_scheduler=MAKE)
    left = set()  # of lr, at the end
    for i, j in np.ndindex(2, 2):
        losses, final, last = alone(make_optimizer, LRS[i], SEEDS[j])
        left.add(round(last / LRS[i], 6))
        assert swept.losses[:, i, j] == pytest.approx(losses, rel=1e-9)
        assert swept.final[i, j] == pytest.approx(final, rel=1e-9)
    assert min(left) < 1 and len(left) > 1  # the metrics do something, and not the same to all


def test_a_run_that_diverges_has_no_number():
    swept = sweep(optim.SGD, **PROBLEM(SEEDS), lrs=[0.01, 1e30], seeds=SEEDS, make_scheduler=MAKE)
    assert np.isfinite(swept.final[0]).all() and np.isinf(swept.final[1]).all()


def test_the_lr_is_chosen_on_other_seeds_than_it_is_judged_on():
    tuned = tune(optim.SGD, PROBLEM, lrs=LRS, choosing=[1, 2], reporting=SEEDS, make_scheduler=MAKE)
    assert (tuned.chosen.seeds, tuned.reported.seeds) == ((1, 2), (3, 5))
    assert tuned.lr == tuned.chosen.best_lr == LRS[1] and tuned.edge is None
    again = sweep(optim.SGD, **PROBLEM(SEEDS), lrs=[tuned.lr], seeds=SEEDS, make_scheduler=MAKE)
    assert np.array_equal(tuned.final, again.final[0])


def test_a_longer_run_has_the_same_start_and_the_same_first_batches():
    short, long = (on_digits(64, 8, 10, batch_size=4, steps=steps)(SEEDS) for steps in (3, 9))
    p = {key: value[None].expand(len(SEEDS), *value.shape)[None] for key, value in short["init"](3).items()}
    for step in range(3):
        assert torch.equal(short["loss"](p, step), long["loss"](p, step))
