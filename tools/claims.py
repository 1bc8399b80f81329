"""The claims of a lesson as a program: its cells, what decides how they come out, and a run with another base seed."""

import ast
import contextlib
import hashlib
import io
import json
import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from tools.notebooks import NOTEBOOKS, has_tag

UTILS = NOTEBOOKS.parent / "utils"
SEED_LINE = "base_seed = 0"
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn")
# What a claim may use: settings, the optimizers of 03, other such cells; and predict(), which holds what seen() is told
# of the measured answer to its choices.
NEEDED = ("setup", "ladder", "claim", "predict")
# How a claim comes out is not their business: what asks and shows, what remembers what a student did, and what asks
# IPython about the cells of a student.
DECIDE_NOTHING = ("predictions", "progress", "internals.cells")


def code_cells(lesson: Path) -> list[dict]:
    """The code cells of the notebook, in order."""
    return [cell for cell in json.loads(lesson.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def cells_of(lesson: Path) -> dict[str, str]:
    """The sources of the cells that make the lesson's claims, by their ids; empty for a lesson without such cells."""
    every = code_cells(lesson)
    if not any(has_tag(cell, "claim") for cell in every):
        return {}
    wanted = [cell for cell in every if any(has_tag(cell, tag) for tag in NEEDED)]
    return {cell["id"]: "".join(cell["source"]) for cell in wanted}


def run(cells: dict[str, str], seed: int) -> dict:
    """{"claims": [[claim, verdict, evidence], …], "failed": {id of a cell: what it raised}} with `base_seed = seed`."""
    import matplotlib
    import torch

    namespace, failed = {"__name__": "__main__", "display": lambda *_: None}, {}
    threads, backend = torch.get_num_threads(), os.environ.get("MPLBACKEND")
    os.environ["MPLBACKEND"] = "Agg"
    try:
        with matplotlib.rc_context(), torch.random.fork_rng(), contextlib.redirect_stdout(io.StringIO()):
            for id, source in cells.items():
                code = source.replace(SEED_LINE, f"base_seed = {seed}")
                try:
                    exec(compile(code, id, "exec"), namespace)
                except Exception as error:  # the cells after it are run all the same
                    failed[id] = f"{type(error).__name__}: {error}"
    finally:
        torch.set_num_threads(threads)
        os.environ.pop("MPLBACKEND")
        os.environ.update({} if backend is None else {"MPLBACKEND": backend})
    noted = namespace.get("claims", {})
    rows = [[claim, *row] for claim, row in noted.items()] if isinstance(noted, dict) else noted
    return {"claims": [[str(part) for part in row] for row in rows], "failed": failed}


def printed(lesson: Path) -> list[list[str]]:
    """[claim, verdict, …] of every row of the table that stands in the lesson, as it was stored; none if none is."""
    (cell,) = (cell for cell in code_cells(lesson) if cell["id"] == "claims-table")
    table = "".join(cell["outputs"][0]["data"]["text/markdown"]) if cell["outputs"] else ""
    return [[part.strip() for part in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def made_with() -> dict[str, str]:
    """What rounding depends on beside the code: the processor and the versions of the packages."""
    return {"machine": platform.machine(), **{name: version(name) for name in PACKAGES}}


def fingerprint(cells: dict[str, str], *, package: Path = UTILS) -> str:
    """Of the code that decides how the claims come out: the cells, and the modules of `package` that they import.

    What is said about the code, in docstrings and lines of comments, decides nothing, and neither do the words of a
    prediction: the question of predict() and the sentences of seen(). Its choices count.
    """
    files = sorted(modules_of(cells.values(), package=package))
    parts = [_without_words(source) for source in (*cells.values(), *(f.read_text(encoding="utf-8") for f in files))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _without_words(source: str) -> str:
    """The source without its docstrings, lines of comments and empty lines; its text, which no Python writes anew."""
    source = _without_words_of_predictions(source)
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                lines[first.lineno - 1 : first.end_lineno] = [""] * (first.end_lineno - first.lineno + 1)
    return "\n".join(line for line in lines if line.strip() and not line.strip().startswith("#"))


def _without_words_of_predictions(source: str) -> str:
    """The source with an empty string for each question of predict() and each sentence of seen()."""
    texts = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "predict":
                texts += node.args[1:2]
            elif node.func.id == "seen":
                why = [*node.args[2:3], *(each.value for each in node.keywords if each.arg == "why")]
                texts += [text for each in why for text in (each.values if isinstance(each, ast.Dict) else [each])]
    raw, begins = source.encode(), [0]  # the places of nodes are counted in bytes
    for line in raw.splitlines(keepends=True):
        begins.append(begins[-1] + len(line))
    places = [
        (begins[text.lineno - 1] + text.col_offset, begins[text.end_lineno - 1] + text.end_col_offset)
        for text in texts
        if isinstance(text, ast.Constant | ast.JoinedStr)
    ]
    for start, end in sorted(places, reverse=True):
        raw = raw[:start] + b'""' + raw[end:]
    return raw.decode()


def modules_of(sources: Iterable[str], *, package: Path = UTILS) -> set[Path]:
    """The files of the package that these sources import and name, and all that those import, however deep they lie.

    Importing a module runs the `__init__` of every package above it, so those count as well. What a set-up cell imports
    for others, such as a lab, and no source names, does not count.
    """
    sources = list(sources)
    named = {node.id for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    found, waiting = set(), [(source, None) for source in sources]
    while waiting:
        source, home = waiting.pop()
        for dotted in _imported(source, home, package, named if home is None else None):
            for file in _files_of(dotted, package) - found:
                found.add(file)
                waiting.append((file.read_text(encoding="utf-8"), file))
    return found


def _imported(source: str, home: Path | None, package: Path, named: set[str] | None) -> set[str]:
    """Dotted names that the source, which stands in the file `home`, imports: of modules, or of what is in them.

    With `named` only what these names are bound to.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        bound = [each for each in node.names if named is None or (each.asname or each.name.split(".")[0]) in named]
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in bound}
        elif bound:
            above = home.relative_to(package.parent).parts[: -node.level] if home and node.level else ()
            base = ".".join([*above, *filter(None, [node.module])])
            names |= {base, *(f"{base}.{alias.name}" for alias in bound)}
    left_out = tuple(f"{package.name}.{name}." for name in DECIDE_NOTHING)
    return {name for name in names if name.split(".")[0] == package.name and not f"{name}.".startswith(left_out)}


def _files_of(dotted: str, package: Path) -> set[Path]:
    """The module's file, if it is one, and the `__init__` of each package on the way to it."""
    parts = dotted.split(".")
    places = [package.parent.joinpath(*parts[:n]) for n in range(1, len(parts) + 1)]
    candidates = [place / "__init__.py" for place in places] + [place.with_suffix(".py") for place in places]
    return {file for file in candidates if file.is_file()}
