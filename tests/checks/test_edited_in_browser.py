"""An answer that was edited and not run, in a real JupyterLab: the page says so at once, the check once it is saved."""

from playwright.sync_api import expect

from tests.support.jupyter_page import NotebookPage, write_notebook

CELLS = (  # without a check, which would load torch
    "from utils.internals.cells import changed_since_it_ran\nfrom utils.verdicts import Verdict",
    "def two():\n    return 2",
    "Verdict(True, 'of an exercise')",
    "Verdict(True, f'of a clinic, changed: {changed_since_it_ran(two)}.')",
    "def three():\n    return 2",
    "Verdict(False, 'of another exercise')",
)
LINES = "[...document.querySelectorAll('.workshop-edited')].map(each => getComputedStyle(each, '::after').content)"


def test_the_page_says_so_at_once_and_the_check_once_it_is_saved(browser, jupyter):
    file = jupyter.root / "edited.ipynb"
    write_notebook(file, *CELLS)
    opened = NotebookPage.open(browser, jupyter, file.name)
    opened.run_all(shown=".jp-OutputArea-output strong")
    _, answer, _, check, other, _ = opened.page.locator(".jp-CodeCell").all()
    passed, wrong = opened.page.get_by_text("Passed"), opened.page.get_by_text("Not quite")
    expect(check).to_contain_text("changed: .")
    expect(wrong).to_be_visible()
    expect(passed.and_(opened.page.locator(":visible"))).to_have_count(2)
    assert opened.page.evaluate(LINES) == ["none", "none", "none"]
    for cell in (answer, other):
        cell.locator(".cm-content").click()
        opened.page.keyboard.type("#")
    opened.page.wait_for_function(f"{LINES}.every(line => line.includes('The cell above has changed since it ran'))")
    expect(passed.and_(opened.page.locator(":visible"))).to_have_count(0)  # it was said of what stood there before
    expect(wrong).to_be_visible()  # one reads it while one mends it
    opened.save(file)
    check.locator(".cm-content").click()
    opened.page.keyboard.press("Control+Enter")
    expect(check.locator(".jp-OutputArea")).to_contain_text("changed: two.")
    opened.page.close()
