"""The cheat sheet: one page, made from the notebook's cells, and made anew whenever they change."""

import json
import re

import pytest
from PIL import Image

from tests.support.jupyter_page import missing
from tools import cheatsheet
from tools.browser import NoBrowser, browser
from tools.cheatsheet import ASSETS, cells, digest, make, page


@pytest.fixture
def chromium():
    """One that starts; else the test fails in CI and is skipped elsewhere."""
    try:
        with browser():
            pass
    except NoBrowser as reason:
        missing(str(reason))


def test_the_stored_page_was_made_from_the_notebook_as_it_stands():
    with Image.open(ASSETS / "cheatsheet.png") as image:
        assert image.text["source-sha256"] == digest(cells()), "run `python -m tools.cheatsheet`"
        assert image.size == (cheatsheet.SCALE * cheatsheet.WIDTH, cheatsheet.SCALE * cheatsheet.HEIGHT)


def test_the_stored_pdf_is_one_a4_page():
    raw = (ASSETS / "cheatsheet.pdf").read_bytes()
    assert raw.startswith(b"%PDF-") and len(re.findall(rb"/Type\s*/Page\b", raw)) == 1
    width, height = map(float, re.search(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", raw).groups())
    assert abs(width - 595) < 1.5 and abs(height - 842) < 1.5  # points


def test_every_box_is_on_the_page():
    boxes = cells()
    made = page(boxes)
    assert len(boxes) >= 5 and made.count("<section>") == len(boxes) and "http" not in made
    for box in boxes:
        heading, words = re.match(r"### (.+)", box)[1], re.findall(r"[A-Za-z]{6,}", box.replace("```python", ""))
        assert f">{heading}" in made and len(words) > 10 and all(word in made for word in words)


def test_the_digest_changes_with_a_word():
    boxes = cells()
    assert digest(boxes) != digest([boxes[0] + ".", *boxes[1:]])
    assert digest(["ab", "c"]) != digest(["a", "bc"])


def test_a_notebook_without_a_cheat_sheet_is_an_error(tmp_path):
    other = tmp_path / "x.ipynb"
    other.write_text(json.dumps({"cells": [{"source": ["# X"], "metadata": {}}]}))
    with pytest.raises(ValueError, match="0 cells tagged cheatsheet"):
        cells(other)


def test_it_is_made_again_the_same(chromium, tmp_path):
    _, png = make(tmp_path)
    with Image.open(png) as fresh, Image.open(ASSETS / "cheatsheet.png") as stored:
        assert fresh.text == stored.text and fresh.size == stored.size


def test_what_does_not_fit_is_not_written(chromium, tmp_path, monkeypatch):
    monkeypatch.setattr(cheatsheet, "cells", lambda: cells() * 2)
    with pytest.raises(ValueError, match="a page has"):
        make(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail), ("1", pytest.fail), ("", pytest.skip)])
def test_without_chromium_it_fails_in_ci_and_is_skipped_elsewhere(request, monkeypatch, ci, outcome):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")
    with pytest.raises(outcome.Exception, match="/nowhere/chromium does not start"):
        request.getfixturevalue("chromium")
