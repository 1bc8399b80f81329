"""One command makes the environment of the workshop and starts what you ask for.

    python3 workshop.py lab [NOTEBOOK] [-- jupyter arguments]   open the lessons, at the start or at a number: lab 02
    python3 workshop.py test [-- pytest arguments]              run every test
    python3 workshop.py refresh [NUMBER ...]                    run notebooks again and store what they show

The first start takes minutes: it installs requirements.txt into .venv, or into the virtual environment that is active.
Later starts take no time, until requirements.txt or pyproject.toml changes.
"""

# Standard library only, and no syntax newer than Python 3.6: an old Python must get so far as to say that it is old.

import hashlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OLDEST = (3, 11)  # as in pyproject.toml
FIRST_INSTALL_GB = 3  # all packages with the CPU build of torch, and what pip downloads on the way
# Its news_url alone does not keep JupyterLab 4.6 from asking whether to show news; this default of a setting does.
NO_NEWS = '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}'


class Trouble(Exception):
    """What is wrong and what to do about it, in one line: shown without a traceback, exit code 2."""


# Each sub-command takes the words before `--` and the arguments after it, and returns the arguments for Python.


def lab(words, extra):
    stems = sorted(path.stem for path in (HERE / "notebooks").glob("[0-9][0-9]*-*.ipynb"))
    number = re.escape(" ".join(words).lstrip("0") or "0")  # 2 and 02 mean 02, or 02a where there are 02a and 02b
    stem = next((stem for stem in stems if re.match(rf"0*{number}[a-z]?-", stem)), None)
    if stem is None:
        raise Trouble(f"no notebook `{' '.join(words)}` among {', '.join(stems) or 'none'}; Jupyter's go after `--`")
    # Not a file to open: with default_url the address that JupyterLab prints leads to the notebook as well.
    ours = [f"--ServerApp.root_dir={HERE}", f"--LabApp.default_url=/lab/tree/notebooks/{stem}.ipynb", "--ip=127.0.0.1"]
    ours += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    ours += ["--allow-root"]  # in a container everybody is root; the token is still asked for
    port = re.search(r"--(?:\w+\.)?port[= ](\d{1,4}|[1-6]\d{4})\b", " ".join(extra))
    if port:  # JupyterLab would quietly move on to another one
        ours += ["--ServerApp.port_retries=0"]
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", min(int(port.group(1)), 65535))) == 0:
                raise Trouble(f"port {port.group(1)} is in use: name another one, or none, and a free one is taken")
    return ["-m", "jupyterlab", *ours, *extra]


def test(words, extra):
    return ["-m", "pytest", *(words + extra or ["-n", "auto"])]


def refresh(words, extra):
    return ["-m", "utils.refresh", *words, *extra]


COMMANDS = {"lab": lab, "test": test, "refresh": refresh}


def ask(python, *arguments):
    """What the environment's Python prints, or "" if it fails or does not even start."""
    try:
        return subprocess.check_output([python, *arguments], stderr=subprocess.DEVNULL).decode().strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def version(python):
    return ask(python, "-ISc", "import sys; print(*sys.version_info[:3])")


def fingerprint(python):
    """What an installation depends on; the folder counts, for `utils` is imported from where it was installed."""
    contents = [(HERE / name).read_bytes() for name in ("requirements.txt", "pyproject.toml")]
    return hashlib.sha256(b"\0".join([version(python).encode(), str(HERE).encode(), *contents])).hexdigest()


def step(what, *command):
    """Run a part of the set-up; progress bars need the terminal itself, complaints pass by and explain a failure."""
    print(what, flush=True)
    said = ["no reason given"]
    with subprocess.Popen(command, cwd=HERE, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        for line in filter(str.strip, process.stderr):
            said.append(line.strip())
            print(said[-1], file=sys.stderr, flush=True)
    if process.returncode:
        if re.search(r"No space left|Errno 28|not enough space", str(said)):
            said.append("the disk is full; make room, then run this again")
        elif re.search(r"connection (broken|error)|failed to establish|name resolution|timed out", str(said), re.I):
            said.append("no way to the package index; check the network or proxy, then run this again")
        raise Trouble(f"set-up failed: {said[-1]}")


def set_up():
    """Make the environment what requirements.txt and pyproject.toml ask for; return its Python."""
    active = sys.prefix if sys.prefix != sys.base_prefix else os.environ.get("VIRTUAL_ENV")
    env = Path(active or HERE / ".venv")
    python = env / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = env / "workshop-set-up"
    if not stamp.is_file() or stamp.read_text() != fingerprint(python):
        first = not ask(python, "-c", "from importlib.metadata import version as v; print(v('torch'))")
        free = shutil.disk_usage(env if env.is_dir() else HERE).free / 1e9
        if first and free < FIRST_INSTALL_GB:
            raise Trouble(f"{free:.1f} GB of disk are free, the first set-up takes about {FIRST_INSTALL_GB}: make room")
        # No pip: an interrupted start, or the system's Python was replaced by a newer one under this environment.
        if tuple(map(int, version(python).split())) < OLDEST or not ask(python, "-m", "pip", "--version"):
            if active:
                raise Trouble(f"{env}, which is active, lacks pip or Python 3.11: deactivate it, then run this again")
            if not all(map(importlib.util.find_spec, ["venv", "ensurepip"])):
                raise Trouble("this Python lacks venv: install it (Debian, Ubuntu: apt install python3-venv)")
            step(f"Making the environment {env}", sys.executable, "-m", "venv", "--clear", env)
        stamp.unlink(missing_ok=True)  # until pip is done, what is installed is neither the old nor the new
        what = f"Installing the packages into {env}" + (": this takes minutes, once" if first else "")
        step(what, python, *"-m pip install --disable-pip-version-check -r requirements.txt -e .".split())
        overrides = env / "share/jupyter/lab/settings/overrides.d"
        overrides.mkdir(parents=True, exist_ok=True)
        (overrides / "workshop.json").write_text(NO_NEWS)
        stamp.write_text(fingerprint(python))
    # A terminal in JupyterLab and `!pip` in a notebook should mean this environment, too.
    os.environ.update(VIRTUAL_ENV=str(env), PATH=str(python.parent) + os.pathsep + os.environ.get("PATH", ""))
    return str(python)


def main(arguments):
    if sys.version_info < OLDEST:
        raise Trouble(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: install one and use that")
    if not arguments or {"-h", "--help"} & set(arguments[:2]):
        return print(__doc__)
    if arguments[0] not in COMMANDS:
        raise Trouble(f"no sub-command `{arguments[0]}`; there are: {', '.join(COMMANDS)}")
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    command = COMMANDS[arguments[0]](arguments[1:cut], arguments[cut + 1 :])  # complains before anything is installed
    command.insert(0, set_up())
    os.chdir(HERE)  # where pytest finds its settings
    if os.name != "nt":
        os.execv(command[0], command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the child as well, and it decides what to do
    return subprocess.call(command)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (Trouble, OSError) as trouble:
        print(f"workshop: {trouble}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
