"""A notebook as one HTML page without a request: the exporter, and all that the template puts into a page.

The template in assets/deck makes the slides; reveal.js comes from the package pyreveal, formulas become SVG by ziamath
(MathML alone would need a font with mathematics, and Chromium sets roots badly), and text has the font of the figures.
"""

import base64
import html
import io
import mimetypes
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import matplotlib
import pyreveal
import ziamath
from fontTools import subset
from fontTools.ttLib import TTFont
from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert.exporters.html import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from traitlets.config import Config

from tools.deck.notes import notes
from tools.deck.shown_code import without_proofs

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "assets"
REVEAL = Path(pyreveal.__file__).parent / "revealjs" / "dist"
DEJAVU = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FONTS = (  # family, weight, style, file
    ("DejaVu Sans", "normal", "normal", DEJAVU / "DejaVuSans.ttf"),
    ("DejaVu Sans", "bold", "normal", DEJAVU / "DejaVuSans-Bold.ttf"),
    ("DejaVu Sans", "normal", "italic", DEJAVU / "DejaVuSans-Oblique.ttf"),
    ("DejaVu Sans Mono", "normal", "normal", DEJAVU / "DejaVuSansMono.ttf"),
)
# What lessons write: Latin, Greek, punctuation, sub- and superscripts, arrows, mathematics, marks such as ✓.
CHARACTERS = "20-7E,A0-17F,2C6-2DD,300-304,370-3FF,2000-206F,2070-209F,20D0-20F0,2100-22FF,2308-230B,2500-27EF"
ziamath.config.svg2 = False  # shapes that formulas share by an id would go with the slide that holds them
ziamath.config.precision = 1

IMAGE = re.compile(r'(<img\b[^>]*?\bsrc=")([^"]+)(")')


class Formulas:
    """For a markdown renderer of nbconvert (or Voilà): formulas come out as SVG, and as MathML for who listens."""

    def block_math(self, body: str) -> str:
        """HTML of a formula on lines of its own."""
        return formula(body, inline=False)

    def inline_math(self, body: str) -> str:
        """HTML of a formula within a line."""
        return formula(body, inline=True)

    def latex_environment(self, name: str, body: str) -> str:
        """HTML of a formula that stands in an environment, such as align."""
        return formula(rf"\begin{{{name}}}{body}\end{{{name}}}", inline=False)


@cache
def formula(tex: str, *, inline: bool) -> str:
    """HTML of a formula, as large as the text around it. Raises ValueError for TeX that cannot be drawn."""
    size, tex = 100, tex.strip()  # drawn large: places are rounded
    try:
        drawn = ziamath.Latex(tex, size=size, inline=inline, color="currentColor").svg()
        spoken = convert(tex, display="inline" if inline else "block")
    except Exception as error:  # two libraries' own, of many kinds
        raise ValueError(f"the formula {tex!r} cannot be drawn: {error!r}") from error
    _, top, width, height = (float(number) / size for number in re.search(r'viewBox="([^"]+)"', drawn)[1].split())
    place = f"width: {width:.3f}em; height: {height:.3f}em; vertical-align: {-(top + height):.3f}em"
    drawn = re.sub(r'width="[^"]+" height="[^"]+"', f'aria-hidden="true" style="{place}"', drawn, count=1)
    return f'<span class="deck-math{"" if inline else " deck-display"}">{drawn}{spoken}</span>'


class Renderer(Formulas, IPythonRenderer):
    """Markdown as it stands in the notebooks, with the pictures beside them, those in ../assets too, inside."""

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """HTML of a picture in Markdown; `url` starts at the folder of the notebook."""
        return with_pictures(super().image(text, url, title), Path(self.path))

    def block_html(self, html: str) -> str:
        """HTML of a block as it stands: nbconvert's own embedding would close an open <details>."""
        return with_pictures(super().block_html(html), Path(self.path))

    def inline_html(self, html: str) -> str:
        """HTML within a line, as it stands."""
        return with_pictures(super().inline_html(html), Path(self.path))


class DeckExporter(HTMLExporter):
    """nbconvert with the template in assets/deck. Raises OSError for a picture, as `with_pictures` does."""

    exclude_input_prompt = exclude_output_prompt = exclude_anchor_links = True

    @property
    def default_config(self) -> Config:
        """nbconvert's settings for HTML, without JupyterLab's style."""
        config = Config({"CSSHTMLHeaderPreprocessor": {"enabled": False}})  # JupyterLab's style, a megabyte
        config.merge(super().default_config)
        return config

    def __init__(self, **options):
        super().__init__(template_name="deck", extra_template_basedirs=[str(TEMPLATES)], **options)

    def default_filters(self):
        """nbconvert's, and ours."""
        yield from super().default_filters()
        yield "without_proofs", without_proofs

    def from_notebook_node(self, nb, resources, **options):
        """As nbconvert's; what to say at each cell is read from `nb`."""
        said = {"notes": notes(nb)}
        return super().from_notebook_node(nb, resources | {"deck": resources["deck"] | said}, **options)

    @pass_context
    def markdown2html(self, context, source: str) -> str:
        """HTML of a cell of text; the filter of this name in the template."""
        path = context.get("resources", {}).get("metadata", {}).get("path", "")
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = Renderer(escape=False, path=path, exclude_anchor_links=True, attachments=attachments)
        return MarkdownWithMath(renderer=renderer).render(source)


def render(notebook: NotebookNode, folder: Path) -> str:
    """The page of a notebook that lives in `folder`; `deck_resources` says what goes into it."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        if "text/html" in output.get("data", {}):
            output.data["text/html"] = with_pictures(output.data["text/html"], folder)
    resources = {"deck": deck_resources(notebook, links=".html"), "metadata": {"path": str(folder)}}
    return DeckExporter().from_notebook_node(notebook, resources)[0]


def deck_resources(notebook: NotebookNode, *, links: str = "") -> dict[str, str]:
    """What the template needs: the notebook's title, all style, all script.

    links   what stands for `.ipynb` in links from one lesson to another; nothing: they stay as they are
    """
    heading = re.search(r"^# +(.+)$", "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown"), re.M)
    title = heading[1].strip() if heading else "Slides"
    return {"title": title, "style": style(), "script": script(), "links": links}


@cache
def style() -> str:
    """All style of a deck: reveal.js, the fonts inside, and ours."""
    ours = [TEMPLATES / "deck" / name for name in ("deck.css", "room.css")]
    sheets = [REVEAL / "reset.css", REVEAL / "reveal.css", *ours]
    faces = [
        f'@font-face {{ font-family: "{family}"; font-weight: {weight}; font-style: {slope}; '
        f"src: url(data:font/woff;base64,{_font(path)}) }}"
        for family, weight, slope, path in FONTS
    ]
    return "\n".join([*faces, *(sheet.read_text(encoding="utf-8") for sheet in sheets)])


@cache
def script() -> str:
    """All script of a deck: reveal.js, its speaker view, and ours, safe inside of a <script>."""
    ours = [TEMPLATES / "deck" / name for name in ("keys.js", "room.js", "deck.js")]
    scripts = [REVEAL / "reveal.js", REVEAL / "plugin" / "notes.js", *ours]
    code = "\n".join(path.read_text(encoding="utf-8") for path in scripts)
    return re.sub(r"</(?=script)", r"<\\/", code, flags=re.IGNORECASE)  # it would end the page's own script


@cache
def _font(path: Path) -> str:
    """The characters that lessons use, as base64 of a WOFF: a tenth of the file."""
    options = subset.Options(flavor="woff", notdef_outline=True)
    options.drop_tables += ["FFTM"]  # a time stamp
    font, small = TTFont(path), io.BytesIO()
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=subset.parse_unicodes(CHARACTERS))
    cutter.subset(font)
    subset.save_font(font, small, options)
    return base64.b64encode(small.getvalue()).decode()


def with_pictures(markup: str, folder: Path) -> str:
    """The HTML with the files that its pictures name inside; their names start from `folder`, the notebook's.

    Raises OSError for a picture that is not there or lies outside the workshop's folder, as `inside` does.
    """

    def embedded(found: re.Match) -> str:
        src = html.unescape(found[2])
        return found[0] if re.match(r"data:|\w+://", src) else f"{found[1]}{data_uri(inside(src, folder))}{found[3]}"

    return IMAGE.sub(embedded, markup)


def inside(src: str, folder: Path) -> Path:
    """The file that a picture's `src` names. A deck is handed on, so it takes nothing but the workshop's own.

    That is the folder above the lessons or the copies; of a notebook that lies elsewhere, its own folder.
    """
    path, here = (folder / unquote(src)).resolve(), folder.resolve()
    workshop = here.parent if here.name == "notebooks" or here.parent == ROOT else here
    if not path.is_relative_to(workshop):
        raise PermissionError(f"the picture {src} lies outside {workshop}: a deck takes only what is inside")
    return path


def data_uri(path: Path) -> str:
    """The file as a data URI; OSError if it cannot be read."""
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
