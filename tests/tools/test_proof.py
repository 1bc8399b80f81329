"""Which tests belong to a lesson, and how pytest is asked for them."""

import contextlib
import fnmatch
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests import conftest
from tests.support.jupyter_page import ROOT
from tools import proof
from tools.notebooks import find, find_all


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("01", ["checks/test_concepts.py", "labs/test_find_edge.py", "labs/test_find_edge_in_browser.py"]),
        ("02a", ["checks/test_built_in.py"]),
        ("02b", ["checks/test_built_in.py"]),
        ("02d", ["checks/test_which_optimizer.py", "labs/test_race.py", "labs/test_race_in_browser.py"]),
        ("04a", ["checks/test_schedulers.py", "labs/test_designer.py", "labs/test_designer_in_browser.py"]),
        ("05b", ["checks/test_diagnosis.py", "practice/test_leaderboard.py"]),
    ],
)
def test_a_lesson_brings_its_notebook_its_checks_and_its_lab(number, expected):
    lesson = find(number)
    assert proof.tests_of(lesson)[0] == f"notebooks/{lesson.name}"
    assert {f"tests/{each}" for each in expected} <= set(proof.tests_of(lesson)[1:])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["-n", "auto"]),
        (["--quick"], ["-n", "auto", "-m", "not browser"]),
        (["--", "-n", "0", "-k", "a or b"], ["-n", "0", "-k", "a or b"]),
        (["2a", "--", "-x"], ["-n", "auto", *proof.tests_of(find("02a")), "-x"]),
    ],
)
def test_pytest_is_asked_for_them(monkeypatch, arguments, expected):
    asked = []
    monkeypatch.setattr(subprocess, "call", lambda command, cwd: asked.append(command) or 5)
    assert proof.main(arguments) == 5
    assert asked[0][1:3] == ["-m", "pytest"] and asked[0][3:] == expected


def test_as_on_colab_other_tests_are_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(subprocess, "call", lambda command, cwd: asked.append(command) or 5)
    assert proof.main(["2a", "--colab"]) == 5
    assert [command[1:] for command in asked] == [["-m", "tests.colab", "2a"]]


def test_an_unknown_number_is_told_in_a_line(capsys):
    assert proof.main(["17"]) == 2
    assert "17" in capsys.readouterr().err


@pytest.mark.parametrize(("fixtures", "marked"), [(("browser",), True), (("tmp_path",), False), (("chromium",), True)])
def test_what_asks_for_a_browser_is_marked(fixtures, marked):
    from tests.conftest import pytest_collection_modifyitems

    marks = []
    item = SimpleNamespace(fixturenames=fixtures, add_marker=marks.append, nodeid="tests/test_x.py::test_y")
    pytest_collection_modifyitems([item])
    assert marks == ["browser"] * marked


def test_what_goes_first_is_there():
    files = [str(path.relative_to(ROOT)) for folder in ("tests", "notebooks") for path in (ROOT / folder).rglob("*.*")]
    for pattern in conftest.LONGEST:
        assert fnmatch.filter(files, pattern), pattern


def test_the_labs_in_jupyterlab_share_a_worker_and_other_files_do_not():
    labs = [f"tests/labs/test_{lab}_in_browser.py::test_a[01]" for lab in ("race", "find_edge", "designer")]
    assert len({conftest.shared(test) for test in [*labs, "tests/benchmarks/test_benchmarks.py::test_a"]}) == 1
    others = [
        labs[0],
        "tests/labs/test_race.py::test_a",
        "notebooks/01-a.ipynb::Cell 0",
        "notebooks/02a-b.ipynb::Cell 0",
    ]
    assert len({conftest.shared(test) for test in others}) == 4
    assert conftest.shared("notebooks/01-a.ipynb::Cell 2") == conftest.shared(others[2])


def test_two_runs_at_the_same_time_do_not_disturb_each_other(browser, tmp_path):
    """From one folder: each has a kernel, a browser and a JupyterLab. (Two decks: test_present.py asks for both.)"""
    asked = (*find_all(["00"]), "tests/tools/test_return_in_browser.py")
    command = [sys.executable, "-m", "tools.proof", "--", *map(str, asked), "-n", "0"]
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    with contextlib.ExitStack() as open_files:
        files = [open_files.enter_context(log.open("wb")) for log in logs]
        runs = [subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file) for file in files]
        codes = [run.wait() for run in runs]
    said = [log.read_text(encoding="utf-8") for log in logs]
    assert codes == [0, 0], "\n".join(said)
    assert all(re.search(r"\b1[0-9] passed", each) and "skipped" not in each for each in said), said
