"""What a lab shows, read off its widgets, for tests that need no browser."""

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
