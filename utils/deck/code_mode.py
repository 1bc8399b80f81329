"""A notebook as a deck in JupyterLab, where code can be changed and run on the slide; for `present NUMBER --code`.

The extension jupyterlab-slideshow keeps "the deck is on" among the user's settings: left as it is, the next JupyterLab
would open without its menus. So this JupyterLab has settings and workspaces of its own, which end with it.
"""

import base64
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import count
from math import ceil
from pathlib import Path

from utils.copies import COPIES, STILL, place, read, student_copy, written

DECK = "jupyterlab-slideshow"
FONTS = "@deathbeds/jupyterlab-fonts"  # which it needs
FONT_SIZES = {"content-font-size1": "22px", "code-font-size": "18px"}  # readable from the back row
SAVE_EVERY = 2  # seconds
LAST_SAVE = 5  # seconds to wait for it at the end: JupyterLab saves less often where saving takes long

MODES = ("editMode", "commandMode:not(.jp-mod-readWrite) :focus")  # of a notebook, as JupyterLab's own shortcuts say it
PRESENTING = "body[data-jp-deck-mode='presenting']"
DECK_STYLE = {  # what the extension leaves to us, in its own words
    # All of the window but a strip at the right, where the buttons stand one above the other, on no text.
    f"{PRESENTING} .jp-Deck.jp-NotebookPanel": {"left": "12px", "right": "44px", "place-content": "flex-start"},
    f"{PRESENTING} .jp-Deck-Remote-directions > div": {"flex-direction": "column"},
    f"{PRESENTING} .jp-Deck-Remote button": {"padding": "2px 6px"},
    f"{PRESENTING} .jp-Deck-Remote button svg": {"width": "26px", "height": "26px", "display": "block"},
    # The notebook's toolbar, seen when the mouse is there, has the last lines of the window: it lay over the code.
    f"{PRESENTING} .jp-Deck .jp-NotebookPanel-toolbar": {"top": "auto !important"},
    f"{PRESENTING} .jp-Deck .jp-Notebook": {"max-height": "calc(100vh - 32px)"},
    # Fragments that are yet to come take no room, so nobody scrolls to an empty place.
    f"{PRESENTING} .jp-Deck .jp-Cell.jp-deck-mod-onscreen:not(.jp-deck-mod-visible)": {"display": "none"},
}


# The copy


@contextmanager
def live_copy(original: Path, *, root: Path) -> Iterator[Path]:
    """A copy of the notebook under a name that was free; at the end it goes if nobody has changed a cell."""
    (root / COPIES).mkdir(exist_ok=True)
    notebook = live_notebook(read(original))
    content = json.dumps(notebook, ensure_ascii=False, indent=1).encode() + b"\n"
    for number in count(1):
        again = f"-{number}" if number > 1 else ""
        copy = root / COPIES / f"{original.stem}.live-{date.today()}{again}.ipynb"
        with written(content, copy) as finished:
            if place(finished, copy):
                break
    try:
        yield copy
    finally:
        if _has_cells(copy, notebook["cells"]):
            copy.unlink()
            (copy.parent / ".ipynb_checkpoints" / f"{copy.stem}-checkpoint.ipynb").unlink(missing_ok=True)


def _has_cells(copy: Path, cells: list) -> bool:
    """Whether these are its cells; what JupyterLab notes about its kernel does not count. False if it is torn."""
    try:
        return read(copy)["cells"] == cells
    except (OSError, ValueError):
        return False


def live_notebook(original: dict) -> dict:
    """The notebook as a student first sees it, so that what is shown has run; in pages that the window holds.

    The extension shows a slide and its fragments on one page, however long that gets, and steps over subslides when one
    goes to the right. So each subslide is a slide here, and a fragment that has no room begins another one.
    """
    outputs = {cell.get("id"): cell.get("outputs", []) for cell in original["cells"]}
    live, used = student_copy(original), 0
    for cell in live["cells"]:
        slideshow = cell["metadata"].setdefault("slideshow", {})
        if slideshow.get("slide_type") == "skip":
            continue
        needed = _height(cell, outputs.get(cell.get("id"), []))
        if slideshow.get("slide_type") in ("slide", "subslide") or used + needed > WINDOW:
            slideshow["slide_type"], used = "slide", 0
        used += needed
    return live


WINDOW = 720 - 32  # the height for which pages are made, in CSS pixels at a width of 1280


def _height(cell: dict, outputs: list) -> int:
    """About as high as it will be when it has run, in CSS pixels."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "code":
        return 18 + 25 * _lines(source, 105) + sum(map(_output_height, outputs))
    return _text_height(source)


def _text_height(markdown: str) -> int:
    height = 50 * markdown.count("$$") // 2
    for line in markdown.splitlines():
        if heading := re.match("#+ ", line):
            height += {2: 85, 3: 75}.get(len(heading[0]), 60)
        else:
            height += 36 * _lines(line, 98) if line else 14
    return height


def _output_height(output: dict) -> int:
    shown = {kind: content if isinstance(content, str) else "".join(content) for kind, content in _shown(output)}
    page, png = shown.get("text/html", ""), shown.get("image/png", "")
    if STILL in page:
        return WINDOW
    if png or (found := re.search(r'\bwidth="(\d+)".*?;base64,([\w+/=]+)', page)):
        head = base64.b64decode((png or found[2])[:64])
        wide, high = (int.from_bytes(head[i : i + 4], "big") for i in (16, 20))
        return round(high * (1 if png else int(found[1]) / wide)) + 40
    if page:  # a table or a verdict
        return _text_height(re.sub("<[^>]*>", "", re.sub(r"<br>|</(p|tr|li|div)>", "\n", page))) + 20
    if "text/markdown" in shown:
        return _text_height(shown["text/markdown"]) + 20
    return 6 + 24 * _lines(shown.get("text/plain", ""), 105)


def _shown(output: dict) -> Iterable[tuple[str, str | list]]:
    return output["data"].items() if "data" in output else [("text/plain", output.get("text", ""))]


def _lines(text: str, columns: int) -> int:
    return sum(ceil(max(len(line), 1) / columns) for line in text.splitlines())


# JupyterLab


def surroundings(folder: Path, setup: str) -> dict[str, str]:
    """Environment variables for a JupyterLab that starts as a deck and keeps in `folder` whatever it keeps.

    Its kernel runs the notebook's set-up whenever it starts: that cell is on no slide.
    """
    script = folder / "setup.ipy"
    script.write_text(setup, encoding="utf-8")
    kernel = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel += [f"--IPKernelApp.exec_files={script}"]
    run = {"command": "notebook:run-cell", "keys": ["Shift Enter"]}  # and stay, for the next cell is on another page
    files = {
        f"settings/{DECK}/plugin.jupyterlab-settings": {"active": True},
        "settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings": {"overrides": FONT_SIZES},
        f"settings/{FONTS}/fonts.jupyterlab-settings": {"styles": DECK_STYLE},
        "settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"codeCellConfig": {"lineWrap": True}},
        "settings/@jupyterlab/docmanager-extension/plugin.jupyterlab-settings": {
            "autosave": True,
            "autosaveInterval": SAVE_EVERY,
            # Two saves that meet would each take the other for somebody else's, and a dialog would stand on the slide.
            "lastModifiedCheckMargin": 60_000,
        },
        "settings/@jupyterlab/shortcuts-extension/shortcuts.jupyterlab-settings": {
            "shortcuts": [run | {"selector": f".jp-Deck .jp-Notebook.jp-mod-{mode}"} for mode in MODES]
        },
        "config/labconfig/page_config.json": {"disabledExtensions": {DECK: False, FONTS: False}},
        "data/kernels/python3/kernel.json": {"argv": kernel, "display_name": "Python 3", "language": "python"},
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return {
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTER_CONFIG_PATH": _first(folder / "config", "JUPYTER_CONFIG_PATH"),
        "JUPYTER_PATH": _first(folder / "data", "JUPYTER_PATH"),
    }


def _first(folder: Path, variable: str) -> str:
    return os.pathsep.join(filter(None, [str(folder), os.environ.get(variable)]))


def serve(notebook: Path, setup: str, *, root: Path, ip: str, port: int, open_browser: bool, said: Callable) -> int:
    """Run JupyterLab as a deck of this file until it ends; return its exit code. `said` gets the address."""
    token, host = secrets.token_hex(24), "127.0.0.1" if ip in ("0.0.0.0", "localhost") else ip
    file = notebook.relative_to(root).as_posix()
    command = [
        *(sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}", f"--LabApp.default_url=/lab/tree/{file}"),
        *(f"--ip={ip}", f"--port={port}", "--ServerApp.port_retries=0", "--ServerApp.answer_yes=True", "--allow-root"),
        *("--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"),
        *("--Application.log_level=CRITICAL", f"--ServerApp.open_browser={open_browser}"),
    ]
    with tempfile.TemporaryDirectory(prefix="deck-", ignore_cleanup_errors=True) as folder:
        environment = os.environ | surroundings(Path(folder), setup) | {"JUPYTER_TOKEN": token}
        own_group = {} if os.name == "nt" else {"start_new_session": True}  # Ctrl-C comes to us, and we end it
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, **own_group) as lab:
            try:
                said(f"http://{host}:{port}/lab/tree/{file}?token={token}")
                return lab.wait()
            except KeyboardInterrupt:
                print("\nSaving what was typed last; Ctrl-C again does not wait for it.", flush=True)
                time.sleep(LAST_SAVE)
                raise
            finally:
                lab.terminate()  # it ends its kernels
                try:
                    lab.wait(15)
                except subprocess.TimeoutExpired:
                    lab.kill()
