"""One command makes the environment of the workshop and starts what you ask for.

    python3 workshop.py lab [NUMBER] [-- jupyter arguments]     open your copy of a lesson: the first, or lab 02
    python3 workshop.py lab NUMBER --fresh|--live|--originals   a new copy, the old one stays | to code live | original
    python3 workshop.py present NUMBER                          show a lesson as live slides, on which the labs work
    python3 workshop.py slides [NUMBER ...]                     write the slides into files that need no network
    python3 workshop.py wheels FOLDER                           fetch all packages, for a class without network
    python3 workshop.py test [NUMBER ...] [--quick]             run every test, or a lesson's; quick: without a browser
    python3 workshop.py bench                                   measure how fast the labs and all the rest are
    python3 workshop.py refresh|replicate [NUMBER ...]          run notebooks again, store what they show | claims

After the first start `python3 workshop.py present --help`, and so on, lists all options of a command.
The first start takes minutes: it installs requirements.txt into .venv, or into the virtual environment that is active,
and what that needs in its turn as requirements.lock says. Later starts take no time, until one of them changes.
"""

# Standard library only, and no syntax newer than Python 3.6: an old Python must get so far as to say that it is old.

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
from pathlib import Path

HERE = Path(__file__).resolve().parent
OLDEST = (3, 11)  # as in pyproject.toml
INSTALLED_BY = ("requirements.lock", "requirements.txt", "pyproject.toml")
FIRST_INSTALL_GB = 3  # all packages with the CPU build of torch, and what pip downloads on the way
COPY_OPTIONS = ("--fresh", "--live", "--originals")  # of lab; tools/copies.py knows what they mean
SETTINGS = {  # folder in the environment → what JupyterLab reads there; news_url alone does not stop it asking for news
    "share/jupyter/lab/settings/overrides.d": {
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
        # A second thread for sliders would answer them while a cell runs, but a quarter later at all other times.
        "@jupyterlab/apputils-extension:kernels-settings": {"commsOverSubshells": "disabled"},
    },
    # Voilà comes with the slides; its button would start a page of its own by chance.
    "etc/jupyter/labconfig/page_config.d": {"disabledExtensions": {"@voila-dashboards/jupyterlab-preview": True}},
}


class Trouble(Exception):
    """What is wrong and what to do about it, in one line: shown without a traceback, exit code 2."""


# Each sub-command takes the words before `--` and the arguments after it, and returns the arguments for Python.


def lab(words, extra):
    sys.path.insert(0, str(HERE))
    from tools.notebooks import UnknownLesson, find  # only now: it needs the Python that `main` asked for

    options = [word for word in words if word in COPY_OPTIONS]
    words = [word for word in words if word not in options]
    unknown = next((word for word in words if word.startswith("-")), None)
    if unknown:
        raise Trouble(f"lab has no option `{unknown}`, only {', '.join(COPY_OPTIONS)}; Jupyter's go after `--`")
    try:
        lesson = find(" ".join(words) or "0", HERE / "notebooks")
    except UnknownLesson as unknown:
        raise Trouble(str(unknown)) from None
    ours = [f"--ServerApp.root_dir={HERE}", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    ours += ["--LabApp.news_url=None", "--ip=127.0.0.1"]
    ours += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # in containers; there is a token
    port = re.search(r"--(?:\w+\.)?port[= ](\d{1,4}|[1-6]\d{4})\b", " ".join(extra))
    if port:  # JupyterLab would quietly move on to another one
        ours += ["--ServerApp.port_retries=0"]
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", min(int(port.group(1)), 65535))) == 0:
                raise Trouble(f"port {port.group(1)} is in use: name another one, or none, and a free one is taken")
    return ["-m", "tools.copies", lesson.stem, *options, "--", *ours, *extra]


def module(name, *between):
    return lambda words, extra: ["-m", name, *words, *(between if extra else ()), *extra]


COMMANDS = {"lab": lab, "present": module("tools.deck.present"), "slides": module("tools.deck.slides")}
COMMANDS.update(wheels=module("tools.wheels"), test=module("tools.proof", "--"), bench=module("tests.benchmarks"))
COMMANDS.update(refresh=module("tools.refresh"), replicate=module("tools.replicate"))
HELP = ("-h", "--help")


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
    contents = [path.read_text(encoding="utf-8") for path in map(HERE.joinpath, INSTALLED_BY) if path.is_file()]
    return hashlib.sha256("\0".join([version(python), str(HERE), str(SETTINGS), *contents]).encode()).hexdigest()


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


def environment():
    """The virtual environment that is active or None, the one to use, its Python, and the stamp of its set-up."""
    active = sys.prefix if sys.prefix != sys.base_prefix else os.environ.get("VIRTUAL_ENV")
    env = Path(active or HERE / ".venv")
    return active, env, env / ("Scripts/python.exe" if os.name == "nt" else "bin/python"), env / "workshop-set-up"


def is_ready():
    _, _, python, stamp = environment()
    return stamp.is_file() and stamp.read_text() == fingerprint(python)


def set_up():
    """Make the environment what the files in INSTALLED_BY ask for; return its Python."""
    active, env, python, stamp = environment()
    if not is_ready():
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
        install = [python, *"-m pip install --disable-pip-version-check".split()]
        if (HERE / "requirements.lock").is_file():  # all but torch, whose builds have hashes of their own
            step(what, *install, *"--no-deps --require-hashes -r requirements.lock".split())
            what = "Installing torch and the workshop itself"
        step(what, *install, *"-r requirements.txt -e .".split())
        for folder, setting in SETTINGS.items():
            (env / folder).mkdir(parents=True, exist_ok=True)
            (env / folder / "workshop.json").write_text(json.dumps(setting))
        stamp.write_text(fingerprint(python))
    # A terminal in JupyterLab and `!pip` in a notebook should mean this environment, too.
    os.environ.update(VIRTUAL_ENV=str(env), PATH=str(python.parent) + os.pathsep + os.environ.get("PATH", ""))
    return str(python)


def main(arguments):
    if sys.version_info < OLDEST:
        raise Trouble(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: install one and use that")
    if not arguments or arguments[0] in HELP:
        return print(__doc__)
    if arguments[0] not in COMMANDS:
        raise Trouble(f"no sub-command `{arguments[0]}`; there are: {', '.join(COMMANDS)}")
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    if set(HELP) & set(arguments[1:cut]) and (arguments[0] == "lab" or not is_ready()):  # the others know their options
        return print(__doc__)
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
