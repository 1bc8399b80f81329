"""What the notebook's cells say of an answer: is it the newest that the student wrote?

Rests on IPython's history of what was run, a failed cell included, on its keeping each cell's source for tracebacks,
and on its telling the id of the cell that it runs; tests/internals/test_cells.py says if one of them is no longer so.
"""

import ast
import inspect
import json
import linecache
import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

LENT = "utils.lend"  # the module of what a set-up cell lends to a section that starts alone: no cell is its own


class Run(NamedTuple):
    """A run of a cell that has ended: its number, the cell's id and source, and the time, in seconds since 1970."""

    number: int
    cell_id: str | None
    source: str
    ended: float


_runs: list[Run] = []  # of this kernel, since watch_runs()


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


def changed_since_it_ran(answer: object) -> str:
    """The name of an answer whose cell was edited after its run, as the saved notebook shows; else empty.

    Empty, too, where nothing is known: another front end, no file, a file that was saved before that run.
    """
    shell = _shell()
    asking = shell.history_manager.input_hist_raw[-1] if shell else ""
    for name in re.findall(r"\w+", asking):
        if shell.user_ns.get(name) is answer and not _defines(asking, name):
            newest = next((run for run in reversed(_runs) if _defines(run.source, name)), None)
            if newest and _saved_source(newest) not in (None, newest.source):
                return name
    return ""


def _saved_source(run: Run) -> str | None:
    """What the file has in the cell of a run; None if it was not saved since, or that was not the cell's last run."""
    file = Path(os.environ.get("JPY_SESSION_NAME", ""))  # so Jupyter tells its kernels the notebook's path
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        if run.cell_id and file.stat().st_mtime > run.ended:
            for cell in json.loads(file.read_bytes())["cells"]:
                # The number shows that the page knew of this run: a save under way has a later time and an older page.
                if cell.get("id") == run.cell_id and cell.get("execution_count") == run.number:
                    return "".join(cell["source"]).strip()
    return None


def watch_runs() -> None:
    """Remember each run of a cell from now on, where there are cells."""

    def remember(result) -> None:
        if result.execution_count:
            cell = getattr(result.info, "cell_id", None)  # IPython 7, which Colab has, does not know it
            _runs.append(Run(result.execution_count, cell, result.info.raw_cell.strip(), time.time()))

    if shell := _shell():
        shell.events.register("post_run_cell", remember)


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
