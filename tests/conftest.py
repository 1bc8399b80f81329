"""What nbval lacks: pictures are compared, a dead kernel is noticed at once, displays may be updated. And a browser.

pyproject.toml loads this file as a plugin (`-p tests.conftest`), so that it also holds when only a notebook is named on
the command line; pytest then finds it again as the conftest of tests/, and the second time nothing is left to do.
"""

import utils  # noqa: F401 - before NumPy is loaded: it says how to round, here and in every kernel

# isort: split
import base64
import contextlib
import html
import io
import os
import platform
import re
import time
from queue import Empty
from typing import NoReturn

import numpy as np
import pytest
from nbformat.notebooknode import from_dict
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell, IPyNbFile
from PIL import Image

# A pixel counts as different when a channel (0 to 255) is off by more than this: rounding stays at 1 or 2.
CHANNEL_TOLERANCE = 24
# The share of pixels that may: a marker that lands one pixel aside is 0.004 % of a figure, a changed digit over 0.01 %.
PIXEL_TOLERANCE = 5e-5
POLL_SECONDS = 0.5

IMG = re.compile(r"<img\b[^>]*>")
ALT = re.compile(r'\balt="([^"]*)"')
PNG = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")


def pictures(outputs: list[dict]) -> list[tuple[str, str]]:
    """(what to call it, base64) of every PNG among a cell's outputs, those in the HTML included, in order."""
    found = []
    for output in outputs:
        for mime, value in sorted(output.get("data", {}).items()):
            if mime == "image/png":
                found.append(("image/png", value))
            elif mime in ("text/html", "text/markdown"):
                for img in IMG.findall("".join(value)):
                    alt = ALT.search(img)
                    found += [(html.unescape(alt[1]) if alt else "no alt text", data) for data in PNG.findall(img)]
    return found


def picture_differences(fresh: list[dict], stored: list[dict]) -> list[str]:
    """What differs between the pictures of two lists of outputs, a line each; nothing when they show the same."""
    fresh, stored = pictures(fresh), pictures(stored)
    if len(fresh) != len(stored):
        return [f"{len(stored)} pictures are stored, the run made {len(fresh)}"]
    problems = []
    for number, ((name, new), (_, old)) in enumerate(zip(fresh, stored, strict=True), start=1):
        try:
            problem = _pixel_difference(_pixels(new), _pixels(old))
        except (ValueError, OSError) as error:
            problem = f"not a readable PNG ({error})"
        if problem:
            problems.append(f"picture {number} of {len(fresh)} ({name[:80]}): {problem}")
    return problems


def _pixels(data: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode("".join(data)))) as image:
        return np.asarray(image.convert("RGBA"), dtype=np.int16)


def _pixel_difference(fresh: np.ndarray, stored: np.ndarray) -> str | None:
    if fresh.shape != stored.shape:
        return "{1} × {0} pixels are stored, the run made {3} × {2}".format(*stored.shape[:2], *fresh.shape[:2])
    off = (abs(fresh - stored).max(axis=2) > CHANNEL_TOLERANCE).mean()
    if off > PIXEL_TOLERANCE:
        return f"{off:.3%} of the pixels differ by more than {CHANNEL_TOLERANCE} of 255, {PIXEL_TOLERANCE:.3%} may"


class KernelDied(Exception):
    """The process of the kernel has ended before the cell did."""


def pytest_configure(config: pytest.Config) -> None:
    if IPyNbCell.compare_outputs.__module__ == "nbval.plugin":
        _extend_nbval()


# The files that take longest go first, so that at the end no worker is left alone with one of them. (xdist would begin
# with the files of the most tests, which are the quick ones.)
LONGEST = (
    *("test_present", "test_slides", "test_lab_designer", "test_accessibility", "test_lab_race", "test_lab_find_edge"),
    *(
        "test_bench",
        "02b-",
        "05a-",
        "test_designer",
        "test_copies",
        "test_refresh",
        "03-",
        "test_launcher",
        "04b-",
        "test_claims",
    ),
    *("01-", "04a-", "05b-", "02a-", "test_rounding", "test_custom_optimizers", "test_leaderboard", "test_race"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((at for at, name in enumerate(LONGEST) if item.path.name.startswith(name)), len(LONGEST))

    items.sort(key=place)


def pytest_terminal_summary(terminalreporter) -> None:
    cells = [report for report in terminalreporter.stats.get("failed", []) if ".ipynb::" in report.nodeid]
    if cells and platform.machine() not in ("x86_64", "AMD64"):
        terminalreporter.write_line(
            "The stored outputs were made on an x86 processor, and this one rounds in its own way: where only digits "
            "differ, and no cell raised an error, the lessons are all right."
        )


def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: one more than there are cores, since a test that drives a browser or a kernel half waits for it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + 1, 8)


def _extend_nbval() -> None:
    nbval_compare, nbval_runtest = IPyNbCell.compare_outputs, IPyNbCell.runtest
    nbval_message = IPyNbFile.get_kernel_message

    def compare_outputs(cell, test, ref, skip_compare=None):
        if not nbval_compare(cell, test, ref, skip_compare):
            return False
        problems = picture_differences(test, ref)
        cell.comparison_traceback += [f"cell {cell.cell.get('id')}: {problem}" for problem in problems]
        return not problems

    def runtest(cell):
        if died := getattr(cell.parent, "died", None):
            pytest.skip(f"the kernel died in cell {died}")
        try:
            nbval_runtest(cell)
        except KernelDied:
            cell.parent.died = cell.cell.get("id")
            cell.parent.kernel.stop()
            cell.raise_cell_error(f"The kernel died in cell {cell.parent.died}: a crash, an exit, or no memory left.")

    def await_reply(kernel, msg_id, timeout=None):
        """nbval's wait for the end of a cell, but with one time limit for all messages and an eye on the process."""
        end = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            try:
                message = kernel.get_message("shell", timeout=max(0, min(POLL_SECONDS, left)))
            except Empty:
                if not kernel.is_alive():
                    raise KernelDied from None
                if left <= 0:
                    raise
                continue
            if message["parent_header"].get("msg_id") == msg_id:
                if message["content"]["status"] == "aborted":
                    raise RuntimeError("Kernel aborted execution request")
                return

    def get_kernel_message(notebook, timeout=None, stream="iopub"):
        """nbval's next message, with updates of a display (a progress bar) applied to the output that is updated."""
        displays = notebook.__dict__.setdefault("displays", {})
        while True:
            message = nbval_message(notebook, timeout=timeout, stream=stream)
            kind, content = message["msg_type"], message["content"]
            shown = displays.setdefault(content.get("transient", {}).get("display_id"), [])
            if kind == "update_display_data":
                for data in shown:
                    data.clear()
                    data.update(content["data"])
                continue
            if kind in ("display_data", "execute_result"):
                content["data"] = from_dict(content["data"])  # nbval keeps this very object as the output
                shown.append(content["data"])
            return message

    IPyNbCell.compare_outputs, IPyNbCell.runtest = compare_outputs, runtest
    IPyNbFile.get_kernel_message, RunningKernel.await_reply = get_kernel_message, await_reply


@pytest.fixture(scope="module")
def one_thread():
    """On tensors as small as ours a second thread only waits, and on a busy machine it waits long."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def missing(reason: str) -> NoReturn:
    """What a test needs is not on this machine. In CI, whatever $CI says, the test fails, elsewhere it is skipped."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    from tests.jupyter_page import NoChromium, chromium  # imported here: notebooks alone need no browser

    with contextlib.ExitStack() as stack:
        try:
            started = stack.enter_context(chromium())
        except NoChromium as reason:
            missing(str(reason))
        yield started


@pytest.fixture(scope="module")
def jupyter(browser, tmp_path_factory):
    """A JupyterLab in a folder of its own."""
    from tests.jupyter_page import jupyter_lab

    with jupyter_lab(tmp_path_factory.mktemp("jupyter")) as running:
        yield running


@pytest.fixture(scope="module")
def notebook(browser, jupyter, case):
    """JupyterLab with the lab of the module's `case` after run-all; a test starts where the last one left it."""
    from tests.any_lab import opened

    yield from opened(browser, jupyter, case)


@pytest.fixture(scope="module")
def twin(case):
    """The same lab in the Python of the test."""
    return case.make()
