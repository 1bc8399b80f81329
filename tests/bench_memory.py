"""How much memory does a student need? `python tests/bench_memory.py [NUMBER …]` measures it (Linux only).

It runs notebooks from top to bottom in kernels that stay alive, one at first, then four, and reads what they hold from
/proc/PID/smaps_rollup:

resident (RSS)      what is in memory of a process, also what it shares with others
proportional (PSS)  the same, but a page that n processes share counts 1/n: the sum is what the machine gives
peak                the largest RSS so far: what a limit for one student has to allow

Kernels share the files of torch and its companions, so the second student costs less than the first. Close whatever
else runs from the same environment: it would share as well, and the first kernel would look cheaper than it is.
The last line is a JupyterLab server without kernels, of which a hub starts one for each student.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path

import psutil
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs as a script

from tests.jupyter_page import chromium, jupyter_lab
from utils.refresh import NOTEBOOKS, RunningPython, load

MB = 1e6


def memory(pid: int) -> tuple[float, float, float]:
    """(resident, proportional, peak resident) of a process, in MB."""
    rollup = dict(line.split(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kilobytes = rollup["Rss"], rollup["Pss"], status["VmHWM"]
    return tuple(int(each.split()[0]) * 1024 / MB for each in kilobytes)


@contextmanager
def kernel(path: Path, *, cells: int | None = None) -> Iterator[int]:
    """The process id of a kernel that has run the notebook (its first `cells` code cells) and lives until the end."""
    notebook = load(path)
    manager = AsyncKernelManager(kernel_spec_manager=RunningPython())
    client = NotebookClient(notebook, km=manager, timeout=600, store_widget_state=False)
    code = [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    # cleanup_kc: a kernel that lives on would share its pages with the next ones and make them look smaller.
    with client.setup_kernel(cleanup_kc=True, cwd=str(path.parent), stderr=subprocess.DEVNULL):
        for index, cell in code[:cells]:
            client.execute_cell(cell, index)
        yield manager.provisioner.pid


def kernels(path: Path, at_once: int) -> Iterator[list]:
    """Rows of the table: one kernel, then `at_once` kernels of this notebook."""
    number = path.name.partition("-")[0]
    with ExitStack() as alive:
        pids = [alive.enter_context(kernel(path))]
        yield [f"{number}, 1 kernel", *memory(pids[0]), memory(pids[0])[1]]
        pids += [alive.enter_context(kernel(path)) for _ in range(at_once - 1)]
        each = [memory(pid) for pid in pids]
        means = [sum(column) / at_once for column in zip(*each, strict=True)]
        yield [f"{number}, {at_once} kernels, each", *means, sum(pss for _, pss, _ in each)]


def start_up(path: Path) -> Iterator[list]:
    for what, cells in (("a kernel that has run nothing", 0), ("after the set-up cell of 02a", 1)):
        with kernel(path, cells=cells) as pid:
            yield [what, *memory(pid), memory(pid)[1]]


def server() -> Iterator[list]:
    """A JupyterLab server, after its start and after a browser has loaded its page; the page itself is not counted."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        before = set(psutil.Process().children())
        with jupyter_lab(Path(folder)) as jupyter:
            (pid,) = {each.pid for each in set(psutil.Process().children()) - before}
            page = browser.new_page()
            page.goto(f"{jupyter.url}/lab?token={jupyter.token}&reset")
            page.locator(".jp-Launcher, .jp-DirListing").first.wait_for(timeout=60_000)
            yield ["JupyterLab's server, a page open", *memory(pid), memory(pid)[1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("number", nargs="*", default=["02a", "02b"], help="of notebooks; 02a and 02b without one")
    parser.add_argument("--kernels", type=int, default=4, help="how many at once (4)")
    wanted = parser.parse_args()
    paths = [next(NOTEBOOKS.glob(f"{number}-*.ipynb")) for number in wanted.number]
    measured = [start_up(next(NOTEBOOKS.glob("02a-*.ipynb")))]
    measured += [kernels(path, wanted.kernels) for path in paths] + [server()]
    rows = []
    for row in chain.from_iterable(measured):
        rows.append(row)
        print(row[0], file=sys.stderr, flush=True)  # it takes minutes
    headers = ["MB (1e6 bytes)", "resident", "proportional", "peak", "proportional, all together"]
    print(tabulate(rows, headers, tablefmt="github", floatfmt=".0f"))


if __name__ == "__main__":
    main()
