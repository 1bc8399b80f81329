"""Write slides: `python -m tools.deck.slides [NUMBER ...]`, without a number those of all notebooks, into build/slides.

Each deck is one HTML file that needs no network, and a PDF beside it where a Chromium or Chrome is installed.
"""

import argparse
import sys
import time
from pathlib import Path

import nbformat

from tools.deck import pdf
from tools.deck.frames import with_frames
from tools.deck.page import ROOT, render

NOTEBOOKS = ROOT / "notebooks"
SLIDES = ROOT / "build" / "slides"


def write_deck(notebook: Path, folder: Path) -> Path:
    """Write the deck of a notebook, with the outputs that are stored in it, to `folder`; return the HTML file."""
    number = notebook.name.partition("-")[0]
    live = (
        f"Here the slider chooses among pictures. All of this lab moves in the live deck (python3 workshop.py present "
        f"{number}) and in your own notebook (python3 workshop.py lab {number})."
    )
    page = render(with_frames(nbformat.read(notebook, as_version=4), live), notebook.parent)
    folder.mkdir(parents=True, exist_ok=True)
    deck = folder / f"{notebook.stem}.html"
    deck.write_text(page, encoding="utf-8")
    return deck


def choose(numbers: list[str], folder: Path) -> tuple[list[Path], list[str]]:
    """The notebooks with these numbers (2, 02 and 02a are understood; none: all), and the unknown numbers."""
    there = {path.name.partition("-")[0]: path for path in sorted(folder.glob("[0-9][0-9]*-*.ipynb"))}
    wanted = [number.rjust(3 if number[-1:].isalpha() else 2, "0") for number in numbers]
    unknown = [number for number in wanted if not any(number in (one, one[:2]) for one in there)]
    # 02 means 02a and 02b where the lesson comes in two parts.
    return [path for one, path in there.items() if not wanted or one in wanted or one[:2] in wanted], unknown


def main(arguments: list[str] | None = None, *, notebooks: Path = NOTEBOOKS, slides: Path = SLIDES) -> int:
    """Exit code 0; 1 when a deck or its PDF failed; 2 when there is no such notebook. Without a browser: no PDF, 0."""
    parser = argparse.ArgumentParser(prog="python -m tools.deck.slides", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("number", nargs="*", help="of a notebook, such as 2, 02 or 02a; none: all notebooks")
    parser.add_argument("--no-pdf", action="store_true", help="write the HTML only")
    parser.add_argument("--browser", metavar="PATH", help="of the Chromium or Chrome that prints (or set CHROMIUM)")
    options = parser.parse_args(arguments)
    chosen, unknown = choose(options.number, notebooks)
    if unknown or not chosen:
        there = ", ".join(path.name.partition("-")[0] for path in choose([], notebooks)[0])
        print(f"no notebook {', '.join(unknown)}".strip() + f"; there are: {there or 'none'}", file=sys.stderr)
        return 2
    decks, failed = [], False
    for notebook in chosen:
        start = time.perf_counter()
        try:
            deck = write_deck(notebook, slides)
        except (ValueError, OSError) as error:
            failed = True
            print(f"{notebook.name}: {error}", file=sys.stderr)
            continue
        decks.append(deck)
        print(f"{_shown(deck)}: {deck.stat().st_size / 1e6:.1f} MB, {time.perf_counter() - start:.0f} s", flush=True)
    if decks and not options.no_pdf:
        failed |= not _print_all(decks, options.browser)
    return int(failed)


def _print_all(decks: list[Path], path: str | None) -> bool:
    try:
        with pdf.browser(path) as running:
            for deck in decks:
                printed = pdf.print_pdf(running, deck)
                print(f"{_shown(printed)}: {printed.stat().st_size / 1e6:.1f} MB", flush=True)
    except pdf.NoBrowser as reason:
        print(f"no PDF: {reason}", file=sys.stderr)
        return path is None  # who names a browser wants the PDF
    except pdf.Error as error:
        print(f"the PDF could not be printed: {str(error).splitlines()[0]}", file=sys.stderr)
        return False
    return True


def _shown(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


if __name__ == "__main__":
    sys.exit(main())
