"""Import what the lessons and JupyterLab import, once: it is compiled, the disk's cache holds it, and trouble shows.

All 12,000 files of the packages would take three times as long to compile as those that are used.
"""

import importlib
import subprocess
import sys

LESSONS = ("utils.checks", "utils.labs")
JUPYTERLAB = ("jupyterlab.labapp", "jupyter_server.services.kernels.handlers", "ipykernel.kernelapp")


def main() -> int:
    """Import everything, on two processors; exit code 1 and the reason in the last line if something does not load."""
    beside = f"import {', '.join(JUPYTERLAB)}"
    with subprocess.Popen([sys.executable, "-c", beside]) as jupyterlab:
        for name in LESSONS:
            importlib.import_module(name)
    return jupyterlab.returncode


if __name__ == "__main__":
    sys.exit(main())
