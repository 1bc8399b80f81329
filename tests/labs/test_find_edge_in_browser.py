"""Lab 1 in a real JupyterLab: keyboard, mouse, what is drawn. What holds for every lab is in any_lab.py."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.any_lab import UNNAMED, AnyLab, AnyLabInBothThemes
from tests.support.lab_pictures import CASES, CONTROLS, assert_drawn, value
from utils.labs import find_edge

WALKED = "svg.workshop-plot > svg:nth-of-type(1) > path:nth-of-type(2)"  # the run's path on the surface


@pytest.fixture(scope="module")
def case():
    return CASES["find_edge"]


def points(notebook) -> int:
    return len(re.findall("[ML]", notebook.page.locator(WALKED).get_attribute("d")))


def test_the_lab_is_shown_after_run_all(notebook, twin):
    assert_drawn(notebook, twin)
    assert value(notebook, "lr") == 0.0216 and points(notebook) == 61
    expect(notebook.page.locator("svg.workshop-plot > image")).to_have_attribute("href", re.compile("^blob:"))
    still = notebook.page.locator("img.lab-still")
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


@pytest.mark.parametrize("label", CONTROLS)
def test_a_control_answers_the_keyboard(notebook, twin, label):
    notebook.handle(label).press("Home")
    lowest = value(notebook, label)
    assert_drawn(notebook, twin)
    notebook.handle(label).press("ArrowRight")
    assert value(notebook, label) > lowest
    assert_drawn(notebook, twin)
    expect(notebook.handle(label)).to_have_attribute("aria-valuetext", notebook.readout(label).inner_text())
    notebook.handle(label).press("ArrowLeft")
    assert value(notebook, label) == lowest
    assert_drawn(notebook, twin)


@pytest.mark.parametrize("label", CONTROLS)
def test_a_control_answers_the_mouse(notebook, twin, label):
    handle = notebook.handle(label)
    handle.press("Home")
    lowest, box = value(notebook, label), handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    notebook.page.mouse.move(x, y)
    notebook.page.mouse.down()
    notebook.page.mouse.move(x + 60, y, steps=5)
    notebook.page.mouse.up()
    assert value(notebook, label) > lowest
    assert_drawn(notebook, twin)


def test_the_last_of_20_quick_presses_wins(notebook, twin):
    notebook.handle("κ = L/μ").press("Home")
    notebook.handle("lr").press("Home")
    before = value(notebook, "lr")
    for _ in range(20):
        notebook.handle("lr").press("ArrowRight")
    assert value(notebook, "lr") == pytest.approx(before * 1000 ** (20 / 350), rel=0.01)
    assert_drawn(notebook, twin)


def test_the_step_slider_and_play_move_the_path(notebook):
    notebook.handle("step").press("End")
    assert points(notebook) == 61
    notebook.handle("step").press("ArrowLeft")
    assert points(notebook) == 60
    notebook.handle("step").press("Home")
    assert points(notebook) == 1
    play = notebook.page.get_by_role("button", name="play or pause")
    play.click()
    expect(notebook.readout("step")).to_have_text(re.compile(r"^([3-9]|\d\d)$"))
    play.click()
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
    expect(notebook.page.locator("svg.workshop-plot")).to_have_attribute(
        "aria-label", re.compile(r"^lr 0\.18\d, κ = 10")
    )
    assert notebook.page.evaluate("window.rests") == 0
    notebook.page.mouse.up()
    expect(goal).to_have_text(re.compile("^✓"))


class TestInBothThemes(AnyLabInBothThemes):
    """Axe, the focus, a page at 200 %."""


def test_a_restarted_kernel_runs_the_lab_again(notebook, case, twin):
    """What holds a lab and its kernel together is the same for all three."""
    handles = notebook.page.locator(".workshop-lab .noUi-handle[aria-label]")
    before = handles.count()
    notebook.menu("Kernel", "Restart Kernel and Run All Cells…")
    notebook.page.locator(".jp-Dialog button.jp-mod-accept").last.click()
    last = notebook.page.locator(".jp-CodeCell .jp-InputPrompt").last
    expect(last).to_have_text("[*]:", timeout=60_000)  # not yet the lab of the kernel before
    expect(last).to_have_text("[2]:", timeout=60_000)
    fresh = case.make()
    plot = notebook.page.locator("svg.workshop-plot").first
    expect(plot).to_have_attribute("aria-label", fresh.plot.frame["alt"], timeout=60_000)
    expect(handles).to_have_count(before, timeout=60_000)  # the controls come after the picture, one by one
    expect(notebook.page.locator(UNNAMED)).to_have_count(0)
    case.agrees(notebook, twin)
    notebook.handle(case.slider).press("Home")
    notebook.handle(case.slider).press("ArrowRight")
    case.agrees(notebook, twin)


class TestAnyLab(AnyLab):
    """Ends, random moves, no errors; the last test takes the kernel away."""


def test_when_its_kernel_has_ended_a_lab_says_so_and_only_its_steps_move(notebook):
    if not notebook.page.get_by_text("No Kernel").count():
        notebook.menu("Kernel", "Shut Down Kernel")
    expect(notebook.page.locator(".workshop-lab").get_by_role("alert")).to_contain_text("run this cell again")
    expect(notebook.page.locator(".workshop-lab [inert] .noUi-handle")).to_have_count(4)
    assert notebook.handle("step").evaluate("each => !each.closest('[inert]')")
    icons = """() => [...document.querySelectorAll(".workshop-lab, .workshop-lab *")].filter((each) =>
      !each.closest("button") && !["none", "normal", '""'].includes(getComputedStyle(each, "::before").content))"""
    notebook.page.evaluate(
        """() => document.querySelectorAll(".workshop-lab .jupyter-widgets").forEach((each) =>
                   each.classList.add("jupyter-widgets-disconnected"))"""  # as after a restart
    )
    assert notebook.page.evaluate(f"({icons})().length") == 0
