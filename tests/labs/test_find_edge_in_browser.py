"""Lab 1 in a real JupyterLab: keyboard, mouse, what is drawn. What holds for every lab is in any_lab.py."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.any_lab import AnyLab, AnyLabInBothThemes, at_one_end, play_and_pause, press_twenty_times
from tests.support.axe import findings
from tests.support.lab_pictures import CASES, CONTROLS, assert_drawn, value
from utils.labs import find_edge

WALKED = "svg:nth-of-type(1) > path:nth-of-type(2)"  # the run's path on the surface


@pytest.fixture(scope="module")
def case():
    return CASES["find_edge"]


def points(notebook) -> int:
    return len(re.findall("[ML]", notebook.plot.locator(WALKED).get_attribute("d")))


def test_the_lab_is_shown_after_run_all(notebook, twin):
    assert_drawn(notebook, twin)
    assert value(notebook, "lr") == 0.0216 and points(notebook) == 61
    expect(notebook.plot.locator("image")).to_have_attribute("href", re.compile("^blob:"))
    still = notebook.page.locator("img.lab-still-edge")
    expect(still).to_have_count(1)
    expect(still).to_be_hidden()


def test_every_control_has_a_name_and_says_its_value(notebook):
    for label in (*CONTROLS, "step"):
        slider = notebook.page.get_by_role("slider", name=label, exact=True)
        expect(slider).to_have_count(1)
        expect(slider).to_have_attribute("aria-valuetext", notebook.readout(label).inner_text())
    unnamed = notebook.page.locator(".workshop-lab button:visible:not([aria-label]), .noUi-handle:not([aria-label])")
    expect(unnamed).to_have_count(0)
    for name in ("play or pause", "stop"):
        expect(notebook.page.locator(".workshop-lab").get_by_role("button", name=name, exact=True)).to_have_count(1)


def test_the_controls_answer_the_keyboard(notebook, twin):
    for label in CONTROLS:
        notebook.handle(label).press("Home")
        lowest = value(notebook, label)
        notebook.handle(label).press("ArrowRight")
        assert value(notebook, label) > lowest
        assert_drawn(notebook, twin)
        expect(notebook.handle(label)).to_have_attribute("aria-valuetext", notebook.readout(label).inner_text())
        notebook.handle(label).press("ArrowLeft")
        assert value(notebook, label) == lowest
    assert_drawn(notebook, twin)


def test_the_last_of_20_quick_presses_wins(notebook, twin):
    notebook.handle("κ = L/μ").press("Home")
    notebook.handle("lr").press("Home")
    before = value(notebook, "lr")
    press_twenty_times(notebook, "lr")
    assert value(notebook, "lr") == pytest.approx(before * 1000 ** (20 / 350), rel=0.01)
    assert_drawn(notebook, twin)


def test_the_step_slider_and_play_move_the_path(notebook):
    notebook.handle("step").press("End")
    assert points(notebook) == 61
    notebook.handle("step").press("ArrowLeft")
    assert points(notebook) == 60
    notebook.handle("step").press("Home")
    assert points(notebook) == 1
    play_and_pause(notebook)
    stopped = value(notebook, "step")
    assert points(notebook) == stopped + 1
    notebook.handle("step").press("End")  # the whole run, which the other tests look at


def test_a_goal_counts_once_the_slider_is_released(notebook):
    for label, keys in {
        "κ = L/μ": ("Home", "ArrowRight", "ArrowRight"),
        "start x": ("End",),
        "start y": ("End",),
    }.items():
        for key in keys:
            notebook.handle(label).press(key)
    goal = notebook.page.locator(".workshop-goals div", has_text="within 40 steps").last
    expect(goal).to_have_text(re.compile("^○"))
    notebook.page.evaluate(
        """() => { const start = setTimeout;
                   window.setTimeout = (act, ms, ...more) => { rests += ms === 300; return start(act, ms, ...more); };
                   window.rests = 0; }"""
    )
    handle = notebook.handle("lr")
    handle.press("Home")
    place, track = (each.bounding_box() for each in (handle, handle.locator("xpath=ancestor::*[@class='noUi-base']")))
    y = place["y"] + place["height"] / 2
    notebook.page.mouse.move(place["x"] + place["width"] / 2, y)
    notebook.page.mouse.down()
    notebook.page.evaluate("window.rests = 0")
    share = [lr for _, lr in find_edge().controls["lr"].options].index(0.182) / 350
    notebook.page.mouse.move(track["x"] + share * track["width"], y, steps=3)
    expect(notebook.plot).to_have_attribute("aria-label", re.compile(r"^lr 0\.18\d, κ = 10"))
    assert notebook.page.evaluate("window.rests") == 0
    notebook.page.mouse.up()
    expect(goal).to_have_text(re.compile("^✓"))


@pytest.mark.parametrize("end", ["Home", "End"])
def test_all_sliders_at_one_end(notebook, case, twin, end):
    at_one_end(notebook, case, twin, end)


class TestInBothThemes(AnyLabInBothThemes):
    """Axe and the focus."""


def test_axe_would_find_an_unnamed_control(notebook, case):
    handle = notebook.page.locator(f".workshop-lab .noUi-handle[aria-label='{case.slider}']:visible").element_handle()
    handle.evaluate("each => each.removeAttribute('aria-label')")
    found = findings(notebook.page, ".workshop-lab")
    handle.evaluate("(each, name) => each.setAttribute('aria-label', name)", case.slider)
    assert any("aria-input-field-name" in each for each in found)


class TestAnyLab(AnyLab):
    """Mouse, random moves, no errors."""
