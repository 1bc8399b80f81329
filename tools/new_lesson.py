"""Start a lesson of your own: `python -m tools.new_lesson "Title"` makes one of assets/new-lesson.ipynb.

It is small and passes every rule of the house, which stand in it as comments. It becomes the last lesson, and the
tables in README and guide name it.
"""

import argparse
import json
import re
import sys
import unicodedata
from pathlib import Path

from tools import colab, minutes
from tools.notebooks import TEMPLATE, lessons, number_of


def new_lesson(title: str, *, root: Path = minutes.ROOT) -> Path:
    """Write the lesson of this title, not yet run, and return its path. Raises ValueError for a title without words."""
    plain = unicodedata.normalize("NFKD", title.lower()).encode("ascii", "ignore").decode()
    slug = "-".join(re.findall(r"[a-z0-9]+", plain)) or "lesson"
    if not re.search(r"\w", title) or not title.isprintable() or set(title) & set("<>[]|"):
        raise ValueError(f'a lesson needs a title in words, such as "Sign descent", not {title!r}')
    number = 1 + max(int(number_of(path)[:2]) for path in lessons(root / "notebooks"))
    text = (root / TEMPLATE).read_text(encoding="utf-8")
    for name, value in {"number": f"{number:02}", "title": title.strip(), "slug": slug}.items():
        text = text.replace(f"<{name}>", json.dumps(value, ensure_ascii=False)[1:-1])
    path = root / "notebooks" / f"{number:02}-{slug}.ipynb"
    path.write_text(text, encoding="utf-8")
    return path


def main(arguments: list[str] | None = None, *, root: Path = minutes.ROOT) -> int:
    """Write a lesson and bring the tables in line; exit code 2 for a title that is none."""
    parser = argparse.ArgumentParser(prog="python -m tools.new_lesson", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("title", help='such as "Sign descent"')
    try:
        path = new_lesson(parser.parse_args(arguments).title, root=root)
    except ValueError as trouble:
        print(trouble, file=sys.stderr)
        return 2
    minutes.main([], root=root)
    colab.main(root=root)
    number = number_of(path)
    how = f"`workshop.py refresh {number} 00` runs it and the map in 00, `test {number}` judges it"
    print(f"Written: notebooks/{path.name}. {how}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
