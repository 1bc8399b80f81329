"""What there is to do in each lesson, as the notebooks say themselves. Standard library only."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

MINUTES = re.compile(r"\*\*Minutes:\*\* (\d+)(?: to (\d+))?(?:, and (\d+) for the exercises?)?")
ASKS, CHECKS = re.compile(r"""\bpredict\(\s*["']([^"']+)"""), re.compile(r"\b(check_\w+)\(")


@dataclass(frozen=True)
class Lesson:
    """A notebook and what a student does in it.

    number      such as "02a"
    minutes     of the lesson, the least and the most, without its exercises
    exercises   name of the check → title
    extra       minutes of the exercises; 0 where they are a part of the lesson
    questions   names of the predictions
    """

    file: str
    number: str
    title: str
    minutes: tuple[int, int]
    extra: int
    questions: tuple[str, ...]
    exercises: dict[str, str]


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
    heading, questions, exercises = "", [], {}
    cells = json.loads(path.read_bytes())["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    for cell, text in zip(cells, texts, strict=True):
        tags = cell["metadata"].get("tags", ())
        if cell["cell_type"] == "markdown" and (found := re.match(r"#+ (.*)", text)):
            heading = re.sub(r"^(\d+\. )?Exercise( \d+)?: ", "", found[1].strip())
        elif "predict" in tags:
            questions += ASKS.findall(text)
        elif "exercise-check" in tags:
            exercises.update(dict.fromkeys(CHECKS.findall(text), heading))
    least, most, extra = (int(each or 0) for each in MINUTES.search(texts[0]).groups())
    number = path.name.partition("-")[0]
    title = texts[0].partition("\n")[0].removeprefix("# ").strip()
    return Lesson(path.name, number, title, (least, most or least), extra, tuple(questions), exercises)
