"""Which tests belong to a lesson, and how pytest is asked for them."""

import subprocess
from types import SimpleNamespace

import pytest

from tools import proof
from tools.notebooks import find


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("01", ["checks/test_concepts.py", "labs/test_find_edge.py", "labs/test_find_edge_in_browser.py"]),
        ("02a", ["checks/test_built_in.py"]),
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


def test_an_unknown_number_is_told_in_a_line(capsys):
    assert proof.main(["17"]) == 2
    assert "17" in capsys.readouterr().err


@pytest.mark.parametrize(("fixtures", "marked"), [(("browser",), True), (("tmp_path",), False), (("chromium",), True)])
def test_what_asks_for_a_browser_is_marked(fixtures, marked):
    from tests.conftest import pytest_collection_modifyitems

    marks = []
    item = SimpleNamespace(fixturenames=fixtures, add_marker=marks.append, path=SimpleNamespace(name="test_x.py"))
    pytest_collection_modifyitems([item])
    assert marks == ["browser"] * marked
