"""What notebooks 05a and 05b train and judge by: all seeds at once is each seed alone, and the rule is the rule."""

from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import optim
from torch.nn import functional as F

from utils import data
from utils.practice import digits_net as practice
from utils.practice.digits_net import (
    Feed,
    conv_net,
    conv_nets,
    digits,
    digits_problem,
    feeds,
    judge,
    judge_nets,
    losses,
    noise,
    shift,
)
from utils.practice.sick_runs import zen
from utils.sweeps import sweep

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def rows():
    """In float32 a last bit now and then decides a ReLU the other way; in float64 together and alone agree to 1e-15."""
    made = digits(200)
    parts = {part.name: getattr(made, part.name) for part in fields(made)}
    torch.set_default_dtype(torch.float64)
    yield replace(made, **{name: (x[:200].double(), y[:200]) for name, (x, y) in parts.items()})
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(
    "make", [partial(optim.SGD, momentum=0.9), partial(optim.AdamW, fused=True)], ids=["SGD", "AdamW"]
)
def test_a_replica_goes_where_it_goes_alone(rows, make, augment, smoothing):
    seeds, lrs, steps = (0, 3, 4), [0.01, 0.03], 12
    options = {"seeds": seeds, "batch_size": 24, "augment": augment, "label_smoothing": smoothing}
    together = sweep(make, **digits_problem(rows, steps, **options), lrs=lrs)
    wrong = sweep(make, **digits_problem(rows, steps, **options, judge="error"), lrs=lrs)
    for i, lr in enumerate(lrs):
        for j, seed in enumerate(seeds):
            model, generator, losses = conv_net(seed), noise(seed), []
            optimizer = make(model.parameters(), lr=lr)
            for x, y in Feed(rows, steps, seed, 24):
                x = shift(x, generator) if augment else x
                loss = F.cross_entropy(model(x), y, label_smoothing=smoothing)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            loss, error = judge(model, rows.validation)
            assert np.allclose(together.losses[:, i, j], losses, rtol=1e-12, atol=0)
            assert together.final[i, j] == pytest.approx(loss, rel=1e-12)
            assert wrong.final[i, j] == pytest.approx(error, rel=1e-6)


def test_measured_anew_the_statistics_are_those_of_update_bn(rows):
    seeds = (0, 3)
    problem = digits_problem(rows, 5, seeds=seeds, remeasure=True)
    together = sweep(optim.SGD, **problem, lrs=[0.03, 0.1])
    for i, lr in enumerate(together.lrs):
        for j, seed in enumerate(seeds):
            model = conv_net(seed)
            optimizer = optim.SGD(model.parameters(), lr=lr)
            for x, y in Feed(rows, 5, seed):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            stale = judge(model, rows.validation)[0]
            optim.swa_utils.update_bn([rows.train[0]], model)
            loss = judge(model, rows.validation)[0]
            assert together.final[i, j] == pytest.approx(loss, rel=1e-12) and loss != pytest.approx(stale, rel=0.1)


@pytest.mark.parametrize("augment", [False, True])
def test_nets_side_by_side_go_where_each_goes_alone(rows, augment):
    seeds, steps = (3, 0, 8), 4
    nets = conv_nets(seeds)
    optimizer = optim.AdamW(nets.parameters(), lr=0.02)
    average = optim.swa_utils.AveragedModel(nets)
    together = []
    for x, y in feeds(rows, steps, seeds, batch_size=24, augment=augment):
        found = losses(nets(x), y)
        together.append(found.detach())
        optimizer.zero_grad()
        found.sum().backward()
        optimizer.step()
        average.update_parameters(nets)
    optim.swa_utils.update_bn([x for x, _ in feeds(rows, 2, seeds)], average)
    for k, seed in enumerate(seeds):
        model, generator, alone = conv_net(seed), noise(seed), []
        own = optim.swa_utils.AveragedModel(model)
        optimizer = optim.AdamW(model.parameters(), lr=0.02)
        for x, y in Feed(rows, steps, seed, 24):
            loss = F.cross_entropy(model(shift(x, generator) if augment else x), y)
            alone.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            own.update_parameters(model)
        optim.swa_utils.update_bn([x for x, _ in Feed(rows, 2, seed)], own)
        assert np.allclose([step[k].item() for step in together], alone, rtol=1e-12, atol=0)
        for ours, theirs in ((nets, model), (average.module, own.module)):
            loss, error = judge_nets(ours, rows.validation)
            assert (loss[k], error[k]) == pytest.approx(judge(theirs, rows.validation), rel=1e-9)


def test_a_frozen_body_and_a_new_head_belong_to_each_net(rows):
    nets, other = conv_nets((0, 1)), conv_nets((5, 6))
    nets[-1] = other[-1]
    x = rows.train[0][:9]
    for k, (seed, head) in enumerate(((0, 5), (1, 6))):
        alone = conv_net(seed)
        alone[-1] = conv_net(head)[-1]
        assert torch.allclose(nets(x.expand(-1, 2, -1, -1))[:, k], alone(x), rtol=1e-12)


def test_the_three_parts_are_apart_and_the_test_rows_are_always_the_same():
    whole, few, many = data.digits(), digits(300), digits(1010)
    assert torch.equal(few.test[0], many.test[0]) and torch.equal(few.test[0].flatten(1), whole.x_test)
    for part in (few, many):
        assert torch.equal(torch.cat([part.train[0], part.validation[0]]).flatten(1), whole.x_train)
    assert repr(few) == "Digits(300 to train on, 1047 to choose by, 450 to report on)"


@pytest.mark.parametrize("train", [0, 1347, -3])
def test_a_part_without_rows_is_refused(train):
    with pytest.raises(ValueError, match="use 1 to 1346"):
        digits(train)


def test_shift_moves_by_one_pixel_at_most_and_fills_with_zeros():
    x = torch.rand(200, 1, 8, 8) + 1
    moved = shift(x, noise(0))
    padded = F.pad(x, (1, 1, 1, 1))
    windows = torch.stack([padded[:, :, i : i + 8, j : j + 8] for i in range(3) for j in range(3)])
    which = (moved == windows).flatten(2).all(-1)
    assert (which.sum(0) == 1).all() and which.any(1).all()  # each image is one of nine windows, and all nine occur
    assert torch.equal(moved, shift(x, noise(0))) and not torch.equal(moved, shift(x, noise(1)))


def test_a_net_depends_on_its_seed_alone_and_leaves_the_generator():
    torch.manual_seed(5)
    first = conv_net(1)[0].weight
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), after)
    assert torch.equal(conv_net(1)[0].weight, first) and not torch.equal(conv_net(2)[0].weight, first)


def test_a_feed_gives_its_steps_once():
    feed = Feed(digits(100), 7, seed=0, batch_size=10)
    assert len(feed) == 7 and len(list(feed)) == 7 and list(feed) == [] and feed.taken == 7


def test_the_zen_is_read_without_printing(capsys):
    text, letters, codes = zen()
    assert capsys.readouterr().out == "" and len(text) == len(codes) == 856
    assert "".join(letters[code] for code in codes[:13]) == text[:13] == "the zen of py"


def test_practice_module_is_used_with_its_own_noise():
    assert practice.noise(0).initial_seed() != torch.Generator().manual_seed(0).initial_seed()
