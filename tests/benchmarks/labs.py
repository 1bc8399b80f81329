"""How long a student waits: `python -m tests.benchmarks.labs` measures the labs in JupyterLab and in the live deck.

From the key press to the new pixels, for every lab and for the usual way, `interact` around a matplotlib figure of the
same three panels as Lab 1, in the same browser and kernel server; the pictures a second that play shows; for Lab 3 the
time until its training has ended. Beside them, what the kernel does for one picture, and all that one move sends.
"""

import base64
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import nbformat
import torch
from playwright.sync_api import Browser

from tests.support.jupyter_page import ROOT, Jupyter, NotebookPage, jupyter_lab, write_notebook
from tests.tools.deck.test_present import presenting
from tools.browser import browser as chromium
from tools.refresh import execute
from utils.labs import find_edge, race
from utils.labs.designer import lab as designer
from utils.labs.race import LRS

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

NAMES = {LAB: "Lab 1", USUAL: "interact", RACE: "Lab 2", DESIGN: "Lab 3"}
FIRST = 3  # moves of every row warm up kernel and browser; meanwhile their bytes are counted
MOVES = 24  # then so many are timed
USUAL_MOVES = 8  # of the usual way, which takes ten times as long and is held against a goal from afar
RIGHT, LEFT = "ArrowRight", "ArrowLeft"
LR = [RIGHT] * (FIRST + MOVES)
KAPPA = ([RIGHT, RIGHT, LEFT, LEFT, LEFT, LEFT, RIGHT, RIGHT] * 4)[: FIRST + MOVES]
# eta_min has six values, and Lab 3 remembers what it has drawn: after each way through them another lr, not measured.
ETA_MIN = [RIGHT] * 5
for way in [LEFT, RIGHT, LEFT, RIGHT, LEFT]:
    ETA_MIN += [("lr", LEFT), *[way] * 5]
# What is measured: row → slider and keys. No press leads back to a setting that was there before, but for κ, which has
# five values: the lab draws what is still in their pictures soon after it is shown, and sends it anew with each move.
ROWS = {
    LAB: {"lr slider": ("lr", LR), "κ slider": ("κ = L/μ", KAPPA)},
    USUAL: {
        "lr slider": ("lr", LR[: FIRST + USUAL_MOVES]),
        "κ slider": ("κ = L/μ", KAPPA[: FIRST + USUAL_MOVES]),
    },
    RACE: {
        "lr of one of four": ("Adam, lr", [LEFT] * (FIRST + MOVES)),
        "start of all four": ("start x", [RIGHT] * (FIRST + MOVES)),
    },
    DESIGN: {
        "lr slider": ("lr", [LEFT] * (FIRST + MOVES)),
        "eta_min slider": ("CosineAnnealingLR, eta_min", ETA_MIN),
    },
}
LAST = "the last of 20 presses"

# Notes for each answer the time since the first key press not yet answered, up to the first task after the frame that
# shows it. A picture that only tells more of a training is none: in Lab 3 that of the setting before may still go on.
# The usual way replaces its img, so what is watched is the document.
WATCH = """selector => {
  window.seen = (what) => [...document.querySelectorAll(what)].find((each) => each.checkVisibility());
  window.waits = []; window.begin = null; window.last = 0; window.shows = [];
  const now = () => { const each = seen(selector);
                      return each && (each.getAttribute("aria-label") || each.getAttribute("src")); };
  const setting = (told) => told?.split(" Its training")[0];
  let shown = now();
  document.addEventListener("keydown", () => {
    window.pressed = performance.now();
    window.begin ??= window.pressed;
  }, true);
  new MutationObserver(() => {
    const next = now();
    if (!next || next === shown) return;
    let begin = null;
    if (setting(next) !== setting(shown)) { begin = window.begin; window.begin = null; }
    shown = next;
    const painted = async () => {
      const each = seen(selector);
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


def moved(notebook: NotebookPage, label: str, key: str) -> float:
    """ms from this key press to the new picture."""
    handle, page = notebook.handle(label), notebook.page
    page.evaluate("window.waits = []; window.begin = null")
    handle.press(key)
    page.wait_for_function("window.waits.length", timeout=30_000)
    return page.evaluate("window.waits[0]")


def waits(notebook: NotebookPage, label: str, keys: list) -> list[float]:
    """ms from each key press to the new picture, one after the other. A key of another slider is (label, key)."""
    times = []
    for key in keys:
        if isinstance(key, str):
            times.append(moved(notebook, label, key))
        else:
            moved(notebook, *key)
        notebook.page.wait_for_timeout(60)  # a person's pause; without it the next press would meet a busy page
    return times


def received(notebook: NotebookPage, label: str, keys: list[str]) -> list[float]:
    """kB that each key press brings from the kernel, until nothing more comes: pictures, words, states, a training."""
    page, sizes = notebook.page, []

    def count(event: dict) -> None:
        data, binary = event["response"]["payloadData"], event["response"]["opcode"] == 2
        sizes.append(len(base64.b64decode(data) if binary else data.encode()) / 1000)

    session, moves = page.context.new_cdp_session(page), []
    session.send("Network.enable")
    session.on("Network.webSocketFrameReceived", count)
    for key in keys:
        sizes.clear()
        moved(notebook, label, key)
        heard = -1
        while heard != len(sizes):
            heard = len(sizes)
            page.wait_for_timeout(200)  # Lab 3 begins to train after 120 ms and then tells of it every 80
        moves.append(sum(sizes))
    session.detach()
    return moves


# Resolves when the page has not changed for so long.
SETTLED = """ms => new Promise((done) => {
  let timer = setTimeout(done, ms);
  new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(done, ms); })
    .observe(document.body, { subtree: true, childList: true, attributes: true });
})"""


def last_of_twenty(notebook: NotebookPage, label: str, *, quiet: int) -> float:
    """ms from the last of 20 quick presses to the final picture, the one that no other follows within `quiet` ms.

    In Lab 3 a training goes on for a while after that: final is the first picture that tells of the final schedule.
    """
    page = notebook.page
    page.evaluate("window.waits = []; window.begin = null; window.last = 0; window.shows = []")
    notebook.handle(label).focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "ms => window.last > window.pressed && performance.now() - window.last > ms", arg=quiet, timeout=60_000
    )
    shows, pressed = page.evaluate("[window.shows, window.pressed]")
    final = shows[-1][1].partition(" Its training")[0]
    return next(when for when, told in shows if told.partition(" Its training")[0] == final) - pressed


# Times of the frames, as the browser counts them, in which the path of a racer was drawn anew.
FRAMES = """() => {
  window.drawn = new Set();
  new MutationObserver(() => requestAnimationFrame((time) => window.drawn.add(time)))
    .observe(seen("svg.workshop-plot").querySelector("path"), { attributeFilter: ["d"] });
}"""
PLAYED = 60  # pictures: all that Lab 1 has


def played(notebook: NotebookPage, pictures: int = PLAYED) -> float:
    """New pictures per second while the steps are played, all or so many."""
    page = notebook.page
    notebook.handle("step").press("Home")
    page.evaluate(SETTLED, 300)
    page.evaluate(FRAMES)
    button = page.get_by_role("button", name="play or pause")
    button.click()
    ended = "window.drawn.size > 1 && performance.now() - Math.max(...window.drawn) > 500"
    page.wait_for_function(f"window.drawn.size > {pictures} || {ended}", timeout=60_000)
    times = page.evaluate("[...window.drawn]")
    if len(times) > pictures:
        button.click()
        page.wait_for_function(ended, timeout=60_000)
    return 1000 * (len(times) - 1) / (times[-1] - times[0])


def trained(notebook: NotebookPage, label: str, key: str, times: int) -> list[float]:
    """ms from a key press to the picture with the result of the training that it set off."""
    page, handle, seconds = notebook.page, notebook.handle(label), []
    told = "seen('svg.workshop-plot').getAttribute('aria-label').includes('Its training: step')"
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


def measure(
    notebook: NotebookPage,
    place: str,
    sources,
    *,
    changes: int | None = None,
    rounds: int = 3,
    pictures: int = PLAYED,
) -> list[dict]:
    """The rows of one lab whose page is open and whose lab is in view: all changes of a slider, or so many."""
    name = f"{NAMES[sources]}, {place}"
    notebook.page.evaluate(SETTLED, 500)
    notebook.page.evaluate(WATCH, PICTURE[sources])
    rows = []
    for what, (slider, keys) in ROWS[sources].items():
        bytes_sent = received(notebook, slider, keys[:FIRST])
        rows.append(row(name, what, waits(notebook, slider, keys[FIRST:][:changes])))
        rows.append(row(name, f"{what}, received", bytes_sent, "kB"))
    slider, _ = next(iter(ROWS[sources].values()))
    quiet = 1000 if sources is USUAL else 300
    rows.append(row(name, LAST, [last_of_twenty(notebook, slider, quiet=quiet) for _ in range(rounds)]))
    if sources is DESIGN:  # none of these settings has been trained
        rows.append(
            row(name, "result of the training", trained(notebook, "CosineAnnealingLR, T_max", LEFT, 2 * rounds))
        )
    if sources is not USUAL:
        rows.append(
            row(name, "play", [played(notebook, pictures)], "pictures/s")
        )  # a rate over all steps is a mean already
    return rows


# The labs name their sliders, the usual way does not; every cell learns which of them it belongs to.
NAME_ALL = """names => {
  document.querySelectorAll(".noUi-handle:not([aria-label])").forEach((handle) => {
    handle.setAttribute("aria-label", handle.closest(".widget-slider").querySelector(".widget-label").innerText);
    handle.dataset.lmSuppressShortcuts = "true";
  });
  document.querySelectorAll(".jp-Notebook .jp-Cell").forEach((cell, i) => { cell.dataset.lab = names[i]; });
}"""
SHOW = """name => document.querySelectorAll("[data-lab]").forEach((cell) => {
  cell.style.display = cell.dataset.lab === name ? "" : "none";
})"""


@contextmanager
def opened(browser: Browser, jupyter: Jupyter, *wanted) -> Iterator[NotebookPage]:
    """JupyterLab with a notebook of these labs, the usual way among them or not, after run-all."""
    write_notebook(jupyter.root / "Labs.ipynb", *(cell for sources in wanted for cell in sources))
    notebook = NotebookPage.open(browser, jupyter, "Labs.ipynb")
    notebook.run_all(PICTURE[wanted[-1]])
    notebook.page.evaluate(NAME_ALL, [NAMES[sources] for sources in wanted for _ in sources])
    yield notebook
    notebook.page.close()


def shown(notebook: NotebookPage, sources) -> NotebookPage:
    """The page with only this lab in view."""
    notebook.page.evaluate(SHOW, NAMES[sources])
    notebook.page.locator(f"{PICTURE[sources]} >> visible=true").first.wait_for()
    return notebook


def in_jupyterlab(browser: Browser) -> Iterator[list[dict]]:
    with tempfile.TemporaryDirectory() as folder, jupyter_lab(Path(folder)) as jupyter:
        for sources in NAMES:  # each in a kernel of its own, where no other lab draws what it keeps ready
            with opened(browser, jupyter, sources) as notebook:
                yield measure(notebook, "JupyterLab", sources)


def in_the_deck(browser: Browser) -> Iterator[list[dict]]:
    for number, sources in (("01", LAB), ("02d", RACE), ("04a", DESIGN)):
        with presenting(number, "--no-browser") as (_, address):
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            page.goto(address)
            page.wait_for_selector("html.deck-ready", state="attached", timeout=120_000)
            page.evaluate(
                """() => { const slide = document.querySelector(".deck-widget").closest("section");
                           const { h, v } = Reveal.getIndices(slide); Reveal.slide(h, v); }"""
            )
            page.locator(".deck-widget svg.workshop-plot").wait_for(timeout=60_000)
            yield measure(NotebookPage(page), "live deck", sources)
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
    "Lab 1": (
        find_edge,
        [(sys.modules["utils.labs.find_edge"], "descend")],
        "lr",
        lambda lab: [value for _, value in lab.options[100:140]],
    ),
    "Lab 2": (race, [(sys.modules["utils.labs.race"], "descend")], "Adam lr", lambda _: LRS[10:50]),
    "Lab 3": (
        designer.design_schedule,
        [(designer, "lr_curve"), (designer, "momentum_curve")],
        "lr",
        lambda lab: [value for _, value in lab.options[20:60]],
    ),
}


# The same for the usual way, in a kernel of its own, since it is the kernel's inline backend that draws.
USUAL_TIMED = """
import json, sys, time
from tests.benchmarks.labs import clocked
torch.set_num_threads(1)
show(0.02, 10, -1.0, 0.4)  # the first one imports much
times = []
with clocked((sys.modules["__main__"], "descend")) as spent:
    for lr in np.geomspace(0.02, 0.05, {changes}):
        spent.clear()
        begin = time.process_time()
        show(lr, 10, -1.0, 0.4)
        times.append((time.process_time() - begin, sum(spent)))
json.dumps(times)
"""


def usual_in_the_kernel(changes: int) -> list[list[float]]:
    """(CPU seconds of all, of computing) for each picture."""
    no_sliders = "import ipywidgets; ipywidgets.interact = lambda **sliders: lambda show: show"
    sources = [no_sliders, *USUAL, USUAL_TIMED.format(changes=changes)]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    execute(notebook, ROOT / "bench.ipynb", cell_seconds=300)  # no such file: it runs in this folder
    (told,) = (each.data["text/plain"] for each in notebook.cells[-1].outputs if each.output_type == "execute_result")
    return json.loads(told.strip("'"))


def lab_in_the_kernel(name: str, changes: int) -> Iterator[tuple[float, float]]:
    make, places, control, choose = KERNEL[name]
    with clocked(*places) as spent:
        lab = make()
        for value in choose(lab.controls[control])[:changes]:
            spent.clear()
            begin = time.process_time()
            lab.set(**{control: value})
            yield time.process_time() - begin, sum(spent)


def in_the_kernel(changes: int = 40) -> Iterator[list[dict]]:
    """For one new picture: CPU time of what the lab computes, and of all the rest."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name in [*KERNEL, "interact"]:
            times = (
                lab_in_the_kernel(name, changes) if name in KERNEL else usual_in_the_kernel(min(changes, USUAL_MOVES))
            )
            ms = [(1000 * computing, 1000 * (total - computing)) for total, computing in times]
            place = f"{name}, kernel"
            yield [
                row(place, what, list(each))
                for what, each in zip(("computing", "drawing"), zip(*ms, strict=True), strict=True)
            ]
    finally:
        torch.set_num_threads(threads)


def beside_the_usual(rows: list[dict]) -> list[dict]:
    """The rows, those that the usual way has too with "faster": how many times, and "than": which row of it.

    The usual way shows Lab 1's panels, in JupyterLab. It stands in for what it lacks: the deck, and the sliders of the
    other labs, which are held against its lr.
    """
    usual = {}
    for each in rows:
        name, place = each["lab"].split(", ")
        if name == "interact":
            usual[place == "kernel", each["what"]] = each["median"]
    elsewhere = dict.fromkeys(ROWS[RACE] | ROWS[DESIGN], "lr slider") | {LAST: LAST}
    for each in rows:
        name, place = each["lab"].split(", ")
        than = {"Lab 1": each["what"], "interact": None}.get(name, elsewhere.get(each["what"]))
        if slow := usual.get((place == "kernel", than)):
            each |= {"faster": slow / each["median"], "than": than}
    return rows


def main() -> list[dict]:
    rows = [each for found in in_the_kernel() for each in found]
    with chromium() as browser:
        for way in (in_jupyterlab, in_the_deck):
            rows += [each for found in way(browser) for each in found]
    return beside_the_usual(rows)


if __name__ == "__main__":
    main()
