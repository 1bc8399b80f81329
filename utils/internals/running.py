"""A function in a thread of its own, stopped when its time is up."""

import contextlib
import ctypes
import sys
import threading
import time
from collections.abc import Callable

GRACE = 0.6  # seconds between the time limit and giving a thread up
IMPORT = 20.0  # and at most so many before that, until a module is loaded
IDLE = 0.05  # with less than this share of a processor's time it waits for something else than a processor


class Clock:
    """Seconds that work has cost since the clock was made, so that an answer need not be fast on a busy machine.

    Time in which this process computes counts as long as a processor was at it, not as long as others kept the
    processor away. Time in which it does nothing, since it sleeps or waits for input, counts whole. Ask every moment:
    which of the two it was is decided from one question to the next.
    """

    def __init__(self):
        self._asked, self._seconds = self._now(), 0.0

    def seconds(self) -> float:
        """So far; never more than by the clock on the wall."""
        before, self._asked = self._asked, self._now()
        passed, computed = (now - then for now, then in zip(self._asked, before, strict=True))
        self._seconds += passed if computed < IDLE * passed else min(passed, computed)
        return self._seconds

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.monotonic(), time.process_time()


class Stop(BaseException):
    """Thrown into a thread that takes too long: `except Exception` does not catch it."""


def run_limited(work: Callable[[], None], seconds: float) -> tuple[bool, bool]:
    """Run `work` in a thread; (whether it ended in time, whether it has ended by now).

    After so many `seconds` of Clock, Stop is thrown into the thread; where it waits in C code it is abandoned. `work`
    must let Stop through. Only the user's own KeyboardInterrupt comes out of here.
    """
    # Events, since a thread whose join() is interrupted counts as dead ever after, even if it runs on.
    ended, quiet = threading.Event(), threading.Event()

    def run_and_leave():
        # A throw may come late, even while an earlier one is handled: hence the layers, and no end before all is quiet.
        with contextlib.suppress(Stop), contextlib.suppress(Stop):
            with contextlib.suppress(Stop), contextlib.suppress(Stop):
                work()
                ended.set()
            ended.set()
            quiet.wait(2 * GRACE)

    thread = threading.Thread(target=run_and_leave, daemon=True)
    thread.start()
    try:
        in_time = _wait(ended, seconds)
    finally:  # also when the user interrupts
        _wait_for_import(thread)
        with _finalizers_in_silence():
            stopped = _stop(thread, ended)
        quiet.set()
    return in_time, stopped


@contextlib.contextmanager
def _finalizers_in_silence():
    """A Stop may hit the finalizer of any object, where nothing can catch it: Python would print it as an error.

    The hook within is a function in C, so that the next throw cannot hit the hook itself.
    """
    caught, hook = [], sys.unraisablehook
    sys.unraisablehook = caught.append
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for one in caught:
            if one.exc_type is not Stop:
                hook(one)


def _wait(ended: threading.Event, seconds: float) -> bool:
    """True if it happened in time. In slices, since Windows delivers an interrupt only between two waits."""
    clock = Clock()
    while not ended.is_set() and clock.seconds() < seconds:
        ended.wait(min(0.05, seconds))
    return ended.is_set()


def _wait_for_import(thread: threading.Thread) -> None:
    """Until the thread is through with what it imports: torch's compiler, cut off half-way, cannot be loaded again."""
    clock = Clock()
    while _imports(thread) and clock.seconds() < IMPORT:
        time.sleep(0.01)


def _imports(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident)
    while frame and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


def _stop(thread: threading.Thread, ended: threading.Event) -> bool:
    """Throw Stop into the thread until it ends or GRACE is over: True if it ended.

    A loop that catches everything ends when a throw hits it outside its `try`. That takes thousands of throws, so the
    threads change places as often as Python lets them: at its usual 5 ms a tight loop survived one time in three.
    """
    clock, interval = Clock(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        while not ended.is_set() and thread.is_alive() and clock.seconds() < GRACE:
            if not _imports(thread):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Stop))
            time.sleep(0)  # let it run
    finally:
        sys.setswitchinterval(interval)
    return ended.is_set() or not thread.is_alive()
