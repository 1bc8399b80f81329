"""What JupyterLab is told, with and without the launcher; that it obeys is shown in test_launcher.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import settings

ROOT = Path(__file__).resolve().parents[2]


def test_what_else_stands_in_a_file_stays(tmp_path):
    (file, *_) = settings.write(tmp_path)
    theirs = {"LabApp": {"news_url": "https://a", "extensions_in_dev_mode": True}, "ServerApp": {"port": 9}}
    file.write_text(json.dumps(theirs))
    assert file in settings.write(tmp_path)
    merged = json.loads(file.read_text())
    assert merged["LabApp"]["news_url"] is None and merged["LabApp"]["extensions_in_dev_mode"]
    assert merged["ServerApp"] == {"port": 9}


@pytest.mark.parametrize("held", ["", "[]", '{"LabApp": 3}', "// a comment\n{}"])
def test_a_file_that_holds_no_settings_is_put_aside(tmp_path, held):
    (file, *_) = settings.write(tmp_path)
    file.write_text(held)
    settings.write(tmp_path)
    assert json.loads(file.read_text()) == settings.SETTINGS["etc/jupyter/jupyter_lab_config.json"]
    assert Path(f"{file}.damaged").read_text() == held
    file.write_text('{"ServerApp": {"port": 9}}', encoding="utf-8-sig")  # as an editor of Windows may write it
    settings.write(tmp_path)
    assert json.loads(file.read_text())["ServerApp"] == {"port": 9}


def test_one_command_sets_it_without_the_launcher(tmp_path):
    env = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", env], check=True)
    python = env / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ran = subprocess.run([python, "-m", "tools.settings"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name, content in settings.SETTINGS.items():
        assert json.loads((env / name).read_text()) == content
        assert str(Path(name)) in ran.stdout


def test_the_command_is_documented():
    for page in ("README.md", "assets/teaching-guide.md"):
        assert "python -m tools.settings" in (ROOT / page).read_text(encoding="utf-8")
