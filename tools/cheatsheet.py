"""The cheat sheet of notebook 05b as one printable A4 page: `python -m tools.cheatsheet` writes assets/cheatsheet.*.

Its only source are the cells of that notebook that are tagged `cheatsheet`. The PNG keeps the digest of that source, so
that a test notices a page that was not made anew. Needs a Chromium that tools/browser.py finds.
"""

import hashlib
import html
import json
from pathlib import Path

from nbconvert.filters import markdown2html

from tools import notebooks
from tools.browser import browser
from tools.notebooks import has_tag
from utils.plots import reduced

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = notebooks.find("05b")
ASSETS = ROOT / "assets"
WIDTH, HEIGHT, SCALE = 794, 1123, 2  # A4 at 96 CSS pixels per inch, drawn twice as fine

STYLE = """
@page { size: A4; margin: 0 }
* { box-sizing: border-box }
body { margin: 0; width: 794px; height: 1122px; overflow: hidden; padding: 34px 38px; color: #1a1a1a;
       font: 13.6px/1.45 'DejaVu Sans', 'Segoe UI', Helvetica, Arial, sans-serif }
h1 { font-size: 22px; margin: 0 0 4px; color: #0072B2 }
p.from { margin: 0 0 14px; color: #555; font-size: 11.5px }
main { columns: 2; column-gap: 26px; column-fill: balance }
section { break-inside: avoid; border-top: 2.5px solid #0072B2; padding: 7px 0 4px; margin-bottom: 14px }
h3 { font-size: 16px; margin: 0 0 6px }
p, ul, ol { margin: 0 0 7px }
ul, ol { padding-left: 17px }
li { margin-bottom: 4px }
table { border-collapse: collapse; width: 100%; margin: 4px 0 7px; font-size: 12.8px }
th, td { text-align: left; vertical-align: top; padding: 3.5px 14px 3.5px 0; border-bottom: 1px solid #d5d5d5 }
th:last-child, td:last-child { padding-right: 0 }
code { font: 12px 'DejaVu Sans Mono', Consolas, monospace; background: #eef3f7; padding: 0 2px }
pre { background: #eef3f7; padding: 7px 8px; margin: 4px 0 7px; white-space: pre-wrap }
pre code { padding: 0; font-size: 11.6px; line-height: 1.55 }
a.anchor-link { display: none }
"""


def cells(notebook: Path = NOTEBOOK) -> list[str]:
    """The Markdown of the cheat sheet, a text per box. The first cell, its heading in the notebook, is left out."""
    found = [
        "".join(cell["source"])
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        if has_tag(cell, "cheatsheet")
    ]
    if len(found) < 2:
        raise ValueError(f"{notebook.name} has {len(found)} cells tagged cheatsheet: a heading and a box at least")
    return found[1:]


def digest(boxes: list[str]) -> str:
    """What the page was made from, the style included."""
    return hashlib.sha256("\0".join([STYLE, *boxes]).encode()).hexdigest()


def page(boxes: list[str]) -> str:
    """The whole page as HTML, without anything from outside."""
    title = "Optimizers in practice: the cheat sheet"
    body = "".join(f"<section>{markdown2html(box)}</section>" for box in boxes)
    said = "From the optimizer workshop, notebooks 01 to 05b: what stands here was measured or explained there."
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>"
        f'<p class="from">{said}</p><main>{body}</main></body></html>'
    )


def make(folder: Path = ASSETS) -> tuple[Path, Path]:
    """Write cheatsheet.pdf and cheatsheet.png into `folder` and return their paths.

    Raises ValueError when the boxes do not fit on one page, NoBrowser when there is no Chromium.
    """
    boxes = cells()
    pdf, png = folder / "cheatsheet.pdf", folder / "cheatsheet.png"
    with browser() as running:
        view = running.new_page(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=SCALE)
        view.set_content(page(boxes))
        bottom = view.evaluate("document.querySelector('main').getBoundingClientRect().bottom")
        right = view.evaluate("document.querySelector('main').scrollWidth")
        if bottom > HEIGHT - 20 or right > WIDTH:
            raise ValueError(f"the cheat sheet needs {bottom:.0f} × {right:.0f} pixels, a page has {HEIGHT} × {WIDTH}")
        picture = view.screenshot()
        view.pdf(path=pdf, format="A4", print_background=True)
    png.write_bytes(reduced(picture, colors=64, notes={"source-sha256": digest(boxes)}))
    return pdf, png


if __name__ == "__main__":
    for path in make():
        print(path.relative_to(ROOT))
