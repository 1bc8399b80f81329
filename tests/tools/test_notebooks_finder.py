"""One meaning of a lesson's number for every command, and tags that are known."""

import re

import pytest

from tools import notebooks
from tools.notebooks import (
    UnknownLesson,
    find,
    find_all,
    find_any,
    has_tag,
    is_note,
    is_question,
    is_still,
    name_of,
    number_of,
)

NUMBERS = ["00", "01", "02a", "02b", "10"]


@pytest.fixture
def folder(tmp_path):
    for each in NUMBERS:
        (tmp_path / f"{each}-a-lesson.ipynb").touch()
    for other in ("02a-a-lesson.2026-01-01.txt", "notes.ipynb", "2-digits-are-needed.ipynb"):
        (tmp_path / other).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([], NUMBERS),
        (["2"], ["02a", "02b"]),
        (["02"], ["02a", "02b"]),
        (["2b"], ["02b"]),
        (["02B"], ["02b"]),
        (["1"], ["01"]),
        (["0"], ["00"]),
        (["00"], ["00"]),
        (["10", "02a", "2", "010"], ["02a", "02b", "10"]),
    ],
    ids=str,
)
def test_a_number_means_a_lesson_with_all_its_parts(folder, wanted, found):
    assert [number_of(path) for path in find_all(wanted, folder)] == found


def test_the_path_of_a_lesson_means_it_and_that_of_a_copy_does_not(folder, monkeypatch):
    copies = folder / "copies"
    copies.mkdir()
    (copies / "01-a-lesson.ipynb").touch()
    monkeypatch.chdir(folder)
    assert find_all(["02b-a-lesson.ipynb", str(folder / "01-a-lesson.ipynb")], folder) == [
        folder / "01-a-lesson.ipynb",
        folder / "02b-a-lesson.ipynb",
    ]
    for other in ("copies/01-a-lesson.ipynb", "2-digits-are-needed.ipynb", "notes.ipynb"):
        with pytest.raises(UnknownLesson):
            find(other, folder)


@pytest.mark.parametrize(("wanted", "found"), [("2", "02a"), ("02b", "02b"), ("0", "00"), ("10", "10")])
def test_who_opens_one_lesson_gets_the_first_part(folder, wanted, found):
    assert find(wanted, folder) == folder / f"{found}-a-lesson.ipynb"


@pytest.mark.parametrize("wanted", ["7", "2c", "1a", "", "-1", "2.", "02a-a-lesson", "0 1", "²"])
def test_an_unknown_number_is_told_in_one_line(folder, wanted):
    line = f"no notebook `{wanted}`; there are: 00, 01, 02a, 02b, 10"
    for look in (find, lambda each, where: find_all(["1", each], where)):
        with pytest.raises(UnknownLesson, match=f"^{re.escape(line)}$"):
            look(wanted, folder)


def test_every_unknown_number_is_told_and_an_empty_folder_too(folder, tmp_path_factory):
    with pytest.raises(UnknownLesson, match=r"^no notebook `7`, `8`; there are: 00"):
        find_all(["7", "1", "8"], folder)
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(UnknownLesson, match=r"^no notebook at all; there are: none$"):
        find_all([], empty)
    with pytest.raises(UnknownLesson, match=r"^no notebook `1`; there are: none$"):
        find("1", empty)


def test_the_lessons_of_the_workshop_are_found():
    assert find("0").name == "00-start-here.ipynb"
    assert [number_of(path) for path in find_all()] == sorted(
        path.name.split("-")[0] for path in notebooks.NOTEBOOKS.glob("*.ipynb")
    )


@pytest.mark.parametrize("metadata", [{}, {"tags": None}, {"tags": []}, None, {"tags": ["prediction"]}])
def test_a_tag_is_there_or_not_and_a_slip_is_an_error(metadata):
    assert not has_tag({"metadata": metadata}, "predict")
    assert has_tag({"metadata": {"tags": ["setup", "predict"]}}, "predict")
    with pytest.raises(KeyError, match="no cell has the tag 'prediction'"):
        has_tag({"metadata": metadata}, "prediction")


@pytest.mark.parametrize("slideshow", [None, {}, {"slide_type": "slide"}, {"slide_type": None}])
def test_only_the_slide_type_makes_a_note(slideshow):
    assert not is_note({"metadata": {"slideshow": slideshow}}) and not is_note({"metadata": {}})
    assert is_note({"metadata": {"slideshow": {"slide_type": "notes"}}})


@pytest.mark.parametrize("metadata", [{}, {"workshop": None}, {"workshop": {"role": "other"}}, None])
def test_only_its_metadata_make_an_output_a_still(metadata):
    html = {"text/html": '<img class="lab-still">'}
    assert not is_still({"data": html, "metadata": metadata}) and not is_still({"output_type": "stream"})
    assert is_still({"data": {}, "metadata": {"workshop": {"role": notebooks.STILL}}})
    asks = {"data": {}, "metadata": {"workshop": {"role": notebooks.QUESTION, "name": "edge-lr"}}}
    assert is_question(asks) and not is_still(asks) and not is_question({"data": html, "metadata": metadata})


def test_no_tool_reads_a_role_from_prose_or_markup():
    tools, deck = notebooks.NOTEBOOKS.parent / "tools", notebooks.NOTEBOOKS.parent / "assets" / "deck"
    for path in [*tools.rglob("*.py"), *deck.glob("*.js"), *deck.glob("*.j2")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\*\*Predict|[\"']Predict\b|What you saw|WidgetCheck", text), path
        assert path.name == "notebooks.py" or "lab-still" not in text, path  # for style alone, in deck.css


def test_a_path_means_any_notebook(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert find_any(["notes.ipynb", "02b"], folder) == [
        folder / "02b-a-lesson.ipynb",
        (folder / "notes.ipynb").resolve(),
    ]
    assert find_any(["notes.ipynb"], folder / "empty") == [(folder / "notes.ipynb").resolve()]
    assert len(find_any([], folder)) == len(NUMBERS)
    with pytest.raises(UnknownLesson, match=r"there is no file .*gone\.ipynb"):
        find_any(["gone.ipynb"], folder)
    with pytest.raises(UnknownLesson, match="no notebook `notes`"):
        find_any(["notes"], folder)


def test_a_command_calls_a_lesson_by_its_number_and_another_notebook_by_its_file(folder):
    assert name_of(folder / "02b-a-lesson.ipynb") == "02b"
    assert name_of(folder / "notes.ipynb") == "notes.ipynb"
