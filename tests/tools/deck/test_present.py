"""The live deck in a real Chromium: how soon it opens, what its labs answer, what leaves this machine (nothing)."""

import asyncio
import contextlib
import functools
import gc
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from urllib.request import url2pathname

import nbformat
import psutil
import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, TimeoutError, expect
from tornado.websocket import WebSocketClosedError

from tests.support.any_lab import at_one_end, random_moves
from tests.support.axe import findings
from tests.support.jupyter_page import ROOT, NotebookPage
from tests.support.lab_pictures import CASES
from tools.deck import present, server
from tools.deck.needed_cells import needed_cells
from tools.deck.server import DeckError, DeckServer
from tools.deck.voila_parts import Channels
from tools.notebooks import has_tag

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]*-*.ipynb"))
LIMIT = 240  # seconds to wait for a deck, on a machine that is busy with everything else
LABS = {"01": CASES["find_edge"], "02d": CASES["race"], "04a": CASES["design_schedule"]}  # the lab of a notebook
PING = 2  # seconds; in this test the server asks a page as often whether it is still there, otherwise every 30
MOVES = 15  # JupyterLab has 30: the deck shows the same widgets in another page
KEYS = ("ArrowRight", "ArrowRight", "Home", "End", "ArrowLeft")
on_every_lab = pytest.mark.parametrize("number", LABS)
ADDRESS = re.compile(r"http://\S+token=\w+")


# The deck


def wrong(message: ConsoleMessage) -> bool:
    return message.type == "error" or message.text.startswith("Connection lost")  # the second is a warning only


@dataclass
class Deck:
    """A running `present`, its page, and all that went wrong there."""

    notebook: nbformat.NotebookNode
    process: subprocess.Popen
    address: str
    context: BrowserContext
    page: Page
    opened: Path  # the file that the default browser was started with
    elsewhere: list[str] = field(default_factory=list)  # requests to other hosts
    errors: list[str] = field(default_factory=list)
    connected: list[float] = field(default_factory=list)  # when a page reached for the kernel

    def heard(self, text: str) -> None:
        # All pages share a kernel, so a page may hear of a widget that a page since closed had opened.
        if not text.startswith("Comm not found for comm id"):
            self.errors.append(text)

    def watch(self, page: Page) -> None:
        page.on("websocket", lambda socket: self.connected.append(time.monotonic()))
        page.on("console", lambda message: self.heard(message.text) if wrong(message) else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("response", lambda answer: self.errors.append(answer.url) if answer.status >= 400 else None)

    def at(self) -> dict:
        return self.page.evaluate("Reveal.getIndices()")

    def show(self, selector: str, place: int = 0) -> None:
        """Turn to the slide that holds the first of these, or the one at this place."""
        self.page.evaluate(
            """([selector, place]) => {
              const { h, v } = Reveal.getIndices(document.querySelectorAll(selector)[place].closest("section"));
              Reveal.slide(h, v); }""",
            [selector, place],
        )

    def show_lab(self, number: str) -> NotebookPage:
        """Turn to the lab of this notebook."""
        self.show(".deck-widget", [*LABS].index(number))
        return NotebookPage(self.page)


def command(*arguments: str, root: Path = ROOT) -> list[str]:
    run = "import sys; from pathlib import Path; from tools.deck.present import main; "
    run += f"import jupyter_server.base.websocket as kept; kept.WS_PING_INTERVAL = {1000 * PING}; "
    return [sys.executable, "-c", f"{run}sys.exit(main({list(arguments)!r}, root=Path({str(root)!r})))"]


@contextlib.contextmanager
def presenting(*arguments: str, root: Path = ROOT, **environment: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """The running command and the address that it prints; whatever happens, it ends with the test."""
    process = subprocess.Popen(
        command(*arguments, root=root),
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = ""
        for line in process.stdout:
            said += line
            if found := ADDRESS.search(line):
                break
        else:
            pytest.fail(f"no address: {said}")
        yield process, found[0]
    finally:
        process.terminate()
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def notebook_of(number: str) -> Path:
    return next(path for path in NOTEBOOKS if path.name.startswith(number))


def with_all_labs(root: Path) -> Path:
    """A workshop with one notebook: 01, and after it the slides of the other labs; one kernel serves them all."""
    first, *others = LABS
    lesson = nbformat.read(notebook_of(first), as_version=4)
    for number in others:
        cells = nbformat.read(notebook_of(number), as_version=4).cells
        lab = next(place for place, cell in enumerate(cells) if has_tag(cell, "lab"))
        slide = max(k for k in range(lab) if cells[k].metadata.slideshow.slide_type in ("slide", "subslide"))
        for place in sorted({*needed_cells(cells, [lab]), *range(slide, lab + 1)}):
            cells[place].id = f"{number}-{cells[place].id}"
            lesson.cells.append(cells[place])
    (root / "notebooks").mkdir()
    path = root / "notebooks" / f"{first}-all-labs.ipynb"
    nbformat.write(lesson, path)
    return path


# A page's sockets, so that a test can cut them.
KEPT = """window.sockets = [];
window.WebSocket = class extends WebSocket { constructor(...how) { super(...how); sockets.push(this); } };"""


@pytest.fixture(scope="module")
def deck(browser, tmp_path_factory) -> Iterator[Deck]:
    opened = tmp_path_factory.mktemp("browser") / "opened"
    default_browser = f"""{sys.executable} -c "open({str(opened)!r}, 'w').write('%s')" """
    path = with_all_labs(tmp_path_factory.mktemp("workshop"))
    began = time.monotonic()
    with presenting(path.name[:2], root=path.parents[1], BROWSER=default_browser) as (process, address):
        context = browser.new_context(viewport={"width": 1280, "height": 720})
        context.add_init_script(KEPT)
        while not opened.exists() or not opened.read_text():
            assert time.monotonic() - began < LIMIT and process.poll() is None
            time.sleep(0.1)
        url = opened.read_text()
        file = Path(url2pathname(url.removeprefix("file://")))
        deck = Deck(nbformat.read(path, as_version=4), process, address, context, context.new_page(), file)

        def elsewhere(route):
            deck.elsewhere.append(route.request.url)
            route.abort()

        # What stays here must not come by: it would wait while this Python trains, and the page would think it lost.
        here = "|".join(map(re.escape, (address.partition("?")[0], "data:", "blob:", url)))
        context.route(re.compile(f"^(?!{here})"), elsewhere)
        deck.watch(deck.page)
        deck.page.goto(url)
        deck.page.wait_for_url(f"{address.partition('?')[0]}**")
        deck.page.wait_for_selector("html.deck-ready", state="attached", timeout=LIMIT * 1000)
        yield deck
        context.close()


def test_it_opens_on_the_title_slide(deck):
    expect(deck.page.locator("section.present h1")).to_have_text(
        deck.notebook.cells[0].source.splitlines()[0].strip("# ")
    )
    assert deck.page.url == deck.address.partition("?")[0] + deck.page.url.partition("/#")[1].strip("/")  # no token
    assert deck.page.locator(".slides section:not(.stack)").count() > 30
    expect(deck.page.locator(".reveal .progress")).to_be_visible()
    expect(deck.page.locator("section.present .deck-clock")).to_have_text(re.compile(r"\d\d?:\d\d"))


def test_the_token_is_on_no_command_line_and_in_no_file_that_others_can_read(deck):
    token = deck.address.partition("token=")[2]
    assert token in deck.opened.read_text() and token not in str(deck.opened)
    assert not any(token in word for word in psutil.Process(deck.process.pid).cmdline())
    if os.name != "nt":
        assert stat.S_IMODE(deck.opened.stat().st_mode) == 0o600
        assert stat.S_IMODE(deck.opened.parent.stat().st_mode) == 0o700


def test_formulas_are_drawn(deck):
    formulas = sum(
        len(re.findall(r"\$[^$]+\$", cell.source)) for cell in deck.notebook.cells if cell.cell_type == "markdown"
    )
    assert formulas > 3
    drawn = deck.page.locator(".slides :is(math, mjx-container, .deck-math, svg[data-tex], img.math)")
    assert drawn.count() > 3
    text = deck.page.evaluate(
        """() => [...document.querySelectorAll(".slides section")].map(slide => {
             const copy = slide.cloneNode(true);
             copy.querySelectorAll("pre, code, script, style").forEach(each => each.remove());
             return copy.textContent; }).join(" ")"""
    )
    assert not re.search(r"\$[^$\n]+\$|\\\(|\\\[|\\frac", text)


twin_of = functools.cache(lambda number: LABS[number].make())  # the same lab in the Python of the test


@on_every_lab
def test_a_lab_answers_its_slider_and_the_page_does_not_turn(deck, number):
    case, twin, page = LABS[number], twin_of(number), deck.show_lab(number)
    here = deck.at()
    expect(page.handle(case.slider)).to_be_visible(timeout=180_000)
    case.agrees(page, twin)
    expect(deck.page.locator("section.present:not(.stack) .lab-still")).to_be_hidden()
    for key in KEYS if number == "01" else KEYS[:1]:  # a deck takes keys in its own way, whichever lab they go to
        before = page.readout(case.slider).inner_text()
        expect(deck.page.locator("html:not(.deck-still, .deck-looks-on)")).to_be_attached()  # else no key moves it
        page.handle(case.slider).press(key)
        expect(page.readout(case.slider)).not_to_have_text(before)
        case.agrees(page, twin)
    assert deck.at() == here
    page.handle(case.slider).focus()
    deck.page.keyboard.press("Escape")
    assert not deck.page.evaluate("Reveal.isOverview()")
    deck.page.keyboard.press("ArrowLeft")
    assert deck.at() != here


def test_a_lab_stands_both_ends_and_random_moves(deck):
    """The others show in the deck what they show in JupyterLab."""
    page, case, twin = deck.show_lab("01"), LABS["01"], twin_of("01")
    for end in ("Home", "End"):
        at_one_end(page, case, twin, end)
    random_moves(page, case, twin, MOVES, KEYS)


def test_the_page_stays_connected(deck):
    """What is sent while a connection is made anew would be lost."""
    assert deck.connected
    while time.monotonic() < deck.connected[-1] + 2 * PING:  # after the tests above it is long over
        deck.page.wait_for_timeout(100)
    assert len(deck.connected) == 1
    assert deck.errors == []


@contextlib.contextmanager
def loads_anew(page: Page) -> Iterator[None]:
    """Wait until it has. (Playwright's own `expect_navigation` also takes the address of a slide, written late.)"""
    page.evaluate("window.before = true")
    yield
    ready = "!window.before && document.documentElement.matches('.deck-ready')"
    page.wait_for_function(ready, timeout=LIMIT * 1000)


def test_a_page_that_was_cut_off_loads_anew_and_shows_the_lab_as_it_was_left(deck):
    """The kernel goes on; a slider moved meanwhile would say what its picture does not show."""
    case, twin = LABS["01"], twin_of("01")
    deck.show_lab("01")
    here = deck.at()
    with loads_anew(deck.page):
        deck.page.evaluate("sockets.forEach((each) => each.close())")
    assert deck.at() == here
    deck.errors = [each for each in deck.errors if not each.startswith("Connection lost")]
    page = deck.show_lab("01")
    expect(page.plot).to_have_attribute("aria-label", twin.plot.frame["alt"], timeout=90_000)
    expect(page.handle(case.slider)).to_be_visible(timeout=180_000)
    page.handle(case.slider).press("Home")
    page.handle(case.slider).press("ArrowRight")
    case.agrees(page, twin)


CONTROLS = (".noUi-handle", "button", "select", "input[type=checkbox]")


def test_a_clicker_turns_the_page_whatever_has_the_focus(deck):
    page = deck.page
    numbers = page.locator("section.present:not(.stack) .widget-readout").all_inner_texts
    met = set()
    for number, case in LABS.items():
        case.agrees(deck.show_lab(number), twin_of(number))  # its last parts have come
        here, before = deck.at(), numbers()
        for kind in CONTROLS:
            control = page.locator(f"section.present:not(.stack) .workshop-lab :is({kind}):not(:disabled):visible")
            if control.count():
                met.add(kind)
                control.first.focus()
                page.keyboard.press("PageUp")
                assert deck.at() != here
                page.keyboard.press("PageDown")
                assert deck.at() == here and numbers() == before
    assert met == {*CONTROLS}


# Parts of a lab that lie over one another, stand out of the slide, or have words under 18 px at 1280 × 720; a picture
# that does not have the slide's width. The numbers at its axes have 10 points, which are 13.9 px of its own size.
CROWDED = """() => {
  const slide = document.querySelector("section.present:not(.stack)"), page = slide.getBoundingClientRect();
  const foot = slide.querySelector(".deck-foot").getBoundingClientRect(), found = [];
  const kinds = "svg.workshop-plot, .widget-slider, select, table, textarea, button, .widget-checkbox label, " +
    ".workshop-results > :is(p, div), .widget-html-content > div:not(:has(p, div, table))";
  const parts = [...slide.querySelectorAll(`.workshop-lab :is(${kinds})`)].filter((each) =>
    each.checkVisibility({ visibilityProperty: true }) && each.getBoundingClientRect().width);
  const told = (each) => `${each.tagName} ${each.textContent.slice(0, 30)}`;
  parts.forEach((one, i) => {
    const a = one.getBoundingClientRect();
    const inside = a.left >= page.left && a.right <= page.right - 45 && a.bottom <= foot.top + 1;
    if (!inside) found.push(`${told(one)} leaves the slide`);
    const size = parseFloat(getComputedStyle(one).fontSize) * one.currentCSSZoom;
    if (size < 17.9 && !one.matches("svg")) found.push(`${told(one)} has ${size} px`);
    if (one.matches("svg.workshop-plot")) {
      const scale = a.width / one.viewBox.baseVal.width, words = parseFloat(getComputedStyle(one).fontSize);
      if (a.width < 1179 || scale * Math.min(13.9, words) < 18) found.push(`the picture has ${a.width} px`);
    }
    for (const other of parts.slice(i + 1)) {
      const b = other.getBoundingClientRect();
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 2 && high > 4 && !one.contains(other)) found.push(`${told(one)} lies over ${told(other)}`);
    }
  });
  if (!parts.some((each) => each.matches(".workshop-goals div"))) found.push("no goals");
  return parts.length > 7 ? found : [`only ${parts.length} parts`];
}"""


def crowded(page: Page) -> list[str]:
    with contextlib.suppress(TimeoutError):  # a lab is made to fit when its parts have come
        page.wait_for_function(f"({CROWDED})().length === 0", timeout=15_000)
    return page.evaluate(CROWDED)


@on_every_lab
def test_the_parts_of_a_lab_lie_beside_one_another(deck, number):
    LABS[number].agrees(deck.show_lab(number), twin_of(number))  # its last parts have come
    assert crowded(deck.page) == []


@pytest.mark.parametrize("scheduler", ["OneCycleLR", "ReduceLROnPlateau"])  # the most sliders, the longest error
def test_two_schedulers_composed_have_room_too(deck, scheduler):
    page = deck.show_lab("04a")
    lab = deck.page.locator("section.present:not(.stack) .workshop-lab")
    choices = {"scheduler": scheduler, "composed": "after\xa0a\xa0second", "second": "SWALR"}
    for name, choice in choices.items():
        lab.get_by_label(name, exact=True).select_option(label=choice)
    expect(lab.get_by_text("second: SWALR")).to_be_visible()
    LABS["04a"].agrees(page, twin_of("04a"))
    assert crowded(deck.page) == []
    lab.get_by_label("composed", exact=True).select_option(label="alone")
    lab.get_by_label("scheduler", exact=True).select_option(label="CosineAnnealingLR")


@on_every_lab
def test_axe_finds_nothing_wrong_with_the_slide_of_a_lab(deck, number):
    deck.show_lab(number)
    assert findings(deck.page, "section.present:not(.stack)") == []


def test_the_pictures_of_the_labs_are_dark_in_the_dark_look(deck):
    for number in LABS:
        expect(deck.show_lab(number).plot).to_be_visible(timeout=180_000)
    looks = """() => [...document.querySelectorAll(".slides :is(.workshop-plot, .workshop-swatch, .deck-figure img)")]
      .map((each) => getComputedStyle(each).filter)"""
    light = deck.page.evaluate(looks)
    deck.page.keyboard.press("d")
    dark = deck.page.evaluate(looks)
    deck.page.keyboard.press("d")
    assert len(light) > 2 * len(LABS) and set(light) == {"none"}
    assert len(set(dark)) == 1 and dark[0].startswith("invert(")


def test_keys(deck):
    page = deck.page
    page.evaluate("document.activeElement.blur(); Reveal.slide(0, 0)")
    for key, back in (("ArrowRight", "ArrowLeft"), (" ", "Shift+Space")):
        page.keyboard.press(key)
        assert deck.at() != {"h": 0, "v": 0, "f": None}
        page.keyboard.press(back)
        assert page.evaluate("Reveal.isFirstSlide()")
    page.keyboard.press("o")
    assert page.evaluate("Reveal.isOverview()")
    page.keyboard.press("o")
    assert not page.evaluate("Reveal.isOverview()")
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement !== null")
    page.evaluate("document.exitFullscreen()")
    page.wait_for_function("document.fullscreenElement === null")
    deck.show("[data-asks]")
    page.evaluate("Reveal.slide(Reveal.getState().indexh, Reveal.getState().indexv, 999)")
    page.keyboard.press("2")
    expect(page.locator("section.present:not(.stack) [data-choice='1'][data-hands='1']")).to_have_count(1)


def test_the_speaker_view_has_the_notes_and_the_same_lab(deck):
    deck.show(".deck-section-note")
    note = deck.page.locator("section.present:not(.stack) > aside.notes").text_content()
    with deck.context.expect_page() as opened:
        deck.page.keyboard.press("s")
    speaker = opened.value
    deck.watch(speaker)
    notes = speaker.locator(".speaker-controls-notes .value")
    expect(notes).to_contain_text("For the instructor.", timeout=180_000)
    assert notes.text_content().split()[:8] == note.split()[:8]
    alt = deck.show_lab("01").alt
    expect(speaker.frame_locator("iframe").first.locator("svg.workshop-plot:visible")).to_have_attribute(
        "aria-label", alt, timeout=180_000
    )
    speaker.close()


def get(address: str) -> tuple[int, str]:
    """Status and body for a browser that has never been here."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
    try:
        with opener.open(address, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


# What a holder of the token may try, and what came of it: replies by the type of the request.
ASK = """kernel => new Promise(done => {
  const socket = new WebSocket(`ws://${location.host}/api/kernels/${kernel}/channels?session_id=test`), answered = [];
  const send = (type, content, channel = "shell") => socket.send(JSON.stringify({
    channel, content, metadata: {}, parent_header: {},
    header: { msg_id: type, msg_type: type, session: "test", username: "", version: "5.3", date: `${Math.random()}` },
  })); // without the random number the second of two equal messages would be taken for a replay
  socket.onopen = () => {
    send("execute_request", { code: "1", silent: false, store_history: false, user_expressions: {} });
    for (const channel of ["shell", "control"]) {
      send("shutdown_request", { restart: false }, channel);
      send("interrupt_request", {}, channel);
      send("debug_request", { seq: 1, type: "request", command: "debugInfo" }, channel);
    }
    send("comm_msg", { comm_id: "of no widget", data: { method: "update", state: {} } }); // as a slider that was moved
    send("kernel_info_request", {});
  };
  socket.onmessage = (event) => {
    if (typeof event.data !== "string") return; // a picture of the lab
    answered.push(JSON.parse(event.data).parent_header.msg_id);
    if (answered.at(-1) === "kernel_info_request") setTimeout(() => { socket.close(); done(answered); }, 300);
  };
  setTimeout(() => done(["no answer at all"]), 20000);
})"""


END = """async kernel => {
  const xsrf = document.cookie.match(/_xsrf=([^;]*)/)?.[1] ?? "", cookie = { "X-XSRFToken": xsrf };
  const token = { Authorization: `token ${new URLSearchParams(kernel.query).get("token")}` }; // needs no cookie
  const path = `/api/kernels/${kernel.id}`, found = {};
  const ask = async (method, end) => {
    found[`${method} ${end}`] = [];
    for (const headers of [cookie, token])
      found[`${method} ${end}`].push((await fetch(path + end, { method, headers })).status);
  };
  for (const method of ["DELETE", "PATCH", "POST", "PUT"]) await ask(method, "");
  for (const end of ["/restart", "/interrupt"]) await ask("POST", end);
  await ask("GET", "");
  return found;
}"""


def test_a_holder_of_the_token_cannot_end_the_kernel(deck):
    kernel = json.loads(deck.page.locator("#jupyter-config-data").text_content())["kernelId"]
    # In a page of its own: the answers of 400 and more that it asks for are no errors of the deck.
    page = deck.context.new_page()
    page.goto(f"{deck.address.partition('?')[0]}progress")
    found = page.evaluate(END, {"id": kernel, "query": deck.address.partition("?")[2]})
    answered = page.evaluate(ASK, kernel)
    page.close()
    assert found.pop("GET ") == [200, 200]
    assert found.pop("DELETE ") == [405, 405]
    assert found and all(set(codes) <= {403, 404, 405} for codes in found.values()), found
    assert {"kernel_info_request", "comm_msg"} <= {*answered}
    assert not {"execute_request", "shutdown_request", "interrupt_request", "debug_request"} & {*answered}
    (kernel_process,) = psutil.Process(deck.process.pid).children()
    assert kernel_process.is_running() and kernel_process.status() != psutil.STATUS_ZOMBIE


def test_the_token_is_needed_and_code_cannot_be_sent(deck):
    host, _, token = deck.address.partition("?")
    kernel = json.loads(deck.page.locator("#jupyter-config-data").text_content())["kernelId"]
    assert get(deck.address)[0] == 200
    for path in ("", "progress", f"api/kernels/{kernel}", f"api/kernels/{kernel}/channels"):
        status, body = get(host + path)
        assert status == 403 and "slides" not in body
        assert get(f"{host}{path}?{token}x")[0] == 403
    # What a page may send to the kernel is what widgets need; a request to run code gets no answer. Meanwhile the lab
    # sends its pictures to that page as well, which has asked for no protocol.
    lab, page = deck.show_lab("01"), deck.context.new_page()  # the deck's own would load anew when its socket is closed
    page.goto(f"{host}progress")
    for key in ("Home", "End"):
        lab.handle(LABS["01"].slider).press(key)
    answered = page.evaluate(ASK, kernel)
    page.close()
    assert "kernel_info_request" in answered and "execute_request" not in answered


def test_a_second_holder_of_the_address_looks_on_unless_the_first_one_shares(deck, browser):
    kernel = json.loads(deck.page.locator("#jupyter-config-data").text_content())["kernelId"]
    notice, host = deck.page.locator("#deck-notice"), deck.address.partition("?")[0]
    with contextlib.closing(browser.new_context()) as context:
        page = context.new_page()
        page.goto(deck.address.replace("?", "progress?"))  # without the slides, which another test looks at

        def answered() -> set[str]:
            return {"kernel_info_request", "comm_msg"} & {*page.evaluate(ASK, kernel)}

        def asks(what: str) -> int:
            xsrf = "document.cookie.match(/_xsrf=([^;]*)/)?.[1] ?? ''"
            call = f"fetch('{host}{what}', {{ method: 'POST', headers: {{ 'X-XSRFToken': {xsrf} }} }})"
            return page.evaluate(f"fetch('{host}').then(() => {call}).then((answer) => answer.status)")

        assert answered() == {"kernel_info_request"}
        assert (asks("share"), asks("restart")) == (403, 403)
        deck.page.keyboard.press("m")
        expect(notice).to_contain_text("Everybody")
        assert answered() == {"kernel_info_request", "comm_msg"}
        deck.page.keyboard.press("m")
        expect(notice).to_contain_text("Only this browser")
        assert answered() == {"kernel_info_request"}


def test_a_lab_of_a_page_that_looks_on_does_not_move(deck):
    lab, slider, keys = deck.show_lab("01"), LABS["01"].slider, deck.page.keyboard
    lab.handle(slider).press("Home")  # so that there is a track to the right of it
    LABS["01"].agrees(lab, twin_of("01"))
    before, notice = lab.readout(slider).inner_text(), deck.page.locator("#deck-notice")

    def looks_on(route):
        route.fulfill(json=route.fetch().json() | {"leads": False, "moves": False})

    deck.page.route("**/progress", looks_on)
    expect(deck.page.locator("html.deck-looks-on")).to_be_attached()
    box = lab.handle(slider).bounding_box()
    deck.page.mouse.click(box["x"] + 60, box["y"] + box["height"] / 2)  # on the track
    expect(notice).to_contain_text("looks on")
    lab.handle(slider).focus()
    assert deck.page.evaluate("document.activeElement === document.body")
    assert lab.readout(slider).inner_text() == before
    keys.press("r")
    assert not deck.page.locator("#deck-restart").is_visible()
    deck.page.unroute_all(behavior="ignoreErrors")  # a question may be on its way
    expect(notice).to_contain_text("you may move")
    keys.press("PageDown")
    expect(notice).to_be_hidden()


def test_a_kernel_that_did_not_start_again_is_told_on_the_slide(deck):
    def failed(route):
        route.fulfill(json=route.fetch().json() | {"kernel": "failed", "doing": "the cell setup failed"})

    notice = deck.page.locator("#deck-notice")
    deck.page.route("**/progress", failed)
    expect(notice).to_have_text("The labs stand still: the cell setup failed. Press R to start it again.")
    deck.page.unroute_all(behavior="ignoreErrors")  # a question may be on its way
    expect(notice).to_be_hidden()


def test_a_lost_network_is_told_until_it_is_back(deck):
    deck.show_lab("01")
    here, notice = deck.at(), deck.page.locator("#deck-notice")
    deck.context.set_offline(True)
    expect(notice).to_contain_text("Is the network there?")
    deck.page.keyboard.press("PageDown")
    assert deck.at() != here
    expect(notice).to_be_visible()
    deck.context.set_offline(False)
    expect(notice).to_be_hidden()
    # What the browser itself reports of a page that asks, and sends to its kernel, before it knows.
    lost = ("ERR_INTERNET_DISCONNECTED", "WebSocket is already in CLOSING or CLOSED state")
    assert [each for each in deck.errors if not any(what in each for what in lost)] == []
    deck.errors.clear()


def test_a_key_is_the_decks_again_as_soon_as_the_dialog_is_closed(deck):
    """Until the page is drawn, its button has the focus: nobody sees it, and it took the key."""
    assert deck.page.evaluate(
        """() => {
          const dialog = document.getElementById("deck-restart"), at = () => dialog.contains(document.activeElement);
          dialog.showModal();
          dialog.close();
          const focused = at(), key = { key: "r", keyCode: 82, bubbles: true, cancelable: true };
          document.activeElement.dispatchEvent(new KeyboardEvent("keydown", key));
          const opened = dialog.open;
          dialog.close();
          return [focused, opened];
        }"""
    ) == [True, True]


def test_a_dead_kernel_is_told_and_a_key_starts_it_again(deck):
    lab, case, page = deck.show_lab("01"), LABS["01"], deck.page
    here, notice, dialog = deck.at(), page.locator("#deck-notice"), page.locator("#deck-restart")
    expect(lab.handle(case.slider)).to_be_visible(timeout=LIMIT * 1000)
    (kernel,) = psutil.Process(deck.process.pid).children()
    kernel.kill()
    expect(notice).to_contain_text("The kernel has died, and the labs stand still. Press R")
    lab.handle(case.slider).focus()
    assert page.evaluate("document.activeElement === document.body")
    page.keyboard.press("r")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("r")
    with loads_anew(page):
        page.keyboard.press("Enter")
        expect(notice).to_contain_text("running the cell", timeout=90_000)
    assert deck.at() == here
    expect(lab.handle(case.slider)).to_be_visible(timeout=180_000)
    lab.handle(case.slider).press("End")
    case.agrees(lab, twin_of("01"))
    expect(notice).to_be_hidden()


def test_ctrl_c_ends_it_and_nothing_is_left(deck):
    """The last test of the deck."""
    assert deck.elsewhere == []
    assert deck.errors == []
    children = psutil.Process(deck.process.pid).children(recursive=True)
    assert len(children) == 1  # one kernel, however many pages were opened
    deck.process.send_signal(signal.SIGINT)
    said = deck.process.communicate(timeout=30)[0]
    assert deck.process.returncode == 0
    assert not deck.opened.parent.exists()
    assert said.index("Ready after") < said.index("The kernel has died") < said.index("The labs move again.")
    assert said.endswith("The deck is closed.\n")
    assert "Traceback" not in said and "WARNING" not in said
    assert not any(child.is_running() for child in children)


@pytest.fixture
def channels() -> Channels:
    """The server's end of a page's socket, for a page that asked for no protocol and has just gone away."""

    async def lost(message):
        raise WebSocketClosedError(message)

    channels = Channels.__new__(Channels)
    channels.ws_connection = SimpleNamespace(
        selected_subprotocol=None,
        is_closing=lambda: False,
        write_message=lambda message, binary: asyncio.ensure_future(lost(message)),
    )
    return channels


def run(work: Coroutine) -> None:
    """In a thread of its own: in this one Playwright has a loop already."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, asyncio.wait_for(work, 60)).result()


def test_a_page_that_goes_away_is_no_news_in_the_terminal(channels):
    told = []

    async def send():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        for message in (b"a picture", {"header": {"msg_type": "status"}}):
            sent = channels.write_message(message, binary=True)
            assert sent is not None
            await asyncio.wait([sent])
        del sent
        gc.collect()

    run(send())
    assert told == []
    channels.ws_connection.is_closing = lambda: True  # a little later
    assert channels.write_message(b"a picture", binary=True) is None
    channels.ping(b"")  # Jupyter's timer asks for it


def test_messages_of_the_older_form_are_not_read_as_of_the_new_one(channels, monkeypatch):
    """Their first bytes would stand for billions of parts, and a list of them would fill the memory."""

    def reads(message):
        pytest.fail("read as one of protocol v1")

    monkeypatch.setattr("voila.tornado.kernel_websocket_handler.read_header_from_binary_message", reads)

    async def send():
        await asyncio.wait([channels.write_message(b"\0\0\0\2" + 60 * b"\xff", binary=True)])

    run(send())


@pytest.mark.parametrize(
    ("ip", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("192.0.2.7", "192.0.2.7"),
        ("::1", "[::1]"),
        ("::", "[::1]"),
        ("2001:db8::7", "[2001:db8::7]"),
    ],
)
def test_an_address_of_ipv6_stands_in_brackets(ip, host):
    assert present.reach(ip) == host


@pytest.fixture
def ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as reason:
        pytest.skip(f"no IPv6 on this machine: {reason}")


async def presented(path: Path, ip: str = "127.0.0.1", **how: str) -> None:
    """What the command does, in this Python, which has imported it all."""
    with present.open_port(0, ip) as listening:  # the usual one may be asked by a page whose deck has just ended
        await present.present(path, listening, ip=ip, run_all=False, browser=False, began=0, **how)


@pytest.fixture
def no_fonts(monkeypatch):
    """To choose their characters takes two seconds."""
    monkeypatch.setattr("tools.deck.page.style", str)


def test_a_deck_on_ipv6_is_found_at_its_address(ipv6, tmp_path, monkeypatch, no_fonts):
    path, said = lesson(tmp_path, "07-one.ipynb", "1"), []
    monkeypatch.setattr(present, "say", said.append)
    monkeypatch.setattr(DeckServer, "run", lambda *_, **__: asyncio.Event().wait())  # a page is served at once

    async def visit():
        deck = asyncio.create_task(presented(path, "::1"))
        while not said:
            await asyncio.sleep(0)
        address = ADDRESS.search(said[0])[0]
        assert address.startswith("http://[::1]:")
        assert (await asyncio.to_thread(get, address))[0] == 200
        assert (await asyncio.to_thread(get, address.partition("?")[0]))[0] == 403
        deck.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await deck

    run(visit())


@pytest.fixture
def nothing_runs(monkeypatch):
    """Cells and page of each kernel that a deck starts, while nothing is run or drawn; it ends after the first one."""
    started = []

    async def runs(server, notebook, cells, **_):
        started.append(SimpleNamespace(deck=server.deck, ran=[notebook.cells[place].id for place in cells]))
        return {}

    async def ends(*_, **__):
        raise asyncio.CancelledError

    def page(notebook, *_):
        started[-1].shown = [cell.id for cell in notebook.cells]
        return "a page"

    monkeypatch.setattr(DeckServer, "run", runs)
    monkeypatch.setattr(DeckServer, "until_restart", ends)
    monkeypatch.setattr("tools.deck.page.deck_resources", lambda notebook: {})
    monkeypatch.setattr("tools.deck.live_page.live_page", page)
    return started


def test_a_kernel_that_does_not_start_again_is_told_and_may_be_tried_once_more(tmp_path, monkeypatch, nothing_runs):
    said, runs = [], DeckServer.run

    async def fails_once(server, *how, **more):
        config = await runs(server, *how, **more)
        if len(nothing_runs) == 2:
            raise DeckError("the cell lab failed\nin its second line")
        return config

    async def asked(server, **_):
        if len(nothing_runs) == 3:
            raise asyncio.CancelledError
        if len(nothing_runs) == 2:
            assert (server.deck.kernel, server.deck.doing) == ("failed", "the cell lab failed")

    monkeypatch.setattr(present, "say", said.append)
    monkeypatch.setattr(DeckServer, "run", fails_once)
    monkeypatch.setattr(DeckServer, "until_restart", asked)
    with pytest.raises(asyncio.CancelledError):
        run(presented(lesson(tmp_path, "07-one.ipynb", "1")))
    assert nothing_runs[0].deck.kernel == "alive"
    assert said[-3:] == [
        "the cell lab failed. R on the slides tries once more.",
        "Drawing the slides",
        "The labs move again.",
    ]


@pytest.mark.parametrize(("kernel", "asked"), [("starting", False), ("alive", True), ("dead", True), ("failed", True)])
def test_a_kernel_that_starts_just_now_is_not_asked_for_twice(kernel, asked):
    deck = server.Deck("a deck", kernel=kernel)
    deck.restart()
    assert deck.again.is_set() is asked


def test_the_wanted_sections_are_shown_and_what_they_need_runs(tmp_path, nothing_runs):
    path = lesson(tmp_path, "mine.ipynb", "1", "x = 1", "print(x)")  # of the set-up and two sections
    notebook = nbformat.read(path, as_version=4)
    for place, title in ((2, "## 1. One"), (4, "## 2. Two")):
        notebook.cells.insert(place, nbformat.v4.new_markdown_cell(title, id=title[-3:].lower()))
    nbformat.write(notebook, path)
    with pytest.raises(asyncio.CancelledError):
        run(presented(path, sections="2"))
    (only,) = nothing_runs
    assert only.shown == ["title", "cell-0", "two", "cell-2"]
    assert only.ran == ["cell-0", "cell-1", "cell-2"]
    with pytest.raises(present.Trouble, match=r"no section `3`; there are: 1\. One; 2\. Two"):
        run(presented(path, sections="3"))


def test_a_port_that_is_taken_is_noticed_on_ipv6_too(ipv6):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        with pytest.raises(present.Trouble, match="is in use"):
            present.open_port(server.getsockname()[1], "::1")
    with pytest.raises(present.Trouble, match="cannot listen on 2001:db8::7"):
        present.open_port(None, "2001:db8::7")
    present.open_port(None, "::1").close()


def test_decks_that_start_at_once_have_ports_of_their_own(monkeypatch):
    """Between choosing a port and listening on it nobody else can take it."""
    with present.open_port(None, "127.0.0.1") as first:  # the usual one, or a free one where something has that
        monkeypatch.setattr(present, "PORT", first.getsockname()[1])
        with present.open_port(None, "127.0.0.1") as second, present.open_port(None, "127.0.0.1") as third:
            assert len({each.getsockname()[1] for each in (first, second, third)}) == 3


def test_the_file_that_opens_the_deck_leads_there_and_goes(tmp_path):
    address = "http://127.0.0.1:1/?token=a&b"
    for folder in (tmp_path / "build", tmp_path / "build", Path(os.devnull)):  # where nothing can be written, elsewhere
        with present.opening_file(address, folder) as file:
            assert file.read_text().count("http://127.0.0.1:1/?token=a&amp;b") == 2
            assert (file.parent.parent == folder) == (folder != Path(os.devnull))
            if os.name != "nt":
                assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
        assert not file.parent.exists()


# Saying what is wrong


def lesson(root: Path, name: str, *sources: str) -> Path:
    """A lesson with a title, a set-up cell and others."""
    (root / "notebooks").mkdir(exist_ok=True)
    title = nbformat.v4.new_markdown_cell("# A lesson", id="title", metadata={"slideshow": {"slide_type": "slide"}})
    cells = [title, *(nbformat.v4.new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(sources))]
    cells[1].metadata.update(tags=["setup"], slideshow={"slide_type": "skip"})
    for cell in cells[2:]:
        cell.metadata.update(tags=["live"], slideshow={"slide_type": "slide"})
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = root / "notebooks" / name
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["12"], ["no notebook `12`", "07"]),
        (["07", "--port", "{taken}"], ["port {taken}", "in use"]),
        (["07", "--ip", "203.0.113.1"], ["203.0.113.1", "--ip"]),
        (["07"], ["07-fails.ipynb", "cell-0", "ValueError: no way"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value[0][0].isdigit() else "",
)
def test_trouble_is_told_in_one_line(tmp_path, arguments, expected):
    lesson(tmp_path, "07-fails.ipynb", "raise ValueError('no way\\nof running')")
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = str(server.getsockname()[1])
        filled = [argument.format(taken=taken) for argument in [*arguments, "--no-browser"]]
        ran = subprocess.run(command(*filled, root=tmp_path), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 2
    lines = ran.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("workshop: "), ran.stderr
    for words in expected:
        assert words.format(taken=taken) in lines[0]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["import os; os._exit(1)"], ["07-one.ipynb", "kernel died"]),
        (["import ipywidgets", "ipywidgets.IntSlider(unknown)"], ["07-one.ipynb", "`unknown`", "--run-all"]),
        (["from IPython.display import HTML", """HTML('<img src="/etc/hosts">')"""], ["/etc/hosts lies outside"]),
    ],
    ids=lambda words: words[-1],
)
def test_what_else_may_be_wrong_with_a_lesson(tmp_path, sources, expected, no_fonts):
    with pytest.raises((present.Trouble, OSError)) as told:  # the command ends with a line for either
        run(presented(lesson(tmp_path, "07-one.ipynb", *sources)))
    assert len(str(told.value).splitlines()) == 1
    for words in expected:
        assert words in str(told.value)


def test_a_file_that_cannot_be_used_is_trouble_too(tmp_path, monkeypatch, capsys):
    lesson(tmp_path, "07-one.ipynb", "1")

    def fail(work):
        work.close()
        raise PermissionError("the picture is not ours")

    monkeypatch.setattr(present.signal, "signal", lambda *_: None)
    monkeypatch.setattr(present.asyncio, "run", fail)
    assert present.main(["07", "--no-browser"], root=tmp_path) == 2
    assert capsys.readouterr().err == "workshop: the picture is not ours\n"
