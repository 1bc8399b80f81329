"""Is an answer the newest that the student wrote? In an IPython of its own, cell by cell, as a kernel runs them."""

import json
import os
import time

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from utils.guard import Verdict, Wrong, check
from utils.internals import cells


@check
def is_two(answer) -> str:
    if answer() != 2:
        raise Wrong("That is not 2.")
    return "that is 2."


@pytest.fixture
def run(monkeypatch):
    """run(source, id) runs a cell; what the last line gives comes back."""
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))  # not the student's
    shell.user_ns["is_two"] = is_two
    monkeypatch.setattr(cells, "_shell", lambda: shell)
    monkeypatch.setattr(shell, "showtraceback", lambda *_, **__: None)
    monkeypatch.setattr(shell, "showsyntaxerror", lambda *_, **__: None)
    monkeypatch.setattr(cells, "_runs", [])
    cells.watch_runs()
    yield lambda source, id=None: shell.run_cell(source, store_history=True, cell_id=id).result
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


def test_what_came_from_elsewhere_after_a_cell_that_failed_is_new(run):
    run(RIGHT)
    run("def two():\n    return (3")
    run("from tests.internals.test_cells import elsewhere as two")
    assert run("is_two(two)").passed


@check
def has_two(answer) -> str:
    if list(answer.values()) != [2]:
        raise Wrong("That is not 2.")
    return "that is 2."


@pytest.mark.parametrize("newer", ["answers = {'a': 3", "answers = {'a': three}", "answers: dict = {'a': three}"])
def test_an_older_answer_that_is_no_function_does_not_pass_either(run, newer):
    run("from tests.internals.test_cells import has_two")
    run("answers = {'a': 2}")
    run(newer)
    assert "`answers` of an earlier run" in run("has_two(answers)").message
    run("answers = {'a': 2}")
    assert run("has_two(answers)").passed


@pytest.mark.parametrize("asked", ["partial(two, 1)", "lambda: two(1)", "[two][0]"])
def test_nor_one_that_the_check_gets_in_a_wrapper(run, asked):
    run("from functools import partial\ndef two(k=1):\n    return 2 * k")
    assert run(f"is_two({asked})").passed
    run("def two(k=1):\n    return 2 k")
    assert "`two` of an earlier run" in run(f"is_two({asked})").message


@pytest.mark.parametrize("magic", ["%%time\n{}", "%%capture\n{}", "{}\n%timeit -n1 -r1 two()", "x = 1\n!true\n{}"])
def test_magics_beside_an_answer_change_nothing(run, capsys, magic):
    run(magic.format(RIGHT))
    assert run("is_two(two)").passed
    run(magic.format("def two():\n    return (2"))
    assert "`two` of an earlier run" in run("is_two(two)").message
    run(magic.format(RIGHT))
    assert run("is_two(two)").passed


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
    run(f"page = {{'__name__': 'utils.lend'}}\nexec({RIGHT!r}, page)\ndef lend(name):\n    return [page[name]]")
    for source in cells_run:
        run(source)
    assert bool(run("is_two(two)")) == passes


# The page may hold a newer answer than the kernel, which sees no more of it than the saved file.


@pytest.fixture
def save(tmp_path, monkeypatch):
    """save(source, number) writes the notebook with one cell, whose last run has this number, a second after now."""
    file = tmp_path / "01-lesson.ipynb"
    monkeypatch.setenv("JPY_SESSION_NAME", str(file))

    def save(source, number, id="stub", *, after=1.0):
        cell = {"cell_type": "code", "id": id, "execution_count": number, "source": source.splitlines(keepends=True)}
        file.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": "# 01"}, cell]}))
        os.utime(file, (time.time() + after,) * 2)
        return file

    return save


def test_an_answer_that_was_edited_and_saved_after_its_run_is_not_judged(run, save):
    run(f"{RIGHT}\n", "stub")
    save("def two():\n    return 3", 1)
    verdict = run("is_two(two)", "check")
    assert verdict.untouched and "`two` has changed since you ran it" in verdict.message
    run("def two():\n    return 3", "stub")
    assert "That is not 2" in run("is_two(two)", "check").message
    save("def two() return 2", 3)  # no Python, so not run either
    assert run("is_two(two)", "check").untouched


def test_so_is_an_answer_that_is_no_function(run, save):
    run("from functools import partial\ntwo = partial(int, 2)", "stub")
    save("two = partial(int, 3)", 1)
    assert "`two` has changed" in run("is_two(two)", "check").message
    assert run("two = partial(int, 2)\nis_two(two)", "stub").passed


def test_an_answer_that_its_cell_no_longer_defines_is_not_judged(run, save):
    run(RIGHT, "stub")
    run("def too():\n    return 2", "stub")
    assert run("is_two(two)", "check").passed  # nothing is saved yet
    save("def too():\n    return 2", 2)
    verdict = run("is_two(two)", "check")
    assert verdict.untouched and "No cell defines `two` any more" in verdict.message
    run(RIGHT, "elsewhere")
    assert run("is_two(two)", "check").passed


@pytest.mark.parametrize(
    "newer",
    [
        f"if True:\n    {RIGHT.replace(chr(10), chr(10) + '    ')}",
        "from tests.internals.test_cells import elsewhere as two",
    ],
)
def test_an_answer_that_its_cell_gives_in_another_way_is_judged(run, save, newer):
    run(RIGHT, "stub")
    run(newer, "stub")
    save(newer, 2)
    assert run("is_two(two)", "check").passed


def test_a_set_up_that_fails_when_it_is_run_again_spoils_no_check(run):
    run("from tests.internals.test_cells import is_two")
    run(RIGHT)
    run("from tests.internals.test_cells import is_two\n1 / 0")
    assert run("is_two(two)").passed


def test_an_older_answer_in_a_block_does_not_pass(run):
    run(RIGHT)
    run("if True:\n    1 / 0\n    def two():\n        return 3")
    assert "`two` of an earlier run" in run("is_two(two)").message


def test_an_answer_that_another_cell_holds_is_judged_whatever_its_first_cell_holds_now(run, save):
    run(RIGHT, "stub")
    run("print(two())", "stub")
    file = save("print(two())", 2)
    page = json.loads(file.read_text())
    page["cells"].append({"cell_type": "code", "id": "other", "execution_count": None, "source": RIGHT})
    file.write_text(json.dumps(page))
    os.utime(file, (time.time() + 1,) * 2)
    assert run("is_two(two)", "check").passed


@pytest.mark.parametrize(
    ("number", "more"),
    [
        pytest.param(1, {"after": -60}, id="saved before the run"),
        pytest.param(2, {}, id="as an earlier kernel ran it"),
        pytest.param(None, {}, id="it is running once more"),
        pytest.param(1, {"id": "other"}, id="another cell"),
    ],
)
def test_an_older_page_and_another_cell_say_nothing(run, save, number, more):
    run(RIGHT, "stub")
    save("def two():\n    ...", number, **more)
    assert run("is_two(two)", "check").passed


def test_where_the_page_is_not_known_nothing_is_said(run, save, monkeypatch):
    run(f"{RIGHT}\n", "stub")
    file = save(f"{RIGHT}\n", 1)
    assert run("is_two(two)", "check").passed
    file.write_text("")  # JupyterLab empties it before it writes it anew
    assert run("is_two(two)", "check").passed
    file.unlink()
    assert run("is_two(two)", "check").passed
    run(RIGHT)  # no id, as from other front ends
    save("def two():\n    return 3", 5, id=None)
    assert run("is_two(two)", "check").passed
    run(RIGHT, "stub")
    save("def two():\n    return 3", 7)
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert run("is_two(two)", "check").passed
