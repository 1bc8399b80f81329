"""What the labs show in a browser, held against the same lab in the Python of the test.

Each lab in Python, the "twin", is set to the values that stand beside the controls of the page; then the picture of the
page must become the twin's.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from playwright.sync_api import expect

from tests.test_labs import widgets_of
from utils import labs

# ---- Lab 1

CONTROLS = {"lr": "lr", "κ = L/μ": "kappa", "start x": "x", "start y": "y"}  # in the browser → in Python


def value(notebook, label) -> float:
    return float(notebook.readout(label).inner_text().replace("−", "-"))


def assert_drawn(notebook, twin) -> None:
    """The picture becomes that of the values beside the sliders."""
    values = {name: value(notebook, label) for label, name in CONTROLS.items()}
    frame = twin.set(**values | {"kappa": int(values["kappa"])}).plot.frame
    plot = notebook.page.locator("svg.workshop-plot")
    expect(plot).to_have_attribute("aria-label", frame["alt"])
    expect(plot.locator("text")).to_have_text([text for _, _, text in frame["texts"]])


# ---- Lab 2

TOP = {"x": "start x", "y": "start y"}
BESIDE = """[...document.querySelectorAll(".workshop-lab .widget-slider")].map(slider =>
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
    assert_same_picture(notebook, twin, timeout=10_000)


def follow(notebook, twin, read: Callable[[], dict], finish: Callable[[], None] = lambda: None) -> None:
    """Set the twin to the values on the page until both show the same, for 10 s at most.

    A choice brings values of other controls along, one message each, so what was read first may be half of it.
    """
    end, before = time.monotonic() + 10, None
    while time.monotonic() < end:
        values = read()
        if values != before:
            with twin.hold():
                twin.set(**values)
            finish()
            before = values
        if notebook.alt == twin.plot.frame["alt"]:
            return
        notebook.page.wait_for_timeout(50)


def assert_same_picture(notebook, twin, timeout) -> None:
    frame, plot = twin.plot.frame, notebook.page.locator("svg.workshop-plot")
    expect(plot).to_have_attribute("aria-label", frame["alt"], timeout=timeout)
    expect(plot.locator("text")).to_have_text([text for _, _, text in frame["texts"]])
    points = np.frombuffer(frame["points"], "<f4").reshape(-1, 2)
    places = np.split(points, np.cumsum(frame["lengths"])[:-1])
    each_panel = "svg => [...svg.querySelectorAll('svg')].map(panel => [...panel.children]"
    lines = plot.evaluate(f"{each_panel}.map(each => each.getAttribute('d')).filter(d => d !== null))")
    order = {panel: iter(paths) for panel, paths in enumerate(lines)}
    for look, place in zip(twin.plot.lines, places, strict=True):
        drawn = np.array(re.findall(r"-?[\d.]+", next(order[look["panel"]])), float).reshape(-1, 2)
        np.testing.assert_allclose(drawn, place[np.isfinite(place).all(axis=1)], atol=0.06)


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
    assert_same_picture(notebook, twin, timeout=20_000)
    (code,) = widgets_of(twin, "Textarea")
    expect(notebook.page.get_by_role("textbox", name="code", exact=True)).to_have_value(code.value)


@dataclass(frozen=True)
class Case:
    """A lab, how to make it in Python, a slider that is always there, and (page, twin) → asserts that they agree.

    Of random moves every `check_every`th is followed by that: in Lab 3 it waits for two trainings, there and here.
    """

    make: Callable
    slider: str
    agrees: Callable
    check_every: int = 20


CASES = {
    "find_edge": Case(labs.find_edge, "lr", assert_drawn),
    "race": Case(labs.race, "Adam, lr", assert_race_drawn),
    "design_schedule": Case(labs.design_schedule, "constant lr", assert_designed, check_every=50),
}
