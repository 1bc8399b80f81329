"""A function in a thread that runs only while its caller waits: many of them can stop half-way and go on by turns."""

import contextlib
import threading
from collections.abc import Callable

from utils.internals.running import Stop


class Worker:
    """work(pause) in a thread. resume() lets it run until it calls pause() or ends; what it raises comes out there."""

    def __init__(self, work: Callable[[Callable[[], None]], None]):
        self.ended, self._error, self._stopped = False, None, False
        self._may_run, self._has_run = threading.Semaphore(0), threading.Semaphore(0)
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def resume(self) -> None:
        """Run it to its next pause or its end."""
        self._may_run.release()
        self._has_run.acquire()
        if self.ended:
            self._thread.join()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End it at the pause where it waits."""
        self._stopped = True
        self._may_run.release()
        self._thread.join(timeout=1)  # not for ever: it may catch even Stop

    def _pause(self) -> None:
        self._has_run.release()
        self._may_run.acquire()
        if self._stopped:
            raise Stop

    def _run(self) -> None:
        self._may_run.acquire()
        with contextlib.suppress(Stop):
            try:
                if not self._stopped:
                    self._work(self._pause)
            except Exception as error:
                self._error = error
        self.ended = True
        self._has_run.release()
