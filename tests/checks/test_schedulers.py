"""Each diagnosis of a schedule where it is true, none for a schedule that is right; no answer breaks a check."""

import itertools
import math
import time
from functools import cache, partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn, optim
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
from torch.optim.swa_utils import SWALR

from utils.checks import schedulers
from utils.checks.schedule_mistakes import diagnose
from utils.checks.schedulers import (
    FLOOR,
    TOTAL,
    WARM_UP,
    check_multistep,
    check_schedule,
    check_target,
    check_warm_up_cosine,
    noisy_run,
)
from utils.reference.schedulers import EXAMPLES, example, scheduler_classes
from utils.schedules import lr_curve

pytestmark = pytest.mark.filterwarnings("error")
WHAT_NO_METRIC_MOVES = [name for name in EXAMPLES if name != "ReduceLROnPlateau"]


def cosine(share):
    return (1 + math.cos(math.pi * share)) / 2


def by(factor):
    """A factory from a function of the step."""
    return lambda optimizer: LambdaLR(optimizer, factor)


# ---- what is right passes


@pytest.mark.parametrize("name", WHAT_NO_METRIC_MOVES)
def test_every_scheduler_of_torch_is_itself(name):
    verdict = check_schedule(example(name), example(name), 60)
    assert verdict and "all 60 steps agree" in verdict.message


@pytest.mark.parametrize("name", WHAT_NO_METRIC_MOVES)
def test_rounding_is_no_mistake(name):
    """The same lrs, to float32 only."""
    lrs = np.float32(lr_curve(example(name), 61, lr=0.1))
    assert check_schedule(by(lambda step: float(lrs[step]) / 0.1), example(name), 60)


@settings(max_examples=40, deadline=None)
@given(lr=st.floats(1e-5, 10), gamma=st.floats(0.3, 1.0), size=st.integers(1, 40), noise=st.integers(0, 2**31))
def test_rounding_is_no_mistake_for_any_setting(lr, gamma, size, noise):
    draw = np.random.default_rng(noise)
    candidate = by(lambda step: gamma ** (step // size) * (1 + 1e-12 * draw.normal()))
    assert check_schedule(candidate, partial(StepLR, step_size=size, gamma=gamma), 80, lr=lr)


def test_float32_tensors_are_right_too():
    in_tensors = by(lambda step: (1 + torch.cos(torch.tensor(step) / 50 * torch.pi)) / 2)
    assert check_schedule(in_tensors, partial(CosineAnnealingLR, T_max=50), 51)


def test_a_composition_and_a_subclass_are_as_good_as_a_function():
    def composed(optimizer):
        warm_up = LinearLR(optimizer, 1 / WARM_UP, total_iters=WARM_UP - 1)
        decay = CosineAnnealingLR(optimizer, TOTAL - WARM_UP, eta_min=FLOOR * optimizer.param_groups[0]["initial_lr"])
        return SequentialLR(optimizer, [warm_up, decay], [WARM_UP])

    class WarmUpCosine(LRScheduler):
        def get_lr(self):
            return [base * self.factor(self.last_epoch) for base in self.base_lrs]

        def factor(self, step):
            if step < WARM_UP:
                return (step + 1) / WARM_UP
            return FLOOR + (1 - FLOOR) * cosine((step - WARM_UP) / (TOTAL - WARM_UP))

    assert check_warm_up_cosine(composed) and check_warm_up_cosine(WarmUpCosine)


# ---- each mistake is named, and the first step that differs


def stairs(step):
    return 0.1 ** (step // 30)


def warmed(step, warm_up=WARM_UP, total=TOTAL, floor=FLOOR):
    if step < warm_up:
        return (step + 1) / warm_up
    return floor + (1 - floor) * cosine((step - warm_up) / (total - warm_up))


MISTAKES = {  # what is wrong, what is right, the step, words of the diagnosis
    "one step early": (by(lambda k: stairs(k + 1)), by(stairs), 29, "one step early, off by one"),
    "one step late": (by(lambda k: stairs(max(0, k - 1))), by(stairs), 30, "one step late, off by one"),
    "early, no stairs": (
        by(lambda k: cosine((k + 1) / 90)),
        partial(CosineAnnealingLR, T_max=90),
        0,
        "one step early, off by one",
    ),
    "an exponential early": (by(lambda k: 0.9 ** (k + 1)), partial(ExponentialLR, gamma=0.9), 0, "off by one"),
    "per epoch, too fast": (partial(StepLR, step_size=3), partial(StepLR, step_size=30), 3, "10 times too fast"),
    "per epoch, a cosine": (
        partial(CosineAnnealingLR, T_max=6),
        partial(CosineAnnealingLR, T_max=90),
        1,
        "15 times too fast",
    ),
    "per iteration, too slow": (partial(StepLR, step_size=20), partial(StepLR, step_size=2), 2, "10 times too slowly"),
    "never": (partial(StepLR, step_size=900), partial(StepLR, step_size=30), 30, "stays at 0.1 in all 90 steps"),
    "base lr": (by(lambda k: 3 * stairs(k)), by(stairs), 0, "every lr is 3 times what it should be: the base lr"),
    "lr twice": (by(lambda k: 0.1 * stairs(k)), by(stairs), 0, "multiplied by lr (0.1) once too often"),
    "no warm-up, else right": (
        by(lambda k: 1 if k < WARM_UP else warmed(k)),
        by(warmed),
        0,
        "The warm-up is missing: you start at the full lr. It should rise from 0.005 to 0.1 in the first 20 steps",
    ),
    "no warm-up, all early": (by(lambda k: warmed(k + WARM_UP)), by(warmed), 0, "The warm-up is missing"),
    "no warm-up, stretched": (by(lambda k: cosine(k / TOTAL)), by(warmed), 0, "The warm-up is missing"),
    "a lost first step": (by(lambda k: k / WARM_UP if k < WARM_UP else warmed(k)), by(warmed), 0, "starts at lr 0"),
    "no floor": (by(partial(warmed, floor=0)), by(warmed), WARM_UP + 1, "The floor is ignored"),
    "no floor of a cosine": (
        partial(CosineAnnealingLR, T_max=90),
        partial(CosineAnnealingLR, T_max=90, eta_min=0.02),
        1,
        "The floor is ignored",
    ),
    "half the floor": (by(partial(warmed, floor=FLOOR / 2)), by(warmed), WARM_UP + 2, "The floor is too low"),
    "a floor too high": (by(partial(warmed, floor=0.4)), by(warmed), WARM_UP + 1, "the floor is too high"),
    "not held at the floor": (by(stairs), by(lambda k: max(stairs(k), 0.05)), 60, "must not fall below 0.005"),
    "counts from 0": (
        by(lambda k: (k + 1) / WARM_UP if k < WARM_UP else FLOOR + (1 - FLOOR) * cosine(k / TOTAL)),
        by(warmed),
        WARM_UP,
        "your decay counts from step 0, so lr jumps",
    ),
    "ends too late": (
        by(lambda k: (k + 1) / WARM_UP if k < WARM_UP else FLOOR + (1 - FLOOR) * cosine((k - WARM_UP) / TOTAL)),
        by(warmed),
        WARM_UP + 1,
        "divide by the steps that are left",
    ),
    "climbs again": (
        partial(CosineAnnealingLR, T_max=60),
        by(lambda k: cosine(min(k, 60) / 60)),
        61,
        "From step 60 on lr climbs again",
    ),
    "below zero": (
        by(lambda k: 1 - k / 60),
        partial(LinearLR, start_factor=1.0, end_factor=0.0, total_iters=60),
        61,
        "From step 61 on lr is below 0",
    ),
    "another gamma": (
        partial(StepLR, step_size=30, gamma=0.5),
        partial(StepLR, step_size=30),
        30,
        "multiplied by 0.5, and 0.1 would be right",
    ),
    "a missed milestone": (
        partial(MultiStepLR, milestones=[20]),
        partial(MultiStepLR, milestones=[20, 50]),
        50,
        "should be multiplied by 0.1, and yours stays",
    ),
    "a milestone too many": (
        partial(MultiStepLR, milestones=[20, 50]),
        partial(MultiStepLR, milestones=[20]),
        50,
        "must not fall below 0.01: is a floor ignored, or is there one drop too many?",
    ),
    "a rise too many": (
        by(lambda k: 2 if k >= 50 else 1 - 0.5 * (k >= 20)),
        partial(MultiStepLR, milestones=[20], gamma=0.5),
        50,
        "multiplied by 4, and nothing should happen",
    ),
}


@pytest.mark.parametrize(("wrong", "right", "step", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_its_first_step(wrong, right, step, words):
    steps = TOTAL if right(optim.SGD([torch.ones(1)], lr=1.0)).get_last_lr()[0] == 1 / WARM_UP else 90
    verdict = check_schedule(wrong, right, steps)
    ours, truth = (lr_curve(make, steps, lr=0.1) for make in (wrong, right))
    assert step == np.flatnonzero(~np.isclose(ours, truth, rtol=1e-5, atol=1e-9))[0]  # said without the check
    assert not verdict and not verdict.untouched
    assert verdict.message.startswith(f"At step {step}, counted from 0, lr is {ours[step]:.4g}, not {truth[step]:.4g}.")
    assert words in verdict.message, verdict.message


@pytest.mark.parametrize(("wrong", "right", "step", "words"), MISTAKES.values(), ids=MISTAKES)
def test_what_is_right_there_is_not_blamed(wrong, right, step, words):
    assert check_schedule(right, right, 90) and check_schedule(wrong, wrong, 90)


def test_an_epoch_is_named_as_such():
    verdict = check_schedule(partial(StepLR, step_size=3), partial(StepLR, step_size=60), 240, epoch=20)
    assert "20 times too fast. An epoch has as many iterations: it counts epochs" in verdict.message
    verdict = check_schedule(partial(StepLR, step_size=60), partial(StepLR, step_size=3), 240, epoch=20)
    assert "20 times too slowly. An epoch has as many iterations: it counts iterations" in verdict.message


@pytest.mark.parametrize("seed", range(20))
def test_an_unknown_mistake_gets_no_name(seed):
    """Lrs drawn at random: the step is told, and nothing is made up."""
    draw = np.random.default_rng(seed).uniform(0.1, 1, size=91)
    verdict = check_schedule(by(lambda k: draw[k]), partial(CosineAnnealingLR, T_max=90), 90)
    assert not verdict and "\n" not in verdict.message and verdict.message.startswith("At step 0, counted from 0")


# ---- every scheduler of torch, with several settings each, in place of every other


def warm_then_cosine(warm_up, length):
    def made(optimizer):
        parts = [LinearLR(optimizer, 1 / warm_up, total_iters=warm_up - 1), CosineAnnealingLR(optimizer, length)]
        return SequentialLR(optimizer, parts, [warm_up])

    return made


def warm_and_decay(warm_up, gamma):
    return lambda optimizer: ChainedScheduler(
        [LinearLR(optimizer, 0.1, total_iters=warm_up), ExponentialLR(optimizer, gamma)]
    )


IN_TIME = {  # families that differ by their speed alone: the settings that are a time
    "StepLR": (lambda t: partial(StepLR, step_size=t), (3, 10, 20, 30)),
    "MultiStepLR": (lambda t: partial(MultiStepLR, milestones=[t]), (2, 20)),
    "CosineAnnealingLR": (lambda t: partial(CosineAnnealingLR, T_max=t), (6, 10, 30, 60)),
    "warm restarts": (lambda t: partial(CosineAnnealingWarmRestarts, T_0=t), (5, 10, 30)),
    "longer restarts": (lambda t: partial(CosineAnnealingWarmRestarts, T_0=t, T_mult=2), (2, 10, 20)),
    "LinearLR": (lambda t: partial(LinearLR, start_factor=0.1, total_iters=t), (10, 20)),
    "falling LinearLR": (lambda t: partial(LinearLR, start_factor=1.0, end_factor=0.1, total_iters=t), (100, 150)),
    "ConstantLR": (lambda t: partial(ConstantLR, factor=0.4, total_iters=t), (2, 20)),
    "PolynomialLR": (lambda t: partial(PolynomialLR, total_iters=t, power=2), (30, 60)),
    "CyclicLR": (lambda t: partial(CyclicLR, base_lr=0.01, max_lr=0.1, step_size_up=t), (5, 10, 15)),
    "LambdaLR": (lambda t: by(lambda step: 1 / (1 + step / t)), (1, 10)),
    "SWALR": (lambda t: partial(SWALR, swa_lr=0.03, anneal_epochs=t), (10, 30)),
}
OTHERS = {
    "StepLR, gamma 0.5": partial(StepLR, step_size=30, gamma=0.5),
    "MultiStepLR twice": partial(MultiStepLR, milestones=[20, 50]),
    "MultiStepLR, others": partial(MultiStepLR, milestones=[10, 40]),
    "ExponentialLR 0.9": partial(ExponentialLR, gamma=0.9),
    "ExponentialLR 0.99": partial(ExponentialLR, gamma=0.99),
    "constant": partial(ExponentialLR, gamma=1.0),
    "CosineAnnealingLR, eta_min": partial(CosineAnnealingLR, T_max=60, eta_min=0.02),
    "MultiplicativeLR": partial(MultiplicativeLR, lr_lambda=lambda step: 0.9 if step > 30 else 1),
    "PolynomialLR, straight": partial(PolynomialLR, total_iters=50, power=1),
    "CyclicLR, triangular2": partial(CyclicLR, base_lr=0.01, max_lr=0.1, step_size_up=10, mode="triangular2"),
    "OneCycleLR": partial(OneCycleLR, max_lr=0.1, total_steps=60),
    "OneCycleLR, 80": partial(OneCycleLR, max_lr=0.1, total_steps=80),
    "OneCycleLR, twice": partial(OneCycleLR, max_lr=0.2, total_steps=60),
    "SequentialLR": warm_then_cosine(15, 45),
    "SequentialLR, longer": warm_then_cosine(15, 60),
    "ChainedScheduler": warm_and_decay(15, 0.96),
    "ChainedScheduler, short": warm_and_decay(5, 0.96),
    "SWALR, up": partial(SWALR, swa_lr=0.3, anneal_epochs=30),
}
SETTINGS = {(name, t): make(t) for name, (make, times) in IN_TIME.items() for t in times}
SETTINGS |= {(name, 0): make for name, make in OTHERS.items()}
NAMED = {  # (what is handed in, what is asked for): what is true of 60 steps of them
    (("StepLR", 30), ("StepLR, gamma 0.5", 0)): "multiplied by 0.1, and 0.5 would be right",
    (("StepLR, gamma 0.5", 0), ("StepLR", 30)): "multiplied by 0.5, and 0.1 would be right",
    (("StepLR", 20), ("MultiStepLR", 20)): "must not fall below 0.01",
    (("MultiStepLR", 20), ("StepLR", 20)): "should be multiplied by 0.1, and yours stays",
    (("MultiStepLR twice", 0), ("MultiStepLR", 20)): "must not fall below 0.01",
    (("MultiStepLR", 20), ("MultiStepLR twice", 0)): "should be multiplied by 0.1, and yours stays",
    (("StepLR", 30), ("constant", 0)): "multiplied by 0.1, and nothing should happen",
    (("StepLR, gamma 0.5", 0), ("constant", 0)): "multiplied by 0.5, and nothing should happen",
    (("MultiStepLR", 20), ("constant", 0)): "multiplied by 0.1, and nothing should happen",
    (("MultiStepLR", 2), ("constant", 0)): "multiplied by 0.1, and nothing should happen",
    (("CosineAnnealingLR", 60), ("CosineAnnealingLR, eta_min", 0)): "The floor is ignored",
    (("CosineAnnealingLR, eta_min", 0), ("CosineAnnealingLR", 60)): "the floor is too high",
    (("CosineAnnealingLR", 60), ("SequentialLR", 0)): "The warm-up is missing",
    (("CosineAnnealingLR, eta_min", 0), ("SequentialLR", 0)): "The warm-up is missing",
    (("CosineAnnealingLR", 60), ("SequentialLR, longer", 0)): "The warm-up is missing",
    (("CosineAnnealingLR, eta_min", 0), ("SequentialLR, longer", 0)): "come down to 0.02005, not to 6.852e-05",
    (("SequentialLR, longer", 0), ("SequentialLR", 0)): "Your decay is spread over all steps",
    (("OneCycleLR", 0), ("OneCycleLR, twice", 0)): "every lr is 0.5 times",
    (("OneCycleLR, twice", 0), ("OneCycleLR", 0)): "every lr is 2 times",
}


def true_name(ours, asked, steps=60) -> str | None:
    """What may be said of `ours` where `asked` is right, by their settings alone."""
    (name, t), (other, s) = ours, asked
    if ours in [("constant", 0)]:
        return f"It stays at 0.1 in all {steps} steps."
    if name == other and t and not (t % s and s % t):
        return f"It runs {max(s // t, t // s)} times too {'fast' if t < s else 'slowly'}."
    return NAMED.get((ours, asked))


def test_over_all_pairs_a_mistake_is_named_where_it_is_one_and_nowhere_else():
    assert {type(make(optim.SGD([torch.ones(1)], lr=0.1, momentum=0.9))) for make in SETTINGS.values()} | {
        ReduceLROnPlateau
    } == set(scheduler_classes().values())

    @cache
    def lrs(setting, steps):
        try:
            return lr_curve(SETTINGS[setting], steps, lr=0.1)
        except ValueError:  # OneCycleLR has no more
            return None

    wrong, named = {}, 0
    for ours, asked in itertools.permutations(SETTINGS, 2):
        curve, right = lrs(ours, 60), lrs(asked, 61)
        assert not np.allclose(curve, right[:60], rtol=1e-6)
        found = diagnose(
            curve, right, lr=0.1, curve_to=lambda n, s=ours: lrs(s, n), truth_to=lambda n, s=asked: lrs(s, n)
        )
        expected = true_name(ours, asked)
        named += expected is not None
        if (found is None) != (expected is None) or (found and expected not in found):
            wrong[ours, asked] = found, expected
    assert not wrong and named > 80


@pytest.mark.parametrize("asked", [name for name in EXAMPLES if name != "CyclicLR"])
def test_a_constant_factor_is_not_asked_whether_it_counts_epochs(asked):
    verdict = check_schedule(partial(ExponentialLR, gamma=1.0), example(asked), 60, epoch=20)
    assert not verdict and "epoch" not in verdict.message


def test_a_schedule_that_only_begins_like_another_is_not_called_too_fast():
    verdict = check_schedule(by(lambda k: stairs(10 * k) if k < 9 else 1.0), partial(StepLR, step_size=30), 90)
    assert not verdict and "\n" not in verdict.message
    verdict = check_schedule(
        partial(CosineAnnealingWarmRestarts, T_0=10), partial(CosineAnnealingWarmRestarts, T_0=10, T_mult=2), 90
    )
    assert verdict.message == "At step 11, counted from 0, lr is 0.09755, not 0.09938."


# ---- a metric


PLATEAU = partial(ReduceLROnPlateau, factor=0.5, patience=4)


def test_schedulers_that_follow_a_metric_are_compared_with_each_other():
    assert "under a metric that falls, rests and rises" in check_schedule(PLATEAU, PLATEAU, 60).message
    for other in (
        partial(PLATEAU, patience=5),
        partial(PLATEAU, mode="max"),
        partial(PLATEAU, factor=0.4),
        partial(PLATEAU, cooldown=3),
        partial(PLATEAU, min_lr=0.03),
    ):
        verdict = check_schedule(other, PLATEAU, 60)
        assert not verdict and verdict.message.startswith("At step ") and "\n" not in verdict.message
    assert check_schedule(partial(PLATEAU, patience=5), PLATEAU, 60, metrics=[1 / (1 + k) for k in range(60)])


def test_a_schedule_that_follows_a_metric_is_none_that_does_not():
    """Even where the lrs agree: with this metric it is a StepLR."""
    for candidate, reference, words in [
        (PLATEAU, partial(StepLR, step_size=5, gamma=0.5), "`ReduceLROnPlateau` follows a metric"),
        (partial(StepLR, step_size=5, gamma=0.5), PLATEAU, "`StepLR` looks at the step alone"),
    ]:
        verdict = check_schedule(candidate, reference, 60, metrics=[1.0] * 60)
        assert not verdict and words in verdict.message


def test_a_reference_without_lrs_is_not_blamed_on_the_answer():
    with pytest.raises(ValueError, match="LambdaLR has no lr for step 7"):
        check_schedule(partial(StepLR, step_size=30), by(lambda k: 1 / (7 - k)), 60)
    with pytest.raises(TypeError, match="must be what makes a scheduler"):
        check_schedule(partial(StepLR, step_size=30), 3, 60)


# ---- answers of another kind


SPENT = StepLR(optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1), 30)
calls = []


def counts_outside(optimizer):
    calls.append(1)
    return LambdaLR(optimizer, lambda step: 0.1 ** ((step + 10 * (len(calls) > 2)) // 30))


def forgets_to_return(optimizer):
    StepLR(optimizer, 30)


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (SPENT, "looking at its lrs would spend it"),
        (lambda optimizer: SPENT, "belongs to another optimizer"),
        (lambda optimizer: StepLR, "You returned `StepLR`, and a scheduler is asked for"),
        (lambda optimizer: 0.1, "You returned `float`"),
        (forgets_to_return, "returned None: is its `return` missing?"),
        (3, "no function"),
        (StepLR, "step_size"),
        (by(lambda step: 1 / (step - 50)), "step 50, counted from 0 (ZeroDivisionError"),
        (by(lambda step: math.nan if step == 40 else 1), "At step 40, counted from 0, lr is nan"),
        (by(lambda step: "1"), "TypeError"),
        (by(lambda step: [1.0]), "TypeError"),
        (by(lambda step: 1j), "complex"),
        (by(lambda step: step**-0.5), "ZeroDivisionError"),
        (by(lambda step: (50 - step) ** -0.5), "step 50, counted from 0 (ZeroDivisionError"),
        (by(lambda step: (50.5 - step) ** -0.5), "step 51, counted from 0 (TypeError"),
        (partial(OneCycleLR, max_lr=0.1, total_steps=40), "Tried to step"),
        (partial(CyclicLR, base_lr=0.1), "max_lr"),
        (by(lambda step: exit()), "SystemExit"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # no address: workers must agree on names
)
def test_an_answer_of_another_kind_is_told_what_is_asked_for(candidate, words):
    verdict = check_schedule(candidate, partial(StepLR, step_size=30), 90)
    assert not verdict and not verdict.untouched and words in verdict.message, verdict.message


def test_what_counts_outside_of_the_scheduler_is_noticed():
    verdict = check_schedule(counts_outside, partial(StepLR, step_size=30), 90)
    assert "a second scheduler from your function parts from it at step 20" in verdict.message


def test_a_loop_without_end_is_stopped():
    def endless(step):
        while step == 7:
            pass
        return 1.0

    verdict = check_schedule(by(endless), partial(StepLR, step_size=30), 90)
    assert not verdict and "still running" in verdict.message


def test_the_world_is_as_it_was():
    def rude(optimizer):
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(3)
        print("rude")
        return StepLR(optimizer, 30)

    state = torch.get_rng_state()
    assert check_schedule(rude, partial(StepLR, step_size=30), 90)
    assert torch.get_default_dtype() is torch.float32 and torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("check", [check_warm_up_cosine, check_target, check_multistep])
def test_stubs_are_not_yet(check):
    def my_schedule(optimizer):
        def factor(step): ...

        return LambdaLR(optimizer, factor)

    def multistep(step, milestones, gamma): ...

    for stub in (multistep if check is check_multistep else my_schedule, ...):
        verdict = check(stub)
        assert verdict.untouched and verdict.message.startswith("Not yet")


def test_strict_checks_raise(monkeypatch):
    monkeypatch.setenv("WORKSHOP_STRICT", "1")
    with pytest.raises(AssertionError, match="10 times too fast"):
        check_schedule(partial(StepLR, step_size=3), partial(StepLR, step_size=30), 90)


# ---- MultiStepLR in closed form


def passed(step, milestones):
    return sum(step >= m for m in milestones)


@pytest.mark.parametrize(
    "right",
    [
        lambda step, milestones, gamma: gamma ** passed(step, milestones),
        lambda step, milestones, gamma: math.prod(gamma for m in milestones if m <= step),
        lambda step, milestones, gamma: gamma ** np.searchsorted(np.sort(milestones), step, side="right"),
    ],
)
def test_a_right_closed_form_passes(right):
    assert check_multistep(right)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda k, m, g: g ** sum(k > x for x in m), "With milestones [30, 80] and gamma 0.1, at step 30"),
        (lambda k, m, g: g ** sum(k > x for x in m), "one step late, off by one"),
        (lambda k, m, g: g ** sum(k + 1 >= x for x in m), "one step early, off by one"),
        (lambda k, m, g: g ** passed(k, set(m)), "at step 20, counted from 0, lr is 0.075, not 0.0375"),
        (lambda k, m, g: g ** passed(k, set(m)), "multiplied by 0.5, and 0.25 would be right"),
        (lambda k, m, g: g * passed(k, m) or 1.0, "at step 80"),
        (lambda k, m, g: 0.3 * g ** passed(k, m), "multiplied by lr (0.3) once too often"),
        (lambda k, m, g: 0.1 ** passed(k, m), "With milestones [5, 20, 20, 60] and gamma 0.5"),
        (lambda k, m, g: g ** next((i for i, x in enumerate(m) if k < x), len(m)), "With milestones [50, 10]"),
        (lambda k, m, g: g ** (k in m), "at step 31, counted from 0, lr is 0.3, not 0.03"),
        (lambda k, m: 1, "takes 2 positional arguments"),
    ],
)
def test_a_wrong_closed_form_is_told_why(wrong, words):
    verdict = check_multistep(wrong)
    assert not verdict and words in verdict.message, verdict.message


# ---- warm-up and cosine


def test_the_reference_says_what_the_exercise_says():
    curve = lr_curve(schedulers._warm_up_cosine, TOTAL + 1, lr=2.0)
    assert curve[0] == pytest.approx(2 / WARM_UP) and curve[WARM_UP - 1] == curve[WARM_UP] == 2
    assert curve[TOTAL] == pytest.approx(2 * FLOOR) and curve[(WARM_UP + TOTAL) // 2] == pytest.approx(1 + FLOOR)


def test_an_lr_in_place_of_a_factor_is_named():
    assert "multiplied by lr (0.3) once too often" in check_warm_up_cosine(by(lambda k: 0.3 * warmed(k))).message


# ---- reach the target


@pytest.mark.parametrize(
    "good",
    [
        partial(ExponentialLR, gamma=0.98),
        by(lambda k: 1 / (1 + k / 10)),
        partial(StepLR, step_size=10, gamma=0.8),
        by(lambda k: 0.34 * (1 + math.cos(math.pi * k / 200)) / 2),  # the solution's cosine, its peak tuned
    ],
)
def test_a_schedule_that_reaches_the_target_passes(good):
    verdict = check_target(good)
    assert verdict and f"ends at {noisy_run(good)[0][-1]:.2g}" in verdict.message


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (partial(ConstantLR, factor=1.0), "Your last lr is 0.5, and the floor of the noise"),
        (by(lambda k: 0.2), "Your last lr is 0.1"),
        (partial(CosineAnnealingLR, T_max=100), "Your last lr is 0.5"),
        (partial(CosineAnnealingLR, T_max=200), "too small for the optimizer to move"),
        (partial(MultiStepLR, milestones=[100, 150]), "much noise is frozen in"),
        (partial(ExponentialLR, gamma=0.9), "too small for too long to walk the whole way"),
        (partial(StepLR, step_size=3), "From step 6 on lr is below a tenth of 0.5"),
        (by(lambda k: 5.0), "beyond the edge 2/L = 2"),
        (partial(StepLR, step_size=30, gamma=5.0), "It diverges: lr is up to"),
    ],
)
def test_a_schedule_that_does_not_is_told_why(bad, words):
    verdict = check_target(bad)
    assert not verdict and words in verdict.message, verdict.message


def test_no_constant_lr_reaches_the_target():
    ends = [noisy_run(by(lambda k, f=factor: f))[0][-1] for factor in 10 ** np.arange(-2, 0.51, 0.125)]
    assert 1.2 * schedulers.TARGET < min(ends) and np.isfinite(ends).all()


def test_the_run_is_torch_and_the_check_takes_less_than_three_seconds():
    losses, lrs = noisy_run(partial(ExponentialLR, gamma=0.98))
    assert losses.shape == (schedulers.BUDGET + 1,)
    np.testing.assert_allclose(lrs, schedulers.LR * 0.98 ** np.arange(schedulers.BUDGET), rtol=1e-12)
    start = time.process_time()
    check_target(partial(CosineAnnealingLR, T_max=200))
    assert time.process_time() - start < 3
