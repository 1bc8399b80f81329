"""The range test suggests an lr that trains, and touches nothing."""

import copy
import math
import random

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


class Keeps(torch.optim.SGD):
    """Much of what it needs stands in attributes of its own."""

    def __init__(self, params, lr):
        super().__init__(params, lr=lr)
        self.sign, self.count, self.lengths = -1.0, 0, []
        self.velocity = {p: torch.zeros_like(p) for group in self.param_groups for p in group["params"]}
        self.noise = torch.Generator().manual_seed(0)

    @torch.no_grad()
    def step(self, closure=None):
        self.count += 1
        for group in self.param_groups:
            for p in group["params"]:
                v = self.velocity[p].mul_(0.5).add_(p.grad)
                p.add_(v + 1e-3 * torch.randn(v.shape, generator=self.noise), alpha=self.sign * group["lr"])
        self.lengths.append(float(v.norm()))


class Wraps(torch.optim.Optimizer):
    """Another optimizer does the work; it has groups and state of its own."""

    def __init__(self, base):
        self.bases = [base]
        super().__init__(base.param_groups, {})
        self.param_groups = base.param_groups

    def step(self, closure=None):
        self.bases[0].step()


class InSlots(torch.optim.SGD):
    __slots__ = ("sign",)

    def __init__(self, params, lr):
        super().__init__(params, lr=lr)
        self.sign = -1.0

    @torch.no_grad()
    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            p.add_(p.grad, alpha=self.sign * self.param_groups[0]["lr"])


def with_hook(params, lr):
    def clip(optimizer, *_):
        for p in optimizer.param_groups[0]["params"]:
            p.grad.clamp_(-0.01, 0.01)

    optimizer = torch.optim.SGD(params, lr=lr)
    optimizer.register_step_pre_hook(clip)
    return optimizer


def with_scheduler(params, lr):
    optimizer = torch.optim.Adam(params, lr=lr)
    torch.optim.lr_scheduler.StepLR(optimizer, 2)
    return optimizer


MADE = {
    "attributes": Keeps,
    "a wrapper": lambda params, lr: Wraps(Keeps(params, lr)),
    "slots": InSlots,
    "a hook": with_hook,
    "a scheduler": with_scheduler,
    "a tensor lr": lambda params, lr: torch.optim.Adam(params, lr=torch.tensor(lr)),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_the_copy_is_the_same_optimizer_and_the_original_stays_as_it_is(ranged, make):
    model, loader = ranged
    optimizer, lrs = make(model.parameters(), 1.0), np.geomspace(1e-4, 0.5, 12)
    kept, numbers = copy.deepcopy(vars(optimizer)), [p.detach().clone() for p in model.parameters()]
    found = lr_range_test(model, optimizer, loader, lowest=1e-4, highest=0.5, steps=12)
    assert all(torch.equal(a, b) for a, b in zip(numbers, model.parameters(), strict=True))
    for one in (optimizer, *getattr(optimizer, "bases", [])):
        assert getattr(one, "count", 0) == 0 and not getattr(one, "lengths", []) and not one.state
        assert all(not v.any() for v in getattr(one, "velocity", {}).values())
    assert kept.keys() == vars(optimizer).keys()
    losses = []  # now with the original itself
    for lr, (x, y) in zip(lrs, loader, strict=False):
        group = optimizer.param_groups[0]
        group["lr"] = torch.tensor(float(lr)) if isinstance(group["lr"], torch.Tensor) else float(lr)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    assert np.array_equal(found.history.batch_loss, losses)


@pytest.mark.parametrize("fails", [False, True])
def test_a_step_that_knows_the_original_is_refused_and_put_back(ranged, fails):
    model, loader = ranged
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)

    def step(closure=None):
        with torch.no_grad():
            model[0].weight.mul_(0.9)
        if fails:
            raise RuntimeError("and fails")

    optimizer.step = step
    before = model[0].weight.detach().clone()
    error, words = (RuntimeError, "and fails") if fails else (ValueError, "a step of a copy of SGD moved the original")
    with pytest.raises(error, match=words):
        lr_range_test(model, optimizer, loader, steps=12)
    assert torch.equal(model[0].weight, before)


def test_an_optimizer_with_an_lr_of_its_own_has_no_range(ranged):
    model, loader = ranged

    class Own(torch.optim.SGD):
        def __init__(self, params, lr):
            super().__init__(params, lr=lr)
            self.lr = lr

        @torch.no_grad()
        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                p -= self.lr * p.grad

    with pytest.raises(ValueError, match="a step of Own is the same at every lr of its groups"):
        lr_range_test(model, Own(model.parameters(), lr=0.1), loader)


def test_what_cannot_be_copied_is_told(ranged):
    model, loader = ranged
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    optimizer.stream = (number for number in range(3))
    with pytest.raises(ValueError, match="SGD cannot be copied: TypeError: cannot pickle 'generator' object"):
        lr_range_test(model, optimizer, loader)


def test_every_random_state_is_put_back_whatever_happens(ranged):
    model, _ = ranged

    class Rows(torch.utils.data.Dataset):
        numbers, other = np.random.default_rng(0), random.Random(0)

        def __init__(self):
            self.mine = np.random.default_rng(1)

        def __len__(self):
            return 40

        def __getitem__(self, row):
            noise = random.random() + np.random.rand() + self.mine.normal() + torch.rand(()).item()
            return torch.full((64,), noise), row % 10

    rows = Rows()
    draw = torch.Generator().manual_seed(3)
    sampler = torch.utils.data.RandomSampler(rows, generator=torch.Generator().manual_seed(4))
    loader = torch.utils.data.DataLoader(rows, 8, sampler=sampler, generator=draw)

    def states():
        parts = torch.get_rng_state(), draw.get_state(), sampler.generator.get_state()
        return [p.tolist() for p in parts] + [random.getstate(), repr(np.random.get_state()), rows.mine.random()]

    def fails(prediction, target):
        raise RuntimeError("no loss")

    before = states()
    rows.mine = np.random.default_rng(1)
    lr_range_test(model, torch.optim.SGD(model.parameters(), lr=1.0), loader, steps=12)
    assert states() == before
    rows.mine = np.random.default_rng(1)
    with pytest.raises(RuntimeError, match="no loss"):
        lr_range_test(model, torch.optim.SGD(model.parameters(), lr=1.0), loader, steps=12, loss_fn=fails)
    assert states() == before


def test_an_lr_of_0_has_no_ratio(ranged):
    model, loader = ranged
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 10)
    with pytest.raises(ValueError, match=r"the first group's lr is 0, .* Was a scheduler made that starts there"):
        lr_range_test(model, optimizer, loader)
    for lr, words in ((None, "without an lr"), (math.nan, "lr is nan")):
        optimizer.param_groups[0]["lr"] = lr
        with pytest.raises(ValueError, match=words):
            lr_range_test(model, optimizer, loader)


def test_what_has_no_range_to_test_is_refused(ranged):
    model, loader = ranged
    with pytest.raises(ValueError, match="searches for its step length"):
        lr_range_test(model, torch.optim.LBFGS(model.parameters()), loader)
    with pytest.raises(ValueError, match="another model"):
        lr_range_test(model, torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0), loader)
    with pytest.raises(ValueError, match="used up"):
        lr_range_test(model, torch.optim.SGD(model.parameters(), lr=1.0), iter(()))
