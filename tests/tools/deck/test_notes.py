"""What the instructor says at each slide, from the notebook alone; test_slides.py sees it on the slides."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools.deck.notes import notes
from tools.notebooks import lessons


def text(source, id, slide="-", *tags):
    return new_markdown_cell(source, id=id, metadata={"slideshow": {"slide_type": slide}, "tags": [*tags]})


def code(source, id, *outputs, slide="-", tags=()):
    metadata = {"slideshow": {"slide_type": slide}, "tags": [*tags]}
    return new_code_cell(source, id=id, outputs=list(outputs), metadata=metadata)


def shows(markdown, **workshop):
    return new_output("display_data", data={"text/markdown": markdown}, metadata={"workshop": workshop})


ASKED = shows("**Predict:** Which?\n\n- 0.1\n- 0.2", role="question", name="best", kind="one", choices=["0.1", "0.2"])
TOLD = shows("> **Measured: 0.2.**\n>\n> - *0.1:* It looks safe.", role="result", name="best")
FIGURE = new_output("display_data", data={"text/html": '<img alt="0.2 ends lowest &amp; first. The rest." src="x">'})
FOLDED = """**Why?**

<details><summary>yes</summary>✓ It is so.</details>
<details><summary>no</summary>✗ Not so.</details>"""
VOTED = shows(FOLDED, role="quiz", name="why", kind="one", choices=["yes", "no"])
HINTS = """<details><summary>Hint 1: where</summary>

The row before says where to look. And here.

<details><summary>Hint 2: the line</summary>

`x`.

</details></details>

<details><summary>Solution</summary>

`f = 1`

</details>"""
TABLE = shows("| lr | loss |\n|----|------|\n| 0.1 | 3 |")
LAB = new_output("display_data", data={"text/html": '<img alt="A lab."><div><div>○ Win by 5 %.</div></div>'})
CELLS = [
    text("# A lesson", "title", "slide"),
    text("## 1. One\n\nThe *edge* is near. It is steep.", "one", "slide"),
    code("predict()", "asks", ASKED, tags=["predict"]),
    code("draw()\nassert 1", "figure", FIGURE, TOLD, tags=["reveal"]),
    text("**What you saw.** The second one ends lowest. Why?", "saw", "fragment", "reveal"),
    text("Say it slowly.", "own", "notes", "slide-note"),
    text("> *For the instructor.* 5 minutes.", "general", "notes"),
    text("## 2. Exercises", "exercises", "slide"),
    text("### Exercise 1", "statement", "subslide"),
    code("def f(): ...", "stub", tags=["exercise-stub"]),
    code("check(f)", "check", slide="skip", tags=["exercise-check"]),
    text(HINTS, "solution", "skip", "exercise-solution"),
    text("### Exercise 2", "other", "subslide"),
    code("def g(): ...", "stub-2", tags=["exercise-stub"]),
    text("> *For the instructor.* 30 minutes.", "exercise-notes", "notes"),
    code("lab", "lab", LAB, tags=["lab"]),
    code("table()", "table", TABLE),
    code("quiz()", "vote", VOTED, slide="subslide", tags=["quiz"]),
]


@pytest.fixture(scope="module")
def said():
    return notes(new_notebook(cells=CELLS))


@pytest.mark.parametrize(
    ("cell", "role", "parts"),
    [
        ("one", "text", ["New words: edge."]),
        ("one", "next", ["the question *Which?*"]),
        ("asks", "predict", ["Keys 1 to 2 count hands for A to B", "**Measured: 0.2.**", "- *0.1:* It looks safe."]),
        ("asks", "next", ["the figure *0.2 ends lowest & first*"]),
        ("figure", "figure", ["0.2 ends lowest & first.", "The reading: The second one ends lowest."]),
        ("figure", "saw", ["who said what", "**Measured: 0.2.**"]),
        ("figure", "code", ["`draw()`"]),  # not the line that proves it
        ("saw", "saw", ["What they should find: The second one ends lowest."]),
        ("saw", "", ["Say it slowly."]),
        ("saw", "next", ["*2. Exercises*"]),
        (
            "statement",
            "text",
            [
                "15 minutes",
                "`check(f)` judges",
                "- Hint 1: where: The row before says where to look.\n- Hint 2: the line: `x`.",
            ],
        ),
        ("stub", "code", ["what `f` takes and gives"]),
        ("stub", "next", ["*Exercise 2*"]),  # check and solution are on no slide
        ("lab", "lab", ["ten minutes", "- Win by 5 %."]),
        ("lab", "next", ["a table of lr, loss"]),
        ("table", "table", ["lr 0.1; loss 3"]),
        ("vote", "text", ["A vote first", "- *yes:* ✓ It is so.\n- *no:* ✗ Not so."]),
        ("vote", "next", ["The lesson ends here."]),
    ],
)
def test_each_thing_on_a_slide_has_a_note_of_its_own(said, cell, role, parts):
    assert [part for part in parts if part not in said[cell][role]] == []


def test_a_note_is_no_slide_and_the_solution_stays_with_who_asks(said):
    assert not {"own", "general", "exercise-notes"} & said.keys()
    assert "f = 1" not in said["statement"]["text"]


def test_what_is_long_is_cut_but_not_within_a_formula():
    long = "word " * 48 + "$a + b + c + d + e + f + g + h$ and more words to come."
    said = notes(new_notebook(cells=[text(long, "long")]))["long"]["text"]
    assert said.endswith("word …") and len(said) < 280


@pytest.mark.parametrize("path", lessons(), ids=lambda path: path.stem)
def test_who_asks_is_told_the_answer_and_why_each_other_one_tempts(path):
    notebook = nbformat.read(path, as_version=4)
    said, asked = notes(notebook), 0
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            shown = output.get("metadata", {}).get("workshop", {})
            if shown.get("role") in ("question", "quiz"):
                asked += 1
                note = said[cell.id]["text" if shown["role"] == "quiz" else "predict"]
                assert "For you alone:" in note
                assert note.count("\n- ") >= max(2, len(shown["choices"]) - 1)
    assert asked or path.stem.startswith("00")
