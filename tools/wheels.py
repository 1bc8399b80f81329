"""All packages of the workshop in one folder, for a class without network: `python -m tools.wheels FOLDER`.

The folder, a "wheel house", holds the very versions that are installed here, those that requirements.txt does not name
included, setuptools, which the workshop itself is installed with, and uv, which installs them. Wheels are made for one
kind of system, processor and Python: a class with several needs this command run on one machine of each, into the same
folder.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from tools.installation import CPU_TORCH

ROOT = Path(__file__).resolve().parent.parent
NOTE = "HOW-TO-INSTALL.txt"
UV = "requirements-uv.txt"


class WheelTrouble(Exception):
    """Why the folder is not complete, in a few lines."""


def requirements(root: Path = ROOT) -> list[str]:
    """What an installation asks pip for: requirements.txt and, from pyproject.toml, the build system."""
    lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    named = [line.partition("#")[0].strip() for line in lines]
    build = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    return [*filter(None, named), *build]


def constraints(distributions: Iterable[metadata.Distribution] | None = None) -> list[str]:
    """`name==version` of all that is installed here, but for the workshop itself and pip."""
    installed = metadata.distributions() if distributions is None else distributions
    pins = {each.name: each.version for each in installed if each.name}
    return [f"{name}=={pins[name]}" for name in sorted(pins) if name not in ("optimizer-workshop", "pip")]


def pip(*words: str | Path, alone: bool = False) -> None:
    """Run this Python's pip; WheelTrouble with its complaint if it fails. `alone`: without its settings, silently."""
    command = [sys.executable, "-m", "pip", *map(str, words), "--disable-pip-version-check"]
    settings = dict(os.environ)
    if alone:  # settings may name other places where packages are
        settings = {name: value for name, value in settings.items() if not name.startswith("PIP_")}
        settings["PIP_CONFIG_FILE"] = os.devnull
    shown = subprocess.DEVNULL if alone else None
    ran = subprocess.run(command, env=settings, cwd=ROOT, stdout=shown, stderr=subprocess.PIPE, text=True)
    if ran.returncode:
        raise WheelTrouble(next((line for line in ran.stderr.splitlines() if "ERROR" in line), ran.stderr.strip()))


def fetch(folder: Path, *, root: Path = ROOT) -> None:
    """Download every wheel into `folder`, then let pip resolve the requirements from the folder alone."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = requirements(root)
    with tempfile.TemporaryDirectory() as scratch:
        pins = Path(scratch) / "constraints.txt"
        pins.write_text("\n".join(constraints()), encoding="utf-8")
        # Only wheels: a package in source form would want its own build tools, and a compiler, in the classroom.
        command = ["download", "--only-binary=:all:", "--dest", folder, "--constraint", pins, *wanted]
        try:
            pip(*command)
        except WheelTrouble as trouble:
            if "torch" not in str(trouble) or not metadata.version("torch").endswith("+cpu"):
                raise
            pip(*command, f"--extra-index-url={CPU_TORCH}")  # the launcher took torch's CPU build from there
    if (root / UV).is_file():
        try:
            pip("download", "--only-binary=:all:", "--dest", folder, "--require-hashes", "--no-deps", "-r", root / UV)
        except WheelTrouble as trouble:
            print(f"Without uv ({trouble}) pip will install in the class: the same, more slowly.")
    only_here = ["--no-index", "--find-links", folder.resolve().as_uri(), "--only-binary=:all:"]
    pip("install", "--dry-run", "--ignore-installed", *only_here, *wanted, alone=True)


def note(folder: Path) -> str:
    """What to do with the folder, for whoever finds it on a memory stick."""
    wheels = list(folder.glob("*.whl"))
    megabytes = sum(path.stat().st_size for path in wheels) / 1e6
    # What a wheel is for stands in its name; torch is the one that is made for every kind of machine separately.
    kinds = sorted(" ".join(path.stem.split("-")[-3::2]) for path in folder.glob("torch-*.whl"))
    return f"""\
The workshop without a network
==============================

This folder holds the Python packages of the workshop: {len(wheels)} files, {megabytes:.0f} MB, for

{chr(10).join(f"    {kind}" for kind in kinds)}

(cp311 is Python 3.11.) For another kind of machine, or another Python, run `python3 workshop.py wheels FOLDER` on one
of that kind, with this folder as FOLDER: what is here stays.

On each machine of the class:

1. Copy the folder of the workshop to it, without `.venv`.
2. Copy this folder into that one, under the name `wheels`.
3. In the folder of the workshop type, once:

   Linux, macOS          PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels python3 workshop.py lab
   Windows, PowerShell   $env:PIP_NO_INDEX=1; $env:PIP_FIND_LINKS="wheels"; py workshop.py lab

From then on `python3 workshop.py lab` will do, and `wheels` may be deleted.

"No matching distribution found" means that this folder was made for another kind of machine or another Python.
"""


def main(arguments: list[str] | None = None, *, root: Path = ROOT) -> int:
    """Fetch the wheels and write the note; exit code 2 if the folder is not complete."""
    parser = argparse.ArgumentParser(prog="workshop.py wheels", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "folder", type=Path, help="where the wheels go; a relative path starts at the workshop's folder"
    )
    folder = (root / parser.parse_args(arguments).folder.expanduser()).resolve()
    try:
        fetch(folder, root=root)
        (folder / NOTE).write_text(note(folder), encoding="utf-8")
    except WheelTrouble as trouble:
        print(f"workshop: {folder} is not complete: {trouble}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"workshop: {folder}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"All packages are in {folder}; what to do with it stands there in {NOTE}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
