"""What a student does anyway is noted: a check that passes, a goal that is reached, a look at the leaderboard."""

import errno
import json
import os
from functools import partial
from importlib import import_module

import numpy as np
import pytest
from torch import optim

from utils import progress
from utils.checks import check, check_optimizer
from utils.guard import Wrong
from utils.labs.goals import Goal, Goals
from utils.practice import leaderboard
from utils.progress import Journal


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "my-work").mkdir()
    monkeypatch.setattr(progress, "mine", Journal(tmp_path / "my-work", lesson="01"))
    return tmp_path / "my-work"


def noted(folder, kind):
    return json.loads((folder / "answers.json").read_text(encoding="utf-8"))[kind]


@check
def check_four(candidate):
    """Judge a four."""
    if candidate != 4:
        raise Wrong("It is not four.")
    return "It is four."


def test_a_check_that_passes(folder):
    assert not check_four(5) and not (folder / "answers.json").exists()
    assert check_four(4) and check_four(4)
    (entry,) = noted(folder, "exercises")
    assert (entry["lesson"], entry["name"], entry["said"]) == ("01", "check_four", "It is four.")


def test_a_damaged_file_breaks_no_check(folder):
    (folder / "answers.json").write_bytes(b"\xff")
    assert check_four(4) and noted(folder, "exercises")


def test_a_check_says_that_a_pass_could_not_be_stored_and_stores_it_when_it_is_asked_again(folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        verdict = check_four(4)
    assert verdict.passed and "could not be stored in my-work/answers.json (No space left" in str(verdict)
    assert str(check_four(4)) == "✓ Passed: It is four." and len(noted(folder, "exercises")) == 1


def test_an_optimizer_that_was_examined_by_its_name(folder, monkeypatch):
    class Mine(optim.SGD):
        """One of the student's."""

    monkeypatch.setattr(import_module("utils.checks.examiner.examine"), "examine", lambda *_, **__: "all points")
    assert check_optimizer(Mine, optim.SGD) and check_optimizer(partial(Mine, lr=0.1), optim.SGD)
    (entry,) = noted(folder, "exercises")
    assert (entry["name"], entry["said"]) == ("check_optimizer(`Mine`)", "all points")


def test_a_goal_that_is_reached_stays_so_for_the_next_kernel(folder, monkeypatch):
    goals = [Goal("below 1", lambda lr: lr < 1), Goal("above 9", lambda lr: lr > 9)]
    lab = Goals(*goals)
    lab.see(5)
    assert not (folder / "answers.json").exists()
    for lr in (0.5, 0.6, 5):
        lab.see(lr)
    (entry,) = noted(folder, "goals")
    assert (entry["name"], entry["of"]) == ("below 1", 2)
    monkeypatch.setattr(progress, "mine", Journal(folder, lesson="01"))
    assert Goals(*goals).reached == [True, False]
    assert Goals(Goal("lower than 1", goals[0].met, was="below 1"), goals[1]).reached == [True, False]  # in new words
    monkeypatch.setattr(progress, "mine", Journal(folder.parent, lesson="01"))
    assert Goals(*goals).reached == [False, False]


def test_each_look_at_the_leaderboard(folder, monkeypatch):
    def score(recipe, **_):
        return leaderboard.Score("yours", np.array([98.0, 98.2, 98.4]))

    def my_recipe(model, batches):
        """Train."""

    monkeypatch.setattr(leaderboard, "score", score)
    monkeypatch.setattr(leaderboard, "reference_scores", lambda: {"best": score(None)})
    leaderboard.leaderboard(my_recipe)
    leaderboard.leaderboard(print)
    mine, strange = noted(folder, "boards")
    assert mine["name"] == "`my_recipe`" and mine["score"] == "98.20 % ± 0.20" and "Verdict" in mine["said"]
    assert "def my_recipe(model, batches):" in mine["source"] and strange["source"] == ""
