"""The tables: they say what torch says, every object has its words and no words lack their object."""

import inspect

import pytest
import torch
from torch import nn, optim

from utils.reference import optimizers as reference
from utils.reference.optimizers import (
    Table,
    discrepancies,
    optimizer_classes,
    optimizer_table,
    parameter_table,
    short_type,
)


def test_every_class_and_parameter_of_torch_is_described_and_nothing_else():
    assert discrepancies() == []


class Novel(optim.SGD):
    """An optimizer that torch might bring one day."""

    def __init__(self, params, lr: float | torch.Tensor = 0.1, warp: tuple[int, str | None] = (1, None)):
        super().__init__(params, lr=lr)


def test_a_new_class_and_a_new_parameter_are_noticed():
    found = discrepancies(optimizer_classes() | {"Novel": Novel})
    assert found == ["Novel has no purpose", "Novel: warp is not described"]
    assert parameter_table(Novel).rows[-1] == ("`warp`", "(int, str or None)", "`(1, None)`", "no", "(not described)")


def test_a_class_or_parameter_that_torch_lost_is_noticed(monkeypatch):
    classes = optimizer_classes()
    del classes["Muon"]
    assert "Muon is described and not in torch.optim" in discrepancies(classes)
    assert "amsgrad is described and a parameter of no optimizer" in discrepancies({"SGD": optim.SGD})
    monkeypatch.setitem(reference.OWN, "SGD", {"drag": "slows down"})
    assert "SGD: drag is described and not a parameter" in discrepancies()
    assert "SGD: dampening is not described" in discrepancies()


def test_the_classes_are_those_that_torch_exports():
    exported = {n for n in optim.__all__ if inspect.isclass(getattr(optim, n)) and n != "Optimizer"}
    assert set(optimizer_classes()) == exported
    assert list(optimizer_classes())[:5] == ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW"]


@pytest.mark.parametrize("made", optimizer_classes().values(), ids=optimizer_classes())
def test_a_table_has_a_row_for_each_parameter_as_the_signature_has_it(made):
    table = parameter_table(made)
    parameters = inspect.signature(made).parameters.values()
    assert [row[0] for row in table.rows] == [f"`{p.name}`" for p in parameters]
    for row, p in zip(table.rows, parameters, strict=True):
        assert row[3] == ("yes" if p.kind is p.KEYWORD_ONLY else "no")
        # What the table shows as default really builds the optimizer.
        assert row[2] == "required" if p.default is p.empty else eval(row[2].strip("`")) == p.default
        assert len(row[1]) <= 24 and "typing" not in row[1] and "torch." not in row[1]
        assert 15 < len(row[4]) <= 100


def test_types_read_as_one_would_say_them():
    rows = {row[0]: row[1] for row in parameter_table(optim.Adam).rows}
    assert rows["`lr`"] == "float or Tensor" and rows["`fused`"] == "bool or None" and rows["`params`"] == "iterable"
    assert rows["`betas`"] == "pair of float or Tensor"
    assert short_type(tuple[int, str | None]) == "(int, str or None)"


@pytest.mark.parametrize("wrong", ["SGD", 3, None, nn.Linear, optim.SGD([torch.ones(1)])])
def test_what_is_no_optimizer_class_is_refused(wrong):
    with pytest.raises(TypeError, match=r"needs an optimizer class such as torch\.optim\.SGD, got"):
        parameter_table(wrong)


def test_a_table_is_markdown_in_a_notebook_and_plain_text_elsewhere():
    table = Table(("name", "value"), (("`a`", "1e-08"), ("b | c", "`(0.9, 0.999)`")))
    lines = table._repr_markdown_().splitlines()
    assert lines[0].startswith("| name") and set(lines[1]) <= set("|:- ")
    assert "1e-08" in lines[2] and "b \\| c" in lines[3]
    assert all(line.replace("\\|", "").count("|") == 3 for line in lines)
    assert "`" not in repr(table) and "1e-08" in repr(table) and "|" not in repr(table).splitlines()[0]


# --- what is measured -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows():
    return {row[0].strip("`"): row[1:] for row in optimizer_table().rows}


def test_the_state_is_that_of_a_real_step():
    # From the papers: nothing, a velocity, a sum of squares, two averages, two averages and their maximum.
    expected = [(optim.SGD, {}, 0), (optim.SGD, {"momentum": 0.9}, 4), (optim.Adagrad, {}, 4), (optim.RMSprop, {}, 4)]
    expected += [(optim.Adam, {}, 8), (optim.AdamW, {"amsgrad": True}, 12), (optim.SparseAdam, {}, 8)]
    for made, options, count in expected:
        assert reference.state_bytes(made, **options) == pytest.approx(count, abs=0.01)
    # Two vectors in place of a matrix.
    side = reference.SIDE
    assert reference.state_bytes(optim.Adafactor) == pytest.approx(2 * side * 4 / side**2, abs=0.001)


def test_the_words_about_state_name_the_options_that_store_more(rows):
    assert rows["SGD"][1] == "0; 4 with momentum"
    assert rows["Adam"][1] == "8; 12 with amsgrad"
    assert rows["RMSprop"][1] == "4; 8 with momentum; 8 with centered"
    assert rows["LBFGS"][1] == "8, plus 8 per step kept"


def test_the_history_of_lbfgs_stops_growing_at_history_size():
    options = {"lr": 0.1, "tolerance_change": 0, "history_size": 4}
    before, full, later = (reference.state_bytes(optim.LBFGS, max_iter=n, **options) for n in (4, 5, 9))
    assert before < full == later


def test_needs_are_found_by_trying(rows):
    assert set(rows) == set(optimizer_classes())
    assert {name for name, row in rows.items() if row[2]} == {"LBFGS"}
    assert {name for name, row in rows.items() if row[3] != "any"} == {"Muon"}
    assert {name for name, row in rows.items() if "sparse" in row[4]} == {"SGD", "Adagrad", "LBFGS", "SparseAdam"}
    assert rows["SparseAdam"][4] == "sparse only"
    assert all(row[0] != "(not described)" and row[4] != "none" for row in rows.values())


def test_the_table_of_optimizers_neither_warns_nor_leaves_anything_behind(recwarn):
    before = torch.get_rng_state(), torch.sparse.check_sparse_tensor_invariants.is_enabled()
    assert repr(optimizer_table()) == repr(optimizer_table())
    assert torch.equal(before[0], torch.get_rng_state())
    assert torch.sparse.check_sparse_tensor_invariants.is_enabled() == before[1]
    assert not recwarn.list


def test_a_column_may_be_left_out_but_none_that_is_not_there():
    whole, less = optimizer_table(), optimizer_table().without("shapes")
    assert less.headers == (*whole.headers[:4], "gradients") and less.note == whole.note
    assert less.rows == tuple((*row[:4], row[5]) for row in whole.rows)
    with pytest.raises(ValueError, match=r"no column 'gradient'; it has .*'gradients'"):
        whole.without("gradient")
