"""Write slides: `python -m tools.deck.slides [NUMBER ...]`, without a number those of all notebooks, into build/slides.

Each deck is one HTML file that needs no network, and a PDF beside it where a Chromium or Chrome is installed; on
request also a PDF to hand out, which leaves the answers to the class.
"""

import argparse
import itertools
import re
import sys
import time
from pathlib import Path

from tools import browser
from tools.deck import parts
from tools.deck.frames import with_frames
from tools.deck.page import ROOT, render
from tools.deck.pdf import print_pdf
from tools.notebooks import NOTEBOOKS, UnknownLesson, find_any, name_of

SLIDES = ROOT / "build" / "slides"


def write_deck(notebook: Path, folder: Path, *, sections: str | None = None) -> Path:
    """Write the deck of a notebook, with the outputs that are stored in it, to `folder`; return the HTML file.

    sections   only these: see `parts.shown`

    Raises ValueError for a lab or a formula that cannot be drawn or an unknown section, OSError for a picture that is
    not there or not ours.
    """
    name, whole = name_of(notebook), parts.read(notebook)
    present, lab = f"python3 workshop.py present {name}", f"python3 workshop.py lab {name}"
    live = f"Here the slider chooses among pictures. All of this lab moves in the live deck ({present})"
    paper = "One picture of a lab"
    if name != notebook.name:
        live, paper = f"{live} and in your own notebook ({lab})", f"{paper}. The lab itself: {lab}"
    places = parts.shown(whole, sections)
    with_frames(whole, f"{live}.", paper=paper, among=places)
    whole.cells = [whole.cells[place] for place in places]
    page = render(whole, notebook.parent)
    folder.mkdir(parents=True, exist_ok=True)
    part = f"-{'-'.join(re.findall(r'[^, ]+', sections))}" if sections else ""
    deck = folder / f"{notebook.stem}{part}.html"
    deck.write_text(page, encoding="utf-8")
    return deck


def main(arguments: list[str] | None = None, *, notebooks: Path = NOTEBOOKS, slides: Path = SLIDES) -> int:
    """Exit code 0; 1 when a deck or its PDF failed; 2 when there is no such notebook. Without a browser: no PDF, 0."""
    parser = argparse.ArgumentParser(prog="python -m tools.deck.slides", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("number", nargs="*", help="of a notebook, such as 2, 02 or 02a, or a path; none: all")
    parser.add_argument("--sections", help="of one notebook, by number or first words: 1,4,bug-clinic")
    parser.add_argument("--no-pdf", action="store_true", help="write the HTML only")
    parser.add_argument("--handout", action="store_true", help="a second PDF, without answers and verdicts")
    parser.add_argument("--browser", metavar="PATH", help="of the Chromium or Chrome that prints (or set CHROMIUM)")
    options = parser.parse_args(arguments)
    if options.handout and options.no_pdf:
        parser.error("--handout is a PDF: leave --no-pdf out")
    try:
        chosen = find_any(options.number, notebooks)
    except UnknownLesson as unknown:
        print(unknown, file=sys.stderr)
        return 2
    if options.sections and len(chosen) > 1:
        names = ", ".join(map(name_of, chosen))
        print(f"--sections takes one notebook, and these are {len(chosen)}: {names}", file=sys.stderr)
        return 2
    decks, failed = [], False
    for notebook in chosen:
        start = time.perf_counter()
        try:
            deck = write_deck(notebook, slides, sections=options.sections)
        except (ValueError, OSError) as error:
            failed = True
            print(f"{notebook.name}: {error}", file=sys.stderr)
            continue
        decks.append(deck)
        print(f"{_shown(deck)}: {deck.stat().st_size / 1e6:.1f} MB, {time.perf_counter() - start:.0f} s", flush=True)
    if decks and not options.no_pdf:
        failed |= not _print_all(decks, options.browser, (False, True) if options.handout else (False,))
    return int(failed)


def _print_all(decks: list[Path], path: str | None, kinds: tuple[bool, ...]) -> bool:
    try:
        with browser.browser(path) as running:
            for deck, handout in itertools.product(decks, kinds):
                printed = print_pdf(running, deck, handout=handout)
                print(f"{_shown(printed)}: {printed.stat().st_size / 1e6:.1f} MB", flush=True)
    except browser.NoBrowser as reason:
        print(f"no PDF: {reason}", file=sys.stderr)
        return path is None  # who names a browser wants the PDF
    except browser.Error as error:
        print(f"the PDF could not be printed: {str(error).splitlines()[0]}", file=sys.stderr)
        return False
    return True


def _shown(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


if __name__ == "__main__":
    sys.exit(main())
