"""The part of a notebook that a deck shows: sections, by number or words. What they build on runs all the same."""

import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools.deck.needed_cells import RUN_AGAIN, live_cells, needed_cells
from tools.notebooks import has_tag

HEADING = re.compile(r"^## +(.+)", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


class UnknownSection(ValueError):
    """No section has this number or begins with these words; the message is one line that lists the sections."""


def read(path: Path) -> NotebookNode:
    """The notebook, each cell with an id. Raises ValueError for a file that is no notebook."""
    try:
        return nbformat.v4.upgrade(nbformat.read(path, as_version=4))
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, AttributeError, KeyError, UnicodeDecodeError):
        raise ValueError(f"{path.name} is no notebook that Jupyter could open") from None


def titles(notebook: NotebookNode) -> list[str | None]:
    """For every cell the title of the section in which it stands, None before the first one."""
    found: list[str | None] = []
    for cell in notebook.cells:
        heading = HEADING.search(FENCE.sub("", cell.source)) if cell.cell_type == "markdown" else None
        found.append(heading[1].strip() if heading else found[-1] if found else None)
    return found


def shown(notebook: NotebookNode, sections: str | None = None) -> list[int]:
    """Places of the cells of these sections, and of those before the first one; without sections of all cells.

    sections   numbers or words with which a title begins, such as "1,4,bug-clinic"

    Raises UnknownSection.
    """
    every = titles(notebook)
    if sections is None:
        return list(range(len(every)))
    there, wanted = dict.fromkeys(title for title in every if title), [each.strip() for each in sections.split(",")]
    chosen = {title for title in there for each in wanted if _is_named(title, each)}
    unknown = [each for each in wanted if not any(_is_named(title, each) for title in there)]
    if unknown:
        raise UnknownSection(f"no section `{unknown[0]}`; there are: {'; '.join(there) or 'none'}")
    return [place for place, title in enumerate(every) if title is None or title in chosen]


def to_run(notebook: NotebookNode, places: list[int], *, every: bool = False) -> tuple[list[int], list[int]]:
    """Places of the cells that a live deck of the cells at `places` runs, and of those that a new kernel runs again.

    every   all cells that are shown; so it is for a notebook without tags, whose labs nobody knows

    Both with what they need, which may stand elsewhere. Raises what `live_cells` raises.
    """
    code = [place for place in places if notebook.cells[place].cell_type == "code"]
    tagged = any(has_tag(notebook.cells[place], tag) for place in code for tag in RUN_AGAIN)
    if tagged and not every:
        return live_cells(notebook, among=places), live_cells(notebook, RUN_AGAIN, among=places)
    cells = code if len(places) == len(notebook.cells) else needed_cells(notebook.cells, code)
    return cells, cells


def _is_named(title: str, wanted: str) -> bool:
    """1 is `1. One parameter`, not `10. Bug clinic`; so are one and one-parameter."""
    slug, name = _slug(title), _slug(wanted)
    return bool(name) and any(f"{each}-".startswith(f"{name}-") for each in (slug, re.sub(r"^\d+-", "", slug)))


def _slug(text: str) -> str:
    return "-".join(re.findall(r"\w+", text.lower()))
