"""The check of notebook 00: every mistake gets its own diagnosis, no right answer gets one."""

import pytest

from utils.checks.concepts import check_one_step

RIGHT = {
    "as in the formula": lambda w, gradient, lr: w - lr * gradient,
    "another order": lambda w, gradient, lr: -gradient * lr + w,
}
WRONG = {
    "uphill": (lambda w, gradient, lr: w + lr * gradient, "uphill"),
    "no lr": (lambda w, gradient, lr: w - gradient, "where does `lr` come in"),
    "no gradient": (lambda w, gradient, lr: w - lr, "whatever the gradient is"),
    "the step alone": (lambda w, gradient, lr: -lr * gradient, "the step alone"),
    "its length": (lambda w, gradient, lr: lr * gradient, "the length of the step"),
    "unchanged": (lambda w, gradient, lr: w, "as it was"),
    "right once only": (lambda w, gradient, lr: 2.8, "From w = -1"),
    "text": (lambda w, gradient, lr: "2.8", "one number"),
    "nothing": (lambda w, gradient, lr: None, "returned None"),
    "an error": (lambda w, gradient, lr: w / 0, "ZeroDivisionError"),
    "no function": (2.8, "no function"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right(name):
    assert check_one_step(RIGHT[name])


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name):
    candidate, diagnosis = WRONG[name]
    verdict = check_one_step(candidate)
    assert not verdict and diagnosis in verdict.message
    others = {words for other, (_, words) in WRONG.items() if words not in (diagnosis, "From w = -1")}
    assert not any(words in verdict.message for words in others)


def test_the_stub_is_not_a_mistake():
    def one_step(w, gradient, lr): ...

    verdict = check_one_step(one_step)
    assert not verdict and verdict.untouched
