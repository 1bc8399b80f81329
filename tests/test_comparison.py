"""The judge of experiments: its interval is Student's, its four words follow one rule, its power is as promised."""

import math

import numpy as np
import pytest

from utils.comparison import Comparison, compare, seeds_needed

OLD = np.array([5.0, 6.0, 7.0, 8.0])


@pytest.mark.parametrize(
    ("gap", "verdict"),
    [
        ([-1.0, -1.1, -0.9, -1.0], "better"),
        ([1.0, 1.1, 0.9, 1.0], "worse"),
        ([0.1, -0.1, 0.05, -0.05], "no difference"),
        ([0.1, 0.11, 0.09, 0.1], "no difference"),  # surely above 0, and surely too small to matter
        ([0.3, 0.8, 0.4, 0.7], "worse"),  # the interval is not within the margin
        ([2.0, -2.0, 1.0, -1.5], "undecided"),
    ],
)
def test_the_verdict_follows_the_rule(gap, verdict):
    found = compare(OLD + gap, OLD, margin=0.5)
    assert found.verdict == verdict and math.isclose(found.mean, np.mean(gap), abs_tol=1e-12) and found.n == 4


@pytest.mark.parametrize(
    ("factors", "verdict"),
    [
        ([0.5, 0.52, 0.48, 0.5], "better"),
        ([2.0, 1.9, 2.1, 2.0], "worse"),
        ([1.02, 0.98, 1.01, 0.99], "no difference"),
        ([2.0, 0.5, 1.5, 0.6], "undecided"),
    ],
)
def test_a_ratio_is_judged_on_logarithms(factors, verdict):
    found = compare(OLD * factors, OLD, margin=0.05, ratio=True)
    assert found.verdict == verdict and math.isclose(found.mean, math.prod(factors) ** 0.25)
    turned = compare(OLD, OLD * factors, margin=0.05, ratio=True)  # whichever of the two is called new
    assert math.isclose(turned.low, 1 / found.high) and math.isclose(turned.mean, 1 / found.mean)
    opposite = {"better": "worse", "worse": "better"}
    assert turned.verdict == opposite.get(verdict, verdict)


def test_the_interval_is_students():
    found = compare([1.0, 2.0, 4.0], [0.0, 0.0, 0.0], margin=0)
    half = 4.302652730 * np.std([1, 2, 4], ddof=1) / math.sqrt(3)  # t of 2 degrees of freedom at 97.5 %, from a table
    assert math.isclose(found.high - found.mean, half, rel_tol=1e-8) and math.isclose(found.mean - found.low, half)


def test_a_useless_change_is_called_something_in_about_one_case_of_twenty():
    luck = np.random.default_rng(1)
    verdicts = [compare(*luck.normal(0, 1, (2, 6)), margin=0).verdict for _ in range(2000)]
    share = sum(v in ("better", "worse") for v in verdicts) / 2000
    assert 0.035 < share < 0.065


@pytest.mark.parametrize(("mean", "text"), [(-3.217, "−3.22"), (0.0, "+0.00"), (0.00412, "+0.0041"), (-81.0, "−81.00")])
def test_a_difference_is_printed_with_the_digits_that_it_needs(mean, text):
    assert str(Comparison(mean, mean, mean, 12, 0.5)) == f"{text} ({text} to {text}), n = 12"


def test_a_ratio_is_printed_as_one():
    assert str(Comparison(0.6214, 0.55, 0.7, 12, 0.05, ratio=True)) == "× 0.621 (0.55 to 0.7), n = 12"


@pytest.mark.parametrize(
    ("new", "old", "options", "words"),
    [
        ([1, 2], [1, 2, 3], {}, "paired by seed"),
        ([1], [1], {}, "two or more"),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]], {}, "paired by seed"),
        ([1, np.inf], [1, 2], {}, "diverged"),
        ([1, 2], [np.nan, 2], {}, "diverged"),
        ([1, 2], [1, 2], {"margin": -1}, "margin must be 0 or larger"),
        ([1, 2], [1, 2], {"margin": math.nan}, "margin must be 0 or larger"),
        ([1, 0], [1, 2], {"ratio": True}, "numbers above 0"),
        ([1, 2], [-1, 2], {"ratio": True}, "numbers above 0"),
    ],
)
def test_what_cannot_be_compared_is_refused(new, old, options, words):
    with pytest.raises(ValueError, match=words):
        compare(new, old, **{"margin": 0.5} | options)


@pytest.mark.parametrize(("spread", "difference"), [(1.0, 1.0), (1.0, 0.5), (0.3, -0.4)])
def test_so_many_seeds_find_the_difference_nine_times_in_ten(spread, difference):
    n, luck = seeds_needed(spread, difference), np.random.default_rng(2)

    def share(n):
        trials = luck.normal(difference, spread, (3000, n))
        found = {"better", "worse"}
        return sum(compare(t, np.zeros(n), margin=0).verdict in found for t in trials) / 3000

    assert 0.88 < share(n) < 0.97 and share(max(n - 2, 2)) < 0.9


def test_the_number_of_seeds_is_that_of_the_tables():
    assert seeds_needed(1.0, 1.0) == 13  # paired t, 5 %, power 90 %, effect 1: Cohen's tables say 13
    assert seeds_needed(1.0, 0.5, power=0.8) == 34
    assert seeds_needed(0.0, 1.0) == 2


@pytest.mark.parametrize("call", [(-1, 1), (1, 0), (1, math.nan), (math.nan, 1), (1000, 1)])
def test_a_question_without_an_answer_is_refused(call):
    with pytest.raises(ValueError, match=r"spread ≥ 0|10,000 seeds"):
        seeds_needed(*call)


def test_a_power_of_one_is_refused():
    with pytest.raises(ValueError, match="power"):
        seeds_needed(1, 1, power=1)
