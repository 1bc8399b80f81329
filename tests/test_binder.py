"""What Binder does, as `repo2docker --no-build --debug .` prints it: `pip install -r binder/requirements.txt`, then
binder/postBuild, both in the workshop's folder."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tools.notebooks import lessons
from utils.machine import OLDEST_PYTHON

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Binder is a Linux")
ROOT = Path(__file__).resolve().parents[1]
BINDER = ROOT / "binder"


def test_the_files_that_the_requirements_name_are_where_pip_looks():
    lines = (BINDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    options = dict(line.split() for line in lines if not line.startswith("#"))
    assert (BINDER / options["-r"]).samefile(ROOT / "requirements.txt")  # from the file that names it
    assert (ROOT / options["-e"] / "pyproject.toml").is_file()  # from the folder in which pip runs
    python = (BINDER / "runtime.txt").read_text(encoding="utf-8").strip()
    assert python == "python-" + ".".join(map(str, OLDEST_PYTHON))


@pytest.mark.skipif(not find_spec("repo2docker"), reason="Binder's repo2docker, which a job of its own installs in CI")
def test_repo2docker_finds_the_python_the_packages_and_the_script():
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert re.search(r"for python=([\d.]+)", said)[1] == ".".join(map(str, OLDEST_PYTHON))
    assert re.findall(r"pip install .* -r (\S+)", said) == ['"binder/requirements.txt"']
    assert re.findall(r"^RUN (\./\S+)", said, re.M) == ["./binder/postBuild"]


def test_the_address_that_is_to_be_opened_is_that_of_the_first_copy():
    """What stands behind it, under the prefix of a user, is opened by test_copies.py, and its lab driven."""
    first = f"/lab/tree/my-work/{lessons()[0].name}"
    for page in ("README.md", "assets/teaching-guide.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert re.findall(r"`(/lab/tree/my-work/[^`]*)`", text) == [first], page


def test_afterwards_the_copies_are_there_and_jupyterlab_has_its_settings(tmp_path):
    folder, env = tmp_path / "workshop", tmp_path / "env"
    for part in ("binder", "notebooks", "tools", "utils", "assets"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    # A Python of its own, for the settings go into its environment; the packages are those of the tests.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", env], check=True)
    packages = os.pathsep.join(filter(None, (str(Path(each)) for each in sys.path if "site-packages" in each)))
    found = os.environ | {"PATH": f"{env / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": packages}
    done = subprocess.run(["bash", "binder/postBuild"], cwd=folder, env=found, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (folder / "my-work").glob("*.ipynb")} == {path.name for path in lessons()}
    assert (env / "share/jupyter/lab/settings/overrides.d/workshop.json").is_file()
    assert os.access(BINDER / "postBuild", os.X_OK)
