"""Bring the minutes in line after a section was added, dropped, moved or got other minutes: `python -m tools.minutes`.

The instructor's notes say them. From there they go into the titles of the lessons, the table in README.md and those in
assets/teaching-guide.md. What somebody wrote there by hand stays: names of rows, bold ones, plans. What only a person
can mend, a plan or a link, `workshop.py test -- tests/notebooks` then names.
"""

import argparse
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from tools.notebooks import has_tag, is_note, lessons
from utils.internals.files import replace_whole
from utils.progress.lessons import MINUTES as TITLE

ROOT = Path(__file__).resolve().parents[1]
README, GUIDE = "README.md", "assets/teaching-guide.md"
STEP = 15  # minutes between the least and the most that a title says
# The unit's sign, or a word that begins as it does in most languages that have Latin letters; deck.js knows it, too.
SAID = re.compile(r"(\d+)\s*min(?:\b|ut)", re.IGNORECASE)
TABLE = re.compile(r"^\| \[\w+\]\(\.\./notebooks/([\w.-]+\.ipynb)\) \| minutes \|\n(?:\|.*\|\n)+\n?", re.MULTILINE)
ROW = re.compile(r"^\| \[(.*)\]\(\.\./notebooks/[\w.-]+#(.*)\) \| (?:\+ )?(\**)\d", re.MULTILINE)
LISTED = re.compile(r"^\| \[[^|]*\]\(notebooks/([\w.-]+\.ipynb)\) \|.*\| [\d–]+ \|\n", re.MULTILINE)


@dataclass
class Section:
    """A section of a lesson: its heading, all headings in it, its notes, and whether its minutes are counted apart."""

    heading: str
    headings: list[str]
    notes: list[str] = field(default_factory=list)
    extra: bool = False

    @property
    def each(self) -> list[int]:
        """The minutes that each of its notes says, at its end."""
        said = [SAID.findall(note) for note in self.notes]
        return [int(minutes[-1]) for minutes in said if minutes]

    @property
    def minutes(self) -> int:
        """Of the whole section."""
        return sum(self.each)

    @property
    def anchor(self) -> str:
        """The heading as JupyterLab writes it behind `#`."""
        return self.heading.replace("`", "").replace(" ", "-")


def sections(cells: list[dict]) -> list[Section]:
    """The sections of a notebook, in order."""
    found: list[Section] = []
    for cell in cells:
        text = "".join(cell["source"])
        if cell["cell_type"] != "markdown":
            continue
        if heading := re.match(r"## (.*)", text):
            found.append(Section(heading[1].strip(), [heading[1]]))
        elif found and (heading := re.match(r"### (.*)", text)):
            found[-1].headings.append(heading[1])
        if found and is_note(cell) and not has_tag(cell, "slide-note"):
            found[-1].notes.append(text)
            found[-1].extra |= has_tag(cell, "extra")
    return found


def total(every: list[Section], *, extra: bool) -> int:
    """Minutes of a lesson, of its exercises alone or without them."""
    return sum(each.minutes for each in every if each.extra == extra)


def title(text: str, every: list[Section]) -> str:
    """The title of a lesson with the minutes of its notes; a range that still holds them stays, and so do its words."""
    minutes, exercises = total(every, extra=False), total(every, extra=True)

    def said(found: re.Match) -> str:
        least, most = int(found["least"]), int(found["most"] or found["least"])
        if not least <= minutes <= most:
            least, most = minutes // STEP * STEP or minutes, -(-minutes // STEP) * STEP if minutes >= STEP else minutes
        more = f"{found['and'] or ', + '}{exercises}{found['for'] or ''}" if exercises else ""
        return f"{found['word']}{span(least, most, found['to'] or '–')}{more}."

    return TITLE.sub(said, text, count=1)


def span(least: int, most: int, between: str) -> str:
    """`75 to 90`, or one number where both are the same."""
    return f"{least}{between}{most}" if most > least else f"{least}"


def guide(text: str, there: dict[str, list[Section]]) -> str:
    """The guide with a table for each lesson, by its file's name, and for no other."""
    tables = list(TABLE.finditer(text))
    rows = {(table[1], unquote(row[2])): row for table in tables for row in ROW.finditer(table[0])}

    def row(file: str, section: Section) -> str:
        old = rows.get((file, section.anchor))
        name, bold = (old[1], old[3]) if old else (section.heading, "")
        minutes = f"+ {section.minutes}" if section.extra else f"{bold}{section.minutes}{bold}"
        return f"| [{name}](../notebooks/{file}#{quote(section.anchor, safe='-.,:?()~')}) | {minutes} |"

    made = []
    for file, every in there.items():
        head = f"| [{file.partition('-')[0]}](../notebooks/{file}) | minutes |\n|---|---|"
        shown = [[row(file, each) for each in every if each.minutes and each.extra == extra] for extra in (False, True)]
        made.append("\n".join([head, *shown[0], f"| together | {total(every, extra=False)} |", *shown[1]]) + "\n")
    return text[: tables[0].start()] + "\n".join(made) + "\n" + text[tables[-1].end() :]


def readme(text: str, titles: dict[str, str]) -> str:
    """The README with a row for each lesson, by its file's name, and no other; a new one says its first aim."""
    listed = list(LISTED.finditer(text))
    rows, made = {found[1]: found[0] for found in listed}, []
    for file, words in titles.items():
        name, aim = re.match(r"# (.*)", words), re.search(r"^- (.*?)[,.]?$", words, re.MULTILINE)
        least, most = TITLE.search(words).group("least", "most")
        row = rows.get(file, f"| [{name[1]}](notebooks/{file}) | {aim[1] if aim else ''} | 0 |\n")
        made.append(re.sub(r"[\d–]+ \|\n$", f"{span(int(least), int(most or least), '–')} |\n", row))
    return text[: listed[0].start()] + "".join(made) + text[listed[-1].end() :]


def main(arguments: list[str] | None = None, *, root: Path = ROOT) -> int:
    """Bring all in line and name the files that were changed; exit code 1 for a lesson whose title says no minutes."""
    argparse.ArgumentParser(prog="workshop.py minutes", description=(__doc__ or "").partition("\n")[0]).parse_args(
        arguments
    )
    books = {path: json.loads(path.read_text(encoding="utf-8")) for path in lessons(root / "notebooks")}
    every, titles, silent = {}, {}, []
    for path, book in books.items():
        first = book["cells"][0]
        every[path.name] = sections(book["cells"])
        titles[path.name] = title("".join(first["source"]), every[path.name])
        silent += [path.name] * (not TITLE.search(titles[path.name]))
        first["source"] = titles[path.name].splitlines(keepends=True)
    if silent:
        print(f"{silent[0]}: its first cell says no minutes, such as `**Minutes:** 30 to 45.`", file=sys.stderr)
        return 1
    new = {path: json.dumps(book, indent=1, ensure_ascii=False) + "\n" for path, book in books.items()}
    new[root / README] = readme((root / README).read_text(encoding="utf-8"), titles)
    new[root / GUIDE] = guide((root / GUIDE).read_text(encoding="utf-8"), every)
    changed = [path for path, text in new.items() if path.read_text(encoding="utf-8") != text]
    for path in changed:
        replace_whole(new[path].encode(), path)
    names = ", ".join(str(path.relative_to(root)) for path in changed)
    print(f"Changed: {names}." if names else "All minutes are in line.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
