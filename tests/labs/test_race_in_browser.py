"""Lab 2 in a real JupyterLab: keyboard, mouse, what is drawn. What holds for every lab is in any_lab.py."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.any_lab import AnyLab, AnyLabInBothThemes
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
    expect(notebook.page.locator("img.lab-still")).to_be_hidden()


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


@pytest.mark.parametrize("label", ["SGD, lr", "Adam, beta1", "start y", "target"])
def test_a_slider_of_the_race_answers_the_keyboard(notebook, twin, label):
    texts = []
    for key in ("Home", "ArrowRight", "ArrowRight"):
        notebook.handle(label).press(key)
        texts.append(notebook.readout(label).inner_text())
        assert_race_drawn(notebook, twin)
        expect(notebook.handle(label)).to_have_attribute("aria-valuetext", texts[-1])
    assert len(set(texts)) == 3


def test_a_knob_of_the_race_answers_the_mouse(notebook, twin):
    handle = notebook.handle("Momentum, momentum")
    handle.press("Home")
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    notebook.page.mouse.move(x, y)
    notebook.page.mouse.down()
    notebook.page.mouse.move(x + 35, y, steps=5)
    notebook.page.mouse.up()
    assert notebook.readout("Momentum, momentum").inner_text() in ("0.5", "0.8", "0.9")
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
    problem, image = problem_of(notebook), notebook.page.locator("svg.workshop-plot > image")
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
    assert_same_picture(notebook, twin, timeout=30_000)
    assert race_values(notebook, twin) == twin.values
    assert "0.0001" not in [notebook.readout(label).inner_text() for label in ("SGD, lr", "Adam, lr")]


def test_the_last_of_20_quick_presses_wins_the_race(notebook, twin):
    notebook.handle("Adam, lr").press("Home")
    for _ in range(20):
        notebook.handle("Adam, lr").press("ArrowRight")
    expect(notebook.readout("Adam, lr")).to_have_text("0.001")
    assert_race_drawn(notebook, twin)


def test_play_moves_all_racers(notebook):
    def drawn() -> set[int]:
        paths = notebook.page.locator("svg.workshop-plot > svg:nth-of-type(-n+2) > path")
        lengths = {
            len(re.findall("[ML]", path)) for path in paths.evaluate_all("all => all.map(p => p.getAttribute('d'))")
        }
        return lengths - {0, 2}  # who is not in the race; the target. The start is one point.

    notebook.handle("step").press("End")
    assert drawn() == {1, 101}
    notebook.handle("step").press("Home")
    expect(notebook.readout("step")).to_have_text("0")
    assert drawn() == {1}
    play = notebook.page.get_by_role("button", name="play or pause")
    play.click()
    expect(notebook.readout("step")).to_have_text(re.compile(r"^([3-9]|\d\d)$"))
    play.click()
    assert drawn() == {1, int(value(notebook, "step")) + 1}
    notebook.handle("step").press("End")  # the whole run, which the other tests look at


class TestInBothThemes(AnyLabInBothThemes):
    """Axe, the focus, a page at 200 %."""


class TestAnyLab(AnyLab):
    """Ends, random moves, no errors; the last test takes the kernel away."""
