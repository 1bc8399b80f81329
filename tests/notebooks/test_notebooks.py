"""The notebooks as files: what a reader, a presenter and nbval rely on. Each check is proved able to fail, below."""

import ast
import copy
import html
import json
import linecache
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import matplotlib
import pytest
import torch
from nbformat.validator import iter_validate
from nbval.plugin import find_comment_markers, find_metadata_tags

from tools import colab
from tools.deck.needed_cells import plain_python
from tools.notebooks import TAGS, is_note, is_still
from tools.refresh import ADDRESS, DATA_URI, MACHINE_PATH, output_texts
from utils.predictions.question import ELSEWHERE

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

ALT_CHARACTERS = 15
CODE_LINES, SETUP_LINES = 25, 30
TEXT_WORDS = 160
HINT_WORDS = 60
OUTPUT_BYTES, NOTEBOOK_BYTES = 400_000, 6_000_000
SLIDE_TYPES = {"slide", "subslide", "fragment", "skip", "notes", "-"}
EXERCISE_TAGS = ["exercise-stub", "exercise-check", "exercise-solution"]

FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*\n(.*?)^[ \t]*\1[ \t]*$", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
MATH = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)
HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)[ \t#]*$|^(?=\w)(.+)\n(=+|-+)[ \t]*$|<h([1-6])\b[^>]*>", re.MULTILINE)
IMAGE = re.compile(r"!\[([^\]]*)\]\(\s*<?([^)\s>]*)[^)]*\)")
LINK = re.compile(r"\[([^\[\]]*)\]\(\s*<?([^)\s>]+)[^)]*\)|^\[[^\]]+\]:[ \t]*<?([^\s>]+)", re.MULTILINE)
TAG = re.compile(r"""<(\w+)((?:[^>"']|"[^"]*"|'[^']*')*)>""")
PREDICTS = re.compile(
    r"^(?!\s*\d+\. ).*\*\*Predict\b", re.MULTILINE
)  # not where a list of how to work explains the word
REVEALS = re.compile(r"^\*\*What (you|to|we)\b", re.MULTILINE)
MAKES_A_WIDGET = re.compile(r"\blabs\.\w+\(|\bWidgetCheck\(|\bipywidgets\.\w")
ATTRIBUTE = re.compile(r"""([\w-]+)\s*=\s*("[^"]*"|'[^']*')""")

Notebook = dict
Check = Callable[[Notebook, Path], Iterator[str]]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Register a check: it yields one message, naming the cell, for each thing that is wrong."""
    CHECKS[function.__name__] = function
    return function


# ---- reading notebooks


def read(path: Path) -> Notebook:
    return json.loads(path.read_text(encoding="utf-8"))


def source(cell: dict) -> str:
    return "".join(cell["source"])


def tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def name(cell: dict) -> str:
    return f"cell {cell.get('id') or repr(source(cell)[:30])}"


def code_cells(notebook: Notebook) -> list[dict]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def text_cells(notebook: Notebook) -> list[dict]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]


def without_code(markdown: str) -> str:
    return INLINE_CODE.sub("", FENCE.sub("", markdown))


def elements(markup: str, tag: str) -> Iterator[dict[str, str]]:
    """The attributes of each HTML element of this name."""
    for found in TAG.finditer(markup):
        if found[1].lower() == tag:
            yield {key.lower(): html.unescape(value[1:-1]) for key, value in ATTRIBUTE.findall(found[2])}


def shown_markup(cell: dict) -> Iterator[str]:
    """What the cell shows as HTML or Markdown: the text of a Markdown cell, the rich outputs of a code cell."""
    if cell["cell_type"] == "markdown":
        yield without_code(source(cell))
    for output in cell.get("outputs", ()):
        for mime in ("text/html", "text/markdown"):
            if mime in output.get("data", {}):
                yield "".join(output["data"][mime])


def headings(markdown: str) -> Iterator[tuple[int, str]]:
    """(level, text) of each heading."""
    for found in HEADING.finditer(FENCE.sub("", markdown)):
        level = len(found[1]) if found[1] else int(found[5]) if found[5] else 1 + found[4].startswith("-")
        yield level, found[2] or found[3] or ""


def anchors(path: Path) -> set[str]:
    """The headings that a link may name after `#`, as JupyterLab (notebooks) and GitHub (.md) write them."""
    if path.suffix == ".ipynb":
        texts = [text for cell in text_cells(read(path)) for _, text in headings(source(cell))]
    else:
        texts = [text for _, text in headings(path.read_text(encoding="utf-8"))]
    plain = [LINK.sub(r"\1", text).replace("`", "").replace("*", "") for text in texts]
    if path.suffix == ".ipynb":
        return {text.replace(" ", "-") for text in plain}
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in plain}


# ---- the checks


@check
def valid_format(notebook: Notebook, path: Path) -> Iterator[str]:
    version = notebook.get("nbformat"), notebook.get("nbformat_minor", 0)
    if version[0] != 4 or version[1] < 5:
        yield f"format {version[0]}.{version[1]}, expected 4.5 or later"
    else:
        for error in iter_validate(notebook):
            yield f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"


@check
def executed_in_order(notebook: Notebook, path: Path) -> Iterator[str]:
    for count, cell in enumerate(code_cells(notebook), start=1):
        if cell.get("execution_count") != count:
            yield f"{name(cell)} was executed as {cell.get('execution_count')}, it is code cell {count}: refresh"


@check
def no_errors_and_no_stderr(notebook: Notebook, path: Path) -> Iterator[str]:
    for cell in code_cells(notebook):
        for output in cell["outputs"]:
            if output["output_type"] == "error" and "raises-exception" not in tags(cell):
                yield f"{name(cell)} stores the error {output['ename']}: {output['evalue']}"
            if output.get("name") == "stderr":
                yield f"{name(cell)} wrote to stderr: {''.join(output['text'])[:100]}"


@check
def ids_are_readable_and_unique(notebook: Notebook, path: Path) -> Iterator[str]:
    counts = Counter(cell.get("id") for cell in notebook["cells"])
    for id, count in counts.items():
        if count > 1:
            yield f"{count} cells have the id {id}"
        # JupyterLab names new cells by a random uuid or by eight hex digits.
        if not re.fullmatch(r"[a-z0-9-]{1,64}", id or "") or re.fullmatch(r"(?=.*\d)[0-9a-f]{8}(-[0-9a-f-]{27})?", id):
            yield f"the id {id} is not a readable one such as ravine-predict"


@check
def slide_types(notebook: Notebook, path: Path) -> Iterator[str]:
    for cell in notebook["cells"]:
        kind = cell["metadata"].get("slideshow", {}).get("slide_type")
        if kind not in SLIDE_TYPES:
            yield f"{name(cell)} has the slide type {kind}, expected one of {', '.join(sorted(SLIDE_TYPES))}"


@check
def heading_order(notebook: Notebook, path: Path) -> Iterator[str]:
    last = 0
    for cell in text_cells(notebook):
        for level, text in headings(source(cell)):
            if last == 0 and level > 1:
                yield f"{name(cell)}: the first heading ({text}) is not of level 1"
            elif last > 0 and level == 1:
                yield f"{name(cell)}: a second heading of level 1 ({text})"
            elif level > last + 1:
                yield f"{name(cell)}: level {level} ({text}) follows level {last}"
            last = level
    if last == 0:
        yield "no heading at all"


@check
def pictures_have_alt_text(notebook: Notebook, path: Path) -> Iterator[str]:
    for cell in notebook["cells"]:
        alts = [img.get("alt", "") for markup in shown_markup(cell) for img in elements(markup, "img")]
        if cell["cell_type"] == "markdown":
            alts += [alt for alt, _ in IMAGE.findall(without_code(source(cell)))]
        for alt in alts:
            if len(alt.strip()) < ALT_CHARACTERS:
                yield f"{name(cell)}: the alt text {alt!r} is shorter than {ALT_CHARACTERS} characters"
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            markup = "".join(data.get("text/html", ""))
            if any(mime.startswith("image/") for mime in data) and not any(elements(markup, "img")):
                yield f"{name(cell)} shows a bare picture: end the cell in utils.plots.picture()"


@check
def links_lead_somewhere(notebook: Notebook, path: Path) -> Iterator[str]:
    for cell in notebook["cells"]:
        for markup in shown_markup(cell):
            targets = [img.get("src", "") for img in elements(markup, "img")]
            targets += [a["href"] for a in elements(markup, "a") if "href" in a]
            text = without_code(markup) if cell["cell_type"] == "markdown" else ""
            targets += [target for _, target in IMAGE.findall(text)]
            targets += [target or definition for _, target, definition in LINK.findall(IMAGE.sub("image", text))]
            for target in targets:
                if problem := dead(target, path, cell):
                    yield f"{name(cell)}: {target[:100]}: {problem}"


def dead(target: str, path: Path, cell: dict) -> str | None:
    """Why a link in this notebook is dead; None when it is not (links that leave the project are not followed)."""
    if re.match(r"(https?|mailto|data):", target):
        return None
    if target.startswith("attachment:"):
        return None if unquote(target[11:]) in cell.get("attachments", {}) else "no such attachment"
    if re.match(r"/|\w+:", target):
        return "neither relative nor on the web"
    file, _, fragment = unquote(target).partition("#")
    where = path.parent / file if file else path
    if not where.exists():
        return "no such file"
    if fragment and fragment not in anchors(where):
        return "no such heading (JupyterLab: the text as it stands, `-` for each space)"
    return None


@check
def code_cells_are_short(notebook: Notebook, path: Path) -> Iterator[str]:
    for cell in code_cells(notebook):
        lines = sum(bool(line.strip()) for line in source(cell).splitlines())
        most = SETUP_LINES if "setup" in tags(cell) else CODE_LINES
        if lines > most:
            yield f"{name(cell)} has {lines} lines of code, at most {most}"


@check
def text_cells_are_short(notebook: Notebook, path: Path) -> Iterator[str]:
    for cell in text_cells(notebook):
        text = TAG.sub(" ", MATH.sub(" x ", FENCE.sub("", source(cell))))
        words = len(re.findall(r"\w[\w'’.,-]*", LINK.sub(r"\1", IMAGE.sub("", text))))
        if words > TEXT_WORDS:
            yield f"{name(cell)} has {words} words, at most {TEXT_WORDS}"


@check
def no_machine_in_it(notebook: Notebook, path: Path) -> Iterator[str]:
    for cell in notebook["cells"]:
        if found := MACHINE_PATH.search(DATA_URI.sub("", source(cell))):
            yield f"{name(cell)}: the source names a path of one machine: {found[0]}"
        for text in output_texts(cell):
            if found := MACHINE_PATH.search(text) or ADDRESS.search(text):
                yield f"{name(cell)}: the output belongs to one machine: {found[0]}"


@check
def no_widget_state(notebook: Notebook, path: Path) -> Iterator[str]:
    if "widgets" in notebook["metadata"]:
        yield "the metadata hold the state of widgets: refresh"


@check
def sizes(notebook: Notebook, path: Path) -> Iterator[str]:
    for cell in code_cells(notebook):
        for output in cell["outputs"]:
            if (size := len(json.dumps(output))) > OUTPUT_BYTES:
                yield f"{name(cell)} has an output of {size:,} bytes, at most {OUTPUT_BYTES:,}"
    if (size := len(json.dumps(notebook))) > NOTEBOOK_BYTES:
        yield f"the notebook has {size:,} bytes, at most {NOTEBOOK_BYTES:,}"


@check
def kernel_is_python3(notebook: Notebook, path: Path) -> Iterator[str]:
    kernel = notebook["metadata"].get("kernelspec", {}).get("name")
    if kernel != "python3":
        yield f"the kernel is {kernel}, expected python3"


@check
def set_up_comes_first(notebook: Notebook, path: Path) -> Iterator[str]:
    first = next((cell for cell in code_cells(notebook) if "colab" not in tags(cell)), None)
    if first not in notebook["cells"][:4]:
        yield "no code among the first four cells"
    elif "setup" not in tags(first):
        yield f"{name(first)} is the first code cell and is not tagged setup"


@check
def fetched_on_colab(notebook: Notebook, path: Path) -> Iterator[str]:
    fetches = [cell | {"source": source(cell)} for cell in notebook["cells"] if "colab" in tags(cell)]
    wanted = colab.cell(colab.address(), count=1)
    if fetches != [wanted | {"source": source(wanted)}] or "colab" not in tags(code_cells(notebook)[0]):
        yield "the first code cell is not the one that fetches the workshop on Colab: python -m tools.colab"


@check
def tags_are_known(notebook: Notebook, path: Path) -> Iterator[str]:
    for cell in notebook["cells"]:
        for tag in tags(cell):
            if tag not in TAGS and not tag.startswith("nbval-"):  # those are the business of exemptions_have_a_reason
                yield f"{name(cell)} has the tag {tag}, which tools/notebooks.py does not explain"


@check
def predictions_and_answers_are_tagged(notebook: Notebook, path: Path) -> Iterator[str]:
    between = {id(cell) for cell in before_they_are_seen(notebook)}
    for cell in notebook["cells"]:
        text = "" if cell["cell_type"] == "code" or is_note(cell) else without_code(source(cell))
        for tag, pattern in (("predict", PREDICTS), ("reveal", REVEALS)):
            by_code = bool(calls(cell, {"predict": "predict", "reveal": "seen"}[tag]))
            by_code |= tag == "reveal" and id(cell) in between and gives_away(cell)
            reads_so, tagged = by_code or bool(pattern.search(text)), tag in tags(cell)
            if reads_so and not tagged:
                yield f"{name(cell)} has the words of a {tag} cell, or calls its function, and lacks its tag"
            elif tagged and not reads_so:
                yield f"{name(cell)} is tagged {tag}, has none of its words and does not call its function"


@check
def predictions_are_seen(notebook: Notebook, path: Path) -> Iterator[str]:
    """Each predict() is a cell of its own, and one seen() of its name comes later; predictions() ends such a lesson."""
    asked, answered, listed = {}, {}, False
    for place, cell in enumerate(notebook["cells"]):
        for call in calls(cell, "predict"):
            if len(ast.parse(plain_python(source(cell))).body) > 1:
                yield f"{name(cell)}: a cell that predicts calls predict() and no more"
            asked.setdefault(literal(call), []).append(place)
        for call in calls(cell, "seen"):
            answered.setdefault(literal(call), []).append(place)
        listed |= bool(calls(cell, "predictions"))
        for output in cell.get("outputs", []):
            if ELSEWHERE in "".join(output.get("data", {}).get("text/markdown", "")):
                yield f"{name(cell)}: seen() has no sentence for one of the answers that are wrong on this page"
    for prediction in {**asked, **answered}:
        questions, results = asked.get(prediction, []), answered.get(prediction, [])
        if prediction is None:
            yield "a prediction's name is written out, and comes first"
        elif (len(questions), len(results)) != (1, 1):
            yield f"the prediction {prediction} is asked {len(questions)} times and seen {len(results)} times, not once"
        elif results < questions:
            yield f"the prediction {prediction} is seen before it is asked"
    if asked and not listed:
        yield "predictions() lists what was predicted at the end"


@check
def quizzes_are_tagged(notebook: Notebook, path: Path) -> Iterator[str]:
    """Slides leave the code of a tagged cell out, and a student's copy folds it: it holds the answer."""
    for cell in notebook["cells"]:
        if bool(calls(cell, "quiz")) != ("quiz" in tags(cell)):
            yield f"{name(cell)}: a cell that calls quiz() has the tag quiz, and no other has"
        elif "quiz" in tags(cell):
            before = ast.parse(source(cell)).body[:-1]
            if len(calls(cell, "quiz")) > 1 or not all(isinstance(each, ast.ImportFrom) for each in before):
                yield f"{name(cell)}: a cell that calls quiz() asks one question and does no more"


def before_they_are_seen(notebook: Notebook) -> Iterator[dict]:
    """The cells between a prediction and its answer."""
    asked = set()
    for cell in notebook["cells"]:
        asked -= {literal(call) for call in calls(cell, "seen")}
        if asked:
            yield cell
        asked |= {literal(call) for call in calls(cell, "predict")}


VERDICTS = {"better", "worse", "no difference", "undecided", "exact", "holds", "wrong", "hardly"}


def gives_away(cell: dict) -> bool:
    """Whether the code says in words what will be seen: the title of a figure, or a verdict that is written out."""
    if cell["cell_type"] != "code":
        return False
    for node in ast.walk(ast.parse(plain_python(source(cell)))):
        if not isinstance(node, ast.Call):
            continue
        titles = [each.value for each in node.keywords if each.arg in ("title", "suptitle")]
        name = getattr(node.func, "attr", "")
        titles += node.args[:1] if name in ("set_title", "suptitle") else []
        if any(isinstance(title, ast.Constant | ast.JoinedStr) for title in titles):
            return True
        if name in ("append", "extend") and getattr(node.func.value, "id", "") in ("claims", "facts"):
            if any(isinstance(part, ast.Constant) and part.value in VERDICTS for part in ast.walk(node)):
                return True
    return False


def calls(cell: dict, function: str) -> list[ast.Call]:
    """The calls of a function by its bare name in a code cell."""
    if cell["cell_type"] != "code" or f"{function}(" not in source(cell):
        return []
    nodes = ast.walk(ast.parse(plain_python(source(cell))))
    return [each for each in nodes if isinstance(each, ast.Call) and getattr(each.func, "id", "") == function]


def literal(call: ast.Call) -> str | None:
    """The first argument, if it is a text that is written out."""
    return call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None


@check
def labs_are_tagged(notebook: Notebook, path: Path) -> Iterator[str]:
    for cell in notebook["cells"]:
        outputs = cell.get("outputs", [])
        drawn = [place for place, output in enumerate(outputs) if "lab-still" in still_markup(output)]
        marked = [place for place, output in enumerate(outputs) if is_still(output)]
        if drawn != marked:
            yield f"{name(cell)}: outputs {drawn} are a lab's picture, the metadata of {marked} say so: refresh"
        if bool(drawn) != ("lab" in tags(cell)) or len(drawn) > 1:
            yield f"{name(cell)} shows the pictures of {len(drawn)} labs; one lab, and the tag lab, go together"
        widget = cell["cell_type"] == "code" and MAKES_A_WIDGET.search(source(cell))
        if bool(widget) != bool({"lab", "live"} & set(tags(cell))):
            yield f"{name(cell)}: a cell that makes a widget is tagged lab or live, and no other is"


def still_markup(output: dict) -> str:
    """The class attributes of the pictures in an output."""
    markup = "".join(output.get("data", {}).get("text/html", ""))
    return " ".join(img.get("class", "") for img in elements(markup, "img"))


@check
def no_trailing_semicolon(notebook: Notebook, path: Path) -> Iterator[str]:
    for cell in code_cells(notebook):
        if source(cell).rstrip().endswith(";"):
            yield f"{name(cell)} ends in `;`: nbval would compare what JupyterLab hides"


@check
def exemptions_have_a_reason(notebook: Notebook, path: Path) -> Iterator[str]:
    for cell in code_cells(notebook):
        options = dict(find_metadata_tags(cell["metadata"])) | dict(find_comment_markers(source(cell)))
        reason = re.search(r"^# varies: \S.{5,}$", source(cell), re.MULTILINE)
        if options.get("skip"):
            yield f"{name(cell)} is never run by nbval"
        elif options.get("check") is False and not reason:
            yield f"{name(cell)}: nbval ignores its output, but no line `# varies: <reason>` says why"
        elif reason and options.get("check") is not False:
            yield f"{name(cell)} says that its output varies and is not tagged nbval-ignore-output"


@check
def exercises_are_complete(notebook: Notebook, path: Path) -> Iterator[str]:
    parts: dict[str | None, list[str]] = {}
    for cell in notebook["cells"]:
        roles = [tag for tag in tags(cell) if tag in EXERCISE_TAGS]
        exercise = cell["metadata"].get("exercise")
        if bool(roles) != bool(exercise):
            yield f"{name(cell)} needs both the metadata `exercise` and one of the tags {', '.join(EXERCISE_TAGS)}"
            continue
        for role in roles:
            parts.setdefault(exercise, []).append(role)
            if cell["cell_type"] != ("markdown" if role == "exercise-solution" else "code"):
                yield f"{name(cell)} is tagged {role} and is a {cell['cell_type']} cell"
            elif role == "exercise-solution" and solution_code(cell) is None:
                yield f"{name(cell)} needs <details>, <summary> and one ```python block"
            elif role == "exercise-solution" and (problem := wrong_hints(cell)):
                yield f"{name(cell)}: {problem}"
    for exercise, roles in parts.items():
        if roles != EXERCISE_TAGS:
            yield f"exercise {exercise} has the cells {', '.join(roles)}; expected {', '.join(EXERCISE_TAGS)}, in order"


@check
def clinics_are_complete(notebook: Notebook, path: Path) -> Iterator[str]:
    """A program, its check, and the diagnosis, folded."""
    kinds = [
        "check" if "clinic-check" in tags(cell) else
        None if "clinic" not in tags(cell) else
        "program" if cell["cell_type"] == "code" else
        "diagnosis" if source(cell).startswith("<details><summary>Diagnosis</summary>") else None
        for cell in notebook["cells"]
    ]  # fmt: skip
    for place, kind in enumerate(kinds):
        if kind == "check" and kinds[place - 1 : place + 2] != ["program", "check", "diagnosis"]:
            yield f"{name(notebook['cells'][place])} stands between a clinic's program and its diagnosis"
        if kind == "diagnosis" and kinds[place - 1] != "check":
            yield f"{name(notebook['cells'][place])}: before a diagnosis a student can have a repair checked"


def solution_code(cell: dict) -> str | None:
    """The code of a solution cell; None when it is not a `<details>` with one Python block."""
    blocks = re.findall(r"^```python\n(.*?)^```", source(cell), re.MULTILINE | re.DOTALL)
    parts = ("<details>", "<summary>", "</summary>", "</details>")
    return blocks[0] if len(blocks) == 1 and all(part in source(cell) for part in parts) else None


HINTS = re.compile(
    "".join(rf"<details><summary>Hint {n}: {what}</summary>\n\n(.+?)\n\n" for n, what in enumerate(
        ("where to look", "the idea", "the line"), start=1
    )) + "</details></details></details>\n\n<details><summary>Solution</summary>",
    re.DOTALL,
)  # fmt: skip


def wrong_hints(cell: dict) -> str | None:
    """What is wrong with the hints before a solution: three, each folded into the one before it, the last with code."""
    hints = HINTS.match(source(cell))
    if not hints:
        return "three hints come before the solution, each folded into the one before it"
    if long := [hint for hint in hints.groups() if len(hint.split()) > HINT_WORDS]:
        return f"a hint has one or two sentences, at most {HINT_WORDS} words: {long[0]}"
    if "`" not in hints[3]:
        return "the third hint shows no code"
    lines = [line.strip() for line in solution_code(cell).splitlines() if not re.match("def|class", line)]
    return None if any(line not in hints[3] for line in lines) else "the third hint is the whole solution"


# ---- the notebooks


def test_there_are_notebooks():
    assert NOTEBOOKS, "no notebook in notebooks/: nothing below was tested"


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path, check):
    problems = list(check(read(path), path))
    assert not problems, "\n".join([f"{path.name}:", *problems])


def test_no_two_lessons_give_a_prediction_the_same_name():
    cells = [cell for path in NOTEBOOKS for cell in read(path)["cells"]]
    asked = {kind: [literal(call) for cell in cells for call in calls(cell, kind)] for kind in ("predict", "quiz")}
    assert all(asked.values()) and len({*asked["predict"], *asked["quiz"]}) == sum(map(len, asked.values()))


def exercises(path: Path) -> list[str]:
    return list(
        dict.fromkeys(cell["metadata"]["exercise"] for cell in read(path)["cells"] if "exercise" in cell["metadata"])
    )


def exercise_problems(notebook: Notebook, exercise: str) -> list[str]:
    """Run set-up, answer and check without Jupyter: the stub must fail its check in words, the solution must pass."""
    from utils.checks import Verdict

    cells = {
        tag: cell for cell in notebook["cells"] if cell["metadata"].get("exercise") == exercise for tag in tags(cell)
    }
    if missing := [tag for tag in EXERCISE_TAGS if tag not in cells]:
        return [f"no cell is tagged {', '.join(missing)}"]
    setup = [source(cell) for cell in notebook["cells"] if "setup" in tags(cell)]
    problems = []
    for who, answer in (
        ("stub", source(cells["exercise-stub"])),
        ("solution", solution_code(cells["exercise-solution"])),
    ):
        try:
            verdict = value_of([*setup, answer or "", source(cells["exercise-check"])])
        except Exception as error:
            problems.append(f"with the {who}, a cell raises {type(error).__name__}: {error}")
            continue
        if not isinstance(verdict, Verdict):
            problems.append(f"the check ends in {verdict!r}, expected a Verdict")
        elif bool(verdict) != (who == "solution"):
            problems.append(f"the {who} {'passes' if verdict else 'fails'} the check: {verdict.message}")
        elif not verdict.message.strip() or re.search(r"Traceback|\b\w+(Error|Exception)\b", verdict.message):
            problems.append(f"for the {who}, the check says {verdict.message!r}: no words for a student")
    return problems


def value_of(cells: list[str]):
    """Run these sources in one fresh namespace; the value of the last expression of the last one, else None.

    As in Jupyter, the sources can be read back: checks look for a `...` that is left in an answer.
    """
    namespace = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        name, tree, value = f"<cell {number}>", ast.parse(cell), None
        linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
        last = tree.body.pop() if number == len(cells) - 1 and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec"), namespace)
        if last:
            value = eval(compile(ast.Expression(last.value), name, "eval"), namespace)
    return value


@pytest.fixture
def as_in_a_notebook(monkeypatch):
    """The notebooks' folder as the current one; what cells set for the whole process is set back."""
    monkeypatch.chdir(ROOT / "notebooks")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    with matplotlib.rc_context(), torch.random.fork_rng():
        yield
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("path", "exercise"), [(path, exercise) for path in NOTEBOOKS for exercise in exercises(path)])
def test_exercise(path, exercise, as_in_a_notebook):
    problems = exercise_problems(read(path), exercise)
    assert not problems, "\n".join([f"{path.name}, exercise {exercise}:", *problems])


@pytest.mark.parametrize("command", [["check"], ["format", "--check", "--diff"]], ids=lambda command: command[0])
def test_ruff(command):
    run = subprocess.run([sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


# ---- the checks themselves: a good notebook, and bad ones that differ from it in one thing


def html_output(markup: str) -> dict:
    return {"output_type": "display_data", "metadata": {}, "data": {"text/html": markup, "text/plain": "a picture"}}


def markdown_output(text: str) -> dict:
    return {"output_type": "display_data", "metadata": {}, "data": {"text/markdown": text, "text/plain": "an answer"}}


STILL_ROLE = {"workshop": {"role": "lab-still"}}


SOLUTION = ["</details></details></details>", "", "<details><summary>Solution</summary>", ""]


def good() -> Notebook:
    """A small notebook that passes every check."""
    img = '<img alt="a loss that falls &gt; slowly" src="data:image/png;base64,iVBORw0KGgo/home/x=">'
    answer = "```python\ndef half(x):\n    return x / 2\n```"
    hints = [f"<details><summary>Hint {k}</summary>\n\nLook.\n" for k in ("1: where to look", "2: the idea")]
    hints += ["<details><summary>Hint 3: the line</summary>\n\n`return x / …`\n"]
    sources = [
        ("title", "markdown", "# A title\n\n[End](#The-end), [`b`](b.ipynb#Part-of-b), ![a ravine from above](p.png)"),
        ("imports", "code", "import math"),
        ("idea", "markdown", "## An idea\n\n```sh\n# [no](link)\n```\nWhy `x[0](y)`? <https://pytorch.org>"),
        ("idea-plot", "code", "math.pi"),
        ("idea-time", "code", "# varies: it measures a time\n1"),
        ("ask", "markdown", "1. **Predict.** So we ask.\n\nHere is `**Predict`. **Predict:** what will come?"),
        ("bet", "code", "predict('bet', 'Which?', [1, 2])"),
        ("bet-won", "code", "seen('bet', 1, {2: 'It looks it.'})"),
        ("lab", "code", "labs.find_edge()"),
        ("saw", "markdown", "**What you saw.** It came."),
        ("half-stub", "code", "def half(x): ..."),
        ("half-check", "code", "from utils.checks import Verdict\n\nVerdict(half(4) == 2, 'half of 4 is 2')"),
        ("half-solution", "markdown", "\n".join([*hints, *SOLUTION, answer, "</details>"])),
        ("sick", "code", "def third(x):\n    return x / 2"),
        ("sick-check", "code", "third(6) == 2"),
        ("sick-diagnosis", "markdown", "<details><summary>Diagnosis</summary>\n\nIt halves.\n\n</details>"),
        ("ask-half", "code", "from utils.predictions import quiz\n\nquiz('q', 'Half of 4?', {'2': 'Yes.'}, right='2')"),
        ("bets", "code", "predictions()"),
        ("end", "markdown", "### The `end`\n\n[the guide](README.md#a-guide-really)"),
    ]  # fmt: skip
    cells = []
    for id, kind, text in sources:
        cell = {"id": id, "cell_type": kind, "metadata": {"slideshow": {"slide_type": "-"}}, "source": text}
        if kind == "code":
            cell |= {"execution_count": len([c for c in cells if c["cell_type"] == "code"]) + 1, "outputs": []}
        if id.startswith("half-"):
            cell["metadata"] |= {"exercise": "half", "tags": [f"exercise-{id[5:]}"]}
        cells.append(cell)
    cells[1]["metadata"]["tags"] = ["setup"]
    cells[3]["outputs"] = [html_output(f"<p>{img}</p>")]
    cells[4]["metadata"]["tags"] = ["nbval-ignore-output"]
    for cell in cells:
        if cell["id"].startswith("sick"):
            cell["metadata"]["tags"] = ["clinic-check" if cell["id"] == "sick-check" else "clinic"]
    for place, tag in ((5, "predict"), (6, "predict"), (7, "reveal"), (8, "lab"), (9, "reveal"), (-3, "quiz")):
        cells[place]["metadata"]["tags"] = [tag]
    still = html_output(img.replace("<img", '<img class="lab-still lab-still-edge"'))
    cells[8]["outputs"] = [still | {"metadata": STILL_ROLE}, html_output("the sliders")]
    cells.insert(1, colab.cell(colab.address()))
    renumber({"cells": cells})
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}


SLIDE = {"slideshow": {"slide_type": "-"}}


def by_id(notebook: Notebook, id: str) -> dict:
    return next(cell for cell in notebook["cells"] if cell["id"] == id)


def with_source(id: str, change: Callable[[str], str]) -> Callable[[Notebook], None]:
    def mutate(notebook: Notebook) -> None:
        by_id(notebook, id)["source"] = change(by_id(notebook, id)["source"])

    return mutate


def plus(id: str, text: str) -> Callable[[Notebook], None]:
    return with_source(id, lambda source: source + text)


def told_early(code: str) -> Callable[[Notebook], None]:
    """A cell of this code between the prediction and what was seen."""

    def mutate(notebook: Notebook) -> None:
        cell = by_id(notebook, "idea-plot")
        cells = notebook["cells"]
        cells.insert(cells.index(by_id(notebook, "bet-won")), cell | {"id": "bet-plot", "source": code, "outputs": []})
        renumber(notebook)

    return mutate


def with_output(**output) -> Callable[[Notebook], None]:
    """Add an output to the cell `idea-plot`."""
    kind = {"metadata": {}, "output_type": "display_data"} if "data" in output else {}
    return lambda notebook: by_id(notebook, "idea-plot")["outputs"].append(kind | output)


def with_metadata(id: str, **metadata) -> Callable[[Notebook], None]:
    return lambda notebook: by_id(notebook, id)["metadata"].update(metadata)


def with_id(id: str, new: str) -> Callable[[Notebook], None]:
    return lambda notebook: by_id(notebook, id).update(id=new)


def renumber(notebook: Notebook) -> None:
    for count, cell in enumerate(code_cells(notebook), start=1):
        cell["execution_count"] = count


def without(id: str) -> Callable[[Notebook], None]:
    def mutate(notebook: Notebook) -> None:
        notebook["cells"].remove(by_id(notebook, id))
        renumber(notebook)

    return mutate


def swapped(one: str, other: str) -> Callable[[Notebook], None]:
    def mutate(notebook: Notebook) -> None:
        cells = notebook["cells"]
        i, j = cells.index(by_id(notebook, one)), cells.index(by_id(notebook, other))
        cells[i], cells[j] = cells[j], cells[i]
        renumber(notebook)

    return mutate


def top(**values) -> Callable[[Notebook], None]:
    return lambda notebook: notebook.update(values)


ERROR = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
STREAM = {"output_type": "stream", "name": "stdout"}
PICTURE = "iVBORw0KGgo="

BAD: list[tuple[str, Callable[[Notebook], None]]] = [
    ("valid_format", top(nbformat_minor=4)),
    ("valid_format", top(unexpected=1)),
    ("executed_in_order", lambda notebook: by_id(notebook, "half-stub").update(execution_count=None)),
    ("executed_in_order", lambda notebook: by_id(notebook, "idea-plot").update(execution_count=7)),
    ("no_errors_and_no_stderr", with_output(**ERROR)),
    ("no_errors_and_no_stderr", with_output(**STREAM | {"name": "stderr"}, text=["UserWarning: no\n"])),
    ("ids_are_readable_and_unique", with_id("idea-plot", "Idea_Plot")),
    ("ids_are_readable_and_unique", with_id("idea-plot", "idea-time")),
    ("ids_are_readable_and_unique", with_id("idea-plot", "3f9a01bc")),
    ("ids_are_readable_and_unique", with_id("idea-plot", "0b5f7c1e-9d0a-4c53-8f53-2f1f6d3f9a01")),
    ("slide_types", with_metadata("idea", slideshow={})),
    ("slide_types", with_metadata("idea", slideshow={"slide_type": "page"})),
    ("heading_order", with_source("title", lambda source: source.replace("# A title", "A title"))),
    ("heading_order", plus("idea", "\n# Another title")),
    ("heading_order", plus("idea", "\n\nAnother title\n===\n")),
    ("heading_order", plus("idea", "\n#### Too deep")),
    ("heading_order", plus("idea", "\n<h4>Too deep</h4>")),
    ("pictures_have_alt_text", plus("idea", "![](p.png)")),
    ("pictures_have_alt_text", plus("idea", "![a plot](p.png)")),
    ("pictures_have_alt_text", plus("idea", '<img src="p.png">')),
    ("pictures_have_alt_text", with_output(data={"text/html": ['<img alt="a plot" ', f'src="data:,{PICTURE}">']})),
    ("pictures_have_alt_text", with_output(data={"image/png": PICTURE, "text/plain": "<Figure>"})),
    ("links_lead_somewhere", plus("idea", "[gone](gone.ipynb)")),
    ("links_lead_somewhere", plus("idea", "[gone](#Gone)")),
    ("links_lead_somewhere", plus("idea", "[gone](b.ipynb#part-of-b)")),
    ("links_lead_somewhere", plus("idea", "[gone](README.md#A-guide,-really)")),
    ("links_lead_somewhere", plus("idea", "[![a picture that exists](p.png)](gone.png)")),
    ("links_lead_somewhere", plus("idea", "\n\n[gone]: gone.md\n")),
    ("links_lead_somewhere", plus("idea", "![a picture that is gone](gone.png)")),
    ("links_lead_somewhere", plus("idea", "![a picture that is gone](attachment:gone.png)")),
    ("links_lead_somewhere", plus("idea", "<a href='gone.html'>x</a>")),
    ("links_lead_somewhere", plus("idea", "[served elsewhere](/lab/tree/b.ipynb)")),
    ("links_lead_somewhere", with_output(data={"text/html": '<a href="gone.html">x</a>'})),
    ("code_cells_are_short", with_source("idea-plot", lambda source: "\n".join(["math.pi"] * 26))),
    ("code_cells_are_short", plus("imports", "\nmath.pi" * 30)),
    ("text_cells_are_short", plus("idea", " word" * 161)),
    ("no_machine_in_it", plus("idea-plot", "\nopen('/tmp/x')")),
    ("no_machine_in_it", plus("idea", "It is in C:\\Users\\me.")),
    ("no_machine_in_it", with_output(**STREAM, text=["in /home/me/", "x\n"])),
    ("no_machine_in_it", with_output(data={"text/plain": ["lib/python3/site-packages/torch"]})),
    ("no_machine_in_it", with_output(data={"text/plain": "<object object at 0x7f5e14c0a2b0>"})),
    ("no_widget_state", lambda notebook: notebook["metadata"].update(widgets={})),
    ("sizes", with_output(**STREAM, text="x" * 400_000)),
    ("sizes", lambda notebook: by_id(notebook, "idea-plot").update(outputs=[STREAM | {"text": "x" * 390_000}] * 16)),
    ("kernel_is_python3", top(metadata={})),
    ("kernel_is_python3", top(metadata={"kernelspec": {"name": "conda-env-x", "display_name": "x"}})),
    ("set_up_comes_first", with_metadata("imports", tags=[])),
    ("fetched_on_colab", with_source("colab", lambda source: [line.replace("-owner-", "else") for line in source])),
    ("fetched_on_colab", with_metadata("colab", tags=["colab"], jupyter={})),
    ("fetched_on_colab", without("colab")),
    ("fetched_on_colab", swapped("colab", "imports")),
    ("set_up_comes_first", lambda notebook: notebook["cells"].__setitem__(slice(1, 1), [
        by_id(notebook, "title") | {"id": f"prose-{i}", "source": "Prose."} for i in range(3)
    ])),
    ("tags_are_known", with_metadata("idea", tags=["prediction"])),
    ("predictions_and_answers_are_tagged", with_metadata("ask", tags=[])),
    ("predictions_and_answers_are_tagged", with_metadata("saw", tags=[])),
    ("predictions_and_answers_are_tagged", with_metadata("ask", tags=["predict", "reveal"])),
    ("predictions_and_answers_are_tagged", with_metadata("idea", tags=["predict"])),
    ("predictions_and_answers_are_tagged", with_metadata("idea-plot", tags=["reveal"])),
    ("predictions_and_answers_are_tagged", plus("idea", "\n\n**What to take with you.** Much.")),
    ("predictions_and_answers_are_tagged", plus("idea", "\n\nMore of it. **Predict:** how much?")),
    ("predictions_and_answers_are_tagged", with_metadata("ask", slideshow={"slide_type": "notes"})),
    ("predictions_and_answers_are_tagged", with_metadata("bet", tags=[])),
    ("predictions_and_answers_are_tagged", with_metadata("bet-won", tags=["predict", "reveal"])),
    ("predictions_and_answers_are_tagged", with_metadata("bet-won", tags=[])),
    ("predictions_and_answers_are_tagged", told_early("plots.loss_curves(traces, title='It falls')")),
    ("predictions_and_answers_are_tagged", told_early("ax.set_title('It falls')")),
    ("predictions_and_answers_are_tagged", told_early("claims.append(['It falls', 'better', '3'])")),
    ("predictions_are_seen", plus("bet", "\nx = 1")),
    ("predictions_are_seen", plus("bet-won", "\nseen('bet', 1, {2: 'It does.'})")),
    ("predictions_are_seen", plus("bet-won", "\nseen('other', 1, {2: 'It does.'})")),
    ("predictions_are_seen", lambda notebook: by_id(notebook, "bet-won").update(source="1", metadata=SLIDE)),
    ("predictions_are_seen", with_source("bet-won", lambda source: source.replace("'bet'", "bet"))),
    ("predictions_are_seen", with_source("bets", lambda source: "1")),
    ("predictions_are_seen", swapped("bet", "bet-won")),
    ("predictions_are_seen", lambda notebook: by_id(notebook, "bet-won").update(outputs=[markdown_output(ELSEWHERE)])),
    ("quizzes_are_tagged", with_metadata("ask-half", tags=[])),
    ("quizzes_are_tagged", with_metadata("idea-plot", tags=["quiz"])),
    ("quizzes_are_tagged", plus("ask-half", "\nquiz('r', 'And of 6?', {'3': 'Yes.'}, right='3')")),
    ("quizzes_are_tagged", with_source("ask-half", lambda source: f"math.pi\n{source}")),
    ("labs_are_tagged", with_metadata("lab", tags=["live"])),
    ("labs_are_tagged", with_metadata("lab", tags=[])),
    ("labs_are_tagged", with_metadata("idea-plot", tags=["lab"])),
    ("labs_are_tagged", with_metadata("idea-plot", tags=["live"])),
    ("labs_are_tagged", plus("idea-plot", "\nmachine.WidgetCheck()")),
    ("labs_are_tagged", lambda notebook: by_id(notebook, "lab")["outputs"][0].update(metadata={})),
    ("labs_are_tagged", lambda notebook: by_id(notebook, "lab")["outputs"][1].update(metadata=STILL_ROLE)),
    ("labs_are_tagged", lambda notebook: by_id(notebook, "lab")["outputs"].pop(0)),
    ("labs_are_tagged", lambda notebook: by_id(notebook, "lab").update(outputs=by_id(notebook, "lab")["outputs"] * 2)),
    ("no_trailing_semicolon", plus("idea-plot", ";\n")),
    ("exemptions_have_a_reason", with_metadata("idea-plot", tags=["nbval-ignore-output"])),
    ("exemptions_have_a_reason", plus("idea-plot", "\n# NBVAL_IGNORE_OUTPUT")),
    ("exemptions_have_a_reason", with_metadata("idea-time", tags=["nbval-skip"])),
    ("exemptions_have_a_reason", with_metadata("idea-time", tags=[])),
    ("clinics_are_complete", without("sick")),
    ("clinics_are_complete", without("sick-check")),
    ("clinics_are_complete", without("sick-diagnosis")),
    ("exercises_are_complete", without("half-check")),
    ("exercises_are_complete", without("half-solution")),
    ("exercises_are_complete", with_metadata("half-check", exercise="third")),
    ("exercises_are_complete", with_metadata("half-check", exercise=None)),
    ("exercises_are_complete", with_metadata("half-check", tags=[])),
    ("exercises_are_complete", with_metadata("half-check", tags=["exercise-solution"])),
    ("exercises_are_complete", with_source("half-solution", lambda source: source.replace("<summary>", ""))),
    ("exercises_are_complete", with_source("half-solution", lambda source: source.replace("Hint 2", "Hint 3"))),
    ("exercises_are_complete", with_source("half-solution", lambda source: source.replace("\n\n<details>", "\n"))),
    ("exercises_are_complete", with_source("half-solution", lambda source: source.replace("Look.", "Look. " * 61))),
    ("exercises_are_complete", with_source("half-solution", lambda source: source.replace("`return x / …`", "Halve."))),
    ("exercises_are_complete", with_source("half-solution", lambda source: source.replace("x / …`", "x / 2`"))),
    ("exercises_are_complete", plus("half-solution", "\n```python\n1\n```")),
]  # fmt: skip


@pytest.fixture
def beside(tmp_path) -> Path:
    """Where the small notebooks lie: with a picture, another notebook and a Markdown file to link to."""
    (tmp_path / "p.png").write_bytes(b"")
    (tmp_path / "README.md").write_text("# A guide, really\n")
    other = {"cells": [{"cell_type": "markdown", "metadata": {}, "source": ["# B\n", "## *Part* of b"]}]}
    (tmp_path / "b.ipynb").write_text(json.dumps(other))
    return tmp_path / "a.ipynb"


def failing(notebook: Notebook, path: Path) -> dict[str, list[str]]:
    path.write_text(json.dumps(notebook))
    messages = {title: list(check(copy.deepcopy(notebook), path)) for title, check in CHECKS.items()}
    return {title: found for title, found in messages.items() if found}


def test_a_good_notebook_passes_every_check(beside):
    assert failing(good(), beside) == {}


@pytest.mark.parametrize(("expected", "mutate"), BAD, ids=[f"{i}-{title}" for i, (title, _) in enumerate(BAD)])
def test_a_bad_notebook_fails_its_check_and_no_other(beside, expected, mutate):
    notebook = good()
    mutate(notebook)
    assert list(failing(notebook, beside)) == [expected]


def test_every_check_is_shown_to_fail():
    assert {title for title, _ in BAD} == set(CHECKS)


def test_a_message_names_the_cell(beside):
    notebook = good()
    plus("idea", "[gone](gone.ipynb)")(notebook)
    assert failing(notebook, beside) == {"links_lead_somewhere": ["cell idea: gone.ipynb: no such file"]}


def test_a_good_exercise_passes():
    assert exercise_problems(good(), "half") == []


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (
            with_source("half-stub", lambda source: "def half(x): return x / 2"),
            "the stub passes the check: half of 4 is 2",
        ),
        (with_source("half-solution", lambda source: source.replace("x / 2", "x / 3")), "the solution fails the check"),
        (with_source("half-check", lambda source: "half(4) == 2"), "the check ends in False, expected a Verdict"),
        (with_source("half-check", lambda source: "half(4)\nx = 1"), "the check ends in None, expected a Verdict"),
        (with_source("half-check", lambda source: f"half(4) + 0\n{source}"), "with the stub, a cell raises TypeError"),
        (with_source("half-check", lambda source: source.replace("half of 4 is 2", " ")), "no words for a student"),
        (with_source("half-check", lambda source: source.replace("half of 4 is 2", "TypeError: x")), "no words"),
        (without("half-solution"), "no cell is tagged exercise-solution"),
        (without("half-check"), "no cell is tagged exercise-check"),
        (with_source("imports", lambda source: "%matplotlib inline"), "with the stub, a cell raises SyntaxError"),
    ],
)
def test_a_bad_exercise_is_noticed(mutate, message):
    notebook = good()
    mutate(notebook)
    assert message in exercise_problems(notebook, "half")[0]
