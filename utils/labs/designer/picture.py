"""The picture of the schedule designer: lr and momentum at each step, and the losses of both trainings."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from utils.labs.designer.report import Shown, alt_text
from utils.labs.plot_widget import Canvas, PlotWidget, beside
from utils.practice.schedule_runs import SEEDS, STEPS, Run

SCHEDULE, CONSTANT = ("#0072B2", "#A9CCE3"), ("#B34700", "#EFC3A4")  # the mean of the runs, each of them
LOSSES = (0.1, 4.0)  # the range that the picture shows
WIDTH = (0, 1.02 * STEPS)  # of every panel: a dot at the last step is whole
DECADES = 4  # of the logarithmic lr axis


def draw_still() -> tuple[Canvas, list[Axes]]:
    """What does not move, and its axes: of lr, momentum and loss."""
    with plt.style.context("utils.workshop"):
        figure, axes = plt.subplots(1, 3, figsize=(9.0, 2.8), width_ratios=[1.25, 0.75, 1], layout="none")
        figure.subplots_adjust(left=0.08, right=0.9, top=0.87, bottom=0.19, wspace=0.3)
        on_lr, on_momentum, on_loss = axes
        quarters = np.linspace(0, 1, 5)
        on_lr.set(xlim=WIDTH, ylim=(0, 1), yticks=quarters, yticklabels=[], xlabel="step")
        on_lr.set_title("lr (dashed: constant)")
        on_momentum.set(xlim=WIDTH, ylim=(0.75, 1), yticks=[0.8, 0.9, 1], xlabel="step")
        on_momentum.set_title("Momentum")
        on_loss.set(xlim=WIDTH, ylim=LOSSES, yscale="log", xlabel="step")
        on_loss.set_title(f"Validation loss: {len(SEEDS)} runs")
        ticks = [0.1, 0.2, 0.5, 1, 2]
        on_loss.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        on_loss.minorticks_off()
        return Canvas.of(figure), list(axes)


def make_plot(canvas: Canvas, axes: list[Axes]) -> PlotWidget:
    """The widget over this still part; frame() says what it shows."""
    runs = [{"panel": 2, "stroke": color, "by_step": True} for color in (SCHEDULE[1], CONSTANT[1]) for _ in SEEDS]
    tick = {"fill": "#262626", "text-anchor": "end", "font-weight": "normal"}
    return PlotWidget(
        size=list(canvas.size),
        panels=[canvas.panel(ax) for ax in axes],
        lines=[
            {"panel": 0, "stroke": CONSTANT[0], "stroke-width": "1.6", "stroke-dasharray": "5 3"},
            {"panel": 0, "stroke": SCHEDULE[0], "stroke-width": "2.5", "dot": 5, "by_step": True},
            {"panel": 1, "stroke": SCHEDULE[0], "stroke-width": "2", "dot": 4, "by_step": True},
            *runs,
            {"panel": 2, "stroke": CONSTANT[0], "stroke-width": "2.5", "dot": 5, "by_step": True},
            {"panel": 2, "stroke": SCHEDULE[0], "stroke-width": "2.5", "dot": 5, "by_step": True},
        ],
        words=[
            *[tick] * 5,
            {"fill": SCHEDULE[0], "text-anchor": "start"},
            {"fill": CONSTANT[0], "text-anchor": "start"},
            {"fill": "#A33F00", "text-anchor": "middle"},
            {"fill": "#262626", "text-anchor": "end"},
        ],
        step=STEPS,
    )


def frame(canvas: Canvas, axes: list[Axes], values, shown: Shown) -> dict:
    """What moves: the lines and words of make_plot(), and the alt text; `values` are those of the lab's controls."""
    on_lr, on_momentum, on_loss = axes
    schedule, constant = shown.schedule, shown.constant
    scale = _Scale(max([values["constant"], *shown.lr[np.isfinite(shown.lr)]]), log=values["log"])
    steps = np.arange(STEPS + 1)
    moving = [
        (on_lr, [0, STEPS], scale.height([values["constant"]] * 2)),
        (on_lr, steps[: len(shown.lr)], np.maximum(scale.height(shown.lr), 0)),
        (on_momentum, steps[: len(shown.momentum)], shown.momentum),
    ]
    for run in (schedule, constant):
        moving += [(on_loss, steps[: run.step + 1], each) for each in _in_picture(run.loss[: run.step + 1].T)]
    for run in (constant, schedule):
        moving.append((on_loss, steps[: run.step + 1], _in_picture(run.mean[: run.step + 1])))

    training = next((run for run in (constant, schedule) if not run.finished), None)
    words = [(on_lr, 0, scale.height(mark), f"{mark:g}") for mark in scale.marks]
    words += [_named(on_loss, schedule, "schedule"), _named(on_loss, constant, "constant")]
    words.append((on_lr, STEPS / 2, 0.5, f"{shown.error.partition(':')[0]}: see below" if shown.error else ""))
    words.append((on_loss, STEPS, LOSSES[1] * 0.75, f"training: step {training.step} of {STEPS}" if training else ""))
    found = canvas.frame(moving, words, alt_text(values, shown))
    return found | {"texts": _placed(found["texts"])}


class _Scale:
    """The axis of lr: `marks` are the five numbers beside it, from below, the uppermost at least `highest`."""

    def __init__(self, highest: float, *, log: bool):
        self._log, self._top = log, 10.0 ** np.ceil(np.log10(highest) - 1e-9) if log else _round_up(highest)
        self.marks = self._top * 10.0 ** -np.arange(DECADES, -1, -1) if log else np.linspace(0, self._top, 5)

    def height(self, lrs) -> np.ndarray:
        """Where lrs are on the axis, as a share of its height."""
        if not self._log:
            return np.asarray(lrs) / self._top
        return 1 + np.log10(np.maximum(lrs, self._top * 10.0 ** -(2 * DECADES)) / self._top) / DECADES


def _named(on_loss: Axes, run: Run, name: str) -> tuple:
    """The name of a run at the end of its mean, none before the first step."""
    end = _in_picture(run.mean[run.step]) if run.step else LOSSES[1]
    return on_loss, run.step, end, name if run.step else ""


def _placed(texts: list[tuple]) -> list[tuple]:
    """Numbers beside the ticks, and the names of the two curves beside their ends, none over the other."""
    numbers = [(x - 7, y + 4, text) for x, y, text in texts[:5]]
    schedule, constant = texts[5:7]
    # Side by side they may share a line. Else both move, so that each is as near to its curve as the other.
    apart = 15 if abs(schedule[0] - constant[0]) < 80 else 0
    middle, half = (schedule[1] + constant[1]) / 2 + 4, max(apart, abs(schedule[1] - constant[1])) / 2
    constant, schedule = beside([constant, schedule], apart, low=middle - half, high=middle + half)
    return [*numbers, schedule, constant, *texts[7:]]


def _round_up(highest: float) -> float:
    """The least of 1, 2, 4 and 8 times a power of ten that is not below: its quarters are short numbers."""
    power = 10.0 ** np.floor(np.log10(highest))
    return next(times * power for times in (1, 2, 4, 8, 10) if times * power >= highest * (1 - 1e-9))


def _in_picture(losses):
    """What is too high or low to be seen, or has diverged, at the edge; what is not there yet, not."""
    return np.clip(losses, LOSSES[0] * 1.01, LOSSES[1] * 0.99)
