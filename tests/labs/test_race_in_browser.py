"""Lab 2 in a real JupyterLab: keyboard, mouse, what is drawn. What holds for every lab is in any_lab.py."""

import re

import nbformat
import pytest
from playwright.sync_api import expect

from tests.support.any_lab import (
    UNNAMED,
    AnyLab,
    AnyLabInBothThemes,
    at_one_end,
    await_sliders,
    of_size,
    play_and_pause,
    press_twenty_times,
)
from tests.support.jupyter_page import NotebookPage
from tests.support.lab_pictures import (
    CASES,
    assert_race_drawn,
    assert_same_picture,
    label_of,
    problem_of,
    race_values,
    value,
)


@pytest.fixture(scope="module")
def case():
    return CASES["race"]


def test_the_race_is_shown_after_run_all(notebook, twin):
    assert race_values(notebook, twin) == twin.values
    assert_race_drawn(notebook, twin)
    expect(notebook.page.locator("img.lab-still-race")).to_be_hidden()


def test_every_control_of_the_race_has_a_name_of_its_own(notebook, twin):
    kinds = {"Dropdown": "combobox", "Checkbox": "checkbox"}
    names = [("slider", "step"), ("button", "tune all"), ("button", "play or pause"), ("button", "stop")]
    for name, control in twin.controls.items():
        role = kinds.get(type(control).__name__, "slider")
        names.append((role, label_of(name) if role == "slider" else name.removesuffix(" on")))
    assert len(set(names)) == len(names) and ("slider", "Adam, beta1") in names
    lab = notebook.page.locator(".workshop-lab")
    for role, name in names:
        expect(lab.get_by_role(role, name=name, exact=True)).to_have_count(1)
    for role in ("slider", "combobox", "checkbox"):
        expect(lab.get_by_role(role)).to_have_count(sum(role == each for each, _ in names))


def test_the_sliders_of_the_race_answer_the_keyboard(notebook, twin):
    for label in ("SGD, lr", "Adam, beta1", "start y", "target"):
        texts = []
        for key in ("Home", "ArrowRight", "ArrowRight"):
            notebook.handle(label).press(key)
            texts.append(notebook.readout(label).inner_text())
            expect(notebook.handle(label)).to_have_attribute("aria-valuetext", texts[-1])
        assert len(set(texts)) == 3
        assert_race_drawn(notebook, twin)


def test_a_racer_enters_and_leaves_by_keyboard_and_mouse(notebook, twin):
    nesterov = notebook.page.get_by_role("checkbox", name="Nesterov", exact=True)
    nesterov.press("Space")
    expect(nesterov).to_be_checked()
    assert_race_drawn(notebook, twin)
    assert "Nesterov, lr 0.01" in notebook.alt
    nesterov.click()
    expect(nesterov).not_to_be_checked()
    assert_race_drawn(notebook, twin)
    assert "Nesterov" not in notebook.alt


def test_a_problem_is_chosen_and_starts_where_it_says(notebook, twin):
    problem, image = problem_of(notebook), notebook.plot.locator("image")
    before = image.get_attribute("href")
    problem.select_option("ravine, noisy")
    expect(notebook.readout("noise")).to_have_text("1.00")
    assert_race_drawn(notebook, twin)
    assert image.get_attribute("href") == before
    problem.press("ArrowDown")
    expect(problem).to_have_value("saddle")
    expect(notebook.readout("noise")).to_have_text("0.00")
    assert_race_drawn(notebook, twin)
    expect(image).not_to_have_attribute("href", before)
    assert twin.plot.frame["alt"] == notebook.alt
    # Not on the ridge, which runs along y = 0: there nobody would ever get below 0.25.
    assert min(float(loss) for loss in re.findall(r"loss ([^,;]+),", notebook.alt)) < 0.2


@pytest.mark.parametrize("how", ["keyboard", "mouse"])
def test_tune_all_by_keyboard_and_mouse(notebook, twin, how):
    for label in ("SGD, lr", "Adam, lr"):
        notebook.handle(label).press("Home")
    assert_race_drawn(notebook, twin)
    twin.do("tune all")
    button = notebook.page.get_by_role("button", name="tune all", exact=True)
    button.click() if how == "mouse" else button.press("Enter")
    assert_same_picture(notebook, twin)
    assert race_values(notebook, twin) == twin.values
    assert "0.0001" not in [notebook.readout(label).inner_text() for label in ("SGD, lr", "Adam, lr")]


def test_the_last_of_20_quick_presses_wins_the_race(notebook, twin):
    notebook.handle("Adam, lr").press("Home")
    press_twenty_times(notebook, "Adam, lr")
    expect(notebook.readout("Adam, lr")).to_have_text("0.001")
    assert_race_drawn(notebook, twin)


def test_each_result_has_one_line(notebook):
    lines = """() => [...document.querySelectorAll(".workshop-result .widget-html-content")].map((each) =>
      Math.round(each.clientHeight / parseFloat(getComputedStyle(each).lineHeight)))"""
    with of_size(notebook.page, 1280, 800):
        notebook.handle("target").press("Home")
        expect(notebook.page.locator(".workshop-result", has_text="target at step").first).to_be_visible()
        assert notebook.page.evaluate(lines) == [1] * 6


def test_play_moves_all_racers(notebook):
    def drawn() -> set[int]:
        paths = notebook.plot.locator("svg:nth-of-type(-n+2) > path")
        lengths = {
            len(re.findall("[ML]", path)) for path in paths.evaluate_all("all => all.map(p => p.getAttribute('d'))")
        }
        return lengths - {0, 2}  # who is not in the race; the target. The start is one point.

    notebook.handle("step").press("End")
    assert drawn() == {1, 101}
    notebook.handle("step").press("Home")
    expect(notebook.readout("step")).to_have_text("0")
    assert drawn() == {1}
    play_and_pause(notebook)
    assert drawn() == {1, int(value(notebook, "step")) + 1}
    notebook.handle("step").press("End")  # the whole run, which the other tests look at


@pytest.mark.parametrize("end", ["Home", "End"])
def test_all_sliders_at_one_end(notebook, case, twin, end):
    at_one_end(notebook, case, twin, end)


class TestInBothThemes(AnyLabInBothThemes):
    """Axe and the focus."""


class TestAnyLab(AnyLab):
    """Mouse, random moves, no errors."""


# What holds a lab, its kernel and its page together is the same for all three; after the last test they are closed.


def test_a_restarted_kernel_runs_the_lab_again(notebook, case, twin):
    notebook.page.get_by_role("menuitem", name="Kernel", exact=True).click()
    notebook.page.get_by_role("menuitem", name="Restart Kernel…").click()  # its keys are a part of its name
    with notebook.page.expect_response(re.compile(r"/api/kernels/[^/]+/restart")):  # idle it is before that, too
        notebook.page.locator(".jp-Dialog button.jp-mod-accept").last.click()
    expect(notebook.page.locator(".jp-Notebook-ExecutionIndicator").first).to_have_attribute("data-status", "idle")
    cells = notebook.page.locator(".jp-CodeCell")
    for place in (0, 2):
        cells.nth(place).locator(".cm-content").focus()
        notebook.page.keyboard.press("Control+Enter")
    expect(cells.nth(2).locator(".jp-InputPrompt")).to_have_text("[2]:", timeout=180_000)
    fresh = case.make()
    expect(notebook.plot).to_have_attribute("aria-label", fresh.plot.frame["alt"], timeout=180_000)
    expect(notebook.handle(case.slider)).to_be_visible(timeout=180_000)
    await_sliders(notebook, case, fresh)  # the controls come after the picture, one by one
    expect(notebook.page.locator(UNNAMED)).to_have_count(0)
    case.agrees(notebook, twin)
    notebook.handle(case.slider).press("Home")
    notebook.handle(case.slider).press("ArrowRight")
    case.agrees(notebook, twin)


def test_without_a_kernel_the_step_still_moves_and_a_reader_sees_the_still_picture(notebook, case, browser, jupyter):
    saved = jupyter.root / "lab.ipynb"
    notebook.save(saved)
    notebook.menu("Kernel", "Shut Down Kernel")
    expect(notebook.page.get_by_text("No Kernel").first).to_be_visible()
    drawn = []
    for key in ("End", "Home"):
        notebook.handle("step").press(key)
        drawn.append(notebook.plot.locator("path").evaluate_all("all => all.map(each => each.getAttribute('d'))"))
    assert drawn[0] != drawn[1]
    lab = notebook.page.locator(".workshop-lab", has=notebook.plot)
    expect(lab.get_by_role("alert")).to_contain_text("run this cell again")
    expect(lab.locator("[inert] .noUi-handle").first).to_be_visible()
    assert notebook.handle("step").evaluate("each => !each.closest('[inert]')")
    icons = """() => [...document.querySelectorAll(".workshop-lab, .workshop-lab *")].filter((each) =>
      !each.closest("button") && !["none", "normal", '""'].includes(getComputedStyle(each, "::before").content))"""
    notebook.page.evaluate(
        """() => document.querySelectorAll(".workshop-lab .jupyter-widgets").forEach((each) =>
                   each.classList.add("jupyter-widgets-disconnected"))"""  # as after a restart
    )
    assert notebook.page.evaluate(f"({icons})().length") == 0
    notebook.page.close()

    content = nbformat.read(saved, as_version=4)
    assert "widgets" not in content.metadata and "lab-still" in str(content.cells[2].outputs)
    content.cells.append(nbformat.v4.new_markdown_cell("Changed, so Jupyter does not trust it.", id="new"))
    nbformat.write(content, jupyter.root / "read.ipynb")
    reader = NotebookPage.open(browser, jupyter, "read.ipynb")
    still = reader.page.locator("img.lab-still-race")
    still.scroll_into_view_if_needed()
    expect(still).to_be_visible()
    assert still.evaluate("image => image.naturalWidth") > 1000
    assert still.get_attribute("alt") == case.make().still().alt
    expect(reader.page.locator("svg.workshop-plot")).to_have_count(0)
    reader.page.close()
