"""The student's own copies of the notebooks, and JupyterLab on them: what `workshop.py lab` runs.

    python -m tools.copies [NOTEBOOK [--fresh | --originals] [-- jupyter arguments]]    without NOTEBOOK: only copies

Students write into notebooks, and so does an update of the workshop. So `my-work/` holds a copy of every notebook, made
when there is none, under the same name: links between notebooks lead from copy to copy, and `../assets` is where it
was. Three promises: no existing file is overwritten or removed, a file is written whole or not at all, and what a
student wrote stays in `my-work/` whatever happens to the workshop's own notebooks.

JupyterLab empties a notebook's file before it writes it again, so an empty or torn copy may be one that is just being
saved: it is never taken for a missing one.
"""

import argparse
import copy
import hashlib
import json
import os
import re
import runpy
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ORIGINALS, COPIES = "notebooks", "my-work"

PREDICTION, ANSWER, HEADING = "**Predict", "**What you saw", re.compile(r"^#{1,6} ", re.MULTILINE)
STILL = "lab-still"  # the class that utils.labs.shell gives to the picture of a lab
# It passes settings of the old notebook server on, of which there are none, and to do so reads every attribute of the
# new one, a deprecated one included: each start would begin with a warning.
NO_SHIM = "--ServerApp.jpserver_extensions=notebook_shim=False"


class CopyTrouble(Exception):
    """What is wrong with the copies and what to do about it, in one line."""


# What a copy holds


def student_copy(original: dict) -> dict:
    """The notebook as a student should first see it: nothing has run yet, and no stored output answers a prediction.

    Up to the first prediction (a Markdown cell with **Predict**) stored outputs stay. From there on they go, for later
    cells build on earlier answers, down to the table of verdicts; only the pictures of labs stay, so that the page
    shows what is to come. A lab between **Predict** and the next heading or **What you saw** loses its picture, too:
    the prediction is about that lab. No code cell keeps its number, for the student's kernel has run none.
    What is for the instructor goes, too: it tells what to conclude.
    """
    fresh = copy.deepcopy(original)
    fresh["cells"] = [cell for cell in fresh["cells"] if not _is_note(cell)]
    predicted = about_this = False
    for cell in fresh["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            about_this = PREDICTION in source or (about_this and not HEADING.search(source) and ANSWER not in source)
            predicted |= about_this
        elif cell["cell_type"] == "code":
            cell["execution_count"] = None
            if predicted and (about_this or STILL not in json.dumps(cell["outputs"])):
                cell["outputs"] = []
    fresh.setdefault("metadata", {})["workshop"] = {"made_from": fingerprint(original)}  # stays when JupyterLab saves
    return fresh


def _is_note(cell: dict) -> bool:
    match cell:
        case {"metadata": {"slideshow": {"slide_type": "notes"}}}:
            return True
    return False


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
    notebook = json.loads(path.read_bytes())
    match notebook:
        case {"cells": list(cells)} if all(isinstance(cell, dict) and "source" in cell for cell in cells):
            return notebook
    raise ValueError("not a notebook")


# Files, without overwriting one


@contextmanager
def written(content: bytes, path: Path) -> Iterator[Path]:
    """A finished file beside `path`, to be moved there; what is left of it at the end is removed."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with scratch.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)


def place(finished: Path, path: Path) -> bool:
    """Give the finished file the name `path`; False, and nothing done, if that name is taken."""
    try:
        os.link(finished, path)  # which fails on every system if the name is taken; renaming would overwrite
    except FileExistsError:
        return False
    except OSError:  # a memory stick, say: its file system knows no links
        return rename(finished, path)
    return True


def rename(old: Path, new: Path) -> bool:
    """Rename; False, and nothing done, if the new name is taken. FileNotFoundError if there is no `old`."""
    try:
        new.open("xb").close()  # of any number of processes one makes this empty file
    except FileExistsError:
        return False
    try:
        os.replace(old, new)  # and replaces it, and nothing else
    except OSError:
        new.unlink()
        raise
    return True


def put_aside(own: Path) -> Path | None:
    """Rename a copy to a dated name that was free, and return it; None if there is no copy (any more)."""
    for number in count(1):
        aside = own.with_name(f"{own.stem}.{date.today()}{f'-{number}' if number > 1 else ''}{own.suffix}")
        try:
            if rename(own, aside):
                return aside
        except FileNotFoundError:
            return None


# What the launcher asks for


def prepare(stem: str | None = None, *, root: Path = ROOT, fresh: bool = False) -> list[str]:
    """Make the copies that are missing, with `fresh` a new one of notebook `stem`; return what to tell the student.

    Raises CopyTrouble if the copy of `stem` cannot be made, or none can. Even then the copies that are there stay.
    """
    originals = sorted((root / ORIGINALS).glob("[0-9][0-9]*-*.ipynb"))
    if stem not in [None, *(path.stem for path in originals)]:
        raise CopyTrouble(f"no notebook `{stem}` in {ORIGINALS}/")
    said, dated = [], []
    try:
        (root / COPIES).mkdir(exist_ok=True)
        for path in originals:
            own, anew = root / COPIES / path.name, fresh and path.stem == stem
            try:
                mine = None if anew else _read_own(own)
                if mine is None:
                    said += _make(own, read(path), anew=anew)
                elif is_dated(mine, read(path)):
                    dated.append(path.stem)
            except CopyTrouble as trouble:
                said.append(f"{trouble}.")
            except ValueError:
                file = f"{ORIGINALS}/{path.name}"
                said.append(
                    f"{file} is damaged; rename it, then `git checkout HEAD {file}` brings the workshop's back."
                )
                if path.stem == stem and (anew or not os.path.lexists(own)):
                    raise CopyTrouble(said[-1].rstrip(".")) from None
    except OSError as error:
        where = f" ({Path(error.filename).name})" if error.filename else ""
        raise CopyTrouble(
            f"no copy made in {COPIES}/: {error.strerror}{where}; make room there, or the folder yours to write in "
            "(`lab --originals` opens the workshop's own notebooks)"
        ) from error
    if dated:
        names, example = ", ".join(map(_number, dated)), _fresh(stem if stem in dated else dated[0])
        said.append(f"The workshop has changed {names} since your copies were made; they stay as they are. {example}.")
    return said


def _make(own: Path, original: dict, *, anew: bool) -> list[str]:
    """Write a copy; the present one, if `anew`, is put aside only when all of the new one is on the disk."""
    content = json.dumps(student_copy(original), ensure_ascii=False, indent=1).encode() + b"\n"
    with written(content, own) as finished:
        aside = put_aside(own) if anew else None
        place(finished, own)
    return [f"Your {COPIES}/{own.name} is now {aside.name}, and a new one takes its place."] if aside else []


def _read_own(own: Path) -> dict | None:
    """The copy; None if there is none, or no longer, because another launcher is putting it aside."""
    try:
        return read(own)
    except FileNotFoundError:
        return None
    except ValueError:
        raise CopyTrouble(f"{COPIES}/{own.name} is damaged: {_fresh(own.stem)}") from None


def _number(stem: str) -> str:
    return stem.partition("-")[0]


def _fresh(stem: str) -> str:
    return f"`python3 workshop.py lab {_number(stem)} --fresh` puts yours aside and makes a new one"


def main(arguments: list[str] | None = None, *, root: Path = ROOT) -> int:
    """Make copies, then become JupyterLab; exit code 2 if there is no copy to open."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(prog="python -m tools.copies", description=__doc__.partition("\n")[0])
    parser.add_argument("notebook", nargs="?", help="to open, such as 00-start-here; none: copies are made, no more")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--fresh", action="store_true", help="put the present copy aside under a dated name")
    which.add_argument("--originals", action="store_true", help="open the workshop's own notebook, make no copies")
    wanted = parser.parse_args(arguments[:cut])
    if not wanted.notebook and (wanted.fresh or wanted.originals):
        parser.error("which notebook?")
    folder = ORIGINALS if wanted.originals else COPIES
    if not wanted.originals:
        try:
            for line in prepare(wanted.notebook, root=root, fresh=wanted.fresh):
                print(line, flush=True)
        except CopyTrouble as trouble:
            print(f"workshop: {trouble}", file=sys.stderr)
            return 2
    if not wanted.notebook:
        print(f"Your copies are in {COPIES}/.")
        return 0
    file = f"{folder}/{wanted.notebook}.ipynb"
    if os.environ.get("JUPYTER_SERVER_URL"):  # set in the terminals of JupyterLab, where a second one is of no use
        print(f"JupyterLab is running: open {file} there; if its tab is open, close that first.")
        return 0
    # Not a file to open: with default_url the address that JupyterLab prints leads to the notebook as well.
    sys.argv = ["jupyterlab", NO_SHIM, f"--LabApp.default_url=/lab/tree/{file}", *arguments[cut + 1 :]]
    runpy.run_module("jupyterlab", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
