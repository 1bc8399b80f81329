"""What there is to do in each lesson, as the notebooks say themselves. Standard library only."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

# `**Minutes:** 30 to 45, and 20 for the exercises.` in any language: a word in bold opens the line, the numbers follow.
MINUTES = re.compile(
    r"^(?P<word>\*\*[^*\d]+\*\* )(?P<least>[1-9]\d*)(?:(?P<to>[^\d,.]+)(?P<most>\d+))?"
    r"(?:(?P<and>,[^\d.]*)(?P<extra>\d+)(?P<for>[^\d.]*))?\.",
    re.MULTILINE,
)
ASKS, CHECKS = re.compile(r"""\b(?:predict|quiz)\(\s*["']([^"']+)"""), re.compile(r"\b(check_\w+)\(")


@dataclass(frozen=True)
class Lesson:
    """A notebook and what a student does in it.

    number      such as "02a"
    aim         the first of its objectives
    minutes     of the lesson, the least and the most, without its exercises
    extra       minutes of the exercises; 0 where they are a part of the lesson
    questions   names of the predictions
    quizzes     names of the quick questions
    exercises   name of the check → title
    clinics     the same of the bug clinics
    """

    file: str
    number: str
    title: str
    aim: str
    minutes: tuple[int, int]
    extra: int
    questions: tuple[str, ...]
    quizzes: tuple[str, ...]
    exercises: dict[str, str]
    clinics: dict[str, str]


def lessons(folder: Path) -> list[Lesson]:
    """The lessons in this folder, in their order; what is damaged, and a copy under a dated name, is left out."""
    found = []
    for path in sorted(folder.glob("[0-9][0-9]*-*.ipynb")):
        try:
            if "." not in path.stem:
                found.append(_lesson(path))
        except (OSError, ValueError, LookupError, TypeError, AttributeError):  # also of a file that holds no notebook
            continue
    return found


def _lesson(path: Path) -> Lesson:
    heading, texts = "", []
    names, judges = {"predict": [], "quiz": []}, {"exercise-check": {}, "clinic-check": {}}
    for cell in json.loads(path.read_bytes())["cells"]:
        texts.append(text := "".join(cell["source"]))
        tags = cell["metadata"].get("tags", ())
        if cell["cell_type"] == "markdown" and (found := re.match(r"#+ (.*)", text)):
            heading = re.sub(r"^(\d+\. )?(Exercise( \d+)?: |Bug clinic: |(?=Bug clinic))", "", found[1].strip())
        for tag in names.keys() & tags:
            names[tag] += ASKS.findall(text)
        for tag in judges.keys() & tags:
            judges[tag].update(dict.fromkeys(CHECKS.findall(text), heading))
    least, most, extra = (int(each or 0) for each in MINUTES.search(texts[0]).group("least", "most", "extra"))
    number = path.name.partition("-")[0]
    title = texts[0].partition("\n")[0].removeprefix("# ").strip()
    aim = re.search(r"^- (.*?)[,.]?$", texts[0], re.M)
    asked = map(tuple, names.values())
    minutes = (least, most or least)
    return Lesson(path.name, number, title, aim[1] if aim else "", minutes, extra, *asked, *judges.values())
