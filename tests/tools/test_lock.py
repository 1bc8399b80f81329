"""requirements.lock holds all that requirements.txt needs, with hashes; only torch has builds that it cannot list."""

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
AGAIN = "run the command at the head of requirements.lock, and commit what it writes"


def pins(text: str) -> dict[str, set[str]]:
    """name → the versions that the lines of a requirements file name; several where they depend on the Python."""
    found = {}
    for name, version in re.findall(r"^([\w.-]+)==([\w.!+-]+)", text, re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


DIRECT = pins((ROOT / "requirements.txt").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
LOCKED = pins(LOCK)


def test_the_direct_dependencies_are_locked_as_pinned():
    assert DIRECT.keys() - LOCKED.keys() == {"torch"}, AGAIN
    assert {name: LOCKED[name] for name in DIRECT if name != "torch"} == {
        name: versions for name, versions in DIRECT.items() if name != "torch"
    }, AGAIN


def test_every_package_has_hashes():
    blocks = re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) >= len(LOCKED) > 100
    assert not [block for block in blocks if "--hash=sha256:" not in block]


def test_whatever_they_need_is_locked_and_installed_as_locked():
    waiting, seen = list(DIRECT), set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        installed = metadata.distribution(name)
        if name != "torch":
            assert name in LOCKED, f"{name} is needed and not locked: {AGAIN}"
            assert installed.version in LOCKED[name], f"{name} {installed.version} is installed, {LOCKED[name]} locked"
        for line in installed.requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                # torch for CUDA asks for packages of its own, which the lock leaves out (pyproject.toml).
                if name != "torch" or canonicalize_name(requirement.name) in LOCKED:
                    waiting.append(canonicalize_name(requirement.name))
    assert len(seen) > 100
