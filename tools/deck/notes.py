"""What an instructor needs at a slide, made from what the notebook holds: answers, sentences why, hints, goals.

The notes cell of a section is said where the section begins, and one with the tag `slide-note` with the cell before it.
"""

import ast
import html
import re

from nbformat import NotebookNode

from tools.deck.shown_code import without_proofs
from tools.minutes import SAID
from tools.notebooks import QUESTION, QUIZ, has_tag, is_note

LONGEST = 260  # characters of what is quoted
# The role of a block in deck.js → what to say of it, as Markdown; "": of the cell; "next": after it.
Said = dict[str, str]


def notes(notebook: NotebookNode) -> dict[str, Said]:
    """{id of a cell: what to say at the slides that show it}; what shows nothing has a note in vain."""
    cells, results, found = notebook.cells, _results(notebook), {}
    for place, cell in enumerate(cells):
        if is_note(cell):
            if has_tag(cell, "slide-note") and place:
                found.setdefault(cells[place - 1].id, {})[""] = cell.source
            continue
        later = [each for each in cells[place + 1 :] if not is_note(each)]
        if later and has_tag(later[0], "exercise-stub"):
            said = {"text": _exercise(later, _minutes(cells, place))}
        else:
            said = _of_code(cell, later, results) if cell.cell_type == "code" else _of_text(cell)
        said["next"] = _next(later)
        found[cell.id] = {role: text for role, text in said.items() if text}
    return found


def _of_text(cell: NotebookNode) -> Said:
    """What is new here, what a reading is to bring out, and what a folded answer says."""
    text, folded = _unfolded(cell.source)
    terms = re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", re.sub(r"\$[^$]*\$|`[^`]*`", "", text))
    new = f"New words: {', '.join(dict.fromkeys(terms))}." if terms else f"In short: {_first(text)}"
    ask = "Let pairs argue before you open" if has_tag(cell, "clinic") else "Let somebody answer before you open"
    return {
        "text": new,
        "saw": f"Let them say it first. What they should find: {_first(text)}",
        "card-block": "\n\n".join(f"{ask} *{title}*: {_first(told)}" for title, told in folded),
    }


def _of_code(cell: NotebookNode, later: list[NotebookNode], results: dict[str, str]) -> Said:
    """What to ask before each thing that the cell shows, and what it says."""
    said = {"code": _reading_code(cell), "lab": _lab(cell) if has_tag(cell, "lab") else ""}
    reading = next((each for each in later[:3] if each.cell_type == "markdown" and has_tag(each, "reveal")), None)
    read = f" The reading: {_first(reading.source)}" if reading else ""
    for output in cell.get("outputs", ()):
        shows, data = _shows(output), output.get("data", {})
        text = data.get("text/markdown", "")
        rows = [row for row in text.split("\n") if row.startswith("|")]
        if shows.get("role") in (QUESTION, QUIZ):
            said["text" if shows["role"] == QUIZ else "predict"] = _question(shows, text, results)
            said["code"] = ""  # that cell's code only asks
        elif shows.get("name"):
            measured = results[shows["name"]].split("\n")[0]
            said["saw"] = f"Before it comes: who said what? {measured} Let somebody who said otherwise tell why."
        elif len(rows) > 2:
            said["table"] = f"Read one row aloud, not all: {_row(rows)}.{read}"
        elif picture := _alt(output):
            said["figure"] = f"Ask what they see. It shows: {_first(picture)}{read}"
        elif printed := output.get("text") or data.get("text/plain"):
            first = printed.strip().split("\n")[0][:LONGEST]
            said.setdefault("text-output", f"It gives: {_code(first)}{read}")
    return said


def _question(shows: dict, text: str, results: dict[str, str]) -> str:
    """How to count the room; for the instructor alone, the answer and why each of the others is tempting."""
    number = len(shows["choices"])
    how = "Type each number that is said, then Enter."
    if number:
        how = f"Keys 1 to {number} count hands for A to {chr(64 + number)}."
    ask = "Wait ten seconds, then all hands at once."
    answers = results.get(shows["name"], "")
    if shows["role"] == QUIZ:
        answers = "\n".join(f"- *{choice}:* {told}" for choice, told in _unfolded(text)[1])
        ask = "A vote first, then one answer after the other."
    return f"{ask} {how}" + (f"\n\nFor you alone:\n\n{answers}" if answers else f" {_first(text)}")


def _results(notebook: NotebookNode) -> dict[str, str]:
    """{name of a prediction: what was measured and why each other answer is tempting, as Markdown}."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    told = {_shows(each)["name"]: each for each in outputs if _shows(each).get("role") == "result"}
    return {name: re.sub(r"^> ?", "", each["data"]["text/markdown"], flags=re.M) for name, each in told.items() if name}


def _shows(output: NotebookNode) -> dict:
    """What utils.predictions says of an output; {} of others."""
    return (output.get("metadata") or {}).get("workshop") or {}


def _exercise(later: list[NotebookNode], minutes: int) -> str:
    """How long it takes, and the hints of the solution."""
    check, solution = (
        next((each.source.strip() for each in later[1:3] if has_tag(each, tag)), "")
        for tag in ("exercise-check", "exercise-solution")
    )
    hints = [f"- {title}: {_first(told)}" for title, told in _unfolded(solution)[1] if title != "Solution"]
    judge = f" {_code(check)} judges." if check else ""
    return "\n".join([f"{minutes or 10} minutes, in pairs.{judge} Hints for who is stuck:", "", *hints])


def _minutes(cells: list[NotebookNode], place: int) -> int:
    """Those of a section's notes, shared by its exercises; 0 if they do not say."""
    ends = [i for i, each in enumerate(cells) if is_note(each) and not has_tag(each, "slide-note")]
    end = next((i for i in ends if i > place), len(cells))
    section = cells[max((i for i in ends if i < place), default=-1) + 1 : end + 1]
    said = SAID.findall(section[-1].source)
    return int(said[-1]) // sum(has_tag(each, "exercise-stub") for each in section) if said else 0


def _lab(cell: NotebookNode) -> str:
    """Minutes, and goals of the lab that the cell shows; for an offline deck, frames.py has put them below it."""
    shown = str([output.get("data", {}).get("text/html", "") for output in cell.get("outputs", ())])
    goals = "\n".join(f"- {goal}" for goal in re.findall(r"<div>[○✓] (.*?)</div>", shown))
    return f"Eight to ten minutes, in pairs. Stop when half the room has the second goal.\n\n{goals}".strip()


def _reading_code(cell: NotebookNode) -> str:
    """Where to begin in code that a room reads."""
    try:
        parts = ast.parse(cell.source).body
    except SyntaxError:  # a line of IPython's
        parts = []
    names = ", ".join(f"`{part.name}`" for part in parts if isinstance(part, ast.FunctionDef | ast.ClassDef))
    begin = f"Ask what {names} takes and gives" if names else f"Ask what {_last_line(cell)} will give"
    return f"{begin} before it is seen, then read from the top."


def _next(later: list[NotebookNode]) -> str:
    """A sentence on what the slides show next."""
    for cell in later:
        if (cell.metadata.get("slideshow") or {}).get("slide_type") == "skip" or not cell.source.strip():
            continue
        if cell.cell_type == "code":
            return f"Next: {_gives(cell)}"
        text, folded = _unfolded(cell.source)
        heading = re.search(r"^#+ +(.+)", text, re.M)
        return f"Next: *{heading[1] if heading else folded[0][0]}*." if heading or not text else f"Next: {_first(text)}"
    return "The lesson ends here."


def _gives(cell: NotebookNode) -> str:
    """What a cell of code shows, in a few words."""
    for output in cell.get("outputs", ()):
        text, picture = output.get("data", {}).get("text/markdown", ""), _alt(output)
        if _shows(output).get("role") in (QUESTION, QUIZ):
            asked = re.sub(r"^\*\*[^*]+:\*\*", "", text.split("\n")[0]).strip("* ")
            return f"the question *{asked}*"
        if picture:
            return "the lab" if has_tag(cell, "lab") else f"the figure *{_first(picture).rstrip('.')}*"
        if _shows(output).get("name"):
            return f"what was measured: {text.strip('> ').splitlines()[0].strip('*.')}"
        if text.startswith("|"):
            return f"a table of {', '.join(_cells(text.splitlines()[0])[:4])}"
    return f"what {_last_line(cell)} gives"


def _alt(output: NotebookNode) -> str:
    """What a picture shows, in words; "" if there is none."""
    found = re.search(r'<img\b[^>]*?\balt="([^"]+)"', output.get("data", {}).get("text/html", ""))
    return html.unescape(found[1]) if found else ""


def _last_line(cell: NotebookNode) -> str:
    return _code(without_proofs(cell.source).strip().split("\n")[-1].strip())


def _unfolded(source: str) -> tuple[str, list[tuple[str, str]]]:
    """(the text around what is folded, [(a summary, what it folds)])."""
    text, *pieces = re.split(r"<details><summary>(.*?)</summary>", source)
    pieces = [piece.replace("</details>", "").strip() for piece in pieces]
    return text, [*zip(pieces[::2], pieces[1::2], strict=True)]


def _row(rows: list[str]) -> str:
    """The first row of a table in Markdown, each cell behind its heading."""
    pairs = zip(_cells(rows[0]), _cells(rows[2]), strict=False)
    return "; ".join(f"{name} {value}".strip() for name, value in pairs)


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def _first(text: str) -> str:
    """The first sentence of a text in Markdown that says more than a bold word or two, without its heading."""
    text = re.sub(r"\$\$.*?\$\$|```.*?```", "…", text, flags=re.S)
    text = " ".join(re.sub(r"^(#+ .*|\*\*[^*]+\.\*\*|- )", "", text.strip(), flags=re.M).split())
    found = re.match(r".{20,}?[.?!](?=\s|$)", text)
    sentence = found[0] if found else text
    short = sentence[:LONGEST]
    while len(short) < len(sentence) and (len(short) == LONGEST or any(short.count(each) % 2 for each in "$`*")):
        short = short.rpartition(" ")[0]  # not within a formula or a name
    return short if short == sentence else f"{short} …"


def _code(text: str) -> str:
    """A line as code in Markdown."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"
