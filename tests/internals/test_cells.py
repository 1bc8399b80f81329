"""Is an answer the newest that the student wrote? In an IPython of its own, cell by cell, as a kernel runs them."""

import pytest
from IPython.core.interactiveshell import InteractiveShell

from utils.guard import Verdict, Wrong, check
from utils.internals import cells


@check
def is_two(answer) -> str:
    if answer() != 2:
        raise Wrong("That is not 2.")
    return "that is 2."


@pytest.fixture
def run(monkeypatch):
    """run(source) runs a cell; what the last line gives comes back."""
    shell = InteractiveShell()
    shell.user_ns["is_two"] = is_two
    monkeypatch.setattr(cells, "_shell", lambda: shell)
    monkeypatch.setattr(shell, "showtraceback", lambda *_, **__: None)
    monkeypatch.setattr(shell, "showsyntaxerror", lambda *_, **__: None)
    yield lambda source: shell.run_cell(source, store_history=True).result
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


RIGHT = "def two():\n    return 2"


def test_a_right_answer_passes_and_so_does_one_that_was_changed(run):
    run("def two(): ...")
    run(RIGHT)
    assert run("is_two(two)").passed
    run("def two():\n    return 1 + 1")
    assert run("is_two(two)").passed
    run("print(two())")
    assert run("is_two(two)").passed


@pytest.mark.parametrize(
    "newer",
    [
        "def two():\n    return (2",
        "def two()\n    return 3",
        "1 / 0\n\ndef two():\n    return 3",
        "two = 1 / 0",
        "one, two = 1 / 0",
        "@nothing\ndef two():\n    return 3",
        "class two(\n",
    ],
)
def test_an_older_function_never_passes_for_a_cell_that_failed(run, newer):
    run(RIGHT)
    run(newer)
    verdict = run("is_two(two)")
    assert isinstance(verdict, Verdict) and not verdict and not verdict.untouched
    assert "`two` of an earlier run" in verdict.message
    run(RIGHT)
    assert run("is_two(two)").passed


@pytest.mark.parametrize(
    "later",
    [
        "1 / 0",
        "two(1)",  # an error of a call, not of the definition
        "def other():\n    return (3",
        "twofold = 1 / 0",
        "assert two == 3",
        "x = (two ==",
        "two.note = 'it gets an attribute'",
        "notes = {}\nnotes[two] = 1 / 0",
    ],
)
def test_a_later_cell_that_fails_elsewhere_does_not_count(run, later):
    run(RIGHT)
    run(later)
    assert run("is_two(two)").passed


def test_a_cell_that_fails_after_the_definition_has_defined_it(run):
    run(RIGHT)
    run("def two():\n    return 4 - 2\n\ntwo(1)")
    assert run("is_two(two)").passed


def test_another_name_for_it_is_no_new_definition(run):
    run(f"{RIGHT}\n\ndef other():\n    return 2")
    run("mine = two")
    assert run("is_two(mine)").passed and run("is_two(two)").passed
    run("two = other")
    assert run("is_two(two)").passed


def test_a_lambda_is_known_by_the_name_that_its_cell_gives_it(run):
    run("two = lambda: 2")
    assert run("is_two(two)").passed
    run("two = lambda: 1 / 0 +")
    assert "`two` of an earlier run" in run("is_two(two)").message


def test_classes_and_what_comes_from_elsewhere(run):
    run("class Two:\n    def __new__(cls):\n        return 2")
    assert run("is_two(Two)").passed
    run("class Two:\n    def __new__(cls):\n        return 1 +")
    assert "`Two` of an earlier run" in run("is_two(Two)").message
    run("from functools import partial\nmade = partial(int, 2)")
    assert run("is_two(made)").passed
    assert run("is_two(lambda: 2)").passed
    run("from tests.internals.test_cells import elsewhere as two")
    assert run("is_two(two)").passed


def elsewhere():
    return 2


def test_outside_a_notebook_nothing_is_asked():
    assert cells.older_than_its_cell(elsewhere) == ""


@pytest.mark.parametrize(
    ("cells_run", "passes"),
    [
        (["(two,) = lend('two')"], True),  # she starts at a section that builds on it
        (["(two,) = lend('two')", "def two():\n    return (3"], False),
        (["(two,) = lend('two')", "def two():\n    return (3", RIGHT], True),
        (["(two,) = lend('two')", "def other():\n    return (3"], True),
    ],
)
def test_what_is_lent_passes_until_a_cell_that_should_replace_it_fails(run, cells_run, passes):
    run(f"page = {{'__name__': {cells.LENT!r}}}\nexec({RIGHT!r}, page)\ndef lend(name):\n    return [page[name]]")
    for source in cells_run:
        run(source)
    assert bool(run("is_two(two)")) == passes
