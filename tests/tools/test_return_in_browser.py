"""A student's copy opens at the last cell that was run, in a real JupyterLab with the launcher's extension."""

import json

import nbformat
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


def test_a_link_leads_to_its_heading_whether_the_lesson_is_open_or_not(browser, jupyter):
    folder = jupyter.root / "my-work"
    folder.mkdir(exist_ok=True)

    def write(name, cells):
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / name)

    parts = [nbformat.v4.new_markdown_cell(f'# "Part {k}"\n\n' + "A line.\n\n" * 40) for k in range(8)]
    write("far.ipynb", [*parts, nbformat.v4.new_code_cell("1", execution_count=1)])
    write("near.ipynb", [nbformat.v4.new_markdown_cell(f"[to {k}](far.ipynb#%22Part-{k}%22)") for k in (5, 2)])
    opened = NotebookPage.open(browser, jupyter, "my-work/near.ipynb")
    for part in (5, 2):  # the second time it is open
        opened.page.get_by_role("link", name=f"to {part}").click()
        headings = opened.page.get_by_role("heading")
        expect(headings.filter(has_text=f"Part {part}")).to_be_in_viewport()
        expect(headings.filter(has_text="Part 7")).not_to_be_in_viewport()
        opened.page.get_by_role("tab", name="near.ipynb").click()
    assert opened.errors == []
    opened.page.close()
