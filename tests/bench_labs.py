"""How long a student waits: `python -m tests.bench_labs` measures the labs in JupyterLab and in the live deck.

From the key press to the new pixels, for every lab and for the usual way, `interact` around a matplotlib figure of the
same three panels as Lab 1, in the same browser and kernel server; the pictures a second that play shows; for Lab 3 the
time until its training has ended. Beside them, what the kernel does for one picture and how many bytes it sends.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch

from tests.jupyter_page import NotebookPage, chromium, jupyter_lab, write_notebook
from tests.test_present import presenting
from utils import designer, labs, race

LAB = ("from utils.labs import find_edge", "find_edge()")
RACE = ("from utils.labs import race", "race()")
DESIGN = ("from utils.labs import design_schedule", "design_schedule()")
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
PLOT = "svg.workshop-plot"
PICTURE = {LAB: PLOT, RACE: PLOT, DESIGN: PLOT, USUAL: ".jp-OutputArea img[src^='data:image/png']"}

LR, KAPPA = ["ArrowRight"] * 48, ["ArrowRight", "ArrowRight", *["ArrowLeft"] * 4, "ArrowRight", "ArrowRight"] * 6
# What is measured: row → slider and keys. In the race no press leads back to a setting that has been run before.
ROWS = {
    LAB: {"lr slider": ("lr", LR), "κ slider": ("κ = L/μ", KAPPA)},
    USUAL: {"lr slider": ("lr", LR), "κ slider": ("κ = L/μ", KAPPA)},
    RACE: {
        "lr of one of four": ("Adam, lr", ["ArrowLeft"] * 48),
        "start of all four": ("start x", ["ArrowRight"] * 48),
    },
    DESIGN: {
        "lr slider": ("lr", ["ArrowLeft"] * 48),
        "eta_min slider": ("CosineAnnealingLR, eta_min", (["ArrowRight"] * 5 + ["ArrowLeft"] * 5) * 4),
    },
}

# Notes for each picture the time since the first key press not yet answered, up to the first task after the frame that
# shows it. The usual way replaces its img, so what is watched is the document.
WATCH = """selector => {
  window.waits = []; window.begin = null; window.last = 0; window.shows = [];
  const now = () => { const each = document.querySelector(selector);
                      return each && (each.getAttribute("aria-label") || each.getAttribute("src")); };
  let shown = now();
  document.addEventListener("keydown", () => {
    window.pressed = performance.now();
    window.begin ??= window.pressed;
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
          window.shows.push([window.last, next]);
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


def last_of_twenty(notebook: NotebookPage, label: str) -> float:
    """ms from the last of 20 quick presses to the final picture.

    In Lab 3 a training goes on for a while after that: final is the first picture that tells of the final schedule.
    """
    page = notebook.page
    page.evaluate("window.waits = []; window.begin = null; window.last = 0; window.shows = []")
    notebook.handle(label).focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    while True:  # the final picture is the one that no other follows within a second
        seen = page.evaluate("window.last")
        page.wait_for_timeout(1000)
        if seen and seen == page.evaluate("window.last"):
            break
    shows, pressed = page.evaluate("[window.shows, window.pressed]")
    final = shows[-1][1].partition(" Its training")[0]
    return next(when for when, told in shows if told.partition(" Its training")[0] == final) - pressed


# Times of the frames, as the browser counts them, in which the path of a racer was drawn anew.
FRAMES = """selector => {
  window.drawn = new Set();
  new MutationObserver(() => requestAnimationFrame((time) => window.drawn.add(time)))
    .observe(document.querySelector(selector), { attributeFilter: ["d"] });
}"""


def played(notebook: NotebookPage) -> float:
    """New pictures per second while all steps are played."""
    page = notebook.page
    notebook.handle("step").press("Home")
    page.wait_for_timeout(500)
    page.evaluate(FRAMES, "svg.workshop-plot path")
    page.get_by_role("button", name="play or pause").click()
    page.wait_for_function("window.drawn.size && performance.now() - Math.max(...window.drawn) > 1000", timeout=60_000)
    first, last, count = page.evaluate("(times => [times[0], times.at(-1), times.length])([...window.drawn])")
    return 1000 * (count - 1) / (last - first)


def trained(notebook: NotebookPage, label: str, key: str, times: int = 12) -> list[float]:
    """ms from a key press to the picture with the result of the training that it set off."""
    page, handle, seconds = notebook.page, notebook.handle(label), []
    told = "document.querySelector('svg.workshop-plot').getAttribute('aria-label').includes('Its training: step')"
    for _ in range(times):
        handle.press(key)
        page.wait_for_function(told, timeout=30_000)
        page.wait_for_function(f"!{told}", timeout=30_000)
        page.wait_for_timeout(200)
        seconds.append(page.evaluate("window.last - window.pressed"))
    return seconds


def row(lab: str, what: str, times: list[float], unit: str = "ms") -> dict:
    p95 = sorted(times)[int(0.95 * len(times))] if len(times) > 1 else None
    print(f"{lab:22} {what:28} {statistics.median(times):7.1f} {p95 or 0:7.1f} {unit}", flush=True)
    return {"lab": lab, "what": what, "median": statistics.median(times), "p95": p95, "unit": unit, "n": len(times)}


def measure(notebook: NotebookPage, name: str, sources) -> list[dict]:
    """The rows of one lab whose page is open and whose lab is in view."""
    notebook.page.wait_for_timeout(2000)
    notebook.page.evaluate(WATCH, PICTURE[sources])
    slider, keys = next(iter(ROWS[sources].values()))
    waits(notebook, slider, keys[:3])  # the first pictures warm up kernel and browser
    rows = [row(name, what, waits(notebook, *each)) for what, each in ROWS[sources].items()]
    rows.append(row(name, "the last of 20 presses", [last_of_twenty(notebook, slider) for _ in range(3)]))
    if sources is DESIGN:  # none of these settings has been trained
        rows.append(row(name, "result of the training", trained(notebook, "CosineAnnealingLR, T_max", "ArrowLeft")))
    if sources is not USUAL:
        rows.append(row(name, "play", [played(notebook) for _ in range(3)], "pictures/s"))
    return rows


def in_jupyterlab(browser) -> Iterator[list[dict]]:
    with tempfile.TemporaryDirectory() as folder, jupyter_lab(Path(folder)) as jupyter:
        for name, sources in {"Lab 1": LAB, "interact": USUAL, "Lab 2": RACE, "Lab 3": DESIGN}.items():
            write_notebook(jupyter.root / f"{name}.ipynb", *sources)
            notebook = NotebookPage.open(browser, jupyter, f"{name}.ipynb")
            notebook.run_all(PICTURE[sources])
            if sources is USUAL:  # the labs name their sliders themselves
                notebook.page.evaluate(
                    """() => document.querySelectorAll(".noUi-handle").forEach((handle) => {
                      const label = handle.closest(".widget-slider").querySelector(".widget-label");
                      handle.setAttribute("aria-label", label.innerText);
                      handle.dataset.lmSuppressShortcuts = "true";
                    })"""
                )
            yield measure(notebook, f"{name}, JupyterLab", sources)
            notebook.page.close()


def in_the_deck(browser) -> Iterator[list[dict]]:
    for name, number, sources in (("Lab 1", "01", LAB), ("Lab 2", "02b", RACE), ("Lab 3", "04a", DESIGN)):
        with presenting(number, "--no-browser") as (_, address):
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            page.goto(address)
            page.wait_for_selector("html.deck-ready", state="attached", timeout=120_000)
            page.evaluate(
                """() => { const slide = document.querySelector(".deck-widget").closest("section");
                           const { h, v } = Reveal.getIndices(slide); Reveal.slide(h, v); }"""
            )
            page.locator(".deck-widget svg.workshop-plot").wait_for(timeout=60_000)
            yield measure(NotebookPage(page), f"{name}, live deck", sources)
            page.close()


@contextmanager
def clocked(*places: tuple[object, str]) -> Iterator[list[float]]:
    """Seconds of CPU spent in these functions (module, name), one number per call."""
    spent = []

    def timed(function: Callable) -> Callable:
        def call(*args, **options):
            begin = time.process_time()
            try:
                return function(*args, **options)
            finally:
                spent.append(time.process_time() - begin)

        return call

    patches = [patch.object(module, name, timed(getattr(module, name))) for module, name in places]
    for each in patches:
        each.start()
    try:
        yield spent
    finally:
        for each in patches:
            each.stop()


# What a lab's kernel computes with, one control and the values that it is moved through.
KERNEL = {
    "Lab 1": (labs.find_edge, [(labs, "descend")], "lr", lambda lab: [value for _, value in lab.options[100:140]]),
    "Lab 2": (race.race, [(race, "descend")], "Adam lr", lambda _: race.LRS[10:50]),
    "Lab 3": (
        designer.design_schedule,
        [(designer, "lr_curve"), (designer, "momentum_curve")],
        "lr",
        lambda lab: [value for _, value in lab.options[20:60]],
    ),
}


def in_the_kernel() -> Iterator[list[dict]]:
    """For one new picture: CPU time of what the lab computes, of all the rest, and the bytes that it sends."""
    torch.set_num_threads(1)
    for name, (make, places, control, choose) in KERNEL.items():
        with clocked(*places) as spent:
            lab = make()
            computing, drawing, sent = [], [], []
            for value in choose(lab.controls[control]):
                spent.clear()
                begin = time.process_time()
                lab.set(**{control: value})
                total = time.process_time() - begin
                computing.append(1000 * sum(spent))
                drawing.append(1000 * total - computing[-1])
                frame = dict(lab.plot.frame)
                sent.append((len(frame.pop("points")) + len(json.dumps(frame))) / 1000)
        name = f"{name}, kernel"
        yield [row(name, "computing", computing), row(name, "drawing", drawing), row(name, "frame", sent, "kB")]


def main() -> list[dict]:
    rows = [each for found in in_the_kernel() for each in found]
    with chromium() as browser:
        for way in (in_jupyterlab, in_the_deck):
            rows += [each for found in way(browser) for each in found]
    return rows


if __name__ == "__main__":
    main()
