"""What runs on GitHub cannot run here: its files are held to GitHub's own schema, and to the commands that exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def problems(path: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_one_by_the_schema(path):
    found = problems(path)
    assert found.returncode == 0, found.stdout


def test_a_slip_is_noticed(tmp_path):
    text = WORKFLOWS[0].read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(text.replace("runs-on:", "run-on:", 1), encoding="utf-8")
    assert problems(wrong).returncode


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_the_commands_of_a_workflow_exist(path):
    text = path.read_text(encoding="utf-8")
    launched = re.findall(r"workshop\.py (\w+)", text)
    lines = re.findall(r"^    python3 workshop\.py ([\w|]+)", (ROOT / "workshop.py").read_text(encoding="utf-8"), re.M)
    assert launched and set(launched) <= {command for line in lines for command in line.split("|")}
    assert all((ROOT / script).exists() for script in re.findall(r"run: (\.ci/\w+)", text))
