"""Optimizers written as text, and the table of their steps."""

from functools import partial

import numpy as np
import pytest
from torch import optim

from utils.probes import push
from utils.steps import in_steps, pushed


def test_a_text_is_pushed_as_its_optimizer_is():
    gradients = [1.0, -2.0, 0.0]
    found = pushed("SGD(w, lr=0.1, weight_decay=0.5)", gradients, start=2.0)
    assert np.array_equal(found, push(partial(optim.SGD, lr=0.1, weight_decay=0.5), gradients, start=2.0))
    assert np.allclose(pushed("SGD(w, lr=0.5)", gradients), [0.5, -1.0, 0.0], atol=0)


def test_a_text_that_torch_refuses_raises_as_in_code():
    with pytest.raises(ValueError, match="Invalid learning rate"):
        pushed("SGD(w, lr=-1)", [1.0])


def test_the_table_counts_steps_from_one_and_keeps_three_digits():
    shown = in_steps({"plain": [1.0, 2.0, 3.0], "lr=1": np.array([0.12345, 0, -1e-5])}, 1, 3).data
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in shown.splitlines()]
    assert rows[0] == ["step", "1", "3"]
    assert rows[2:] == [["`plain`", "1", "3"], ["`lr=1`", "0.123", "-1e-05"]]
