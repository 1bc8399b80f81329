"""A real JupyterLab and a real Chromium, for the tests of the labs and benchmarks/labs.py."""

import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tools.copies import WHERE_ONE_WAS

ROOT = Path(__file__).parents[2]
PREFIX = "/user/x"  # as behind Binder and a JupyterHub: an address that forgets it leads nowhere
expect.set_options(timeout=30_000)  # 5 s are too few for a kernel or a page beside others that compute


def missing(reason: str) -> NoReturn:
    """What a test needs is not on this machine. In CI, whatever $CI says, the test fails, elsewhere it is skipped."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@dataclass(frozen=True)
class Jupyter:
    """A running JupyterLab: its folder of notebooks, its address, its log."""

    root: Path
    url: str
    token: str
    log: Path

    def address(self, notebook: str) -> str:
        return f"{self.url}/lab/tree/{notebook}?token={self.token}&reset"


@contextlib.contextmanager
def jupyter_lab(folder: Path) -> Iterator[Jupyter]:
    """JupyterLab of the running Python, which sees only `folder/notebooks` and keeps all it writes in `folder`."""
    root, token = folder / "notebooks", secrets.token_hex(16)
    root.mkdir(exist_ok=True)
    own = {
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
        "IPYTHONDIR": folder / "ipython",
    }
    command = [
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--ip=127.0.0.1", "--port=0"),
        *(f"--ServerApp.root_dir={root}", f"--ServerApp.base_url={PREFIX}/", f"--IdentityProvider.token={token}"),
        *("--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"),
        WHERE_ONE_WAS,
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
    ]
    environment = os.environ | {name: str(path) for name, path in own.items()}
    # Saved when a test says so: a save that meets JupyterLab's own one takes the file for changed, and asks.
    settings = folder / "settings/@jupyterlab/docmanager-extension/plugin.jupyterlab-settings"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text('{"autosave": false}')
    log = folder / "jupyter.log"
    with log.open("w") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield Jupyter(root, _address(server, folder / "runtime", log), token, log)
        finally:
            server.terminate()  # it ends its kernels
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _address(server: subprocess.Popen, runtime: Path, log: Path) -> str:
    """Where the server answers, on a port that it took itself, as it says in a file once it listens."""
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        try:
            port = json.loads((runtime / f"jpserver-{server.pid}.json").read_text())["port"]
            address = f"http://127.0.0.1:{port}{PREFIX}"
            urllib.request.urlopen(f"{address}/api", timeout=5).close()
            return address
        except (OSError, ValueError):  # no file yet, half a file, no answer yet
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


def write_notebook(path: Path, *sources: str) -> None:
    cells = [nbformat.v4.new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(sources)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)


def _whole(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")))
    except ValueError:
        return False


@dataclass
class NotebookPage:
    """A notebook open in JupyterLab, and what its console reported as errors."""

    page: Page
    errors: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, browser: Browser, jupyter: Jupyter, notebook: str) -> "NotebookPage":
        self = cls(browser.new_page(viewport={"width": 1400, "height": 1000}))
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(jupyter.address(notebook))
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=180_000)
        return self

    def menu(self, name: str, item: str) -> None:
        self.page.get_by_role("menuitem", name=name, exact=True).click()
        self.page.get_by_role("menuitem", name=item, exact=True).click()

    def run_all(self, shown: str = "svg.workshop-plot") -> None:
        """Run every cell and wait until what `shown` selects is there."""
        expect(self.page.locator(".jp-Toolbar-kernelName").first).to_contain_text("Python 3", timeout=90_000)
        at_work = self.page.locator(".jp-Notebook-ExecutionIndicator").first  # else what is to be run is dropped
        expect(at_work).to_have_attribute("data-status", re.compile("idle|busy"), timeout=90_000)
        never_run = self.page.locator(".jp-CodeCell .jp-InputPrompt").first.filter(has_text="[ ]")
        for _ in range(3):  # JupyterLab drops the request, without a word, while its kernel is still connecting
            self.page.locator(".jp-Notebook .jp-Cell").first.click()
            self.menu("Run", "Run All Cells")
            try:
                expect(never_run).to_have_count(0, timeout=8_000)
                break
            except AssertionError:
                continue
        self.page.locator(shown).first.wait_for(timeout=180_000)

    def choose_theme(self, theme: str) -> None:
        """As a user does: in the menu of settings."""
        light = str("Light" in theme).lower()
        if self.page.evaluate("document.body.dataset.jpThemeLight") == light:
            return
        self.page.get_by_role("menuitem", name="Settings", exact=True).click()
        items = self.page.locator(".lm-Menu-item")
        items.filter(has_text=re.compile(r"^Theme\s*$")).hover()
        items.filter(has_text=re.compile(rf"^{theme}\s*$")).click()
        self.page.wait_for_function("light => document.body.dataset.jpThemeLight === light", arg=light)

    def save(self, path: Path) -> None:
        before = path.stat().st_mtime_ns
        self.page.locator(".jp-Notebook .jp-Cell").first.click()
        self.page.keyboard.press("ControlOrMeta+s")
        end = time.monotonic() + 20
        while path.stat().st_mtime_ns == before:
            if time.monotonic() > end:
                raise RuntimeError(f"{path.name} was not saved")
            self.page.wait_for_timeout(50)
        while not _whole(path):  # the server empties a file before it writes it
            if time.monotonic() > end:
                raise RuntimeError(f"{path.name} was saved in part")
            self.page.wait_for_timeout(50)

    def handle(self, label: str) -> Locator:
        return self.page.get_by_role("slider", name=label, exact=True)

    def readout(self, label: str) -> Locator:
        """The number beside a slider."""
        return self.page.locator(".widget-slider").filter(has=self.handle(label)).locator(".widget-readout")

    @property
    def plot(self) -> Locator:
        """The picture of the lab that is in view; a page may hold others, on other slides say."""
        return self.page.locator("svg.workshop-plot:visible:not([aria-hidden=true] *)")

    @property
    def alt(self) -> str:
        return self.plot.get_attribute("aria-label")
