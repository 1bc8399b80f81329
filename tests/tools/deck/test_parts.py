"""Which cells a deck shows, and which ones it runs."""

import json

import pytest
from nbformat import NotebookNode, v4

from tools.deck import parts
from tools.deck.needed_cells import MissingName

CELLS = {  # id → what it says, and its tag
    "title": "# A lesson",
    "setup": ("import ipywidgets", "setup"),
    "one": "Read on.\n\n## 1. One parameter",
    "fence": "```\n## no heading\n```",
    "first": "x = 1",
    "two": "## 2. Two tools",
    "lab": ("ipywidgets.IntSlider(x)", "lab"),
    "ten": "## 10. Bug clinic",
    "last": "unknown",
    "summary": "## Summary: in short",
}


def lesson(*, tags: bool = True) -> NotebookNode:
    cells = []
    for id, said in CELLS.items():
        text, *tag = said if isinstance(said, tuple) else (said,)
        new = v4.new_code_cell if tag or id in ("first", "last") else v4.new_markdown_cell
        cells.append(new(text, id=id, metadata={"tags": tag if tags else []}))
    return v4.new_notebook(cells=cells)


def ids(places: list[int]) -> str:
    return " ".join([*CELLS][place] for place in places)


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        (None, " ".join(CELLS)),
        ("1", "title setup one fence first"),
        ("10, 2", "title setup two lab ten last"),
        ("Two tools", "title setup two lab"),
        ("two", "title setup two lab"),
        ("bug-clinic,summary", "title setup ten last summary"),
    ],
)
def test_sections_go_by_their_number_or_first_words(sections, expected):
    assert ids(parts.shown(lesson(), sections)) == expected


@pytest.mark.parametrize("wrong", ["3", "0", "tools", "1,3", "", "1,", "no heading"])
def test_a_section_that_is_not_there_is_told_with_those_that_are(wrong):
    with pytest.raises(parts.UnknownSection, match=r"1\. One parameter; 2\. Two tools; 10\. .*; Summary"):
        parts.shown(lesson(), wrong)


@pytest.mark.parametrize(
    ("sections", "tags", "every", "expected"),
    [
        (None, True, False, "setup first lab"),
        ("1", True, False, "setup"),
        ("2", True, False, "setup first lab"),  # the second section needs what the first one makes
        ("2", True, True, "setup first lab"),
        (None, True, True, "setup first lab last"),
        (None, False, False, "setup first lab last"),
        ("1", False, False, "setup first"),
    ],
)
def test_what_runs_is_what_the_shown_labs_need_or_all_that_is_shown(sections, tags, every, expected):
    notebook = lesson(tags=tags)
    cells, again = parts.to_run(notebook, parts.shown(notebook, sections), every=every)
    assert ids(cells) == ids(again) == expected


def test_what_is_needed_and_nowhere_made_is_told():
    with pytest.raises(MissingName, match="`unknown`"):
        parts.to_run(lesson(), parts.shown(lesson(), "10"), every=True)


def test_an_older_notebook_gets_ids(tmp_path):
    path = tmp_path / "mine.ipynb"
    cell = {"cell_type": "markdown", "metadata": {}, "source": "# Mine"}
    path.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}))
    assert parts.read(path).cells[0].id


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"nbformat": 4, "nbformat_minor": 5}', b"1"])
def test_what_is_no_notebook_is_told(tmp_path, content):
    path = tmp_path / "mine.ipynb"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"mine\.ipynb is no notebook") as told:
        parts.read(path)
    assert len(str(told.value).splitlines()) == 1
