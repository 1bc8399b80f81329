"""Who takes too long is stopped, who only waits for a processor is not, and what is stopped leaves nothing behind."""

import sys
import threading
import time
from itertools import accumulate

import pytest

from utils.internals import running
from utils.internals.running import Clock, Stop, run_limited


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
    monkeypatch.setattr(running, "GRACE", 20)  # beside other tests the throws come rarely
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

    for _ in range(100):  # a second throw may come before what it raises itself
        run_limited(until_stopped, 0.01)
        if printed:
            break
    assert {one.exc_type for one in printed} == {ValueError}


@pytest.mark.parametrize(
    "moments, seconds",
    {
        "computes alone": ([(0.05, 0.05)] * 4, 0.2),
        "others have the processor most of the time": ([(0.5, 0.05)] * 4, 0.2),
        "sleeps": ([(0.05, 0.0)] * 4, 0.2),
        "sleeps, and is asked for now and then": ([(0.05, 0.001)] * 4, 0.2),
        "computes, then sleeps": ([(0.1, 0.1), (0.05, 0.0)], 0.15),
        "computes in several threads": ([(0.05, 0.2)] * 4, 0.2),
    }.values(),
)
def test_what_counts_is_the_time_of_a_processor_or_that_of_a_sleep(monkeypatch, moments, seconds):
    now = iter(zip(*(accumulate(parts, initial=7.0) for parts in zip(*moments, strict=True)), strict=True))
    monkeypatch.setattr(Clock, "_now", staticmethod(lambda: next(now)))
    clock = Clock()
    assert [clock.seconds() for _ in moments][-1] == pytest.approx(seconds)


def test_a_busy_machine_stops_nobody_who_would_end_in_time_alone(monkeypatch):
    def compute(seconds):
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    # As beside four others: what is computed in a tenth of a second takes half a second.
    monkeypatch.setattr(Clock, "_now", staticmethod(lambda: (5 * time.process_time(), time.process_time())))
    assert run_limited(lambda: compute(0.1), 0.3) == (True, True)
    assert run_limited(lambda: compute(30), 0.3) == (False, True)


@pytest.mark.parametrize("wait", [time.sleep, threading.Event().wait])
def test_who_only_waits_is_stopped_by_the_clock_on_the_wall(wait):
    ended = []
    in_time, _ = run_limited(lambda: ended.append(wait(20)), 0.1)
    assert not in_time and not ended


def test_what_is_imported_when_the_time_is_up_is_loaded_whole(monkeypatch, tmp_path):
    lines = "import time", "begun = time.thread_time()", "while time.thread_time() < begun + 0.5: pass", "whole = True"
    (tmp_path / "takes_half_a_second.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)

    def import_and_loop():
        import takes_half_a_second  # noqa: F401

        while True:
            pass

    assert run_limited(import_and_loop, 0.1) == (False, True)
    assert sys.modules.pop("takes_half_a_second").whole
