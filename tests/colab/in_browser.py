"""The three labs in the classic notebook, which draws ipywidgets 7: a slider of each moves its picture."""

import contextlib
import secrets
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator

from playwright.sync_api import Page, TimeoutError, expect

from tests.support.jupyter_page import write_notebook
from tools.browser import browser
from tools.notebooks import find, has_tag

TRIED = ("find_edge", "race", "design_schedule")


@contextlib.contextmanager
def classic_notebook(colab) -> Iterator[str]:
    """The address of a notebook with the labs, behind the first cell of a lesson, in a running classic notebook."""
    (fetch,) = (cell.source for cell in colab.opened(find("00")).cells if has_tag(cell, "colab"))
    cells = [fetch, f"from utils.labs import {', '.join(TRIED)}", *(f"{lab}()" for lab in TRIED)]
    write_notebook(colab.content / "labs.ipynb", *cells)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port, token = free.getsockname()[1], secrets.token_hex(16)
    command = [colab.python, "-m", "notebook", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += [f"--NotebookApp.token={token}", "--port-retries=0", f"--notebook-dir={colab.content}"]
    own = {f"JUPYTER_{name}_DIR": str(colab.content / f".{name.lower()}") for name in ("CONFIG", "RUNTIME", "DATA")}
    log = colab.content / "notebook.log"
    with log.open("w") as output:
        server = subprocess.Popen(command, env=colab.variables | own, stdout=output, stderr=subprocess.STDOUT)
        try:
            address = f"http://127.0.0.1:{port}"
            await_answer(address, server)
            yield f"{address}/notebooks/labs.ipynb?token={token}"
        finally:
            server.terminate()
            server.wait(30)


def await_answer(address: str, server: subprocess.Popen) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"{address}/api", timeout=5).close()
        time.sleep(0.1)
    raise RuntimeError("the classic notebook did not start: see build/colab/content/notebook.log")


def moved_labs(colab) -> Iterator[str]:
    """What is wrong with the labs: none is drawn, a key on its slider does not move it, an error in the page."""
    with classic_notebook(colab) as address, browser() as chromium:
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        errors = []
        page.on("pageerror", lambda error: errors.append(f"the page raised {error}"))
        page.goto(address)
        page.wait_for_function("window.Jupyter?.notebook?.kernel?.is_connected()", timeout=90_000)
        page.evaluate("Jupyter.notebook.execute_all_cells()")
        for place, lab in enumerate(TRIED):
            try:
                move(page, place)
                page.locator(".workshop-lab").nth(place).screenshot(path=colab.content / f"{lab}.png")
            except (AssertionError, TimeoutError) as error:
                yield f"{lab}: {str(error).splitlines()[0]}"
        yield from errors
        for text in page.locator(".output_error, .output_stderr").all_inner_texts():
            yield text.strip().splitlines()[-1]


def move(page: Page, place: int) -> None:
    """Press an arrow on a slider for an lr in the lab at this place; its picture says something else then."""
    lab = page.locator(".workshop-lab").nth(place)
    plot = lab.locator("svg.workshop-plot")
    expect(plot).to_be_visible(timeout=120_000)
    before = plot.get_attribute("aria-label")
    lab.get_by_role("slider", name="lr").locator("visible=true").first.press("ArrowRight")
    expect(plot).not_to_have_attribute("aria-label", before)
