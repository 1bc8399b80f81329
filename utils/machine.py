"""Is this machine ready for the workshop? Each finding comes with what to do about it."""

import os
import re
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import anywidget
import psutil
import torch
import traitlets
from tabulate import tabulate

from utils.internals.widget_view import widget_view

REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"
OLDEST_PYTHON = (3, 11)
LEAST_MEMORY = 1.0  # GB: the kernel of the largest lesson measured takes 0.9 (tests/benchmarks/memory.py)

# What lessons and labs import, by its names on PyPI; what presents and proves them is nobody's concern in a lesson.
LESSONS_NEED = ("torch", "numpy", "scikit-learn", "scipy", "matplotlib", "tabulate", "psutil", "filelock", "pillow")
LESSONS_NEED += ("ipykernel", "ipywidgets", "anywidget")

# Where a lesson runs → what to do about a package that is missing. Only the launcher promises the versions of its pins.
LAUNCHER, COLAB, BINDER, HUB, ELSEWHERE = "launcher", "Colab", "Binder", "hub", "elsewhere"
INSTALL = {
    LAUNCHER: "close JupyterLab and start it again with `python3 workshop.py lab`: it installs what is missing",
    COLAB: "run `%pip install {}` in a cell, then *Runtime → Restart session*",
    BINDER: "its image lacks `{}`: tell whoever gave you the link",
    HUB: "tell whoever runs this hub that `{}` is missing",
    ELSEWHERE: "run `%pip install {}` in a cell, then restart the kernel",
}


@dataclass(frozen=True)
class Report:
    """Findings as rows (what, found, what to do or ""); true if nothing is to be done."""

    rows: tuple[tuple[str, str, str], ...]

    def __bool__(self) -> bool:
        return not any(advice for _, _, advice in self.rows)

    def _repr_markdown_(self) -> str:
        rows = [(what, found, f"✗ {advice}" if advice else "✓") for what, found, advice in self.rows]
        last = "**Ready.**" if self else "**Not ready yet:** see the last column."
        return tabulate(rows, headers=["part", "found", "to do"], tablefmt="github") + f"\n\n{last}"

    def __repr__(self) -> str:
        return "\n".join(f"{'✗' if advice else '✓'} {what}: {found} {advice}" for what, found, advice in self.rows)


def check_machine(requirements: Path = REQUIREMENTS) -> Report:
    """Look at Python, what lessons import, the processor and free memory. Works offline and changes nothing."""
    return Report((_python(), *_packages(requirements, place()), _device(), _memory()))


def place() -> str:
    """Where this kernel runs: a key of INSTALL."""
    if (Path(sys.prefix) / "workshop-set-up").is_file():  # workshop.py leaves it where it has installed all
        return LAUNCHER
    if "google.colab" in sys.modules:
        return COLAB
    if "BINDER_SERVICE_HOST" in os.environ:
        return BINDER
    return HUB if "JUPYTERHUB_USER" in os.environ else ELSEWHERE


def _python() -> tuple[str, str, str]:
    found = ".".join(map(str, sys.version_info[:3]))
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return "Python", found, "" if sys.version_info >= OLDEST_PYTHON else f"install Python {oldest} or newer"


def _packages(requirements: Path, place: str) -> list[tuple[str, str, str]]:
    """A row for torch, one for each package that is missing or of another version, and one for all the others."""
    if not requirements.is_file():
        return [("packages", f"not checked: {requirements.name} is not there", "")]
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", requirements.read_text(encoding="utf-8"), re.M))
    rows, right = [], 0
    for name in filter(pins.get, LESSONS_NEED):
        wanted = pins[name]
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            rows.append((name, "missing", INSTALL[place].format(f"{name}=={wanted}")))
            continue
        if found.partition("+")[0] != wanted:  # 2.13.0+cpu is torch 2.13.0, built for processors only
            if place == LAUNCHER:
                rows.append((name, found, f"{wanted} was tested; {INSTALL[place]}"))
            else:
                rows.append((name, f"{found} ({wanted} was tested: last digits may differ)", ""))
        elif name == "torch":
            rows.append((name, found, ""))
        else:
            right += 1
    return [*rows, ("other packages", f"{right} as pinned in requirements.txt", "")]


def _device() -> tuple[str, str, str]:
    if torch.cuda.is_available():
        accelerator = f"and {torch.cuda.get_device_name()} (not needed)"
    elif torch.backends.mps.is_available():
        accelerator = "and an Apple GPU (not needed)"
    else:
        accelerator = "and no GPU (none is needed)"
    return "processor", f"{psutil.cpu_count()} cores {accelerator}", ""


def _memory() -> tuple[str, str, str]:
    free = psutil.virtual_memory().available / 1e9
    advice = "" if free >= LEAST_MEMORY else f"close other programs until {LEAST_MEMORY:g} GB are free"
    return "free memory", f"{free:.1f} GB", advice


class WidgetCheck(anywidget.AnyWidget):
    """A line that only a working widget can write: the page asks the kernel, and shows how long the answer took."""

    _esm = """
    function render({ model, el }) {
      const asked = performance.now();
      el.setAttribute("role", "status");
      el.textContent = "✗ Widgets are drawn, but the kernel does not answer: restart it (Kernel menu), run this again.";
      model.on("change:answer", () => {
        const took = Math.round(performance.now() - asked);
        el.textContent = `✓ Widgets are drawn, and the kernel answered in ${took} ms.`;
      });
      model.set("question", model.get("question") + 1);
      model.save_changes();
    }
    export default { render };
    """
    question = traitlets.Int().tag(sync=True)
    answer = traitlets.Int().tag(sync=True)

    def __init__(self):
        super().__init__()
        self.observe(lambda change: self.set_trait("answer", change["new"]), names="question")

    def _repr_mimebundle_(self, **options):
        # Shown only where no widget can be drawn.
        text = "✗ Widgets are not drawn here: open this notebook with `python3 workshop.py lab`, or in JupyterLab 4."
        return widget_view(self, **{"text/plain": text})
