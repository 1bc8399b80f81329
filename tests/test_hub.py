"""What a hub starts for a student, assets/hub/start, with a stand-in for JupyterHub's server."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.notebooks import lessons

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a hub is a Linux")
ROOT = Path(__file__).resolve().parents[1]
STAND_IN = '#!/bin/bash\necho "in $PWD:" "$@"\n'


@pytest.fixture
def shared(tmp_path):
    """The installation that all share, as a git repository, and the stand-in on the PATH."""
    folder = tmp_path / "shared"
    for part in ("assets", "notebooks", "tools", "utils"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "--quiet"], ["add", "."], [*author, "commit", "--quiet", "--message=all"]):
        own = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}  # whoever runs this may sign, or have hooks
        subprocess.run(["git", *words], cwd=folder, check=True, env=own)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/jupyterhub-singleuser").write_text(STAND_IN)
    (tmp_path / "bin/jupyterhub-singleuser").chmod(0o755)
    return folder


def start(shared, home):
    home.mkdir(exist_ok=True)
    path = os.pathsep.join([str(shared.parent / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # that of the tests
    variables |= {"HOME": str(home), "PATH": path, "GIT_CONFIG_NOSYSTEM": "1"}
    command = [shared / "assets/hub/start", "--port=1"]
    return subprocess.run(command, env=variables, cwd=home, capture_output=True, text=True)


def test_a_student_gets_copies_at_the_first_start_and_keeps_them_at_the_next(shared, tmp_path):
    home = tmp_path / "anna"
    ran = start(shared, home)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == f"in {home}: --port=1"
    copies = home / "optimizer-workshop/my-work"
    assert {path.name for path in copies.glob("*.ipynb")} == {path.name for path in lessons()}
    own = copies / "00-start-here.ipynb"
    own.write_text(own.read_text().replace("# 00 · Start here", "# Mine"))
    again = start(shared, home)
    assert again.returncode == 0, again.stderr
    assert "# Mine" in own.read_text()
    assert not (shared / "my-work").exists()


def test_a_student_gets_in_whatever_became_of_the_last_start(shared, tmp_path):
    home = tmp_path / "anna"
    (home / "optimizer-workshop.new/notebooks").mkdir(parents=True)  # the clone was killed
    assert start(shared, home).returncode == 0
    copies = home / "optimizer-workshop/my-work"
    assert len(list(copies.glob("*.ipynb"))) == len(lessons())
    shutil.rmtree(copies)
    copies.write_text("")  # no copies can be made, as where the quota is full
    ran = start(shared, home)
    assert ran.returncode == 0 and "no copy made in my-work/" in ran.stderr
    assert ran.stdout.splitlines()[-1] == f"in {home}: --port=1"


def test_the_hubs_settings_name_what_is_there():
    settings = (ROOT / "assets/hub/jupyterhub_config.py").read_text(encoding="utf-8")

    class Config(dict):
        __getattr__ = dict.__getitem__

        def __missing__(self, name):
            return self.setdefault(name, Config())

        __setattr__ = dict.__setitem__

    config = Config()
    exec(settings, {"get_config": lambda: config, "__file__": str(ROOT / "assets/hub/jupyterhub_config.py")})
    (command,) = config.Spawner.cmd
    assert os.access(command, os.X_OK)
    assert (ROOT / "notebooks" / Path(config.Spawner.default_url).name).is_file()
