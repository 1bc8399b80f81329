"""The judge of experiments: its interval is Student's, and its words follow one rule."""

import math

import numpy as np
import pytest

from utils.comparison import compare


@pytest.mark.parametrize(
    ("gap", "verdict"),
    [
        ([-1.0, -1.1, -0.9, -1.0], "gain"),
        ([1.0, 1.1, 0.9, 1.0], "loss"),
        ([0.1, -0.1, 0.05, -0.05], "no gain"),
        ([2.0, -2.0, 1.0, -1.5], "noise"),
    ],
)
def test_the_verdict_follows_the_rule(gap, verdict):
    old = np.array([5.0, 6.0, 7.0, 8.0])
    found = compare(old + gap, old)
    assert found.verdict == verdict and math.isclose(found.mean, np.mean(gap), abs_tol=1e-12)


def test_the_interval_is_students():
    found = compare([1.0, 2.0, 4.0], [0.0, 0.0, 0.0])
    half = 4.302652730 * np.std([1, 2, 4], ddof=1) / math.sqrt(3)  # t of 2 degrees of freedom at 97.5 %, from a table
    assert math.isclose(found.high - found.mean, half, rel_tol=1e-8) and math.isclose(found.mean - found.low, half)


def test_a_useless_change_is_called_something_in_about_one_case_of_twenty():
    luck = np.random.default_rng(1)
    verdicts = [compare(*luck.normal(0, 1, (2, 6))).verdict for _ in range(2000)]
    share = sum(v in ("gain", "loss") for v in verdicts) / 2000
    assert 0.035 < share < 0.065


@pytest.mark.parametrize(
    ("new", "old", "words"),
    [([1, 2], [1, 2, 3], "paired by seed"), ([1], [1], "two or more"), ([1, np.inf], [1, 2], "diverged")],
)
def test_what_cannot_be_compared_is_refused(new, old, words):
    with pytest.raises(ValueError, match=words):
        compare(new, old)
