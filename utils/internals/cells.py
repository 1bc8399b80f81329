"""What the notebook's cells say of an answer: is it the newest that the student wrote?

Rests on IPython's events around each run of a cell, a failed one included, on its keeping what was typed, and on its
telling the id of the cell that it runs; tests/internals/test_cells.py says if one of them is no longer so.
"""

import ast
import json
import os
import re
import symtable
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FunctionType
from typing import NamedTuple


class Run(NamedTuple):
    """A run of a cell that has ended.

    number, cell_id, source   its own
    ended                     when, in seconds since 1970
    left                      name that it defines → id() of what that stood for at the end
    missed                    name → what it still stood for, where the cell failed before it gave it a new meaning
    """

    number: int
    cell_id: str | None
    source: str
    ended: float
    left: dict[str, int]
    missed: dict[str, object]


_runs: list[Run] = []  # of this kernel, since watch_runs()


def older_than_its_cell(answer: object) -> str:
    """The name of something asked about whose newest cell failed before it got as far as defining it; else empty.

    Python then still has the one of an earlier run, and whoever judges that judges what is no longer on the page.
    """
    for name in _asked_about(answer):
        newest = _newest(name)
        if newest and name in newest.missed and _shell().user_ns.get(name) is newest.missed[name]:
            return name
    return ""


def changed_since_it_ran(answer: object) -> str:
    """The name of something asked about whose cell was edited after its run, as the saved notebook shows; else empty.

    Empty, too, where nothing is known: another front end, no file, a file that was saved before that run.
    """
    for name in _asked_about(answer):
        newest = _newest(name)
        if newest and _saved_source(newest) not in (None, newest.source):
            return name
    return ""


def gone_from_its_cell(answer: object) -> str:
    """The name of something asked about that its cell defined once and now no cell of the saved notebook; else empty.

    Empty, too, where nothing is known, and where the cell that defined it was not run since.
    """
    for name in _asked_about(answer):
        newest = _newest(name)
        if newest and newest.cell_id and newest.left.get(name) == id(_shell().user_ns.get(name)):
            later = next((run for run in reversed(_runs) if run.cell_id == newest.cell_id), newest)
            cells = _saved_cells(later) if later is not newest else []
            if cells and not any(name in _defined("".join(cell["source"])) for cell in cells):
                return name
    return ""


def _asked_about(answer: object) -> list[str]:
    """The names in the cell that runs now, `check(partial(Mine, lr=1))` say, and the answer's own.

    Not those that this cell defines: they are as new as the question.
    """
    shell = _shell()
    if shell is None:
        return []
    asking = shell.history_manager.input_hist_raw[-1]
    try:
        named = [node.id for node in ast.walk(ast.parse(_python(asking))) if isinstance(node, ast.Name)]
    except SyntaxError:  # such as `x = %timeit check(two)`
        named = re.findall(r"\w+", asking)
    if isinstance(answer, type | FunctionType) and shell.user_ns.get(answer.__name__) is answer:
        named.append(answer.__name__)
    return [name for name in dict.fromkeys(named) if name not in _defined(asking)]


def _newest(name: str) -> Run | None:
    """The newest run of a cell that defines `name`, or should have."""
    return next((run for run in reversed(_runs) if name in _defined(run.source)), None)


def _saved_source(run: Run) -> str | None:
    """What the file has in the cell of a run; None if it was not saved since, or that was not the cell's last run."""
    return next(("".join(cell["source"]).strip() for cell in _saved_cells(run) if cell["id"] == run.cell_id), None)


def _saved_cells(run: Run) -> list[dict]:
    """The code cells of the file; none if it was not saved since this run, or that was not its cell's last run."""
    file = Path(os.environ.get("JPY_SESSION_NAME", ""))  # so Jupyter tells its kernels the notebook's path
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        if run.cell_id and file.stat().st_mtime > run.ended:
            cells = [cell for cell in json.loads(file.read_bytes())["cells"] if cell["cell_type"] == "code"]
            # The number shows that the page knew of this run: a save under way has a later time and an older page.
            if any((cell.get("id"), cell.get("execution_count")) == (run.cell_id, run.number) for cell in cells):
                return [cell for cell in cells if isinstance(cell["source"], str | list)]
    return []


def watch_runs() -> None:
    """Remember each run of a cell from now on, where there are cells."""
    shell = _shell()
    running: list[list] = []  # of each run now: its info, what its names stand for, whether a run inside it has failed

    def begin(info) -> None:
        before = {name: shell.user_ns[name] for name in _defined(info.raw_cell) if name in shell.user_ns}
        running.append([info, before, False])

    def remember(result) -> None:
        if not running or running[-1][0] is not result.info:
            return  # an empty cell does not begin
        _info, before, failed = running.pop()
        failed = failed or not result.success
        if running:  # as %%capture runs its cell
            running[-1][2] |= failed
        if result.execution_count:
            cell = getattr(result.info, "cell_id", None)  # IPython 7, which Colab has, does not know it
            source, now = result.info.raw_cell.strip(), shell.user_ns
            left = {name: id(now[name]) for name in _defined(source) if name in now}
            missed = {name: old for name, old in before.items() if failed and now.get(name) is old}
            _runs.append(Run(result.execution_count, cell, source, time.time(), left, missed))

    if shell:
        shell.events.register("pre_run_cell", begin)
        shell.events.register("post_run_cell", remember)


def _shell():
    """IPython, where this runs in it; importing it would take a second elsewhere."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def _python(source: str) -> str:
    """A cell without its magics."""
    return re.sub(r"^([ \t]*)[%!?].*", r"\1pass", source, flags=re.M)


def _defined(source: str) -> set[str]:
    """The names that a cell, run to its end, may give a new meaning, but for those that it imports.

    Of a cell that is no Python what looks so.
    """
    with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        symbols = symtable.symtable(_python(source), "cell", "exec").get_symbols()
        return {each.get_name() for each in symbols if each.is_assigned() and not each.is_imported()}
    looks = (r"^(?:async def|def|class) +(\w+)", r"^(\w+) *=(?!=)")
    return {name for look in looks for name in re.findall(look, source, re.M)}
