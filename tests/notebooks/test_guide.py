"""The teaching guide against the notebooks: links lead somewhere, minutes are those of the notes for the instructor."""

import ast
import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.notebooks.test_notebooks import LINK, dead
from tools.deck import parts
from tools.minutes import sections as sections_of
from tools.minutes import total
from tools.notebooks import has_tag, is_note

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "assets/teaching-guide.md"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]*.ipynb"))
EACH_NOTEBOOK = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
# | [section](notebook#heading) | minutes |: bold where the course builds on it, + where they are extra
ROW = re.compile(
    r"^\| \[[^|]*\]\(\.\./notebooks/([\w.-]+\.ipynb)(?:#([^|]*))?\) \| (\+ )?(?:\*\*)?(\d+)(?:\*\*)? \|$", re.M
)
FULL = 0.9  # the share of a block of a plan that may be planned
CELLS_AN_HOUR = 65  # of a lesson with its exercises: about one a minute


def links(text):
    return [target or definition for _, target, definition in LINK.findall(text)]


def cells(path):
    """(type, source, slide type) of each cell."""
    for cell in json.loads(path.read_bytes())["cells"]:
        yield cell["cell_type"], "".join(cell["source"]), cell["metadata"]["slideshow"]["slide_type"]


def sections(path):
    return sections_of(json.loads(path.read_bytes())["cells"])


def lesson_minutes(path):
    return total(sections(path), extra=False)


def exercise_minutes(path):
    return total(sections(path), extra=True)


def number(path):
    return path.name.partition("-")[0]


# The tables of minutes


def test_every_link_of_the_guide_leads_somewhere():
    targets = links(GUIDE.read_text(encoding="utf-8"))
    assert len(targets) > 50
    assert [f"{each}: {problem}" for each in targets if (problem := dead(each, GUIDE, {}))] == []


def test_a_dead_link_is_noticed():
    assert dead("../notebooks/01-optimizer-concepts.ipynb#9.-Gone", GUIDE, {})
    assert dead("../notebooks/01-gone.ipynb", GUIDE, {})
    assert dead("#gone", GUIDE, {})


@EACH_NOTEBOOK
def test_every_section_has_notes(path):
    assert [each.heading for each in sections(path) if not each.notes] == []


@EACH_NOTEBOOK
def test_every_note_says_its_minutes_or_where_they_are_counted(path):
    silent = []
    for section in sections(path):
        for note in section.notes:
            assert note.startswith("> *For the instructor.* ")
            if not re.search(r"\d+ minutes?\b", note) and "minutes are counted with" not in note:
                silent.append(note)
    assert silent == []


@EACH_NOTEBOOK
def test_the_minutes_are_those_of_the_notes(path):
    listed = [row for row in ROW.findall(GUIDE.read_text(encoding="utf-8")) if row[0] == path.name and row[1]]
    assert {unquote(heading): (int(minutes), bool(extra)) for _, heading, extra, minutes in listed} == {
        each.anchor: (each.minutes, each.extra) for each in sections(path) if each.minutes
    }


def test_the_sums_are_right():
    sums = 0
    for table in re.split(r"\n\n", GUIDE.read_text(encoding="utf-8")):
        if together := re.search(r"^\| together \| (\d+) \|$", table, re.M):
            sums += 1
            assert sum(int(minutes) for *_, extra, minutes in ROW.findall(table) if not extra) == int(together[1]), (
                table
            )
    assert sums == len(NOTEBOOKS)


@EACH_NOTEBOOK
def test_the_title_says_the_minutes_of_the_notes(path):
    title = next(text for _, text, _ in cells(path))
    said = re.search(r"\*\*Minutes:\*\* (\d+)(?: to (\d+))?(?:, and (\d+) for the exercises?)?\.", title)
    least, most, exercises = (int(each or 0) for each in said.groups())
    assert least <= lesson_minutes(path) <= (most or least)
    assert exercises == exercise_minutes(path)
    shown = f"{least}–{most}" if most else f"{least}"
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| \[?{number(path)} · .* \| ([^|]*) \|$", text, re.M)
    assert row == shown


def only_frames(cell):
    """Whether a code cell asks by predict(), answers by seen(), or lists predictions(), and does no more."""
    if cell["cell_type"] != "code":
        return False
    shown = [ast.unparse(each) for each in ast.parse("".join(cell["source"])).body if isinstance(each, ast.Expr)]
    said = [each.partition("(")[0] for each in shown if not each.startswith(("claims.", "facts."))]
    return said in (["predict"], ["seen"], ["predictions"])


def cells_an_hour(cells, minutes):
    """How many cells a class meets in an hour.

    Notes and the cell for Colab are not shown, what 03 builds up step by step is one thing, and a question asked by
    predict() and a cell that does no more than answer it belong to the experiment between them, and the check of a
    repair to the program.
    """
    extra = ("colab", "ladder", "clinic-check")
    met = [cell for cell in cells if not (is_note(cell) or only_frames(cell) or any(has_tag(cell, t) for t in extra))]
    return len(met) / minutes * 60


@pytest.mark.parametrize("path", NOTEBOOKS[1:], ids=number)  # 00 is a tour, with a cell or two at each stop
def test_a_lesson_has_about_sixty_cells_an_hour(path):
    every = json.loads(path.read_bytes())["cells"]
    assert cells_an_hour(every, lesson_minutes(path) + exercise_minutes(path)) <= CELLS_AN_HOUR


def test_what_a_class_does_not_meet_is_not_counted():
    seen, note, step = {}, {"slideshow": {"slide_type": "notes"}}, {"tags": ["ladder"]}
    repair = {"tags": ["clinic-check"]}
    code = [{"cell_type": "code", "metadata": each, "source": "1"} for each in [seen] * 19 + [step] * 9 + [repair]]
    text = [{"cell_type": "markdown", "metadata": each} for each in [note] * 5 + [seen] * 13]
    asked = {"cell_type": "code", "metadata": {"tags": ["predict"]}, "source": "predict('a', 'A?', [1, 2])"}
    told = {"cell_type": "code", "metadata": {"tags": ["reveal"]}, "source": "best = 1\nseen('a', best, {2: 'No.'})"}
    drawn = told | {"source": "display(figure)\nseen('a', 1, {2: 'No.'})"}
    cells = [*code, drawn, *text, asked, told]
    assert cells_an_hour(cells, 30) == 66 > CELLS_AN_HOUR > cells_an_hour(cells[1:], 30)


# The plans


def planned(what):
    """The minutes that a row of a plan adds up; each is looked up in the notes, and a wrong one is an AssertionError.

    `01: 1 (5), part of 7, … (6), exercise 2 (12); 02b: Lab 2 (8)`: a section by its number or by the first word of its
    heading, in full; a part of one, or an exercise; `all` for a notebook without its exercises.
    """
    total = 0
    for lesson in what.split("; "):
        name, _, items = lesson.partition(": ")
        (path,) = [path for path in NOTEBOOKS if number(path) == name]
        parts = re.findall(r"\s*([^()]*?) \((\d+)\),?", items)
        assert "".join(f"{item} ({minutes})" for item, minutes in parts) == re.sub(r"\),\s*", ")", items), what
        for item, minutes in parts:
            assert fits(path, item, int(minutes)), f"{name}: {item} ({minutes})"
            total += int(minutes)
    return total


def fits(path, item, minutes):
    """Whether a plan gives an item the minutes that its notes say, or less for a part of it."""
    if item == "all":
        return minutes == lesson_minutes(path)
    part = item.removeprefix("part of ")
    kind = re.match(r"exercises?|Lab \d|\d+|\w+", part)[0]
    if kind == "exercise":
        return 0 < minutes <= exercise_minutes(path)
    if kind == "exercises":
        return minutes == exercise_minutes(path)
    for section in sections(path):
        if kind.startswith("Lab"):
            if any(kind in heading for heading in section.headings):
                return minutes in section.each
        elif re.match(rf"{kind}\b", section.heading):
            return 0 < minutes < section.minutes if part != item else minutes == section.minutes
    return False


def day_plans():
    text = GUIDE.read_text(encoding="utf-8")
    return [
        re.findall(r"^\| (\d+):(\d\d) \| (\d+) \| (\d*) ?\| (.*) \|", plan, re.M)
        for plan in re.findall(r"((?:^\| \d+:\d\d \| \d+ \| .*\|\n)+)", text, re.M)
    ]


def test_each_plan_of_a_day_adds_up():
    """A row's minutes lead to the time in the next row, and leave room for questions."""
    plans = day_plans()
    assert len(plans) == 2
    for rows in plans:
        starts = [60 * int(hour) + int(minute) for hour, minute, *_ in rows]
        ends = [start + int(row[2]) for start, row in zip(starts, rows, strict=True)]
        assert ends[:-1] == starts[1:]
        assert ends[-1] in (4 * 60, 17 * 60)
        for *_, there, used, what in rows:
            if used:
                assert planned(what) == int(used), what
                assert int(used) <= FULL * int(there), what
        assert [
            what for *_, used, what in rows if not used and not re.match("break|lunch|what each|questions", what)
        ] == []


def test_the_plan_of_the_sessions_adds_up():
    rows = re.findall(r"^\| (\d) \| (\d+) \| (.*?) \| (.*?) \| .* \|$", GUIDE.read_text(encoding="utf-8"), re.M)
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    for _, used, lessons, exercises in rows:
        assert planned(lessons) + planned(exercises) == int(used), lessons
        assert int(used) <= FULL * (3 * 60 - 15)


@pytest.mark.parametrize(
    "wrong",
    ["01: 1 (6)", "01: part of 7 (11)", "01: 77 (5)", "02a: Lab 2 (8)", "03: exercise 1 (81)", "03: exercises (79)"],
)
def test_a_wrong_plan_is_noticed(wrong):
    with pytest.raises(AssertionError):
        planned(wrong)


def titles_of(lesson, items):
    """Of the sections that a plan takes from a lesson."""
    (path,) = [path for path in NOTEBOOKS if number(path) == lesson]
    found = set()
    for item in re.findall(r"\s*([^()]*?) \(\d+\),?", items):
        kind = re.match(r"exercise|\d+|\w+", item.removeprefix("part of "))[0]
        with_it = re.search(r" with (\d+) and (\d+)$", item)
        for heading in (each.heading for each in sections(path)):
            named = any(re.match(rf"{each}\b", heading) for each in (kind, *(with_it.groups() if with_it else ())))
            if kind == "all" or named or (kind == "exercise" and "Exercise" in heading):
                found.add(heading)
    return found


def plans():
    """(title, lessons of its rows → titles of sections, the commands below it) for each plan."""
    text = GUIDE.read_text(encoding="utf-8")
    for plan in re.findall(r"^### (.*?)(?=^##)", text[: text.index("## In the room")] + "##", re.M | re.S):
        taken = {}
        rows = re.findall(r"^\|(?: [\d:]+ \|)+ (\d\d[a-d]?: .*)\|$", plan, re.M)
        for row in rows:
            cells = row.split(" | ")[:2]  # the last of a session is homework
            for lesson in (
                each for cell in cells for each in cell.strip().split("; ") if re.match(r"\d\d[a-d]?: ", each)
            ):
                name, _, items = lesson.partition(": ")
                taken.setdefault(name, set()).update(titles_of(name, items))
        yield (
            plan.splitlines()[0],
            taken,
            re.findall(r"^python3 workshop.py present (\w+)(?: --sections (\S+))?$", plan, re.M),
        )


def test_the_commands_below_a_plan_show_what_it_takes():
    met = list(plans())
    assert len(met) == 3
    for title, taken, commands in met:
        shown = {}
        for name, wanted in commands:
            (path,) = [path for path in NOTEBOOKS if number(path) == name]
            notebook = parts.read(path)
            of = parts.titles(notebook)
            found = {of[place] for place in parts.shown(notebook, wanted or None)} - {None}
            shown.setdefault(name, set()).update(found)
        assert taken.keys() == shown.keys(), title
        for name, sections_taken in taken.items():
            extra = {each for each in shown[name] - sections_taken if "Exercise" not in each and each != "Glossary"}
            assert (sections_taken - shown[name], extra) == (set(), set()), f"{title}, {name}"
