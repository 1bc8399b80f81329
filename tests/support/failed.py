"""What a failed test leaves under build/failed/: each page as it was seen, its errors, the log of its server."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Error

# Which classes the page has, and who has the keys: no picture shows them.
STATE = "[document.documentElement, document.activeElement].map((each) => each.cloneNode(false).outerHTML).join('\\n')"
FOLDER = Path(__file__).parents[2] / "build" / "failed"


def keep(test: str, fixtures: Mapping, folder: Path = FOLDER) -> list[Path]:
    """Write what the fixtures of a failed test know of it; return the files, none if no fixture has a page or a log."""
    place = folder / re.sub(r"\W+", "-", test).strip("-")[-120:]
    found = []

    def file(name: str) -> Path:
        place.mkdir(parents=True, exist_ok=True)
        found.append(place / name)
        return found[-1]

    pages = [page for context in getattr(fixtures.get("browser"), "contexts", ()) for page in context.pages]
    for number, page in enumerate(pages):
        try:
            page.screenshot(path=file(f"page-{number}.png"), timeout=10_000)
            file(f"page-{number}-state.txt").write_text(page.evaluate(STATE))
        except Error as reason:  # a page that hangs is why the test failed
            file(f"page-{number}.txt").write_text(str(reason))
    for name, value in fixtures.items():
        if errors := getattr(value, "errors", None):
            file(f"{name}-errors.txt").write_text("\n".join(map(str, errors)))
        if (log := getattr(value, "log", None)) and isinstance(log, Path) and log.exists():
            shutil.copyfile(log, file(f"{name}.log"))
    return found
