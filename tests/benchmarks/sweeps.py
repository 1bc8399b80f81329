"""How much faster is a sweep than a plain loop? `python -m tests.benchmarks.sweeps` (a script, since times vary).

9 lrs × 5 seeds = 45 runs of 200 steps: a 64-32-10 network on digits, batches of 32. Each round times the loop and the
sweep one right after the other, so that whatever else the machine does slows both; the medians are compared.

The first three optimizers move all runs at once and should be GOALS["together"] times as fast as the loop. The others
should reach GOALS["apart"]: the heir and Lion move all runs, but are watched at every step; of RowNorm there is one for
every run. Where an update costs as much as the gradient (Adafactor), half of the loop's time remains, however the
gradients are computed: it is there to show that.
"""

import time
from functools import partial
from statistics import median

import numpy as np
import torch
from torch import optim
from torch.nn import functional as F

from utils import data
from utils.sweeps import sweep

GOALS = {"together": 8, "apart": 2.5}
STEPS, LRS, SEEDS = 200, 10 ** np.arange(-4, 0.01, 0.5), range(5)
digits = data.digits()
picks = torch.stack([torch.randint(1347, (STEPS, 32), generator=torch.Generator().manual_seed(s)) for s in SEEDS], 1)


class RowNorm(optim.Optimizer):
    """Every row of a gradient gets length 1."""

    def __init__(self, params, lr=0.01):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(p.grad / (p.grad.norm(dim=-1, keepdim=True) + 1e-8), alpha=group["lr"])


class Lion(optim.Optimizer):
    """The sign of an average, as in notebook 03."""

    def __init__(self, params, lr=0.01, betas=(0.9, 0.99)):
        super().__init__(params, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            slow, fast = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.sub_(m.lerp(p.grad, 1 - slow).sign_(), alpha=group["lr"])
                m.lerp_(p.grad, 1 - fast)


class Heir(optim.SGD):
    """SGD, but of another class: what it does is not known."""


OPTIMIZERS = {
    "SGD": (optim.SGD, "together"),
    "SGD, momentum": (partial(optim.SGD, momentum=0.9), "together"),
    "Adam": (optim.Adam, "together"),
    "heir of SGD, momentum": (partial(Heir, momentum=0.9), "apart"),
    "RowNorm": (RowNorm, "apart"),
    "Lion": (Lion, "apart"),
    "Adafactor": (optim.Adafactor, None),
}


def init(seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"W1": (64, 32), "b1": (32,), "W2": (32, 10), "b2": (10,)}
    return {key: torch.randn(shape, generator=generator) / 8 * (key[0] == "W") for key, shape in shapes.items()}


def sweep_loss(p, step):
    x, y = digits.x_train[picks[step]], digits.y_train[picks[step]]  # (seeds, 32, 64) and (seeds, 32)
    hidden = (torch.einsum("sbi,gsio->gsbo", x, p["W1"]) + p["b1"].unsqueeze(-2)).relu()
    logits = hidden @ p["W2"] + p["b2"].unsqueeze(-2)
    return -logits.log_softmax(-1).gather(-1, y.expand(logits.shape[:-1]).unsqueeze(-1)).mean((-1, -2))


def by_loop(make_optimizer):
    """(STEPS, lrs, seeds): the same losses, one run after the other, in the usual way."""
    losses = np.empty((STEPS, len(LRS), len(SEEDS)))
    for i, lr in enumerate(LRS):
        for j, seed in enumerate(SEEDS):
            p = {key: torch.nn.Parameter(value) for key, value in init(seed).items()}
            optimizer = make_optimizer(p.values(), lr=float(lr))
            for step in range(STEPS):
                rows = picks[step, j]
                logits = (digits.x_train[rows] @ p["W1"] + p["b1"]).relu() @ p["W2"] + p["b2"]
                loss = F.cross_entropy(logits, digits.y_train[rows])
                losses[step, i, j] = loss.item()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return losses


def main(rounds=5) -> list[dict]:
    torch.set_num_threads(1)
    rows = []
    for name, (make, way) in OPTIMIZERS.items():
        times = []
        sweep(make, init, sweep_loss, 3, lrs=LRS, seeds=SEEDS)  # warm up
        for _ in range(rounds):
            t0 = time.perf_counter()
            loop = by_loop(make)
            t1 = time.perf_counter()
            swept = sweep(make, init, sweep_loss, STEPS, lrs=LRS, seeds=SEEDS)
            times.append((t1 - t0, time.perf_counter() - t1))
        slow, fast = (median(column) for column in zip(*times, strict=True))
        ratio = median(a / b for a, b in times)
        gap = np.nanmax(np.abs(loop - swept.losses)[:50])
        goal = GOALS.get(way)
        print(f"{name}: loop {slow:.2f} s, sweep {fast:.2f} s, ratio {ratio:.1f}; losses differ by at most {gap:.1g}")
        row = {"optimizer": name, "loop s": slow, "sweep s": fast, "ratio": ratio, "goal": goal, "gap": float(gap)}
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
