"""What is stopped leaves nothing behind."""

import sys

from utils.internals.running import Stop, run_limited


class Falls:
    """Takes its time to go, and a Stop is as likely to hit it there as anywhere."""

    fails = False

    def __del__(self):
        sum(range(300))
        for _ in range(300):
            pass
        if self.fails:
            raise ValueError("on its own account")


class FallsOverAndSaysSo(Falls):
    fails = True


def test_a_stop_in_a_finalizer_is_not_printed(monkeypatch):
    printed = []
    monkeypatch.setattr(sys, "unraisablehook", printed.append)

    def forever():
        while True:
            Falls()

    assert [run_limited(forever, 0.01) for _ in range(5)] == [(False, True)] * 5
    assert [one.exc_type for one in printed] == []
    assert sys.unraisablehook == printed.append


def test_what_a_finalizer_raises_itself_is_still_printed(monkeypatch):
    printed = []
    monkeypatch.setattr(sys, "unraisablehook", printed.append)

    def until_stopped():
        try:
            while True:
                pass
        except Stop:
            FallsOverAndSaysSo()
            raise

    run_limited(until_stopped, 0.01)
    assert {one.exc_type for one in printed} <= {ValueError}
    FallsOverAndSaysSo()
    assert printed[-1].exc_type is ValueError
