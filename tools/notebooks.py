"""What every tool knows of the lessons: how to find one by its number, and what the tags of its cells mean.

Standard library only: the launcher looks for a lesson before anything is installed. Notebooks, cells and outputs are
plain dictionaries or nbformat's nodes; both will do.
"""

import re
from collections.abc import Iterable
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
TEMPLATE = Path("assets") / "new-lesson.ipynb"  # in the folder of the workshop: what a new lesson is made of
PATTERN = "[0-9][0-9]*-*.ipynb"

# A cell's role is a tag; no tool reads it from prose, markup or code. tests/notebooks hold every notebook to them.
TAGS = {
    "colab": "fetches the workshop on Google Colab and does nothing elsewhere",
    "setup": "imports and settings, which every other cell may use",
    "predict": "asks for an answer, in text or by predict(); from the first one on, stored outputs give answers away",
    "reveal": "tells what was seen, in text or by seen(): a student's copy folds it until it is wanted",
    "quiz": "asks a question of knowledge by quiz(): its code, which answers it, is folded, on a slide left out",
    "code": "its code is the lesson: slides show it, however long, in parts",
    "lab": "shows a lab; its stored output is the lab's still picture",
    "live": "runs for a live deck, too, although it shows no lab",
    "claim": "measures a claim, or is needed to: it runs with any `base_seed`",
    "ladder": "one of the optimizers that 03 builds up step by step, or a tool for them: lent as well",
    "lent": "defines what other sections use, too: lend() gives it to one that starts without this one",
    "clinic": "a short program with a fault, or what is said of it",
    "clinic-check": "judges a repair of the program before it; the diagnosis follows",
    "exercise-stub": "where the student writes; the cell's metadata name the `exercise`",
    "exercise-check": "judges what the student wrote",
    "exercise-solution": "the solution, folded",
    "extra": "notes whose minutes are counted apart: those of exercises",
    "slide-note": "a note that is said with the cell before it, not with its whole section",
    "cheatsheet": "a box of the printable page; the first one is its heading",
    "nbval-ignore-output": "its output varies from machine to machine",
    "raises-exception": "ends in an error on purpose",
}
# An output's role stands in its metadata: {"workshop": {"role": …}}. utils.labs.shell and utils.predictions write it.
STILL = "lab-still"  # the picture of a lab, for a page without a kernel
QUESTION = "question"  # what predict() asks; what seen() shows is a "result"
QUIZ = "quiz"  # what quiz() asks


class UnknownLesson(LookupError):
    """No lesson has this number; the message is one line that lists the numbers there are."""


def lessons(folder: Path = NOTEBOOKS) -> list[Path]:
    """The notebooks of the workshop in `folder`, in the order of the lessons."""
    return sorted(folder.glob(PATTERN))


def name_of(lesson: Path) -> str:
    """What a command calls it: the number of a lesson, the name of another notebook's file."""
    return number_of(lesson) if lesson.match(PATTERN) else lesson.name


def number_of(lesson: Path) -> str:
    """`02a` of `02a-momentum.ipynb`."""
    return lesson.name.partition("-")[0]


def find_all(numbers: Iterable[str] = (), folder: Path = NOTEBOOKS) -> list[Path]:
    """The lessons with these numbers, each once and in order; without a number all of them.

    A number means the lesson with all its parts: 2 and 02 are 02a to 02d, while 2b and 02b are 02b alone. The path of
    a lesson's own file, which a git hook passes, means that lesson.
    Raises UnknownLesson if there is no lesson with one of the numbers, or none at all.
    """
    there, wanted = lessons(folder), list(numbers)
    unknown = [each for each in wanted if not any(_is_named(lesson, each) for lesson in there)]
    if unknown or not there:
        names = ", ".join(f"`{each}`" for each in unknown) or "at all"
        raise UnknownLesson(f"no notebook {names}; there are: {', '.join(map(number_of, there)) or 'none'}")
    return [lesson for lesson in there if not wanted or any(_is_named(lesson, each) for each in wanted)]


def find(wanted: str, folder: Path = NOTEBOOKS) -> Path:
    """The lesson with this number, or its first part: 2 is 02a. Raises UnknownLesson as `find_all` does."""
    return find_all([wanted], folder)[0]


def find_any(wanted: Iterable[str], folder: Path = NOTEBOOKS) -> list[Path]:
    """As `find_all`, and any notebook by its path. Raises UnknownLesson if there is no such file, too."""
    words = list(wanted)
    files = [Path(each).resolve() for each in words if each.endswith(".ipynb")]
    for file in files:
        if not file.is_file():
            raise UnknownLesson(f"there is no file {file}")
    numbers = [each for each in words if not each.endswith(".ipynb")]
    return [*(find_all(numbers, folder) if numbers or not files else ()), *files]


def _is_named(lesson: Path, wanted: str) -> bool:
    (digits, part), found = _split(number_of(lesson)), _split(wanted)
    if found is None:
        return lesson.resolve() == Path(wanted).resolve()  # a copy has the same name and is another file
    return found[0] == digits and found[1] in ("", part)


def _split(number: str) -> tuple[int, str] | None:
    found = re.fullmatch(r"([0-9]+)([a-z]?)", number.strip().lower())
    return found and (int(found[1]), found[2])


def has_tag(cell: dict, tag: str) -> bool:
    """Whether the cell has this tag, one of TAGS. Raises KeyError for any other: a slip would be False everywhere."""
    if tag not in TAGS:
        raise KeyError(f"no cell has the tag {tag!r}; there are: {', '.join(TAGS)}")
    return tag in ((cell.get("metadata") or {}).get("tags") or ())


def is_note(cell: dict) -> bool:
    """Whether the cell is for the instructor: its slide type, which Jupyter's own property inspector sets, is notes."""
    match cell:
        case {"metadata": {"slideshow": {"slide_type": "notes"}}}:
            return True
    return False


def is_still(output: dict) -> bool:
    """Whether an output of a code cell is the still picture of a lab."""
    return _role(output) == STILL


def is_question(output: dict) -> bool:
    """Whether an output of a code cell is a question: of a prediction, or of a quiz."""
    return _role(output) in (QUESTION, QUIZ)


def _role(output: dict) -> str | None:
    match output:
        case {"metadata": {"workshop": {"role": role}}}:
            return role
    return None
