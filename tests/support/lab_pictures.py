"""What the labs show in a browser, held against the same lab in the Python of the test.

Each lab in Python, the "twin", is set to the values that stand beside the controls of the page; then the picture of the
page must become the twin's.
"""

import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import numpy as np
from PIL import Image, ImageFilter
from playwright.sync_api import expect

from tests.support.lab_widgets import widgets_of
from utils import labs

PATIENCE = 30  # seconds; on a busy machine a kernel that trains beside answers late
GLANCE = 150  # ms from one look at the page to the next: what looks takes time from what is looked at

# ---- Lab 1

CONTROLS = {"lr": "lr", "κ = L/μ": "kappa", "start x": "x", "start y": "y"}  # in the browser → in Python


def value(notebook, label) -> float:
    return float(notebook.readout(label).inner_text().replace("−", "-"))


def edge_values(notebook, twin) -> dict:
    values = {name: value(notebook, label) for label, name in CONTROLS.items()}
    return values | {"kappa": int(values["kappa"])}


def assert_drawn(notebook, twin) -> None:
    """The picture becomes that of the values beside the sliders."""
    twin.set(**edge_values(notebook, twin))
    assert_same_picture(notebook, twin)


# ---- Lab 2

TOP = {"x": "start x", "y": "start y"}
BESIDE = """[...document.querySelectorAll(".workshop-lab:not([aria-hidden=true] *) .widget-slider")]
  .filter(slider => slider.closest(".workshop-lab").checkVisibility()).map(slider =>
  [".noUi-handle", ".widget-readout"].map(part => slider.querySelector(part)))
  .map(([handle, readout]) => [handle.getAttribute("aria-label"), readout.innerText])"""


def problem_of(notebook):
    return notebook.page.get_by_role("combobox", name="problem", exact=True)


def label_of(name) -> str:
    """What a slider of Lab 2 is called in the browser."""
    return TOP.get(name, name.replace(" ", ", "))


def race_values(notebook, twin) -> dict:
    """The values that the controls in the browser show, as the lab in Python takes them."""
    beside = dict(notebook.page.evaluate(BESIDE))
    values = {"problem": problem_of(notebook).input_value()}
    for name, control in twin.controls.items():
        if name.endswith(" on"):
            values[name] = notebook.page.get_by_role("checkbox", name=name[:-3], exact=True).is_checked()
        elif name != "problem":
            text = beside[label_of(name)]
            if hasattr(control, "options"):
                values[name] = dict(control.options)[text]
            else:
                values[name] = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    return values


def assert_race_drawn(notebook, twin) -> None:
    """The picture becomes that of the controls' values."""
    follow(notebook, twin, lambda: race_values(notebook, twin))
    assert_same_picture(notebook, twin)


def follow(notebook, twin, read: Callable[[], dict], finish: Callable[[], None] = lambda: None) -> None:
    """Set the twin to the values on the page until both show the same.

    A choice brings values of other controls along, one message each, so what was read first may be half of it.
    """
    end, before = time.monotonic() + PATIENCE, None
    while time.monotonic() < end:
        values = read()
        if values != before:
            with twin.hold():
                twin.set(**values)
            finish()
            before = values
        if notebook.alt == twin.plot.frame["alt"]:
            return
        notebook.page.wait_for_timeout(GLANCE)


MOVED = """svg => [...svg.querySelectorAll("circle, text")].map((each) =>
  [each.tagName, ...(each.getAttribute("transform").match(/-?\\d[\\d.e-]*/g) ?? []).map(Number)])"""


def assert_same_picture(notebook, twin) -> None:
    """Lines, dots and words become those of the twin, each in its place; the step slider stands at its end."""
    frame, plot = twin.plot.frame, notebook.plot
    expect(plot).to_have_attribute("aria-label", frame["alt"], timeout=1000 * PATIENCE)
    expect(plot.locator("text")).to_have_text([text for _, _, text in frame["texts"]])
    soon(notebook, lambda: _assert_in_place(plot, twin))


def soon(notebook, check: Callable[[], None]) -> None:
    """Let `check` pass in time: two settings may have the same words, so these may be there before the picture."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > end:
                raise
        notebook.page.wait_for_timeout(GLANCE)


def _assert_in_place(plot, twin) -> None:
    frame = twin.plot.frame
    points = np.frombuffer(frame["points"], "<f4").reshape(-1, 2)
    places = np.split(points, np.cumsum(frame["lengths"])[:-1])
    each_panel = "svg => [...svg.querySelectorAll('svg')].map(panel => [...panel.children]"
    lines = plot.evaluate(f"{each_panel}.map(each => each.getAttribute('d')).filter(d => d !== null))")
    order = {panel: iter(paths) for panel, paths in enumerate(lines)}
    ends = {panel: [] for panel in order}
    for look, place in zip(twin.plot.lines, places, strict=True):
        drawn = np.array(re.findall(r"-?[\d.]+", next(order[look["panel"]])), float).reshape(-1, 2)
        seen = place[np.isfinite(place).all(axis=1)]
        np.testing.assert_allclose(drawn, seen, atol=0.06)
        ends[look["panel"]].append(seen[-1].tolist() if len(seen) else [0.0])  # without a point: no dot, by scale(0)
    moved = plot.evaluate(MOVED)
    for tag, expected in (("circle", list(chain(*ends.values()))), ("text", [[x, y] for x, y, _ in frame["texts"]])):
        placed = [place for kind, *place in moved if kind == tag]
        assert [len(place) for place in placed] == [len(place) for place in expected]
        np.testing.assert_allclose(list(chain(*placed)), list(chain(*expected)), atol=0.01)


def assert_same_background(notebook, twin) -> None:
    """What is still, axes, ticks and titles, is seen: nearly all that is dark in the twin's is dark on the screen."""
    soon(notebook, lambda: _assert_seen(notebook.plot, twin))


def _assert_seen(plot, twin) -> None:
    seen = Image.open(io.BytesIO(plot.screenshot())).convert("L")
    still = Image.open(io.BytesIO(twin.plot.background)).convert("L").resize(seen.size, Image.Resampling.BOX)
    dark = np.asarray(still) < 110
    # A line between two pixels is half in each, an axis of 90 then 173.
    shown = np.asarray(seen.filter(ImageFilter.MinFilter(3)))[dark] < 180
    assert dark.sum() > 500 and shown.mean() > 0.95, f"{shown.mean():.0%} of the still part is seen"


# ---- Lab 3

CHOICES = {"scheduler": "scheduler", "compose": "composed", "partner": "second"}


def box(notebook, label):
    return notebook.page.get_by_role("combobox", name=label, exact=True)


def designed_values(notebook, twin) -> dict:
    """The values that the controls in the browser show, as the lab in Python takes them."""
    beside = dict(notebook.page.evaluate(BESIDE))
    shown = {name: box(notebook, label) for name, label in CHOICES.items() if box(notebook, label).count()}
    values = {name: each.input_value() for name, each in shown.items()}
    for name, control in twin.controls.items():
        prefix, _, knob = name.removeprefix("2nd ").partition(" ")
        label = {"constant": "constant lr"}.get(name, name)
        if knob:
            label = f"second: {prefix}, {knob}" if name.startswith("2nd ") else f"{prefix}, {knob}"
        if beside.get(label):  # what is not shown has no text
            values[name] = dict(control.options)[beside[label]]
    values["log"] = notebook.page.get_by_role("checkbox", name="logarithmic lr axis").is_checked()
    return values


def assert_designed(notebook, twin) -> None:
    """Picture, words and code become those of the controls' values, once the training is over."""
    follow(notebook, twin, lambda: designed_values(notebook, twin), twin.finish)
    assert_same_picture(notebook, twin)
    (code,) = widgets_of(twin, "Textarea")
    expect(notebook.page.get_by_role("textbox", name="code", exact=True)).to_have_value(code.value)


@dataclass(frozen=True)
class Case:
    """A lab: how to make it in Python, a slider that is always there, and two functions of (page, twin).

    `read` gives the values of the page's controls; `agrees` asserts that the page and the twin show the same.

    Of random moves every `check_every`th is followed by that: in Lab 3 it waits for two trainings, there and here.
    """

    make: Callable
    slider: str
    read: Callable
    agrees: Callable
    check_every: int = 5


CASES = {
    "find_edge": Case(labs.find_edge, "lr", edge_values, assert_drawn),
    "race": Case(labs.race, "Adam, lr", race_values, assert_race_drawn),
    "design_schedule": Case(labs.design_schedule, "constant lr", designed_values, assert_designed, check_every=10),
}
