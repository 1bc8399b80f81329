"""The teaching guide against the notebooks: links lead somewhere, minutes are those of the notes for the instructor."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.test_notebooks import LINK, dead

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "assets/teaching-guide.md"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]*.ipynb"))
# | [section](notebook#heading) | minutes |: bold where the course builds on it, ≈ where no note tells
ROW = re.compile(
    r"^\| \[[^|]*\]\(\.\./notebooks/([\w.-]+\.ipynb)(?:#([^|]*))?\) \| (≈ )?(?:\*\*)?(\d+)(?:\*\*)? \|$", re.M
)


def links(text):
    return [target or definition for _, target, definition in LINK.findall(text)]


def noted_minutes(path):
    """Heading of a section, as in a link → minutes: what its notes for the instructor say, each at its end."""
    minutes, section = {}, ""
    for cell in json.loads(path.read_bytes())["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            if heading := re.match(r"## (.*)", text):
                section = heading[1].strip().replace("`", "").replace(" ", "-")
            if "*For the instructor.*" in text and (said := re.findall(r"(\d+) minutes", text)):
                minutes[section] = minutes.get(section, 0) + int(said[-1])
    return minutes


def listed_minutes(text, notebook):
    rows = [row for row in ROW.findall(text) if row[0] == notebook]
    return {unquote(heading): int(minutes) for _, heading, about, minutes in rows if not about}


def test_every_link_of_the_guide_leads_somewhere():
    targets = links(GUIDE.read_text(encoding="utf-8"))
    assert len(targets) > 50
    assert [f"{each}: {problem}" for each in targets if (problem := dead(each, GUIDE, {}))] == []


def test_a_dead_link_is_noticed():
    assert dead("../notebooks/01-optimizer-concepts.ipynb#9.-Gone", GUIDE, {})
    assert dead("../notebooks/01-gone.ipynb", GUIDE, {})
    assert dead("#gone", GUIDE, {})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_the_minutes_are_those_of_the_notes(path):
    assert listed_minutes(GUIDE.read_text(encoding="utf-8"), path.name) == noted_minutes(path)


def test_the_sums_are_right():
    for table in re.split(r"\n\n", GUIDE.read_text(encoding="utf-8")):
        if together := re.search(r"^\| together \| (\d+) \|$", table, re.M):
            assert sum(int(minutes) for *_, minutes in ROW.findall(table)) == int(together[1]), table


def test_each_plan_adds_up():
    """A row's minutes lead to the time in the next row."""
    text = GUIDE.read_text(encoding="utf-8")
    plans = re.findall(r"((?:^\| \d+:\d\d \| \d+ \| .*\|\n)+)", text, re.M)
    assert len(plans) == 2
    for plan in plans:
        rows = re.findall(r"^\| (\d+):(\d\d) \| (\d+) \|", plan, re.M)
        starts = [60 * int(hour) + int(minute) for hour, minute, _ in rows]
        ends = [start + int(minutes) for start, (_, _, minutes) in zip(starts, rows, strict=True)]
        assert ends[:-1] == starts[1:]
        assert ends[-1] in (4 * 60, 17 * 60)
