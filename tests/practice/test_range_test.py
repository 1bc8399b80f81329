"""The range test suggests an lr that trains, and touches nothing."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from utils import data
from utils.practice.range_test import lr_range_test
from utils.training import train

pytestmark = pytest.mark.usefixtures("one_thread")


def make_mlp(inputs=64, hidden=32, outputs=10, *, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


@pytest.fixture
def ranged():
    digits = data.digits()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
    return model, data.loaders(digits, seed=0)[0]


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam])
def test_the_range_test_suggests_an_lr_that_trains(ranged, make):
    model, loader = ranged
    found = lr_range_test(model, make(model.parameters(), lr=1.0), loader, lowest=1e-3)
    valley = found.history.lr[np.nanargmin(found.smoothed)]
    assert 1e-3 < found.suggestion <= valley / 3 * (1 + 1e-9) and "it is lowest" in found.reason
    history = train(model, make(model.parameters(), lr=found.suggestion), data.loaders(data.digits(), seed=0), epochs=3)
    assert history.diverged_at is None and history.test_accuracy[-1] > 0.8


def test_the_range_test_is_the_loop_in_the_open(ranged):
    model, loader = ranged
    again = copy.deepcopy(model)
    found = lr_range_test(model, torch.optim.SGD(model.parameters(), lr=1.0), loader, steps=30, highest=0.5)
    optimizer, losses = torch.optim.SGD(again.parameters(), lr=1.0), []
    batches = iter(data.loaders(data.digits(), seed=0)[0])
    for lr in np.geomspace(1e-5, 0.5, 30):
        optimizer.param_groups[0]["lr"] = lr
        x, y = next(batches)
        loss = nn.functional.cross_entropy(again(x), y)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert np.array_equal(found.history.batch_loss, losses)
    assert np.allclose(found.history.lr, np.geomspace(1e-5, 0.5, 30))
    average = 0.0
    for k, loss in enumerate(losses):
        average = 0.9 * average + 0.1 * loss
        assert np.isclose(found.smoothed[k], average / (1 - 0.9 ** (k + 1)))
    assert repr(found.history) == "History(SGD, lr 1e-05 to 0.5: 30 steps)"


def test_the_range_test_touches_nothing(ranged):
    model, loader = ranged
    model.insert(1, nn.BatchNorm1d(24))
    model.append(nn.Dropout(0.1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    random = torch.get_rng_state()
    lr_range_test(model, optimizer, loader, steps=20)
    now = (model.state_dict(), optimizer.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(before[0].values(), now[0].values(), strict=True))
    assert before[1] == now[1] and torch.equal(random, torch.get_rng_state())


def test_the_groups_keep_their_ratio(ranged):
    model, loader = ranged
    seen = []

    class Watch(torch.optim.SGD):
        def step(self, closure=None):
            seen.append([group["lr"] for group in self.param_groups])
            return super().step(closure)

    groups = [{"params": model[0].parameters(), "lr": 0.5}, {"params": model[2].parameters(), "lr": 0.05}]
    lr_range_test(model, Watch(groups), loader, steps=12, highest=1)
    assert np.allclose([a / b for a, b in seen], 10) and np.isclose(seen[0][0], 1e-5) and np.isclose(seen[-1][0], 1)


def test_the_range_test_stops_when_the_loss_has_left(ranged):
    model, loader = ranged
    found = lr_range_test(model, torch.optim.Adam(model.parameters(), lr=1.0), loader, highest=1e4)
    last = int(np.isfinite(found.smoothed).sum()) - 1
    assert last < 99 and np.isnan(found.history.lr[last + 2 :]).all() and "has left by lr" in found.reason
    assert found.suggestion < found.history.lr[np.nanargmin(found.smoothed)]


def test_a_loss_that_does_not_fall_suggests_nothing(ranged):
    model, loader = ranged
    found = lr_range_test(model, torch.optim.SGD(model.parameters(), lr=1.0), loader, lowest=1e-9, highest=1e-8)
    assert found.suggestion is None and "never fell" in found.reason and "no suggestion" in repr(found)
    with torch.no_grad():
        model[0].weight[0, 0] = math.nan
    found = lr_range_test(model, torch.optim.SGD(model.parameters(), lr=1.0), loader)
    assert found.history.diverged_at == 0 and found.suggestion is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lowest": 0.0}, "0 < lowest"),
        ({"lowest": 1.0, "highest": 0.1}, "lowest < highest"),
        ({"highest": math.inf}, "highest"),
        ({"memory": 1.0}, "memory"),
        ({"steps": 5}, "10 or more"),
        ({"steps": 50.0}, "10 or more"),
    ],
)
def test_a_range_that_cannot_be_is_refused(ranged, options, words):
    model, loader = ranged
    with pytest.raises(ValueError, match=words):
        lr_range_test(model, torch.optim.SGD(model.parameters(), lr=1.0), loader, **options)


def test_what_has_no_range_to_test_is_refused(ranged):
    model, loader = ranged
    with pytest.raises(ValueError, match="searches for its step length"):
        lr_range_test(model, torch.optim.LBFGS(model.parameters()), loader)
    with pytest.raises(ValueError, match="another model"):
        lr_range_test(model, torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0), loader)
    with pytest.raises(ValueError, match="used up"):
        lr_range_test(model, torch.optim.SGD(model.parameters(), lr=1.0), iter(()))
