"""Training between two messages of the page: a little at a time, once the sliders are at rest."""

import asyncio
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, contextmanager

import torch

from utils.practice.schedule_runs import Run

# Seconds: until sliders are at rest, of work at a time, for messages between, from one picture to the next.
REST, BUSY, PAUSE, SHOW = 0.12, 0.02, 0.002, 0.08


class Runs(dict):
    """design → Run. Those last wanted are trained in the event loop, once no other has been wanted for a moment.

    `train(run, design)` gives the generator that trains a run; `notify()` is called whenever there is more to see.
    A run that is no longer wanted before it has finished is given up. `lock` is held while a run is changed, for
    JupyterLab's sliders may speak to another thread than the one that trains: who reads runs there takes it as well.
    """

    def __init__(self, train: Callable, notify: Callable, *, lock: AbstractContextManager | None = None):
        super().__init__()
        self._train, self._notify = train, notify
        self._lock = lock or threading.RLock()
        self._wanted, self._work, self._timer, self._shown = (), {}, None, 0.0

    def want(self, designs: tuple[Hashable, ...]) -> None:
        """Have these trained, in this order, once no others have been wanted for a moment. Each has a Run at once."""
        with self._lock:
            if designs == self._wanted:
                return
            for given_up in self._work.keys() - set(designs):
                del self._work[given_up], self[given_up]
            self._wanted = designs
            for each in designs:
                if each not in self:
                    self[each] = Run()
                    self._work[each] = self._train(self[each], each)
            self._later(REST)

    def finish(self) -> None:
        """Train all that is wanted, now, and notify once; for a picture that is stored."""
        with self._lock:
            if self._work:
                self._go_on(float("inf"))
                self._notify()

    def _later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no kernel, nobody looks: finish() will do it
            return
        if self._work:
            self._timer = loop.call_later(seconds, self._next)

    def _next(self) -> None:
        with self._lock:
            self._timer = None
            self._go_on(BUSY)
            self._later(PAUSE)
            if not self._work or time.perf_counter() > self._shown + SHOW:
                self._notify()
                self._shown = time.perf_counter()

    def _go_on(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        with _one_thread():
            for each in [each for each in self._wanted if each in self._work]:
                for _ in self._work[each]:
                    if time.perf_counter() > end:
                        return
                del self._work[each]


@contextmanager
def _one_thread():
    """Tensors this small only lose by more threads, and by much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
