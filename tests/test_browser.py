"""The labs in a real JupyterLab and a real Chromium: keyboard, mouse, what is drawn, and what is left without a kernel.

What the picture should say comes from the same lab in the Python of the test, set to the values beside the sliders.
"""

import contextlib
import os
import re

import nbformat
import numpy as np
import pytest
from playwright.sync_api import expect

from tests.jupyter_page import ROOT, NoChromium, NotebookPage, chromium, jupyter_lab, write_notebook
from utils.labs import find_edge, race

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


# ---- Lab 2


@pytest.fixture(scope="module")
def the_race(browser, jupyter):
    """Lab 2 after run-all. Its tests share it: each starts from wherever the controls are."""
    write_notebook(jupyter.root / "race.ipynb", "from utils.labs import race", "race()")
    notebook = NotebookPage.open(browser, jupyter, "race.ipynb")
    notebook.run_all()
    expect(notebook.handle("Adam, beta2")).to_be_visible(timeout=30_000)
    yield notebook
    notebook.page.close()


@pytest.fixture(scope="module")
def twin_race():
    return race()


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
    with twin.hold():
        twin.set(**race_values(notebook, twin))
    assert_same_picture(notebook, twin, timeout=10_000)


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


def test_the_race_is_shown_after_run_all(the_race, twin_race):
    assert race_values(the_race, twin_race) == twin_race.values
    assert_race_drawn(the_race, twin_race)
    expect(the_race.page.locator("img.lab-still")).to_be_hidden()


def test_every_control_of_the_race_has_a_name_of_its_own(the_race, twin_race):
    kinds = {"Dropdown": "combobox", "Checkbox": "checkbox"}
    names = [("slider", "step"), ("button", "tune all"), ("button", "play or pause"), ("button", "stop")]
    for name, control in twin_race.controls.items():
        role = kinds.get(type(control).__name__, "slider")
        names.append((role, label_of(name) if role == "slider" else name.removesuffix(" on")))
    assert len(set(names)) == len(names) and ("slider", "Adam, beta1") in names
    lab = the_race.page.locator(".workshop-lab")
    for role, name in names:
        expect(lab.get_by_role(role, name=name, exact=True)).to_have_count(1)
    for role in ("slider", "combobox", "checkbox"):
        expect(lab.get_by_role(role)).to_have_count(sum(role == each for each, _ in names))


@pytest.mark.parametrize("label", ["SGD, lr", "Adam, beta1", "start y", "target"])
def test_a_slider_of_the_race_answers_the_keyboard(the_race, twin_race, label):
    texts = []
    for key in ("Home", "ArrowRight", "ArrowRight"):
        the_race.handle(label).press(key)
        texts.append(the_race.readout(label).inner_text())
        assert_race_drawn(the_race, twin_race)
        expect(the_race.handle(label)).to_have_attribute("aria-valuetext", texts[-1])
    assert len(set(texts)) == 3


def test_a_knob_of_the_race_answers_the_mouse(the_race, twin_race):
    handle = the_race.handle("Momentum, momentum")
    handle.press("Home")
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    the_race.page.mouse.move(x, y)
    the_race.page.mouse.down()
    the_race.page.mouse.move(x + 25, y, steps=5)
    the_race.page.mouse.up()
    assert the_race.readout("Momentum, momentum").inner_text() in ("0.5", "0.8", "0.9")
    assert_race_drawn(the_race, twin_race)


def test_a_racer_enters_and_leaves_by_keyboard_and_mouse(the_race, twin_race):
    nesterov = the_race.page.get_by_role("checkbox", name="Nesterov", exact=True)
    nesterov.press("Space")
    expect(nesterov).to_be_checked()
    assert_race_drawn(the_race, twin_race)
    assert "Nesterov, lr 0.01" in the_race.alt
    nesterov.click()
    expect(nesterov).not_to_be_checked()
    assert_race_drawn(the_race, twin_race)
    assert "Nesterov" not in the_race.alt


def test_a_problem_is_chosen_and_starts_where_it_says(the_race, twin_race):
    problem, image = problem_of(the_race), the_race.page.locator("svg.workshop-plot > image")
    before = image.get_attribute("href")
    problem.select_option("ravine, noisy")
    expect(the_race.readout("noise")).to_have_text("1.00")
    assert_race_drawn(the_race, twin_race)
    assert image.get_attribute("href") == before
    problem.press("ArrowDown")
    expect(problem).to_have_value("saddle")
    expect(the_race.readout("noise")).to_have_text("0.00")
    assert_race_drawn(the_race, twin_race)
    expect(image).not_to_have_attribute("href", before)
    assert twin_race.plot.frame["alt"] == the_race.alt
    # Not on the ridge, which runs along y = 0: there nobody would ever get below 0.25.
    assert min(float(loss) for loss in re.findall(r"loss ([^,;]+),", the_race.alt)) < 0.2


@pytest.mark.parametrize("how", ["keyboard", "mouse"])
def test_tune_all_by_keyboard_and_mouse(the_race, twin_race, how):
    for label in ("SGD, lr", "Adam, lr"):
        the_race.handle(label).press("Home")
    assert_race_drawn(the_race, twin_race)
    twin_race.do("tune all")
    button = the_race.page.get_by_role("button", name="tune all", exact=True)
    button.click() if how == "mouse" else button.press("Enter")
    assert_same_picture(the_race, twin_race, timeout=30_000)
    assert race_values(the_race, twin_race) == twin_race.values
    assert "0.0001" not in [the_race.readout(label).inner_text() for label in ("SGD, lr", "Adam, lr")]


def test_the_last_of_20_quick_presses_wins_the_race(the_race, twin_race):
    the_race.handle("Adam, lr").press("Home")
    for _ in range(20):
        the_race.handle("Adam, lr").press("ArrowRight")
    expect(the_race.readout("Adam, lr")).to_have_text("0.001")
    assert_race_drawn(the_race, twin_race)


def test_play_moves_all_racers(the_race):
    def drawn() -> set[int]:
        paths = the_race.page.locator("svg.workshop-plot > svg:nth-of-type(-n+2) > path")
        lengths = {
            len(re.findall("[ML]", path)) for path in paths.evaluate_all("all => all.map(p => p.getAttribute('d'))")
        }
        return lengths - {0, 2}  # who is not in the race; the target. The start is one point.

    the_race.handle("step").press("End")
    assert drawn() == {1, 101}
    the_race.handle("step").press("Home")
    expect(the_race.readout("step")).to_have_text("0")
    assert drawn() == {1}
    play = the_race.page.get_by_role("button", name="play or pause")
    play.click()
    expect(the_race.readout("step")).to_have_text(re.compile(r"^([3-9]|\d\d)$"))
    play.click()
    assert drawn() == {1, int(value(the_race, "step")) + 1}


def test_nothing_of_the_race_was_an_error(the_race):
    assert the_race.errors == []
