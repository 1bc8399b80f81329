"""The proof with another torch or another Python, in an environment of its own in build/.

Digits may differ there, so cells are run and not compared; no browser is asked for, and what judges nothing but the
workshop's files and tools is left out.
"""

import os
import re
import subprocess

from tools.installation import ROOT, InstallationTrouble, step
from tools.second_environment import STAMP, make

NEWEST = "newest"
# Judges of the workshop's files and tools, which no torch can break.
NOT_OF_TORCH = [f"tests/{name}" for name in ("benchmarks", "notebooks", "support", "third_party", "tools")]
NOT_OF_TORCH += [f"tests/test_{name}.py" for name in ("binder", "house", "layers", "workflows")]

# What torch imports when it is asked for more than lessons need: in a test with a limit of seconds it takes too long.
FIRST_IMPORT = "import torch._dynamo, tools.first_import as first; first.main()"


def pinned() -> str:
    """The version of torch in requirements.txt."""
    return re.search(r"^torch==(\S+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.M)[1]


def prove(torch: str, python: str, arguments: list[str]) -> int:
    """Make the environment, tell how torch's arguments differ, run pytest with these arguments; its exit code.

    `torch` is a version, "newest" or "" for the pinned one, `python` "3.12" or "" for the running one. Raises
    InstallationTrouble, whose text is the reason in one line.
    """
    torch = torch or pinned()
    if torch != NEWEST and not re.fullmatch(r"\d[\w.+]*", torch):
        raise InstallationTrouble(f"`{torch}` is no version of torch: write one such as {pinned()}, or {NEWEST}")
    env = ROOT / "build" / (f"torch-{torch}-python-{python}" if python else f"torch-{torch}")
    print(f"The proof with torch {torch} runs in {env}; other environments stay as they are.", flush=True)
    wanted = env.with_name(f"{env.name}.txt")
    wanted.parent.mkdir(exist_ok=True)
    pin = "torch" if torch == NEWEST else f"torch=={torch}"
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    wanted.write_text(re.sub(r"^torch==.*", pin, text, flags=re.M), encoding="utf-8")
    installs = [("Installing the packages", *"--no-deps --require-hashes -r requirements.lock".split())]
    installs += [("Installing torch and the workshop itself", "-r", str(wanted), "-e", ".")]
    if torch == NEWEST:  # there may be a newer one since
        (env / STAMP).unlink(missing_ok=True)
    own = make(env, *installs, python=python)
    step("Importing torch and all that lessons need, which takes long the first time", own, "-c", FIRST_IMPORT)
    there = os.environ | {"VIRTUAL_ENV": str(env), "PATH": f"{own.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    subprocess.call([own, "-m", "tools.signatures"], cwd=ROOT, env=there)
    print("Now every cell runs, and what it shows is not compared; then the tests of what lessons import.", flush=True)
    left_out = [f"--ignore={path}" for path in NOT_OF_TORCH]
    command = [own, "-m", "pytest", "--nbval-lax", "-m", "not browser", *left_out, *arguments]
    return subprocess.call(command, cwd=ROOT, env=there)
