"""A picture whose moving part is a few lines over it: matplotlib draws what is still, the browser what moves.

Drawing a figure anew takes 100 ms and more; moving a few hundred points over one that is already there takes a message.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import anywidget
import matplotlib.pyplot as plt
import numpy as np
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from utils.plots import spread


class PlotWidget(anywidget.AnyWidget):
    """A picture with lines, dots and words over it; see plot_widget.js, which draws them.

    size, panels, lines and words are fixed; one `frame` is everything that moves, so a change is one message:
    {"points": float32 bytes of (x, y) pairs in picture coordinates, "lengths": points per line,
     "texts": [(x, y, text) per word], "alt": what is seen, in words}.
    A page that shows a frame is told only what is new in the next one, as changed() says it.
    """

    _esm = Path(__file__).with_name("plot_widget.js")
    size = traitlets.List().tag(sync=True)  # (width, height) in CSS pixels
    panels = traitlets.List().tag(sync=True)  # (x, y, width, height) of each; lines are clipped to their panel
    lines = traitlets.List().tag(sync=True)  # {"panel", "dot", "hollow", "by_step", and SVG attributes, "stroke" say}
    words = traitlets.List().tag(sync=True)  # SVG attributes such as "fill" and "text-anchor"
    background = traitlets.Bytes().tag(sync=True)  # PNG
    frame = traitlets.Dict().tag(sync=True)
    step = traitlets.Int().tag(sync=True)  # lines marked by_step are drawn up to this point
    _shown = False

    def __init__(self, **settings):
        super().__init__(**settings)
        self.on_msg(self._heard)

    def _heard(self, _plot, said: dict, _buffers) -> None:
        if said.get("shown"):  # by one page, or by one more
            self._shown = True
            self.send_state("frame")

    def _should_send_property(self, key: str, value) -> bool:
        return not (key == "frame" and self._shown) and super()._should_send_property(key, value)

    @traitlets.observe("frame")
    def _tell(self, change) -> None:
        if self._shown:
            told, points = changed(change.old, change.new)
            self.send(told, [points])


def changed(old: dict, new: dict) -> tuple[dict, bytes]:
    """What turns one frame into the next, and the new points of all lines, one line after the other.

    {"lines": [(line, from which point on, how many new points, how long it is now)], and "texts" and "alt" if new}.
    """
    lines, points = [], []
    for i, (before, now) in enumerate(zip(_lines(old), _lines(new), strict=True)):
        both = min(len(before), len(now))
        differs = np.flatnonzero(before[:both] != now[:both])
        if not differs.size and len(before) == len(now):
            continue
        start = int(differs[0]) if differs.size else both
        stop = int(differs[-1]) + 1 if len(before) == len(now) else len(now)
        lines.append((i, start, stop - start, len(now)))
        points.append(now[start:stop].tobytes())
    return {"lines": lines} | {name: new[name] for name in ("texts", "alt") if new[name] != old[name]}, b"".join(points)


def _lines(frame: dict) -> list[np.ndarray]:
    """The points of each line, a point as one number: so that a nan equals a nan."""
    return np.split(np.frombuffer(frame["points"], "<u8"), np.cumsum(frame["lengths"])[:-1])


@dataclass(frozen=True)
class Canvas:
    """A drawn figure in picture coordinates: CSS pixels from the upper left corner, x to the right, y down."""

    figure: Figure
    png: bytes

    @classmethod
    def of(cls, figure: Figure) -> "Canvas":
        """The canvas of a finished figure, which is closed."""
        png = BytesIO()
        figure.savefig(png, dpi=2 * figure.dpi, metadata={"Software": None})  # twice as fine as CSS pixels
        plt.close(figure)
        return cls(figure, png.getvalue())

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return round(self.figure.bbox.width), round(self.figure.bbox.height)

    def panel(self, ax: Axes) -> list[float]:
        """x, y, width and height of the axes' frame, as PlotWidget.panels takes them."""
        box = ax.bbox
        return [box.x0, self.size[1] - box.y1, box.width, box.height]

    def place(self, ax: Axes, x, y) -> np.ndarray:
        """(n, 2) picture coordinates of the data points (x, y); a point that cannot be placed is nan."""
        with np.errstate(all="ignore"):
            points = ax.transData.transform(np.column_stack([x, y]))
        points[:, 1] = self.size[1] - points[:, 1]
        # Far outside the picture a browser's arithmetic would suffer; the panel cuts lines off long before.
        return np.clip(points, -1e4, 1e4)

    def _places(self, lines: list[tuple]) -> list[np.ndarray]:
        """What place() gives for each (ax, x, y): asked once for each of the axes, since a question takes longer than
        the answer for a hundred points."""
        placed = [np.empty(0)] * len(lines)
        for ax in {ax for ax, *_ in lines}:
            mine = [i for i, line in enumerate(lines) if line[0] is ax]
            ends = np.cumsum([len(lines[i][1]) for i in mine])
            x, y = (np.concatenate([lines[i][axis] for i in mine]) for axis in (1, 2))
            for i, points in zip(mine, np.split(self.place(ax, x, y), ends[:-1]), strict=True):
                placed[i] = points
        return placed

    def frame(self, moving, texts, alt: str) -> dict:
        """What PlotWidget.frame takes: `moving` is a list of (ax, x, y), `texts` one of (ax, x, y, text)."""
        points = self._places([*moving, *((ax, [x], [y]) for ax, x, y, _ in texts)])
        places = [place[0] for place in points[len(moving) :]]
        words = [
            (*place.tolist(), text) if np.isfinite(place).all() else (0.0, 0.0, "")  # a browser cannot put it at nan
            for place, (*_, text) in zip(places, texts, strict=True)
        ]
        points = points[: len(moving)]
        return {
            "points": np.concatenate(points).astype("<f4").tobytes(),
            "lengths": [len(each) for each in points],
            "texts": words,
            "alt": alt,
        }


class Stills(dict):
    """key → (Canvas, its axes), drawn by `draw(key)` when first asked for.

    Drawing takes a moment, so once a page shows the lab (`draw_soon` is for its widget's on_msg) all other `keys` are
    drawn between one message of the kernel and the next: the first choice of each then need not wait.
    """

    def __init__(self, draw: Callable, keys: Iterable):
        super().__init__()
        self._draw, self._waiting = draw, list(keys)

    def draw_soon(self, _plot, said: dict, _buffers) -> None:
        """Start to draw those that are waiting, in the kernel's event loop, if the page says that it shows the lab."""
        if said.get("shown"):
            asyncio.get_running_loop().call_later(0.2, self._draw_next)

    def __missing__(self, key):
        self[key] = self._draw(key)
        return self[key]

    def _draw_next(self) -> None:
        if self._waiting:
            self[self._waiting.pop(0)]
            asyncio.get_running_loop().call_later(0.02, self._draw_next)


def beside(words, apart: float, *, low: float = -np.inf, high: float = np.inf) -> list[tuple[float, float, str]]:
    """Words (x, y, text) moved to the right of their places, at least `apart` from each other from line to line.

    Places are picture coordinates, baselines come within low…high while there is room. A word without text stays.
    """
    seen = [i for i, (_, _, text) in enumerate(words) if text]
    baselines = spread([words[i][1] + 4 for i in seen], apart, low, high)  # a little below the middle of a word
    placed = list(words)
    for i, baseline in zip(seen, baselines.tolist(), strict=True):
        x, _, text = words[i]
        placed[i] = (x + 8, baseline, text)
    return placed


def flatten(plot: PlotWidget) -> bytes:
    """PNG of what the browser shows: the background and, over it, the frame's lines, dots and words."""
    width, height = plot.size
    figure = Figure(figsize=(width / 100, height / 100), dpi=100, layout="none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.imshow(plt.imread(BytesIO(plot.background)), extent=(0, width, height, 0), aspect="auto")
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.axis("off")
    points, at = np.frombuffer(plot.frame["points"], "<f4").reshape(-1, 2), 0
    for look, length in zip(plot.lines, plot.frame["lengths"], strict=True):
        x, y = points[at : at + length][: plot.step + 1 if look.get("by_step") else length].T
        at += length
        panel = plot.panels[look["panel"]]
        clip = Rectangle(panel[:2], *panel[2:], transform=ax.transData)
        drawn = []
        thick = float(look.get("stroke-width", 1))
        dashes = [float(d) / thick for d in look.get("stroke-dasharray", "none").replace("none", "").split()]
        style = {"linewidth": 0.72 * thick, "dashes": dashes or (None, None)}  # matplotlib's grow with the line
        drawn += ax.plot(x, y, color=look["stroke"], **style)
        seen = np.flatnonzero(np.isfinite(y))
        if look.get("dot") and seen.size:
            end = seen[-1]
            size = 1.44 * look["dot"]
            face, edge = ("white", look["stroke"]) if look.get("hollow") else (look["stroke"], "white")
            drawn += ax.plot(x[end], y[end], "o", markerfacecolor=face, markersize=size, markeredgecolor=edge)
        for artist in drawn:
            artist.set_clip_path(clip)  # plot() would set the clip path of the axes again
    for look, (x, y, text) in zip(plot.words, plot.frame["texts"], strict=True):
        align = {"start": "left", "middle": "center", "end": "right"}[look.get("text-anchor", "start")]
        weight = look.get("font-weight", "bold")
        ax.text(x, y, text, ha=align, va="baseline", color=look["fill"], fontsize=10.1, fontweight=weight)
    png = BytesIO()
    figure.savefig(png, dpi=160, metadata={"Software": None})
    return png.getvalue()
