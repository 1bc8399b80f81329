"""Every figure of the workshop: data and `ax` in, `ax` out; picture() turns the result into an output with alt text.

Use the look once per notebook: `plt.style.use("utils.workshop")`. Each function notes on its axes what a reader would
see there (as the axes' label, which matplotlib never draws); picture() gathers these notes into the alt text.
Longer than two screens, so that whoever looks for a figure looks in one place.
"""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from PIL import Image, PngImagePlugin

from utils.descent import Trace
from utils.surfaces import Surface

SMALLEST = 9  # points
HALO = [patheffects.withStroke(linewidth=3, foreground="white")]  # keeps lines and labels readable on any colour


@dataclass(frozen=True)
class Picture:
    """A finished figure: PNG bytes, its alt text, and its width in CSS pixels."""

    png: bytes
    alt: str
    width: int

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png).decode()
        return (
            f'<img alt="{html.escape(self.alt)}" width="{self.width}" style="max-width: 100%; height: auto" '
            f'src="data:image/png;base64,{data}">'
        )

    def __repr__(self) -> str:
        return f"<Picture: {self.alt}>"


def too_small(figure: Figure) -> list[str]:
    """Visible texts of the figure below SMALLEST points; a page shows a figure's points as its own."""
    texts = figure.findobj(
        lambda artist: isinstance(artist, Text) and artist.get_visible() and artist.get_fontsize() < SMALLEST
    )
    return sorted({text.get_text() for text in texts} - {""})


def picture(drawn: Axes | Figure, *, alt: str | None = None) -> Picture:
    """Finish a figure (given itself or by one of its axes) as the output of a cell, and close it.

    Without `alt` the alt text is put together from the titles and from what the plotting functions noted on the axes.
    Raises ValueError when neither gives one (a picture that cannot be told in words is not shown), or for tiny text.
    """
    figure = drawn if isinstance(drawn, Figure) else drawn.figure
    if alt is None:
        notes = [figure.get_suptitle()]
        for ax in figure.axes:
            title = " ".join(ax.get_title(loc) for loc in ("left", "center", "right")).strip()
            notes += [title, ax.get_label()]
        alt = " ".join(f"{note.rstrip('.')}." for note in notes if note and not note.startswith("<"))
        alt = alt.replace("\n", " ")
    if not alt:
        raise ValueError('this figure has no title and no description: pass alt="what a reader sees in it"')
    if small := too_small(figure):
        raise ValueError(f"text below {SMALLEST} pt cannot be read from a page: {', '.join(map(repr, small))}")
    pixels = io.BytesIO()
    figure.savefig(pixels, format="png", pil_kwargs={"compress_level": 1})
    plt.close(figure)
    return Picture(reduced(pixels.getvalue()), alt, round(figure.get_figwidth() * figure.dpi))


def reduced(png: bytes, *, colors: int = 256, notes: Mapping[str, str] | None = None) -> bytes:
    """The PNG with this many colours: for lines and contours 256 are enough, and make it a third as large.

    Metadata go, so that the same picture is the same file, but for `notes`, which are stored as texts.
    """
    small, texts = io.BytesIO(), PngImagePlugin.PngInfo()
    for name, text in (notes or {}).items():
        texts.add_text(name, text)
    with Image.open(io.BytesIO(png)) as image:
        few = image.convert("RGB").quantize(colors, dither=Image.Dither.NONE)
        few.save(small, format="png", pnginfo=texts if notes else None)
    return small.getvalue()


def sparkline(values: np.ndarray) -> bytes:
    """PNG of a curve without axes above a grey line at 0, for a table: 120 by 36 CSS pixels, two dots for each.

    `values`, shape (points,), are at least 0 and not all 0.
    """
    # A PNG, because GitHub is known to show one inside a notebook's output, and white, to be seen on dark pages.
    figure = Figure(figsize=(1.2, 0.36), dpi=200, layout="none", facecolor="white")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.axhline(0, color="#B0B0B0", linewidth=0.4)
    ax.plot(values, color="#0072B2", linewidth=1.4)
    last, top = len(values) - 1, max(values)  # a rim of 5 dots all around the curve's 230 by 62
    ax.set(xlim=(-5 / 230 * last, 235 / 230 * last), ylim=(-5 / 62 * top, 67 / 62 * top))
    ax.axis("off")
    pixels = io.BytesIO()
    figure.savefig(pixels, format="png", dpi=figure.dpi)  # whatever the style in use asks for
    return reduced(pixels.getvalue(), colors=16)


def _axes(ax: Axes | None, **figure_options) -> Axes:
    return plt.subplots(**figure_options)[1] if ax is None else ax


def _color(label: str, place: int, colors: Mapping[str, str] | None) -> str:
    """The colour that `colors` gives this label, so that a name keeps its colour from figure to figure, or the next."""
    return (colors or {}).get(label, f"C{place % 7}")


def describe(trace: Trace) -> str:
    """The end of a run in words: "Adam, lr 0.03: loss 2e-07 after 60 steps", or where it diverged."""
    if trace.diverged_at is not None:
        return f"{trace.label}: diverged at step {trace.diverged_at}"
    return f"{trace.label}: loss {trace.loss[-1]:.2g} after {len(trace.lr)} steps"


def readable(color: str) -> str:
    """The colour for words, as #rrggbb: this one, darkened until its contrast on white is 4.5 (WCAG 2, level AA)."""
    rgb = np.array(to_rgb(color))
    while True:
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        if 1.05 / (linear @ (0.2126, 0.7152, 0.0722) + 0.05) >= 4.5:
            return to_hex(rgb)
        rgb *= 0.97


def surface_contours(surface: Surface, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """Contours of the loss over the surface's window (darker is lower), with a star at each minimum."""
    ax = _axes(ax)
    left, right, bottom, top = surface.window
    x, y = np.meshgrid(np.linspace(left, right, 161), np.linspace(bottom, top, 161))
    loss = surface.loss(x, y)
    # Evenly spaced levels would crowd at the walls. This power puts half of the window below the middle level.
    power = max(1.0, np.log(np.median(loss) / loss.max()) / np.log(0.5))
    levels = loss.max() * np.linspace(0, 1, 15) ** power
    shades = plt.get_cmap("Greys")(np.linspace(0.5, 0.02, len(levels) - 1))  # grey leaves the colours to the runs
    ax.contourf(x, y, loss, levels=levels, colors=shades)
    ax.contour(x, y, loss, levels=levels[1:-1], colors="white", linewidths=0.6)
    ax.plot(*np.transpose(surface.minima), "*", color="black", markersize=11, linestyle="none", zorder=4)
    ax.set(xlim=(left, right), ylim=(bottom, top), xlabel="parameter x", ylabel="parameter y")
    ax.grid(False)
    ax.set_title(title or surface.name)
    ax.set_label(f"Contours of {surface.name}")
    return ax


def surface_traces(
    surface: Surface,
    traces: Sequence[Trace] | Trace,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    mark_every: int = 1,
    arrows_at: Sequence[int] = (),
    colors: Mapping[str, str] | None = None,
) -> Axes:
    """The paths of any number of runs on the surface's contours.

    A dot marks every `mark_every`-th step (0: none), an arrow points along each step in `arrows_at` (step k leads from
    point k to k + 1). A run that leaves the window is drawn to its edge; one that diverged says so at its label.
    """
    traces = [traces] if isinstance(traces, Trace) else list(traces)
    ax = surface_contours(surface, ax, title=title)
    ends = []
    for i, trace in enumerate(traces):
        path = trace.path[np.isfinite(trace.path).all(axis=1)]
        color = _color(trace.label, i, colors)
        ax.plot(*path.T, color=color, linewidth=1.8, path_effects=HALO, zorder=3)
        if mark_every:
            ax.plot(*path[::mark_every].T, "o", color=color, markersize=4, zorder=3)
        for k in arrows_at:
            if k + 1 < len(path):
                arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 1.8, "shrinkA": 0, "shrinkB": 0}
                ax.annotate("", path[k + 1], path[k], arrowprops=arrow, zorder=5)
        ax.plot(*path[0], "s", color="black", markersize=7, zorder=5)
        ends.append((_last_visible(path, surface.window), _named(trace), color))
    _label_points(ax, ends)
    ax.set_label("; ".join([f"Paths on {surface.name}", *map(describe, traces)]))
    return ax


def _named(trace: Trace) -> str:
    return trace.label + (f" (diverged at step {trace.diverged_at})" if trace.diverged_at is not None else "")


def _last_visible(path, window) -> np.ndarray:
    left, right, bottom, top = window
    inside = (path[:, 0] >= left) & (path[:, 0] <= right) & (path[:, 1] >= bottom) & (path[:, 1] <= top)
    return path[np.flatnonzero(inside)[-1]] if inside.any() else path[0]


def spread(wanted, apart: float, low: float, high: float) -> np.ndarray:
    """Heights close to the `wanted` ones, at least `apart` from each other and within low…high while there is room."""
    wanted = np.clip(np.asarray(wanted, dtype=float), low, high)
    placed, steps = np.empty(len(wanted)), apart * np.arange(len(wanted))
    order = np.argsort(wanted, kind="stable")
    upward = np.maximum.accumulate(wanted[order] - steps) + steps  # each at its place or above the one below it
    placed[order] = np.minimum(upward, high - steps[::-1])  # and all of them down again where the top is too full
    return placed


def _label_points(ax: Axes, ends) -> None:
    """Write each (point, text, colour) beside its point, moved up or down until no two labels of the axes overlap."""
    figure = ax.figure
    figure.draw_without_rendering()  # settles the layout, so that points have their final place
    line = 1.35 * plt.rcParams["font.size"] * figure.dpi / 72
    box = ax.get_window_extent()
    at = [ax.transData.transform(point) for point, _, _ in ends]
    heights = spread([y + 0.8 * line for _, y in at], line, box.y0 + 0.7 * line, box.y1 - 0.7 * line)
    for (point, text, color), (x, y), height in zip(ends, at, heights, strict=True):
        to_left = x > (box.x0 + box.x1) / 2
        ax.annotate(
            text,
            point,
            xytext=(-8 if to_left else 8, (height - y) * 72 / figure.dpi),
            textcoords="offset points",
            ha="right" if to_left else "left",
            va="center",
            color=readable(color),
            fontweight="bold",
            path_effects=HALO,
            zorder=6,
            annotation_clip=False,
        )


def _label_right(ax: Axes, ends) -> None:
    """Write each (y, text, colour) to the right of the axes at its height, pushed apart where labels would overlap."""
    ax.figure.draw_without_rendering()
    line = 1.3 * plt.rcParams["font.size"] * ax.figure.dpi / 72
    box = ax.get_window_extent()
    at = [ax.transData.transform((ax.get_xlim()[1], y))[1] for y, _, _ in ends]
    for (_, text, color), height in zip(ends, spread(at, line, box.y0, box.y1), strict=True):
        ax.annotate(
            text,
            (1, (height - box.y0) / box.height),
            xycoords="axes fraction",
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=readable(color),
            fontweight="bold",
            annotation_clip=False,
        )


def loss_curves(
    curves: Mapping[str, np.ndarray] | Sequence[Trace],
    ax: Axes | None = None,
    *,
    title: str | None = None,
    xlabel: str = "step",
    ylabel: str = "loss",
    log: bool = True,
    x: np.ndarray | None = None,
    floor: float = 0.0,
    colors: Mapping[str, str] | None = None,
) -> Axes:
    """Loss against step, a line each, labelled at its end.

    `curves` are traces (one that diverged says so at its label), or label → array of shape (points,) or (points,
    seeds); with seeds the line is the median and the band runs from the lowest to the highest seed. `x` gives the
    points' places (default 0, 1, 2, …). Points that are not finite are left out; on a log scale losses below `floor`
    are drawn at `floor`.
    """
    curves = curves.items() if isinstance(curves, Mapping) else [(_named(trace), trace.loss) for trace in curves]
    ax = _axes(ax)
    ends, notes = [], []
    for i, (label, values) in enumerate(curves):
        values = np.asarray(values, dtype=float)
        values = values[:, None] if values.ndim == 1 else values
        values = np.where(np.isfinite(values), np.maximum(values, floor) if floor else values, np.nan)
        shown = np.isfinite(values).any(axis=1)
        if not shown.any():
            raise ValueError(f"{label}: no point is finite, so there is nothing to draw")
        places = np.arange(len(values)) if x is None else np.asarray(x)
        places, values = places[shown], values[shown]
        middle = np.nanmedian(values, axis=1)
        color = _color(label, i, colors)
        ax.plot(places, middle, color=color)
        if values.shape[1] > 1:
            ax.fill_between(places, np.nanmin(values, axis=1), np.nanmax(values, axis=1), color=color, alpha=0.2, lw=0)
        ends.append((middle[-1], label, color))
        notes.append(f"{label} goes from {middle[0]:.2g} to {middle[-1]:.2g}")
    if log:
        ax.set_yscale("log")
    ax.margins(x=0.01)
    if np.issubdtype(places.dtype, np.integer):  # steps and epochs: no tick at 2.5
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title or "")
    _label_right(ax, ends)
    ax.set_label(f"{ylabel} against {xlabel}: " + "; ".join(notes))
    return ax


def lr_sensitivity(
    results: Mapping[str, tuple[np.ndarray, np.ndarray]],
    ax: Axes | None = None,
    *,
    title: str | None = None,
    ylabel: str = "final loss",
    log: bool = True,
    colors: Mapping[str, str] | None = None,
) -> Axes:
    """Final loss against lr (log scale), the U-shaped curve: label → (lrs, losses of shape (lrs,) or (lrs, seeds)).

    The line is the median over seeds, the band their range, the ring the lr that `Sweep.best_lr` takes: the lowest
    mean, where no seed diverged (where there is no such lr, the lowest median). A run that is not finite counts as
    diverged: an lr at which at least half of the seeds diverged is a cross at the upper edge.
    """
    ax = _axes(ax)
    ends, notes, crosses = [], [], []
    for i, (label, (lrs, losses)) in enumerate(results.items()):
        lrs, order = np.sort(np.asarray(lrs, dtype=float)), np.argsort(lrs)
        losses = np.asarray(losses, dtype=float)[order]
        losses = losses[:, None] if losses.ndim == 1 else losses
        losses = np.where(np.isfinite(losses), losses, np.inf)
        middle = np.median(losses, axis=1)
        ok = np.isfinite(middle)
        if not ok.any():
            raise ValueError(f"{label}: every lr diverged; try smaller ones")
        color = _color(label, i, colors)
        ax.plot(lrs[ok], middle[ok], color=color, marker="o")
        if losses.shape[1] > 1:
            highest = np.where(np.isfinite(losses[ok]), losses[ok], np.nan)
            ax.fill_between(lrs[ok], losses[ok].min(axis=1), np.nanmax(highest, axis=1), color=color, alpha=0.2, lw=0)
        mean = losses.mean(axis=1)
        best = (mean if np.isfinite(mean).any() else middle).argmin()
        ax.plot(lrs[best], middle[best], "o", markersize=11, markerfacecolor="none", color=color, markeredgewidth=2)
        crosses.append((lrs[~ok], color))
        ends.append((middle[ok][-1], label, color))
        note = f"{label} is best at lr {lrs[best]:.2g} with {middle[best]:.2g}"
        note += _diverging(lrs, ok)
        notes.append(note)
    ax.set_xscale("log")
    if log:
        ax.set_yscale("log")
    ax.set(xlabel="lr", ylabel=ylabel)
    ax.set_title(title or "")
    _mark_diverged(ax, crosses)
    if len(results) > 1:
        _label_right(ax, ends)
    ax.set_label(f"{ylabel} against lr: " + "; ".join(notes))
    return ax


def _diverging(lrs: np.ndarray, ok: np.ndarray) -> str:
    """Where runs diverged, in words: from an lr on, or at which; "" if nowhere."""
    bad = [f"{lr:.2g}" for lr in lrs[~ok]]
    if not bad:
        return ""
    return f" and diverges from lr {bad[0]} on" if ok[: -len(bad)].all() else f" and diverges at lr {', '.join(bad)}"


def _mark_diverged(ax: Axes, crosses: Sequence[tuple[np.ndarray, str]]) -> None:
    """A cross at the upper edge for each of these lrs, in a row for each colour: several may diverge at the same lr."""
    for row, (lrs, color) in enumerate(crosses):
        heights = np.full(len(lrs), 0.97 - 0.05 * row)
        look = {"color": color, "markersize": 9, "markeredgewidth": 2.5}
        ax.plot(lrs, heights, "x", transform=ax.get_xaxis_transform(), **look)
    if any(len(lrs) for lrs, _ in crosses):
        below = 0.95 - 0.05 * len(crosses)
        ax.text(0.99, below, "× diverged", transform=ax.transAxes, ha="right", va="top", color="0.3")
