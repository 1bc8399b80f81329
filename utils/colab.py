"""What a lesson needs on Google Colab once its first cell has fetched the workshop: packages, a folder, its widgets."""

import importlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

COPIES = Path(__file__).resolve().parent.parent / "my-work"  # in a folder of this name answers are kept
MAY_LACK = ("anywidget", "tabulate")  # of what lessons import; all else Colab has had for years
WELCOME = "The workshop is here. Colab gives each notebook a machine of its own: your answers are gone when it ends."


def start() -> None:
    """Install what is missing, go where answers are kept, and have Colab draw anywidgets. Again: the same.

    Raises ConnectionError, with what to do, if a package cannot be had.
    """
    missing = [name for name in MAY_LACK if find_spec(name) is None]
    if missing and subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *missing]).returncode:
        raise ConnectionError(
            f"Cannot fetch the packages {', '.join(missing)}: wait a minute, then run this cell again."
        )
    importlib.invalidate_caches()
    COPIES.mkdir(exist_ok=True)
    os.chdir(COPIES)
    importlib.import_module("google.colab.output").enable_custom_widget_manager()
    print(WELCOME)
