"""What is asked of pip for an environment beside the first one, and when: nothing is installed here."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tools import second_environment
from tools.installation import InstallationTrouble
from tools.second_environment import interpreters, make, python_of


@pytest.fixture
def asked(monkeypatch):
    """The commands that would have made an environment and installed into it."""
    commands = []

    class Installers:
        def __init__(self, env, python):
            assert python == python_of(env)

        def install(self, what, *words):
            commands.append(words)

    def step(what, *command):
        commands.append(command)
        shutil.rmtree(command[-1], ignore_errors=True)  # --clear
        Path(command[-1]).mkdir(parents=True)

    monkeypatch.setattr(second_environment, "step", step)
    monkeypatch.setattr(second_environment, "Installers", Installers)
    monkeypatch.setattr(second_environment, "torch_from", lambda installers: ["--extra-index-url=cpu"])
    return commands


def test_it_is_made_once_and_anew_when_what_it_is_made_of_has_changed(asked, tmp_path):
    pins = tmp_path / "pins.txt"
    pins.write_text("torch==1")
    installs = ("Hashed", "--require-hashes", "-r", "requirements.lock"), ("Others", "-r", str(pins))
    env = tmp_path / "build" / "env"
    assert make(env, *installs) == python_of(env)
    assert asked == [
        (Path(sys.executable), "-m", "venv", "--clear", env),
        ("--require-hashes", "-r", "requirements.lock"),
        ("-r", str(pins), "--extra-index-url=cpu"),
    ]
    asked.clear()
    make(env, *installs)
    assert asked == []
    pins.write_text("torch==2")
    make(env, *installs)
    assert len(asked) == 3


HERE = "{}.{}".format(*sys.version_info)
OTHER = "3.13" if HERE == "3.12" else "3.12"


@pytest.fixture
def another_python(monkeypatch, tmp_path):
    """A Python of pyenv's, as far as one can tell from outside."""
    if os.name == "nt":
        pytest.skip("a script in place of Python")
    python = tmp_path / f".pyenv/versions/{OTHER}.9/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\necho {OTHER}\n")
    python.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return python


def test_another_python_that_is_installed_makes_it(asked, another_python, tmp_path):
    make(tmp_path / "env", python=OTHER)
    assert asked[0][0] == interpreters()[OTHER] == another_python


def test_a_python_that_is_not_installed_is_told_with_those_that_are(asked, another_python, tmp_path):
    with pytest.raises(InstallationTrouble, match=rf"Python 3\.9 is not installed .* there is .*{HERE}"):
        make(tmp_path / "env", python="3.9")
    assert asked == []
