"""What `workshop.py test --colab` says of a lesson, tried with the Python of the tests and a lesson of a few cells."""

import re
import sys
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat import v4

from tests.colab.__main__ import PINS, Colab
from tools import colab
from utils.machine import LESSONS_NEED

FINE = """
import os
from pathlib import Path
import google.colab
import utils

assert not os.environ["JPY_SESSION_NAME"]
assert Path.cwd().parts[-2:] == ("optimizer-workshop", "my-work")  # a copy: nobody's answers are touched
assert Path(utils.__file__).parents[1] == Path.cwd().parent
Path("kernel").write_text(str(os.getpid()))
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return Colab(tmp_path_factory.mktemp("colab"), Path(sys.executable))


def test_errors_and_warnings_are_told_and_nothing_else(page, tmp_path):
    cells = [v4.new_code_cell(source, id=id) for id, source in {
        "fine": FINE,
        "error": "1 / 0",
        "wanted": "1 / 0",
        "warning": "import sys\nprint('careful', file=sys.stderr)",
        "after": "print('an output')",
    }.items()]  # fmt: skip
    cells[2].metadata["tags"] = ["raises-exception"]
    notebook = v4.new_notebook(cells=[nbformat.from_dict(colab.cell(colab.address())), *cells])
    nbformat.write(notebook, tmp_path / "lesson.ipynb")
    assert page.run(tmp_path / "lesson.ipynb") == (
        ["cell error: ZeroDivisionError: division by zero"],
        ["cell warning wrote to stderr: careful"],
    )
    kernel = int((page.content / "optimizer-workshop" / "my-work" / "kernel").read_text())
    assert not psutil.pid_exists(kernel), "each lesson would leave a kernel and its memory to the next"


def test_every_package_that_lessons_import_has_its_version():
    pinned = set(re.findall(r"^([\w-]+)==", PINS.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(LESSONS_NEED) <= pinned
