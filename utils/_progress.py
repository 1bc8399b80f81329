"""A progress bar that leaves no trace in a stored notebook."""

import html
import shutil
import sys
import time
import uuid


class Progress:
    """A progress bar for runs longer than `delay` seconds, gone without a trace when the run ends, however it ends.

    In a notebook it is an output that holds nothing at first and nothing at last: only updates in between fill it, and
    those are neither stored nor compared by nbval. In a terminal it is a line of stderr. Anywhere else it is silent.
    """

    def __init__(self, total: int, label: str, *, show=True, delay=2.0, interval=0.25, clock=time.monotonic):
        self.total, self.label, self.interval, self.clock = total, label, interval, clock
        self._draw = (_notebook_line() or _terminal_line()) if show else None
        self._next = clock() + delay
        self._shown = False

    def __enter__(self) -> "Progress":
        return self

    def update(self, done: int, text: str) -> None:
        """Show that `done` of `total` is done, at most once per `interval` seconds."""
        if self._draw is None or (now := self.clock()) < self._next:
            return
        self._next, self._shown = now + self.interval, True
        self._draw(done, self.total, f"{self.label}: {text}")

    def __exit__(self, *error) -> None:
        if self._shown:
            self._draw(0, 0, "")


def _notebook_line():
    """A function that draws into one output of the running cell, or None where no kernel runs."""
    ipython = sys.modules.get("IPython")  # a kernel has imported it long ago
    shell = ipython.get_ipython() if ipython else None
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display, update_display

    name = uuid.uuid4().hex
    published = False

    def draw(done, total, text):
        nonlocal published
        if not published:
            display({}, raw=True, display_id=name)
            published = True
        bar = f'<progress max="{total}" value="{done}" aria-label="training"></progress> {html.escape(text)}'
        data = {"text/html": bar, "text/plain": text} if text else {}
        update_display(data, raw=True, display_id=name)

    return draw


def _terminal_line():
    """A function that rewrites one line of a terminal, or None where stderr is a file or a pipe."""
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    width = 0

    def draw(done, total, text):
        nonlocal width
        line = f"{done / total:4.0%} {text}"[: shutil.get_terminal_size().columns - 1] if text else ""
        sys.stderr.write(f"\r{line.ljust(width)}" + ("" if text else "\r"))
        sys.stderr.flush()
        width = len(line)

    return draw
