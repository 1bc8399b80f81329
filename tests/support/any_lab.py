"""What every lab must stand, whichever it is: all that a hand can do to it, and everybody's eyes.

A module with the fixtures `case`, `notebook` (the lab after run-all in JupyterLab) and `twin` (the same lab in Python)
has these tests by naming the two classes. `both_ends` and `random_moves` serve the live deck too.
"""

import contextlib
import random
from collections.abc import Iterator, Sequence

import ipywidgets
import pytest
from matplotlib.colors import to_hex
from playwright.sync_api import Browser, Locator, TimeoutError, expect

from tests.support.axe import contrast, findings
from tests.support.jupyter_page import Jupyter, NotebookPage, write_notebook
from tests.support.lab_pictures import CASES, Case, assert_same_background, soon

KEYS = ("Home", "End", "PageUp", "PageDown", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown")
THEMES = ("JupyterLab Light", "JupyterLab Dark")
MOVES = 10  # the settings, some hundred of them, are tried on the widgets: test_find_edge, test_race, test_designer
UNNAMED = ".workshop-lab .noUi-handle:not([aria-label])"
WARNED = "warned.txt"
# What a callback warns of is in no cell's output: the kernel writes it beside the notebook.
NOTE_WARNINGS = f"""import warnings

def note(message, category, filename, lineno, file=None, line=None):
    with open("{WARNED}", "a") as told:
        print(category.__name__, filename, lineno, message, file=told)

warnings.showwarning = note"""


@contextlib.contextmanager
def opened(browser: Browser, jupyter: Jupyter) -> Iterator[NotebookPage]:
    """A notebook with all labs, after run-all: a page costs little more with three of them, and so does a kernel."""
    names = [case.make.__name__ for case in CASES.values()]
    (jupyter.root / WARNED).write_text("")
    imports = f"{NOTE_WARNINGS}\nfrom utils.labs import {', '.join(names)}"
    write_notebook(jupyter.root / "lab.ipynb", imports, *(f"{name}()" for name in names))
    notebook = NotebookPage.open(browser, jupyter, "lab.ipynb")
    notebook.run_all()
    yield notebook
    notebook.page.close()


# Nothing here notices a hidden cell but the first, which is clicked before a key that is meant for the notebook.
SHOW_ONLY = """shown => document.querySelectorAll(".jp-CodeCell").forEach((cell, place) => {
  cell.style.display = [0, shown].includes(place) ? "" : "none"; })"""


def bring_into_view(notebook: NotebookPage, case: Case) -> None:
    """Hide the other labs of the notebook, and wait until this one has all its parts."""
    notebook.page.evaluate(SHOW_ONLY, 1 + [*CASES.values()].index(case))
    expect(notebook.plot).to_be_visible(timeout=180_000)
    expect(notebook.handle("step")).to_be_visible(timeout=180_000)
    expect(notebook.handle(case.slider)).to_be_visible(timeout=180_000)
    expect(notebook.page.locator(UNNAMED)).to_have_count(0)


# ---- moves


SHOWN = """() => [...document.querySelectorAll(".workshop-lab :is(.noUi-handle, select, input[type=checkbox])")]
  .filter((each) => each.checkVisibility({ visibilityProperty: true }) && each.getAttribute("aria-label") !== "step")
  .map((each) => each.matches("select")
    ? ["combobox", each.getAttribute("aria-label") || each.labels[0].innerText.trim()]
    : each.matches("input") ? ["checkbox", each.getAttribute("aria-label") || each.closest("label").innerText.trim()]
    : ["slider", each.getAttribute("aria-label")])"""


SLIDERS = ".workshop-lab .noUi-handle:visible"


def sliders_of(twin) -> int:
    """How many sliders the lab shows, that of the steps among them."""

    def shown(widget: ipywidgets.Widget) -> int:
        if widget.layout.display == "none" or widget.layout.visibility == "hidden":
            return 0
        return type(widget).__name__.endswith("Slider") + sum(map(shown, getattr(widget, "children", ())))

    return shown(twin.widget())


def await_sliders(page: NotebookPage, case: Case, twin) -> None:
    """Wait until the page has the sliders of what has been chosen there."""

    def come() -> None:
        with twin.hold():
            twin.set(**case.read(page, twin))
        assert page.page.locator(SLIDERS).count() == sliders_of(twin)

    soon(page, come)


def control(page: NotebookPage, role: str, name: str) -> Locator:
    return page.page.locator(".workshop-lab").get_by_role(role, name=name, exact=True)


# Handles that the mouse does not reach, since something lies over them or lets it through.
COVERED = """() => [...document.querySelectorAll(".workshop-lab .noUi-handle")].filter((each) => {
  each.scrollIntoView({ block: "center" });
  const { left, top, width, height } = each.getBoundingClientRect();
  const reached = document.elementFromPoint(left + width / 2, top + height / 2);
  return each.checkVisibility({ visibilityProperty: true }) && !each.contains(reached);
}).map((each) => each.getAttribute("aria-label"))"""


def drag(page: NotebookPage, name: str) -> None:
    """Pull a slider's handle, which is at its left end, to two thirds of its track."""
    handle = page.handle(name)
    handle.scroll_into_view_if_needed()
    box, track = (
        handle.bounding_box(),
        handle.locator("xpath=ancestor::*[contains(@class, 'noUi-base')]").bounding_box(),
    )
    y = box["y"] + box["height"] / 2
    page.page.mouse.move(box["x"] + box["width"] / 2, y)
    page.page.mouse.down()
    page.page.mouse.move(track["x"] + 0.66 * track["width"], y, steps=4)
    page.page.mouse.up()


def at_one_end(page: NotebookPage, case: Case, twin, end: str) -> None:
    """All sliders at one end ("Home" or "End"), and the picture is that of their values."""
    for role, name in page.page.evaluate(SHOWN):
        if role == "slider":
            control(page, role, name).press(end)
    case.agrees(page, twin)


def press_twenty_times(page: NotebookPage, slider: str) -> None:
    """As quickly as can be."""
    page.handle(slider).focus()
    for _ in range(20):
        page.page.keyboard.press("ArrowRight")


# In the page: on a busy machine the test's own Python may come when all steps have been played.
PAUSED = """async ([button, readout]) => {
  const end = performance.now() + 30_000;
  button.click();
  while (Number(readout.textContent) < 3) {
    if (performance.now() > end) throw new Error(`30 s after play was pressed it shows step ${readout.textContent}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  button.click();
}"""


def play_and_pause(page: NotebookPage) -> None:
    """Play from where it stands, and pause at step 3 or a little later."""
    button = control(page, "button", "play or pause")
    page.page.evaluate(PAUSED, [button.element_handle(), page.readout("step").element_handle()])


def random_moves(page: NotebookPage, case: Case, twin, moves: int, keys: Sequence[str] = KEYS) -> None:
    """Any control, any key; now and then, and at last, the picture must be that of the controls' values."""
    draw = random.Random(0)
    first, seen, moved = page.alt, set(), 0
    for move in range(1, moves + 1):
        role, name = draw.choice(page.page.evaluate(SHOWN))
        each, patience = control(page, role, name), {"timeout": 3_000}
        with contextlib.suppress(TimeoutError):  # an earlier choice may just have taken this control away
            if role == "slider":
                each.press(draw.choice(keys), **patience)
            elif role == "checkbox":
                each.click(**patience)
            else:
                each.select_option(draw.choice(each.locator("option").all_inner_texts()), **patience)
                await_sliders(page, case, twin)  # other controls come and go: a key must not meet one that goes
            moved += 1
        if move % case.check_every == 0 or move == moves:
            case.agrees(page, twin)
            seen.add(page.alt)
    assert moved >= 0.9 * moves
    assert len(seen) > moves // case.check_every / 2 and seen != {first}  # it was not one picture all along


class AnyLab:
    """All that a hand can do."""

    def test_sliders_answer_the_mouse(self, notebook, case, twin):
        assert notebook.page.evaluate(COVERED) == []
        notebook.handle(case.slider).press("Home")
        lowest = notebook.readout(case.slider).inner_text()
        drag(notebook, case.slider)
        assert notebook.readout(case.slider).inner_text() != lowest
        case.agrees(notebook, twin)

    def test_the_mouse_stops_the_steps_and_moves_them(self, notebook):
        notebook.handle("step").press("End")
        last = notebook.readout("step").inner_text()
        notebook.page.locator(".workshop-lab").get_by_role("button", name="stop", exact=True).click()
        expect(notebook.readout("step")).to_have_text("0")
        drag(notebook, "step")
        assert 0 < int(notebook.readout("step").inner_text()) < int(last)
        notebook.handle("step").press("End")

    def test_the_number_beside_a_slider_is_no_field(self, notebook):
        beside = notebook.page.locator(".workshop-lab .widget-readout:visible")
        assert beside.count() == notebook.page.locator(".workshop-lab .widget-slider:visible").count() > 0
        for each in beside.all():
            assert not each.evaluate("each => { each.focus(); return document.activeElement === each; }")

    def test_the_still_part_is_seen(self, notebook, case, twin):
        case.agrees(notebook, twin)
        assert_same_background(notebook, twin)

    def test_random_moves(self, notebook, case, twin):
        random_moves(notebook, case, twin, MOVES)
        assert_same_background(notebook, twin)

    def test_nothing_of_this_was_an_error_or_a_warning(self, notebook, jupyter):
        assert notebook.errors == []
        told = (jupyter.root / WARNED).read_text()
        assert told == "", told
        outputs = notebook.page.locator(
            "[data-mime-type='application/vnd.jupyter.stderr'], .jp-RenderedText[data-mime-type*=err]"
        )
        expect(outputs).to_have_count(0)

    def test_the_goals_are_in_sight_together_with_the_picture(self, notebook):
        with of_size(notebook.page, 1280, 800):

            def are() -> None:
                assert all((seen := notebook.page.evaluate(GOALS)).values()), seen

            soon(notebook, are)

    def test_at_200_percent_it_needs_no_scrolling_sideways(self, notebook, case, twin):
        page = notebook.page
        with of_size(page, 700, 500):  # 1400 × 1000 at 200 %

            def fits() -> None:
                assert (wide := page.evaluate(WIDE)) == [], wide

            soon(notebook, fits)
            seen = []
            for key in ("Home", "End"):
                notebook.handle(case.slider).press(key)
                case.agrees(notebook, twin)
                seen.append(notebook.alt)
            assert seen[0] != seen[1]


# ---- everybody's eyes


LOOK = """selector => { const look = getComputedStyle(document.querySelector(selector));
  return { outline: look.outlineColor, style: look.outlineStyle, width: look.outlineWidth,
           background: look.backgroundColor }; }"""
WIDE = """() => [...document.querySelectorAll(".workshop-lab, .workshop-lab *")].filter((each) => {
  const room = each.closest(".jp-OutputArea-output").getBoundingClientRect(), box = each.getBoundingClientRect();
  return box.width && box.right > room.right + 1 && !each.closest("svg svg, .noUi-target"); })
  .map((each) => each.className.toString() + " " + each.textContent.slice(0, 40))"""


# With the lab at the top of the notebook's page.
GOALS = """() => {
  const lab = [...document.querySelectorAll(".workshop-lab")].find((each) => each.checkVisibility());
  lab.closest(".jp-Cell").scrollIntoView();
  const room = lab.closest(".jp-WindowedPanel-outer").getBoundingClientRect();
  const parts = { picture: ".workshop-plot", goals: ".workshop-goals .widget-html-content > :last-child" };
  return Object.fromEntries(Object.entries(parts).map(([name, selector]) => {
    const { top, bottom } = lab.querySelector(selector).getBoundingClientRect();
    return [name, top > room.top && bottom < room.bottom];
  }));
}"""


def hexed(css: str) -> str:
    return to_hex([int(part) / 255 for part in css[css.index("(") + 1 : -1].split(",")[:3]])


# JupyterLab follows its window a little later.
LAID_OUT = """() => { const { right, bottom } = document.querySelector(".jp-Notebook").getBoundingClientRect();
  return right < innerWidth && bottom < innerHeight; }"""


@contextlib.contextmanager
def of_size(page, width: int, height: int) -> Iterator[None]:
    """The page as a window of this size shows it, without the file browser."""
    before = page.viewport_size
    toggle_file_browser(page)
    expect(page.locator("#jp-left-stack")).to_be_hidden()
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_function(LAID_OUT)
    try:
        yield
    finally:
        page.set_viewport_size(before)
        toggle_file_browser(page)


def toggle_file_browser(page) -> None:
    page.evaluate("document.activeElement.blur()")  # a lab keeps the keys for itself
    page.keyboard.press("ControlOrMeta+b")


@pytest.mark.parametrize("theme", THEMES, scope="class")  # all tests in one theme, then all in the other
class AnyLabInBothThemes:
    def test_axe_finds_nothing_wrong(self, notebook, theme):
        notebook.choose_theme(theme)
        assert findings(notebook.page, ".workshop-lab") == []

    def test_controls_and_the_focus_stand_out_from_the_page(self, notebook, case, theme):
        notebook.choose_theme(theme)
        page = "#111111" if theme == "JupyterLab Dark" else "#ffffff"
        notebook.handle(case.slider).press("Home")  # from the keyboard: a focus from the mouse need not be shown
        for kind in (".noUi-handle", "select", "textarea", "button", "input[type=checkbox]"):
            each = notebook.page.locator(f".workshop-lab {kind}").filter(visible=True)
            if each.count():
                each.first.focus()
                look = notebook.page.evaluate(LOOK, f".workshop-lab {kind}:focus")
                assert look["style"] == "solid" and float(look["width"].removesuffix("px")) >= 2, kind
                assert contrast(hexed(look["outline"]), page) >= 3, kind
        track = notebook.page.evaluate(LOOK, ".workshop-lab .noUi-target")
        assert contrast(hexed(track["background"]), page) >= 3
