"""Can everybody use it? Colours, axe-core on every notebook, a page at 200 %.

any_lab.py looks at the labs, test_slides.py and test_present.py at the decks. axe-core's findings on JupyterLab's own
parts, which are the same in any notebook, are left out: code, which is most of a page, prompts, and links that the
theme does not underline.
"""

import itertools

import matplotlib.pyplot as plt
import nbconvert
import numpy as np
import pytest
from colorspacious import cspace_convert
from matplotlib.colors import to_hex, to_rgb

from tests.support.axe import contrast, findings
from tests.support.jupyter_page import ROOT
from tests.support.lab_pictures import CASES
from utils.labs.race_picture import COLORS
from utils.plots import SMALLEST, picture, readable, too_small

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def palette() -> list[str]:
    with plt.style.context("utils.workshop"):
        return [to_hex(f"C{i}") for i in range(7)]


def distance(a: str, b: str, deficiency: str | None) -> float:
    """How different two colours look (CAM02-UCS), as seen with a total colour deficiency (Machado et al. 2009)."""
    rgb = np.array([to_rgb(a), to_rgb(b)])
    if deficiency:
        seen = {"name": "sRGB1+CVD", "cvd_type": deficiency, "severity": 100}
        rgb = np.clip(cspace_convert(rgb, seen, "sRGB1"), 0, 1)
    return float(np.linalg.norm(np.subtract(*cspace_convert(rgb, "sRGB1", "CAM02-UCS"))))


@pytest.mark.parametrize("deficiency", [None, "deuteranomaly", "protanomaly", "tritanomaly"])
def test_the_colours_of_figures_and_labs_are_told_apart(deficiency):
    pairs = itertools.combinations(palette(), 2)
    assert {pair: d for pair in pairs if (d := distance(*pair, deficiency)) < 11} == {}
    assert {color.lower() for color in COLORS} <= set(palette())


def test_the_measure_of_difference_finds_a_pair_that_is_not_told_apart():
    assert distance("#D55E00", "#8A6A00", None) > 20 > 5 > distance("#D55E00", "#8A6A00", "protanomaly")


def test_lines_stand_out_from_white_and_words_more_so():
    for color in palette():
        assert contrast(color, "white") >= 3  # WCAG 2.1, 1.4.11
        assert contrast(readable(color), "white") >= 4.5  # 1.4.3
        assert readable(color) == color or contrast(color, "white") < 4.5


def test_a_picture_with_tiny_text_is_refused():
    with plt.style.context("utils.workshop"):
        _, ax = plt.subplots()
        ax.set_title("Large enough")
        assert too_small(ax.figure) == []
        ax.text(0.5, 0.5, "tiny", fontsize=SMALLEST - 0.5)
        with pytest.raises(ValueError, match="'tiny'"):
            picture(ax)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_still_part_of_a_lab_has_no_tiny_text(case, monkeypatch):
    seen = []
    monkeypatch.setattr("utils.labs.plot_widget.plt.close", seen.append)
    case.make()
    assert seen
    for figure in seen:
        assert too_small(figure) == []


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def lesson(request, browser, tmp_path_factory):
    """A notebook as JupyterLab's own template shows it, but for the code; without a kernel and without a network."""
    html, _ = nbconvert.HTMLExporter(template_name="lab", exclude_input=True).from_filename(str(request.param))
    path = tmp_path_factory.mktemp("lesson") / "lesson.html"
    path.write_text(html, encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())
    page.goto(path.as_uri())
    yield page
    page.close()


def test_axe_finds_nothing_wrong_with_a_notebook(lesson):
    assert findings(lesson, "main", without=(".jp-OutputPrompt",), rules_off=("link-in-text-block",)) == []


def test_prose_at_200_percent_needs_no_scrolling_sideways(lesson):
    lesson.set_viewport_size({"width": 640, "height": 450})  # 1280 × 900 at 200 %
    wide = """() => [...document.querySelectorAll(".jp-RenderedMarkdown :is(p, li, h1, h2, h3, summary)")].filter(
      (each) => each.scrollWidth > each.clientWidth + 1 && !each.querySelector("mjx-container, .MathJax")
      ).map((each) => each.textContent.slice(0, 60))"""
    assert lesson.evaluate(wide) == []
    lesson.set_viewport_size({"width": 1280, "height": 900})
