"""What is installed and run for the proof with another torch or Python; nothing is, here."""

import subprocess
from pathlib import Path

import pytest

from tools import other_torch, proof
from tools.installation import InstallationTrouble
from tools.notebooks import find
from tools.second_environment import STAMP, python_of

ROOT = other_torch.ROOT


@pytest.fixture
def done(monkeypatch, tmp_path):
    """A workshop of two pins; what was installed there, and what was run."""
    (tmp_path / "requirements.txt").write_text("# torch==1 is old\ntorch==2.13.0\nnumpy==2.4.6\n")
    installed, ran = [], []

    def make(env, *installs, python):
        installed.append((env, installs, python, (env / STAMP).exists()))
        return python_of(env)

    monkeypatch.setattr(other_torch, "ROOT", tmp_path)
    monkeypatch.setattr(other_torch, "make", make)
    monkeypatch.setattr(other_torch, "step", lambda what, *command: ran.append(command))
    monkeypatch.setattr(subprocess, "call", lambda command, cwd, env: ran.append((command, cwd, env)) or len(ran))
    return tmp_path, installed, ran


@pytest.mark.parametrize(
    ("arguments", "name", "pin", "python"),
    [
        (["--torch", "2.14.1"], "torch-2.14.1", "torch==2.14.1", ""),
        (["--python", "3.12"], "torch-2.13.0-python-3.12", "torch==2.13.0", "3.12"),
        (["--torch", "newest", "--python", "3.13"], "torch-newest-python-3.13", "torch", "3.13"),
    ],
)
def test_the_environment_holds_that_torch_and_all_else_as_pinned(done, arguments, name, pin, python):
    root, installed, _ = done
    env = root / "build" / name
    env.mkdir(parents=True)
    (env / STAMP).touch()
    assert proof.main(arguments) == 3  # what the third command said, which is pytest
    ((found, (locked, others), asked, kept),) = installed
    assert (found, asked) == (env, python)
    assert kept == (pin != "torch")  # the newest torch of last week is not that of today
    assert locked[1:] == ("--no-deps", "--require-hashes", "-r", "requirements.lock")
    assert others[1] == "-r" and others[3:] == ("-e", ".")
    assert Path(others[2]).read_text() == f"# torch==1 is old\n{pin}\nnumpy==2.4.6\n"


def test_there_the_arguments_are_told_and_cells_run_without_a_comparison(done):
    root, _, ran = done
    proof.main(["01", "--torch", "2.14.1", "--", "-n", "1", "-x"])
    imported, (told, *place), (tests, *same_place) = ran
    own = python_of(root / "build" / "torch-2.14.1")
    assert imported == (own, "-c", other_torch.FIRST_IMPORT)
    assert told == [own, "-m", "tools.signatures"] and place == same_place
    assert place[0] == root and place[1]["VIRTUAL_ENV"] == str(own.parents[1])
    assert tests[:6] == [own, "-m", "pytest", "--nbval-lax", "-m", "not browser"]
    assert tests[6:] == [
        *(f"--ignore={path}" for path in other_torch.NOT_OF_TORCH),
        *proof.tests_of(find("01")),
        *("-n", "1", "-x"),
    ]


def test_what_cannot_be_had_is_told_in_a_line(done, monkeypatch, capsys):
    def fail(*installs, python):
        raise InstallationTrouble("Python 3.9 is not installed here")

    monkeypatch.setattr(other_torch, "make", fail)
    for arguments, words in ((["--python", "3.9"], "Python 3.9"), (["--torch", "../x"], "`../x` is no version")):
        assert proof.main(arguments) == 2
        assert capsys.readouterr().err.startswith(f"workshop: {words}")
    assert done[2] == []


def test_what_is_left_out_is_there():
    assert [path for path in other_torch.NOT_OF_TORCH if not (ROOT / path).exists()] == []
