"""Bring the address of the workshop into what needs it for Google Colab: `python -m tools.colab`.

The address stands in pyproject.toml. From there it goes into the first code cell of each lesson, which fetches the
workshop on Colab, and into the badges of README.md, which open the lessons there.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

from tools.minutes import LISTED, README, ROOT
from tools.notebooks import TEMPLATE, has_tag, lessons, number_of
from utils.internals.files import replace_whole

SOURCE = """\
# Only for Google Colab, where it fetches the workshop. Elsewhere this cell does nothing.
import sys

if "google.colab" in sys.modules:
    import subprocess

    address, home = "{address}", "/content/optimizer-workshop"
    fetch = f"test -d {{home}} || GIT_TERMINAL_PROMPT=0 git clone --quiet --depth 1 {{address}} {{home}}"
    if subprocess.run(fetch, shell=True, capture_output=True).returncode:
        raise ConnectionError(f"Cannot reach {{address}}: check the address and the network, then run this cell again.")
    sys.path.insert(0, home)
    from utils import colab

    colab.start()
"""
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"


def address(root: Path = ROOT) -> str:
    """Where the workshop can be cloned from."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]


def cell(address: str, *, count: int | None = None) -> dict:
    """The cell that fetches the workshop, with the number of its last run."""
    metadata = {"jupyter": {"source_hidden": True}, "slideshow": {"slide_type": "skip"}, "tags": ["colab"]}
    source = SOURCE.format(address=address).rstrip("\n").splitlines(keepends=True)
    kept = {"execution_count": count, "id": "colab", "metadata": metadata, "outputs": []}
    return {"cell_type": "code", **kept, "source": source}


def with_cell(cells: list[dict], address: str) -> list[dict]:
    """The cells of a lesson, with this one as their first code cell."""
    others = [each for each in cells if not has_tag(each, "colab")]
    count = next((each["execution_count"] for each in cells if has_tag(each, "colab")), None)
    first = next(place for place, each in enumerate(others) if each["cell_type"] == "code")
    return [*others[:first], cell(address, count=count), *others[first:]]


def badge(lesson: Path, address: str) -> str:
    """The picture that opens the lesson on Colab, in Markdown."""
    page = address.replace("https://github.com/", "https://colab.research.google.com/github/")
    return f"[![Open {number_of(lesson)} in Colab]({BADGE})]({page}/blob/main/notebooks/{lesson.name})"


def readme(text: str, address: str) -> str:
    """The README with a badge in the third column of the table of lessons."""

    def row(found: re.Match) -> str:
        link, words, *_, minutes = found[0].strip("|\n").split(" | ")
        return f"|{link} | {words} | {badge(Path(found[1]), address)} | {minutes.strip()} |\n"

    return LISTED.sub(row, text)


def main(*, root: Path = ROOT) -> int:
    """Write the address where it is needed and name the files that were changed."""
    where = address(root)
    changed = {}
    for path in (*lessons(root / "notebooks"), root / TEMPLATE):
        book = json.loads(path.read_text(encoding="utf-8"))
        book["cells"] = with_cell(book["cells"], where)
        changed[path] = json.dumps(book, indent=1, ensure_ascii=False) + "\n"
    changed[root / README] = readme((root / README).read_text(encoding="utf-8"), where)
    changed = {path: text for path, text in changed.items() if path.read_text(encoding="utf-8") != text}
    for path, text in changed.items():
        replace_whole(text.encode(), path)
    names = ", ".join(str(path.relative_to(root)) for path in changed)
    print(f"Changed: {names}." if names else f"All name {where}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
