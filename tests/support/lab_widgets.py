"""What a lab shows, read off its widgets, for tests that need no browser."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import ipywidgets
import numpy as np


def options(control) -> list:
    if hasattr(control, "options"):
        return [value for _, value in control.options]
    return list(np.arange(control.min, control.max + control.step / 2, control.step))


def drawn(lab) -> list[np.ndarray]:
    """The points of each line, from the bytes that the browser gets."""
    points = np.frombuffer(lab.plot.frame["points"], "<f4").reshape(-1, 2).astype(float)
    assert len(points) == sum(lab.plot.frame["lengths"])
    return np.split(points, np.cumsum(lab.plot.frame["lengths"])[:-1])


def to_data(points, panel, xlim, ylim, *, log=False):
    """From picture coordinates back to data, by the panel's rectangle and the limits of its axes alone."""
    left, top, width, height = panel
    x = xlim[0] + (points[:, 0] - left) / width * (xlim[1] - xlim[0])
    share = 1 - (points[:, 1] - top) / height
    low, high = np.log10(ylim) if log else ylim
    y = low + share * (high - low)
    return np.column_stack([x, 10**y if log else y])


def widgets_of(lab, kind):
    def walk(widget):
        yield widget
        for child in getattr(widget, "children", ()):
            yield from walk(child)

    return [each for each in walk(lab.widget()) if type(each).__name__ == kind]


class PlotPage:
    """A page that shows a lab, as far as the kernel knows: its picture, put together from what it is told, and bytes.

    points   of each line; texts and alt as in a frame
    bytes    of all messages to it, those of other widgets too
    told     the kinds of the widgets that they came from, in order
    """

    def __init__(self, lab):
        self._plot, self.bytes, self.told = lab.plot, 0, []

    def _hear(self, widget, message: dict, buffers=None) -> None:
        self.told.append(type(widget).__name__)
        self.bytes += len(json.dumps(message, default=str)) + sum(map(len, buffers or []))
        if widget is self._plot:
            if message["method"] == "custom":
                self._change(message["content"], *buffers)
            elif "frame" in message["state"]:
                frame = self._plot.frame
                points = np.frombuffer(frame["points"], "<f4").reshape(-1, 2)
                self.points = np.split(points, np.cumsum(frame["lengths"])[:-1])
                self.texts, self.alt = frame["texts"], frame["alt"]

    def _change(self, told: dict, points: bytes) -> None:
        new = np.frombuffer(points, "<f4").reshape(-1, 2)
        for line, start, count, length in told["lines"]:
            whole = np.full((length, 2), 1e9, "<f4")
            kept = self.points[line][:length]
            whole[: len(kept)] = kept
            whole[start : start + count], new = new[:count], new[count:]
            self.points[line] = whole
        self.texts, self.alt = told.get("texts", self.texts), told.get("alt", self.alt)

    def assert_shows(self, lab) -> None:
        """The picture is the lab's."""
        for seen, expected in zip(self.points, drawn(lab), strict=True):
            np.testing.assert_array_equal(seen, expected.astype("<f4"))
        assert (self.texts, self.alt) == (lab.plot.frame["texts"], lab.plot.frame["alt"])


@contextmanager
def shown(lab) -> Iterator[PlotPage]:
    """The lab on such a page."""
    page = PlotPage(lab)
    with patch.object(ipywidgets.Widget, "_send", lambda *message, **more: page._hear(*message, **more)):
        lab.plot._handle_custom_msg({"shown": True}, [])
        yield page
