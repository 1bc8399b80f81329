"""What one section of a lesson builds and others use, for a section that starts without those before it."""

import ast
import json
from functools import cache
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def lend(lesson: str, *names: str) -> list:
    """The functions and classes with these names, out of the lesson's own cells that are tagged `ladder` or `lent`.

    lesson   its number, such as "03". They see what its set-up defines.

    Raises KeyError for a name that no such cell defines.
    """
    return [_defined(lesson)[name] for name in names]


@cache
def _defined(lesson: str) -> dict:
    (path,) = NOTEBOOKS.glob(f"{lesson}-*.ipynb")
    page = {"__name__": __name__}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        tags, source = cell["metadata"].get("tags", ()), "".join(cell["source"])
        if {"ladder", "lent"} & set(tags):
            tree = ast.parse(source)
            tree.body = [each for each in tree.body if isinstance(each, ast.ClassDef | ast.FunctionDef)]
            exec(compile(tree, f"<{cell['id']}>", "exec"), page)
        elif "setup" in tags and "lend(" not in source:
            exec(compile(source, f"<{cell['id']}>", "exec"), page)
    return page
