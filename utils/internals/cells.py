"""What the notebook's cells say of an answer: is it the newest that the student wrote?

Rests on IPython's history of what was run, a failed cell included, and on its keeping each cell's source for
tracebacks; tests/internals/test_cells.py says if either is no longer so.
"""

import ast
import inspect
import linecache
import re
import sys

LENT = "utils.lend"  # the module of what a set-up cell lends to a section that starts alone: no cell is its own


def older_than_its_cell(answer: object) -> str:
    """The name of a function or class whose newest cell did not get as far as defining it; else empty.

    Python then still has the one of an earlier run, and whoever judges that judges what is no longer on the page.
    """
    shell = _shell()
    file = _file_of(answer)
    if shell is None or file is None:
        return ""
    ran = [source.strip() for source in shell.history_manager.input_hist_raw]
    own = "".join(linecache.getlines(file)).strip()
    if answer.__module__ == LENT:
        own = next((source for source in reversed(ran) if "lend(" in source), "")
    if own not in ran:
        return ""  # out of a module, or of a cell that was changed on the way to Python
    # Under another name it may have been given on purpose, `mine = MyAdam`; a lambda has none of its own.
    named = (
        [answer.__name__] if answer.__name__.isidentifier() else [name for name in shell.user_ns if _defines(own, name)]
    )
    for name in named:
        if shell.user_ns.get(name) is not answer:
            continue
        newest = next((source for source in reversed(ran) if _defines(source, name)), own)
        if newest != own:
            return name
    return ""


def _shell():
    """IPython, where this runs in it; importing it would take a second elsewhere."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def _file_of(answer: object) -> str | None:
    """The file that Python thinks the code of a function, or of a class's methods, is in."""
    parts = [getattr(each, "__func__", each) for each in vars(answer).values()] if inspect.isclass(answer) else [answer]
    return next((each.__code__.co_filename for each in parts if inspect.isfunction(each)), None)


def _defines(source: str, name: str) -> bool:
    """Whether a cell, run to its end, would give `name` a new meaning; a cell that is no Python, where it looks so."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return bool(re.search(rf"^(async def|def|class) +{re.escape(name)}\b|^{re.escape(name)} *=(?!=)", source, re.M))
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and statement.name == name:
            return True
        if isinstance(statement, ast.Assign) and name in _names(statement.targets):
            return True
    return False


def _names(targets: list[ast.expr]) -> set[str]:
    """The names that an assignment gives a new meaning: a and b of `a, b = …`, and not c of `c.d = …`."""
    parts = [part for each in targets for part in (each.elts if isinstance(each, ast.Tuple | ast.List) else [each])]
    return {part.id for part in parts if isinstance(part, ast.Name)}
