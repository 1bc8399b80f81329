"""lr_curve() against closed forms and plain loops; nothing is spent, nothing warns; the table says what torch says."""

import copy
import math
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import optim
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.optim.swa_utils import SWALR

from utils.descent import descend
from utils.reference.schedulers import METRICS, STEPS, example, scheduler_classes
from utils.schedules import lr_curve, momentum_curve, needs_metric
from utils.surfaces import ravine
from utils.sweeps import sweep
from utils.training import train

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module", autouse=True)
def warm():
    """The first optimizer of a process imports a large part of torch."""
    lr_curve(example("StepLR"), 1)


MOMENTUM = partial(optim.SGD, momentum=0.9)


def plain_loop(make_scheduler, steps, *, lr=1.0, metrics=None, make_optimizer=MOMENTUM):
    """What a student would write. Returns the lr and the momentum (or betas[0]) of each step, and the scheduler."""
    p = torch.nn.Parameter(torch.zeros(1))
    optimizer = make_optimizer([p], lr=lr)
    scheduler = make_scheduler(optimizer)
    lrs, momenta = [], []
    for step in range(steps):
        group = optimizer.param_groups[0]
        lrs.append(float(group["lr"]))
        momenta.append(group["betas"][0] if "betas" in group else group["momentum"])
        p.grad = torch.zeros(1)
        optimizer.step()
        if step < steps - 1:
            scheduler.step(metrics[step]) if isinstance(scheduler, ReduceLROnPlateau) else scheduler.step()
    return np.array(lrs), np.array(momenta), scheduler


def assert_close(curve, expected):
    """Equal to 1e-12 of the largest value."""
    np.testing.assert_allclose(curve, expected, rtol=0, atol=1e-12 * np.max(expected))


# ---- closed forms: n is the index of the optimizer step

N = 150
n = np.arange(N)
WAVE = [0.5 + 0.4 * math.sin(k) for k in range(N)]


def line(start, end, share):
    return start + (end - start) * share


def half_cosine(start, end, share):
    return end + (start - end) * (1 + np.cos(np.pi * share)) / 2


def linear(k, factor, total, end=1.0):
    return line(factor, end, np.minimum(k, total) / total)


def restarts(lr, first, times, low):
    lrs, length = [], first
    while len(lrs) < N:
        lrs += [half_cosine(lr, low, k / length) for k in range(length)]
        length *= times
    return np.array(lrs[:N])


FORMS = {  # a factory and the lr of step n, starting from lr 0.3
    "StepLR": (partial(StepLR, step_size=7, gamma=0.6), 0.3 * 0.6 ** (n // 7)),
    "MultiStepLR": (
        partial(MultiStepLR, milestones=[5, 20, 20, 90], gamma=0.2),
        0.3 * 0.2 ** ((n >= 5) + 2.0 * (n >= 20) + (n >= 90)),
    ),
    "ExponentialLR": (partial(ExponentialLR, gamma=0.97), 0.3 * 0.97**n),
    "CosineAnnealingLR": (partial(CosineAnnealingLR, T_max=N), half_cosine(0.3, 0, n / N)),
    "CosineAnnealingLR, to a floor and up again, twice": (
        partial(CosineAnnealingLR, T_max=40, eta_min=0.02),
        half_cosine(0.3, 0.02, n / 40),
    ),
    "LambdaLR": (partial(LambdaLR, lr_lambda=lambda k: 1 / (1 + k)), 0.3 / (1 + n)),
    "MultiplicativeLR": (
        partial(MultiplicativeLR, lr_lambda=lambda k: 0.5 + WAVE[k]),
        0.3 * np.cumprod([1, *(0.5 + np.array(WAVE[1:]))]),
    ),
    "ConstantLR": (partial(ConstantLR, factor=0.25, total_iters=13), 0.3 * np.where(n < 13, 0.25, 1)),
    "LinearLR": (partial(LinearLR, start_factor=0.1, total_iters=20), 0.3 * linear(n, 0.1, 20)),
    "LinearLR, down": (
        partial(LinearLR, start_factor=1.0, end_factor=0.0, total_iters=60),
        0.3 * linear(n, 1.0, 60, end=0.0),
    ),
    "PolynomialLR": (
        partial(PolynomialLR, total_iters=100, power=2.5),
        0.3 * (1 - np.minimum(n, 100) / 100) ** 2.5,
    ),
    "CosineAnnealingWarmRestarts": (partial(CosineAnnealingWarmRestarts, T_0=25), restarts(0.3, 25, 1, 0.0)),
    "CosineAnnealingWarmRestarts, longer each time": (
        partial(CosineAnnealingWarmRestarts, T_0=10, T_mult=2, eta_min=0.01),
        restarts(0.3, 10, 2, 0.01),
    ),
    "SWALR, cos": (partial(SWALR, swa_lr=0.05, anneal_epochs=30), half_cosine(0.3, 0.05, np.minimum(n, 30) / 30)),
    "SWALR, linear": (
        partial(SWALR, swa_lr=0.5, anneal_epochs=30, anneal_strategy="linear"),
        line(0.3, 0.5, np.minimum(n, 30) / 30),
    ),
    "SequentialLR: warm-up, then cosine": (
        lambda opt: SequentialLR(
            opt, [LinearLR(opt, 0.1, total_iters=20), CosineAnnealingLR(opt, N - 20)], milestones=[20]
        ),
        np.where(n < 20, 0.3 * linear(n, 0.1, 20), half_cosine(0.3, 0, (n - 20) / (N - 20))),
    ),
    "SequentialLR of three": (
        lambda opt: SequentialLR(
            opt, [ConstantLR(opt, 0.1, total_iters=99), ExponentialLR(opt, 0.9), StepLR(opt, 10)], milestones=[30, 70]
        ),
        0.3 * np.where(n < 30, 0.1, np.where(n < 70, 0.9 ** (n - 30.0), 0.1 ** ((n - 70) // 10.0))),
    ),
    "ChainedScheduler": (
        lambda opt: ChainedScheduler([LinearLR(opt, 0.1, total_iters=20), ExponentialLR(opt, 0.97), StepLR(opt, 50)]),
        0.3 * linear(n, 0.1, 20) * 0.97**n * 0.1 ** (n // 50),
    ),
}


@pytest.mark.parametrize(("make_scheduler", "expected"), FORMS.values(), ids=FORMS)
def test_each_scheduler_follows_its_closed_form(make_scheduler, expected):
    curve = lr_curve(make_scheduler, N, lr=0.3)
    assert curve.shape == (N,) and curve.dtype == np.float64
    assert_close(curve, expected)


def test_in_a_chain_what_starts_from_the_first_lr_overwrites_what_came_before():
    by_step = partial(LambdaLR, lr_lambda=lambda k: 1 / (1 + k))
    halved = partial(ExponentialLR, gamma=0.5)
    last = lr_curve(lambda o: ChainedScheduler([halved(o), by_step(o)]), N)
    first = lr_curve(lambda o: ChainedScheduler([by_step(o), halved(o)]), N)
    assert_close(last, 1 / (1 + n))
    assert_close(first, np.where(n > 0, 0.5, 1) / (1 + n))


def test_cosine_annealing_climbs_again_after_its_end():
    curve = lr_curve(partial(CosineAnnealingLR, T_max=30), 61)
    assert curve.argmin() == 30 and abs(curve[30]) < 1e-15
    assert (np.diff(curve[:31]) < 0).all() and (np.diff(curve[30:]) > 0).all() and curve[60] == pytest.approx(1)


def triangle(up, down):
    """The number of the cycle (from 0) and the height 0…1 in it, for each step."""
    cycle, place = n // (up + down), n % (up + down)
    return cycle, np.where(place <= up, place / up, (up + down - place) / down)


@pytest.mark.parametrize(
    ("mode", "height"),
    {
        "triangular": lambda cycle: 1.0,
        "triangular2": lambda cycle: 0.5**cycle,
        "exp_range": lambda cycle: 0.98**n,
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("down", [None, 5])
def test_cyclic_lr_and_its_momentum_follow_their_closed_forms(mode, height, down):
    cycle, share = triangle(12, down or 12)
    make_scheduler = partial(
        CyclicLR, base_lr=0.01, max_lr=0.2, step_size_up=12, step_size_down=down, mode=mode, gamma=0.98
    )
    assert_close(lr_curve(make_scheduler, N, lr=7.0), line(0.01, 0.2, share * height(cycle)))
    assert_close(momentum_curve(make_scheduler, N, momentum=0.3), line(0.9, 0.8, share * height(cycle)))


@pytest.mark.parametrize(("scale_mode", "counter"), [("cycle", triangle(8, 8)[0] + 1), ("iterations", n)])
def test_cyclic_lr_with_a_height_of_ones_own(scale_mode, counter):
    make_scheduler = partial(
        CyclicLR, base_lr=0.1, max_lr=1, step_size_up=8, scale_fn=lambda k: 1 / (1 + k), scale_mode=scale_mode
    )
    assert_close(lr_curve(make_scheduler, N), line(0.1, 1, triangle(8, 8)[1] / (1 + counter)))


@pytest.mark.parametrize(("strategy", "curve"), [("cos", half_cosine), ("linear", line)])
@pytest.mark.parametrize("three_phase", [False, True])
def test_one_cycle_and_its_momentum_follow_their_closed_forms(strategy, curve, three_phase):
    peak, last = 0.3 * N - 1, N - 1
    first = 2 * peak if three_phase else last  # the step at which the second phase ends
    low = 0.5 / 25 if three_phase else 0.5 / 25 / 1e4
    rising, falling, final = n / peak, (n - peak) / (first - peak), (n - first) / max(last - first, 1)
    lrs = np.where(n <= peak, curve(0.5 / 25, 0.5, rising), curve(0.5, low, falling))
    momenta = np.where(n <= peak, curve(0.95, 0.85, rising), curve(0.85, 0.95, falling))
    if three_phase:
        lrs = np.where(n <= first, lrs, curve(low, low / 1e4, final))
        momenta = np.where(n <= first, momenta, 0.95)
    make_scheduler = partial(OneCycleLR, max_lr=0.5, total_steps=N, anneal_strategy=strategy, three_phase=three_phase)
    assert_close(lr_curve(make_scheduler, N, lr=7.0), lrs)
    assert_close(momentum_curve(make_scheduler, N, momentum=0.3), momenta)


lrs = st.floats(1e-4, 10)
factors = st.floats(0.05, 1.0)
counts = st.integers(1, 30)


@settings(max_examples=30, deadline=None)
@given(lr=lrs, gamma=factors, size=counts, milestones=st.lists(st.integers(1, 60), max_size=4))
def test_decay_by_factors_for_any_setting(lr, gamma, size, milestones):
    k = np.arange(60)
    assert_close(lr_curve(partial(StepLR, step_size=size, gamma=gamma), 60, lr=lr), lr * gamma ** (k // size))
    passed = sum(((k >= m) * 1.0 for m in milestones), np.zeros(60))
    assert_close(lr_curve(partial(MultiStepLR, milestones=milestones, gamma=gamma), 60, lr=lr), lr * gamma**passed)
    assert_close(lr_curve(partial(ExponentialLR, gamma=gamma), 60, lr=lr), lr * gamma**k)


@settings(max_examples=30, deadline=None)
@given(lr=lrs, start=factors, end=st.floats(0, 1), total=counts, power=st.floats(0.2, 4))
def test_ramps_for_any_setting(lr, start, end, total, power):
    k = np.arange(60)
    ramp = partial(LinearLR, start_factor=start, end_factor=end, total_iters=total)
    assert_close(lr_curve(ramp, 60, lr=lr), lr * linear(k, start, total, end))
    assert_close(
        lr_curve(partial(PolynomialLR, total_iters=total, power=power), 60, lr=lr),
        lr * (1 - np.minimum(k, total) / total) ** power,
    )
    low = start * lr
    cosine = partial(CosineAnnealingLR, T_max=total, eta_min=low)
    assert_close(lr_curve(cosine, 60, lr=lr), half_cosine(lr, low, k / total))


# ---- ReduceLROnPlateau


def plateau(metrics, *, lr, mode, factor, patience, threshold, threshold_mode, cooldown, min_lr):
    """The rule in the open: the lr of each step, one more than metrics."""
    lrs, best, bad, rest = [lr], math.inf if mode == "min" else -math.inf, 0, 0
    for metric in metrics:
        sign = -1 if mode == "min" else 1
        bar = best * (1 + sign * threshold) if threshold_mode == "rel" else best + sign * threshold
        if metric < bar if mode == "min" else metric > bar:
            best, bad = metric, 0
        else:
            bad += 1
        if rest > 0:
            rest, bad = rest - 1, 0
        if bad > patience:
            lowered = max(lr * factor, min_lr)
            lr = lowered if lr - lowered > 1e-8 else lr
            rest, bad = cooldown, 0
        lrs.append(lr)
    return np.array(lrs)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    mode=st.sampled_from(["min", "max"]),
    threshold_mode=st.sampled_from(["rel", "abs"]),
    patience=st.integers(0, 6),
    cooldown=st.integers(0, 6),
    threshold=st.sampled_from([0, 1e-4, 0.1]),
    min_lr=st.sampled_from([0, 0.05]),
)
def test_plateau_with_noisy_metrics(seed, **settings):
    settings["factor"] = 0.5
    k = np.arange(59)
    metrics = 1 / (1 + k / 10) + np.random.default_rng(seed).normal(scale=0.05, size=59)
    metrics = metrics if settings["mode"] == "min" else -metrics
    curve = lr_curve(partial(ReduceLROnPlateau, **settings), 60, lr=0.3, metrics=metrics)
    np.testing.assert_array_equal(curve, plateau(metrics, lr=0.3, **settings))
    np.testing.assert_array_equal(
        curve, plain_loop(partial(ReduceLROnPlateau, **settings), 60, lr=0.3, metrics=metrics)[0]
    )


@pytest.mark.parametrize("patience", [0, 1, 3, 10])
def test_a_flat_metric_lowers_lr_two_steps_later_than_patience_says(patience):
    # The first metric is the best so far, the next `patience` are borne, and the one after them lowers the next lr.
    curve = lr_curve(partial(ReduceLROnPlateau, patience=patience), 20, metrics=[1.0] * 19)
    assert np.flatnonzero(curve < 1)[0] == patience + 2


def test_plateaus_that_surprise():
    flat = partial(lr_curve, partial(ReduceLROnPlateau, patience=3), 60)
    assert (flat(metrics=[-1.0] * 59) == 1).all()  # −1 is below −1 × (1 − threshold): forever an improvement
    assert flat(metrics=[math.nan] * 59)[4] < 1  # nan is never better, not even than nothing
    rising_accuracy = np.linspace(0.1, 0.9, 59)
    assert flat(metrics=rising_accuracy)[-1] < 1e-7  # mode="min" punishes progress
    assert (lr_curve(partial(ReduceLROnPlateau, mode="max", patience=3), 60, metrics=rising_accuracy) == 1).all()


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, iter])
def test_metrics_may_be_any_numbers_in_a_row(kind):
    curve = lr_curve(partial(ReduceLROnPlateau, patience=1), 5, metrics=kind([3.0, 3.0, 3.0, 3.0, 9.0, 9.0]))
    np.testing.assert_allclose(curve, [1, 1, 1, 0.1, 0.1])


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (None, r"ReduceLROnPlateau follows a metric: pass metrics, a sequence of at least steps - 1 = 9 numbers"),
        ([0.1] * 8, r"metrics must hold at least steps - 1 = 9 numbers, got 8"),
        (0.5, r"metrics must be a sequence of numbers"),
        (["low"] * 9, r"metrics must be a sequence of numbers"),
        (torch.ones(9, 2), r"metrics must be a sequence of numbers"),
    ],
)
def test_plateau_without_enough_metrics_is_refused(metrics, message):
    with pytest.raises(ValueError, match=message):
        lr_curve(ReduceLROnPlateau, 10, metrics=metrics)


def test_other_schedulers_ignore_metrics():
    assert_close(lr_curve(example("StepLR"), 50, metrics=[]), lr_curve(example("StepLR"), 50))


# ---- against a plain loop that steps a real optimizer


class WarmUp(LRScheduler):
    """A scheduler as a student writes it."""

    def __init__(self, optimizer, warm_up=10, last_epoch=-1):
        self.warm_up = warm_up
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [base * min(1, (self.last_epoch + 1) / self.warm_up) for base in self.base_lrs]


class WarmUpPlateau(ReduceLROnPlateau):
    """A subclass with a `step` of its own."""

    def step(self, loss):
        super().step(min(loss, 1.0))


OWN = {
    "subclass": WarmUp,
    "subclass that needs a metric": partial(WarmUpPlateau, patience=2),
    "lambda with branches": partial(LambdaLR, lr_lambda=lambda k: (k + 1) / 10 if k < 10 else 0.5 ** (k // 20)),
    "a function that returns a tensor": partial(LambdaLR, lr_lambda=lambda k: torch.tensor(0.5) ** k),
    "nested": lambda opt: ChainedScheduler(
        [SequentialLR(opt, [LinearLR(opt, 0.1), WarmUp(opt)], milestones=[15]), ExponentialLR(opt, 0.9)]
    ),
    "cycle after warm-up": lambda opt: SequentialLR(
        opt, [LinearLR(opt, 0.1), CosineAnnealingWarmRestarts(opt, 10, 2)], milestones=[5]
    ),
}
EVERY = {name: example(name) for name in scheduler_classes()} | OWN


@pytest.mark.parametrize("make_scheduler", EVERY.values(), ids=EVERY)
def test_every_scheduler_gives_what_a_plain_loop_gives(make_scheduler):
    lrs, momenta, scheduler = plain_loop(make_scheduler, STEPS, lr=0.2, metrics=METRICS)
    np.testing.assert_array_equal(lr_curve(make_scheduler, STEPS, lr=0.2, metrics=METRICS), lrs)
    np.testing.assert_array_equal(momentum_curve(make_scheduler, STEPS, lr=0.2, metrics=METRICS), momenta)
    assert (np.ptp(momenta) > 0) == isinstance(scheduler, CyclicLR | OneCycleLR)


def test_a_chain_inside_a_sequence_does_as_torch_does_without_its_warning():
    def sequence(optimizer):
        chain = ChainedScheduler([LinearLR(optimizer, 0.1), ExponentialLR(optimizer, 0.5)])
        return SequentialLR(optimizer, [chain, StepLR(optimizer, 5)], milestones=[10])

    with pytest.warns(UserWarning, match=r"`lr_scheduler\.step\(\)` before `optimizer\.step\(\)`"):
        expected = plain_loop(sequence, 20)[0]
    assert expected[0] == pytest.approx(0.05)  # torch steps the parts of a chain once more: not 0.1
    np.testing.assert_array_equal(lr_curve(sequence, 20), expected)


@pytest.mark.parametrize("name", ["CyclicLR", "OneCycleLR"])
@pytest.mark.parametrize("make_optimizer", [optim.Adam, optim.AdamW, partial(optim.NAdam, betas=(0.5, 0.9))])
def test_the_momentum_is_also_that_of_adam(name, make_optimizer):
    lrs, beta1, _ = plain_loop(example(name), STEPS, make_optimizer=make_optimizer)
    np.testing.assert_array_equal(lr_curve(example(name), STEPS), lrs)
    np.testing.assert_array_equal(momentum_curve(example(name), STEPS), beta1)


def test_a_scheduler_that_leaves_momentum_alone_leaves_it():
    without = partial(OneCycleLR, max_lr=1.0, total_steps=30, cycle_momentum=False)
    assert (momentum_curve(without, 30, momentum=0.7) == 0.7).all()
    assert (momentum_curve(example("StepLR"), 30) == 0.9).all()


# ---- nothing is spent, nothing is left behind


@pytest.mark.parametrize("make_scheduler", EVERY.values(), ids=EVERY)
def test_a_scheduler_of_the_same_factory_is_as_new_afterwards(make_scheduler):
    before = plain_loop(make_scheduler, 20, metrics=METRICS)[0]
    first = lr_curve(make_scheduler, STEPS, metrics=METRICS)
    np.testing.assert_array_equal(plain_loop(make_scheduler, 20, metrics=METRICS)[0], before)
    np.testing.assert_array_equal(lr_curve(make_scheduler, STEPS, metrics=METRICS), first)


def test_a_scheduler_that_exists_already_is_refused_and_not_spent():
    optimizer = optim.SGD([torch.zeros(1)], lr=0.1, momentum=0.9)
    schedulers = [StepLR(optimizer, 3), ReduceLROnPlateau(optimizer), ChainedScheduler([ExponentialLR(optimizer, 0.9)])]
    for scheduler in schedulers:
        state = copy.deepcopy((scheduler.state_dict(), optimizer.state_dict()))
        with pytest.raises(ValueError, match=r"returned a \w+ of another optimizer, which would be spent here"):
            lr_curve(lambda _, scheduler=scheduler: scheduler, 10, metrics=[0.0] * 9)
        with pytest.raises(TypeError, match=r"must be what makes a scheduler, such as .*, got a \w+$"):
            lr_curve(scheduler, 10)
        assert (scheduler.state_dict(), optimizer.state_dict()) == state
    with pytest.raises(ValueError, match="same optimizer"):  # torch's own refusal of a mixed composition
        lr_curve(lambda opt: SequentialLR(opt, [StepLR(opt, 3), schedulers[0]], milestones=[5]), 10)


def test_global_state_is_untouched():
    optimizer = optim.SGD([torch.zeros(1)], lr=0.1)
    mine = StepLR(optimizer, 3)
    calls = []
    handle = register_optimizer_step_post_hook(lambda *_: calls.append(1))
    state = (torch.get_rng_state(), np.random.get_state()[1].copy(), list(warnings.filters), optim.SGD.step)
    try:
        for make_scheduler in EVERY.values():
            lr_curve(make_scheduler, STEPS, metrics=METRICS)
            momentum_curve(make_scheduler, STEPS, metrics=METRICS)
    finally:
        handle.remove()
    assert not calls
    assert torch.equal(torch.get_rng_state(), state[0]) and (np.random.get_state()[1] == state[1]).all()
    assert list(warnings.filters) == state[2] and optim.SGD.step is state[3]
    # torch still sees that this optimizer has not stepped yet.
    assert not getattr(optimizer, "_opt_called", False)
    with pytest.warns(UserWarning, match=r"`lr_scheduler\.step\(\)` before `optimizer\.step\(\)`"):
        mine.step()


# ---- what is refused, and how


def test_one_cycle_stepped_too_often_names_the_step():
    ten = partial(OneCycleLR, max_lr=1.0, total_steps=10)
    curve = lr_curve(ten, 11)
    assert curve[9] < 1e-5 < curve[10]  # torch lets one step too many pass, and lr rises
    message = r"OneCycleLR has no lr for step 11, counted from 0 \(ValueError: Tried to step 11 times"
    with pytest.raises(ValueError, match=message) as caught:
        lr_curve(ten, 12)
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(ValueError, match=r"OneCycleLR has no momentum for step 11"):
        momentum_curve(ten, 12)


@pytest.mark.parametrize(
    ("make_scheduler", "message"),
    [
        (partial(CosineAnnealingLR, T_max=0), r"CosineAnnealingLR has no lr for step 1, .*ZeroDivisionError"),
        (partial(ConstantLR, factor=0, total_iters=4), r"ConstantLR has no lr for step 4, .*ZeroDivisionError"),
        (partial(LambdaLR, lr_lambda=lambda k: [1, 0.5][k]), r"LambdaLR has no lr for step 2, .*IndexError"),
        (partial(LambdaLR, lr_lambda=lambda k: 1 + 1j * k), r"LambdaLR has no lr for step 0, .*TypeError"),
    ],
)
def test_a_scheduler_that_fails_under_way_names_the_step(make_scheduler, message):
    with pytest.raises(ValueError, match=message):
        lr_curve(make_scheduler, 10)


@pytest.mark.parametrize(
    ("make_scheduler", "error", "message"),
    [
        (StepLR, TypeError, "step_size"),
        (partial(LinearLR, start_factor=2), ValueError, "Starting multiplicative factor"),
        (partial(OneCycleLR, max_lr=1.0), ValueError, "total_steps"),
        # a rise of exactly one step: torch divides by zero
        (partial(OneCycleLR, max_lr=1.0, total_steps=10, pct_start=0.1), ZeroDivisionError, "division"),
        (partial(LambdaLR, lr_lambda=[abs, abs]), ValueError, "Expected 1 lr_lambdas"),
    ],
)
def test_what_torch_refuses_passes_through(make_scheduler, error, message):
    with pytest.raises(error, match=message):
        lr_curve(make_scheduler, 10)


@pytest.mark.parametrize("made", [None, 0.1, optim.SGD([torch.ones(1)])])
def test_what_makes_no_scheduler_is_refused(made):
    with pytest.raises(TypeError, match=r"make_scheduler must return a scheduler of torch\.optim\.lr_scheduler, got"):
        lr_curve(lambda _: made, 10)
    with pytest.raises(TypeError, match=r"make_scheduler must be what makes a scheduler"):
        lr_curve(made, 10)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"steps": -3}, {"lr": -1}, {"lr": math.nan}, {"lr": math.inf}, {"momentum": -0.1}]
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"steps must be at least 1, lr and momentum finite and at least 0, got"):
        momentum_curve(example("StepLR"), **({"steps": 10} | wrong))


def test_steps_must_be_a_whole_number():
    with pytest.raises(TypeError, match="integer"):
        lr_curve(example("StepLR"), 10.0)
    assert lr_curve(example("StepLR"), np.int64(1)).tolist() == [1]


class Heir(ReduceLROnPlateau):
    """A plateau that hands on whatever it is given, as a student's may."""

    def step(self, *args):
        return super().step(*args)


class Own(LRScheduler):
    """Halves lr where the metric is above 1; it is no plateau, but asks for a metric as well."""

    def __init__(self, optimizer):  # torch's own would call `step` without the metric
        self.optimizer = optimizer

    def step(self, metric):
        self.optimizer.param_groups[0]["lr"] *= 0.5 if metric > 1 else 1


class Obliging(LRScheduler):
    def step(self, metric=None, *rest):
        """It takes a metric and needs none."""


@pytest.mark.parametrize(
    ("made", "needs"), [(ReduceLROnPlateau, True), (Heir, True), (Own, True), (Obliging, False), (StepLR, False)]
)
def test_whose_step_needs_a_metric(made, needs):
    assert needs_metric(made) is needs


@pytest.mark.parametrize("make", [partial(Heir, patience=0, factor=0.5), Own])
def test_what_needs_a_metric_gets_it_everywhere(make):
    metrics = [3.0, 3.0, 3.0, 0.5]
    drawn = lr_curve(make, 4, lr=1.0, metrics=metrics)
    assert drawn[-1] < 1
    flat = replace(ravine(10), loss=lambda x, y: 3.0 + 0 * x)
    walked = descend(flat, partial(optim.SGD, lr=1.0), 4, make_scheduler=make).lr
    np.testing.assert_allclose(walked, lr_curve(make, 4, lr=1.0, metrics=[3.0] * 4))
    with pytest.raises(ValueError, match="cannot be swept like this: it watches a metric: give sweep\\(\\) one"):
        sweep(
            optim.SGD,
            lambda _: {"w": torch.ones(1)},
            lambda p, _: p["w"].sum(-1),
            2,
            lrs=[1],
            seeds=[0, 1],
            make_scheduler=make,
        )
    model = torch.nn.Linear(1, 1)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    batches = [(torch.ones(2, 1), torch.full((2, 1), 100.0))]
    with pytest.raises(ValueError, match="waits for the test loss"):
        train(model, optimizer, (batches, batches), 1, scheduler=make(optimizer), per="iteration")
    optimizer.param_groups[0]["lr"] = 1e-6
    history = train(model, optimizer, (batches, batches), 3, scheduler=make(optimizer))
    assert history.lr[-1] < 1e-6
