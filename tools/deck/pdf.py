"""A deck on paper: a PDF with a page for every slide, printed by a browser that tools/browser.py starts."""

import contextlib
from pathlib import Path

from playwright.sync_api import Browser, Page


def open_deck(page: Page, deck: Path, query: str = "") -> Page:
    """Open a deck from its file and wait until its slides are laid out."""
    page.goto(deck.resolve().as_uri() + query)
    page.wait_for_selector("html.deck-ready", state="attached", timeout=120_000)
    return page


def print_pdf(running: Browser, deck: Path, *, handout: bool = False) -> Path:
    """Print a deck to a PDF beside it; every slide is a page, with all its fragments. Returns the PDF's path.

    handout   without answers and verdicts, to a PDF of its own
    """
    page = running.new_page(viewport={"width": 1280, "height": 720})
    with contextlib.closing(page):
        open_deck(page, deck, "?print-pdf&handout" if handout else "?print-pdf")
        pdf = deck.with_name(f"{deck.stem}-handout.pdf") if handout else deck.with_suffix(".pdf")
        page.pdf(path=pdf, prefer_css_page_size=True, print_background=True)
    return pdf
