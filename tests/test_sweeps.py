"""sweep() against a plain loop, replica by replica; what it refuses, and what a Sweep concludes."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, OneCycleLR, ReduceLROnPlateau

from utils.sweeps import Sweep, sweep

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("error")]
SEEDS, STEPS = (3, 4, 5), 25
DRAW = torch.Generator().manual_seed(0)
X = torch.randn(
    STEPS, len(SEEDS), 8, 5, generator=DRAW, dtype=torch.float64
)  # a batch of 8 rows for every step and seed
Y = torch.randn(STEPS, len(SEEDS), 8, generator=DRAW, dtype=torch.float64)


def init(seed):
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return {"W": draw(5, 4) / 2, "v": draw(4) / 2, "b": draw(())}


def loss(p, step):
    hidden = torch.einsum("sbi,gsio->gsbo", X[step], p["W"]).tanh()
    return ((hidden @ p["v"].unsqueeze(-1)).squeeze(-1) + p["b"].unsqueeze(-1) - Y[step]).square().mean(-1)


def one_run(make_optimizer, lr, place, make_scheduler=None):
    """The losses of one replica, trained alone in the usual way."""
    p = {key: nn.Parameter(value) for key, value in init(SEEDS[place]).items()}
    optimizer = make_optimizer(p.values(), lr=lr)
    scheduler = make_scheduler(optimizer) if make_scheduler else None
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        now = ((X[step, place] @ p["W"]).tanh() @ p["v"] + p["b"] - Y[step, place]).square().mean()
        losses.append(now.item())
        now.backward()
        optimizer.step()
        if scheduler:
            scheduler.step()
    return losses


OPTIMIZERS = {
    "SGD": optim.SGD,
    "momentum": partial(optim.SGD, momentum=0.9),
    "dampening": partial(optim.SGD, momentum=0.9, dampening=0.5),
    "nesterov": partial(optim.SGD, momentum=0.9, nesterov=True),
    "SGD, decay": partial(optim.SGD, weight_decay=0.1),
    "SGD, foreach": partial(optim.SGD, momentum=0.9, foreach=True),
    "SGD, fused": partial(optim.SGD, momentum=0.9, fused=True),
    "Adam": optim.Adam,
    "Adam, decay": partial(optim.Adam, weight_decay=0.1),
    "AMSGrad": partial(optim.Adam, amsgrad=True),
    "Adam, fused": partial(optim.Adam, fused=True),
    "AdamW": partial(optim.AdamW, weight_decay=0.1),
    "RMSprop": optim.RMSprop,
    "RMSprop, centered": partial(optim.RMSprop, centered=True, momentum=0.5),
    "Adagrad": partial(optim.Adagrad, lr_decay=0.1),
    "NAdam": optim.NAdam,
    "RAdam": optim.RAdam,
    "Adamax": optim.Adamax,
    "Adadelta": optim.Adadelta,
    "ASGD": partial(optim.ASGD, t0=5),
    "Rprop": optim.Rprop,
}
LRS = [0.003, 0.03, 0.1]


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_every_replica_goes_where_it_would_go_alone(make):
    swept = sweep(make, init, loss, STEPS, lrs=LRS, seeds=SEEDS)
    assert swept.losses.shape == (STEPS, 3, 3)
    for i, lr in enumerate(LRS):
        for j in range(len(SEEDS)):
            alone = one_run(make, lr, j)
            np.testing.assert_allclose(swept.losses[:, i, j], alone, rtol=1e-9, atol=1e-9)
    assert np.ptp(swept.losses[-1], axis=0).min() > 1e-5  # the lrs did not all do the same


@pytest.mark.parametrize("make_scheduler", [partial(CosineAnnealingLR, T_max=STEPS), partial(ExponentialLR, gamma=0.9)])
def test_a_scheduler_scales_the_lr_of_every_replica(make_scheduler):
    swept = sweep(optim.SGD, init, loss, STEPS, lrs=LRS, seeds=SEEDS, make_scheduler=make_scheduler)
    for i, lr in enumerate(LRS):
        alone = one_run(optim.SGD, lr, 1, make_scheduler)
        np.testing.assert_allclose(swept.losses[:, i, 1], alone, rtol=1e-9, atol=1e-9)


def test_one_cycle_has_the_lr_of_the_grid_as_its_peak():
    def make_scheduler(optimizer):
        peaks = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, max_lr=peaks, total_steps=STEPS + 1)

    momentum = partial(optim.SGD, momentum=0.9)
    swept = sweep(momentum, init, loss, STEPS, lrs=LRS, seeds=SEEDS, make_scheduler=make_scheduler)
    for i, lr in enumerate(LRS):
        np.testing.assert_allclose(
            swept.losses[:, i, 1], one_run(momentum, lr, 1, make_scheduler), rtol=1e-9, atol=1e-9
        )


def test_one_diverged_replica_leaves_the_others_alone():
    lrs = [0.01, 0.1, 1e30]
    wild = sweep(optim.SGD, init, loss, STEPS, lrs=lrs, seeds=SEEDS)
    calm = sweep(optim.SGD, init, loss, STEPS, lrs=lrs[:2], seeds=SEEDS)
    assert not np.isfinite(wild.losses[-1, 2]).any() and np.isinf(wild.final[2]).all()
    assert wild.diverged.tolist() == [0, 0, 3] and wild.tuned == calm.tuned
    np.testing.assert_allclose(wild.losses[:, :2], calm.losses, rtol=1e-12)
    assert "3 of 9 runs diverged" in str(wild) and "diverged" not in str(calm)


class Clipped(optim.SGD):
    @torch.no_grad()
    def step(self, closure=None):
        nn.utils.clip_grad_norm_([p for group in self.param_groups for p in group["params"]], 0.1)
        super().step()


class AsksForClosure(optim.SGD):
    def step(self, closure):
        closure()


class Noisy(optim.SGD):
    @torch.no_grad()
    def step(self, closure=None):
        super().step()
        for group in self.param_groups:
            for p in group["params"]:
                p += 0.01 * torch.randn_like(p)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (optim.LBFGS, "LBFGS cannot be swept: it searches along one line for all of its parameters"),
        (optim.Muon, "Muon cannot be swept: it orthogonalises whole matrices"),
        (optim.Adafactor, "Adafactor cannot be swept: .* root mean square"),
        (optim.SparseAdam, "SparseAdam cannot be swept: it takes sparse gradients only"),
        (Clipped, "Clipped cannot be swept: .* clip by a norm"),
        (Noisy, "Noisy cannot be swept: .* random numbers"),
        (AsksForClosure, "AsksForClosure cannot be swept: its step asks for a closure"),
        (lambda groups: optim.SGD(groups[0]["params"], lr=0.1), "must hand the groups .* as they are"),
        (lambda groups: None, "must return a torch.optim.Optimizer, got NoneType"),
    ],
)
def test_what_cannot_be_swept_says_why(make, reason):
    with pytest.raises(ValueError, match=reason):
        sweep(make, init, loss, STEPS, lrs=LRS, seeds=SEEDS)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"make_scheduler": ReduceLROnPlateau}, "ReduceLROnPlateau cannot be swept: it watches one loss"),
        (
            {"make_scheduler": partial(OneCycleLR, max_lr=1, total_steps=30, cycle_momentum=False)},
            r"OneCycleLR .* replaces the lrs .* Give it max_lr=\[group",
        ),
        ({"lrs": [0.1, 0.01]}, "lrs positive and increasing"),
        ({"lrs": []}, "lrs positive and increasing"),
        ({"lrs": [0, 0.1]}, "lrs positive and increasing"),
        ({"lrs": [0.1, float("nan")]}, "lrs positive and increasing"),
        ({"seeds": [0]}, "two or more different"),
        ({"seeds": [1, 1]}, "two or more different"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"loss": lambda p, step: loss(p, step).mean()}, r"give shape \(lrs, seeds\) = \(3, 3\), got \(\)"),
        ({"loss": lambda p, step: loss(p, step) + p["W"].mean()}, "loss mixes replicas"),
        ({"evaluate": lambda p: loss(p, 0).mean(1)}, r"evaluate must give shape .*, got \(3,\)"),
    ],
)
def test_a_mistaken_call_says_what_is_wrong(change, reason):
    call = {"loss": loss, "steps": STEPS, "lrs": LRS, "seeds": SEEDS} | change
    with pytest.raises(ValueError, match=reason):
        sweep(optim.SGD, init, call.pop("loss"), call.pop("steps"), **call)


def test_evaluate_judges_after_the_last_step():
    swept = sweep(optim.SGD, init, loss, STEPS, lrs=LRS, seeds=SEEDS, evaluate=lambda p: loss(p, 0))
    again = sweep(optim.SGD, init, lambda p, step: loss(p, step % STEPS), STEPS + 1, lrs=LRS, seeds=SEEDS)
    np.testing.assert_array_equal(swept.final, again.losses[-1])


def made(final, seeds=(0, 1, 2, 3), lrs=(0.1, 1.0, 10.0), label="A"):
    final = np.array(final, dtype=float)
    return Sweep(label, np.array(lrs[: len(final)]), seeds, np.stack([2 * final, final]), final)


def test_half_of_the_seeds_choose_and_the_other_half_report():
    # The choosing seeds (first, third) prefer lr 1, the reporting ones would have preferred lr 10.
    a = made([[5, 5, 5, 5], [1, 7, 1, 8], [2, 0, 2, 0]])
    assert a.tuned == 1.0 and a.result.tolist() == [7, 8] and a.edge is None
    assert a.curves.tolist() == [[14, 16], [7, 8]]
    assert str(a) == "A: 7.5 ± 0.5 at lr 1"


def test_an_lr_at_which_one_choosing_seed_diverges_is_not_taken():
    a = made([[5, 5, 5, 5], [1, 7, np.inf, 8], [6, 6, 6, np.inf]])
    assert a.tuned == 0.1 and a.diverged.tolist() == [0, 1, 1]


@pytest.mark.parametrize(("best", "edge"), [(0, "lower"), (1, None), (2, "upper")])
def test_a_best_lr_at_the_edge_of_the_grid_is_told(best, edge):
    final = np.full((3, 4), 2.0)
    final[best] = 1
    assert made(final).edge == edge
    assert ("edge of the grid: widen it" in str(made(final))) == (edge is not None)
    assert made(final[:1]).edge is None  # a grid of one is a choice, not a search


def test_wins_are_counted_seed_by_seed_at_each_ones_own_lr():
    a, b = made([[1, 2, 1, 2], [3, 0, 3, 0]]), made([[4, 0, 4, 0], [1, 3, 1, 2]], label="B")
    assert (a.tuned, b.tuned) == (0.1, 1.0)
    assert (a.wins(b), b.wins(a)) == (1, 0)  # 2 < 3 is a win, 2 against 2 is none
    with pytest.raises(ValueError, match="A and B ran with different seeds"):
        a.wins(made([[1, 1]], seeds=(0, 9), label="B"))


def test_an_older_torch_without_the_newest_classes_will_do():
    program = (
        "import torch; del torch.optim.Muon, torch.optim.Adafactor; import utils.sweeps as s; print(len(s.REFUSED))"
    )
    assert subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True).strip() == "2"
