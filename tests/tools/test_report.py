"""The report: all that is noted stands on one page, which anybody can read; and clear words where there is none."""

import contextlib
import errno
import json
import os
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from tools import report
from tools.browser import NoBrowser
from utils.progress import Journal

TITLE = "# 01 · Concepts\n\n**Minutes:** 75 to 90, and 30 for the exercises. **Builds on:** nothing."


def cell(source, *tags):
    return {"cell_type": "code" if tags else "markdown", "id": "c", "metadata": {"tags": list(tags)}, "source": source}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A workshop of one lesson, and no browser."""

    def none():
        raise NoBrowser("no Chromium or Chrome starts: install one")

    monkeypatch.setattr(report.browser, "browser", none)
    cells = [
        cell(TITLE),
        cell("class Ours(Skeleton):\n    ...", "ladder"),
        *(cell(f'predict("{name}", "Which?")', "predict") for name in "abc"),
        cell("### Exercise 1: by hand"),
        cell("class Theirs(Skeleton): ...", "exercise-stub"),
        cell("checks.check_hand(by_hand)", "exercise-check"),
        cell('quiz("q", "Which?")', "quiz"),
        cell("## 2. Bug clinic: nothing moves"),
        cell("checks.check_moves(by_hand)", "clinic-check"),
    ]
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/01-concepts.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "my-work").mkdir()
    return tmp_path


@pytest.fixture
def journal(root):
    return Journal(root / "my-work", lesson="01")


class Seen(HTMLParser):
    """Every element of a page with its attributes, and the words in the rows of its tables."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.rows, self.inside = [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("th", "td")

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def rows(root):
    return [[part.strip() for part in row] for row in Seen(report.report(root)).rows]


def answer(journal, name, given, **more):
    journal.add("answers", name=name, question=f"Which of `{name}`?", answer=given, after_result=False, **more)


def test_predictions_stand_beside_what_was_measured(root, journal):
    answer(journal, "a", 40.0, shown="40 steps")
    answer(journal, "a", 41.0, shown="41 steps")
    journal.add("results", name="a", measured=35.0, shown="35 steps")  # before the experiment was run once more
    journal.add("results", name="a", measured=36.0, shown="36 steps")
    journal.add("answers", name="a", question="Which?", answer=36.0, shown="36 steps", after_result=True)
    journal.add("answers", name="b", question="Which of b?", answer="x", after_result=True)
    answer(journal, "gone", ["x", "y"])  # of an earlier version, and of a lesson that has changed
    found = rows(root)
    assert ["Which of a?", "41 steps", "36 steps"] in found
    assert ["Which of b?", "x (after the result)", "not yet"] in found
    assert ["Which of gone?", "x; y", "not yet"] in found
    assert ["01 · Concepts", "55–60", "predictions 2 of 3, exercises 0 of 1, bug clinics 0 of 1"] in found
    assert "<code>a</code>" in report.report(root) and "Questions of earlier lessons" in report.report(root)


def test_what_was_passed_reached_and_scored(root, journal):
    journal.note("exercises", "check_hand", said="40 points agree.\nAll *of* them: `a*b*c` < 1.")
    journal.note("exercises", "check_of_another_workshop", said="not here")
    journal.note("goals", "κ = 10", of=3)
    for name in ("Ours", "Theirs"):
        journal.note("exercises", f"check_optimizer(`{name}`)", said=f"{name} has all points.")
    for score in ("97.00 %", "98.40 %"):
        journal.note(
            "boards", "`mine`", each_time=True, score=score, said="undecided", source=f"def mine(): {score} <b>"
        )
    page = report.report(root)
    assert "<b>by hand:</b> 40 points agree.<br>All <em>of</em> them: <code>a*b*c</code> &lt; 1." in page
    assert "<li>κ = 10</li>" in page and "not here" not in page
    assert "Theirs has all points." in page and "Ours has all points." not in page
    assert ["mine", "97.00 %", "undecided"] in rows(root) and ["mine", "98.40 %", "undecided"] in rows(root)
    assert "def mine(): 98.40 % &lt;b&gt;" in page and "def mine(): 97" not in page


def test_a_clinic_is_no_exercise_and_a_quick_question_no_prediction(root, journal):
    journal.note("exercises", "check_moves", said="the weight moves.")
    answer(journal, "q", "wrong", shown="wrong")
    journal.add("results", name="q", measured="right", shown="right")
    page = report.report(root)
    assert "<h3>Bug clinics passed</h3>" in page and "<b>nothing moves:</b> the weight moves." in page
    assert "Exercises passed" not in page and "Right at the first answer: 0 of 1." in page
    assert "Questions of earlier lessons" not in page and "Which of" not in page


def test_anybody_can_read_it_and_it_asks_for_nothing(root, journal):
    test_what_was_passed_reached_and_scored(root, journal)
    answer(journal, "a", "<script src=x>", shown="<script src=x>")
    page = report.report(root)
    elements = Seen(page).elements
    levels = [int(tag[1]) for tag, _ in elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    tags = [tag for tag, _ in elements]
    assert tags.count("table") == tags.count("caption") >= 3
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in elements if tag == "th")
    assert ("html", {"lang": "en"}) in elements and tags.count("main") == 1
    assert not {"script", "img", "iframe"} & set(tags) and "://" not in page and "url(" not in page
    assert [attributes["href"] for tag, attributes in elements if tag == "link"] == ["data:,"]


def files(folder):
    return {path.relative_to(folder): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "nothing to report yet"),
        (b'{"format": 1, "answers": [], "results": [{"name": "a"}]}', "nothing to report yet"),
        (b"{", "is damaged, so there is nothing to report"),
        (b'{"format": 1, "answers": [3], "results": []}', "is damaged"),
    ],
)
def test_where_there_is_nothing_it_says_so_and_writes_nothing(root, capsys, content, words):
    if content is not None:
        (root / "my-work/answers.json").write_bytes(content)
    before = files(root)
    assert report.main([], root=root) == 2 and words in capsys.readouterr().err
    assert files(root) == before


def test_a_file_that_cannot_be_read_is_told(root, capsys):
    (root / "my-work/answers.json").mkdir()
    assert report.main([], root=root) == 2 and "cannot be read: Is a directory" in capsys.readouterr().err


def test_without_a_browser_there_is_the_page_alone(root, journal, capsys):
    answer(journal, "a", "x")
    before = files(root)
    assert report.main([], root=root) == 0
    assert capsys.readouterr().out == "my-work/report.html\nno PDF: no Chromium or Chrome starts: install one\n"
    after = files(root)
    assert after.keys() - before.keys() == {(root / "my-work/report.html").relative_to(root)}
    assert after.items() >= before.items()


def test_with_a_browser_there_is_a_pdf_beside_it(root, journal, monkeypatch, capsys):
    class View:
        def goto(self, address):
            self.address = address

        def pdf(self, **options):
            return f"{self.address} {options['tagged']}".encode()

        def close(self):
            """Nothing."""

    class Running:
        new_page = View

    monkeypatch.setattr(report.browser, "browser", lambda: contextlib.nullcontext(Running))
    answer(journal, "a", "x")
    assert report.main([], root=root) == 0 and capsys.readouterr().out.endswith("my-work/report.pdf\n")
    assert (root / "my-work/report.pdf").read_text() == f"{(root / 'my-work/report.html').as_uri()} True"


def test_on_a_full_disk_the_old_page_stays(root, journal, monkeypatch, capsys):
    answer(journal, "a", "x")
    (root / "my-work/report.html").write_text("the old one")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert report.main([], root=root) == 2
    assert "no report written in my-work/: No space left on device" in capsys.readouterr().err
    assert (root / "my-work/report.html").read_text() == "the old one"
