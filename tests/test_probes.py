"""Gradients that we choose, rules held against torch's classes, and walks from many starts."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import optim

from utils.descent import descend
from utils.probes import agreement, from_circle, push, steps_to
from utils.surfaces import ravine, rosenbrock
from utils.sweeps import sweep


def test_a_push_is_what_the_rule_says():
    assert np.allclose(push(partial(optim.SGD, lr=0.5), [1.0, -2.0, 0.0]), [0.5, -1.0, 0.0], atol=0)
    assert np.allclose(push(partial(optim.SGD, lr=1, momentum=0.9), [1.0] * 3), [1, 1.9, 2.71])
    assert np.allclose(push(partial(optim.SGD, lr=0.1, weight_decay=0.5), [0.0] * 2, start=2.0), [0.1, 0.095])


def sgd(p, g, state, *, lr, momentum=0, nesterov=False):
    state["b"] = momentum * state.get("b", 0) + g
    return p - lr * (g + momentum * state["b"] if nesterov else state["b"])


def test_a_right_rule_agrees_in_every_combination_that_torch_takes():
    found = agreement(sgd, optim.SGD, momentum=[0, 0.9], nesterov=[False, True])
    assert found.settings == 3 * 3 and found.flags == ("foreach", "fused")  # nesterov without momentum is refused
    assert found.largest <= 1e-12
    assert str(found) == "9 settings, foreach and fused included, 20 steps each: no difference above 1e-12"


def test_a_walk_has_as_many_steps_as_it_says():
    gradients = []

    def noted(p, g, state, *, lr):
        gradients.append(tuple(g.tolist()))
        return sgd(p, g, state, lr=lr)

    found = agreement(noted, optim.SGD, steps=7)
    assert len(gradients) == 7 * found.settings and len(set(gradients)) == 7
    assert "7 steps each" in str(found)


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [
        (lambda p, g, state, *, lr, **options: p - lr * g, "differ by up to"),  # forgets the momentum
        (lambda p, g, state, *, lr, **options: p * float("nan"), "differ by up to nan"),
    ],
)
def test_a_wrong_rule_is_seen(wrong, shown):
    found = agreement(wrong, optim.SGD, momentum=[0, 0.9])
    assert not found.largest <= 1e-12
    assert shown in str(found)


def test_options_that_torch_refuses_altogether_are_no_agreement():
    with pytest.raises(ValueError, match="SGD refuses every one"):
        agreement(sgd, optim.SGD, momentum=[-1.0])


@pytest.mark.parametrize("surface", [ravine(10), ravine(100, angle=45), rosenbrock()], ids=lambda each: each.name)
def test_a_walk_from_the_circle_is_the_walk_of_descend(surface):
    make, seeds = partial(optim.SGD, momentum=0.5), (3, 4, 5)
    problem = from_circle(surface, steps=30, radius=0.4)(seeds)
    swept = sweep(make, **problem, lrs=[0.001, 0.004], seeds=seeds)
    starts = [problem["init"](seed)["p"] for seed in seeds]
    assert len({tuple(start.tolist()) for start in starts}) == len(seeds)
    assert all(abs(start.norm().item() - 0.4) < 1e-12 for start in starts)
    for i, lr in enumerate(swept.lrs):
        for k, start in enumerate(starts):
            alone = descend(surface, partial(make, lr=lr), 30, start=tuple(start.tolist()))
            assert np.allclose(swept.losses[:, i, k], alone.loss[:-1], rtol=1e-9)
            assert np.isclose(swept.final[i, k], alone.loss[-1], rtol=1e-9)
            for target in (0.5 * alone.loss[0], 1e-30):
                found = steps_to(target)(swept)[i, k]
                assert found == (30 if alone.steps_to(target) in (None, 30) else alone.steps_to(target))


def test_a_loss_below_the_floor_counts_as_the_floor():
    seeds = (0, 1)
    for floor, final in ((0.0, 0.0), (1e-16, 1e-16)):  # at curvature 1 and lr 1 the first step arrives
        problem = from_circle(ravine(1), steps=3, floor=floor)(seeds)
        assert np.allclose(sweep(optim.SGD, **problem, lrs=[1.0], seeds=seeds).final, final, atol=1e-30)


def test_starts_depend_on_the_seed_alone():
    one, two = (from_circle(ravine(10), steps=1)((seed,))["init"](7)["p"] for seed in (7, 8))
    assert torch.equal(one, two)
