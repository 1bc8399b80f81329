"""A notebook as a deck in JupyterLab, where code can be changed and run on the slide; for `present NUMBER --code`.

The extension jupyterlab-slideshow keeps "the deck is on" among the user's settings: left as it is, the next JupyterLab
would open without its menus. So this JupyterLab has settings and workspaces of its own, which end with it.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import count
from pathlib import Path

from utils.copies import COPIES, place, written

DECK = "jupyterlab-slideshow"
FONTS = "@deathbeds/jupyterlab-fonts"  # which it needs
FONT_SIZES = {"content-font-size1": "22px", "code-font-size": "20px"}  # readable from the back row


@contextmanager
def live_copy(original: Path, *, root: Path) -> Iterator[Path]:
    """A copy of the notebook under a name that was free; at the end it goes if nobody has changed it."""
    (root / COPIES).mkdir(exist_ok=True)
    content = original.read_bytes()
    for number in count(1):
        again = f"-{number}" if number > 1 else ""
        copy = root / COPIES / f"{original.stem}.live-{date.today()}{again}.ipynb"
        with written(content, copy) as finished:
            if place(finished, copy):
                break
    try:
        yield copy
    finally:
        if copy.exists() and copy.read_bytes() == content:
            copy.unlink()
            (copy.parent / ".ipynb_checkpoints" / f"{copy.stem}-checkpoint.ipynb").unlink(missing_ok=True)


def surroundings(folder: Path, setup: str) -> dict[str, str]:
    """Environment variables for a JupyterLab that starts as a deck and keeps in `folder` whatever it keeps.

    Its kernel runs the notebook's set-up whenever it starts: that cell is on no slide.
    """
    script = folder / "setup.ipy"
    script.write_text(setup, encoding="utf-8")
    kernel = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel += [f"--IPKernelApp.exec_files={script}"]
    files = {
        f"settings/{DECK}/plugin.jupyterlab-settings": {"active": True},
        "settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings": {"overrides": FONT_SIZES},
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
            finally:
                lab.terminate()  # it ends its kernels
                try:
                    lab.wait(15)
                except subprocess.TimeoutExpired:
                    lab.kill()
