"""The checks of sick runs in notebook 05b, and the runs that they judge by."""

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.nn import functional as F

from tests.support.answers import changed
from utils.checks.diagnosis import check_diagnosis, check_reproduced
from utils.practice import sick_runs
from utils.practice.sick_runs import MISTAKES, lettered, recognise, spoiled, text_loss

# ---- eight curves


@pytest.mark.parametrize("seed", [0, 3, 11])
@pytest.mark.parametrize("mistake", [None, *MISTAKES])
def test_each_mistake_shows_its_own_symptoms(mistake, seed):
    assert recognise(spoiled(mistake, seed=seed)) == (mistake or "healthy")


def test_the_eight_runs_part_from_the_healthy_one_by_their_mistake_alone():
    healthy = spoiled(None)
    for mistake in MISTAKES:
        first = spoiled(mistake).loss[0]
        assert first == healthy.loss[0] or mistake == "labels shuffled"


def test_the_loss_of_guessing_is_that_of_the_best_guess():
    codes = sick_runs.zen()[2]
    logits = (codes.bincount() / len(codes)).log().expand(len(codes), -1)
    assert np.isclose(sick_runs.guessing(), F.cross_entropy(logits, codes).item(), rtol=1e-5)


def test_an_unknown_mistake_is_refused():
    with pytest.raises(ValueError, match="none of the eight: lr too high"):
        spoiled("bad luck")


def test_a_full_diagnosis_passes_however_it_is_written():
    assert check_diagnosis(lettered())
    assert check_diagnosis({letter: f" {name.upper()} " for letter, name in lettered().items()})


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("letter", "ABCDEFGH")
def test_every_confusion_is_explained(letter, name):
    truth = lettered()
    verdict = check_diagnosis(truth | {letter: name})
    if truth[letter] == name:
        assert verdict
    else:
        assert not verdict and MISTAKES[name].message in verdict.message and "7 of 8 are right" in verdict.message
        assert f"But {letter} shows this: " in verdict.message


def test_of_several_confusions_the_first_is_explained_and_the_others_follow():
    truth = lettered()
    verdict = check_diagnosis(truth | {"B": truth["C"], "C": truth["B"]})
    assert "6 of 8 are right. B is not" in verdict.message and "C is not" not in verdict.message
    assert [other[:8] for other in verdict.others] == ["C is not"]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (["lr too high"] * 8, "is a dict"),
        ({"A": "lr too high"}, "is a dict"),
        (lettered() | {"C": "bad luck"}, "C: `bad luck` is none of the eight"),
        (lettered() | {"C": 3}, "none of the eight"),
    ],
)
def test_an_answer_of_another_kind_is_told_what_is_asked_for(answers, words):
    verdict = check_diagnosis(answers)
    assert not verdict and words in verdict.message


# ---- reproduced


def sick_run(model, batches):
    optimizer = optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.2)
    for x, y in batches:
        loss = text_loss(model, x, y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()


STEP_LR = "StepLR(optimizer, step_size=10, gamma=0.2)"


@pytest.mark.parametrize(
    "meant_per_epoch",
    [
        STEP_LR,
        "StepLR(optimizer, 30, 0.1)",
        "StepLR(optimizer, 10, 0.5)",
        "ExponentialLR(optimizer, 0.9)",
        "ExponentialLR(optimizer, 0.95)",
        "MultiStepLR(optimizer, [30, 60, 80])",
    ],
)
def test_the_illness_that_was_asked_for_passes(meant_per_epoch):
    assert check_reproduced(changed(sick_run, STEP_LR, meant_per_epoch))


@pytest.mark.parametrize("harmless", ["ExponentialLR(optimizer, 0.99)", "CosineAnnealingLR(optimizer, 100)"])
def test_a_schedule_that_does_not_freeze_the_run_is_healthy(harmless):
    assert "looks like a healthy run" in check_reproduced(changed(sick_run, STEP_LR, harmless)).message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("        scheduler.step()\n", "", "looks like a healthy run"),
        ("        nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n", "", "“exploding gradient”"),
        ("        optimizer.step()\n", "", "“dead optimizer”"),
        ("lr=0.3, momentum=0.9)", "lr=0.3, momentum=0.9, weight_decay=0.5)", "“decay too strong”"),
        ("    for x, y in batches:", "    for x, y in list(batches)[:0]:", "“dead optimizer”"),
        ("        optimizer.step()\n", "        optimizer.step()\n        break\n", "took 0 of the 100 batches"),
        ("loss.backward()", "loss.forward()", "AttributeError"),
    ],
)
def test_another_illness_is_named(old, new, words):
    verdict = check_reproduced(changed(sick_run, old, new))
    assert not verdict and words in verdict.message, verdict.message


def test_stubs_are_not_yet():
    def stub(model, batches): ...

    for verdict in (check_reproduced(stub), check_diagnosis(...), check_diagnosis(lettered() | {"A": ...})):
        assert verdict.untouched and verdict.message.startswith("Not yet"), verdict


def test_windows_depend_on_their_seed_alone():
    torch.manual_seed(0)
    first = sick_runs.windows(3)[5]
    torch.manual_seed(1)
    again, other = sick_runs.windows(3)[5], sick_runs.windows(4)[5]
    assert torch.equal(first[0], again[0]) and not torch.equal(first[0], other[0])
    assert torch.equal(first[0][:, 1:], first[1][:, :-1]) and np.all(first[0].numpy() < 32)
