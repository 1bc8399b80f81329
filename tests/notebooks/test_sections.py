"""Every section and every exercise starts from the set-up alone: whoever comes back runs the set-up, and works on."""

import re
from collections.abc import Iterator

import nbformat
import pytest
from nbformat import NotebookNode, v4

from tools.deck.needed_cells import names
from tools.notebooks import has_tag, lessons, number_of

LESSONS = {number_of(lesson): lesson for lesson in lessons()}


def parts(notebook: NotebookNode) -> dict[str, list[NotebookNode]]:
    """The code cells under each heading of level 2, and under "" those before the first one."""
    found, place = {"": []}, ""
    for cell in notebook.cells:
        heading = re.search(r"^## (.+)", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if heading:
            found[place := heading[1]] = []
        if cell.cell_type == "code":
            found[place].append(cell)
    return found


def exercises(notebook: NotebookNode) -> dict[str, list[NotebookNode]]:
    """The code cells of each exercise: what the student writes, and what judges it."""
    found = {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and "exercise" in cell.metadata:
            found.setdefault(cell.metadata.exercise, []).append(cell)
    return found


def missing(cells: list[NotebookNode], given: frozenset[str]) -> Iterator[str]:
    """What the cells use without having it. A function may use what a later cell defines: it is not called before."""
    bound, used = set(given), [(cell.id, names(cell.source)) for cell in cells]
    for id, found in used:
        yield from (f"cell {id} needs `{name}`" for name in sorted(found.needed - bound))
        bound |= found.bound
    for id, found in used:
        yield from (f"cell {id} needs `{name}`" for name in sorted(found.called - bound))


def problems(notebook: NotebookNode) -> Iterator[str]:
    """What keeps a part of the notebook from being run after the set-up alone, as if the parts before it had run."""
    setup, *sections = parts(notebook).items()
    given = frozenset().union(*(names(cell.source).bound for cell in setup[1]))
    for title, cells in [*sections, *exercises(notebook).items()]:
        yield from (f"{title}: {what}" for what in missing(cells, given))
    for title, cells in sections:
        for cell in cells:
            if has_tag(cell, "setup"):
                yield f"{title}: cell {cell.id} is tagged setup and stands behind the first heading"
            # Another section would then see a value that depends on what was run before it. What is lent may: the
            # set-up gives it to those who begin further down, and here it is built.
            again = given & names(cell.source).bound
            if again and not (has_tag(cell, "ladder") or has_tag(cell, "lent")):
                yield f"{title}: cell {cell.id} gives a new meaning to what the set-up defines: {', '.join(again)}"


@pytest.mark.parametrize("number", LESSONS)
def test_every_section_and_every_exercise_starts_from_the_set_up(number):
    assert list(problems(nbformat.read(LESSONS[number], as_version=4))) == []


def lesson(*, second: str, tags: tuple[str, ...] = (), **metadata: str) -> NotebookNode:
    """A set-up that defines `x`, a section that defines `y`, and one with this cell."""
    cells = [v4.new_code_cell("x = 1", id="setup", metadata={"tags": ["setup"]}), v4.new_markdown_cell("## 1. One")]
    cells += [v4.new_code_cell("y = x", id="one"), v4.new_markdown_cell("Read this.\n\n## 2. Two")]
    cells += [v4.new_code_cell("z = x", id="mine"), v4.new_code_cell(second, id="two")]
    cells[-1].metadata = NotebookNode(tags=[*tags], **metadata)
    return v4.new_notebook(cells=cells)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lesson(second="print(x, z)"), None),
        (lesson(second="y = z\ny"), None),
        (lesson(second="print(y)"), "2. Two: cell two needs `y`"),
        (lesson(second="def f():\n    return y"), "2. Two: cell two needs `y`"),
        (lesson(second="def f():\n    return u\n\n\nu = f"), None),
        (lesson(second="def answer(): ...", exercise="three"), None),
        (lesson(second="check(answer, z)", exercise="three"), "three: cell two needs `answer`"),
        (lesson(second="print(z)", exercise="three"), "three: cell two needs `z`"),
        (lesson(second="x = 2"), "2. Two: cell two gives a new meaning to what the set-up defines: x"),
        (lesson(second="def x(): ...", tags=("ladder",)), None),
        (lesson(second="def x(): ...", tags=("lent",)), None),
        (lesson(second="w = 1", tags=("setup",)), "2. Two: cell two is tagged setup and stands behind"),
    ],
)
def test_a_section_that_builds_on_another_is_noticed(made, said):
    found = list(problems(made))
    assert found == [] if said is None else any(each.startswith(said) for each in found)
