"""What stands around the code: the hooks of a commit and the citation. GitHub and pre-commit read them, not we."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
(REPO,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
HOOKS = {hook["id"]: hook for hook in REPO["hooks"]}
GOOD = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
UNKNOWN_FIELD = {
    "cell_type": "markdown",
    "id": "a",
    "metadata": {},
    "source": "",
    "colour": "red",
}  # nbformat.read takes it


def by_hand(hook: str, *paths: Path) -> int:
    """The exit code of a hook's entry for these files."""
    python, *entry = shlex.split(HOOKS[hook]["entry"])
    assert python == "python"
    return subprocess.run([sys.executable, *entry, *paths], cwd=ROOT, capture_output=True).returncode


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_runs_what_requirements_pin(hook):
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    assert set(HOOKS[hook].get("additional_dependencies", [])) <= set(pins)


@pytest.mark.parametrize(
    ("hook", "name", "good", "bad"),
    [
        ("ruff-check", "x.py", '"""A module."""\n', "import os\n"),
        ("nbformat", "x.ipynb", json.dumps(GOOD), json.dumps(GOOD | {"cells": [UNKNOWN_FIELD]})),
        ("nbformat", "x.ipynb", json.dumps(GOOD), "{"),
    ],
)
def test_a_hook_lets_the_good_pass_and_the_bad_not(hook, name, good, bad, tmp_path):
    path = tmp_path / name
    path.write_text(good, encoding="utf-8")
    assert by_hand(hook, path) == 0
    other = tmp_path / f"other-{name}"
    other.write_text(bad, encoding="utf-8")
    assert by_hand(hook, path, other) != 0


def test_the_format_hook_formats(tmp_path):
    path = tmp_path / "x.py"
    path.write_text("x = ( 1 )\n")
    assert by_hand("ruff-format", path) == 0
    assert path.read_text() == "x = 1\n"


def test_every_lesson_is_refreshed_and_nothing_else():
    lessons = [f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")]
    assert lessons and all(re.search(HOOKS["refresh"]["files"], lesson) for lesson in lessons)
    for other in ("my-work/01-optimizer-concepts.ipynb", "notebooks/notes.ipynb", "notebooks/01-x.ipynb.txt"):
        assert not re.search(HOOKS["refresh"]["files"], other)
    assert "python3 workshop.py refresh" in (ROOT / "workshop.py").read_text(encoding="utf-8")


def test_the_citation_is_one_by_the_schema_and_of_this_version():
    path = ROOT / "CITATION.cff"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.citation-file-format", str(path)]
    assert subprocess.run(command, capture_output=True).returncode == 0
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)[1]
    cited = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert cited["version"] == version
    assert f"## [{version}] - {cited['date-released']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
