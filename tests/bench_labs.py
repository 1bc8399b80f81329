"""How long a student waits: `python tests/bench_labs.py` measures the labs in JupyterLab and prints a table.

From the key press to the new pixels, for Lab 1 and for the usual way, `interact` around a matplotlib figure of the same
three panels, in the same browser and kernel server; then for Lab 2, with the pictures a second that its play shows.
Beside them, the time of the optimizers alone.
"""

import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs as a script

from tests.jupyter_page import NotebookPage, chromium, jupyter_lab, write_notebook
from utils.descent import descend
from utils.surfaces import ravine

LAB = ("from utils.labs import find_edge", "find_edge()")
RACE = ("from utils.labs import race", "race()")
USUAL = (
    "%matplotlib inline",
    """
import matplotlib.pyplot as plt
import numpy as np
import torch
from ipywidgets import FloatSlider, SelectionSlider, interact
from utils.descent import descend
from utils.plots import surface_traces
from utils.surfaces import ravine
plt.style.use("utils.workshop")

@interact(lr=SelectionSlider(options=[float(f"{lr:.3g}") for lr in np.geomspace(0.003, 3, 351)], value=0.0216,
                             description="lr", layout={"width": "620px"}),
          kappa=SelectionSlider(options=[1, 3, 10, 30, 100], value=10, description="κ = L/μ"),
          x=FloatSlider(value=-1.0, min=-1.2, max=1.2, description="start x"),
          y=FloatSlider(value=0.4, min=-0.9, max=0.9, description="start y"))
def show(lr, kappa, x, y):
    trace = descend(ravine(kappa), lambda params: torch.optim.SGD(params, lr=lr), 60, start=(x, y))
    figure, (a, b, c) = plt.subplots(1, 3, figsize=(10.4, 3.9), width_ratios=[1.25, 1, 1])
    surface_traces(ravine(kappa), trace, a, mark_every=0)
    b.semilogy(np.maximum(trace.loss, 1e-14))
    b.set(xlabel="step", ylabel="loss", ylim=(1e-12, 1e4))
    grid = np.linspace(0, 3 / kappa, 241)
    c.semilogy(grid, (x**2 * (1 - grid) ** 120 + kappa * y**2 * (1 - grid * kappa) ** 120) / 2, "--")
    c.semilogy(min(lr, 2.94 / kappa), min(max(np.nan_to_num(trace.loss[-1], nan=1e4), 1e-12), 1e4), "o")
    c.axvline(2 / kappa)
    c.set(xlabel="lr", ylim=(1e-12, 1e4))
    plt.show()
""",
)
# What changes when the new picture is there: the lab's alt text, which it writes with the lines; the figure's img.
PICTURE = {LAB: "svg.workshop-plot", RACE: "svg.workshop-plot", USUAL: ".jp-OutputArea img[src^='data:image/png']"}

LR, KAPPA = ["ArrowRight"] * 48, ["ArrowRight", "ArrowRight", *["ArrowLeft"] * 4, "ArrowRight", "ArrowRight"] * 6
# What is measured: row → slider and keys. In the race no press leads back to a setting that has been run before.
ROWS = {
    LAB: {"lr slider": ("lr", LR), "κ slider": ("κ = L/μ", KAPPA)},
    USUAL: {"lr slider": ("lr", LR), "κ slider": ("κ = L/μ", KAPPA)},
    RACE: {
        "lr of one of four": ("Adam, lr", ["ArrowLeft"] * 48),
        "start of all four": ("start x", ["ArrowRight"] * 48),
    },
}

# Notes for each picture the time since the first key press not yet answered, up to the first task after the frame that
# shows it. The usual way replaces its img, so what is watched is the document.
WATCH = """selector => {
  window.waits = []; window.begin = null; window.last = 0;
  const now = () => { const each = document.querySelector(selector);
                      return each && (each.getAttribute("aria-label") || each.getAttribute("src")); };
  let shown = now();
  document.addEventListener("keydown", () => {
    window.pressed = performance.now();
    window.begin ??= window.pressed;
    window.first ??= window.pressed;
  }, true);
  new MutationObserver(() => {
    const next = now();
    if (!next || next === shown) return;
    shown = next;
    const begin = window.begin; window.begin = null;
    const painted = async () => {
      const each = document.querySelector(selector);
      if (each?.decode) await each.decode().catch(() => {});
      requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () => {
          window.last = performance.now();
          if (begin !== null) window.waits.push(window.last - begin);
        };
        channel.port2.postMessage(0);
      });
    };
    painted();
  }).observe(document.body, { subtree: true, childList: true, attributeFilter: ["aria-label", "src"] });
}"""


def waits(notebook: NotebookPage, label: str, keys: list[str]) -> list[float]:
    """ms from each key press to the new picture, one after the other."""
    handle, page = notebook.handle(label), notebook.page
    page.evaluate("window.waits = []")
    for count, key in enumerate(keys, start=1):
        handle.press(key)
        page.wait_for_function(f"window.waits.length >= {count}", timeout=30_000)
        page.wait_for_timeout(60)  # a person's pause; without it the next press would meet a busy page
    return page.evaluate("window.waits")


def last_of_twenty(notebook: NotebookPage, label: str) -> tuple[float, float]:
    """ms from the first and from the last of 20 quick presses to the final picture."""
    page = notebook.page
    page.evaluate("window.waits = []; window.first = window.begin = null; window.last = 0")
    notebook.handle(label).focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    while True:  # the final picture is the one that no other follows within a second
        seen = page.evaluate("window.last")
        page.wait_for_timeout(1000)
        if seen and seen == page.evaluate("window.last"):
            return page.evaluate("[window.last - window.first, window.last - window.pressed]")


# Times of the frames, as the browser counts them, in which the path of a racer was drawn anew.
FRAMES = """selector => {
  window.drawn = new Set();
  new MutationObserver(() => requestAnimationFrame((time) => window.drawn.add(time)))
    .observe(document.querySelector(selector), { attributeFilter: ["d"] });
}"""


def played(notebook: NotebookPage) -> float:
    """New pictures per second while 100 steps are played."""
    page = notebook.page
    notebook.handle("step").press("Home")
    page.wait_for_timeout(500)
    page.evaluate(FRAMES, "svg.workshop-plot path")
    page.get_by_role("button", name="play or pause").click()
    page.wait_for_function("window.drawn.size && performance.now() - Math.max(...window.drawn) > 1000", timeout=60_000)
    first, last, count = page.evaluate("(times => [times[0], times.at(-1), times.length])([...window.drawn])")
    return 1000 * (count - 1) / (last - first)


def measure(browser, jupyter, name: str, sources) -> None:
    write_notebook(jupyter.root / f"{name}.ipynb", *sources)
    notebook = NotebookPage.open(browser, jupyter, f"{name}.ipynb")
    notebook.run_all(PICTURE[sources])
    notebook.page.wait_for_timeout(2000)
    if sources is USUAL:  # the lab names its sliders itself
        notebook.page.evaluate(
            """() => document.querySelectorAll(".noUi-handle").forEach((handle) => {
              const label = handle.closest(".widget-slider").querySelector(".widget-label");
              handle.setAttribute("aria-label", label.innerText);
              handle.dataset.lmSuppressShortcuts = "true";
            })"""
        )
    notebook.page.evaluate(WATCH, PICTURE[sources])
    slider, keys = next(iter(ROWS[sources].values()))
    waits(notebook, slider, keys[:3])  # the first pictures warm up kernel and browser
    rows = {row: waits(notebook, *slider_and_keys) for row, slider_and_keys in ROWS[sources].items()}
    for label, times in rows.items():
        p95 = sorted(times)[int(0.95 * len(times))]
        print(f"{name:10} {label:26} {statistics.median(times):7.0f} {p95:7.0f}   {len(times)} changes", flush=True)
    first, last = last_of_twenty(notebook, slider)
    print(f"{name:10} {'20 presses, from the last':26} {last:7.0f}           {first:.0f} from the first")
    if sources is RACE:
        print(f"{name:10} {'play, pictures a second':26} {played(notebook):7.1f}")
    notebook.page.close()


def optimizers() -> float:
    """ms for 150 steps of each of four optimizers, as test_descent.py bounds it; median of 15 after a warm-up."""
    torch.set_num_threads(1)
    makes = [
        partial(torch.optim.SGD, lr=0.05),
        partial(torch.optim.SGD, lr=0.05, momentum=0.9),
        partial(torch.optim.Adam, lr=0.05),
        partial(torch.optim.RMSprop, lr=0.01),
    ]
    seconds = []
    for _ in range(17):
        begin = time.perf_counter()
        for make in makes:
            descend(ravine(), make, 150)
        seconds.append(time.perf_counter() - begin)
    return 1000 * statistics.median(seconds[2:])


if __name__ == "__main__":
    print(f"{'ms':37} {'median':>7} {'p95':>7}")
    print(f"{'optimizers':10} {'4 × 150 steps':26} {optimizers():7.0f}")
    with tempfile.TemporaryDirectory() as folder, chromium() as browser, jupyter_lab(Path(folder)) as jupyter:
        measure(browser, jupyter, "Lab 1", LAB)
        measure(browser, jupyter, "interact", USUAL)
        measure(browser, jupyter, "Lab 2", RACE)
