"""The minutes of the notes reach every table, and what was written there by hand stays."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.support.translated import translated
from tools import minutes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def workshop(tmp_path):
    for name in ("notebooks", "assets"):
        (tmp_path / name).mkdir()
    for path in (*(ROOT / "notebooks").glob("*.ipynb"), ROOT / minutes.README, ROOT / minutes.GUIDE):
        shutil.copy(path, tmp_path / path.relative_to(ROOT))
    return tmp_path


def state(workshop):
    return {path: path.read_bytes() for path in workshop.rglob("*.*")}


def change(workshop, lesson, edit):
    (path,) = (workshop / "notebooks").glob(f"{lesson}-*")
    book = json.loads(path.read_text(encoding="utf-8"))
    edit(book["cells"])
    path.write_text(json.dumps(book, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def places(cells, heading):
    """Of a section: its first cell, and the first one behind it."""
    starts = [k for k, cell in enumerate(cells) if "".join(cell["source"]).startswith("## ")]
    first = next(k for k in starts if heading in "".join(cells[k]["source"]))
    return first, next((k for k in starts if k > first), len(cells))


def table(workshop, lesson):
    text = (workshop / minutes.GUIDE).read_text(encoding="utf-8")
    return re.search(rf"^\| \[{lesson}\]\(.*\n(?:\|.*\n)+", text, re.M)[0].splitlines()[2:]


def test_the_workshops_own_are_in_line_and_stay_to_the_byte(workshop, capsys):
    before = state(workshop)
    assert minutes.main([], root=workshop) == 0
    assert state(workshop) == before and capsys.readouterr().out == "All minutes are in line.\n"


@pytest.mark.parametrize("word", ["--help", "02a"])
def test_it_takes_no_arguments_and_help_changes_nothing(workshop, word):
    change(workshop, "02a", lambda cells: cells.pop())
    before = state(workshop)
    with pytest.raises(SystemExit):
        minutes.main([word], root=workshop)
    assert state(workshop) == before


def test_a_dropped_section_leaves_every_table(workshop, capsys):
    before = table(workshop, "02a")

    def drop(cells):
        first, end = places(cells, '3. "Nesterov is faster"')
        del cells[first:end]

    change(workshop, "02a", drop)
    assert minutes.main([], root=workshop) == 0
    assert capsys.readouterr().out == "Changed: notebooks/02a-momentum.ipynb, README.md, assets/teaching-guide.md.\n"
    after = table(workshop, "02a")
    assert [row for row in before if row not in after] == [before[3], "| together | 29 |"]
    assert [row for row in after if row not in before] == ["| together | 24 |"]
    again = state(workshop)
    assert minutes.main([], root=workshop) == 0 and state(workshop) == again


def test_a_section_that_moves_keeps_its_name_and_bold_minutes_and_new_minutes_reach_title_and_readme(workshop):
    before = table(workshop, "02d")

    def move(cells):
        first, end = places(cells, "2. The fair way")
        section = cells[first:end]
        del cells[first:end]
        cells[places(cells, "1. Why most")[0] : places(cells, "1. Why most")[0]] = section
        note = next(cell for cell in cells if "notes" in cell["metadata"]["slideshow"]["slide_type"])
        note["source"] = ["> *For the instructor.* Take your time. 60 minutes."]

    change(workshop, "02d", move)
    assert minutes.main([], root=workshop) == 0
    after = table(workshop, "02d")
    assert after[0].startswith("| [2. The fair way, with Lab 2]") and after[1] == before[0] and "**" in after[0]
    total = int(after[-2].split(" | ")[1].strip(" |"))
    assert total > 90
    (path,) = (workshop / "notebooks").glob("02d-*")
    words = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"][2]
    least, most = minutes.TITLE.search(words).group("least", "most")
    assert int(least) <= total <= int(most) and int(most) - int(least) == 15
    assert f"| {least}–{most} |" in (workshop / minutes.README).read_text(encoding="utf-8")


def test_a_lesson_that_is_gone_leaves_both_tables(workshop):
    (path,) = (workshop / "notebooks").glob("02c-*")
    path.unlink()
    assert minutes.main([], root=workshop) == 0
    guide = (workshop / minutes.GUIDE).read_text(encoding="utf-8")
    assert f"]({'../notebooks/' + path.name}) | minutes |" not in guide and guide.count("| together |") == 10
    assert f"| [02c · The rest of torch.optim](notebooks/{path.name})" not in (workshop / minutes.README).read_text(
        encoding="utf-8"
    )


def test_a_translated_lesson_has_its_minutes_in_all_tables_and_keeps_its_words(workshop):
    before = {lesson: table(workshop, lesson) for lesson in ("02a", "03")}
    for lesson in before:
        change(workshop, lesson, lambda cells: [cell.update(source=translated(cell)) for cell in cells])
    assert minutes.main([], root=workshop) == 0
    for lesson, rows in before.items():
        after = table(workshop, lesson)
        assert not {*rows} & {*after} - {row for row in rows if "together" in row}
        assert [re.findall(r"\| (\+? ?)\**(\d+)", row) for row in after] == [
            re.findall(r"\| (\+? ?)\**(\d+)", row) for row in rows
        ]

    def longer(cells):
        note = next(cell for cell in cells if minutes.is_note(cell))
        note["source"] = ["> *Für die Lehrkraft.* Lassen Sie sich Zeit. 30 Minuten."]

    change(workshop, "02a", longer)
    assert minutes.main([], root=workshop) == 0
    (path,) = (workshop / "notebooks").glob("02a-*")
    title = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"][2]
    assert title.startswith("**Minuten:** 45 bis 60, dnu 13 rüf eht esicrexe.")
    assert "| 45–60 |" in (workshop / minutes.README).read_text(encoding="utf-8")


def test_a_title_without_minutes_is_named_and_nothing_is_written(workshop, capsys):
    change(workshop, "03", lambda cells: cells[0].update(source=["# 03 · Silent"]))
    change(workshop, "01", lambda cells: cells.pop(places(cells, "6. Noise")[0]))
    before = state(workshop)
    assert minutes.main([], root=workshop) == 1
    assert "03-custom-optimizer.ipynb: its first cell says no minutes" in capsys.readouterr().err
    assert state(workshop) == before


def test_what_is_said_with_one_cell_adds_no_minutes():
    def note(text, *tags):
        metadata = {"slideshow": {"slide_type": "notes"}, "tags": [*tags]}
        return {"cell_type": "markdown", "source": text, "metadata": metadata}

    cells = [{"cell_type": "markdown", "source": "## 1. One", "metadata": {}}, note("Wait 2 minutes.", "slide-note")]
    (section,) = minutes.sections([*cells, note("5 minutes.")])
    assert section.notes == ["5 minutes."]
