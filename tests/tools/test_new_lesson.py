"""A lesson of one's own, as `workshop.py new` starts it, passes the rules of the house."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest

from tests.notebooks.test_notebooks import CHECKS, read
from tests.notebooks.test_sections import problems
from tools import minutes, new_lesson
from tools.notebooks import TEMPLATE, lessons
from tools.refresh import refresh

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def workshop(tmp_path):
    for name in ("notebooks", "assets"):
        (tmp_path / name).mkdir()
    for path in (*lessons(), *(ROOT / name for name in (minutes.README, minutes.GUIDE, TEMPLATE, "pyproject.toml"))):
        shutil.copy(path, tmp_path / path.relative_to(ROOT))
    return tmp_path


def test_it_passes_the_rules_and_stands_in_the_tables(workshop, capsys):
    assert new_lesson.main(['Sign "descent" über alles'], root=workshop) == 0
    path = workshop / "notebooks" / "06-sign-descent-uber-alles.ipynb"
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"Written: notebooks/{path.name}.")
    book = nbformat.read(path, as_version=4)
    assert book.cells[0].source.startswith('# 06 · Sign "descent" über alles\n')
    assert not [cell.id for cell in book.cells if "<number>" in cell.source or "<slug>" in cell.source]
    refresh(path)
    found = {title: list(check(read(path), path)) for title, check in CHECKS.items()}
    assert not any(found.values()), found
    assert list(problems(book)) == []
    assert "| [1. A longer step](../notebooks/06-" in (workshop / minutes.GUIDE).read_text(encoding="utf-8")
    readme = (workshop / minutes.README).read_text(encoding="utf-8")
    assert "predict what a longer step does to the loss | [![Open 06 in Colab](" in readme


@pytest.mark.parametrize("title", ["", " ", "?!", "a | b", "line\nbreak"])
def test_a_title_that_is_none_is_told(workshop, capsys, title):
    assert new_lesson.main([title], root=workshop) == 2
    assert "needs a title in words" in capsys.readouterr().err and len(lessons(workshop / "notebooks")) == len(
        lessons()
    )


def test_the_template_is_stored_without_outputs():
    cells = json.loads((ROOT / TEMPLATE).read_text(encoding="utf-8"))["cells"]
    assert [cell["id"] for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
