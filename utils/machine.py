"""Is this machine ready for the workshop? Each finding comes with what to do about it."""

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

REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"
OLDEST_PYTHON = (3, 11)
LEAST_MEMORY = 1.0  # GB: the kernel of the largest lesson measured takes 0.9 (tests/benchmarks/memory.py)

INSTALL = "close JupyterLab and start it again with `python3 workshop.py lab`: it installs what is missing"


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
    """Look at Python, the pinned packages, the processor and free memory. Works offline and changes nothing."""
    return Report((_python(), *_packages(requirements), _device(), _memory()))


def _python() -> tuple[str, str, str]:
    found = ".".join(map(str, sys.version_info[:3]))
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return "Python", found, "" if sys.version_info >= OLDEST_PYTHON else f"install Python {oldest} or newer"


def _packages(requirements: Path) -> list[tuple[str, str, str]]:
    """A row for torch, one for each package that is missing or of another version, and one for all the others."""
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", requirements.read_text(encoding="utf-8"), re.M))
    rows, right = [], 0
    for name, wanted in pins.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            rows.append((name, "missing", INSTALL))
            continue
        if found.partition("+")[0] != wanted:  # 2.13.0+cpu is torch 2.13.0, built for processors only
            rows.append((name, found, f"{wanted} was tested; {INSTALL}"))
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
        bundle = super()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        # Shown only where no widget can be drawn.
        text = "✗ Widgets are not drawn here: open this notebook with `python3 workshop.py lab`, or in JupyterLab 4."
        return {**data, "text/plain": text}
