"""Another torch than the lessons' is told in words, and raises nowhere; the lessons' own torch is as stored."""

import inspect
import re
from pathlib import Path

import pytest
from torch import optim
from torch.optim import lr_scheduler

from tools import signatures
from utils.reference import versions
from utils.reference.optimizers import optimizer_table, parameter_table
from utils.reference.schedulers import scheduler_parameters, scheduler_table
from utils.reference.versions import INSTALLED, arguments_of, changes, stored

UNLIKE = f"This is torch {INSTALLED}. Unlike torch {stored()['torch']}: "


def test_what_is_stored_is_that_of_the_pinned_torch():
    text = (Path(__file__).parents[2] / "requirements.txt").read_text(encoding="utf-8")
    again = "run `python -m tools.signatures --store` with the pinned torch, and describe what it adds"
    assert stored()["torch"] == re.search(r"^torch==(\S+)", text, re.M)[1], again


def test_the_installed_torch_has_the_arguments_that_are_stored():
    found = signatures.differences()
    if INSTALLED != stored()["torch"]:
        pytest.skip("; ".join(found) or "another torch, with the same arguments")
    assert found == []


def before(params, lr=0.1, betas=(0.9, 0.999), *, eps=1e-8):
    """An optimizer, as far as its arguments go."""


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (before, []),
        (lambda params, lr=0.1, betas=(0.9, 0.999), *, eps=1e-8, maximize=False: 0, ["Adam gained maximize=False"]),
        (lambda params, lr=0.1, betas=(0.9, 0.999), *, eps=1e-8, warp: 0, ["Adam gained warp"]),
        (lambda params, lr=0.1, betas=(0.9, 0.999): 0, ["Adam lost eps"]),
        (lambda params, lr=0.1, betas=(0.9, 0.99), *, eps=1e-7: 0,
         ["Adam.betas: (0.9, 0.999) → (0.9, 0.99)", "Adam.eps: 1e-08 → 1e-07"]),
        (lambda params, lr, betas=(0.9, 0.999), *, eps=1e-8: 0, ["Adam.lr: 0.1 → required"]),
        (lambda params, lr=0.1, *, betas=(0.9, 0.999), eps=1e-8: 0,
         ["Adam.betas: positional or keyword → keyword-only"]),
        (lambda params, betas=(0.9, 0.999), lr=0.1, *, eps=1e-8: 0,
         ["Adam takes its arguments in another order: params, betas, lr"]),
        (lambda params, drag=0, lr=0.1, betas=(0.9, 0.999), *, eps=1e-8: 0,
         ["Adam gained drag=0", "Adam takes its arguments in another order: params, drag, lr, betas"]),
        (lambda params, betas=(0.9, 0.999), *, eps=1e-8: 0, ["Adam lost lr"]),
    ],
)  # fmt: skip
def test_each_change_of_the_arguments_is_told_in_words(now, words):
    assert changes("Adam", arguments_of(before), arguments_of(now)) == words


def signature(described, *, without=(), **added):
    """That of the class with some of its parameters left out, and others added at the end."""
    kept = [p for name, p in inspect.signature(described).parameters.items() if name not in without]
    new = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value) for name, value in added.items()]
    return inspect.Signature([*kept, *new])


class Novel(optim.Optimizer):
    """An optimizer that cannot be made without knowing what it wants."""

    def __init__(self, params, warp):
        super().__init__(params, {"warp": warp})


def test_the_tables_of_optimizers_name_what_this_torch_lacks_or_adds(monkeypatch):
    monkeypatch.setattr(optim.SGD, "__signature__", signature(optim.SGD, without=["fused"], warp=1), raising=False)
    monkeypatch.delattr(optim, "Muon")
    monkeypatch.setattr(optim, "Novel", Novel, raising=False)
    table = parameter_table(optim.SGD)
    assert table.note == f"{UNLIKE}SGD gained warp=1; SGD lost fused."
    assert table.rows[-1] == ("`warp`", "Any", "`1`", "yes", "(not described)")
    for text in (repr(table), table._repr_markdown_()):
        assert text.endswith(f"\n\n{table.note}")
    table = optimizer_table()
    assert table.note.startswith(f"{UNLIKE}new optimizer: Novel; no optimizer Muon; SGD gained warp=1; SGD lost fused")
    assert table.rows[-1] == ("`Novel`", "(not described)", "(not tried)", "a closure", "2-D only", "none")
    assert "`Muon`" not in [row[0] for row in table.rows]


def test_the_tables_of_schedulers_name_what_this_torch_lacks_or_adds(monkeypatch):
    class StepLR(lr_scheduler.StepLR):
        __module__ = "torch.optim.lr_scheduler"

        def __init__(self, optimizer, step_size, last_epoch=-1, verbose="deprecated"):
            super().__init__(optimizer, step_size, last_epoch=last_epoch)

    monkeypatch.setattr(lr_scheduler, "StepLR", StepLR)
    monkeypatch.delattr(lr_scheduler, "LinearLR")
    of_step = "StepLR gained verbose='deprecated'; StepLR lost gamma"
    assert scheduler_parameters(StepLR).note == f"{UNLIKE}{of_step}."
    table = scheduler_table()
    assert table.note.startswith(f"{UNLIKE}no scheduler LinearLR; {of_step}")
    assert repr(table).endswith(f"\n\n{table.note}")
    shown = {row[0].strip("`"): row[-1] for row in table.rows}
    assert shown["StepLR"] == "(no curve: TypeError)" and shown["SequentialLR"] == "(no curve: NameError)"
    assert shown["ConstantLR"].startswith("<img")


def test_a_students_class_by_the_name_of_one_of_torch_is_compared_with_nothing():
    class SGD(optim.SGD):
        def __init__(self, params, warp=1):
            super().__init__(params)

    assert parameter_table(SGD).note == ""


def test_the_command_tells_the_differences_and_stores_what_is_installed(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(signatures, "FILE", tmp_path / "signatures.json")
    assert signatures.main(["--store"]) == 0
    if stored()["torch"] == INSTALLED:
        assert (tmp_path / "signatures.json").read_bytes() == versions.FILE.read_bytes()
    monkeypatch.setattr(optim.LBFGS, "__signature__", signature(optim.LBFGS, warp=False), raising=False)
    assert signatures.main([]) == 1
    assert "\n  LBFGS gained warp=False\n" in capsys.readouterr().out
