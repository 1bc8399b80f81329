"""A deck on paper: a PDF with a page for every slide, printed by the Chromium or Chrome that is installed."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Error, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
CHANNELS = ("chrome", "msedge")  # where they are on Windows and macOS, Playwright knows
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class NoBrowser(Exception):
    """There is no browser to print with, and what to do about it."""


@contextlib.contextmanager
def browser(path: str | None = None) -> Iterator[Browser]:
    """A headless Chromium: `path`, else $CHROMIUM, else what is on the PATH or installed, else Playwright's own.

    Raises NoBrowser when none of them starts.
    """
    wanted = path or os.environ.get("CHROMIUM")
    found = [wanted] if wanted else list(filter(None, map(shutil.which, NAMES)))
    ways = [{"executable_path": each} for each in found]
    ways += [] if wanted else [*({"channel": channel} for channel in CHANNELS), {}]
    with sync_playwright() as playwright:
        reason = ""
        for way in ways:
            try:
                started = playwright.chromium.launch(args=FLAGS, **way)
            except Error as error:
                reason = reason or str(error).splitlines()[0]
                continue
            with contextlib.closing(started):
                yield started
            return
    raise NoBrowser(
        "no Chromium or Chrome found to print the PDF: install one, or set CHROMIUM to its path"
        if not wanted
        else f"{wanted} does not start as a browser ({reason}): set CHROMIUM to the path of a Chromium or Chrome"
    )


def open_deck(page: Page, deck: Path, query: str = "") -> Page:
    """Open a deck from its file and wait until its slides are laid out."""
    page.goto(deck.resolve().as_uri() + query)
    page.wait_for_selector("html.deck-ready", state="attached", timeout=120_000)
    return page


def print_pdf(running: Browser, deck: Path) -> Path:
    """Print a deck to a PDF beside it; every slide is a page, with all its fragments. Returns the PDF's path."""
    page = running.new_page(viewport={"width": 1280, "height": 720})
    with contextlib.closing(page):
        open_deck(page, deck, "?print-pdf")
        pdf = deck.with_suffix(".pdf")
        page.pdf(path=pdf, prefer_css_page_size=True, print_background=True)
    return pdf
