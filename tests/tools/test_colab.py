"""The cell that fetches the workshop on Google Colab, run as it stands beside a stand-in for Colab, and the badges."""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tools import colab
from tools.minutes import README, ROOT
from tools.notebooks import TEMPLATE, find, lessons
from utils import colab as start_up

STAND_IN = """
import os, sys, types

enabled = []
output = types.ModuleType("google.colab.output")
output.enable_custom_widget_manager = lambda: enabled.append(os.getcwd())
sys.modules |= {"google": output, "google.colab": output, "google.colab.output": output}
"""


def source(address: str, home) -> str:
    return "".join(colab.cell(address)["source"]).replace("/content/optimizer-workshop", str(home))


def git(folder, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    """The address of a repository that holds of the workshop what the cell needs."""
    (tmp_path / "origin" / "utils").mkdir(parents=True)
    (tmp_path / "origin" / "utils" / "__init__.py").touch()
    shutil.copy(start_up.__file__, tmp_path / "origin" / "utils")
    git(tmp_path / "origin", "init", "--quiet")
    git(tmp_path / "origin", "add", "utils")
    git(tmp_path / "origin", "commit", "--quiet", "--message=first")
    return (tmp_path / "origin").as_uri()


def on_colab(cell: str, folder) -> subprocess.CompletedProcess:
    """The cell run, and run again, in a Python of its own that takes itself for Colab's; then where it is."""
    program = f"{STAND_IN}for _ in range(2):\n    exec({cell!r})\nprint(enabled)\nprint(sys.modules['utils'].__file__)"
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)


def test_on_colab_the_cell_fetches_the_workshop_once_and_goes_where_answers_are_kept(repository, tmp_path):
    home, began = tmp_path / "home", tmp_path / "content"
    began.mkdir()
    ran = on_colab(source(repository, home), began)
    welcome, again, enabled, imported = ran.stdout.splitlines()
    assert (ran.stderr, welcome, again) == ("", start_up.WELCOME, start_up.WELCOME)
    assert enabled == str([str(home / "my-work")] * 2)
    assert imported == str(home / "utils" / "__init__.py")
    (home / "my-work" / "answers.json").write_text("{}")
    assert not on_colab(source(repository, home), began).stderr  # after "Restart session"
    assert (home / "my-work" / "answers.json").read_text() == "{}"


def test_a_wrong_address_is_told_in_one_line(tmp_path):
    ran = on_colab(source("file:///no/such/place", tmp_path / "home"), tmp_path)
    *_, last = ran.stderr.splitlines()
    assert ran.returncode and last.startswith("ConnectionError: Cannot reach file:///no/such/place: check the address")


def test_elsewhere_the_cell_does_nothing(capfd):
    before = os.getcwd(), list(sys.path)
    namespace = {}
    exec(source("file:///no/such/place", "/no/such/home"), namespace)
    assert set(namespace) == {"__builtins__", "sys"} and (os.getcwd(), sys.path) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("code", [0, 1])
def test_what_is_missing_is_installed_or_told(monkeypatch, tmp_path, code):
    asked, here = [], os.getcwd()
    monkeypatch.setattr(start_up, "MAY_LACK", ("json", "no-such-package"))
    monkeypatch.setattr(start_up, "COPIES", tmp_path / "my-work")
    monkeypatch.setattr(subprocess, "run", lambda command: asked.append(command) or SimpleNamespace(returncode=code))
    monkeypatch.setitem(sys.modules, "google", SimpleNamespace())
    output = SimpleNamespace(enable_custom_widget_manager=lambda: None)
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    try:
        start_up.start()
        assert code == 0
    except ConnectionError as error:
        assert code and "no-such-package" in str(error)
    finally:
        os.chdir(here)
    assert [command[-2:] for command in asked] == [["--quiet", "no-such-package"]]


def test_the_badges_of_the_readme_lead_to_every_lesson_on_colab():
    text = (ROOT / README).read_text(encoding="utf-8")
    assert colab.readme(text, colab.address()) == text, "python -m tools.colab"
    for lesson in lessons():
        assert text.count(colab.badge(lesson, colab.address())) == 1
    one = colab.badge(find("00"), "https://github.com/a/b")
    assert one.endswith("(https://colab.research.google.com/github/a/b/blob/main/notebooks/00-start-here.ipynb)")


def test_another_address_reaches_lessons_template_and_readme(tmp_path, capsys):
    for path in (ROOT / "pyproject.toml", ROOT / README, ROOT / TEMPLATE, find("00")):
        (tmp_path / path.relative_to(ROOT)).parent.mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / path.relative_to(ROOT))
    settings = tmp_path / "pyproject.toml"
    settings.write_text(settings.read_text(encoding="utf-8").replace(colab.address(), "https://github.com/a/b"))
    assert colab.main(root=tmp_path) == 0 and colab.main(root=tmp_path) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"Changed: notebooks/00-start-here.ipynb, {TEMPLATE}, README.md."
    assert second == "All name https://github.com/a/b."
    for path, count in ((f"notebooks/{find('00').name}", 1), (TEMPLATE, None)):  # the template has not run
        cells = json.loads((tmp_path / path).read_text(encoding="utf-8"))["cells"]
        assert [cell for cell in cells if cell["id"] == "colab"] == [colab.cell("https://github.com/a/b", count=count)]
    assert "github/a/b/blob/main/notebooks/01-" in (tmp_path / README).read_text(encoding="utf-8")
