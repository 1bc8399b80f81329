"""What the launcher does once: it makes the environment and installs the packages, by uv or, where that fails, by pip.

uv brings the same files as pip in a tenth of the time. A pinned wheel of it is installed by pip, so whoever has set up
pip (an index of the house, a proxy, certificates, a folder of wheels) has set up uv: `as_uv_takes_them` says the same.
"""

# Standard library only: nothing is installed yet.

import ast
import contextlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tools import settings

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 11), (3, 14)  # for these, and what `unsupported` lets pass, every pinned package has a wheel
UNFINISHED = "unfinished"  # in the stamp, while packages are installed
CPU_TORCH = "https://download.pytorch.org/whl/cpu"
ANSWER = 4  # seconds in which it does, or the usual index is taken
CLEANING = 5  # seconds that a command has to clean up after Ctrl-C
# NVIDIA's, and that of Windows below WSL: the usual build of torch for Linux serves no other.
HAS_GPU = sys.platform == "linux" and any(map(os.path.exists, ("/dev/nvidiactl", "/dev/dxg")))
CPU_GB, CUDA_GB = 2.5, 6  # of disk: environments of 1.5 and 5.4, and what is downloaded on the way

PAUSES = {True: 0.5, False: 4}  # s between two pictures of a line, on a terminal or in a log


class InstallationTrouble(Exception):
    """What is wrong and what to do about it, in one line."""


def ask(python: Path, *arguments: str, **options) -> str:
    """What a Python prints, or "" if it fails, takes too long or does not even start."""
    # Its own path may be in it, in letters that the system's encoding does not have.
    options["env"] = {**(options.get("env") or os.environ), "PYTHONIOENCODING": "utf-8"}
    try:
        said = subprocess.check_output([python, *arguments], stderr=subprocess.DEVNULL, **options)
        return said.decode(errors="replace").strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def unsupported(version: tuple[int, ...]) -> str | None:
    """In a sentence why there are no wheels for this Python, system and processor."""
    system, processor = platform.system(), platform.machine().lower()
    if version[:2] > NEWEST:
        return "PyTorch is not made for Python {}.{} yet: use one from 3.11 to 3.14".format(*version)
    if system == "Darwin" and processor != "arm64":
        return "PyTorch is no longer made for Intel Macs (nor for an Intel Python on Apple silicon): use another one"
    if system == "Darwin" and int(platform.mac_ver()[0].split(".")[0]) < 14:
        return f"PyTorch needs macOS 14 or newer, this is {platform.mac_ver()[0]}: update it, or use another computer"
    if system == "Windows" and sysconfig.get_platform() != "win-amd64":
        return "PyTorch is not made for Windows on ARM (nor for a 32-bit Python): use 64-bit Python on an x64 machine"
    if system == "Linux" and (processor not in ("x86_64", "aarch64") or sys.maxsize < 2**32):
        return f"PyTorch is made for 64-bit x86 and ARM, this is {processor}: use another computer"
    return None


# The line of a phase


def step(
    what: str,
    *command: str | Path,
    variables: dict[str, str] | None = None,
    count: Callable[[list[str]], str] = lambda said: "",
    otherwise: str = "",
) -> bool:
    """Run a command behind one line that never rests: `count` makes of its output what is shown beside the seconds.

    True if it went well. If not, False after a line that says `otherwise`, or InstallationTrouble if that is empty.
    """
    terminal, began, said = sys.stdout.isatty(), time.monotonic(), []

    def show(end: str = "") -> None:  # a terminal's line is written anew, a log's grows
        now = f"{count(said)}{time.monotonic() - began:.0f} s"
        print(f"\r{what}: {now}   " if terminal else f" {now}", end=end, flush=True)

    def listen() -> None:
        for line in filter(str.strip, process.stdout):
            said.append(line.strip())

    print(f"{what}:", end="", flush=True)
    pipes = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        process = subprocess.Popen(command, cwd=ROOT, env=variables, encoding="utf-8", errors="replace", **pipes)
    except OSError as error:  # no such program, or not for this machine
        print()
        return _failed([str(error)], otherwise)
    try:
        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        while listener.is_alive():
            listener.join(PAUSES[terminal])
            show(end="" if listener.is_alive() else "\n")
        if process.wait() == 0:
            return True
    except BaseException:  # Ctrl-C: as a rule the command gets it as well, and cleans up
        print()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(CLEANING)
        finally:
            process.kill()
        raise
    return _failed(said, otherwise)


def _failed(said: list[str], otherwise: str) -> bool:
    """Tell why: False, or InstallationTrouble where nothing else can be tried."""
    reason = next((line for line in said if re.match("error", line, re.I)), [*said, "no reason given"][-1])
    if re.search(r"No space left|Errno 28|os error 28|not enough space", str(said)):
        reason += "; the disk is full; make room, then run this again"
    elif otherwise:
        print(f"{otherwise} ({reason})", flush=True)
        return False
    elif re.search(r"connection (broken|error)|failed to establish|name resolution|timed out", str(said), re.I):
        reason += "; the package index cannot be reached; check the network or proxy, then run this again"
    elif re.search(r"\b401\b|EOFError", str(said)):
        reason += "; the package index wants a name and a password: write them into its address in pip's settings"
    raise InstallationTrouble(f"set-up failed: {reason}")


def packages(env: Path, name: str = "*") -> list[Path]:
    """The folders in which installed packages are described."""
    return list(env.glob(f"{'Lib' if os.name == 'nt' else 'lib/python*'}/site-packages/{name}.dist-info"))


def is_whole(package: Path) -> bool:
    """Whether its installation came to an end: pip and uv write this file when all others are there."""
    return (package / "INSTALLER").is_file()


def counter(env: Path) -> Callable[[list[str]], str]:
    """What to show of an installer's output: packages that have come since now, megabytes that it had to fetch."""
    before = len(packages(env))

    def count(said: list[str]) -> str:
        sizes = re.findall(r"^(?:Downloading|Using cached) .*\(([\d.]+) ?([kKMG])i?B", "\n".join(said), re.M)
        megabytes = sum(float(size) * {"G": 1e3, "M": 1}.get(unit, 1e-3) for size, unit in sizes)
        came = len(packages(env)) - before
        return (f"{came} packages, " if came > 0 else "") + (f"{megabytes:.0f} MB, " if sizes else "")

    return count


# Who installs


def pip_settings(python: Path) -> dict[str, str]:
    """As pip itself tells them, from files and variables; of its sections the last counts most."""
    lines, settings = ask(python, "-m", "pip", "config", "list").splitlines(), {}
    for section in ("global.", "install.", ":env:."):
        pairs = [line.removeprefix(section).partition("=") for line in lines if line.startswith(section)]
        settings.update({name: ast.literal_eval(value) for name, _, value in pairs})
    return settings


def is_on(settings: dict[str, str], name: str) -> bool:
    """A switch among pip's settings."""
    return settings.get(name, "").lower() in ("1", "true", "yes", "on", "y", "t")


HARMLESS = """break-system-packages cache-dir config-file disable-pip-version-check no-color no-input progress-bar quiet
    no-warn-script-location require-virtualenv retries root-user-action verbose""".split()  # uv needs no word for them
OPTIONS = {name: f"--{name}" for name in ("index-url", "extra-index-url", "find-links")}
OPTIONS |= {"trusted-host": "--allow-insecure-host", "constraint": "--constraints"}
SWITCHES = {"no-index": "--no-index", "no-cache-dir": "--no-cache"}
VARIABLES = {"cert": ["SSL_CERT_FILE"], "client-cert": ["SSL_CLIENT_CERT"]}
VARIABLES |= {name: ["UV_HTTP_TIMEOUT"] for name in ("timeout", "default-timeout")}
VARIABLES |= {"proxy": [f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "ALL")]}


def as_uv_takes_them(settings: dict[str, str]) -> tuple[list[str], dict[str, str], set[str]]:
    """uv's options and environment for pip's settings, and the names of those which only pip understands."""
    # uv's own settings do not count: one switches the check of hashes off, others take packages from elsewhere.
    variables = {name: value for name, value in os.environ.items() if name == "UV_CACHE_DIR" or name[:3] != "UV_"}
    for bundle in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # pip reads them
        if bundle in os.environ:
            variables.setdefault("SSL_CERT_FILE", os.environ[bundle])
    options = ["--no-config", "--system-certs", "--index-strategy=unsafe-best-match"]  # pip's: all indexes are equal
    for name, value in settings.items():
        options += [f"{OPTIONS[name]}={part}" for part in value.split()] if name in OPTIONS else []
        options += [SWITCHES[name]] if name in SWITCHES and is_on(settings, name) else []
        variables |= dict.fromkeys(VARIABLES.get(name, ()), value)
    return options, variables, settings.keys() - {*OPTIONS, *SWITCHES, *VARIABLES, *HARMLESS}


class Installers:
    """uv, as long as it does what it is asked for, and pip."""

    def __init__(self, env: Path, python: Path):
        self.env, self.settings = env, pip_settings(python)
        self.pip = [python, *"-m pip --disable-pip-version-check install --no-compile".split()]
        options, self.variables, only_pip = as_uv_takes_them(self.settings)
        self.uv = []
        pinned = ROOT / "requirements-uv.txt"
        if only_pip:
            print(f"pip installs, for uv has nothing like pip's setting {', '.join(sorted(only_pip))}.")
        elif pinned.is_file():
            once = "--no-deps --require-hashes --only-binary=:all: --retries=1 -r".split()
            otherwise = "uv cannot be fetched, so pip installs: the same packages, more slowly"
            if step("Fetching uv, which installs quickly", *self.pip, *once, pinned, otherwise=otherwise):
                self.uv = [python.with_name("uv" + python.suffix), "pip", "install", f"--python={python}", *options]

    def install(self, what: str, *words: str) -> None:
        """By uv or, if it cannot, by pip, which has the last word."""
        hashed = "--require-hashes" in words  # then uv takes no constraint without a hash, and none is needed
        command = [word for word in self.uv if not (hashed and str(word).startswith("--constraints="))]
        otherwise = "uv gives up, so pip tries: more slowly"
        options = {"variables": self.variables, "otherwise": otherwise}
        if self.uv and step(what, *command, *words, count=counter(self.env), **options):
            return
        self.uv = []
        step(what, *self.pip, *words, count=counter(self.env))


def check_room(env: Path, gigabytes: float) -> None:
    """InstallationTrouble if there is less on the disk of the environment."""
    free = shutil.disk_usage(env if env.is_dir() else ROOT).free / 1e9
    if free < gigabytes:
        raise InstallationTrouble(f"{free:.1f} GB of disk are free, the set-up takes about {gigabytes}: make room")


def torch_from(installers: Installers) -> list[str]:
    """What to add for torch: on a Linux without a GPU, if nobody decided otherwise, the index of its CPU build."""
    of_pip, python = installers.settings, installers.pip[0]
    decided = "pytorch.org" in str(of_pip) or is_on(of_pip, "no-index") or os.environ.get("WORKSHOP_TORCH")
    if sys.platform != "linux" or decided or HAS_GPU:
        return []
    opened = f"import urllib.request as u; u.urlopen('{CPU_TORCH}/torch/', timeout={ANSWER}); print('yes')"
    if ask(python, "-c", opened, env=installers.variables, timeout=ANSWER + 1):
        print("No NVIDIA GPU here, so torch comes in its CPU build; for the usual one (4 GB of CUDA) delete .venv and")
        print("start with the variable WORKSHOP_TORCH=any.")
        return [f"--extra-index-url={CPU_TORCH}"]
    print(f"{CPU_TORCH} cannot be reached, so torch comes from the usual index, perhaps with 4 GB of CUDA.")
    if not {"index-url", "extra-index-url", "find-links"} & of_pip.keys():
        check_room(installers.env, CUDA_GB)
    return []


def install(env: Path, python: Path, stamp: Path, *, active: bool) -> None:
    """Make the environment what the files of requirements ask for; while it is at work `stamp` says UNFINISHED."""
    sys.stdout.reconfigure(errors="replace")  # a reason may hold what a console of Windows cannot show
    version = tuple(map(int, ask(python, "-ISc", "import sys; print(*sys.version_info[:2])").split()))
    # No whole pip: an interrupted start, or the system's Python was replaced by a newer one under this environment.
    has_pip = ask(python, "-m", "pip", "--version") and (active or any(map(is_whole, packages(env, "pip-*"))))
    usable = has_pip and OLDEST <= version <= NEWEST
    if trouble := unsupported(sys.version_info[:2] if not usable else version):
        raise InstallationTrouble(trouble)
    pin = re.search(r"^torch==([\w.]+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    torch = packages(env, f"torch-{pin[1] if pin else ''}*")
    first = not any(map(is_whole, torch))  # or it was interrupted, or there is another version of torch to come
    if first:
        check_room(env, CUDA_GB if HAS_GPU else CPU_GB)
    print(f"Setting up {env}" + (": this happens once." if first else ", since what it depends on has changed."))
    if not usable:
        if active:
            raise InstallationTrouble(
                f"{env}, which is active, lacks pip or a Python from 3.11 to 3.14: deactivate it, then run this again"
            )
        if not all(map(importlib.util.find_spec, ["venv", "ensurepip"])):
            raise InstallationTrouble("this Python lacks venv: install it (Debian, Ubuntu: apt install python3-venv)")
        step("Making the environment", sys.executable, "-m", "venv", "--clear", env)
    if stamp.is_file() and stamp.read_text() == UNFINISHED:
        for package in packages(env):  # else it would pass for installed
            if not is_whole(package):
                shutil.rmtree(package)
    stamp.write_text(UNFINISHED)
    installers = Installers(env, python)
    more = torch_from(installers) if first else []
    lock = ROOT / "requirements.lock"
    if lock.is_file():  # all but torch, whose builds have hashes of their own
        installers.install("Installing the packages", *"--no-deps --require-hashes -r requirements.lock".split())
        if re.search("^setuptools==", lock.read_text(encoding="utf-8"), re.MULTILINE):
            more.append("--no-build-isolation")  # what the workshop is built with is there, and perhaps no network
    installers.install("Installing torch and the workshop itself", *"-r requirements.txt -e .".split(), *more)
    step("Importing torch and all that lessons need, for the first time", python, "-m", "tools.first_import")
    settings.write(env)
