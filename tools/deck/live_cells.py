"""Which cells of a notebook a live deck has to run: its labs, and what they need.

The other cells keep their stored outputs, which the tests prove equal to those of a new run; running all of 02b would
take most of a minute, and no class waits that long for a title slide.
"""

import builtins
import dis
from collections.abc import Iterator
from types import CodeType
from typing import NamedTuple

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

WIDGETS = {"labs", "WidgetCheck", "ipywidgets"}  # names that a cell with a widget has in its code
STILL = "lab-still"  # the class of the picture that a lab leaves in the stored output
VARIES = "nbval-ignore-output"  # the output stored with the notebook tells of its author's machine
LIVE = "live"  # a cell may also say so itself
LOADS = {"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"}
GIVEN = {*dir(builtins), "__name__", "display", "get_ipython"}


class MissingName(Exception):
    """A cell that must run uses a name that no cell before it binds."""


class Names(NamedTuple):
    """What a cell does with the global names."""

    bound: set[str]  # it gives them a value
    needed: set[str]  # it reads them, before it has given them one itself
    called: set[str]  # its functions read them, whenever they are called
    mentioned: set[str]  # names, attributes and modules in its code


def names(source: str) -> Names:
    """As Python's own compiler sees them, which knows all about scopes."""
    code = compile(TransformerManager().transform_cell(source), "cell", "exec")
    bound, needed = set(), set()
    for step in dis.get_instructions(code):
        if step.opname == "STORE_NAME":
            bound.add(step.argval)
        elif step.opname in LOADS and step.argval not in bound:
            needed.add(step.argval)
    called, mentioned = set(), set(code.co_names)
    for inner in _inside(code):
        own = {step.argval for step in dis.get_instructions(inner) if step.opname == "STORE_NAME"}  # of a class
        called |= {step.argval for step in dis.get_instructions(inner) if step.opname in LOADS} - own
        mentioned |= set(inner.co_names)
    return Names(bound, needed - GIVEN, called - bound - GIVEN, mentioned)


def _inside(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _inside(constant)


def live_cells(notebook: NotebookNode) -> list[int]:
    """Places of the cells to run, in order: set-up, labs, what varies from machine to machine, and what these need.

    A name comes from the last cell before that binds it; a name in a function from the last one before the lab. What a
    cell changes without binding a name (a list that grows) is not followed: the tests compare what the labs show with
    what a complete run stored. Raises MissingName when no cell binds a name that a cell needs.
    """
    known = {i: names(cell.source) for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"}
    chosen = set()
    for root in known:
        cell = notebook.cells[root]
        tagged = {"setup", VARIES, LIVE} & set(cell.metadata.get("tags", ()))
        if tagged or known[root].mentioned & WIDGETS or STILL in str(cell.outputs):
            chosen |= _with_sources(root, known, notebook)
    return sorted(chosen)


def _with_sources(root: int, known: dict[int, Names], notebook: NotebookNode) -> set[int]:
    chosen, waiting = set(), [root]
    while waiting:
        cell = waiting.pop()
        if cell in chosen:
            continue
        chosen.add(cell)
        wanted = [(name, cell) for name in sorted(known[cell].needed)]
        wanted += [(name, root) for name in sorted(known[cell].called)]
        for name, before in wanted:
            sources = [i for i in known if i < before and name in known[i].bound]
            if not sources:
                raise MissingName(f"cell {notebook.cells[cell].id} needs `{name}`, which no cell before it makes")
            waiting.append(sources[-1])
    return chosen
