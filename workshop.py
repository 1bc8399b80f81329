"""One command makes the environment of the workshop and starts what you ask for.

    python3 workshop.py lab [NUMBER] [-- jupyter arguments]     open your copy of a lesson: lab 02; else the last one
    python3 workshop.py lab NUMBER --fresh|--live|--originals   a new copy, the old one stays | to code live | original
    python3 workshop.py report                                  one page of what you have done, to keep or hand in
    python3 workshop.py present NUMBER [--sections 1,2,4]       show a lesson as live slides, on which the labs work
    python3 workshop.py slides [NUMBER ...] [--sections 1,2,4]  write the slides into files that need no network
    python3 workshop.py wheels FOLDER                           fetch all packages, for a class without network
    python3 workshop.py test [NUMBER ...] [--quick|--colab]     all tests, or a lesson's; without browser | as on Colab
    python3 workshop.py bench|new ["Title"]                     measure how fast the labs are | start a lesson
    python3 workshop.py refresh|replicate [NUMBER ...]|minutes  store what lessons show | claims | minutes in tables

After the first start `python3 workshop.py present --help`, and so on, lists all options of a command.
The first start installs requirements.lock into .venv or the active environment; later ones take no time.
"""

# Standard library only, and no syntax newer than Python 3.6: an old Python must get so far as to say that it is old.

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OLDEST = (3, 11)  # as in pyproject.toml
INSTALLED_BY = ("requirements.lock", "requirements.txt", "pyproject.toml", "tools/settings.py")
COPY_OPTIONS = ("--fresh", "--live", "--originals")  # of lab; tools/copies.py knows what they mean


class Trouble(Exception):
    """What is wrong and what to do about it, in one line: shown without a traceback, exit code 2."""


# Each sub-command takes the words before `--` and the arguments after it, and returns the arguments for Python.


def lab(words, extra):
    from tools.notebooks import UnknownLesson, find

    options = [word for word in words if word in COPY_OPTIONS] if words else ["--resume"]
    words = [word for word in words if word not in options]
    unknown = next((word for word in words if word.startswith("-")), None)
    if unknown:
        raise Trouble(f"lab has no option `{unknown}`, only {', '.join(COPY_OPTIONS)}; Jupyter's go after `--`")
    try:
        lesson = find(" ".join(words) or "0", HERE / "notebooks")
    except UnknownLesson as unknown:
        raise Trouble(str(unknown)) from None
    ours = [f"--ServerApp.root_dir={HERE}", "--ip=127.0.0.1"]
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
COMMANDS["report"] = module("tools.report")
COMMANDS.update(wheels=module("tools.wheels"), test=module("tools.proof", "--"), bench=module("tests.benchmarks"))
COMMANDS.update(refresh=module("tools.refresh"), replicate=module("tools.replicate"))
COMMANDS.update(new=module("tools.new_lesson"), minutes=module("tools.minutes"))
HELP = ("-h", "--help")


def fingerprint(python):
    """What an installation depends on; the folder counts, for `utils` is imported from where it was installed."""
    try:
        asked = [str(python), "-ISc", "import sys; print(*sys.version_info[:3])"]
        version = subprocess.check_output(asked, stderr=subprocess.DEVNULL).decode().strip()
    except (OSError, subprocess.CalledProcessError):
        version = "none"
    contents = [path.read_text(encoding="utf-8") for path in map(HERE.joinpath, INSTALLED_BY) if path.is_file()]
    return hashlib.sha256("\0".join([version, str(HERE), *contents]).encode()).hexdigest()


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
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):  # then every kernel would compile torch anew, for five seconds
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(HERE / "build" / "bytecode"))
    if not is_ready():
        from tools.alone import alone
        from tools.installation import InstallationTrouble, install

        with alone(env):
            if not is_ready():  # still
                try:
                    install(env, python, stamp, active=bool(active))
                except InstallationTrouble as trouble:
                    raise Trouble(str(trouble)) from None
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
    sys.path.insert(0, str(HERE))  # for `tools`, whose modules need the Python that was just asked for
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    if set(HELP) & set(arguments[1:cut]) and (arguments[0] == "lab" or not is_ready()):  # the others know their options
        return print(__doc__)
    words = [os.path.abspath(word) if word.endswith(".ipynb") else word for word in arguments[1:cut]]
    command = COMMANDS[arguments[0]](words, arguments[cut + 1 :])  # complains before anything is installed
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
