"""The student's own copies of the notebooks, and JupyterLab on them: what `workshop.py lab` runs.

    python -m tools.copies [NOTEBOOK [--fresh | --live | --originals | --resume] [-- jupyter arguments]]

Without NOTEBOOK it makes the copies and no more. With --resume it opens the one worked in last, and NOTEBOOK if there
is none.

Students write into notebooks, and so does an update of the workshop. So `my-work/` holds a copy of every notebook, made
when there is none, under the same name: links between notebooks lead from copy to copy, and `../assets` is where it
was. Three promises: no existing file is overwritten or removed, a file is written whole or not at all, and what a
student wrote stays in `my-work/` whatever happens to the workshop's own notebooks.

JupyterLab empties a notebook's file before it writes it again, so an empty or torn copy may be one that is just being
saved: it is never taken for a missing one.

Longer than two screens: the three promises hold only together, and each has its own way to fail.
"""

import argparse
import copy
import hashlib
import json
import os
import re
import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tools.notebooks import has_tag, is_note, is_still, lessons, number_of
from utils.internals.files import dated, place, put_aside, written

ROOT = Path(__file__).resolve().parent.parent
ORIGINALS, COPIES = "notebooks", "my-work"
FOLDED = "Open this when you have run the cell above"

HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
# It passes settings of the old notebook server on, of which there are none, and to do so reads every attribute of the
# new one, a deprecated one included: each start would begin with a warning.
NO_SHIM = "--ServerApp.jpserver_extensions=notebook_shim=False"
WHERE_ONE_WAS = f"--LabApp.extra_labextensions_path={Path(__file__).with_name('lab_extension')}"


class CopyTrouble(Exception):
    """What is wrong with the copies and what to do about it, in one line."""


# What a copy holds


def student_copy(original: dict) -> dict:
    """The notebook as a student should first see it: nothing has run yet, and no stored output answers a prediction.

    Up to the first prediction (a cell tagged `predict`) stored outputs stay. From there on they go, for later cells
    build on earlier answers, down to the table of verdicts; only the pictures of labs stay, so that the page shows what
    is to come, and what the cells of predict() show, which only ask, and of quiz(), which fold their answers. A lab
    between a prediction and the next heading or `reveal` loses its picture, too: the prediction is about that lab. No
    code cell keeps its number, for the student's kernel has run none. Cells tagged `reveal` are folded until the
    student wants them, and so is the code of a `quiz`. What is for the instructor goes, too: it tells what to conclude.
    `original` stays as it is.
    """
    fresh = copy.deepcopy(original)
    fresh["cells"] = [cell for cell in fresh["cells"] if not is_note(cell)]
    predicted = about_this = False
    for cell in fresh["cells"]:
        if cell["cell_type"] == "markdown":
            ends = has_tag(cell, "reveal") or HEADING.search("".join(cell["source"]))
            about_this = has_tag(cell, "predict") or (about_this and not ends)
            predicted |= about_this
        elif cell["cell_type"] == "code":
            cell["execution_count"] = None
            if has_tag(cell, "predict"):
                predicted = about_this = True
            elif predicted and not has_tag(cell, "quiz") and (about_this or not any(map(is_still, cell["outputs"]))):
                cell["outputs"] = []
        if has_tag(cell, "reveal") or has_tag(cell, "quiz"):
            _fold(cell)
    fresh.setdefault("metadata", {})["workshop"] = {"made_from": fingerprint(original)}  # stays when JupyterLab saves
    return fresh


def _fold(cell: dict) -> None:
    """Text goes behind a line that opens it, code behind JupyterLab's bar: both tell what will be seen."""
    if cell["cell_type"] == "code":
        cell["metadata"]["jupyter"] = {"source_hidden": True}
    else:
        text = "".join(cell["source"])
        cell["source"] = f"<details><summary>{FOLDED}</summary>\n\n{text}\n\n</details>"


def fingerprint(notebook: dict) -> str:
    """Equal for notebooks with the same text and code: outputs, numbers and the file's layout do not count."""
    cells = [[cell["cell_type"], "".join(cell["source"]), cell.get("attachments")] for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()


def is_dated(own: dict, original: dict) -> bool:
    """Whether the original has changed since this copy was made; False if that is unknown (copied by hand, say)."""
    match own:
        case {"metadata": {"workshop": {"made_from": made_from}}}:
            return made_from != fingerprint(original)
    return False


def read(path: Path) -> dict:
    """The notebook in this file; ValueError if it holds none."""
    try:
        notebook = json.loads(path.read_bytes())
    except RecursionError:  # brackets within brackets, thousands deep
        raise ValueError("not a notebook") from None
    match notebook:
        case {"cells": list(cells)} if all(isinstance(cell, dict) and "source" in cell for cell in cells):
            return notebook
    raise ValueError("not a notebook")


# What the launcher asks for


def prepare(stem: str | None = None, *, root: Path = ROOT, fresh: bool = False) -> list[str]:
    """Make the copies that are missing, with `fresh` a new one of notebook `stem`; return what to tell the student.

    Raises CopyTrouble if the copy of `stem` cannot be made, or none can. Even then the copies that are there stay.
    """
    originals = lessons(root / ORIGINALS)
    if not originals:
        raise CopyTrouble(f"{root} is no folder of the workshop: there is no lesson in {ORIGINALS}/")
    if stem not in [None, *(path.stem for path in originals)]:
        raise CopyTrouble(f"no notebook `{stem}` in {ORIGINALS}/")
    said, changed = [], []
    with _disk_trouble_told(root):
        for path in originals:
            own, anew = root / COPIES / path.name, fresh and path.stem == stem
            try:
                mine = None if anew else _read_own(own)
                if mine is None:
                    said += _make(own, read(path), anew=anew)
                elif is_dated(mine, read(path)):
                    changed.append(path)
            except CopyTrouble as trouble:
                said.append(f"{trouble}.")
            except ValueError:
                said.append(f"{_damaged(path)}.")
                if path.stem == stem and (anew or not os.path.lexists(own)):
                    raise CopyTrouble(_damaged(path)) from None
    if changed:
        names = ", ".join(map(number_of, changed))
        example = _fresh(next((path for path in changed if path.stem == stem), changed[0]))
        said.append(f"The workshop has changed {names} since your copies were made; they stay as they are. {example}.")
    return said


def prepare_live(stem: str, *, root: Path = ROOT) -> Path:
    """Make one more copy of notebook `stem`, for live coding, under a dated name that was free.

    Returns its path. Raises CopyTrouble if it cannot be made.
    """
    original, own = root / ORIGINALS / f"{stem}.ipynb", root / COPIES / f"{stem}.ipynb"
    with _disk_trouble_told(root):
        try:
            content = _content(read(original))
        except FileNotFoundError:
            raise CopyTrouble(f"no notebook `{stem}` in {ORIGINALS}/") from None
        except ValueError:
            raise CopyTrouble(_damaged(original)) from None
        with written(content, own) as finished:
            return next(path for path in dated(own, "live-") if place(finished, path))


def last_run(root: Path = ROOT) -> str | None:
    """The stem of the notebook whose copy was saved last, of those in which a cell was run; None if there is none.

    A copy that is being saved at this moment is passed over: JupyterLab is open, and so is that copy.
    """
    ran = []
    for path in lessons(root / ORIGINALS):
        own = root / COPIES / path.name
        with suppress(OSError, ValueError):
            if any(cell.get("execution_count") for cell in read(own)["cells"]):
                ran.append((own.stat().st_mtime_ns, own.stem))
    return max(ran)[1] if ran else None


@contextmanager
def _disk_trouble_told(root: Path) -> Iterator[None]:
    """Within this block there is a folder for the copies, and an OSError becomes a CopyTrouble."""
    try:
        (root / COPIES).mkdir(exist_ok=True)
        yield
    except OSError as error:
        where = f" ({Path(error.filename).name})" if error.filename else ""
        raise CopyTrouble(
            f"no copy made in {COPIES}/: {error.strerror}{where}; free some disk space, or make the folder writable "
            "(`lab --originals` opens the workshop's own notebooks)"
        ) from error


def _make(own: Path, original: dict, *, anew: bool) -> list[str]:
    """Write a copy; the present one, if `anew`, is put aside only when all of the new one is on the disk."""
    with written(_content(original), own) as finished:
        aside = put_aside(own) if anew else None
        place(finished, own)
    return [f"Your {COPIES}/{own.name} is now {aside.name}, and a new one takes its place."] if aside else []


def _content(original: dict) -> bytes:
    return json.dumps(student_copy(original), ensure_ascii=False, indent=1).encode() + b"\n"


def _read_own(own: Path) -> dict | None:
    """The copy; None if there is none, or no longer, because another launcher is putting it aside."""
    try:
        return read(own)
    except FileNotFoundError:
        return None
    except ValueError:
        raise CopyTrouble(f"{COPIES}/{own.name} is damaged: {_fresh(own)}") from None
    except OSError as error:
        raise CopyTrouble(
            f"{COPIES}/{own.name} cannot be read ({error.strerror}): close the program that holds it, or {_fresh(own)}"
        ) from error


def _damaged(original: Path) -> str:
    file = f"{ORIGINALS}/{original.name}"
    return f"{file} is damaged; rename it, then `git checkout HEAD {file}` brings the workshop's back"


def _fresh(lesson: Path) -> str:
    return f"`python3 workshop.py lab {number_of(lesson)} --fresh` puts yours aside and makes a new one"


def main(arguments: list[str] | None = None, *, root: Path = ROOT) -> int:
    """Make copies, then become JupyterLab; exit code 2 if there is no copy to open."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    wanted = _options(arguments[:cut])
    worked_in = last_run(root) if wanted.resume else None
    wanted.notebook = worked_in or wanted.notebook
    file = f"{ORIGINALS if wanted.originals else COPIES}/{wanted.notebook}.ipynb"
    if wanted.resume:
        why = (
            "where you last ran a cell; `lab 00` opens the first lesson"
            if worked_in
            else "because you have not run a cell yet"
        )
        print(f"Opening {file}, {why}.", flush=True)
    try:
        if wanted.live:
            file = f"{COPIES}/{prepare_live(wanted.notebook, root=root).name}"
        elif not wanted.originals:
            for line in prepare(wanted.notebook, root=root, fresh=wanted.fresh):
                print(line, flush=True)
    except CopyTrouble as trouble:
        print(f"workshop: {trouble}", file=sys.stderr)
        return 2
    if not wanted.notebook:
        print(f"Your copies are in {root / COPIES}.")
        return 0
    if os.environ.get("JUPYTER_SERVER_URL"):  # set in the terminals of JupyterLab, where a second one is of no use
        print(f"JupyterLab is running: open {file} there; if its tab is open, close that first.")
        return 0
    # Not a file to open: with default_url the address that JupyterLab prints leads to the notebook as well.
    sys.argv = ["jupyterlab", NO_SHIM, WHERE_ONE_WAS, f"--LabApp.default_url=/lab/tree/{file}", *arguments[cut + 1 :]]
    runpy.run_module("jupyterlab", run_name="__main__", alter_sys=True)
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.copies", description=__doc__.partition("\n")[0])
    parser.add_argument("notebook", nargs="?", help="to open, such as 00-start-here; none: copies are made, no more")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--fresh", action="store_true", help="put the present copy aside under a dated name")
    which.add_argument("--live", action="store_true", help="one more copy, dated, for live coding")
    which.add_argument("--originals", action="store_true", help="open the workshop's own notebook, make no copies")
    which.add_argument("--resume", action="store_true", help="open the one worked in last, if there is one")
    wanted = parser.parse_args(arguments)
    if not wanted.notebook and (wanted.fresh or wanted.live or wanted.originals or wanted.resume):
        parser.error("which notebook?")
    return wanted


if __name__ == "__main__":
    sys.exit(main())
