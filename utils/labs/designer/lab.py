"""Lab 3, the schedule designer: choose or compose schedulers, see the lr they set, copy the code, watch it train."""

import bisect
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache, partial

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from utils.labs.designer.background import Runs
from utils.labs.designer.choices import AFTER, ALONE, BEFORE, COMPOSE, KNOBS, LRS, PARTNERS, Design, design
from utils.labs.designer.report import alt_text, table
from utils.labs.goals import Trained, designer_goals
from utils.labs.plot_widget import Canvas, PlotWidget
from utils.labs.shell import WRAP, Lab
from utils.plots import Picture
from utils.practice.schedule_runs import MOMENTUM, SEEDS, STEPS, Run, train
from utils.schedules import lr_curve, momentum_curve

SCHEDULE, CONSTANT = ("#0072B2", "#A9CCE3"), ("#B34700", "#EFC3A4")  # the mean of the runs, each of them
LOSSES = (0.1, 4.0)  # the range that the picture shows
WIDTH = (0, 1.02 * STEPS)  # of every panel: a dot at the last step is whole
DECADES = 4  # of the logarithmic lr axis
STYLE = """<style>
.workshop-code textarea { font: 12px/1.35 monospace; white-space: pre }
.workshop-lab .workshop-words .widget-readout { min-width: 150px }
.workshop-results td, .workshop-results th { padding: 1px 12px 1px 0; text-align: left; line-height: 1.5 }
.workshop-results th, .workshop-results td:not([colspan]) { white-space: nowrap }
.workshop-results div, .workshop-results p { line-height: 1.4; margin: 4px 0 }
div.workshop-results > div { padding-left: 1.4em; text-indent: -1.4em }
</style>"""


def design_schedule(own: Mapping[str, Callable] | None = None) -> Lab:
    """Lab 3: a schedule's lr and momentum at once, and within a second what it does to training, beside a constant lr.

    Both train the same six networks on digits for 200 steps, each network with the same start and batches in both.
    `own` adds schedulers of yours to the choice, name → `make(optimizer)`. One that raises is shown with what it
    raised. Raises ValueError for a name that a built-in one has.
    """
    own = dict(own or {})
    if taken := sorted(own.keys() & KNOBS.keys()):
        raise ValueError(f"{taken[0]} is already there: give your scheduler a name of its own")
    controls, rows = _controls(own)
    optional = rows | {name: controls[name] for name in ("partner", "milestone")}
    canvas, axes = _still()
    code = ipywidgets.Textarea(
        description="code",
        rows=17,
        layout={"flex": "1 1 420px", "max_width": "640px"},
        style={"description_width": "40px"},
    )
    results = ipywidgets.HTML(layout={"width": "435px", "max_width": "calc(100% - 16px)", "margin": "0 8px"})
    goals = designer_goals()

    def start(run: Run, what: Design):
        return train(run, what.factory(own), what.lr)

    lock = threading.RLock()  # one for both: what is drawn is what has been trained, never half of a step
    runs = Runs(start, lambda: lab.show(), lock=lock)
    watched = []  # the last whole run at a constant lr, whose loss stands in for one that is not known yet

    @lru_cache(maxsize=256)
    def curves(what: Design, watch: Design | None) -> tuple[np.ndarray, np.ndarray, str]:
        """lr and momentum at each step that the schedule has, and what it raised if it has fewer than the run."""
        settings = {"lr": what.lr, "metrics": runs[watch].mean if watch else [1.0] * STEPS}
        make, none = what.factory(own), np.empty(0)

        def attempt(steps: int) -> tuple[np.ndarray, np.ndarray, str]:
            try:
                lr = lr_curve(make, steps, **settings)
                return lr, momentum_curve(make, steps, momentum=MOMENTUM, **settings), ""
            except Exception as error:  # what does not go together, or a student's own
                cause = error.__cause__ or error
                return none, none, f"{type(cause).__name__}: {cause}"

        lr, momentum, error = attempt(STEPS)
        if error:
            steps = bisect.bisect_left(range(1, STEPS), True, key=lambda n: bool(attempt(n)[2]))
            lr, momentum, _ = attempt(steps) if steps else (none, none, "")
        return lr, momentum, error

    def update(**values):
        _show_only(optional, values)
        what, rival = design(values, own), Design(values["constant"])
        code.value = what.code
        plateau = "ReduceLROnPlateau(" in what.expression
        if plateau and rival in runs and runs[rival].finished:
            watched[:] = [rival]
        lr, momentum, error = curves(what, watched[0] if plateau and watched else None)
        runs.want((rival,) if error else (rival, what))
        with_constant, with_schedule = runs[rival], Run(error=error) if error else runs[what]
        if plateau and with_schedule.step:
            lr = with_schedule.lr[: with_schedule.step]  # what it did, not what it would do
        frame = _frame(canvas, axes, values, (lr, momentum, error), (with_schedule, with_constant), plateau)
        told = table(values, with_schedule, with_constant) + goals.see(
            Trained(values["compose"] != ALONE, with_schedule, with_constant)
        )
        results.value = f'<div class="workshop-results">{told}</div>'
        return frame, "", canvas.png

    plot = _plot(canvas, axes)
    lab = _Designer(plot, controls, update, runs.finish, partial(_arranged, rows, results, code), lock)
    return lab


class _Designer(Lab):
    """A Lab whose still picture waits for the training."""

    def __init__(self, plot, controls, update, finish, arrange, lock):
        super().__init__("design", plot, controls, update, arrange=arrange, lock=lock)
        self.finish = finish

    def show(self) -> None:
        """Draw what has been trained by now."""
        self._changed()

    def still(self) -> Picture:
        self.finish()
        return super().still()


# --- controls -------------------------------------------------------------------------------------------------------


def _controls(own) -> tuple[dict[str, ipywidgets.Widget], dict[str, ipywidgets.HBox]]:
    """name → control, and what is shown only for some choices: "StepLR", "2nd LinearLR" → a row of controls."""

    def look(width: int, name: str, room: float = 7.6) -> dict:
        return {"layout": {"width": f"{width}px"}, "style": {"description_width": f"{12 + room * len(name):.0f}px"}}

    def slider(values, value, name, width=285) -> ipywidgets.SelectionSlider:
        texts = (
            ["no", "yes"]
            if values == (False, True)
            else [f"{each:g}" if each != str(each) else each for each in values]
        )
        options = [(text.replace("{k}", "k"), each) for text, each in zip(texts, values, strict=True)]
        wide = max(map(len, texts)) > 9
        made = ipywidgets.SelectionSlider(
            options=options, value=value, description=name, **look(width + 90 * wide, name)
        )
        made.add_class("workshop-words" if wide else "workshop-numbers")
        return made

    def choice(options, name, width) -> ipywidgets.Dropdown:
        return ipywidgets.Dropdown(options=options, description=name, **look(width, name))

    controls = {
        "scheduler": choice([*KNOBS, *own], "scheduler", 310),
        "compose": choice(list(COMPOSE), "composed", 220),
        "partner": choice(list(PARTNERS), "second", 240),
        "milestone": slider(range(5, 196, 5), 20, "milestone"),
        "lr": slider(LRS, 0.126, "lr", 400),
        "constant": slider(LRS, 0.126, "constant lr", 430),
        "log": ipywidgets.Checkbox(description="logarithmic lr axis", indent=False, layout={"width": "170px"}),
    }
    rows = {}
    for prefix, also, offered in (("", "", KNOBS), ("2nd ", "second: ", PARTNERS)):
        for name, knobs in offered.items():
            chosen = {f"{prefix}{name} {knob}": slider(*values, knob) for knob, values in knobs.items()}
            controls |= chosen
            heading = ipywidgets.HTML(f'<b class="workshop-name">{also}{name}</b>', layout={"width": "216px"})
            beside = ipywidgets.HBox(list(chosen.values()), layout={**WRAP, "flex": "1 1 330px"})
            rows[prefix + name] = ipywidgets.HBox([heading, beside], layout=WRAP)
            rows[prefix + name].add_class("workshop-row")  # its sliders are called by the name of the scheduler as well
    return controls, rows


def _show_only(optional, values) -> None:
    """Show the arguments of what is chosen, and no others; what is not shown is not in the order of the Tab key."""
    second = values["compose"] != ALONE
    shown = {values["scheduler"], "2nd " + values["partner"] if second else None}
    shown |= {"partner"} if second else set()
    shown |= {"milestone"} if values["compose"] in (AFTER, BEFORE) else set()
    for name, row in optional.items():
        row.layout.display = "flex" if name in shown else "none"


def _arranged(rows, results, code, lab: Lab, scrub) -> list[ipywidgets.Widget]:
    top = ipywidgets.HBox(
        [lab.controls[name] for name in ("scheduler", "compose", "partner", "milestone")], layout=WRAP
    )
    lrs = ipywidgets.HBox([lab.controls[name] for name in ("lr", "constant", "log")], layout=WRAP)
    code.add_class("workshop-code")
    look = ipywidgets.HTML(STYLE)
    below = ipywidgets.HBox([results, code], layout=WRAP)
    below.add_class("workshop-below")
    picture = ipywidgets.VBox([lab.plot, scrub], layout={"flex": "1 1 700px", "max_width": "100%"})
    beside = ipywidgets.HBox([picture, below], layout=WRAP)
    beside.add_class("workshop-beside")  # on a slide, which is wider than it is high
    return [look, top, lrs, *rows.values(), beside]


# --- picture --------------------------------------------------------------------------------------------------------


def _still() -> tuple[Canvas, list[Axes]]:
    with plt.style.context("utils.workshop"):
        figure = plt.figure(figsize=(9.2, 3.9), layout="none")
        left = figure.add_gridspec(
            2, 1, left=0.08, right=0.485, top=0.915, bottom=0.13, hspace=0.46, height_ratios=[3, 1]
        )
        right = figure.add_gridspec(1, 1, left=0.57, right=0.905, top=0.915, bottom=0.13)
        on_lr, on_momentum, on_loss = (figure.add_subplot(each) for each in (left[0], left[1], right[0]))
        quarters = np.linspace(0, 1, 5)
        on_lr.set(xlim=WIDTH, ylim=(0, 1), yticks=quarters, yticklabels=[], title="lr at each step (dashed: constant)")
        on_momentum.set(xlim=WIDTH, ylim=(0.75, 1), yticks=[0.8, 0.9, 1], xlabel="step")
        on_momentum.set_title("momentum", fontsize=11, pad=5)
        on_loss.set(xlim=WIDTH, ylim=LOSSES, yscale="log", xlabel="step")
        on_loss.set_title(f"Validation loss: {len(SEEDS)} runs and mean")
        ticks = [0.1, 0.2, 0.5, 1, 2]
        on_loss.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        on_loss.minorticks_off()
        return Canvas.of(figure), [on_lr, on_momentum, on_loss]


def _plot(canvas: Canvas, axes) -> PlotWidget:
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


def _frame(canvas, axes, values, curves, runs: tuple[Run, Run], plateau: bool) -> dict:
    (on_lr, on_momentum, on_loss), (lr, momentum, error), (schedule, constant) = axes, curves, runs
    highest = max([values["constant"], *lr[np.isfinite(lr)]])
    if values["log"]:
        top = 10.0 ** np.ceil(np.log10(highest) - 1e-9)
        marks = top * 10.0 ** -np.arange(DECADES, -1, -1)
    else:
        top = _round_up(highest)
        marks = np.linspace(0, top, 5)

    def height(lrs) -> np.ndarray:
        """Where lrs are on the axis, as a share of its height."""
        if not values["log"]:
            return np.asarray(lrs) / top
        return 1 + np.log10(np.maximum(lrs, top * 10.0 ** -(2 * DECADES)) / top) / DECADES

    dashed = height([values["constant"]] * 2)
    moving = [(on_lr, [0, STEPS], dashed), (on_lr, np.arange(len(lr)), np.maximum(height(lr), 0))]
    moving.append((on_momentum, np.arange(len(momentum)), momentum))
    for run in runs:
        moving += [(on_loss, np.arange(STEPS + 1), each) for each in _in_picture(run.loss.T)]
    moving += [(on_loss, np.arange(STEPS + 1), _in_picture(run.mean)) for run in (constant, schedule)]

    training = next((run for run in (constant, schedule) if not run.finished), None)
    words = [(on_lr, 0, height(mark), f"{mark:g}") for mark in marks]
    for run, name in zip(runs, NAMES, strict=True):
        step = run.step
        end = _in_picture(run.mean[step]) if step else LOSSES[1]
        words.append((on_loss, step, end, name if step else ""))
    words.append((on_lr, STEPS / 2, 0.5, f"{error.partition(':')[0]}: see below" if error else ""))
    words.append((on_loss, STEPS, LOSSES[1] * 0.75, f"training: step {training.step} of {STEPS}" if training else ""))
    frame = canvas.frame(moving, words, alt_text(values, curves, runs, plateau))
    frame["texts"] = _placed(frame["texts"])
    return frame


NAMES = ("schedule", "constant")


def _placed(texts) -> list[tuple]:
    """Numbers beside the ticks, and the names of the two curves beside their ends, none over the other."""
    placed = [(x - 7, y + 4, text) for x, y, text in texts[:5]]
    (x1, y1, schedule), (x2, y2, constant) = texts[5:7]
    apart = 0
    if schedule and constant and abs(x1 - x2) < 80 and abs(y1 - y2) < 15:
        apart = (15 - abs(y1 - y2)) / 2 * (-1 if y1 < y2 else 1)
    return [*placed, (x1 + 8, y1 + 4 + apart, schedule), (x2 + 8, y2 + 4 - apart, constant), *texts[7:]]


def _round_up(highest: float) -> float:
    """The least of 1, 2, 4 and 8 times a power of ten that is not below: its quarters are short numbers."""
    power = 10.0 ** np.floor(np.log10(highest))
    return next(times * power for times in (1, 2, 4, 8, 10) if times * power >= highest * (1 - 1e-9))


def _in_picture(losses):
    """What is too high or low to be seen, or has diverged, at the edge; what is not there yet, not."""
    return np.clip(losses, LOSSES[0] * 1.01, LOSSES[1] * 0.99)
