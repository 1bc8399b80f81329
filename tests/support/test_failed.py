"""A failed test shows what it saw."""

from types import SimpleNamespace

from playwright.sync_api import Error

from tests.support.failed import keep


def test_pages_errors_and_the_log_of_the_server_are_kept(tmp_path):
    log = tmp_path / "jupyter.log"
    log.write_text("a kernel died")

    def hangs(**_):
        raise Error("no answer")

    pages = [
        SimpleNamespace(screenshot=lambda path, timeout: path.write_bytes(b"a picture"), evaluate=lambda _: "<button>"),
        SimpleNamespace(screenshot=hangs),
    ]
    fixtures = {
        "browser": SimpleNamespace(contexts=[SimpleNamespace(pages=pages)]),
        "notebook": SimpleNamespace(errors=["TypeError: x"]),
        "jupyter": SimpleNamespace(log=log),
        "case": "lab",
    }
    found = keep("tests/labs/test_race.py::TestAnyLab::test_a[Home]", fixtures, tmp_path / "failed")
    place = tmp_path / "failed" / "tests-labs-test_race-py-TestAnyLab-test_a-Home"
    assert {path for path in found if path.exists()} == set(place.iterdir())
    assert (place / "page-0.png").read_bytes() == b"a picture"
    texts = {path.name: path.read_text() for path in place.iterdir() if path.suffix != ".png"}
    assert texts == {
        "page-0-state.txt": "<button>",
        "page-1.txt": "no answer",
        "notebook-errors.txt": "TypeError: x",
        "jupyter.log": "a kernel died",
    }


def test_a_test_without_a_page_leaves_nothing(tmp_path):
    assert keep("tests/test_data.py::test_a", {"tmp_path": tmp_path}, tmp_path / "failed") == []
    assert not (tmp_path / "failed").exists()
