"""What a lesson meets on Google Colab: `workshop.py test --colab [NUMBER ...]` runs the lessons with Colab's versions.

It installs requirements.txt, beside this file, into build/colab and copies the workshop to where a lesson's first cell
looks for it. Every cell then runs with a stand-in for `google.colab`; errors count, digits do not. Last, the three labs
are moved in a browser, in the classic notebook: it draws ipywidgets 7, as Colab's own page does, which is not at hand.
"""

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.colab.in_browser import TRIED, moved_labs
from tests.support.jupyter_page import ROOT
from tools.browser import NoBrowser
from tools.installation import InstallationTrouble, ask
from tools.notebooks import UnknownLesson, find_all, number_of
from tools.second_environment import interpreters, make

FOLDER, PINS = ROOT / "build" / "colab", Path(__file__).with_name("requirements.txt")
PYTHON = "3.13"
CELL_SECONDS = 300
CONTENT = "/content"  # where a notebook begins on Colab
KEPT_OUT = shutil.ignore_patterns(".*", "build", "my-work", "wheels", "__pycache__")


def install() -> Path:
    """The Python of an environment with the pinned packages, made anew if the pins have changed.

    Raises InstallationTrouble, with what to do, if a package cannot be had.
    """
    there = PYTHON in interpreters()
    if not there:
        print(f"Python {PYTHON} is not installed here, so {sys.version.partition(' ')[0]} takes its place.")
    return make(FOLDER / "env", ("Installing Colab's versions", "-r", str(PINS)), python=PYTHON if there else "")


class Colab:
    """A folder that is to a kernel of this Python what `/content` is on Colab, with the workshop and `google.colab`."""

    def __init__(self, folder: Path, python: Path):
        self.content, self.python = folder / "content", python
        shutil.rmtree(self.content, ignore_errors=True)
        shutil.copytree(ROOT, self.content / "optimizer-workshop", ignore=KEPT_OUT)
        module = self.content / ".stand-in" / "google" / "colab"
        module.mkdir(parents=True)
        (module / "__init__.py").touch()
        (module / "output.py").write_text("def enable_custom_widget_manager(): ...\n")
        startup = self.content / ".ipython" / "profile_default" / "startup" / "colab.py"
        startup.parent.mkdir(parents=True)
        startup.write_text("import google.colab\n")
        self.variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.variables |= {"PYTHONPATH": str(self.content / ".stand-in"), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        self.variables |= {"IPYTHONDIR": str(self.content / ".ipython"), "JPY_SESSION_NAME": ""}

    def opened(self, lesson: Path) -> nbformat.NotebookNode:
        """The lesson as Colab opens it from GitHub: one file and nothing beside it."""
        text = lesson.read_text(encoding="utf-8").replace(f"{CONTENT}/", f"{json.dumps(str(self.content))[1:-1]}/")
        return nbformat.reads(text, as_version=4)

    def run(self, lesson: Path) -> tuple[list[str], list[str]]:
        """The errors of all cells of the lesson, and what they wrote to stderr."""
        notebook, kernels = self.opened(lesson), KernelSpecManager(ensure_native_kernel=False)
        argv = [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        kernels.get_kernel_spec = lambda name: KernelSpec(argv=argv, display_name=name, language="python")
        manager = AsyncKernelManager(kernel_spec_manager=kernels)
        client = NotebookClient(notebook, km=manager, timeout=CELL_SECONDS, allow_errors=True)
        client.execute(cleanup_kc=True, cwd=str(self.content), env=self.variables)
        errors, warnings = [], []
        for cell in notebook.cells:
            expected = "raises-exception" in cell.metadata.get("tags", ())
            for output in cell.get("outputs", ()):
                if output.output_type == "error" and not expected:
                    errors.append(f"cell {cell.id}: {output.ename}: {output.evalue}")
                elif output.get("name") == "stderr":
                    warnings.append(f"cell {cell.id} wrote to stderr: {output.text.strip()}")
        return errors, warnings


def main(arguments: list[str] | None = None) -> int:
    """Run the lessons and move the labs; exit code 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="workshop.py test --colab", description=__doc__.partition("\n")[0])
    parser.add_argument("number", nargs="*", help="of a lesson, such as 1, 01 or 02a; none: all")
    try:
        chosen = find_all(parser.parse_args(arguments).number)
        colab = Colab(FOLDER, install())
    except (UnknownLesson, InstallationTrouble) as trouble:
        print(f"workshop: {trouble}", file=sys.stderr)
        return 2
    versions = "import sys, torch, ipywidgets, IPython; print(sys.version.split()[0], torch.__version__, "
    versions += "ipywidgets.__version__, IPython.__version__)"
    print("Python {}, torch {}, ipywidgets {}, IPython {}".format(*ask(colab.python, "-c", versions).split()))
    wrong = 0
    for lesson in chosen:
        began = time.monotonic()
        errors, warnings = colab.run(lesson)
        wrong += len(errors)
        counts = f"{len(errors)} errors, {len(warnings)} warnings, {time.monotonic() - began:.0f} s"
        print(f"{number_of(lesson)}: {counts}", *errors, *warnings, sep="\n   ", flush=True)
    try:
        problems = list(moved_labs(colab))
    except NoBrowser as reason:
        problems = [str(reason)]
    print(f"the labs {', '.join(TRIED)} in a browser: {len(problems)} problems", *problems, sep="\n   ")
    return int(bool(wrong + len(problems)))


if __name__ == "__main__":
    sys.exit(main())
