"""The reader of the Zen, all replicas at once: each is the run alone, gradients and explosions included."""

import numpy as np
import pytest
import torch
from torch import nn, optim

from utils.practice.sick_runs import reader, text_loss, windows
from utils.practice.zen_problem import zen_problem
from utils.sweeps import sweep

pytestmark = pytest.mark.usefixtures("one_thread")


class Clipped(optim.SGD):
    def step(self, closure=None):
        nn.utils.clip_grad_norm_(self.param_groups[0]["params"], 1.0)
        return super().step(closure)


def alone(make, seed, lr, steps):
    model, found = reader(seed), []
    optimizer = make(model.parameters(), lr=lr)
    for x, y in windows(seed, steps=steps):
        loss = text_loss(model, x, y)
        found.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return found


@pytest.mark.parametrize("make", [optim.SGD, Clipped])
def test_a_replica_reads_as_it_does_alone(make):
    lrs, seeds, steps = [0.01, 0.1], (0, 4), 5
    together = sweep(make, **zen_problem(seeds, steps), lrs=lrs, seeds=seeds)
    for i, lr in enumerate(lrs):
        for j, seed in enumerate(seeds):
            assert np.allclose(together.losses[:, i, j], alone(make, seed, lr, steps), rtol=2e-4, equal_nan=True)


def test_a_run_that_explodes_alone_explodes_here():
    seeds = (0, 1)
    together = sweep(optim.SGD, **zen_problem(seeds, 30), lrs=[0.01, 10.0], seeds=seeds)
    assert np.isfinite(together.final[0]).all() and np.isinf(together.final[1]).all()
    assert not np.isfinite(alone(optim.SGD, 0, 10.0, 30)).all() and torch.get_num_threads() == 1
