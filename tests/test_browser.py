"""Lab 1 in a real JupyterLab and a real Chromium: keyboard, mouse, what is drawn, and what is left without a kernel.

What the picture should say comes from the same lab in the Python of the test, set to the values beside the sliders.
"""

import contextlib
import os
import re

import nbformat
import pytest
from playwright.sync_api import expect

from tests.jupyter_page import ROOT, NoChromium, NotebookPage, chromium, jupyter_lab, write_notebook
from utils.labs import find_edge

LESSON = ROOT / "notebooks" / "01-optimizer-concepts.ipynb"
CONTROLS = {"lr": "lr", "κ = L/μ": "kappa", "start x": "x", "start y": "y"}  # in the browser → in Python
WALKED = "svg.workshop-plot > svg:nth-of-type(1) > path:nth-of-type(2)"  # the run's path on the surface


@pytest.fixture(scope="module")
def browser():
    with contextlib.ExitStack() as stack:
        try:
            started = stack.enter_context(chromium())
        except NoChromium as reason:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(reason))
        yield started


@pytest.fixture(scope="module")
def jupyter(browser, tmp_path_factory):
    with jupyter_lab(tmp_path_factory.mktemp("jupyter")) as running:
        yield running


@pytest.fixture(scope="module")
def lab(browser, jupyter):
    """The lab after run-all. Its tests share it: each starts from wherever the sliders are."""
    write_notebook(jupyter.root / "lab.ipynb", "from utils.labs import find_edge", "find_edge()")
    notebook = NotebookPage.open(browser, jupyter, "lab.ipynb")
    notebook.run_all()
    expect(notebook.handle("step")).to_be_visible()
    yield notebook
    notebook.page.close()


@pytest.fixture(scope="module")
def twin():
    return find_edge()


def value(notebook, label) -> float:
    return float(notebook.readout(label).inner_text().replace("−", "-"))


def assert_drawn(notebook, twin) -> None:
    """The picture becomes that of the values beside the sliders."""
    values = {name: value(notebook, label) for label, name in CONTROLS.items()}
    frame = twin.set(**values | {"kappa": int(values["kappa"])}).plot.frame
    plot = notebook.page.locator("svg.workshop-plot")
    expect(plot).to_have_attribute("aria-label", frame["alt"])
    expect(plot.locator("text")).to_have_text([text for _, _, text in frame["texts"]])


def points(notebook) -> int:
    return len(re.findall("[ML]", notebook.page.locator(WALKED).get_attribute("d")))


def test_the_lab_is_shown_after_run_all(lab, twin):
    assert_drawn(lab, twin)
    assert value(lab, "lr") == 0.0216 and points(lab) == 61
    expect(lab.page.locator("svg.workshop-plot > image")).to_have_attribute("href", re.compile("^blob:"))
    still = lab.page.locator("img.lab-still")
    expect(still).to_have_count(1)
    expect(still).to_be_hidden()


def test_every_control_has_a_name_and_says_its_value(lab):
    for label in (*CONTROLS, "step"):
        slider = lab.page.get_by_role("slider", name=label, exact=True)
        expect(slider).to_have_count(1)
        expect(slider).to_have_attribute("aria-valuetext", lab.readout(label).inner_text())
    unnamed = lab.page.locator(".workshop-lab button:visible:not([aria-label]), .noUi-handle:not([aria-label])")
    expect(unnamed).to_have_count(0)
    for name in ("play or pause", "stop"):
        expect(lab.page.locator(".workshop-lab").get_by_role("button", name=name, exact=True)).to_have_count(1)


@pytest.mark.parametrize("label", CONTROLS)
def test_a_control_answers_the_keyboard(lab, twin, label):
    lab.handle(label).press("Home")
    lowest = value(lab, label)
    assert_drawn(lab, twin)
    lab.handle(label).press("ArrowRight")
    assert value(lab, label) > lowest
    assert_drawn(lab, twin)
    expect(lab.handle(label)).to_have_attribute("aria-valuetext", lab.readout(label).inner_text())
    lab.handle(label).press("ArrowLeft")
    assert value(lab, label) == lowest
    assert_drawn(lab, twin)


@pytest.mark.parametrize("label", CONTROLS)
def test_a_control_answers_the_mouse(lab, twin, label):
    handle = lab.handle(label)
    handle.press("Home")
    lowest, box = value(lab, label), handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    lab.page.mouse.move(x, y)
    lab.page.mouse.down()
    lab.page.mouse.move(x + 60, y, steps=5)
    lab.page.mouse.up()
    assert value(lab, label) > lowest
    assert_drawn(lab, twin)


@pytest.mark.parametrize("keys", ["Home", "End"])
def test_no_extreme_is_too_much(lab, twin, keys):
    for label in CONTROLS:
        lab.handle(label).press(keys)
        assert_drawn(lab, twin)


def test_the_last_of_20_quick_presses_wins(lab, twin):
    lab.handle("κ = L/μ").press("Home")
    lab.handle("lr").press("Home")
    before = value(lab, "lr")
    for _ in range(20):
        lab.handle("lr").press("ArrowRight")
    assert value(lab, "lr") == pytest.approx(before * 1000 ** (20 / 350), rel=0.01)
    assert_drawn(lab, twin)


def test_the_step_slider_and_play_move_the_path(lab):
    lab.handle("step").press("End")
    assert points(lab) == 61
    lab.handle("step").press("ArrowLeft")
    assert points(lab) == 60
    lab.handle("step").press("Home")
    assert points(lab) == 1
    play = lab.page.get_by_role("button", name="play or pause")
    play.click()
    expect(lab.readout("step")).to_have_text(re.compile(r"^([3-9]|\d\d)$"))
    play.click()
    stopped = value(lab, "step")
    assert points(lab) == stopped + 1


def test_nothing_of_this_was_an_error(lab):
    assert lab.errors == []


def test_without_a_kernel_the_step_still_moves_and_a_reader_sees_the_still_picture(browser, jupyter, lab):
    saved = jupyter.root / "lab.ipynb"
    lab.save(saved)
    lab.menu("Kernel", "Shut Down Kernel")
    expect(lab.page.get_by_text("No Kernel").first).to_be_visible()
    lab.handle("step").press("End")
    lab.handle("step").press("ArrowLeft")
    assert points(lab) == 60

    notebook = nbformat.read(saved, as_version=4)
    assert "widgets" not in notebook.metadata and "lab-still" in str(notebook.cells[1].outputs)
    notebook.cells.append(nbformat.v4.new_markdown_cell("Changed elsewhere, so Jupyter does not trust it.", id="new"))
    nbformat.write(notebook, jupyter.root / "read.ipynb")
    reader = NotebookPage.open(browser, jupyter, "read.ipynb")
    still = reader.page.locator("img.lab-still")
    expect(still).to_be_visible()
    assert still.evaluate("image => image.naturalWidth") > 1000
    assert still.get_attribute("alt").startswith("lr 0.0216, κ = 10: loss ")
    expect(reader.page.locator("svg.workshop-plot")).to_have_count(0)
    reader.page.close()


@pytest.mark.skipif(not LESSON.exists(), reason="lesson 1 is not written yet")
def test_lesson_1_runs_and_shows_its_lab(browser, jupyter):
    notebook = nbformat.read(LESSON, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, jupyter.root / LESSON.name)
    lesson = NotebookPage.open(browser, jupyter, LESSON.name)
    lesson.run_all()
    expect(lesson.page.locator("svg.workshop-plot").first).to_have_attribute("aria-label", re.compile("^lr .*loss"))
    expect(lesson.page.locator("img.lab-still").first).to_be_hidden()
    assert lesson.errors == []
    lesson.page.close()
