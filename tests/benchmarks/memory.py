"""How much memory does a student need? `python tests/benchmarks/memory.py [NUMBER …]` measures it (Linux only).

It runs notebooks from top to bottom in kernels that stay alive, one at first, then four, and reads from
/proc/PID/smaps_rollup what they and the processes that they start hold (05b compiles in such processes):

resident (RSS)      what is in memory of a process, also what it shares with others; of several, the sum
proportional (PSS)  the same, but a page that n processes share counts 1/n: the sum is what the machine gives
peak                what a limit for one student has to allow: the largest RSS of the kernel so far, or what it and its
                    children hold at one time, read ten times a second (its RSS and their private pages)

Kernels share the files of torch and its companions, so the second student costs less than the first. Close whatever
else runs from the same environment: it would share as well, and the first kernel would look cheaper than it is.
The last line is a JupyterLab server without kernels, of which a hub starts one for each student.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path

import psutil
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parents[2]))  # so that it runs as a script

from tests.support.jupyter_page import jupyter_lab
from tools.browser import browser as chromium
from tools.refresh import NOTEBOOKS, RunningPython, load

MB = 1e6


def in_megabytes(kilobytes: str) -> float:
    return int(kilobytes.split()[0]) * 1024 / MB


def held(pid: int) -> tuple[float, float, float]:
    """(resident, proportional, limit) of a process and all that it has started and that still runs, in MB.

    The limit counts the process in full and of the others what they share with nobody.
    """
    try:
        family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        family = []
    resident = proportional = limit = 0.0
    for each in family:
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()[1:]
        except OSError:  # it has just ended
            continue
        rollup = {name: in_megabytes(size) for name, size in (line.split(":") for line in lines)}
        resident += rollup["Rss"]
        proportional += rollup["Pss"]
        limit += rollup["Rss"] if each == pid else rollup["Private_Clean"] + rollup["Private_Dirty"]
    return resident, proportional, limit


def memory(pid: int, peak: float = 0) -> tuple[float, float, float]:
    """(resident, proportional, peak) in MB; `peak`: the largest limit that was seen."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    resident, proportional, limit = held(pid)
    return resident, proportional, max(in_megabytes(status["VmHWM"]), limit, peak)


@contextmanager
def watched(pid: int) -> Iterator[list[float]]:
    """A list that holds, when the block ends, the largest limit of the process and its children."""
    peak, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            peak[0] = max(peak[0], held(pid)[2])

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


@contextmanager
def kernel(path: Path, *, cells: int | None = None) -> Iterator[tuple[int, float]]:
    """(process id, peak) of a kernel that has run the notebook (its first `cells` code cells) and lives to the end."""
    notebook = load(path)
    manager = AsyncKernelManager(kernel_spec_manager=RunningPython())
    client = NotebookClient(notebook, km=manager, timeout=600, store_widget_state=False)
    code = [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    # cleanup_kc: a kernel that lives on would share its pages with the next ones and make them look smaller.
    with tempfile.TemporaryDirectory() as empty:
        # What torch.compile has kept from earlier runs would spare it the work, and a student has nothing yet.
        settings = {"env": os.environ | {"TORCHINDUCTOR_CACHE_DIR": empty}, "cwd": str(path.parent)}
        with client.setup_kernel(cleanup_kc=True, stderr=subprocess.DEVNULL, **settings):
            with watched(manager.provisioner.pid) as peak:
                for index, cell in code[:cells]:
                    client.execute_cell(cell, index)
            yield manager.provisioner.pid, peak[0]


def kernels(path: Path, at_once: int) -> Iterator[list]:
    """Rows of the table: one kernel, then `at_once` kernels of this notebook."""
    number = path.name.partition("-")[0]
    with ExitStack() as alive:
        running = [alive.enter_context(kernel(path))]
        yield [f"{number}, 1 kernel", *memory(*running[0]), memory(*running[0])[1]]
        if at_once == 1:
            return
        running += [alive.enter_context(kernel(path)) for _ in range(at_once - 1)]
        each = [memory(*one) for one in running]
        means = [sum(column) / at_once for column in zip(*each, strict=True)]
        yield [f"{number}, {at_once} kernels, each", *means, sum(pss for _, pss, _ in each)]


def start_up(path: Path) -> Iterator[list]:
    for what, cells in (("a kernel that has run nothing", 0), ("after the set-up cell of 02a", 2)):
        with kernel(path, cells=cells) as running:
            yield [what, *memory(*running), memory(*running)[1]]


def server() -> Iterator[list]:
    """A JupyterLab server, after its start and after a browser has loaded its page; the page itself is not counted."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        before = set(psutil.Process().children())
        with jupyter_lab(Path(folder)) as jupyter:
            (pid,) = {each.pid for each in set(psutil.Process().children()) - before}
            page = browser.new_page()
            page.goto(f"{jupyter.url}/lab?token={jupyter.token}&reset")
            page.locator(".jp-Launcher, .jp-DirListing").first.wait_for(timeout=60_000)
            psutil.wait_procs(psutil.Process(pid).children(recursive=True), timeout=30)  # it asks Node something
            yield ["JupyterLab's server, a page open", *memory(pid), memory(pid)[1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("number", nargs="*", default=["02b", "02d"], help="of notebooks; 02b and 02d without one")
    parser.add_argument("--kernels", type=int, default=4, help="how many at once (4); 1 measures no more than one")
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
