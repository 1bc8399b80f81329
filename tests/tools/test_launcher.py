"""workshop.py as a student meets it: real environments, a real pip and a real uv, on copies that need no network.

A copy holds the real workshop.py and what opens a lesson, a project of a few lines that pip installs in a
second, and stand-ins for JupyterLab, pytest and the other tools, which write down how they were started.

To make an environment takes longer than all that a test looks at, so one test has it made, and the others get copies
of one. What does not depend on who installs is tested with pip only.
"""

import ast
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import zipfile
from functools import partial
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from tools import installation
from tools.alone import alone

WORKSHOP = Path(__file__).resolve().parents[2] / "workshop.py"
REAL = [f"tools/{name}.py" for name in ("__init__", "alone", "copies", "installation", "notebooks", "settings")]
INTERNALS = WORKSHOP.parent / "utils/internals"  # tools/copies.py writes its files by one of them
REAL += ["utils/__init__.py", *(f"utils/internals/{file.name}" for file in INTERNALS.glob("*.py"))]
STAND_INS = ["jupyterlab.py", "pytest.py"]
STAND_INS += [f"tools/{name}.py" for name in ("first_import", "proof", "refresh", "report", "wheels")]
STAND_INS += ["tools/deck/present.py", "tools/deck/slides.py"]
LESSON = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
WINDOWS = os.name == "nt"
OUTSIDE = getattr(sys, "_base_executable", None) or sys.executable  # the Python outside of any environment
PYTHON = "Scripts/python.exe" if WINDOWS else "bin/python"

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ensurepip") is None, reason="this Python cannot make a venv")

STAND_IN = """
import json, os, sys, time
print(json.dumps({"at": time.time(), "python": sys.executable, "name": os.path.basename(__file__),
                  "arguments": sys.argv[1:], "folder": os.getcwd(), "path": os.environ["PATH"].split(os.pathsep)[0],
                  "writes": not sys.dont_write_bytecode, "bytecode": sys.pycache_prefix}))
sys.exit(int(os.environ.get("STAND_IN_EXIT", 0)))
"""

# A build backend without requirements: pip needs no network, and a test can stop it in the middle of an installation.
BACKEND = """
import pathlib, time, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    if pathlib.Path("slow").exists():
        pathlib.Path("building").touch()
        time.sleep(120)
    name = pathlib.Path("name").read_text()
    with zipfile.ZipFile(f"{directory}/{name}-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}-1.dist-info/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1\\n")
        wheel.writestr(f"{name}-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{name}-1.dist-info/RECORD", "")
    return f"{name}-1-py3-none-any.whl"

build_editable = build_wheel
"""


def write_project(folder, name):
    folder.mkdir(parents=True)
    build_system = 'requires = []\nbuild-backend = "backend"\nbackend-path = ["."]'
    (folder / "pyproject.toml").write_text(f"[build-system]\n{build_system}\n")
    (folder / "backend.py").write_text(BACKEND)
    (folder / "name").write_text(name)


def uv_wheel(folder):
    """The uv that is installed here, as a wheel again, since no index is at hand; None if pip has installed all."""
    try:
        uv = metadata.distribution("uv")
    except metadata.PackageNotFoundError:
        return None
    name = f"uv-{uv.version}"
    with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as wheel:
        for file in uv.files:
            if file.stem == "uv" and file.parent.name in ("bin", "Scripts"):
                wheel.write(file.locate(), f"{name}.data/scripts/{file.name}")
            elif file.parts[0] in ("uv", f"{name}.dist-info") and file.name not in ("INSTALLER", "RECORD"):
                wheel.write(file.locate(), str(file))
        wheel.writestr(f"{name}.dist-info/RECORD", "")
    return Path(wheel.filename)


@pytest.fixture(scope="session")
def pinned_uv(tmp_path_factory):
    """What stands in requirements-uv.txt: a version, its hash and, here, where the wheel is."""
    folder = tmp_path_factory.mktemp("uv")
    wheel = uv_wheel(folder)
    if wheel is None:
        pytest.skip("uv is not installed here")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"--find-links {folder.as_uri()}\nuv=={metadata.version('uv')} --hash=sha256:{digest}\n"


@pytest.fixture(scope="module", params=["uv", "pip"])
def installer(request):
    """What stands in the requirements-uv.txt of a copy; "" for a copy without, in which pip installs."""
    return request.getfixturevalue("pinned_uv") if request.param == "uv" else ""


by_pip_only = pytest.mark.parametrize("installer", ["pip"], indirect=True, scope="module")
by_uv_only = pytest.mark.parametrize("installer", ["uv"], indirect=True, scope="module")


def once_for_all_workers(tmp_path_factory, name, make):
    """The folder that `make(folder)` fills; no test changes it."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with FileLock(shared / f"{name}.lock"):
        if not (shared / name).exists():
            make(shared / f"{name}.unfinished")
            (shared / f"{name}.unfinished").rename(shared / name)
    return shared / name


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """An environment with pip and nothing else."""

    def make(env):
        subprocess.run([OUTSIDE, "-m", "venv", env], check=True, env=surroundings())

    return once_for_all_workers(tmp_path_factory, "bare", make)


@pytest.fixture(scope="session")
def bare_with_uv(tmp_path_factory, bare, pinned_uv):
    """An environment with pip and uv, as after a first start."""

    def make(env):
        copy_environment(bare, env)
        asked = env.with_suffix(".txt")
        asked.write_text(pinned_uv)
        pip = [env / PYTHON, *"-m pip install --no-compile --quiet --no-deps -r".split(), asked]
        subprocess.run(pip, check=True, env=surroundings())

    return once_for_all_workers(tmp_path_factory, "bare-with-uv", make)


def copy_environment(env, to):
    return shutil.copytree(env, to, symlinks=True)


def write_copy(folder, installer=""):
    write_project(folder, "tiny")
    if installer:
        (folder / "requirements-uv.txt").write_text(installer)
    shutil.copy(WORKSHOP, folder)
    (folder / "requirements.txt").write_text("")
    for stand_in in STAND_INS:
        (folder / stand_in).parent.mkdir(parents=True, exist_ok=True)
        (folder / stand_in).write_text(STAND_IN)
    for file in REAL:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(WORKSHOP.parent / file, folder / file)
    (folder / "notebooks").mkdir()
    for stem in (
        "00-start-here",
        "01-optimizer-concepts",
        "02-built-in-optimizers",
        "03a-first-part",
        "03b-second-part",
    ):
        (folder / f"notebooks/{stem}.ipynb").write_text(json.dumps(LESSON))
    return folder


LEADS_ASTRAY = ("PIP_", "UV_", "PYTHON", "VIRTUAL_ENV", "JUPYTER_SERVER_", "WORKSHOP_")


def surroundings(**changes):
    """The variables of this process but for those that lead pip or Python astray; no index unless a test names one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LEADS_ASTRAY)}
    here_only = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return {**kept, **here_only, **changes}


def start(copy, *arguments, python=OUTSIDE, patch="", **changes):
    """Run workshop.py to its end; `patch` is Python that runs before it, to make the machine look different."""
    code = (
        f"{patch}\nimport runpy, sys\nsys.argv[0] = 'workshop.py'\nrunpy.run_path('workshop.py', run_name='__main__')"
    )
    command = [python, "-c", code] if patch else [python, "workshop.py"]
    began = time.time()
    ran = subprocess.run(
        [*command, *arguments], cwd=copy, env=surroundings(**changes), capture_output=True, text=True, timeout=120
    )
    lines = ran.stdout.splitlines()
    handed = SimpleNamespace(**json.loads(lines[-1])) if lines and lines[-1].startswith('{"at"') else None
    return SimpleNamespace(code=ran.returncode, out=ran.stdout, err=ran.stderr, handed=handed, began=began)


def packages(env, name):
    return [*env.glob(f"[Ll]ib/**/site-packages/{name}.dist-info")]


def installed(env, name):
    return bool(packages(env, f"{name}-1"))


def launcher(copy):
    """The copy's workshop.py as a module."""
    spec = importlib.util.spec_from_file_location("launcher", copy / "workshop.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fresh(tmp_path_factory, installer, bare):
    """A copy after its first start, and what that said. No test changes it.

    The start found a .venv that was made and no more. Where uv installs, that was interrupted while pip was put into
    it: its pip tells its version all the same.
    """
    copy = write_copy(tmp_path_factory.mktemp("launcher") / "a workshop", installer)
    copy_environment(bare, copy / ".venv")
    if installer:
        (pip,) = packages(copy / ".venv", "pip-*")
        (pip / "INSTALLER").unlink()
        (copy / ".venv/left-over").touch()
    return copy, start(copy, "lab")


@pytest.fixture(scope="module")
def ready(fresh):
    return fresh[0]


@pytest.fixture
def twin(ready, tmp_path):
    """A copy of a test's own, set up: it is stamped as if it had been installed where it now is."""
    copy = shutil.copytree(ready, tmp_path / "twin", symlinks=True)
    (copy / ".venv/workshop-set-up").write_text(launcher(copy).fingerprint(copy / ".venv" / PYTHON))
    return copy


def assert_one_line(ran, *words):
    assert ran.code == 2, ran.err
    assert ran.handed is None
    assert "Traceback" not in ran.err
    last = ran.err.strip().splitlines()[-1]
    assert last.startswith("workshop: ")
    for word in words:
        assert word in last


# Setting up


def test_the_first_start_makes_a_half_made_environment_anew_and_hands_over(fresh):
    copy, ran = fresh
    env = copy / ".venv"
    assert ran.code == 0, ran.err
    assert f"Setting up {env}" in ran.out and "1 packages" in ran.out
    assert ("Making the environment" in ran.out) == (copy / "requirements-uv.txt").exists()
    assert len(ran.out.splitlines()) <= 8  # a line for each phase
    assert ("Fetching uv" in ran.out) == (copy / "requirements-uv.txt").exists() == bool(packages(env, "uv-*"))
    assert "pip tries" not in ran.out
    assert installed(env, "tiny") and not (env / "left-over").exists()
    assert ran.handed.name == "jupyterlab.py"
    assert Path(ran.handed.python) == env / PYTHON
    assert Path(ran.handed.path) == (env / PYTHON).parent
    assert Path(ran.handed.folder) == copy


@by_pip_only
def test_a_second_start_waits_until_the_first_has_set_up(twin):
    (twin / "requirements.txt").write_text("# changed\n")
    command = [OUTSIDE, "workshop.py", "lab"]
    with alone(twin.resolve() / ".venv"):
        second = subprocess.Popen(command, cwd=twin, env=surroundings(), stdout=subprocess.PIPE, text=True)
        assert "waiting for it" in second.stdout.readline()
        (twin / ".venv/workshop-set-up").write_text(launcher(twin).fingerprint(twin / ".venv" / PYTHON))  # it is done
    said, _ = second.communicate(timeout=120)
    assert second.returncode == 0 and "Setting up" not in said and "jupyterlab.py" in said


@by_pip_only
def test_the_next_start_only_asks_python_for_its_version(ready, tmp_path):
    """What takes time in a start is pip, and other processes; each costs what Python needs to start, or more."""
    told = "lambda event, of: print('process', *of[1][1:2], flush=True) if event == 'subprocess.Popen' else None"
    ran = start(tmp_path, "lab", patch=f"import os, sys; os.chdir({str(ready)!r}); sys.addaudithook({told})")
    assert ran.handed and "Setting up" not in ran.out
    assert re.findall(r"^process (.*)", ran.out, re.MULTILINE) == ["-ISc"]


@by_pip_only
def test_modules_are_compiled_once_also_where_python_leaves_nothing_beside_its_sources(ready):
    assert (start(ready, "lab").handed.writes, start(ready, "lab").handed.bytecode) == (True, None)
    handed = start(ready, "lab", PYTHONDONTWRITEBYTECODE="1").handed
    assert (handed.writes, Path(handed.bytecode)) == (True, ready / "build/bytecode")
    assert start(ready, "lab", PYTHONDONTWRITEBYTECODE="1", PYTHONPYCACHEPREFIX="x").handed.bytecode == "x"


def test_changed_requirements_are_installed_once(twin):
    assert "Setting up" not in start(twin, "lab").out
    write_project(twin / "extra", "more")
    (twin / "requirements.txt").write_text("./extra\n")
    assert "Setting up" in start(twin, "lab").out
    assert installed(twin / ".venv", "more")
    assert "Setting up" not in start(twin, "lab").out


@by_pip_only
def test_a_change_of_pyproject_or_of_the_folder_calls_for_a_set_up(ready, twin):
    python = twin / ".venv" / PYTHON
    before = launcher(twin).fingerprint(python)
    assert launcher(ready).fingerprint(python) != before  # installed from another folder
    with (twin / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    changed = launcher(twin).fingerprint(python)
    assert changed != before
    (twin / "notebooks/00-start-here.ipynb").write_text('{"cells": []}')
    assert launcher(twin).fingerprint(python) == changed


@pytest.mark.skipif(WINDOWS, reason="Windows has no process groups to signal")
def test_an_interrupted_set_up_is_completed_by_the_next_start(twin):
    (twin / "requirements.txt").write_text("# changed\n")
    stamp = twin / ".venv/workshop-set-up"
    for kill, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        (twin / "slow").touch()
        command = [OUTSIDE, "workshop.py", "lab"]
        process = subprocess.Popen(
            command,
            cwd=twin,
            env=surroundings(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background ignores Ctrl-C
        )
        deadline = time.monotonic() + 60
        while not (twin / "building").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, kill)
        said = process.communicate(timeout=60)[1].decode()
        assert process.returncode == code
        assert "Traceback" not in said and "workshop:" not in said
        assert stamp.read_text() == "unfinished"
        (twin / "slow").unlink()
        (twin / "building").unlink()
    ran = start(twin, "lab")
    assert ran.code == 0 and "Setting up" in ran.out
    assert "Setting up" not in start(twin, "lab").out


@by_pip_only
def test_an_active_environment_is_used(ready, tmp_path):
    copy = write_copy(tmp_path / "copy")
    env = copy_environment(ready / ".venv", tmp_path / "active")
    by_python = start(copy, "lab", python=str(env / PYTHON))
    by_variable = start(copy, "lab", VIRTUAL_ENV=str(env))
    assert f"Setting up {env}" in by_python.out
    assert "Setting up" not in by_variable.out
    for ran in (by_python, by_variable):
        assert ran.code == 0, ran.err
        assert Path(ran.handed.python) == env / PYTHON
    assert not (copy / ".venv").exists()


# Handing over


@pytest.mark.parametrize(
    ("number", "stem"),
    [
        ((), "00-start-here"),
        (("0",), "00-start-here"),
        (("2",), "02-built-in-optimizers"),
        (("02",), "02-built-in-optimizers"),
        (("3",), "03a-first-part"),
        (("03b",), "03b-second-part"),
    ],
)
@by_pip_only
def test_lab_opens_the_notebook_by_its_number(ready, number, stem):
    arguments = start(ready, "lab", *number, "--", "--no-browser", "--debug").handed.arguments
    assert f"--LabApp.default_url=/lab/tree/my-work/{stem}.ipynb" in arguments
    assert f"--ServerApp.root_dir={ready}" in arguments
    assert "--ip=127.0.0.1" in arguments
    assert not any("token" in argument.lower() or "password" in argument.lower() for argument in arguments)
    assert arguments[-2:] == ["--no-browser", "--debug"]


@pytest.mark.parametrize(("words", "resumes"), [([], True), (["0"], False), (["--fresh"], False)])
def test_only_lab_alone_opens_where_you_were(words, resumes):
    arguments = launcher(WORKSHOP.parent).lab(words, ["--no-browser"])
    assert arguments[2] == "00-start-here" and ("--resume" in arguments) == resumes


@by_pip_only
def test_lab_works_on_copies_that_stay(twin):
    original, copy = twin / "notebooks/03a-first-part.ipynb", twin / "my-work/03a-first-part.ipynb"
    before = original.read_bytes()
    copy.unlink(missing_ok=True)
    assert start(twin, "lab", "03").handed
    copy.write_text(json.dumps({**LESSON, "metadata": {"mine": True}}))
    mine = copy.read_bytes()
    original.write_text(json.dumps({**LESSON, "cells": [{"cell_type": "markdown", "source": "an update"}]}))
    ran = start(twin, "lab", "3a")
    assert ran.handed and copy.read_bytes() == mine
    ran = start(twin, "lab", "3a", "--fresh", "--", "--no-browser")
    assert re.search(r"Your my-work/03a-first-part.ipynb is now 03a-first-part\.\S+\.ipynb", ran.out)
    assert "--LabApp.default_url=/lab/tree/my-work/03a-first-part.ipynb" in ran.handed.arguments
    assert ran.handed.arguments[-1] == "--no-browser" and "--fresh" not in ran.handed.arguments
    assert mine in [path.read_bytes() for path in copy.parent.glob("03a-first-part.2*.ipynb")]
    assert "an update" in copy.read_text()
    original.write_bytes(before)
    ran = start(twin, "lab", "3a")
    assert "The workshop has changed 03a" in ran.out and "lab 03a --fresh" in ran.out


@by_pip_only
def test_lab_opens_a_copy_for_live_coding_when_asked(twin):
    ran = start(twin, "lab", "3", "--live", "--", "--no-browser")
    opened = [word for word in ran.handed.arguments if word.startswith("--LabApp.default_url=")]
    (made,) = (twin / "my-work").glob("03a-first-part.live-*.ipynb")
    assert opened == [f"--LabApp.default_url=/lab/tree/my-work/{made.name}"]
    assert "--live" not in ran.handed.arguments and ran.handed.arguments[-1] == "--no-browser"
    assert_one_line(start(twin, "lab", "9", "--live"), "no notebook `9`")


@pytest.mark.skipif(WINDOWS, reason="Windows has no root")
@pytest.mark.parametrize(("user", "allowed"), [(0, True), (1000, False)])
@by_pip_only
def test_jupyterlab_runs_as_root_only_for_root(ready, user, allowed):
    arguments = start(ready, "lab", patch=f"import os; os.geteuid = lambda: {user}").handed.arguments
    assert ("--allow-root" in arguments) == allowed and "--ip=127.0.0.1" in arguments


@by_pip_only
def test_lab_opens_the_originals_when_asked(twin):
    shutil.rmtree(twin / "my-work", ignore_errors=True)
    ran = start(twin, "lab", "--originals", "02")
    assert "--LabApp.default_url=/lab/tree/notebooks/02-built-in-optimizers.ipynb" in ran.handed.arguments
    assert not (twin / "my-work").exists()
    ran = start(twin, "lab", "--originals", "--fresh")
    assert (ran.code, ran.handed) == (2, None) and "not allowed with" in ran.err


@pytest.mark.skipif(WINDOWS, reason="links need rights there")
@by_pip_only
def test_copies_that_cannot_be_made_are_told(twin):
    shutil.rmtree(twin / "my-work", ignore_errors=True)
    (twin / "my-work").symlink_to("/dev/null")
    assert_one_line(start(twin, "lab"), "my-work", "--originals")


@pytest.mark.parametrize(
    ("words", "name", "arguments"),
    [
        (["present", "02", "--run-all"], "present.py", ["02", "--run-all"]),
        (["present", "02", "--", "--port=9999"], "present.py", ["02", "--port=9999"]),
        (["report"], "report.py", []),
        (["slides"], "slides.py", []),
        (["slides", "1", "02b"], "slides.py", ["1", "02b"]),
        (["wheels", "a folder"], "wheels.py", ["a folder"]),
        (["test"], "proof.py", []),
        (["test", "01", "--quick"], "proof.py", ["01", "--quick"]),
        (["test", "--", "-k", "a or b"], "proof.py", ["--", "-k", "a or b"]),
        (["refresh"], "refresh.py", []),
        (["refresh", "1", "2", "--", "--verbose"], "refresh.py", ["1", "2", "--verbose"]),
    ],
)
@by_pip_only
def test_arguments_and_exit_code_are_passed_on(ready, words, name, arguments):
    ran = start(ready, *words, STAND_IN_EXIT="7")
    assert (ran.handed.name, ran.handed.arguments, ran.code) == (name, arguments, 7)


@by_pip_only
def test_the_path_of_a_notebook_means_the_same_after_the_launcher_has_gone_to_its_folder(ready):
    assert start(ready, "present", "mine.ipynb").handed.arguments == [str(ready / "mine.ipynb")]


def test_help_is_short_and_needs_no_environment(tmp_path):
    copy = write_copy(tmp_path / "copy")
    for words in ((), ("--help",), ("lab", "--help"), ("lab", "02", "-h"), ("present", "--help")):
        ran = start(copy, *words)
        assert ran.code == 0 and "workshop.py lab [NUMBER]" in ran.out
        assert len(ran.out.splitlines()) <= 15
    assert not (copy / ".venv").exists()


@by_pip_only
def test_a_command_shows_its_own_help_once_everything_is_set_up(ready):
    for words in (["--help"], ["-h"], ["02", "--help"]):
        ran = start(ready, "present", *words)
        assert (ran.handed.name, ran.handed.arguments, ran.code) == ("present.py", words, 0)
    assert start(ready, "lab", "--help").handed is None  # it has no more options than the general help names
    assert start(ready, "lab", "--", "--help").handed.arguments[-1] == "--help"  # Jupyter's


# Saying what is wrong


@pytest.mark.parametrize(
    ("words", "patch", "expected"),
    [
        (["lab"], "import sys; sys.version_info = (3, 10, 9); sys.version = '3.10.9 (main)'", ["3.11", "3.10.9"]),
        (["lab"], "import sys; sys.modules['ensurepip'] = None", ["apt install python3-venv"]),
        (
            ["test"],
            "import shutil; shutil.disk_usage = lambda path: type('', (), {'free': 1.5e9})",
            ["1.5 GB", "about 2.5"],
        ),
        (["lab", "9"], "", ["no notebook `9`; there are: 00, 01, 02, 03a, 03b"]),
        (["lab", "--port=8888"], "", ["no option `--port=8888`", "after `--`"]),
        (["lab", "02", "--no-browser"], "", ["no option `--no-browser`", "after `--`"]),
        (["lab", "02", "--freshh"], "", ["no option `--freshh`", "only --fresh, --live, --originals"]),
        (["labs"], "", ["`labs`", "lab, present, slides, report, wheels, test, bench, refresh"]),
    ],
    ids=[
        "old Python",
        "no venv",
        "no disk",
        "no notebook",
        "no dashes",
        "Jupyter's option",
        "a slip",
        "no sub-command",
    ],
)
def test_trouble_is_told_in_one_line_before_anything_is_made(tmp_path, words, patch, expected):
    copy = write_copy(tmp_path / "copy")
    ran = start(copy, *words, patch=patch)
    assert_one_line(ran, *expected)
    assert len(ran.err.splitlines()) == 1
    assert not (copy / ".venv").exists()


@pytest.mark.parametrize(
    ("looks_like", "expected"),
    [
        ("sys.version_info = (3, 15, 0)", ["3.15", "3.11 to 3.14"]),
        ("platform.system, platform.machine = lambda: 'Darwin', lambda: 'x86_64'", ["Intel Macs"]),
        (
            "platform.system, platform.machine = lambda: 'Darwin', lambda: 'arm64'\n"
            "platform.mac_ver = lambda: ('13.6', ('', '', ''), 'arm64')",
            ["macOS 14", "13.6"],
        ),
        (
            "platform.system = lambda: 'Windows'; sysconfig.get_platform = lambda: 'win-arm64'",
            ["Windows on ARM"],
        ),
        ("platform.system, platform.machine = lambda: 'Linux', lambda: 'riscv64'", ["riscv64"]),
    ],
    ids=["Python 3.15", "Intel Mac", "old macOS", "Windows on ARM", "RISC-V"],
)
def test_a_machine_without_pytorch_is_told_in_a_sentence_before_pip_speaks(tmp_path, looks_like, expected):
    copy = write_copy(tmp_path / "copy")
    ran = start(copy, "lab", patch=f"import platform, sys, sysconfig\n{looks_like}")
    assert_one_line(ran, "PyTorch", *expected)
    assert not ran.out and len(ran.err.splitlines()) == 1 and not (copy / ".venv").exists()


@pytest.mark.parametrize(
    ("system", "processor", "release"),
    [("Darwin", "arm64", "14.0"), ("Windows", "AMD64", ""), ("Linux", "x86_64", ""), ("Linux", "aarch64", "")],
)
@pytest.mark.parametrize("version", [(3, 11), (3, 14)])
def test_a_machine_with_pytorch_is_not_refused(monkeypatch, system, processor, release, version):
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: processor)
    monkeypatch.setattr("platform.mac_ver", lambda: (release, ("", "", ""), processor))
    monkeypatch.setattr("sysconfig.get_platform", lambda: "win-amd64" if system == "Windows" else "")
    assert installation.unsupported(version) is None


def test_an_active_environment_without_pip_is_told(tmp_path):
    copy = write_copy(tmp_path / "copy")
    subprocess.run([OUTSIDE, "-m", "venv", "--without-pip", tmp_path / "active"], check=True, env=surroundings())
    assert_one_line(start(copy, "lab", VIRTUAL_ENV=str(tmp_path / "active")), "deactivate")
    assert_one_line(start(copy, "lab", VIRTUAL_ENV=str(tmp_path / "gone")), "deactivate")


def closed_index():
    """The address of an index that refuses whoever connects: it is bound and does not listen."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{closed.getsockname()[1]}/simple"


nowhere = pytest.fixture(closed_index)


def test_no_network_is_told(twin, nowhere):
    (twin / "requirements.txt").write_text("a-package-from-the-index\n")
    ran = start(twin, "lab", PIP_NO_INDEX="0", PIP_RETRIES="1", PIP_INDEX_URL=nowhere, WORKSHOP_TORCH="any")
    assert_one_line(ran, "network")
    assert (twin / ".venv/workshop-set-up").read_text() == "unfinished"


def test_without_a_network_what_is_installed_stays_in_use(twin, nowhere):
    """A change of the workshop that asks for nothing new needs no index, with uv neither."""
    (twin / "requirements.txt").write_text("# changed\n")
    ran = start(twin, "lab", PIP_NO_INDEX="0", PIP_RETRIES="1", PIP_INDEX_URL=nowhere, WORKSHOP_TORCH="any")
    assert ran.code == 0 and ran.handed, ran.err


@by_pip_only
def test_a_full_disk_is_told(twin):
    (twin / "requirements.txt").write_text("# changed\n")
    if Path("/dev/full").exists():  # Linux: writing there fails as on a full disk
        assert_one_line(start(twin, "lab", PIP_REPORT="/dev/full"), "disk is full")
        assert (twin / ".venv/workshop-set-up").read_text() == "unfinished"


def replace_uv(copy, script):
    (uv,) = (copy / ".venv").glob("bin/uv")
    uv.write_text(f"#!/bin/sh\n{script}\n")


@by_uv_only
@pytest.mark.skipif(WINDOWS, reason="a script in place of uv")
def test_a_full_disk_below_uv_is_told_and_pip_does_not_try(twin):
    (twin / "requirements.txt").write_text("# changed\n")
    replace_uv(twin, "echo 'error: failed to write: No space left on device (os error 28)'; exit 2")
    ran = start(twin, "lab")
    assert_one_line(ran, "disk is full")
    assert "pip tries" not in ran.out


@by_uv_only
@pytest.mark.skipif(WINDOWS, reason="a script in place of uv")
@pytest.mark.parametrize("script", ["echo 'error: not today'; exit 2", None], ids=["it fails", "it does not start"])
def test_pip_does_what_uv_cannot(twin, script):
    (twin / "requirements.txt").write_text("# changed\n")
    replace_uv(twin, script or "")
    if not script:
        (twin / ".venv/bin/uv").chmod(0o644)
    ran = start(twin, "lab")
    assert ran.code == 0 and "pip tries" in ran.out and "Setting up" not in start(twin, "lab").out
    assert not script or "not today" in ran.out


def test_pip_installs_where_uv_cannot_be_had(tmp_path, bare):
    copy = write_copy(tmp_path / "copy", "uv==0.0.1 --hash=sha256:" + "0" * 64)
    copy_environment(bare, copy / ".venv")
    ran = start(copy, "lab")
    assert ran.code == 0 and "uv cannot be fetched" in ran.out and installed(copy / ".venv", "tiny")


# pip's settings, in uv's words


def test_uv_is_told_what_pip_is_set_to(monkeypatch):
    monkeypatch.setattr(os, "environ", {"PATH": "here", "UV_NO_VERIFY_HASHES": "1", "UV_CACHE_DIR": "there"})
    settings = {"index-url": "https://a", "extra-index-url": "https://b\nhttps://c", "find-links": "wheels"}
    settings |= {"trusted-host": "a", "constraint": "c.txt", "no-index": "true", "no-cache-dir": "off", "timeout": "9"}
    settings |= {"cert": "ca.pem", "proxy": "http://p:1", "disable-pip-version-check": "1"}
    options, variables, only_pip = installation.as_uv_takes_them(settings)
    assert not only_pip
    expected = "--index-url=https://a --extra-index-url=https://b --extra-index-url=https://c --find-links=wheels "
    expected += "--allow-insecure-host=a --constraints=c.txt --no-index"
    assert options[-7:] == expected.split() and "--no-config" in options[:-7] and "--no-cache" not in options
    proxies = {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "http://p:1", "ALL_PROXY": "http://p:1"}
    kept = {"PATH": "here", "UV_CACHE_DIR": "there"}
    assert variables == {**kept, **proxies, "SSL_CERT_FILE": "ca.pem", "UV_HTTP_TIMEOUT": "9"}
    assert installation.as_uv_takes_them({"index-url": "https://a", "keyring-provider": "x"})[2] == {"keyring-provider"}


def test_of_pips_settings_variables_count_most_and_files_least(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    (tmp_path / "pip.conf").write_text(
        "[global]\ntimeout = 1\nretries = 1\nindex-url = https://a\n[install]\nretries = 2\ntimeout = 2\n"
        "find-links =\n    one\n    two\n[list]\nformat = json\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_TIMEOUT", "3")
    settings = installation.pip_settings(Path(OUTSIDE))
    found = {name: settings.get(name) for name in ("timeout", "retries", "index-url", "format")}
    assert found == {"timeout": "3", "retries": "2", "index-url": "https://a", "format": None}
    assert settings["find-links"].split() == ["one", "two"]


@by_uv_only
def test_a_setting_that_only_pip_understands_leaves_the_work_to_pip(twin):
    (twin / "requirements.txt").write_text("# changed\n")
    ran = start(twin, "lab", PIP_PREFER_BINARY="1")
    assert ran.code == 0 and "pip's setting prefer-binary" in ran.out


# A line for each phase


@pytest.mark.parametrize("terminal", [True, False])
def test_a_phase_is_a_line_that_goes_on_while_its_command_runs(tmp_path, monkeypatch, capsys, terminal):
    """The command waits for what is done only when its output was shown: a line that rests would end in no time."""
    monkeypatch.setattr(installation, "PAUSES", {True: 0.05, False: 0.05})
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    go = tmp_path / "go"
    script = "import os, sys, time\nprint('two lines\\nof noise', flush=True)\n"
    script += "while not os.path.exists(sys.argv[1]): time.sleep(0.01)"

    def count(said):
        if len(said) == 2:
            go.touch()
        return f"{len(said)} things, "

    assert installation.step("Doing", sys.executable, "-c", script, go, count=count)
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and re.search(r"2 things, \d+ s", out)
    assert "noise" not in out and out.count("\rDoing: ") >= 2 * terminal


def test_packages_and_megabytes_are_counted(tmp_path):
    count = installation.counter(tmp_path)
    assert count([]) == ""
    folder = tmp_path / ("Lib/site-packages" if WINDOWS else "lib/python3.11/site-packages")
    for name in ("one", "two"):
        (folder / f"{name}-1.dist-info").mkdir(parents=True)
    assert count([]) == "2 packages, "
    of_pip = ["Downloading one-1.whl (1.5 MB)", "Using cached two-1.whl (500 kB)"]
    assert count(of_pip) == "2 packages, 2 MB, "
    assert (
        count(["Downloading one (1.5MiB)", "Downloaded one", "Downloading torch (2.0GiB)"]) == "2 packages, 2002 MB, "
    )


@pytest.mark.parametrize("spelling", [["--port", "{}"], ["--port={}"], ["--ServerApp.port={}"]])
@by_pip_only
def test_a_port_in_use_is_told(ready, spelling):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        asked = [part.format(port) for part in spelling]
        assert_one_line(start(ready, "lab", "--", *asked), str(port), "in use")
    free = start(ready, "lab", "--", *asked)
    assert free.code == 0 and "--ServerApp.port_retries=0" in free.handed.arguments


# The file itself


def test_any_python_3_can_read_it_and_it_needs_only_the_standard_library():
    source = WORKSHOP.read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 6))
    imports = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imports |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {"tools.alone", "tools.notebooks", "tools.installation"}  # imported when Python is known to be new enough
    assert imports and {name.split(".")[0] for name in imports - ours} <= sys.stdlib_module_names
    assert not ours & {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    for name in ("alone", "notebooks", "installation", "settings"):
        module = ast.parse((WORKSHOP.parent / f"tools/{name}.py").read_text(encoding="utf-8"))
        imports = {alias.name for node in ast.walk(module) if isinstance(node, ast.Import) for alias in node.names}
        imports |= {node.module for node in ast.walk(module) if isinstance(node, ast.ImportFrom)} - {"tools"}
        assert imports and {name.split(".")[0] for name in imports} <= sys.stdlib_module_names
    assert len(source.splitlines()) <= 150


# JupyterLab itself


def answers(port, host="127.0.0.1"):
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def fetch(url):
    """Status and body of a page."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


@pytest.mark.skipif(WINDOWS, reason="the copy borrows this environment's JupyterLab by symbolic links")
@by_pip_only
def test_jupyterlab_answers_only_here_and_only_with_its_token(twin, tmp_path):
    (twin / "jupyterlab.py").unlink()
    site = next((twin / ".venv/lib").glob("python*/site-packages"))
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    for part in ("static", "schemas", "themes"):
        (twin / ".venv/share/jupyter/lab" / part).symlink_to(Path(sys.prefix) / "share/jupyter/lab" / part)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folders = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [OUTSIDE, "workshop.py", "lab", "02", "--", "--no-browser", "--port", str(port)],
            cwd=twin,
            env=surroundings(**folders),
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 60
        while "?token=" not in (said := (tmp_path / "log").read_text()):
            assert server.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.1)
        address = next(word for word in said.split() if "?token=" in word)
        at = re.fullmatch(
            r"(http://127\.0\.0\.1:(\d+))/lab/tree/my-work/02-built-in-optimizers\.ipynb\?token=(\w+)", address
        )
        assert at, address
        host, port, token = at[1], int(at[2]), at[3]  # another port than ours, if somebody took that meanwhile
        while not answers(port):  # JupyterLab prints the address a little before it listens
            assert server.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.1)
        assert fetch(f"{host}/api/status")[0] == 403
        assert fetch(f"{host}/api/status?token={token}")[0] == 200
        status, page = fetch(address)
        assert status == 200 and '"news": {"disabled": true}' in page
        settings = json.loads(re.search(r'<script id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
        assert "@voila-dashboards/jupyterlab-preview" in settings["disabledExtensions"]  # a page by chance
        news = fetch(f"{host}/lab/api/settings/@jupyterlab/apputils-extension:notification?token={token}")[1]
        assert json.loads(news)["schema"]["properties"]["fetchNews"]["default"] == "false"  # so it does not ask, either
        comms = fetch(f"{host}/lab/api/settings/@jupyterlab/apputils-extension:kernels-settings?token={token}")[1]
        assert json.loads(comms)["schema"]["properties"]["commsOverSubshells"]["default"] == "disabled"
        saving = fetch(f"{host}/lab/api/settings/@jupyterlab/docmanager-extension:plugin?token={token}")[1]
        assert json.loads(saving)["schema"]["properties"]["autosaveInterval"]["default"] == 10
        if sys.platform == "linux":  # a server on all interfaces would answer here
            assert not answers(port, "127.0.0.2")
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
