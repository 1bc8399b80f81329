"""Finds Chromium and starts it: for the PDF of a deck, for the cheat sheet, and for the tests."""

import contextlib
import os
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, Error, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")  # on the PATH
CHANNELS = ("chrome", "msedge")  # where they are on Windows and macOS, Playwright knows
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WHAT_TO_DO = "install one, set CHROMIUM to its path, or run `python -m playwright install chromium`"


class NoBrowser(Exception):
    """There is no browser to start; the message is one line that says what to do about it."""


def sandboxed() -> bool:
    """Whether Chromium keeps its sandbox: as root it does not start with one, and nobody else gives it up."""
    return not (hasattr(os, "geteuid") and os.geteuid() == 0)


@contextlib.contextmanager
def browser(path: str | None = None) -> Iterator[Browser]:
    """A headless Chromium: `path`, else $CHROMIUM, else what is on the PATH or installed, else Playwright's own.

    Raises NoBrowser when none of them starts, and Playwright's Error, also from here, for what goes wrong later.
    """
    wanted = path or os.environ.get("CHROMIUM")
    with sync_playwright() as playwright:
        reasons = []
        for way in _ways(wanted):
            try:
                started = playwright.chromium.launch(args=FLAGS, chromium_sandbox=sandboxed(), **way)
            except Error as error:
                reasons.append(str(error).splitlines()[0])
                continue
            with contextlib.closing(started):
                yield started
            return
    what = f"{wanted} does not start as a browser" if wanted else "no Chromium or Chrome starts"
    raise NoBrowser(f"{what} ({reasons[0]}): {WHAT_TO_DO}")


def _ways(wanted: str | None) -> Iterator[dict[str, str]]:
    """What Playwright may be asked to start, the best first."""
    if wanted:
        yield {"executable_path": wanted}
        return
    yield from ({"executable_path": found} for found in map(shutil.which, NAMES) if found)
    yield from ({"channel": channel} for channel in CHANNELS)
    yield {}  # Playwright's own
