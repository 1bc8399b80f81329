"""A student's copy opens at the last cell that was run, in a real JupyterLab with the launcher's extension."""

import json

from playwright.sync_api import expect

from tests.support.jupyter_page import NotebookPage, write_notebook


def test_a_students_copy_opens_at_the_last_cell_that_was_run(browser, jupyter):
    file = jupyter.root / "my-work" / "return.ipynb"
    file.parent.mkdir(exist_ok=True)
    write_notebook(file, *(f"# {k}\n" + "\n" * 40 for k in range(6)))
    notebook = json.loads(file.read_text(encoding="utf-8"))
    for number in (1, 2, 3):
        notebook["cells"][number]["execution_count"] = number
    file.write_text(json.dumps(notebook), encoding="utf-8")
    opened = NotebookPage.open(browser, jupyter, f"my-work/{file.name}")
    cells = opened.page.locator(".jp-CodeCell")
    expect(cells.nth(3)).to_be_in_viewport()
    expect(cells.first).not_to_be_in_viewport()
    assert opened.errors == []
    opened.page.close()
