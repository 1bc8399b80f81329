"""The leaderboard: right recipes are scored; broken and hostile ones get a diagnosis and change nothing else."""

import copy
import dataclasses
import random
import threading

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.nn import functional as F

from utils.practice import leaderboard
from utils.practice.leaderboard import REFERENCES, SEEDS, Score, check_recipe, constant, score
from utils.practice.leaderboard import leaderboard as board_of


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Forty steps and three seeds: the rules do not depend on them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.delenv("WORKSHOP_STRICT", raising=False)
    monkeypatch.setattr(leaderboard, "STEPS", 40)
    monkeypatch.setattr(leaderboard, "SEEDS", {"validation": (0, 1, 2), "test": (100, 101, 102)})
    monkeypatch.setattr(leaderboard, "_SECONDS", 2.0)
    cached = leaderboard.reference_scores
    cached.cache_clear()
    yield
    cached.cache_clear()
    torch.set_num_threads(threads)


def step(model, optimizer, x, y):
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def averaged(model, batches):
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    ema = optim.swa_utils.AveragedModel(model, multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(0.9), use_buffers=True)
    for x, y in batches:
        step(model, optimizer, x, y)
        ema.update_parameters(model)
    return ema


@pytest.mark.parametrize("recipe", [*REFERENCES.values(), averaged])
def test_a_recipe_is_scored_and_the_same_every_time(recipe):
    first, again = score(recipe), score(recipe)
    assert first.accuracy.shape == (3,) and first.accuracy.mean() > 60
    assert np.array_equal(first.accuracy, again.accuracy)


def test_steps_of_others_are_not_counted():
    """A run that was stopped for its time, and would not end, may still be training in its own thread."""
    ended, other = threading.Event(), torch.zeros(1, requires_grad=True)
    other.grad = torch.ones(1)

    def goes_on():
        optimizer = optim.SGD([other], lr=0.1)
        while not ended.wait(0.001):
            optimizer.step()

    thread = threading.Thread(target=goes_on)
    thread.start()
    try:
        assert score(constant).accuracy.shape == (3,)
    finally:
        ended.set()
        thread.join()
    assert other.item() < -1  # it did take steps meanwhile


def test_validation_and_test_rows_are_not_the_same():
    assert not np.array_equal(score(constant).accuracy, score(constant, on="test").accuracy)
    with pytest.raises(ValueError, match="report on 'test'"):
        score(constant, on="train")


def test_no_seed_both_chooses_and_reports():
    assert len(SEEDS["validation"]) == len(SEEDS["test"]) == 5
    assert not set(SEEDS["validation"]) & set(SEEDS["test"])


def test_the_board_ranks_and_compares_with_the_best_reference():
    board = board_of(averaged)
    means = [s.accuracy.mean() for s in board.scores]
    assert means == sorted(means, reverse=True) and "yours" in [s.label for s in board.scores]
    assert board.against is not None and "Student's paired t" in board.said
    best = max(leaderboard.reference_scores().values(), key=lambda s: s.accuracy.mean())
    yours = next(s for s in board.scores if s.label == "yours")
    assert np.isclose(-board.against.mean, (yours.accuracy - best.accuracy).mean()) and best.label in board.said
    assert "| yours" in board._repr_markdown_()


def test_the_looks_at_the_test_rows_are_counted(monkeypatch):
    monkeypatch.setattr(leaderboard, "_looks", iter([3, 4]))
    assert "has chosen on them" not in board_of(constant).said
    assert "look number 4" in (said := board_of(constant).said) and "has chosen on them" in said


def test_a_copy_of_the_best_reference_is_level():
    leaderboard.reference_scores()
    best = max(REFERENCES, key=lambda name: leaderboard.reference_scores()[name].accuracy.mean())
    assert board_of(REFERENCES[best]).against.verdict == "no gain"


# ---- broken recipes


def nothing(model, batches):
    return model


def no_step(model, batches):
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for x, y in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()


def other_model(model, batches):
    held = copy.deepcopy(model)
    optimizer = optim.SGD(held.parameters(), lr=0.1)
    for x, y in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def too_many(model, batches):
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for x, y in batches:
        step(model, optimizer, x, y)
        step(model, optimizer, x, y)


def diverges(model, batches):
    optimizer = optim.SGD(model.parameters(), lr=1e30)
    for x, y in batches:
        step(model, optimizer, x, y)


def bigger(model, batches):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def loses_the_flatten(model, batches):
    constant(model, batches)
    return nn.Sequential(*[layer for layer in model if not isinstance(layer, nn.Flatten)])


def returns_a_number(model, batches):
    constant(model, batches)
    return 0.99


def raises(model, batches):
    for x, y in batches:
        return model(x) @ y


def never_ends(model, batches):
    while True:
        pass


def hostile(model, batches):
    torch.manual_seed(1)
    random.seed(1)
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    print("I was here")
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (nothing, "No optimizer took a step"),
        (no_step, "No optimizer took a step"),
        (other_model, "40 optimizer steps, and the model is as it was"),
        (too_many, "took 80 optimizer steps on 40 batches"),
        (diverges, "holds nan or inf"),
        (bigger, "another network"),
        (loses_the_flatten, "cannot be called"),
        (returns_a_number, "an object of type `float`"),
        (raises, "RuntimeError"),
        (never_ends, "still running after 2 seconds"),
        (hostile, "KeyboardInterrupt"),
        (lambda model: model, "TypeError"),
        (3, "no function"),
    ],
)
def test_a_broken_recipe_gets_a_diagnosis(recipe, words, capsys, monkeypatch):
    monkeypatch.setattr(leaderboard, "reference_scores", lambda: {"a": Score("a", np.array([98.0, 98.5, 99.0]))})
    before, python = torch.get_rng_state(), random.getstate()
    board = board_of(recipe)
    assert words in board.said and board.said.startswith("✗ Not on the board") and board.against is None, board.said
    assert [s.label for s in board.scores] == ["a"]
    assert torch.equal(before, torch.get_rng_state()) and python == random.getstate()
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled() and capsys.readouterr().out == ""
    verdict = check_recipe(recipe)
    assert not verdict and words in verdict.message


def test_a_stub_is_not_yet():
    def my_recipe(model, batches): ...

    assert board_of(my_recipe).said.startswith("○ Not yet: replace the `...` in `my_recipe`")
    verdict = check_recipe(my_recipe)
    assert verdict.untouched and verdict.message.startswith("Not yet")


def test_the_check_tells_how_far_it_got(monkeypatch):
    monkeypatch.setattr(leaderboard, "TARGET", 100.5)
    assert "and 100.5 % is asked for" in check_recipe(constant).message
    monkeypatch.setattr(leaderboard, "TARGET", 50.0)
    assert check_recipe(constant) and "on the validation rows" in check_recipe(constant).message


def test_the_check_does_not_look_at_the_test_rows(monkeypatch):
    rows = leaderboard.digits()
    blind = dataclasses.replace(rows, test=None)
    monkeypatch.setattr(leaderboard, "TARGET", 50.0)
    monkeypatch.setattr(leaderboard, "digits", lambda: blind)
    assert check_recipe(constant)
