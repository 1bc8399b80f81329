"""What nbval lacks: pictures are compared, a dead kernel is noticed at once, displays may be updated.

pyproject.toml loads this plugin (`-p tests.support.nbval_extension`), so it also holds when only a notebook is named.
It replaces four methods of nbval 0.11; test_nbval_extension.py says so when they are no longer what it expects.
"""

import utils  # noqa: F401 - before NumPy is loaded: it says how to round, here and in every kernel

# isort: split
import base64
import html
import io
import re
import time
from queue import Empty

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
