"""A prediction in a real JupyterLab, without a mouse: answered, seen, and found again by the next kernel."""

import json

import pytest
from playwright.sync_api import expect

from tests.support.axe import findings
from tests.support.jupyter_page import NotebookPage, write_notebook

CELLS = (
    "from utils.predictions import predict, seen",
    'predict("edge-lr", "Which `lr` ends lowest?", [0.02, 0.18, 0.195])',
    'predict("which", "Which lines move w?", ["backward()", "step()"], kind="several")',
    'predict("order", "Fastest first?", ["SGD", "Adam"], kind="order")',
    'predict("steps", "How many steps?", unit="steps")',
    "import pathlib, time\nwhile not pathlib.Path('answered').exists(): time.sleep(0.05)",
    'seen("edge-lr", 0.18, {0.02: "It is safe.", 0.195: "It goes further, and swings."})',
)


@pytest.fixture(scope="module")
def lesson(browser, jupyter):
    """A notebook of a student, with all but the result run by Shift + Enter; the kernel is busy from then on."""
    (jupyter.root / "my-work").mkdir(exist_ok=True)
    write_notebook(jupyter.root / "my-work" / "07-scratch.ipynb", *CELLS)
    opened = NotebookPage.open(browser, jupyter, "my-work/07-scratch.ipynb")
    expect(opened.page.locator(".jp-Toolbar-kernelName").first).to_contain_text("Python 3", timeout=90_000)
    expect(opened.page.locator(".jp-Notebook-ExecutionIndicator").first).to_have_attribute(
        "data-status", "idle", timeout=90_000
    )
    opened.page.locator(".jp-Notebook .jp-Cell").first.click()
    for _ in CELLS[:-1]:
        opened.page.keyboard.press("Shift+Enter")
    expect(opened.page.get_by_role("button", name="That is my prediction")).to_have_count(4, timeout=60_000)
    yield opened
    opened.page.close()


def test_every_control_has_a_name_and_axe_finds_nothing(lesson):
    page = lesson.page
    for role, names in {
        "radio": ["0.02", "0.18", "0.195"],
        "checkbox": ["backward()", "step()"],
        "combobox": ["1st", "2nd"],
        "textbox": ["your number (steps)"],
    }.items():
        for name in names:
            expect(page.locator(".workshop-predict").get_by_role(role, name=name, exact=True)).to_have_count(1)
    expect(page.get_by_role("group", name="Which `lr` ends lowest?")).to_have_count(1)
    page.locator(".workshop-predict").evaluate_all("all => all.forEach((each, k) => { each.dataset.asked = k })")
    assert [found for k in range(4) for found in findings(page, f"[data-asked='{k}']")] == []


def test_it_is_answered_by_keyboard_and_the_next_kernel_knows(lesson, jupyter):
    page = lesson.page
    first = page.locator(".workshop-predict").first
    first.get_by_role("radio", name="0.02", exact=True).focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(first.get_by_role("radio", name="0.195", exact=True)).to_be_checked()
    page.keyboard.press("Tab")
    button = first.get_by_role("button", name="That is my prediction")
    expect(button).to_be_focused()
    assert button.evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    steps = page.get_by_role("textbox", name="your number (steps)")
    steps.press_sequentially("42")
    steps.press("Enter")
    (jupyter.root / "my-work" / "answered").touch()  # until now the kernel had no time for what was chosen and typed
    expect(first.get_by_text("Noted: 0.195.")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Noted: 42 steps.")).to_be_visible(timeout=60_000)

    result = page.locator(".jp-CodeCell").last.locator(".jp-RenderedMarkdown")
    page.locator(".jp-CodeCell").last.locator(".cm-content").focus()
    page.keyboard.press("Control+Enter")
    expect(result).to_have_text("✗ You: 0.195. Measured: 0.18. It goes further, and swings.\n", timeout=90_000)
    stored = json.loads((jupyter.root / "my-work" / "answers.json").read_text(encoding="utf-8"))
    answer, number = stored["answers"]
    assert number["answer"] == 42
    assert (answer["lesson"], answer["answer"], answer["after_result"]) == ("07", "0.195", False)

    lesson.menu("Kernel", "Restart Kernel and Run All Cells…")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(first.get_by_text("Your prediction so far: 0.195.")).to_be_visible(timeout=60_000)
    expect(first.get_by_role("radio", name="0.195", exact=True)).to_be_checked()
    expect(result).to_contain_text("You: 0.195. Measured: 0.18.")
    assert lesson.errors == []
