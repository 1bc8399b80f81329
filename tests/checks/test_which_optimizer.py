"""The checks of notebook 02d: right answers pass, each wrong one is told what is wrong with it."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn, optim

from utils.checks.which_optimizer import BUDGET, CANDIDATES, TARGET, check_tuned, check_which, mysteries
from utils.descent import descend
from utils.surfaces import ravine, rosenbrock

RIGHT = {"A": "Adagrad", "B": "RMSprop", "C": "Momentum"}


@pytest.mark.parametrize(
    "make",
    [
        partial(optim.SGD, lr=0.003, momentum=0.9),
        lambda params: optim.SGD(params, lr=0.0025, momentum=0.9),
        partial(optim.RMSprop, lr=0.178),
    ],
)
def test_an_optimizer_that_meets_the_target_passes(make):
    verdict = check_tuned(make)
    end = descend(rosenbrock(), make, BUDGET).loss[-1]
    assert verdict and end <= TARGET and f"{end:.2g} after {BUDGET} steps" in verdict.message


def test_the_step_told_is_the_one_from_which_the_loss_stays_low():
    make = partial(optim.SGD, lr=0.003, momentum=0.9)
    loss = descend(rosenbrock(), make, BUDGET).loss
    step = int(check_tuned(make).message.rstrip(".").split()[-1])
    assert (loss[step:] <= TARGET).all() and loss[step - 1] > TARGET


STRANGE = nn.Parameter(torch.zeros(2))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            partial(optim.SGD, lr=0.0003, momentum=0.9),
            ["times the target", "Its lr is too small", "This optimizer can"],
        ),
        (partial(optim.SGD, lr=0.01, momentum=0.9), ["left the valley at step", "too large", "This optimizer can"]),
        (partial(optim.Adam, lr=0.001), ["Its lr is too small", "take another optimizer"]),
        (partial(optim.Adam, lr=30.0), ["Its lr is too large"]),
        (partial(optim.SGD, lr=0.0032), ["Other lrs do not help it", "change another setting"]),
        (partial(optim.SGD, lr=0.003), ["take another optimizer"]),
        (lambda params: optim.SGD([STRANGE], lr=0.1), ["does not hold the `params`"]),
        (lambda params: optim.SGD, ["You returned `SGD`"]),
        (lambda params: 0.1, ["You returned `float`"]),
        (lambda params: None, ["returned None"]),
        (partial(optim.LBFGS, lr=1), ["LBFGS asks for up to 20 gradients"]),
        (lambda params: optim.SGD(params, lr=-1), ["ValueError", "Invalid learning rate"]),
        (optim.Adam, ["Its lr is too small"]),
        (3, ["no function"]),
    ],
)
def test_a_wrong_optimizer_is_told_why(make, words):
    verdict = check_tuned(make)
    assert not verdict and not verdict.untouched
    assert all(word in verdict.message for word in words), verdict.message


def test_stubs_are_not_yet():
    def my_optimizer(params): ...

    for verdict in (check_tuned(my_optimizer), check_which(...), check_which({"A": "Adagrad", "B": ..., "C": "SGD"})):
        assert verdict.untouched and verdict.message.startswith("Not yet")


@pytest.mark.parametrize("write", [str, str.lower, lambda name: f" {name.upper()} "])
def test_the_right_names_pass_however_they_are_written(write):
    assert check_which({letter: write(name) for letter, name in RIGHT.items()})


@pytest.mark.parametrize("letter", RIGHT)
@pytest.mark.parametrize("name", CANDIDATES)
def test_a_wrong_name_is_told_where_the_two_part(letter, name):
    verdict = check_which(RIGHT | {letter: name})
    if name == RIGHT[letter]:
        assert verdict
        return
    trace = mysteries()[letter]
    other = descend(ravine(20), partial(CANDIDATES[name], lr=float(trace.label.split()[-1])), 40)
    part = np.flatnonzero(~np.isclose(np.diff(trace.path, axis=0), np.diff(other.path, axis=0)).all(1))[0] + 1
    assert not verdict and f"{letter} is not {name}" in verdict.message and f"part at step {part}," in verdict.message


def test_of_several_wrong_names_the_first_is_told_and_the_others_follow():
    verdict = check_which({"A": "SGD", "B": "RMSprop", "C": "SGD"})
    assert verdict.message.startswith("A is not SGD") and "C is not" not in verdict.message
    (other,) = verdict.others
    assert other.startswith("C is not SGD")


def test_the_hints_are_true():
    first = {letter: np.diff(trace.path, axis=0)[:2] for letter, trace in mysteries().items()}
    lr = {letter: trace.lr[0] for letter, trace in mysteries().items()}
    assert np.allclose(np.abs(first["A"][0]), lr["A"]) and (np.abs(first["A"][1]) < 0.9 * lr["A"]).all()
    assert np.allclose(np.abs(first["B"][0]), 10 * lr["B"])
    assert np.allclose(first["C"][0], -lr["C"] * np.array(ravine(20).gradient(*ravine(20).start)))


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (["Adagrad", "RMSprop", "Momentum"], "is a dict"),
        ({"A": "Adagrad"}, "is a dict"),
        (RIGHT | {"B": "Sgd2"}, "B: `Sgd2` is none of the six"),
        (RIGHT | {"C": optim.SGD}, "none of the six"),
    ],
)
def test_an_answer_of_another_kind_is_told_what_is_asked_for(answers, words):
    verdict = check_which(answers)
    assert not verdict and words in verdict.message
