"""Which cells run for a lab: what a cell reads and binds, and where that comes from."""

import nbformat
import pytest

from tools.deck.needed_cells import MissingName, live_cells, names, needed_cells
from tools.notebooks import has_tag, is_still, lessons


@pytest.mark.parametrize(
    ("source", "bound", "needed", "called"),
    [
        ("a = b", {"a"}, {"b"}, set()),
        ("a = 1\nb = a", {"a", "b"}, set(), set()),
        ("a = a + 1", {"a"}, {"a"}, set()),
        ("a += b", {"a"}, {"a", "b"}, set()),
        ("a = b = c", {"a", "b"}, {"c"}, set()),
        ("a: T = b\nc: T", {"a"}, {"T", "b"}, set()),
        ("(a := b) and a", {"a"}, {"b"}, set()),
        ("(a, *b), c[d], e.f = g", {"a", "b"}, {"c", "d", "e", "g"}, set()),
        ("del a", set(), {"a"}, set()),
        ("def f(x):\n    return x + c + len(x)", {"f"}, set(), {"c"}),
        ("def f():\n    return c\nc = 1", {"f", "c"}, set(), set()),
        ("def f(x: A = b, *, y=c) -> D:\n    z = x\n    return z", {"f"}, {"A", "b", "c", "D"}, set()),
        ("@a\nasync def f():\n    await b", {"f"}, {"a"}, {"b"}),
        ("def f():\n    def g():\n        return x\n    x = c\n    return g", {"f"}, set(), {"c"}),
        ("def f():\n    global a, b\n    a = 1\n    b += 1", {"f"}, set(), {"b"}),
        ("def top(x):\n    y = x\n    return y + c", {"top"}, set(), {"c"}),  # the name of a module's table in symtable
        ("lambda x, y=a: x + y + c", set(), {"a"}, {"c"}),
        ("[x * k for x in rows]", set(), {"rows"}, {"k"}),
        ("{x: [y for y in z] for x in rows for z in x.k if more}", set(), {"rows"}, {"more"}),
        ("import torch\nfrom utils import labs as l\nimport a.b\nfrom c import *", {"torch", "l", "a"}, set(), set()),
        ("@d\nclass A(B, m=C):\n    n = 1\n    m = n + k", {"A"}, {"B", "C", "d"}, {"k"}),
        ("class A:\n    def f(self):\n        return super().f() + g", {"A"}, set(), {"g"}),
        ("with f() as g:\n    pass\nfor i in g:\n    i.j = h", {"g", "i"}, {"f", "h"}, set()),
        ("try:\n    a\nexcept E as e:\n    print(e)", {"e"}, {"a", "E"}, set()),
        ("match a:\n    case {'b': b, **c}: d\n    case [e, *f] | (C() as e): e", {*"bcef"}, {"a", "d", "C"}, set()),
        ("if a:\n    b = 1\nprint(b)", {"b"}, {"a"}, set()),
        ("%matplotlib inline\nx = y\n!ls", {"x"}, {"y"}, set()),
    ],
)
def test_names_of_a_cell(source, bound, needed, called):
    assert names(source) == (bound, needed, called)


def notebook_of(*sources: str, **tags: int) -> nbformat.NotebookNode:
    """A notebook of code cells; `lab=3` tags the cell at place 3."""
    cells = [nbformat.v4.new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(sources)]
    for tag, place in tags.items():
        cells[place].metadata["tags"] = [tag.replace("_", "-")]
    return nbformat.v4.new_notebook(cells=cells)


def test_a_lab_brings_what_it_needs_and_nothing_else():
    notebook = notebook_of(
        "from utils import labs",  # 0: needed
        "x = 1",  # 1: bound again before it is needed
        "slow = compute()",  # 2: needed by nobody
        "x = 2\ndef racer(p):\n    return helper(p, x)",  # 3
        "def helper(p, x): ...",  # 4: the function of cell 3 calls it
        "labs.race({'mine': racer})",  # 5
        "x = 3",  # 6: after the lab
        lab=5,
    )
    assert live_cells(notebook) == [0, 3, 4, 5]


def test_a_name_comes_from_the_last_cell_before_that_binds_it():
    notebook = notebook_of(
        "x = 1", "x = 2", "y = x", "x = 3", "def f():\n    return x", "x = 4", "print(y, f())", "x = 5"
    )
    assert needed_cells(notebook.cells, [6]) == [
        1,
        2,
        4,
        5,
        6,
    ]  # what a function reads is as it stands when it is called
    assert needed_cells(notebook.cells, [4]) == [3, 4]
    assert needed_cells(notebook.cells, [2, 3]) == [1, 2, 3]


def test_what_varies_and_what_is_tagged_runs_too():
    notebook = notebook_of("a = 1", "b = 2", "print(a)", "print(b)", "print(3)", nbval_ignore_output=2, live=4)
    assert live_cells(notebook) == [0, 2, 4]
    assert live_cells(notebook_of("1", "2", "import ipywidgets\nlabs = 3", setup=1)) == [1]  # words make no lab


def test_a_name_from_nowhere_is_told():
    with pytest.raises(MissingName, match=r"cell-1 needs `unknown`"):
        live_cells(notebook_of("import ipywidgets", "ipywidgets.IntSlider(unknown)", live=1))
    with pytest.raises(MissingName, match=r"cell-0 needs `later`"):
        live_cells(notebook_of("print(later)", "later = 1", live=0))


def test_text_cells_keep_their_places():
    cells = notebook_of("a = 1", "b = a").cells
    cells.insert(1, nbformat.v4.new_markdown_cell("b = c"))
    assert needed_cells(cells, [2]) == [0, 2]


@pytest.mark.parametrize("path", lessons(), ids=lambda path: path.stem)
def test_every_lab_of_the_lessons_runs(path):
    notebook = nbformat.read(path, as_version=4)
    cells = live_cells(notebook)
    shown = [place for place, cell in enumerate(notebook.cells) if any(map(is_still, cell.get("outputs", [])))]
    assert set(shown) <= set(cells)
    assert shown == [place for place, cell in enumerate(notebook.cells) if has_tag(cell, "lab")]
    assert len(cells) < 0.2 * len(notebook.cells) or len(notebook.cells) < 30
