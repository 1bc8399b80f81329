"""The picture of Lab 2: paths, losses, and the loss at the end against lr, a colour for each racer."""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from utils.descent import Trace
from utils.labs.plot_widget import Canvas, PlotWidget, beside
from utils.labs.racers import LRS, STEPS, TRIED, Course
from utils.plots import readable, surface_contours
from utils.surfaces import Surface

COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#4B1E78", "#000000"]  # as in the lessons' figures
DASHES = ["none", "7 3", "2.5 2.5", "10 3 2 3", "4 4", "1.5 4"]  # for eyes that do not tell the colours
LOSSES = (1e-10, 1e3)  # the range that the picture shows


@dataclass(frozen=True)
class Entry:
    """What is seen of one racer.

    outcome   its run, or why it has none, or None: it is not in the race
    curve     (len(TRIED),): the loss at the end of each run that tuned it, or empty
    note      what else is to be said of it, or ""
    """

    name: str
    lr: float
    outcome: Trace | str | None
    curve: np.ndarray
    note: str = ""

    def result(self, target: float) -> str:
        """How it ended, and after how many steps its loss was at most `target`."""
        return self._ending(target) + (f", {self.note}" if self.note and self.outcome is not None else "")

    @property
    def tuned(self) -> bool:
        """Whether it stands at the lr that tuning found, and that still holds."""
        return self.curve.size > 0 and self.lr == TRIED[int(self.curve.argmin())]

    def _ending(self, target: float) -> str:
        if self.outcome is None:
            return "not in the race"
        if isinstance(self.outcome, str):
            return self.outcome
        if self.outcome.diverged_at is not None:
            return f"diverged at step {self.outcome.diverged_at}"
        steps = self.outcome.steps_to(target)
        reached = "target missed" if steps is None else f"target at step {steps}"
        return f"loss {self.outcome.loss[-1]:.1e}, {reached}"


def visible(losses) -> np.ndarray:
    """Losses as the picture shows them: what diverged, or is too high or low to be seen, at the edge."""
    losses = np.where(np.isfinite(losses), losses, np.inf)
    return np.clip(losses, LOSSES[0] * 2, LOSSES[1] / 2)


def draw_still(surface: Surface) -> tuple[Canvas, list[Axes]]:
    """What does not move, for one surface, and its three axes."""
    with plt.style.context("utils.workshop"):
        figure, axes = plt.subplots(1, 3, figsize=(9.0, 2.95), width_ratios=[1.15, 1, 1.03], layout="none")
        figure.subplots_adjust(left=0.08, right=0.98, top=0.87, bottom=0.19, wspace=0.48)
        on_surface, on_loss, on_lr = axes
        surface_contours(surface, on_surface, title="The paths")
        limits = {"yscale": "log", "ylim": LOSSES}
        on_loss.set(xlim=(0, 1.03 * STEPS), xlabel="step", ylabel="loss", title="Their losses", **limits)
        on_lr.tick_params(labelleft=False)  # the axis beside it says the same, and the racers' names stand here
        on_lr.set(
            xscale="log", xlim=(LRS[0] / 1.3, LRS[-1] * 1.3), xlabel="lr", title=f"Loss after {STEPS} steps", **limits
        )
        return Canvas.of(figure), list(axes)


def make_plot(canvas: Canvas, axes: list[Axes]) -> PlotWidget:
    """The widget over such a still part; frame() says what it shows."""
    lines = []
    for place, (color, dashes) in enumerate(zip(COLORS, DASHES, strict=True)):
        # Who is drawn over others is thinner and has gaps: of several at one place each stays in sight.
        look = {"stroke": color, "stroke-width": f"{3 - 0.3 * place:.1f}"}
        lines += [
            {"panel": 0, "dot": 7 - 0.8 * place, "by_step": True, "stroke-dasharray": dashes, **look},
            {"panel": 1, "dot": 6 - 0.7 * place, "by_step": True, "stroke-dasharray": dashes, **look},
            {"panel": 2, **look, "stroke-width": "1.5", "stroke-dasharray": dashes},
            {"panel": 2, "dot": 11 - 1.8 * place, **look},
        ]
    lines += [
        {"panel": 0, "stroke": "black", "dot": 6, "hollow": True},
        {"panel": 1, "stroke": "#5A5A5A", "stroke-dasharray": "5 3"},
    ]
    return PlotWidget(
        size=list(canvas.size),
        panels=[canvas.panel(ax) for ax in axes],
        lines=lines,
        words=[{"fill": readable(color), "text-anchor": "start"} for color in (*COLORS, "#5A5A5A")],
        step=STEPS,
    )


def frame(canvas: Canvas, axes: list[Axes], entries: list[Entry], *, course: Course, target: float) -> dict:
    """What moves: the lines and words of make_plot() for six entries, and the alt text."""
    on_surface, on_loss, _ = axes
    moving, names = [], []
    for entry in entries:
        lines, name = _drawn(entry, axes)
        moving += lines
        names.append(name)
    x, y = course.start
    moving += [(on_surface, [x], [y]), (on_loss, [0, STEPS], [target] * 2)]
    told = [f"{e.name}, lr {e.lr:.3g}: {e.result(target)}" for e in entries if e.outcome is not None]
    alt = f"{STEPS} steps on the problem {course.problem}. " + "; ".join(told or ["Nobody is in the race"]) + "."
    shown = canvas.frame(moving, [*names, (on_loss, 0, target, "target")], alt)
    *names, (x, y, word) = shown["texts"]
    bottom = canvas.size[1] - on_loss.bbox.y0
    return shown | {"texts": [*beside(names, 15, high=bottom), (x + 4, y + 13, word)]}


def _drawn(entry: Entry, axes: list[Axes]) -> tuple[list, tuple]:
    """The four lines of a racer, empty for one that has no run, and its name at the end of its losses."""
    on_surface, on_loss, on_lr = axes
    if not isinstance(entry.outcome, Trace):
        return [(on_surface, [], []), (on_loss, [], []), (on_lr, [], []), (on_lr, [], [])], (on_loss, STEPS, 1, "")
    path, loss = entry.outcome.path, entry.outcome.loss
    end = visible(loss[-1:])
    lines = [
        (on_surface, *path.T),
        (on_loss, np.arange(STEPS + 1), np.maximum(loss, LOSSES[0] / 10)),
        (on_lr, TRIED[: len(entry.curve)], entry.curve),
        (on_lr, [entry.lr], end),
    ]
    short = entry.name if len(entry.name) < 12 else entry.name[:10] + "…"
    return lines, (on_loss, STEPS, end[0], short)
