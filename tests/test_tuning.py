"""The lr is chosen on some seeds and reported on others, by runs that are what a plain sweep gives."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import optim

from utils.stacked import linear
from utils.sweeps import sweep
from utils.tuning import tune

LRS = [0.001, 0.01, 0.1, 1.0]


def least_squares(seeds):
    draws = [torch.randn(8, 3, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    x = torch.stack(draws)
    y = x.sum(-1)
    return {
        "init": lambda seed: {"w": torch.full((3,), seed / 10)},
        "loss": lambda p, step: (linear(p["w"], x) - y).square().mean(-1),
        "steps": 12,
        "evaluate": lambda p: (p["w"] - 1).square().sum(-1),
    }


def test_it_is_two_sweeps_and_the_first_one_chooses():
    found = tune(optim.SGD, least_squares, lrs=LRS, choosing=[1, 2], reporting=[3, 4, 5], label="plain")
    choosing = sweep(optim.SGD, **least_squares([1, 2]), lrs=LRS, seeds=[1, 2])
    reporting = sweep(optim.SGD, **least_squares([3, 4, 5]), lrs=[choosing.best_lr], seeds=[3, 4, 5])
    assert found.lr == choosing.best_lr == 0.1 and found.label == "plain" and found.edge is None
    np.testing.assert_array_equal(found.final, reporting.final[0])
    np.testing.assert_array_equal(found.curves, reporting.losses[:, 0])
    mean, spread = reporting.final.mean(), reporting.final.std(ddof=1)
    assert str(found) == f"plain: {mean:.3g} ± {spread:.2g} at lr 0.1, n = 3"


def test_the_reporting_seeds_have_no_say():
    # Seeds below 10 end lowest at lr 1, the others at lr 0.01: whoever reports, the choosers decide.
    def judge(swept):
        liked = np.array([1.0 if seed < 10 else 0.01 for seed in swept.seeds])
        return np.abs(np.log(swept.lrs[:, None] / liked))

    options = {"lrs": LRS[1:], "judge": judge}
    low = tune(optim.SGD, least_squares, choosing=[1, 2], reporting=[11, 12], **options)
    high = tune(optim.SGD, least_squares, choosing=[11, 12], reporting=[1, 2], **options)
    assert (low.lr, high.lr) == (1.0, 0.01) and (low.edge, high.edge) == ("upper", "lower")
    assert low.final.min() > 4 and high.final.min() > 4
    assert str(low).endswith("(at the upper edge of the grid: widen it)")


def test_a_run_that_diverged_counts_as_such_whatever_the_judge_says():
    wild = partial(optim.SGD, momentum=0.9)
    found = tune(
        wild, lambda seeds: least_squares(seeds) | {"steps": 80}, lrs=[1e6], choosing=[1, 2], reporting=[3, 4],
        judge=lambda swept: np.zeros_like(swept.final),
    )  # fmt: skip
    assert np.isinf(found.final).all()


def test_a_schedule_is_part_of_the_run():
    decay = partial(optim.lr_scheduler.ExponentialLR, gamma=0.5)
    plain, decayed = (
        tune(optim.SGD, least_squares, lrs=[0.01, 0.02], choosing=[1, 2], reporting=[3, 4], make_scheduler=schedule)
        for schedule in (None, decay)
    )
    assert (decayed.final > plain.final).all()


def test_a_seed_that_would_do_both_is_refused():
    with pytest.raises(ValueError, match=r"\[2\] do both"):
        tune(optim.SGD, least_squares, lrs=LRS, choosing=[1, 2], reporting=[2, 3])
