"""Lab 3 in a real JupyterLab: keyboard, mouse, what is drawn. What holds for every lab is in any_lab.py."""

import re
from itertools import pairwise

import pytest
from playwright.sync_api import expect

from tests.support.any_lab import AnyLab, AnyLabInBothThemes, press_twenty_times
from tests.support.lab_pictures import CASES, assert_designed, box, soon


@pytest.fixture(scope="module")
def case():
    return CASES["design_schedule"]


def test_the_designer_is_shown_after_run_all(notebook, twin):
    assert_designed(notebook, twin)
    assert notebook.alt.startswith("CosineAnnealingLR, lr 0.126: lr 0.126 at first")
    expect(notebook.page.locator("img.lab-still-design")).to_be_hidden()


def test_what_is_chosen_brings_its_own_arguments_each_with_a_name(notebook, twin):
    def assert_sliders(*names: str) -> None:
        def come() -> None:
            assert [each.get_attribute("aria-label") for each in notebook.page.get_by_role("slider").all()] == [*names]

        soon(notebook, come)  # each comes by a message of its own

    assert_sliders("lr", "constant lr", "CosineAnnealingLR, T_max", "CosineAnnealingLR, eta_min", "step")
    box(notebook, "composed").select_option("after a second")
    linear = [f"second: LinearLR, {knob}" for knob in ("start_factor", "end_factor", "total_iters")]
    expect(notebook.handle(linear[0])).to_be_visible()
    cosine = ["CosineAnnealingLR, T_max", "CosineAnnealingLR, eta_min"]
    assert_sliders("milestone", "lr", "constant lr", *cosine, *linear, "step")
    box(notebook, "second").select_option("ConstantLR")
    expect(notebook.handle("second: ConstantLR, factor")).to_be_visible()
    assert_designed(notebook, twin)
    for role, name in (("textbox", "code"), ("button", "play or pause"), ("combobox", "scheduler")):
        expect(notebook.page.locator(".workshop-lab").get_by_role(role, name=name, exact=True)).to_have_count(1)
    box(notebook, "composed").select_option("alone")
    expect(notebook.handle("second: ConstantLR, factor")).to_have_count(0)


def test_the_sliders_of_the_designer_answer_the_keyboard(notebook, twin):
    for label in ("lr", "constant lr", "CosineAnnealingLR, T_max"):
        texts = []
        for key in ("Home", "ArrowRight"):
            notebook.handle(label).press(key)
            texts.append(notebook.readout(label).inner_text())
            expect(notebook.handle(label)).to_have_attribute("aria-valuetext", texts[-1])
        assert len(set(texts)) == 2
    notebook.handle("lr").press("Home")
    press_twenty_times(notebook, "lr")
    expect(notebook.readout("lr")).to_have_text("0.001")
    assert_designed(notebook, twin)  # the last of them, once it has been trained


def test_the_training_shows_its_progress_and_its_result(notebook):
    notebook.plot.evaluate(
        """plot => { window.told = []; new MutationObserver(() => window.told.push(plot.getAttribute("aria-label")))
             .observe(plot, { attributeFilter: ["aria-label"] }); }"""
    )
    before = notebook.alt
    notebook.handle("lr").press("ArrowRight")
    expect(notebook.plot).not_to_have_attribute("aria-label", before)
    expect(notebook.plot).to_have_attribute("aria-label", re.compile("Its training: validation loss"), timeout=90_000)
    found = [re.search(r"Its training: step (\d+) of 200", each) for each in notebook.page.evaluate("window.told")]
    steps = [int(each[1]) for each in found if each]
    assert steps[0] == 0 and steps == sorted(steps) and len(set(steps)) >= 3


def test_a_scheduler_is_chosen_by_keyboard_and_its_momentum_told(notebook, twin):
    choice = box(notebook, "scheduler")
    choice.select_option("PolynomialLR")
    choice.press("ArrowDown")
    expect(choice).to_have_value("OneCycleLR")
    expect(notebook.handle("OneCycleLR, max_lr")).to_be_visible()
    assert_designed(notebook, twin)
    assert "Momentum 0.95 at first, at least 0.85" in notebook.alt
    notebook.handle("OneCycleLR, total_steps").press("Home")  # too few: torch raises, the lab says so
    assert_designed(notebook, twin)
    assert "ValueError: Tried to step" in notebook.alt
    notebook.handle("OneCycleLR, total_steps").press("End")


def test_the_axis_of_lr_becomes_logarithmic(notebook, twin):
    axis = notebook.page.get_by_role("checkbox", name="logarithmic lr axis")
    axis.press("Space")
    expect(axis).to_be_checked()
    assert_designed(notebook, twin)
    numbers = [float(text) for text in notebook.plot.locator("text").all_text_contents()[:5]]
    assert [round(high / low) for low, high in pairwise(numbers)] == [10] * 4
    axis.click()
    expect(axis).not_to_be_checked()
    assert_designed(notebook, twin)


class TestInBothThemes(AnyLabInBothThemes):
    """Axe and the focus."""


class TestAnyLab(AnyLab):
    """Mouse, random moves, no errors."""
