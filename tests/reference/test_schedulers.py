"""The tables of schedulers say what torch says, and their pictures show what the examples do."""

import base64
import html
import inspect
import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image
from torch import optim
from torch.optim import lr_scheduler, swa_utils
from torch.optim.lr_scheduler import LRScheduler, StepLR

from utils.reference import schedulers
from utils.reference.schedulers import (
    EXAMPLES,
    METRICS,
    STEPS,
    discrepancies,
    example,
    scheduler_classes,
    scheduler_parameters,
    scheduler_table,
)
from utils.schedules import lr_curve

pytestmark = pytest.mark.filterwarnings("error")


def test_every_scheduler_and_parameter_of_torch_is_described_and_nothing_else():
    assert discrepancies() == []


class Novel(LRScheduler):
    """A scheduler that torch might bring one day."""

    def __init__(self, optimizer, gamma, warp: float = 1 / 3, last_epoch=-1):
        super().__init__(optimizer, last_epoch)


def test_a_new_scheduler_and_a_new_parameter_are_noticed(monkeypatch):
    monkeypatch.setattr(lr_scheduler, "Novel", Novel, raising=False)
    assert discrepancies() == ["Novel has no purpose", "Novel has no example", "Novel: warp is not described"]
    assert scheduler_table().rows[-1][1:] == (
        "(not described)",
        "`gamma`, `warp=1/3`, `last_epoch=-1`",
        "",
        "(no example)",
    )
    assert scheduler_parameters(Novel).rows[-2] == ("`warp`", "`1/3`", "(not described)")


def test_a_scheduler_or_parameter_that_torch_lost_is_noticed(monkeypatch):
    classes = scheduler_classes()
    del classes["CyclicLR"]
    assert "CyclicLR is described and not in torch" in discrepancies(classes)
    found = discrepancies({"StepLR": StepLR})
    assert "eta_min is described and no scheduler shows these words" in found
    monkeypatch.setitem(schedulers.OWN, "StepLR", {"drag": "slows down"})
    assert "StepLR: drag is described and not a parameter" in discrepancies()
    assert "StepLR: step_size is not described" in discrepancies()


def test_the_schedulers_are_those_that_torch_exports():
    exported = {n for n in lr_scheduler.__all__ if n != "LRScheduler"} | {"SWALR"}
    assert set(scheduler_classes()) == exported == set(EXAMPLES)
    assert "SWALR" in swa_utils.__all__ and len(exported) == 16


@pytest.mark.parametrize("made", scheduler_classes().values(), ids=scheduler_classes())
def test_a_table_of_parameters_has_a_row_for_each_as_the_signature_has_it(made):
    table = scheduler_parameters(made)
    parameters = inspect.signature(made).parameters.values()
    assert [row[0] for row in table.rows] == [f"`{p.name}`" for p in parameters]
    for row, p in zip(table.rows, parameters, strict=True):
        assert row[1] == "required" if p.default is p.empty else eval(row[1].strip("`")) == p.default
        assert len(row[1]) <= 16 and 8 < len(row[2]) <= 100


@pytest.mark.parametrize("wrong", ["StepLR", 3, None, optim.SGD])
def test_what_is_no_scheduler_class_is_refused(wrong):
    with pytest.raises(TypeError, match=r"needs a scheduler class such as lr_scheduler\.StepLR, got"):
        scheduler_parameters(wrong)


SIZE = 'width="120" height="36" style="min-width: 120px"'
IMG = re.compile(rf'<img alt="([^"]+)" title="[^"]+" {SIZE} src="data:image/png;base64,([^"]+)">')


@pytest.fixture(scope="module")
def rows():
    return {row[0].strip("`"): row[1:] for row in scheduler_table().rows}


def test_the_table_has_a_row_for_each_scheduler_with_its_parameters_and_defaults(rows):
    assert list(rows) == list(scheduler_classes())
    for name, (purpose, parameters, _, _) in rows.items():
        assert 15 < len(purpose) <= 80
        shown = re.findall(r"`(\w+)(?:=([^`]+))?`", parameters)
        expected = inspect.signature(scheduler_classes()[name]).parameters.values()
        expected = [p for p in expected if p.name != "optimizer" or p.default is not p.empty]
        assert [s[0] for s in shown] == [p.name for p in expected]
        assert [eval(s[1]) if s[1] else inspect.Parameter.empty for s in shown] == [p.default for p in expected]


def test_only_plateau_needs_a_metric(rows):
    assert {name for name, row in rows.items() if row[2].endswith("with the metric")} == {"ReduceLROnPlateau"}
    assert rows["OneCycleLR"][2] == rows["CyclicLR"][2] == "iteration" and rows["StepLR"][2] == "epoch"


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_picture_shows_the_curve_and_says_it_in_words(rows, name):
    (alt, data), words = IMG.fullmatch(rows[name][3]).groups(), html.unescape(rows[name][3])
    curve = lr_curve(example(name), STEPS, metrics=METRICS)
    assert html.unescape(alt).startswith(f"{EXAMPLES[name]}: lr ") and f"{curve[0]:.3g}" in words
    assert type(example(name)(optim.SGD([torch.ones(1)], momentum=0.9))).__name__ == name
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), dtype=int)
    assert pixels.shape == (72, 240, 3) and len(data) < 2000
    # The height of the blue line in each column gives the curve back.
    blue = pixels[:, :, 2] - pixels[:, :, 0] > 100
    for step in range(2, STEPS - 2):
        column = np.flatnonzero(blue[:, round(5 + 230 * step / (STEPS - 1))])
        drawn = (67 - column) / 62 * curve.max()
        around = curve[step - 1 : step + 2]
        assert drawn.size and drawn.min() <= around.max() + 0.04 and drawn.max() >= around.min() - 0.04


def test_the_table_is_the_same_in_any_style(rows):
    with plt.style.context("utils.workshop"):
        assert {row[0].strip("`"): row[1:] for row in scheduler_table().rows} == rows


def test_curves_in_words():
    said = schedulers._in_words
    assert said(np.full(5, 0.5)) == "stays at 0.5"
    assert said(np.array([1, 1, 0.5, 0.5, 0.25])) == "falls from 1 to 0.25"
    assert said(np.array([0.1, 0.1, 1.0])) == "rises from 0.1 to 1"
    assert said(np.array([1, 0.5, 0.3, 0.1 + 0.2, 0.3])) == "falls from 1 to 0.3"
    assert said(np.array([0.1, 1, 1, 0.2])) == "goes from 0.1 to 0.2, turns once, between 0.1 and 1"
    assert said(np.array([0.1, 1, 0.2, 0.5])) == "goes from 0.1 to 0.5, turns 2 times, between 0.1 and 1"


def test_the_table_is_the_same_each_time_and_readable_as_text_too():
    table = scheduler_table()
    markdown = table._repr_markdown_()
    assert markdown == scheduler_table()._repr_markdown_()
    lines = markdown.splitlines()
    assert len(lines) == 18 and all(line.count("|") == 6 for line in lines) and len(markdown) < 60_000
    assert "<img" not in repr(table) and "base64" not in repr(table)
    assert 'mode="triangular2"): lr goes from 0.1' in repr(table)
