"""An environment beside the student's own: another torch, another Python, or the versions of another place.

make() is the whole of it: a folder in build/, a Python that is installed, and what uv or pip is to install there.
"""

import hashlib
import json
import os
import shutil
import sys
from itertools import pairwise
from pathlib import Path

from tools.installation import (
    CPU_GB,
    CUDA_GB,
    HAS_GPU,
    NEWEST,
    OLDEST,
    ROOT,
    InstallationTrouble,
    Installers,
    ask,
    check_room,
    step,
    torch_from,
)

STAMP = "what-it-was-made-of"  # not the launcher's: lesson 00 would take the environment for the launcher's own
VERSION = "import ensurepip, sys, venv; print('{}.{}'.format(*sys.version_info))"  # "" where it can make none


def python_of(env: Path) -> Path:
    """Where an environment has its Python."""
    return env / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def interpreters() -> dict[str, Path]:
    """{"3.12": path, …}: a Python for each version that the workshop runs on, of those installed; this one first."""
    names = [f"python{OLDEST[0]}.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
    places = [sys.executable, *filter(None, map(shutil.which, names))]
    places += sorted(Path.home().glob(".pyenv/versions/*/bin/python"))
    uv = Path(sys.executable).with_name("uv" + Path(sys.executable).suffix)
    places += [
        row["path"] for row in json.loads(ask(uv, *"python list --only-installed --output-format json".split()) or "[]")
    ]
    found = {}
    for place in places:
        found.setdefault(ask(place, "-Ic", VERSION), Path(place))
    supported = [f"{OLDEST[0]}.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
    return {version: found[version] for version in supported if version in found}


def interpreter(version: str) -> Path:
    """The installed Python of a version such as "3.12"; InstallationTrouble, which names the others, without one."""
    found = interpreters()
    if version not in found:
        raise InstallationTrouble(f"Python {version} is not installed here, or lacks venv; there is {', '.join(found)}")
    return found[version]


def make(env: Path, *installs: tuple[str, ...], python: str = "") -> Path:
    """Make an environment, unless it is there and made of the same; return its Python.

    `installs` are (what a line on the screen says, *words of pip install), done in order in the workshop's folder;
    files named after -r count by their contents. `python` is a version such as "3.12", "" the running one. Raises
    InstallationTrouble, whose text is the reason in one line.
    """
    outside = interpreter(python) if python else Path(sys.executable)
    parts = [ask(outside, "-ISc", "import sys; print(sys.version)"), str(ROOT)]
    for _, *words in installs:
        files = [ROOT / word for before, word in pairwise(words) if before == "-r"]
        parts += [*words, *(file.read_text(encoding="utf-8") for file in files)]
    made_of = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    stamp, own = env / STAMP, python_of(env)
    if stamp.is_file() and stamp.read_text() == made_of:
        return own
    env.parent.mkdir(parents=True, exist_ok=True)
    check_room(env.parent, CUDA_GB if HAS_GPU else CPU_GB)
    step(f"Making the environment {env}", outside, "-m", "venv", "--clear", env)
    installers = Installers(env, own)
    more = torch_from(installers)
    for what, *words in installs:
        installers.install(what, *words, *([] if "--require-hashes" in words else more))
    stamp.write_text(made_of)
    return own
