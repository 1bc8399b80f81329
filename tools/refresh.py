"""Run notebooks and store their outputs: `python -m tools.refresh [NUMBER ...]`, without a number all of them.

What is stored is the same on every run, so that a difference in git is a difference in what a lesson shows: nothing
that is random (ids of widgets) or of one machine (times, versions, paths, addresses). The sources are never rewritten.
Where a lesson shows times on purpose (nbval-ignore-output) they stay as long as only their numbers differ: to store new
ones, clear the outputs of that cell first.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import ipykernel.kernelspec
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from tools.notebooks import NOTEBOOKS, UnknownLesson, find_all, has_tag

CELL_SECONDS = 120  # a cell that takes longer is an error
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
VOLATILE = {"ExecuteTime", "collapsed", "execution", "scrolled", "signature", "trusted", "vscode", "widgets"}

DATA_URI = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=\s]+")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:root|home|work|tmp|Users)/\S*|\b[A-Z]:\\+Users\b\S*|\bsite-packages\b\S*")
ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")


class RefreshError(Exception):
    """A notebook that could not be refreshed; the message names the notebook and, where there is one, the cell."""


class RunningPython(KernelSpecManager):
    """Knows one kernel, the Python that runs this: a `python3` installed elsewhere on the machine is never taken."""

    def get_kernel_spec(self, kernel_name):
        """The same kernel whatever its name."""
        return self.kernel_spec_class(
            resource_dir=ipykernel.kernelspec.RESOURCES, **ipykernel.kernelspec.get_kernel_dict()
        )


def refresh(path: Path, *, cell_seconds: float = CELL_SECONDS) -> bool:
    """Execute the notebook in a fresh kernel, store its outputs; return whether the file changed.

    Raises RefreshError, and leaves the file as it was, when a cell fails, takes longer than `cell_seconds`, is empty or
    shows what belongs to this machine, when two cells share an id, or when someone else saved the file meanwhile.
    """
    before = path.read_bytes()
    notebook = load(path)
    stored = {cell.id: cell.outputs for cell in notebook.cells if has_tag(cell, "nbval-ignore-output")}
    execute(notebook, path, cell_seconds=cell_seconds)
    normalise(notebook)
    for cell in notebook.cells:
        if cell.id in stored and _without_numbers(cell.outputs) == _without_numbers(stored[cell.id]):
            cell.outputs = list(_kept(stored[cell.id], cell.execution_count))
    for cell in notebook.cells:
        for text in output_texts(cell):
            if found := MACHINE_PATH.search(text) or ADDRESS.search(text):
                raise RefreshError(f"{path.name}, cell {cell.id}: the output belongs to one machine: {found[0]!r}")
    nbformat.validate(notebook)
    after = f"{nbformat.writes(notebook, version=nbformat.NO_CONVERT)}\n".encode()
    if path.read_bytes() != before:
        raise RefreshError(f"{path.name} was saved while it ran here: nothing stored, refresh it again")
    if after == before:
        return False
    scratch = path.with_name(f".{path.name}.new")
    try:
        scratch.write_bytes(after)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
    return True


def load(path: Path) -> NotebookNode:
    """Read a notebook of format 4 as 4.5; a cell without an id gets one made from its place and its source."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    if raw.get("nbformat") != 4:
        raise RefreshError(f"{path.name}: notebook format {raw.get('nbformat')}, expected 4")
    raw["nbformat_minor"] = 5
    for place, cell in enumerate(raw["cells"]):
        source = "".join(cell["source"])
        digest = hashlib.sha256(source.encode()).hexdigest()[:6]
        cell.setdefault("id", f"cell-{place:02d}-{digest}")
        if cell["cell_type"] == "code" and not source.strip():
            raise RefreshError(f"{path.name}, cell {cell['id']}: an empty code cell")
    twice = [id for id, count in Counter(cell["id"] for cell in raw["cells"]).items() if count > 1]
    if twice:
        raise RefreshError(f"{path.name}: more than one cell has the id {', '.join(twice)}")
    return nbformat.v4.nbjson.reads(json.dumps(raw))  # nbformat.read would give random ids


def execute(notebook: NotebookNode, path: Path, *, cell_seconds: float) -> None:
    """Run the code cells in order in a fresh kernel, in the folder of the notebook; outputs go into `notebook`."""
    kernel = AsyncKernelManager(kernel_spec_manager=RunningPython())
    client = NotebookClient(notebook, km=kernel, timeout=cell_seconds, record_timing=False, store_widget_state=False)
    # The kernel's own log is no output of the notebook.
    with client.setup_kernel(cleanup_kc=True, cwd=str(path.parent), stderr=subprocess.DEVNULL):
        for index, cell in enumerate(notebook.cells):
            try:
                client.execute_cell(cell, index)
            except CellExecutionError as error:
                line = re.search(r"^-+> *\d+ (.*)", re.sub(r"\x1b\[[\d;]*m", "", error.traceback), re.MULTILINE)
                message = f"{error.ename}: {error.evalue}" + (f" at `{line[1].strip()}`" if line else "")
                raise RefreshError(f"{path.name}, cell {cell.id}: {message}") from None
            except CellTimeoutError:
                raise RefreshError(f"{path.name}, cell {cell.id}: not done after {cell_seconds:g} s") from None
            except DeadKernelError:
                raise RefreshError(f"{path.name}, cell {cell.id}: the kernel died") from None


def normalise(notebook: NotebookNode) -> None:
    """Drop what varies from run to run or from machine to machine; number the code cells in order."""
    notebook.metadata = {key: value for key, value in notebook.metadata.items() if key not in VOLATILE}
    notebook.metadata |= {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {key: value for key, value in cell.metadata.items() if key not in VOLATILE}
    for count, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), start=1):
        cell.execution_count = count
        cell.outputs = list(_kept(cell.outputs, count))


def _kept(outputs: list[NotebookNode], count: int) -> Iterator[NotebookNode]:
    """The outputs worth storing: pieces of a stream as one, no widget views, no displays that ended empty."""
    stream = None
    for output in outputs:
        if output.output_type == "stream":
            if stream and stream.name == output.name:
                stream.text = _overwritten(stream.text + output.text)
            elif output.text:
                stream = output
                stream.text = _overwritten(stream.text)
                yield stream
            continue
        if "data" in output:
            # A page without a kernel could only say "model not found"; the text beside the view stays.
            output.data.pop(WIDGET_VIEW, None)
            output.metadata.pop(WIDGET_VIEW, None)
            if not output.data:
                continue
        if output.output_type == "execute_result":
            output.execution_count = count
        if output.output_type == "error" and MACHINE_PATH.search("\n".join(output.traceback)):
            output.traceback = [f"{output.ename}: {output.evalue}"]  # the frames name files of this machine
        stream = None
        yield output


def _without_numbers(outputs: list[NotebookNode]) -> str:
    """What stays of outputs that vary from run to run: numbers, and the room for them in a table, are left out."""
    return re.sub(r"\d+(\.\d+)?|[ -]{2,}| (?=\|)", "", json.dumps(outputs, sort_keys=True))


def _overwritten(text: str) -> str:
    """What a terminal shows: a carriage return starts the line again."""
    return re.sub(r"^.*\r(?=[^\n])", "", text, flags=re.MULTILINE)


def output_texts(cell: dict) -> Iterator[str]:
    """Every text among the outputs of a cell of a notebook (a node or raw JSON), without the data of pictures."""
    for output in cell.get("outputs", ()):
        values = [output.get("text"), output.get("evalue"), output.get("traceback")]
        values += [value for mime, value in output.get("data", {}).items() if not mime.startswith("image/")]
        for value in values:
            if isinstance(value, list) and all(isinstance(line, str) for line in value):
                value = "".join(value)
            if value:
                yield DATA_URI.sub("data:", value if isinstance(value, str) else json.dumps(value))


def main(arguments: list[str] | None = None, *, folder: Path = NOTEBOOKS) -> int:
    """Refresh the notebooks with these numbers; exit code 0, 1 when one failed, 2 when there is no such notebook."""
    parser = argparse.ArgumentParser(prog="python -m tools.refresh", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("number", nargs="*", help="of a notebook, such as 2, 02 or 02a; none: all notebooks")
    try:
        chosen = find_all(parser.parse_args(arguments).number, folder)
    except UnknownLesson as unknown:
        print(unknown, file=sys.stderr)
        return 2
    failed = False
    for path in chosen:
        start = time.perf_counter()
        try:
            outcome = "stored" if refresh(path) else "unchanged"
        except RefreshError as error:
            failed, outcome = True, "FAILED"
            print(error, file=sys.stderr)
        print(f"{path.name}: {outcome}, {time.perf_counter() - start:.1f} s", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
