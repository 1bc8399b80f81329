"""The offline decks: made from every notebook, opened from their files without network, measured and printed."""

import base64
import contextlib
import io
import json
import re
from colorsys import rgb_to_hls
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.support.axe import findings
from tests.support.colors import MACHADO, cielab, nearest
from tests.support.translated import translated
from tools import browser as browsers
from tools.deck import frames, page, parts, pdf, slides
from tools.notebooks import has_tag, is_note
from utils import labs

NOTEBOOKS = sorted(slides.NOTEBOOKS.glob("[0-9][0-9]*-*.ipynb"))
NUMBERS = [path.name.partition("-")[0] for path in NOTEBOOKS]
HIDDEN = {"exercise-check", "exercise-solution"}

# Every slide with all its fragments, which have their room from the start: what leaves the slide or lies over its
# footer, what overlaps, what is too small to be read from the back row; and slides that show only a title at first.
MEASURE = """() => {
  const problems = [], seen = (e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const box = (e) => e.getBoundingClientRect(), told = (e) => (e.textContent || e.alt || "").trim().slice(0, 40);
  for (const slide of Reveal.getSlides()) {
    const at = Reveal.getIndices(slide), body = slide.querySelector(".deck-body");
    const title = slide.querySelector(":scope > :is(h1, h2, h3)");
    const complain = (what) => problems.push(`${at.h}/${at.v ?? 0} ${title?.textContent ?? ""}: ${what}`);
    Reveal.slide(at.h, at.v, 999);
    const first = (e) => seen(e) && !e.closest(".fragment") && (e.matches("img, svg, input") || e.innerText?.trim());
    if (body.children.length && ![...body.querySelectorAll("*")].some(first)) complain("nothing is shown");
    const page = box(slide), foot = box(slide.querySelector(".deck-foot")), k = page.width / 1280;
    for (const e of slide.querySelectorAll(":is(h1, h2, h3), .deck-body, .deck-body :not(math, math *)")) {
      if (e.matches(".fragment") && !seen(e)) complain(`${told(e)} never comes`);
      const { left, right, top, bottom, width, height } = box(e);
      if (!width || !height || !seen(e)) continue;
      if (right > page.right - 45 * k || left < page.left + 45 * k || bottom > foot.top + k || top < page.top)
        complain(`${e.tagName} ${told(e)} leaves the slide`);
      const clips = getComputedStyle(e).overflowX !== "visible";
      if (clips && e.scrollWidth > e.clientWidth + 1) complain(`${told(e)} is cut`);
      if (e.matches("img") && !(e.complete && e.naturalWidth)) complain(`${told(e)} is no picture`);
    }
    if (title && box(title).bottom > box(body).top + 2 * k) complain("the title lies over the text");
    for (const column of slide.querySelectorAll(".deck-body:not(.deck-side), .deck-column"))
      [...column.children].forEach((e, i, all) => {
        if (i && box(e).top < box(all[i - 1]).bottom - k) complain(`${told(e)} lies over what is before it`);
      });
    const texts = document.createTreeWalker(slide, NodeFilter.SHOW_TEXT);
    for (let node = texts.nextNode(); node; node = texts.nextNode()) {
      const parent = node.parentElement, read = parent.closest(".deck-text, .deck-saw, .deck-predict");
      if (!node.data.trim() || parent.closest("aside, script, math, .deck-folded, sup, sub")) continue;
      const size = parseFloat(getComputedStyle(parent).fontSize), prose = read && !parent.closest("code, pre, table");
      if (size < (prose ? 24 : 16)) complain(`${size} px: ${node.data.trim().slice(0, 40)}`);
    }
    const code = [...slide.querySelectorAll(".deck-body .deck-code pre")];
    if (code.some((each) => parseFloat(getComputedStyle(each).fontSize) < 20)) complain("small code");
    if (code.reduce((sum, each) => sum + each.textContent.trimEnd().split("\\n").length, 0) > 14) complain("much code");
    if (code.some((each) => !(each.lastElementChild ?? each).textContent.trim())) complain("ends in an empty line");
    const bookkeeping = /^ *(assert|(facts|claims)\\.|predictions\\(\\)$)/m;
    if (code.some((each) => bookkeeping.test(each.textContent))) complain("told by code");
    for (const image of slide.querySelectorAll(".deck-figure img")) {
      const own = Math.min(1180, image.dataset.own, (456 * image.naturalWidth) / image.naturalHeight);
      if (box(image).width / k < 0.85 * own) complain("the figure is too small");
    }
  }
  return [...new Set(problems)];
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("slides")


@dataclass
class Deck:
    """A deck that is open in the browser, its notebook, and what went wrong since it was opened."""

    file: Path
    page: Page
    notebook: nbformat.NotebookNode
    problems: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, browser: Browser, file: Path, notebook: nbformat.NotebookNode) -> "Deck":
        context = browser.new_context(viewport={"width": 1280, "height": 720}, offline=True)
        deck = cls(file, context.new_page(), notebook)
        context.on("request", lambda request: deck.asked(request.url))
        context.on("requestfailed", lambda request: deck.problems.append(f"failed: {request.url[:100]}"))
        context.on("console", lambda message: deck.said(message.type, message.text))
        deck.page.on("pageerror", lambda error: deck.problems.append(str(error)))
        pdf.open_deck(deck.page, file)
        return deck

    def asked(self, url: str) -> None:
        if not url.startswith(("data:", "blob:", "about:", self.file.as_uri())):
            self.problems.append(f"asked for {url[:100]}")

    def said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.problems.append(f"console {kind}: {text}")

    def place(self) -> list[int]:
        return self.page.evaluate("(({ indexh, indexv, indexf }) => [indexh, indexv, indexf ?? -1])(Reveal.getState())")

    def slide(self, selector: str) -> None:
        """Go to the first slide that has such an element, with everything on it shown."""
        self.page.evaluate(
            """selector => {
              const slide = Reveal.getSlides().find((each) => each.querySelector(selector));
              const { h, v } = Reveal.getIndices(slide);
              Reveal.slide(h, v, 999);
              document.activeElement.blur();
            }""",
            selector,
        )


@pytest.fixture(scope="module")
def decks(browser, folder):
    """number → its deck, built and opened once; a lab has two frames, since making them takes the most time."""
    opened = {}

    def open_one(number: str) -> Deck:
        if number not in opened:
            path = NOTEBOOKS[NUMBERS.index(number)]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(frames, "MOST", 2)
                file = slides.write_deck(path, folder)
            opened[number] = Deck.open(browser, file, nbformat.read(path, as_version=4))
        return opened[number]

    yield open_one


@pytest.fixture(params=NUMBERS)
def deck(request, decks):
    return decks(request.param)


@pytest.fixture
def first(decks):
    """The shortest of the decks, at its start."""
    deck = decks("00")
    deck.page.evaluate("document.activeElement.blur(), Reveal.slide(0, 0)")
    return deck


def test_every_slide_fits(deck):
    assert deck.page.evaluate(MEASURE) == []


# Figures whose words (11.5 points, utils/workshop.mplstyle) the back row could not read, and those that stand alone at
# first and leave their room or share it.
NARROW = """() => {
  const narrow = [], seen = (e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const figures = [...document.querySelectorAll(".slides .deck-figure")];
  for (const figure of figures) {
    const slide = figure.closest("section"), { h, v } = Reveal.getIndices(slide);
    Reveal.slide(h, v, -1);
    const image = figure.querySelector("img"), body = figure.closest(".deck-body");
    const { right, bottom, width, height } = image.getBoundingClientRect();
    const told = `${image.alt}: ${width} × ${height}, words ${(1150 / 72) * (width / image.dataset.own)} px`;
    if ((1150 / 72) * (width / image.dataset.own) < 18) narrow.push(told);
    const beside = body.querySelector(".deck-block:not(.fragment, :first-child)");
    if (beside || !figure.matches(":first-child")) continue;
    const room = body.getBoundingClientRect();
    if (right > room.right + 1 || bottom > room.bottom + 1) narrow.push(`${told}, leaves the slide`);
    if ([...slide.querySelectorAll(".deck-block")].filter(seen).length !== 1) narrow.push(`${told}, is not alone`);
  }
  return [figures.length, narrow];
}"""


def test_a_figure_has_all_the_room_until_the_words_beside_it_come(deck):
    figures, narrow = deck.page.evaluate(NARROW)
    html = [
        str(each.get("data", {}).get("text/html")) for cell in deck.notebook.cells for each in cell.get("outputs", ())
    ]
    pictures = [each for each in html if "<img" in each and "lab-still" not in each]
    assert narrow == [] and (figures > 0) == bool(pictures)


def test_what_stands_before_and_after_a_table_is_on_the_slide_too(deck):
    def plain(text):
        return re.sub(r"\W+", "", text)

    hidden = {"exercise-check", "exercise-solution", "setup"}
    told = []
    for cell in deck.notebook.cells:
        if cell.cell_type == "code" and not hidden & set(cell.metadata.get("tags", [])):
            for output in cell.outputs:
                lines = output.get("data", {}).get("text/markdown", "").split("\n")
                told += [
                    line for line in lines if any(row.startswith("|") for row in lines) and line[:1] not in ("", "|")
                ]
    shown = plain(" ".join(deck.page.locator(".slides").all_text_contents()))
    assert [line for line in told if plain(line) not in shown] == []


def test_every_slide_fits_a_large_screen(decks):
    """All that is on a slide grows by one factor, in every deck."""
    deck = decks("02b")

    def resize(width, height, scale):
        deck.page.set_viewport_size({"width": width, "height": height})
        deck.page.wait_for_function("scale => Math.abs(Reveal.getScale() - scale) < 0.001", arg=scale)

    resize(1920, 1080, 1.5)
    try:
        assert deck.page.evaluate(MEASURE) == []
    finally:
        resize(1280, 720, 1)


KINDS = (
    "h1",
    ".deck-text",
    "pre",
    "table",
    ".deck-figure",
    "input",
    ".deck-folded",
    ".deck-predict",
    ".deck-saw",
    ".deck-math",
)


def test_axe_finds_nothing_wrong_with_any_kind_of_slide(decks):
    deck, seen = decks("01"), set()
    for kind in KINDS:
        if kind not in seen:  # many a slide is of several kinds
            deck.slide(kind)
            slide = deck.page.locator("section.present:not(.stack)")
            seen |= {each for each in KINDS if slide.locator(each).count()}
            assert kind in seen and findings(deck.page, "section.present:not(.stack)") == []


def test_axe_finds_nothing_wrong_with_the_page_around(decks):
    deck = decks("00")
    assert findings(deck.page, "body") == []


def test_one_small_file_that_asks_nobody_for_anything(deck):
    assert deck.file.stat().st_size < 20e6
    assert (
        deck.page.locator("body > .reveal img").count() == deck.page.locator('body > .reveal img[src^="data:"]').count()
    )
    assert deck.problems == []


def test_formulas_are_drawn(deck):
    shown = deck.page.evaluate(
        """() => {
          const root = document.querySelector("body > .reveal").cloneNode(true);
          root.querySelectorAll("pre, code, script, math").forEach((each) => each.remove());
          return root.textContent;
        }"""
    )
    assert not re.search(r"\$[^$\n]{1,80}\$|\\\(|\\\[|\\frac|\\beta", shown)
    formulas = sum(
        len(re.findall(r"\$\$.+?\$\$|\$[^$]+\$", re.sub(r"```.*?```|`[^`]*`", "", cell.source, flags=re.S), re.S))
        for cell in deck.notebook.cells
        if cell.cell_type == "markdown" and kept(cell) and cell.metadata.slideshow.slide_type != "notes"
    )
    drawn = deck.page.locator("body > .reveal .deck-body .deck-math svg path:first-child")
    assert drawn.count() >= formulas  # a title is repeated on each of its slides


def kept(cell) -> bool:
    return cell.metadata.slideshow.slide_type != "skip" and not HIDDEN & set(cell.metadata.get("tags", []))


def test_setup_checks_and_solutions_are_not_on_slides(deck):
    page_text = deck.file.read_text(encoding="utf-8")
    there = set(re.findall(r'data-cell="([^"]+)"', page_text))
    assert there == {cell.id for cell in deck.notebook.cells if kept(cell) and cell.source.strip()}
    titles = deck.page.locator(".slides section > :is(h2, h3)").all_text_contents()
    for cell in deck.notebook.cells:
        if kept(cell) and (statement := re.match(r"### (Exercise.+)", cell.source)):
            assert statement[1].replace("`", "") in titles


def test_what_speaks_of_an_answer_comes_later_than_the_question(deck):
    early = deck.page.evaluate(
        """() => [...document.querySelectorAll(".slides .deck-block:is(.deck-predict, .deck-saw)")].filter((block) =>
             !block.matches(".fragment") && [...block.parentElement.children].indexOf(block) > 0)
             .map((block) => block.textContent)"""
    )
    assert early == []
    assert deck.page.locator(".slides details").count() == 0
    kept_cells = [cell for cell in deck.notebook.cells if kept(cell)]
    answers = sum(cell.source.count("<details") for cell in kept_cells)
    answers += sum(len(cell.outputs[0].metadata.workshop.choices) for cell in kept_cells if has_tag(cell, "quiz"))
    assert deck.page.locator(".slides .deck-card > .fragment").count() == answers


def test_every_section_that_asks_has_notes(deck):
    lacking = deck.page.evaluate(
        """() => [...document.querySelectorAll("body > .reveal .slides > section")].filter((section) =>
             section.querySelector(".deck-predict") && !section.querySelector("aside.notes"))
             .map((section) => section.querySelector("h1, h2, h3").textContent)"""
    )
    assert lacking == []
    said = " ".join(deck.page.locator("aside.notes").all_text_contents())
    for cell in deck.notebook.cells:
        if cell.metadata.slideshow.slide_type == "notes":
            words = re.findall(r"\w{4,}", re.sub(r"`[^`]*`|\$[^$]*\$", "", cell.source))
            assert all(word in said for word in words), f"{cell.id} is not among the notes"


def test_each_slide_has_a_note_of_its_own_and_a_section_one_where_it_begins(deck):
    slides = deck.page.evaluate(
        """() => Reveal.getSlides().map((slide) => {
             const note = slide.querySelector("aside.notes").cloneNode(true);
             const general = [...note.querySelectorAll(".deck-section-note")];
             [...general, ...note.querySelectorAll(".deck-minute")].forEach((each) => each.remove());
             return {
               own: note.textContent.trim(), general: general.map((each) => each.textContent.trim()),
               kicker: slide.querySelector(".deck-kicker, h1, h2")?.textContent,
               choices: slide.querySelectorAll(".deck-predict[data-prediction] li").length,
             };
           })"""
    )
    assert [slide for slide in slides if len(slide["own"]) < 20] == []
    assert len({slide["own"] for slide in slides}) == len(slides)
    general = [note for slide in slides for note in slide["general"]]
    assert len(set(general)) == len(general) == sum(map(is_note, deck.notebook.cells))
    for number, slide in enumerate(slides):
        if slide["choices"]:
            assert f"1 to {slide['choices']} count hands" in slide["own"] and "For you alone" in slide["own"]
        if slide["general"] and number:  # a section's, or of what follows another one's
            before = slides[number - 1]
            assert before["kicker"] != slide["kicker"] or any(
                each["general"] for each in slides[:number] if each["kicker"] == slide["kicker"]
            )


@pytest.mark.parametrize("number", ["01", "02b"])
def test_what_predict_asks_is_on_a_slide_as_text_and_the_answer_comes_later(decks, number):
    deck = decks(number)
    asked = [cell for cell in deck.notebook.cells if cell.cell_type == "code" and has_tag(cell, "predict")]
    assert len(asked) >= 10
    names = {cell.outputs[0].metadata.workshop.name for cell in asked}
    for kind in ("predict", "saw"):
        blocks = deck.page.locator(f".slides .deck-{kind}[data-prediction]")
        assert set(blocks.evaluate_all("all => all.map((each) => each.dataset.prediction)")) == names
    assert deck.page.locator(".slides .deck-predict[data-prediction] li").count() > 2 * len(names)
    code = deck.page.locator(".slides .deck-code:not(.deck-folded *)").all_text_contents()
    assert not [each for each in code if "predict(" in each or "seen(" in each]  # nor the sentences in it


def test_a_quick_question_is_on_a_slide_with_its_choices_as_cards_and_without_its_code(decks):
    deck = decks("02b")
    asked = [cell for cell in deck.notebook.cells if has_tag(cell, "quiz")]
    cards = deck.page.locator(".slides .deck-card:has(.deck-body-of.fragment)")
    choices = [choice for cell in asked for choice in cell.outputs[0].metadata.workshop.choices]
    assert choices and cards.locator(".deck-summary").all_text_contents() == choices
    assert "quiz(" not in deck.page.locator(".slides").first.inner_html()


# ---- what the room answers -------------------------------------------------------------------------------------------


def hands(deck, selector: str) -> list[str]:
    """The counts beside the choices, from top to bottom; none where nobody has voted."""
    rows = deck.page.locator(f"section.present:not(.stack) {selector}[data-hands]")
    return rows.evaluate_all("all => all.map((each) => each.dataset.hands)")


def press(deck, *keys: str) -> None:
    for key in keys:
        deck.page.keyboard.press(key)


def test_keys_count_hands_which_the_reveal_shows_beside_the_measured_answer(decks):
    deck = decks("05a")
    question, answer = (f".deck-{kind}[data-prediction=held-elsewhere]" for kind in ("predict", "saw"))
    deck.slide(question)
    h, v, f = place = deck.place()
    deck.page.evaluate("([h, v]) => Reveal.slide(h, v, -1)", [h, v])
    press(deck, "1")  # before it is asked
    deck.page.evaluate("([h, v, f]) => Reveal.slide(h, v, f)", [h, v, f])
    press(deck, "1", "2", "2", "3", "5", "9")  # there are four choices
    deck.page.evaluate("Reveal.triggerKey(100)")  # 4 on a block of numbers
    assert hands(deck, "li") == ["1", "2", "1", "1"] and deck.place() == place
    press(deck, "Shift+Digit1", "Shift+Digit1", "Backspace", "4", "4", "Backspace")
    assert hands(deck, "li") == ["0", "2", "1", "1"]
    shares = deck.page.locator(f"{question} li").evaluate_all("all => all.map((each) => each.style.cssText)")
    assert [re.sub(r"\D+", "", share) for share in shares] == ["0", "1", "05", "05"]
    pdf.open_deck(deck.page, deck.file)
    deck.slide(answer)
    assert hands(deck, "p") == ["1"] and hands(deck, "li") == ["0", "2", "1"]
    said = deck.page.locator(f"{answer} [data-said]")
    assert said.evaluate("each => getComputedStyle(each, '::after').content") == '" 1 of 4 said so."'
    assert said.evaluate("each => getComputedStyle(each, '::after').visibility") == "visible"
    deck.slide(question)
    assert findings(deck.page, "section.present:not(.stack)") == []
    press(deck, "Shift+Backspace")
    assert hands(deck, "*") == []
    deck.slide(answer)
    assert hands(deck, "*") == []
    assert said.evaluate("each => getComputedStyle(each, '::after').visibility") == "hidden"
    deck.page.evaluate("Reveal.toggleHelp(true)")
    assert "A hand for A … I" in deck.page.locator(".r-overlay-help").inner_text()
    deck.page.evaluate("Reveal.toggleHelp(false)")


def test_numbers_that_are_typed_become_dots_beside_the_measured_one(decks):
    deck = decks("01")
    deck.slide(".deck-predict[data-prediction=steps-by-kappa]")
    deck.page.evaluate("Reveal.slide(Reveal.getState().indexh, Reveal.getState().indexv, 0)")
    axis = deck.page.locator(".deck-predict[data-prediction=steps-by-kappa] .deck-numbers")
    press(deck, "5", "Enter", "2", "0", "1", "Backspace", "Enter", "0", ".", "5")
    assert axis.get_attribute("data-typed") == "0.5"
    press(deck, "Enter", "Enter", "0", "Enter", "Backspace", "5", "0", "Enter", "7", "PageDown", "PageUp", "Enter")
    assert axis.locator("svg").get_attribute("aria-label") == "the room: 5, 20, 50"
    deck.slide(".deck-saw[data-prediction=steps-by-kappa]")
    axis = deck.page.locator(".deck-saw[data-prediction=steps-by-kappa] .deck-numbers")
    left = [float(dot.get_attribute("cx")[:-1]) for dot in axis.locator("circle").all()]
    measured = float(axis.locator(".deck-measured").get_attribute("x1")[:-1])
    assert left[0] < measured < left[1] < left[2]  # 11.1
    said = deck.page.locator(".deck-saw[data-prediction=steps-by-kappa] [data-said]")
    assert said.get_attribute("data-said") == "The room's middle: 20."
    deck.page.evaluate("""postMessage('{"room":{"steps-by-kappa":["<b>2</b>",3]}}')""")
    deck.page.wait_for_function("""Room.votes("steps-by-kappa")[0] === 3""")
    assert axis.locator("svg").get_attribute("aria-label") == "the room: 3" and axis.locator("b").count() == 0
    deck.page.evaluate("Room.take('steps-by-kappa', [])")
    assert axis.locator("svg").count() == 0


def test_a_room_votes_on_a_quick_question_and_then_the_answers_come_one_by_one(decks):
    deck = decks("02b")
    cell = next(cell for cell in deck.notebook.cells if has_tag(cell, "quiz"))
    shown = cell.outputs[0].metadata.workshop
    deck.slide(f"[data-room={shown.name}]")
    deck.page.evaluate("Reveal.slide(Reveal.getState().indexh, Reveal.getState().indexv, -1)")
    cards = deck.page.locator("section.present:not(.stack) .deck-card")
    letters = cards.locator(".deck-summary").evaluate_all(
        "all => all.map((e) => getComputedStyle(e, '::before').content)"
    )
    assert letters == [f'"{letter}. "' for letter in "ABCDEFGHI"[: len(shown.choices)]]
    size = cards.locator(".deck-summary").first.evaluate("each => parseFloat(getComputedStyle(each).fontSize)")
    assert size >= 28
    press(deck, "1", "3", "3")
    assert hands(deck, ".deck-card") == ["1", "0", "2"]
    for come in range(4):
        assert cards.locator(".deck-body-of.visible").count() == come
        press(deck, "PageDown")
    press(deck, "PageUp", "Shift+Backspace")
    assert hands(deck, "*") == []


def test_on_a_slide_that_asks_nothing_the_keys_do_what_they_did(first):
    first.page.evaluate("Reveal.slide(0, 0)")
    press(first, "1", "Backspace", "Enter")
    assert first.place()[:2] == [0, 0] and first.page.evaluate("sessionStorage.length") == 0
    press(first, ".")
    assert first.page.evaluate("Reveal.isPaused()")
    press(first, ".")
    assert not first.page.evaluate("Reveal.isPaused()")


def test_each_answer_of_a_prediction_finds_its_place_in_what_was_measured(deck):
    wrong = deck.page.evaluate(
        """() => [...document.querySelectorAll(".slides .deck-saw[data-prediction]")].filter((saw) => {
             const name = saw.dataset.prediction, rows = [...saw.querySelectorAll("[data-room]")];
             const choices = document.querySelectorAll(`.slides .deck-predict [data-room="${name}"]`).length;
             const places = new Set(rows.map((row) => row.dataset.choice));
             if (!choices) return !(saw.querySelector(".deck-numbers").dataset.measured > 0);
             return rows.length !== choices || places.size !== choices;
           }).map((saw) => saw.dataset.prediction)"""
    )
    assert wrong == []


def test_the_hands_of_a_full_room_have_their_room(decks):
    deck = decks("01")
    names = deck.page.evaluate(
        """() => {
             const names = [...new Set([...document.querySelectorAll("[data-asks]")].map((each) => each.dataset.asks))];
             for (const name of names) Room.take(name, [...Array(88).keys()].map((hand) => 1 + hand % 3));
             return names;
           }"""
    )
    assert len(names) > 15 and deck.page.evaluate(MEASURE) == []
    deck.page.evaluate("names => names.forEach((name) => Room.take(name, []))", names)


def test_the_lab_moves_without_a_kernel(deck):
    labs_there = [cell for cell in deck.notebook.cells if has_tag(cell, "lab")]
    sliders = deck.page.locator(".slides .deck-frames")
    assert sliders.count() == len(labs_there)
    if not labs_there:
        return
    deck.slide(".deck-frames")
    lab = sliders.first
    slider, image, told = lab.get_by_role("slider"), lab.locator("img"), lab.locator("output")
    width, kept = image.evaluate(
        "({ clientWidth, clientHeight, naturalWidth, naturalHeight }) => "
        "[clientWidth, clientHeight / clientWidth / naturalHeight * naturalWidth]"
    )
    assert width > 1179 and kept > 0.99  # as in the live deck, where the tests measure the words in it
    goals = deck.page.locator("section.present .deck-goals > div:visible")
    assert goals.count() >= 3
    assert {*goals.evaluate_all("all => all.map((each) => getComputedStyle(each).fontSize)")} == {"18px"}

    def state():
        assert slider.get_attribute("aria-valuetext") == told.inner_text()
        return told.inner_text(), image.get_attribute("alt"), image.get_attribute("src")

    assert deck.page.locator(f"label[for='{slider.get_attribute('id')}']").inner_text()
    slider.press("Home")
    place, seen = deck.place(), [state()]
    for _ in range(int(slider.get_attribute("max"))):
        slider.press("ArrowRight")
        seen.append(state())
    assert deck.place() == place  # a focused slider keeps its arrow keys
    for each in zip(*seen, strict=True):
        assert len(set(each)) == len(seen) >= 2
    slider.press("Home")
    assert state() == seen[0]
    slider.press("Escape")
    deck.page.keyboard.press("ArrowLeft")
    assert deck.place() != place
    assert "python3 workshop.py present" in deck.page.locator(".slides .deck-live").first.inner_text()


@pytest.fixture
def slider(first):
    """A lab's slider, dragged a little by the mouse; it gives its keys back when a test says so."""
    first.slide(".deck-frames")
    slider = first.page.locator("section.present:not(.stack) .deck-frames input")
    first.page.evaluate("Keys.settings.hold = 1e9")
    box = slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    first.page.mouse.move(box["x"] + 5, middle)
    first.page.mouse.down()
    first.page.mouse.move(box["x"] + box["width"] - 5, middle)
    first.page.mouse.up()
    assert slider.evaluate("each => each === document.activeElement")
    yield slider
    first.page.evaluate("Keys.settings.hold = 3000")


def test_a_slider_that_was_dragged_has_the_arrows_and_the_deck_all_other_keys(first, slider):
    here, value, press = first.place(), slider.input_value(), first.page.keyboard.press
    press("ArrowLeft")
    assert first.place() == here and slider.input_value() != value
    value = slider.input_value()
    for key, back in (("PageUp", "PageDown"), ("Shift+Space", "Space"), ("p", "n")):
        slider.focus()
        press(key)
        assert first.place() != here
        press(back)
        assert first.place() == here and slider.input_value() == value


def test_a_slider_gives_the_arrows_back_after_a_while_and_at_a_click_elsewhere(first, slider):
    here, press = first.place(), first.page.keyboard.press
    first.page.evaluate("Keys.settings.hold = 0")
    press("ArrowLeft")
    first.page.wait_for_function("document.activeElement === document.body")
    assert first.place() == here
    press("ArrowLeft")
    assert first.place() != here
    press("PageDown")
    first.page.evaluate("Keys.settings.hold = 1e9")
    slider.focus()
    first.page.mouse.click(640, 5)
    press("ArrowLeft")
    assert first.place() != here


def test_a_text_that_one_types_has_all_keys_but_escape(first):
    here, press = first.place(), first.page.keyboard.press
    first.page.evaluate("Reveal.getCurrentSlide().append(document.createElement('textarea'))")
    text = first.page.locator("section.present textarea")
    text.focus()
    for key in ("a", "PageDown", "Space", "ArrowLeft", "b"):
        press(key)
    assert first.place() == here and text.input_value() == "ab "
    press("Escape")
    press("PageDown")
    assert first.place() != here
    first.page.evaluate("document.querySelector('textarea').remove()")


def test_the_speaker_views_keys_turn_the_page_beside_a_slider(first, slider):
    here = first.place()
    first.page.evaluate("Reveal.triggerKey(37)")  # ArrowLeft
    assert first.place() != here


# Frames come late on a busy machine.
LATE = """{
  const frame = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (callback) => frame(() => setTimeout(() => callback(performance.now()), 300));
}"""


VOTED = "Storage.prototype.getItem = () => '[1, 1]'"  # on every question


def test_a_deck_for_paper_is_ready_when_all_its_pages_are(first, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.add_init_script(LATE)
    pdf.open_deck(page, first.file, "?print-pdf")
    assert page.locator(".pdf-page").count() == first.page.evaluate("Reveal.getTotalSlides()")
    lab = page.locator(".deck-lab").first
    assert not lab.locator("input").is_visible() and not re.search("choose|move", lab.inner_text())
    assert lab.locator("output").inner_text() and "python3 workshop.py lab 00" in lab.inner_text()
    page.close()


@pytest.mark.parametrize("number", ["00", "02b"])
def test_the_pdf_has_a_page_for_every_slide(decks, number, browser):
    deck = decks(number)
    printed = pdf.print_pdf(browser, deck.file)
    pages = re.findall(rb"/Type\s*/Page\b", printed.read_bytes())
    assert len(pages) == deck.page.evaluate("Reveal.getTotalSlides()")


def test_a_hand_out_has_the_questions_and_no_answer(decks, browser):
    deck, page = decks("02a"), browser.new_page(viewport={"width": 1280, "height": 720})
    page.add_init_script(VOTED)
    pdf.open_deck(page, deck.file, "?handout")
    assert page.locator("[data-hands]").count() == 0

    def texts(selector, page=page):
        return page.locator(f".slides {selector}").all_text_contents()

    for kept_there in (".deck-predict", ".deck-summary"):
        assert texts(kept_there) == texts(kept_there, deck.page) != []
    assert texts(".deck-saw") == texts(".deck-body-of") == []
    assert texts(".deck-saw", deck.page) and texts(".deck-body-of", deck.page)

    def plain(text):
        return re.sub(r"\W+", "", text)

    said = plain(" ".join(texts(".deck-body")))
    given = plain(" ".join(texts(":is(.deck-predict, .deck-code)")))  # a table of predictions repeats the questions
    asked, told = False, []  # verdicts, results, what was seen
    for cell in deck.notebook.cells:
        asked |= has_tag(cell, "predict")
        lines = cell.source.split("\n") if has_tag(cell, "reveal") and cell.cell_type == "markdown" else []
        for output in cell.get("outputs", []):
            role = output.get("metadata", {}).get("workshop", {}).get("role")
            if role == "result" or (asked and not role):
                lines += output.get("data", {}).get("text/markdown", output.get("text", "")).split("\n")
        told += [line for line in map(plain, lines) if len(line) > 30 and line not in given]
    assert len(told) > 20 and [line for line in told if line in said] == []
    assert page.evaluate("Reveal.getTotalSlides()") < deck.page.evaluate("Reveal.getTotalSlides()")
    assert texts(".deck-block.deck-code") != []  # what a class would have to type stays
    page.close()


def test_a_hand_out_is_printed_beside_the_deck(tmp_path, monkeypatch):
    a_notebook(tmp_path, ("markdown", "slide", "# A title"))
    visited = []

    class Printer:
        def new_page(self, **_):
            return self

        def goto(self, address):
            visited.append(address.partition("?")[2])

        def wait_for_selector(self, *_, **__): ...

        def close(self): ...

        def pdf(self, *, path, **_):
            path.write_bytes(b"a PDF")

    monkeypatch.setattr(browsers, "browser", lambda path: contextlib.nullcontext(Printer()))
    write = partial(slides.main, notebooks=tmp_path / "notebooks", slides=tmp_path)
    assert write([]) == 0 and visited == ["print-pdf"]
    assert {path.name for path in tmp_path.glob("*.pdf")} == {"07-made-up.pdf"}
    assert write(["--handout"]) == 0 and visited[1:] == ["print-pdf", "print-pdf&handout"]
    assert {path.name for path in tmp_path.glob("*.pdf")} == {"07-made-up.pdf", "07-made-up-handout.pdf"}
    with pytest.raises(SystemExit):
        write(["--handout", "--no-pdf"])


def test_nothing_is_cut_on_paper(browser, decks):
    deck = decks("02b")
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.add_init_script(VOTED)
    pdf.open_deck(page, deck.file, "?print-pdf")
    assert page.locator("[data-hands]").count() == 0
    cut = page.evaluate(
        """() => [...document.querySelectorAll(".pdf-page")].flatMap((page) => {
             const right = page.getBoundingClientRect().right - 45;
             const seen = { visibilityProperty: true, opacityProperty: true };
             const bottom = page.querySelector(".deck-foot").getBoundingClientRect().top + 1;
             return [...page.querySelectorAll(".deck-body *")].filter((e) => {
               const box = e.getBoundingClientRect();
               if (!box.width || !box.height || e.closest("math")) return false;
               return box.bottom > bottom || box.right > right || !e.checkVisibility(seen);
             }).map((e) => e.textContent.slice(0, 60) || e.tagName);
           })"""
    )
    assert page.locator(".pdf-page").count() == deck.page.evaluate("Reveal.getTotalSlides()")
    assert cut == []
    page.close()


def test_keys_turn_pages_and_show_the_overview(first):
    press = first.page.keyboard.press
    press("ArrowRight")
    assert first.place()[:2] == [1, 0]
    press("ArrowLeft")
    assert first.place()[:2] == [0, 0]
    press("Space")
    assert first.place()[:2] == [1, 0]
    press("o")
    assert first.page.evaluate("Reveal.isOverview()")
    press("o")
    assert not first.page.evaluate("Reveal.isOverview()")
    foot = first.page.evaluate(
        "[...Reveal.getCurrentSlide().querySelector('.deck-foot').children].map((e) => e.innerText)"
    )
    assert re.fullmatch(r"\d\d?:\d\d.*", foot[1])
    assert foot[2].endswith(f"/ {first.page.evaluate('Reveal.getTotalSlides()')}")
    assert first.page.locator(".reveal .progress").is_visible()


def test_each_slide_has_its_minute_and_all_have_those_of_the_notes(deck):
    notes = [cell.source for cell in deck.notebook.cells if is_note(cell)]
    total = sum(int(found[-1]) for note in notes if (found := re.findall(r"(\d+) minutes?\b", note)))
    slides = deck.page.evaluate(
        "Reveal.getSlides().map((each) => [each.querySelector('.deck-minute')?.textContent, +each.dataset.timing])"
    )
    assert sum(seconds for _, seconds in slides) == pytest.approx(60 * total, abs=len(slides))
    past = 0
    for said, seconds in slides:
        minute = int(re.fullmatch(rf"Minute (\d+) of {total}\.", said)[1])
        assert abs(minute - past / 60) < 1
        past += seconds


def test_a_translated_lesson_has_the_slides_minutes_and_sections_of_its_original(decks, browser, tmp_path):
    original, notebook = decks("02a"), tmp_path / "notebooks" / "02a-momentum.ipynb"
    lesson = nbformat.read(slides.NOTEBOOKS / notebook.name, as_version=4)
    for cell in lesson.cells:
        cell.source = "".join(translated(cell))
    notebook.parent.mkdir()
    nbformat.write(lesson, notebook)
    copy = Deck.open(browser, slides.write_deck(notebook, tmp_path), lesson)
    roles = """() => [...document.querySelectorAll(".slides section:not(.stack)")].map((slide) => [slide.dataset.timing,
      ...[...slide.querySelectorAll(".deck-block, .deck-card")].map((each) =>
        each.className.replace(/ (visible|current-fragment)/g, ""))])"""
    assert copy.page.evaluate(roles) == original.page.evaluate(roles)
    assert "bis" in copy.page.locator(".slides").first.inner_text()
    assert parts.shown(lesson, "1,4") == parts.shown(original.notebook, "1,4")
    copy.page.context.close()


def test_the_speaker_view_shows_the_notes_and_turns_the_pages(decks):
    deck = decks("01")
    deck.page.evaluate("document.activeElement.blur(), Reveal.slide(1, 0, -1)")
    note = deck.page.evaluate("Reveal.getCurrentSlide().querySelector('.notes .deck-section-note').textContent").strip()
    with deck.page.expect_popup() as popup:
        deck.page.keyboard.press("s")
    view = popup.value
    view.locator(".speaker-controls-notes .value p").first.wait_for()
    assert note[:60] in view.locator(".speaker-controls-notes").inner_text()
    for frame in view.frames[1:]:
        frame.wait_for_selector("html.deck-ready", state="attached", timeout=180_000)
    question = ".deck-predict[data-prediction=edge-lr] li"
    deck.slide(question)
    view.frames[1].wait_for_selector(f"section.present {question}", state="attached")
    deck.slide(question)  # a view that turns to another slide sends the deck back to what it showed first there
    view.frames[1].wait_for_selector("section.present .deck-predict.visible li")
    view.keyboard.press("2")
    deck.page.wait_for_selector(f"{question}[data-hands='1']")
    deck.page.keyboard.press("2")
    for frame in view.frames[1:]:
        frame.wait_for_selector(f"{question}[data-hands='2']", state="attached")
    deck.page.keyboard.press("Shift+Backspace")
    deck.page.evaluate("Reveal.slide(6, 0, -1)")  # ten minutes too early, at least
    view.locator(".pacing.ahead:visible").wait_for(timeout=90_000)
    deck.page.evaluate("Reveal.slide(1, 0, -1)")
    before = deck.place()
    view.keyboard.press("ArrowRight")
    deck.page.wait_for_function("before => Reveal.getState().indexf !== before", arg=before[2])
    view.close()
    assert deck.problems == []


def test_the_code_of_a_figure_is_a_key_away(decks):
    deck = decks("01")
    deck.slide(".deck-folded .highlight")
    code = deck.page.evaluate("Reveal.getCurrentSlide().querySelector('.deck-folded').textContent").strip()
    place = deck.place()
    deck.page.keyboard.press("c")
    dialog = deck.page.get_by_role("dialog", name="the code of what is shown")
    assert dialog.inner_text().split() == code.split()
    deck.page.keyboard.press("ArrowRight")
    assert deck.place() == place
    deck.page.keyboard.press("c")
    assert dialog.count() == 0
    deck.page.keyboard.press("c")
    deck.page.keyboard.press("PageUp")  # of a clicker, which has no key to close it
    assert dialog.count() == 0 and deck.place() != place


def test_dark_and_light(first):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = first.page.evaluate(ground)
    first.page.keyboard.press("d")
    dark = first.page.evaluate(ground)
    first.page.keyboard.press("d")
    assert (light, first.page.evaluate(ground)) == ("rgb(255, 255, 255)", light) and dark != light
    first.page.emulate_media(color_scheme="dark")
    for query, expected in (("", dark), ("?light", light), ("?dark", dark)):
        pdf.open_deck(first.page, first.file, query)
        assert first.page.evaluate(ground) == expected
    first.page.emulate_media(color_scheme="light")
    pdf.open_deck(first.page, first.file)


def test_every_picture_is_dark_in_the_dark_look_alone(deck):
    looks = """dark => {
      document.documentElement.classList.toggle("dark", dark);
      return [...document.querySelectorAll(".slides img")].map((image) => getComputedStyle(image).filter); }"""
    try:
        dark = deck.page.evaluate(looks, True)
    finally:
        light = deck.page.evaluate(looks, False)
    assert len(dark) > 0 and set(light) == {"none"}
    assert all(re.fullmatch(r"invert\(0\.\d+\) hue-rotate\(180deg\) .*", each) for each in dark)


def test_a_dark_figure_has_the_ground_of_its_slide_and_colours_that_keep_their_names(first):
    with plt.style.context("utils.workshop"):
        colors = [to_rgb(name) for name in ("white", *(f"C{place}" for place in range(7)))]
    image = Image.fromarray((255 * np.array([colors])).astype("uint8")).resize((80, 10), Image.Resampling.NEAREST)
    image.save(png := io.BytesIO(), format="png")
    first.page.evaluate(
        """src => document.querySelector("section.present .deck-body").insertAdjacentHTML("beforeend",
             `<img id="seven" style="position: fixed; top: 300px; left: 300px" src="data:image/png;base64,${src}">`)""",
        base64.b64encode(png.getvalue()).decode(),
    )

    box = first.page.locator("#seven").bounding_box()

    def shown() -> np.ndarray:
        """The colours, behind them that of the slide's ground."""
        shot = Image.open(io.BytesIO(first.page.screenshot(clip=box | {"width": 90}))).convert("RGB")
        return np.asarray(shot)[5, 5::10] / 255

    *light, _ = shown()
    first.page.keyboard.press("d")
    *dark, ground = shown()
    first.page.keyboard.press("d")
    first.page.evaluate("seven.remove()")
    assert np.allclose(light, colors, atol=1 / 255) and (dark[0] == ground).all() and ground.max() < 0.1
    for before, after in zip(colors[1:7], dark[1:7], strict=True):  # the last is black, and has no hue
        turned = rgb_to_hls(*after)[0] - rgb_to_hls(*before)[0]
        assert abs((turned + 0.5) % 1 - 0.5) < 8 / 360
    for vision in MACHADO.values():
        assert nearest(dark[1:5], vision) > 12 and nearest(dark[:2], vision) > 40
    lightness = cielab(dark, MACHADO["normal vision"])[:, 0]
    assert lightness[1:].min() > lightness[0] + 35 and lightness[7] > 85


@pytest.mark.parametrize("variant", [r":root \{", r":root\.dark \{"])
def test_colours_have_contrast(variant):
    sheet = (page.TEMPLATES / "deck" / "deck.css").read_text()
    block = re.search(variant + r"(.+?)\}", sheet, re.S)[1]
    colors = {name: bytes.fromhex(value) for name, value in re.findall(r"--(\w+): #([0-9a-f]{6})", block)}

    def light(color):
        parts = [c / 255 for c in color]
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), parts, strict=True))

    def contrast(ground, ink):
        high, low = sorted((light(ground), light(colors[ink])), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for ground in ("paper", "shade"):
        for ink in ("ink", "quiet", "blue", "orange", "green", "pink"):
            assert contrast(colors[ground], ink) >= 4.5, f"{ink} on {ground}"
    bars = re.findall(
        r"--tint: color-mix\(in srgb, var\(--(\w+)\) (\d+)%", (page.TEMPLATES / "deck" / "room.css").read_text()
    )
    for name, percent in bars:  # words stand on the bars of the room
        bar = [
            (int(percent) * a + (100 - int(percent)) * b) / 100
            for a, b in zip(colors[name], colors["paper"], strict=True)
        ]
        for ink in {"orange": ("ink", "blue"), "green": ("ink", "green")}[name]:
            assert contrast(bar, ink) >= 4.5, f"{ink} on a bar of {name}"
    assert len(bars) == 2


# ---- what lessons do not have yet ------------------------------------------------------------------------------------


def a_notebook(folder: Path, *cells: tuple[str, ...], outputs: dict | None = None) -> Path:
    """A notebook of (kind, slide type, source, tags …) in its own `notebooks` folder; outputs: place → MIME bundle."""
    made = []
    for place, (kind, slide, source, *tags) in enumerate(cells):
        new = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
        metadata = {"slideshow": {"slide_type": slide}} | ({"tags": tags} if tags else {})
        made.append(new(source, id=f"cell-{place}", metadata=metadata))
        if outputs and place in outputs:
            made[-1].outputs = [nbformat.v4.new_output("display_data", data=outputs[place])]
    path = folder / "notebooks" / "07-made-up.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


def test_what_is_too_long_is_split_and_nothing_is_lost(browser, tmp_path):
    rows = "".join(f"| row {i} | {'a long sentence that says nothing, ' * (i % 4)} |\n" for i in range(60))
    lines = [f"    value_{i} = {i}" + ("\n" if i % 9 == 8 else "") for i in range(80)]
    source = "class Long:\n" + "\n".join(lines)
    formula = " + ".join(rf"\frac{{x_{{{i}}}}}{{y}}" for i in range(40))
    items = "".join(f"- item {i}: {'some more words ' * 9}\n" for i in range(16))
    notebook = a_notebook(
        tmp_path,
        ("markdown", "slide", "# A title"),
        ("markdown", "slide", "## " + "A heading that goes on and on, " * 4),
        ("code", "fragment", source, "code"),
        ("markdown", "subslide", "### A table"),
        ("code", "fragment", "table()"),
        ("markdown", "subslide", f"### A list\n\n{items}"),
        ("markdown", "subslide", f"### A formula\n\n$${formula}$$"),
        outputs={4: {"text/markdown": f"| a | b |\n|---|---|\n{rows}", "text/plain": ""}},
    )  # fmt: skip
    deck = Deck.open(browser, slides.write_deck(notebook, tmp_path), nbformat.read(notebook, as_version=4))
    try:
        assert deck.page.evaluate(MEASURE) == []
        parts = deck.page.locator(".slides .deck-block.deck-code pre")
        code = "".join(parts.locator(".deck-line:not(.deck-dim)").all_text_contents())
        assert [line for line in code.split("\n") if line.strip()] == [
            line for line in source.split("\n") if line.strip()
        ]
        assert parts.count() > 6 and parts.nth(5).locator(".deck-dim").all_text_contents() == ["class Long:\n"]
        tables = deck.page.locator(".slides table")
        assert tables.count() > 1
        assert [tables.nth(k).locator("th").all_text_contents() for k in range(tables.count())] == [
            ["a", "b"]
        ] * tables.count()
        assert deck.page.locator(".slides td:first-child").all_text_contents() == [f"row {i}" for i in range(60)]
        assert [text.partition(":")[0] for text in deck.page.locator(".slides li").all_text_contents()] == [
            f"item {i}" for i in range(16)
        ]
        assert deck.problems == []
    finally:
        deck.page.context.close()


def test_code_that_is_not_the_lesson_stands_behind_a_key_where_its_result_is_seen(browser, tmp_path):
    helper = "def helper():\n" + "    value = 1\n" * 20
    notebook = a_notebook(
        tmp_path,
        ("markdown", "slide", "## Measured"),
        ("code", "-", helper),
        ("code", "-", "print(helper())"),
        ("code", "-", "judge()", "claim"),
        ("code", "-", "facts.append([1])\nprint(1)\nassert helper() == 1  # it proves the page\n"),
        ("code", "-", "if 1:\n    'é'; assert 2\n    assert 'é' == (\n        3\n    )\nfor x in 1, 2:\n    assert x"),
        ("code", "-", "curious = helper\n" * 20),
        outputs={place: {"text/plain": f"output {place}"} for place in (2, 3, 4, 5)},
    )  # fmt: skip
    deck = Deck.open(browser, slides.write_deck(notebook, tmp_path), nbformat.read(notebook, as_version=4))
    try:
        shown = deck.page.locator(".slides .deck-body .deck-code").all_text_contents()
        assert [each.strip() for each in shown] == [
            "print(helper())", "print(1)", "if 1:\n    'é'; assert 2\nfor x in 1, 2:\n    assert x",
        ]  # fmt: skip
        (folded,) = deck.page.locator(".slides .deck-folded").all_text_contents()
        assert [part in folded for part in (helper.strip(), "judge()", "curious", "print")] == [True, True, True, False]
    finally:
        deck.page.context.close()


def test_a_paragraph_stands_out_by_the_tag_of_its_cell(browser, tmp_path):
    cells = [
        ("# A title", []),
        ("## One\n\n**The problem:** it is hard.\n\nSome text.\n\n**Guess:** how hard?", ["predict"]),
        ("**It was hard.** Very.\n\n**Guess again:** and now?", ["reveal", "predict"]),
        ("**Predict:** these words have no tag.\n\n**What you saw.** Nor have these.", []),
        ("In the middle. **Predict:** what now?", ["predict"]),
        ("**In short.** That is all.\n\n**More.** Or not.", ["reveal"]),
        ("### In the end\n\n**So it was.** Yes.", ["reveal"]),
    ]
    made = [
        nbformat.v4.new_markdown_cell(
            text, id=f"cell-{i}", metadata={"slideshow": {"slide_type": "fragment" if i > 1 else "slide"}, "tags": tags}
        )
        for i, (text, tags) in enumerate(cells)
    ]
    notebook = tmp_path / "notebooks" / "07-made-up.ipynb"
    notebook.parent.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=made), notebook)
    deck = Deck.open(browser, slides.write_deck(notebook, tmp_path), nbformat.read(notebook, as_version=4))
    try:
        for kind, begins in {
            "predict": ["Guess:", "Guess again:"],
            "saw": ["It was hard.", "In short.", "So it was."],
        }.items():
            found = deck.page.locator(f".slides .deck-{kind}").all_text_contents()
            assert len(found) == len(begins) and all(map(str.startswith, found, begins)), found
        titles = deck.page.locator(".slides :is(h1, h2, h3)")
        assert titles.last.inner_text() == "In the end"
        pdf.open_deck(deck.page, deck.file, "?handout")
        assert titles.last.inner_text() == "One"  # a slide with answers only is none of a hand-out
    finally:
        deck.page.context.close()


def test_a_slides_note_is_said_with_its_cell_and_what_goes_on_says_so(browser, tmp_path):
    source = "".join(f"value_{i} = {i}\n" for i in range(20))
    notebook = a_notebook(
        tmp_path,
        ("markdown", "slide", "# A title"),
        ("markdown", "slide", "## One\n\nSome text that says something."),
        ("markdown", "notes", "Point at the word.", "slide-note"),
        ("code", "subslide", source, "code"),
        ("markdown", "notes", "All of it in 5 minutes."),
        ("markdown", "subslide", "### More\n\nSome more text."),
        ("markdown", "notes", "The rest in 2 minutes."),
    )
    deck = Deck.open(browser, slides.write_deck(notebook, tmp_path), nbformat.read(notebook, as_version=4))
    try:
        title, one, code, on, more = deck.page.locator(".slides aside.notes").all_text_contents()
        assert "Here begins: A title" in title and "In short" not in code
        assert "Point at the word." in one and "All of it in 5 minutes." in one and "Next: what" in one
        assert "will give" in code and not re.search("Point|All of it|Next", code)
        assert "goes on from the slide before: value_10" in on and "Next: More." in on
        assert "The rest" not in one and "The rest in 2 minutes." in more and "The lesson ends here." in more
    finally:
        deck.page.context.close()


def test_pictures_beside_the_notebooks_are_inside(browser, tmp_path):
    (tmp_path / "assets").mkdir()
    picture = (slides.ROOT / "assets" / "lab-1.png").read_bytes()
    (tmp_path / "assets" / "a picture.png").write_bytes(picture)
    notebook = a_notebook(
        tmp_path,
        ("markdown", "slide", "# Pictures\n\n![one](<../assets/a picture.png>)"),
        ("markdown", "slide", '## Raw\n\n<img alt="two" src="../assets/a%20picture.png" width="400">'),
        ("markdown", "slide", "## Away\n\n[next](08-next.ipynb#part), [torch](https://docs.pytorch.org)"),
    )
    deck = Deck.open(browser, slides.write_deck(notebook, tmp_path), nbformat.read(notebook, as_version=4))
    try:
        assert deck.page.locator('.slides img[src^="data:image/png"]').count() == 2
        assert deck.page.evaluate(MEASURE) == []
        assert deck.page.locator("a").first.get_attribute("href") == "08-next.html#part"
        assert deck.page.locator("a").nth(1).get_attribute("rel") == "noopener"
    finally:
        deck.page.context.close()


def test_a_picture_that_is_not_there_is_told(tmp_path, capsys):
    a_notebook(tmp_path, ("markdown", "slide", "# A\n\n![gone](../assets/gone.png)"))
    assert slides.main(["--no-pdf"], notebooks=tmp_path / "notebooks", slides=tmp_path) == 1
    assert "07-made-up.ipynb" in (told := capsys.readouterr().err) and "gone.png" in told


@pytest.mark.parametrize("how", ["absolute", "above", "link", "percent"])
@pytest.mark.parametrize("kind", ["markdown", "raw", "inline", "output"])
def test_a_deck_takes_no_picture_from_outside_the_workshop(tmp_path, capsys, how, kind):
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    workshop = tmp_path / "workshop"
    (workshop / "assets").mkdir(parents=True)
    (workshop / "assets" / "link.png").symlink_to(secret)
    src = {"absolute": str(secret), "above": "../../secret.txt", "link": "../assets/link.png"}.get(how)
    src = src or "%2e%2e/%2e%2e/secret.txt"
    shown = {
        "markdown": f"![a picture](<{src}>)",
        "raw": f'<img alt="a picture" src="{src}">',
        "inline": f'See <img alt="a picture" src="{src}">.',
        "output": "1",
    }[kind]
    outputs = {1: {"text/html": f'<img alt="a picture" src="{src}">', "text/plain": ""}} if kind == "output" else {}
    cells = [("markdown", "slide", "# A"), ("code" if kind == "output" else "markdown", "slide", shown)]
    a_notebook(workshop, *cells, outputs=outputs)
    assert slides.main(["--no-pdf"], notebooks=workshop / "notebooks", slides=tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "07-made-up.ipynb" in told and f"the picture {src} lies outside" in told and len(told.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_link_that_stays_inside_is_followed(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "one.txt").write_text("hello")
    (tmp_path / "assets" / "two.txt").symlink_to("one.txt")
    found = page.with_pictures('<img src="../assets/two.txt"><img src="https://x.org/a.png">', tmp_path / "notebooks")
    assert found == '<img src="data:text/plain;base64,aGVsbG8="><img src="https://x.org/a.png">'


def test_sections_of_any_notebook_are_written_beside_the_whole(tmp_path, capsys):
    path = a_notebook(
        tmp_path,
        ("markdown", "slide", "# A title"),
        ("markdown", "slide", "## 1. One"),
        ("markdown", "slide", "## 2. Two"),
        ("markdown", "slide", "## Bug clinic"),
    )
    mine = path.rename(tmp_path / "mine.ipynb")
    write = partial(slides.main, notebooks=path.parent, slides=tmp_path)
    assert write([str(mine), "--no-pdf", "--sections", "2, bug-clinic"]) == 0
    deck = (tmp_path / "mine-2-bug-clinic.html").read_text(encoding="utf-8")
    assert re.findall(r'data-cell="cell-(\d)"', deck) == ["0", "2", "3"]
    assert write([str(mine), "--no-pdf", "--sections", "3"]) == 1
    assert "mine.ipynb: no section `3`; there are: 1. One; 2. Two; Bug clinic" in capsys.readouterr().err
    assert write([str(mine), str(mine), "--no-pdf", "--sections", "2"]) == 2
    assert "--sections takes one notebook" in capsys.readouterr().err


def test_a_notebook_of_ones_own_takes_pictures_from_its_folder_and_a_copy_those_of_the_workshop(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "ROOT", tmp_path)
    (tmp_path / "my-work").mkdir()
    picture = tmp_path / "picture.png"
    assert page.inside("../picture.png", tmp_path / "my-work") == picture.resolve()
    assert page.inside("picture.png", tmp_path) == picture.resolve()
    monkeypatch.setattr(page, "ROOT", tmp_path / "workshop")
    assert page.inside("b.png", tmp_path / "my-work").parent == (tmp_path / "my-work").resolve()
    with pytest.raises(PermissionError):
        page.inside("../picture.png", tmp_path / "my-work")


def test_an_unknown_number_is_told(tmp_path, capsys):
    (tmp_path / "02a-x.ipynb").touch()
    assert slides.main(["2", "7"], notebooks=tmp_path, slides=tmp_path) == 2
    assert "no notebook `7`; there are: 02a" in capsys.readouterr().err


def test_without_a_browser_there_is_no_pdf_and_a_line_that_says_so(tmp_path, capsys, monkeypatch):
    a_notebook(tmp_path, ("markdown", "slide", "# A title"))

    def run(*arguments):  # in a thread of its own: in this one Playwright may be at work already
        with ThreadPoolExecutor(1) as pool:
            main = partial(slides.main, notebooks=tmp_path / "notebooks", slides=tmp_path)
            return pool.submit(main, list(arguments)).result(), capsys.readouterr().err

    missing = str(tmp_path / "no-such-browser")
    code, told = run("--browser", missing)
    assert code == 1 and "no PDF" in told and missing in told
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(browsers, "NAMES", ())
    monkeypatch.setattr(browsers, "CHANNELS", ())
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    code, told = run()
    assert code == 0 and "no Chromium or Chrome starts" in told and "CHROMIUM" in told
    assert (tmp_path / "07-made-up.html").is_file() and not (tmp_path / "07-made-up.pdf").exists()


def test_a_formula_that_cannot_be_drawn_is_told():
    with pytest.raises(ValueError, match="cannot be drawn"):
        page.formula(r"\frac{1}", inline=True)
    assert "<svg" in page.formula(r"\tfrac12", inline=True) and "<math" in page.formula("x", inline=False)


def test_lab_1_has_finer_frames_where_it_happens():
    label, start, states = frames._edge(labs.find_edge())
    lrs = [float(value) for value, _ in states]
    assert label == "lr" and lrs == sorted(lrs) and lrs[0] < 0.02 and 0.2 < lrs[-1] < 0.3
    assert {1.02 < b / a < 1.06 for a, b in pairwise(lrs) if a > 0.16} == {True}
    assert 0 <= start < len(states) <= frames.MOST


def test_a_lab_of_the_notebook_runs_what_it_builds_on_and_no_more():
    cells = [
        ("unused", "raise RuntimeError('nobody needs this')"),
        ("imports", "import torch\nfrom functools import partial\nfrom utils import labs"),
        ("mine", "class Mine(torch.optim.SGD):\n    pass"),
        ("chosen", "mine = partial(Mine, momentum=0.5)"),
        ("noise", "print('not on a slide')\nclaims = undefined"),
        ("lab", "lab = labs.find_edge(mine, steps=20)\nlab"),
    ]
    made = frames._made_by([nbformat.v4.new_code_cell(source, id=id) for id, source in cells])
    assert made.name == "edge" and "after 20 steps" in made.plot.frame["alt"]
    with pytest.raises(ValueError, match="cell lab needs `labs`"):
        frames._made_by([nbformat.v4.new_code_cell(source, id=id) for id, source in cells[2:]])
    cells[3] = ("chosen", "mine = partial(Mine, momentum=1 / 0)")
    with pytest.raises(ValueError, match="cell chosen, which a lab builds on: ZeroDivisionError"):
        frames._made_by([nbformat.v4.new_code_cell(source, id=id) for id, source in cells])


def test_states_of_a_lab_are_what_the_lab_says():
    """The frames in a page are those of the lab itself, set to the value beside the slider."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "MOST", 3)
        _, _, states = frames.frames(labs.find_edge())
    lab = labs.find_edge()
    values = dict(lab.controls["lr"].options)
    for state in states:
        assert state["alt"] == lab.set(lr=values[state["value"]]).plot.frame["alt"]
    assert json.dumps(states).count("data:image/png") == 3
