"""Which cells of a notebook must run so that its labs do: the labs, and all that these build on.

The other cells keep their stored outputs, which the tests prove equal to those of a new run; running all of 02d would
take most of a minute, and no class waits that long for a title slide. The scopes of names are `symtable`'s, which are
those of Python's own compiler; the order in which a cell uses its names is read from its syntax tree.
"""

import ast
import builtins
import symtable
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from tools.notebooks import has_tag

RUN_AGAIN = ("setup", "lab", "live")  # after the kernel has died
RUN_LIVE = (*RUN_AGAIN, "nbval-ignore-output")  # the last: what is stored tells of its author's machine
GIVEN = {*dir(builtins), "__name__", "__class__", "display", "get_ipython"}


class MissingName(ValueError):
    """A cell that must run uses a name that no cell before it binds."""


class Names(NamedTuple):
    """What a cell does with the global names; what Python and Jupyter give is left out."""

    bound: frozenset[str]  # it gives them a value
    needed: frozenset[str]  # it reads them, before it has given them one itself
    called: frozenset[str]  # its functions and classes read them: a function does so whenever it is called


def live_cells(
    notebook: NotebookNode, tags: Iterable[str] = RUN_LIVE, *, among: Iterable[int] | None = None
) -> list[int]:
    """Places of the cells that a live deck runs: set-up, labs, what varies from machine to machine, and their needs.

    tags    which cells, if not all of these
    among   the places that the deck shows, if not all; what is needed may stand elsewhere

    Raises MissingName when no cell binds a name that one of them needs, SyntaxError for a cell that is no Python.
    """
    roots = [
        place
        for place, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and (among is None or place in among) and any(has_tag(cell, tag) for tag in tags)
    ]
    return needed_cells(notebook.cells, roots)


def needed_cells(cells: list[NotebookNode], roots: Iterable[int]) -> list[int]:
    """Places of the cells at `roots` and of all that they build on, in order.

    A name comes from the last cell before that binds it; a name in a function from the last one before the root. What a
    cell changes without binding a name (a list that grows) is not followed: the tests compare what the labs show with
    what a complete run stored. Raises MissingName when no cell binds a name that a cell needs.
    """
    known = {place: names(cell.source) for place, cell in enumerate(cells) if cell.cell_type == "code"}
    chosen: set[int] = set()
    for root in roots:
        chosen |= _with_sources(root, known, cells)
    return sorted(chosen)


def _with_sources(root: int, known: dict[int, Names], cells: list[NotebookNode]) -> set[int]:
    chosen, waiting = set(), [root]
    while waiting:
        place = waiting.pop()
        if place in chosen:
            continue
        chosen.add(place)
        wanted = [(name, place) for name in sorted(known[place].needed)]
        wanted += [(name, root) for name in sorted(known[place].called)]
        for name, before in wanted:
            sources = [other for other in known if other < before and name in known[other].bound]
            if not sources:
                raise MissingName(f"cell {cells[place].id} needs `{name}`, which no cell before it makes")
            waiting.append(sources[-1])
    return chosen


def plain_python(source: str) -> str:
    """The cell as Python: IPython's magics are written out as calls."""
    return TransformerManager().transform_cell(source)


@cache
def names(source: str) -> Names:
    """What the cell binds and reads. Raises SyntaxError for what is no Python, even without its magics."""
    code = plain_python(source)
    tree, top = ast.parse(code), _TopLevel()
    top.visit(tree)
    inner = set(_read_inside(symtable.symtable(code, "cell", "exec"), _augmented(tree)))
    return Names(*map(frozenset, (top.bound, top.needed - GIVEN, inner - top.bound - GIVEN)))


def _read_inside(table: symtable.SymbolTable, augmented: set[str]) -> Iterator[str]:
    """The global names that functions, classes and comprehensions in a cell read, however deep they lie."""
    for child in table.get_children():
        for symbol in child.get_symbols():
            is_read = symbol.is_referenced() or symbol.get_name() in augmented
            # A function that is called `top` passes for the module in CPython's symtable: its locals are global, too.
            if is_read and symbol.is_global() and not symbol.is_local():
                yield symbol.get_name()
        yield from _read_inside(child, augmented)


def _augmented(tree: ast.AST) -> set[str]:
    """What `x += 1` reads: for symtable it is written, no more."""
    changes = [node.target for node in ast.walk(tree) if isinstance(node, ast.AugAssign)]
    return {target.id for target in changes if isinstance(target, ast.Name)}


class _TopLevel(ast.NodeVisitor):
    """Follows the top level of a cell in the order in which Python runs it; what lies in a scope inside is left out."""

    def __init__(self):
        self.bound: set[str] = set()
        self.needed: set[str] = set()

    def visit_in_order(self, *parts: ast.AST | list | None) -> None:
        for part in parts:
            for node in part if isinstance(part, list) else [part]:
                if node is not None:
                    self.visit(node)

    def reads(self, name: str) -> None:
        if name not in self.bound:
            self.needed.add(name)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.bound.add(node.id)
        else:
            self.reads(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit_in_order(node.value, node.targets)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        declares_only = node.value is None and isinstance(node.target, ast.Name)  # `x: int` binds nothing
        self.visit_in_order(node.value, node.annotation, None if declares_only else node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.reads(node.target.id)
        self.visit_in_order(node.value, node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit_in_order(node.value, node.target)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit_in_order(node.iter, node.target, node.body, node.orelse)

    visit_AsyncFor = visit_For

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names} - {"*"}

    visit_ImportFrom = visit_Import

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.bound |= {node.name} - {None}
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.visit_in_order(node.decorator_list, node.args.defaults, node.args.kw_defaults, node.returns)
        self.visit_in_order([each.annotation for each in ast.walk(node.args) if isinstance(each, ast.arg)])
        self.bound.add(node.name)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.visit_in_order(node.decorator_list, node.bases, node.keywords)
        self.bound.add(node.name)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit_in_order(node.args.defaults, node.args.kw_defaults)

    def visit_comprehension_of(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self.visit(node.generators[0].iter)  # the rest has a scope of its own

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_comprehension_of

    def visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar) -> None:
        self.bound |= {node.name} - {None}
        self.generic_visit(node)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.bound |= {node.rest} - {None}
        self.generic_visit(node)
