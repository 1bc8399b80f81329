"""Where Chromium is looked for, how it is started, and what is told when there is none."""

import os
import shutil
from contextlib import suppress

import psutil
import pytest
from playwright.sync_api import BrowserType, Error

from tests.support.jupyter_page import missing
from tools.browser import FLAGS, NoBrowser, browser, sandboxed


class Started:
    closed = False

    def close(self):
        self.closed = True


@pytest.fixture
def tried(monkeypatch):
    """How Playwright was asked to start a browser; only the ways in `tried.good` succeed."""

    class Tried(list):
        good = ()

    tried = Tried()

    def launch(self, *, args, chromium_sandbox, **way):
        tried.append(way)
        assert args == FLAGS and chromium_sandbox == sandboxed()
        if way not in tried.good:
            raise Error(f"no such file: {way}\nand more")
        return Started()

    monkeypatch.setattr(BrowserType, "launch", launch)
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/x/{name}" if name in ("chromium", "msedge") else None)
    return tried


EVERY_WAY = [
    *({"executable_path": path} for path in ("/x/chromium", "/x/msedge")),
    *({"channel": channel} for channel in ("chrome", "msedge")),
    {},
]


@pytest.mark.parametrize("good", EVERY_WAY, ids=str)
def test_what_is_on_the_path_comes_first_and_playwrights_own_last(tried, good):
    tried.good = [good]
    with browser() as started:
        assert not started.closed
    assert started.closed and tried == EVERY_WAY[: EVERY_WAY.index(good) + 1]


@pytest.mark.parametrize(("path", "variable"), [("/mine", None), ("/mine", "/other"), (None, "/mine")])
def test_who_names_one_gets_that_one_or_an_error(tried, monkeypatch, path, variable):
    if variable:
        monkeypatch.setenv("CHROMIUM", variable)
    with pytest.raises(
        NoBrowser, match=r"^/mine does not start as a browser \(no such file.*\): .*CHROMIUM.*"
    ) as raised:
        with browser(path):
            pass
    assert tried == [{"executable_path": "/mine"}] and "\n" not in str(raised.value)


def test_without_one_the_message_says_what_to_do(tried):
    with pytest.raises(NoBrowser, match=r"no Chromium or Chrome starts .*set CHROMIUM.*playwright install chromium"):
        with browser():
            pass
    assert tried == EVERY_WAY


def test_what_goes_wrong_in_the_block_is_not_taken_for_a_browser_that_does_not_start(tried):
    tried.good = EVERY_WAY
    with pytest.raises(Error, match="in the block"):
        with browser():
            raise Error("in the block")
    assert len(tried) == 1


@pytest.mark.parametrize("user", [0, 1000, None])
def test_only_root_does_without_the_sandbox(monkeypatch, user):
    if user is None:
        monkeypatch.delattr(os, "geteuid")  # as on Windows
    else:
        monkeypatch.setattr(os, "geteuid", lambda: user, raising=False)
    assert sandboxed() == (user != 0)
    assert not any("sandbox" in flag for flag in FLAGS)


def test_the_running_browser_has_a_sandbox_unless_root_runs_it():
    """Playwright's own default is to do without."""
    try:
        with browser():
            process = psutil.Process()
            commands = []
            for each in process.children(recursive=True):
                with suppress(psutil.Error):  # a helper of the browser's start has just ended
                    commands.append(each.cmdline())
    except NoBrowser as reason:
        missing(str(reason))
    main = [line for line in commands if "--disable-sync" in line and not any("--type=" in word for word in line)]
    assert main and all(("--no-sandbox" in line) == (not sandboxed()) for line in main)
