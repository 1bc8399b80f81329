"""sweep() against a plain loop, replica by replica; what it refuses, and what a Sweep concludes."""

import contextlib
import random
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
)

from utils.internals import together
from utils.internals.replicas import Separate
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


def one_run(make_optimizer, lr, place, make_scheduler=None, with_closure=False):
    """The losses of one replica, trained alone in the usual way."""
    p = {key: nn.Parameter(value) for key, value in init(SEEDS[place]).items()}
    torch.manual_seed(SEEDS[place])
    optimizer = make_optimizer(p.values(), lr=lr)
    scheduler = make_scheduler(optimizer) if make_scheduler else None
    losses = []
    for step in range(STEPS):

        def closure(step=step):
            optimizer.zero_grad()
            now = ((X[step, place] @ p["W"]).tanh() @ p["v"] + p["b"] - Y[step, place]).square().mean()
            now.backward()
            return now

        losses.append(closure().item())
        optimizer.step(closure) if with_closure else optimizer.step()
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


def assert_as_alone(make, *, lrs=LRS, make_scheduler=None, with_closure=False, rtol=1e-9):
    """Every replica of a sweep measures what it measures alone, and the lrs did not all do the same."""
    swept = sweep(make, init, loss, STEPS, lrs=lrs, seeds=SEEDS, make_scheduler=make_scheduler)
    assert swept.losses.shape == (STEPS, len(lrs), len(SEEDS))
    for i, lr in enumerate(lrs):
        for j in range(len(SEEDS)):
            alone = one_run(make, lr, j, make_scheduler, with_closure)
            np.testing.assert_allclose(swept.losses[:, i, j], alone, rtol=rtol, atol=0)
    assert np.ptp(swept.losses[-1], axis=0).min() > 1e-9


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_every_replica_goes_where_it_would_go_alone(make):
    with steps_apart() as apart:
        assert_as_alone(make)
    assert not apart


@contextlib.contextmanager
def steps_apart():
    """The steps inside that were taken by an optimizer of its own for each replica."""
    found, step = [], Separate.step

    def noted(self, when="", *args):
        if when:  # the test of a known class and the second look at one replica have none
            found.append(int(when.removeprefix("step ")))
        return step(self, when, *args)

    Separate.step = noted
    try:
        yield found
    finally:
        Separate.step = step


def test_one_diverged_replica_leaves_the_others_alone():
    lrs = [0.01, 0.1, 1e30]
    wild = sweep(optim.SGD, init, loss, STEPS, lrs=lrs, seeds=SEEDS)
    calm = sweep(optim.SGD, init, loss, STEPS, lrs=lrs[:2], seeds=SEEDS)
    assert not np.isfinite(wild.losses[-1, 2]).any() and np.isinf(wild.final[2]).all()
    assert wild.diverged.tolist() == [0, 0, 3] and wild.best_lr == calm.best_lr
    np.testing.assert_allclose(wild.losses[:, :2], calm.losses, rtol=1e-12)
    assert "3 of 9 runs diverged" in str(wild) and "diverged" not in str(calm)


# ---- optimizers that look at more than one number, or at more than the lr of a group


class Plain(Optimizer):
    """p ← p − lr · move(g, p); what it is made of overrides move or rate."""

    def __init__(self, params, lr=0.01):
        super().__init__(params, {"lr": lr})
        self.lr, self.steps = lr, 0

    @torch.no_grad()
    def step(self, closure=None):
        self.steps += 1
        for group in self.param_groups:
            for p in group["params"]:
                p -= self.rate(group) * self.move(p.grad, p)

    def rate(self, group):
        return group["lr"]

    def move(self, g, p):
        return g


class RowNorm(Plain):
    def move(self, g, p):
        return g / (g.norm(dim=-1, keepdim=True) + 1e-8)


class Orthogonal(Plain):
    def move(self, g, p):
        if g.ndim < 2:
            return g
        x = g / g.norm()
        for _ in range(3):
            x = 1.5 * x - 0.5 * x @ x.mT @ x
        return x


class Cached(Plain):
    """The size of a step is computed once per step, for the group that asks first."""

    cache = None

    def rate(self, group):
        if self.cache is None or self.cache[0] != self.steps:
            self.cache = self.steps, group["lr"] / self.steps**0.5
        return self.cache[1]


class OwnLr(Plain):
    def rate(self, group):
        return self.lr


class TinyAtFirst(RowNorm):
    def rate(self, group):
        return group["lr"] * min(1, 1e-9 * 8**self.steps)


class LateNorm(Plain):
    """For as long as any probe would look it treats every number on its own."""

    def move(self, g, p):
        return g if self.steps < 20 else g / (g.norm() + 1e-8)


class CountsRows(Plain):
    def rate(self, group):
        sizes = [len(p) if p.ndim else 1 for p in group["params"]]
        return group["lr"] / sizes[0] / len(sizes)


class GlobalNorm(Plain):
    def rate(self, group):
        return group["lr"] / sum(p.grad.square().sum() for p in group["params"]).sqrt()


class OwnMemory(Plain):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.data = p.data - group["lr"] * p.grad


class KeepsGradient(Plain):
    """Uses the gradient of the step before, which it keeps without a copy, and spoils its own gradient."""

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                before = self.state[p].get("before", p.grad)
                p -= group["lr"] * (p.grad + before)
                self.state[p]["before"] = p.grad
                if self.steps % 2:
                    p.grad = None


class Noisy(Plain):
    def move(self, g, p):
        return g + 0.1 * torch.randn_like(g)


class Clipped(optim.SGD):
    @torch.no_grad()
    def step(self, closure=None):
        nn.utils.clip_grad_norm_([p for group in self.param_groups for p in group["params"]], 0.1)
        super().step()


def with_clipping_hook(params, lr):
    optimizer = optim.SGD(params, lr=lr)
    everything = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.register_step_pre_hook(lambda *_: nn.utils.clip_grad_norm_(everything, 0.1) and None)
    return optimizer


def by_layer(params, lr):
    W, *rest = params
    return optim.AdamW([{"params": [W], "weight_decay": 0.5}, {"params": rest, "lr": 3 * lr}], lr=lr, weight_decay=0.0)


def matrices_only(params, lr):
    return optim.Muon([p for p in params if p.ndim == 2], lr=lr)


class Lion(Plain):
    """Number by number, with a state and a counter: one optimizer for all does."""

    def move(self, g, p):
        state = self.state[p]
        m = state.setdefault("m", torch.zeros_like(p))
        state["step"] = state.setdefault("step", torch.tensor(0.0)) + 1
        moved = m.lerp(g, 0.1).sign() / (1 + state["step"].item())
        m.lerp_(g, 0.01)
        return moved + 0.1 * p


class Foreach(Plain):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            torch._foreach_add_(group["params"], [p.grad for p in group["params"]], alpha=-group["lr"])


def with_counting_hook(params, lr):
    """Halves the parameters after step 10, as an average taken by a hook would change them."""
    optimizer, done = Lion(params, lr=lr), []

    @torch.no_grad()
    def hook(*_):
        done.append(1)
        if len(done) == 10:
            for group in optimizer.param_groups:
                for p in group["params"]:
                    p.mul_(0.5)

    optimizer.register_step_post_hook(hook)
    return optimizer


@pytest.mark.parametrize(
    "make", [Plain, Lion, Foreach, OwnMemory, KeepsGradient, with_counting_hook], ids=lambda make: make.__name__
)
def test_what_treats_every_number_on_its_own_needs_one_optimizer_only(make):
    with steps_apart() as apart:
        assert_as_alone(make)
    assert not apart


def in_numpy(tensor):
    return tensor.numpy()


def in_items(tensor):
    return [number.item() for number in tensor.flatten()]


# What is right for the replicas that are compared and wrong for another: only the operations tell.
@pytest.mark.parametrize("when", ["step", "beginning"])
@pytest.mark.parametrize("read", [in_numpy, Tensor.tolist, in_items])
def test_what_reads_numbers_is_not_taken_for_all(read, when):
    def small(tensor):
        return np.abs(np.array(read(tensor.detach()), dtype=float)).max() < 1e-3

    class OnlyOne(Plain):
        def __init__(self, params, lr):
            super().__init__(params, lr)
            self.small = small(self.param_groups[0]["params"][0])

        def move(self, g, p):
            return g * (2 if (small(g) if when == "step" else self.small) else 1)

    def start(seed):
        return {"w": torch.tensor([1.0, 2.0]).double() * (1e-4 if seed == SEEDS[-1] else 1)}

    def measured(p, step):  # the slope of the last seed is the smallest
        return (p["w"] * torch.tensor([1.0, 1.0, 1e-4]).double().unsqueeze(-1)).sum(-1)

    swept = sweep(OnlyOne, start, measured, 2, lrs=[0.1, 0.2], seeds=SEEDS)
    falls = (swept.losses[0] - swept.losses[1]) / (np.array(swept.lrs)[:, None] * [1, 1, 1e-8] * 2)
    np.testing.assert_allclose(falls, [[1, 1, 2]] * 2, rtol=1e-6)


def test_a_step_that_changes_its_ways_late_makes_the_sweep_begin_anew():
    with steps_apart() as apart:
        sweep(LateNorm, init, loss, STEPS, lrs=LRS, seeds=SEEDS)
    assert apart == list(range(STEPS))
    stream = iter(range(10**6))
    with pytest.raises(ValueError, match="loss must depend on the parameters and the step alone"):
        sweep(LateNorm, init, lambda p, _: loss(p, next(stream) % STEPS), STEPS, lrs=LRS, seeds=SEEDS)


class RowsInOwnMemory(OwnMemory):
    @torch.no_grad()
    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            p.grad = p.grad / p.grad.norm(dim=-1, keepdim=True)
        super().step()


LOOKS_FURTHER = [RowsInOwnMemory, RowNorm, Orthogonal, Cached, OwnLr, TinyAtFirst, LateNorm, CountsRows, GlobalNorm]
LOOKS_FURTHER += [Noisy, Clipped, with_clipping_hook, by_layer, matrices_only, optim.Adafactor]


@pytest.mark.parametrize("make", LOOKS_FURTHER, ids=lambda make: make.__name__)
def test_an_optimizer_that_looks_further_goes_where_it_would_go_alone(make):
    state = torch.get_rng_state()
    with steps_apart() as apart:
        assert_as_alone(make)
    assert apart == list(range(STEPS))
    torch.set_rng_state(state)
    sweep(make, init, loss, 2, lrs=LRS, seeds=SEEDS)
    assert torch.equal(torch.get_rng_state(), state)


class ClassCounter(Plain):
    """Its steps shrink by a counter that all optimizers of the class share."""

    count = 0

    def step(self, closure=None):
        type(self).count += 1
        for group in self.param_groups:
            for p in group["params"]:
                p.data.sub_(group["lr"] / (1 + self.count % 7) * p.grad / (1 + p.grad.norm()))


class OtherNoise(Plain):
    """Draws from Python's random numbers, of which a replica has no stream of its own."""

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.sub_(group["lr"] * random.random() * p.grad)


class CounterAtTheLoss(Plain):
    """The same with a closure."""

    count = 0

    def step(self, closure):
        type(self).count += 1
        shrink = 1 + float(closure()) + self.count % 5
        for group in self.param_groups:
            for p in group["params"]:
                p.data.sub_(group["lr"] / shrink * p.grad)


@pytest.mark.parametrize("make", [ClassCounter, OtherNoise, CounterAtTheLoss])
def test_an_update_that_depends_on_more_than_its_optimizer_holds_is_refused(make):
    with pytest.raises(ValueError, match=f"{make.__name__} cannot be swept: .* a second time, a run goes elsewhere"):
        sweep(make, init, loss, STEPS, lrs=LRS, seeds=SEEDS)


@pytest.mark.parametrize("made", [RowNorm, Orthogonal, Cached, OwnLr, TinyAtFirst, CountsRows, GlobalNorm, Noisy])
def test_a_class_that_is_known_is_tested_all_the_same(made, monkeypatch):
    monkeypatch.setattr(together, "ELEMENTWISE", {made})
    assert_as_alone(made)
    monkeypatch.setattr(together, "ELEMENTWISE", {Plain})
    with steps_apart() as apart:
        assert_as_alone(Plain)
    assert not apart


class Sharpness(Plain):
    """Steps along the gradient at a point a little further up; its closure is optional only by its signature."""

    @torch.no_grad()
    def step(self, closure=None):
        if closure is None:
            raise RuntimeError("Sharpness needs a closure")
        params = self.param_groups[0]["params"]
        ups = [0.05 * p.grad / p.grad.norm() for p in params]
        for p, up in zip(params, ups, strict=True):
            p += up
        with torch.enable_grad():
            closure()
        for p, up in zip(params, ups, strict=True):
            p -= up + self.param_groups[0]["lr"] * p.grad


class Halving(Plain):
    """Halves its step until the loss falls: the replicas ask for their losses a different number of times."""

    def step(self, closure):
        group = self.param_groups[0]
        loss, rate = closure(), 30 * group["lr"]
        start = [(p.detach().clone(), p.grad.clone()) for p in group["params"]]
        for _ in range(8):
            with torch.no_grad():
                for p, (value, slope) in zip(group["params"], start, strict=True):
                    p.copy_(value - rate * slope)
            if closure() < loss:
                break
            rate /= 2


CLOSURES = [partial(optim.LBFGS, max_iter=4, line_search_fn=search) for search in (None, "strong_wolfe")]
CLOSURES += [Sharpness, Halving]


@pytest.mark.parametrize("make", CLOSURES, ids=["LBFGS", "Wolfe", "Sharpness", "Halving"])
def test_a_closure_measures_one_replica_alone(make):
    before = threading.active_count()
    assert_as_alone(make, lrs=[0.01, 0.1], with_closure=True, rtol=1e-7)
    assert threading.active_count() == before


class ScheduleFree(optim.SGD):
    """Trains at y, between z, which SGD moves, and x, the mean of all z; eval() shows x. Steps only in training."""

    training = False

    def train(self):
        self.training = True

    def eval(self):
        self.training = False
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                p.copy_(self.state[p]["sum"] / self.state[p]["n"])

    @torch.no_grad()
    def step(self, closure=None):
        assert self.training
        super().step()
        for p in self.param_groups[0]["params"]:
            state = self.state[p]
            state["sum"], state["n"] = state.get("sum", 0) + p.detach(), state.get("n", 0) + 1


def test_what_has_two_modes_trains_in_one_and_is_judged_in_the_other():
    seen = []

    def evaluate(p):
        seen.append(p["W"])
        return loss(p, 0)

    def noted(p, step):
        seen.append(p["W"].detach())
        return loss(p, step)

    sweep(ScheduleFree, init, noted, 4, lrs=LRS, seeds=SEEDS, evaluate=evaluate)
    *visited, judged = seen
    after = []
    sweep(optim.SGD, init, lambda p, t: after.append(p["W"].detach()) or loss(p, min(t, 3)), 5, lrs=LRS, seeds=SEEDS)
    torch.testing.assert_close(torch.stack(visited), torch.stack(after[:4]))
    torch.testing.assert_close(judged, torch.stack(after[1:]).mean(0))


# ---- schedulers


CLIPPED = partial(Clipped, momentum=0.9)


class FirstGroup:
    """Halves the lr of all groups after step 9, as computed for the first group."""

    def __init__(self, optimizer):
        self.optimizer, self.steps, self.lr = optimizer, 0, optimizer.param_groups[0]["lr"]

    def step(self):
        self.steps += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr / (2 if self.steps > 9 else 1)


def warm_up(optimizer):
    return SequentialLR(optimizer, [LinearLR(optimizer, 0.1, total_iters=5), CosineAnnealingLR(optimizer, 20)], [5])


def by_weights(optimizer):
    """An lr that follows the parameters: one of the lead that never moves would not do."""
    first = optimizer.param_groups[0]["params"][0]
    return LambdaLR(optimizer, lambda step: 1 / (1 + first.detach().abs().sum().item()))


def one_cycle(optimizer):
    return OneCycleLR(optimizer, max_lr=[group["lr"] for group in optimizer.param_groups], total_steps=STEPS + 1)


SCHEDULERS = {
    "cosine": (partial(CosineAnnealingLR, T_max=STEPS), True),
    "exponential": (partial(ExponentialLR, gamma=0.9), True),
    "sequence": (warm_up, True),
    "one cycle, with the lr of the grid as its peak": (one_cycle, True),
    "function of the step": (partial(LambdaLR, lr_lambda=lambda step: 0.9**step), True),
    "function of more": (by_weights, False),
    "own": (FirstGroup, False),
}


@pytest.mark.parametrize(("make_scheduler", "by_the_step"), SCHEDULERS.values(), ids=SCHEDULERS)
@pytest.mark.parametrize("make", [partial(optim.SGD, momentum=0.9), Lion, RowNorm])
def test_a_scheduler_sets_the_lr_of_every_replica(make, make_scheduler, by_the_step):
    if make in (RowNorm, Lion) and make_scheduler is one_cycle:
        make = CLIPPED
    with steps_apart() as apart:
        assert_as_alone(make, make_scheduler=make_scheduler)
    assert bool(apart) == (not by_the_step or make in (RowNorm, CLIPPED))


# ---- gradients, and what is trained


NO_GRADIENT = [(make, unused, None) for make in OPTIMIZERS.values() for unused in (range(4), range(2, 4))]
# Alone, torch's fused SGD with momentum raises where one parameter of several has had no gradient yet.
NO_GRADIENT = [case for case in NO_GRADIENT if case[:2] != (OPTIMIZERS["SGD, fused"], range(4))]
NO_GRADIENT += [(OPTIMIZERS["momentum"], range(2, 4), make) for make, by_the_step in SCHEDULERS.values() if by_the_step]


@pytest.mark.parametrize(("make", "unused", "make_scheduler"), NO_GRADIENT)
def test_what_has_no_gradient_is_not_touched(make, unused, make_scheduler):
    def measured(p, step):
        return (p["w"] - 1).square().sum(-1) + (0 if step in unused else p["bias"].square().sum(-1))

    def start(seed):
        return {"w": torch.full((2,), float(seed)).double(), "bias": torch.ones(3).double()}

    swept = sweep(make, start, measured, 6, lrs=[0.01, 0.1], seeds=(3, 4), make_scheduler=make_scheduler)
    for i, lr in enumerate(swept.lrs):
        p = {key: nn.Parameter(value) for key, value in start(3).items()}
        optimizer = make(p.values(), lr=lr)
        scheduler = make_scheduler(optimizer) if make_scheduler else None
        for step in range(6):
            optimizer.zero_grad()
            now = measured(p, step)
            assert swept.losses[step, i, 0] == pytest.approx(now.item(), rel=1e-9)
            now.backward()
            optimizer.step()
            if scheduler:
                scheduler.step()


def test_a_frozen_parameter_stays_and_others_keep_shape_dtype_and_memory():
    def start(seed):
        image = torch.arange(24.0).view(1, 2, 3, 4).contiguous(memory_format=torch.channels_last)
        frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        return {"image": image, "double": torch.ones((), dtype=torch.float64), "frozen": frozen}

    found = []

    class Looks(Plain):
        def step(self, closure=None):
            found.append([(p.shape, p.dtype, p.stride(), p.grad is None) for p in self.param_groups[0]["params"]])
            found[-1].append([p.grad.stride() for p in self.param_groups[0]["params"][:2]])
            super().step()

        def move(self, g, p):
            return 0 if g is None else g

    def measured(p, step):
        return p["image"].square().flatten(2).sum(-1) + p["double"] + p["frozen"].sum(-1)

    for make in (Looks, optim.AdamW):  # AdamW would decay a frozen parameter with a gradient of zeros
        swept = sweep(make, start, measured, 3, lrs=LRS, seeds=SEEDS, evaluate=lambda p: p["frozen"].sum(-1))
        assert (swept.final == 3).all() and (np.diff(swept.losses, axis=0) < 0).all()
    image, double, frozen = start(0).values()
    wanted = [(t.shape, t.dtype, t.stride(), t is frozen) for t in (image, double, frozen)]
    assert all(each == [*wanted, [image.stride(), ()]] for each in found) and len(found) >= 27


def shared(seed):
    table = torch.ones(3, 2)
    return {"in": table, "out": table}


@pytest.mark.parametrize(
    ("start", "measured", "reason"),
    [
        (shared, lambda p, t: p["in"].sum((2, 3)), "'in' and 'out' the same memory: give it once"),
        (
            lambda seed: {"n": torch.arange(3)},
            lambda p, t: p["n"].sum(-1),
            "'n' of torch.int64, which cannot be trained",
        ),
        (lambda seed: {"w": torch.ones(seed)}, lambda p, t: p["w"].sum(-1), "the same names, shapes and dtypes"),
    ],
)
def test_what_cannot_be_trained_says_why(start, measured, reason):
    with pytest.raises(ValueError, match=reason):
        sweep(optim.SGD, start, measured, 2, lrs=LRS, seeds=SEEDS)


class NeedsFinite(Plain):
    def move(self, g, p):
        if not g.isfinite().all():
            raise RuntimeError("svd: the algorithm failed to converge")
        return g


def test_an_optimizer_that_raises_on_a_diverged_run_ends_that_run_only():
    lrs = [0.01, 0.1, 1e200]
    wild = sweep(NeedsFinite, init, loss, STEPS, lrs=lrs, seeds=SEEDS)
    calm = sweep(Plain, init, loss, STEPS, lrs=lrs[:2], seeds=SEEDS)
    assert wild.diverged.tolist() == [0, 0, 3] and np.isnan(wild.losses[-1, 2]).all()
    np.testing.assert_allclose(wild.losses[:, :2], calm.losses, rtol=1e-12)


class FailsLate(Plain):
    def rate(self, group):
        return group["lr"] / (5 - self.steps)


def in_backward(params, lr):
    for p in params:
        p.register_post_accumulate_grad_hook(lambda p: p.grad.clamp_(-0.1, 0.1))
    return optim.SGD(params, lr=lr)


class WithoutGrad(Plain):
    @torch.no_grad()
    def step(self, closure):
        closure()


class OwnLrOfNone(OwnLr):
    def __init__(self, params):  # lr comes only with the group, and nobody reads it there
        super().__init__(params, lr=0.01)


def test_an_lr_that_is_not_used_is_no_edge():
    swept = sweep(OwnLrOfNone, init, loss, 3, lrs=LRS, seeds=SEEDS)
    assert swept.edge is None and "every lr of the grid does the same" in str(swept)
    assert "the same" not in str(sweep(optim.SGD, init, loss, 3, lrs=LRS, seeds=SEEDS))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (optim.SparseAdam, "SparseAdam cannot be swept: it takes sparse gradients only"),
        (optim.Muon, "Muon cannot be swept: it cannot be made, ValueError: Muon only supports 2D"),
        (FailsLate, r"a run alone fails as well \(step 4, lr 0.003, seed 3\), with ZeroDivisionError"),
        (in_backward, r"SGD cannot be swept: it acts during backward\(\)"),
        (WithoutGrad, "WithoutGrad cannot be swept: .* without torch.enable_grad"),
        (lambda groups: optim.SGD(groups[0]["params"], lr=0.1), "must take lr, or hand the groups .* as they are"),
        (lambda groups: None, "must return a torch.optim.Optimizer, got NoneType"),
    ],
)
def test_what_cannot_be_swept_says_why(make, reason):
    before = threading.active_count()
    with pytest.raises(ValueError, match=reason):
        sweep(make, init, loss, STEPS, lrs=LRS, seeds=SEEDS)
    assert threading.active_count() == before


@pytest.mark.parametrize("groups", [lambda groups: optim.Adam(groups), lambda groups: RowNorm(groups)])
def test_what_takes_no_lr_gets_it_in_a_group(groups):
    swept = sweep(groups, init, loss, STEPS, lrs=LRS, seeds=SEEDS)
    wanted = sweep(type(groups([nn.Parameter(torch.ones(1))])), init, loss, STEPS, lrs=LRS, seeds=SEEDS)
    np.testing.assert_array_equal(swept.losses, wanted.losses)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"make_scheduler": ReduceLROnPlateau},
            "ReduceLROnPlateau cannot be swept like this: it watches a metric: give",
        ),
        (
            {"make_scheduler": partial(OneCycleLR, max_lr=1, total_steps=30, cycle_momentum=False)},
            r"OneCycleLR .* replaces the lrs .* Give it max_lr=\[group",
        ),
        ({"metric": lambda p: loss(p, 0)}, "goes with a scheduler that watches it"),
        ({"every": 2}, "every .*with a metric"),
        ({"make_scheduler": ReduceLROnPlateau, "metric": lambda p: loss(p, 0), "every": 0}, "1 or more, got 0"),
        (
            {"make_scheduler": ReduceLROnPlateau, "metric": lambda p: loss(p, 0).mean(1)},
            r"metric must give .*got \(3,\)",
        ),
        (
            {"make_scheduler": partial(optim.lr_scheduler.StepLR, step_size=3), "metric": lambda p: loss(p, 0)},
            "StepLR cannot be swept like this: it watches no metric",
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


def test_the_best_lr_is_that_of_the_lowest_mean_over_all_seeds():
    a = made([[5, 5, 5, 5], [1, 7, 1, 8], [2, 0, 2, 0]])
    assert (a.best, a.best_lr, a.edge) == (2, 10.0, "upper")
    assert str(made([[5, 5, 5, 5], [1, 2, 3, 2], [4, 4, 4, 4]])) == "A: 2 ± 0.82 at lr 1"


def test_an_lr_at_which_one_seed_diverges_is_not_taken():
    a = made([[5, 5, 5, 5], [1, 7, np.inf, 8], [6, 6, 6, np.inf]])
    assert a.best_lr == 0.1 and a.diverged.tolist() == [0, 1, 1]


@pytest.mark.parametrize(("best", "edge"), [(0, "lower"), (1, None), (2, "upper")])
def test_a_best_lr_at_the_edge_of_the_grid_is_told(best, edge):
    final = np.full((3, 4), 2.0)
    final[best] = 1
    assert made(final).edge == edge
    assert ("edge of the grid: widen it" in str(made(final))) == (edge is not None)
    assert made(final[:1]).edge is None  # a grid of one is a choice, not a search


def test_an_older_torch_without_some_classes_will_do():
    program = (
        "import torch; del torch.optim.Muon, torch.optim.NAdam; import utils.internals.together as t; "
        "print(len(t.ELEMENTWISE))"
    )
    assert subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True).strip() == "10"
