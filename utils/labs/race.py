"""Lab 2, the race: up to six optimizers from the same start, each with settings of its own, and tuned on the spot."""

import html
import time
from collections.abc import Callable, Mapping
from functools import lru_cache

import ipywidgets
import numpy as np

from utils.descent import Trace, descend
from utils.labs.goals import Raced, race_goals
from utils.labs.guarded_walk import Walked, guard_of, walked
from utils.labs.plot_widget import Stills
from utils.labs.race_picture import COLORS, DASHES, Entry, draw_still, frame, make_plot, visible
from utils.labs.racers import LRS, PROBLEMS, RACERS, STEPS, TRIED, Course, Racer, home
from utils.labs.shell import WRAP, Lab, grid, pictured

TUNING = 4.0  # seconds that tuning may take for an optimizer of the student's


def race(own: Mapping[str, Callable] | None = None) -> Lab:
    """Lab 2: optimizers race on a surface; "tune all" gives each its best lr, so that nobody compares untuned ones.

    `own` enters optimizers of yours, name → `make(params, lr=…)`, at the cost of the last of the six built-in racers.
    One of yours that raises is shown with what it raised, and so is one that is too slow, arrives at nan or draws
    random numbers. Raises ValueError for more than six, or for a name twice.
    """
    own = dict(own or {})
    if len(own) > 6:
        raise ValueError(f"six optimizers can race, you entered {len(own)}")
    racers = [*RACERS[: 6 - len(own)], *(Racer(name, make, own=True) for name, make in own.items())]
    if len({racer.name for racer in racers}) < len(racers):
        raise ValueError(f"two racers have the same name, among {', '.join(racer.name for racer in racers)}")
    return _Race(racers).lab


class _Lane:
    """One racer on the page: its controls, the label that says how it ended, and the curve from its tuning."""

    def __init__(self, racer: Racer):
        self.racer = racer
        self.on = ipywidgets.Checkbox(value=racer.on, description=racer.name, indent=False, layout={"width": "96px"})
        self.lr = ipywidgets.SelectionSlider(
            options=[(f"{lr:.2g}", lr) for lr in LRS],
            value=min(LRS, key=lambda lr: abs(lr - racer.lr)),
            description="lr",
            layout={"width": "158px"},
            style={"description_width": "16px"},
        )
        self.knobs = {
            knob: ipywidgets.SelectionSlider(
                options=[(f"{value:g}", value) for value in values],
                value=default,
                description=knob,
                layout={"width": "188px"},  # two of these, an lr, a name and a result stand in one row
                style={"description_width": "76px"},
            )
            for knob, (values, default) in racer.knobs.items()
        }
        self.result = ipywidgets.HTML(layout={"flex": "0 1 225px", "margin": "2px 0 2px auto"})
        self.result.add_class("workshop-result")
        self._run = lru_cache(maxsize=256)(self._descend)  # only a racer whose setting changed runs again
        self._guarded = guard_of(racer.make) if racer.own else None
        self._tuned_for, self._curve = None, np.empty(0)
        self._too_slow_for = None

    @property
    def controls(self) -> dict[str, ipywidgets.Widget]:
        """By the names that the lab's users give them: "Adam on", "Adam lr", "Adam beta1"."""
        mine = {"on": self.on, "lr": self.lr, **self.knobs}
        return {f"{self.racer.name} {name}": control for name, control in mine.items()}

    def entry(self, course: Course) -> Entry:
        """What is seen of this racer on this course, at its present setting."""
        lr, setting = self.lr.value, self._setting()
        run = self._run(course, lr, setting) if self.on.value else Walked(None)
        curve = self._curve if self._tuned_for == (course, setting) else np.empty(0)  # an old one would be wrong
        notes = ["with random numbers"] * run.random + ["too slow to tune"] * (self._too_slow_for == (course, setting))
        return Entry(self.racer.name, lr, run.trace or run.error or None, curve, ", ".join(notes))

    @property
    def by_default(self) -> bool:
        """Whether all but lr is as the racer brings it."""
        return all(self.knobs[knob].value == default for knob, (_, default) in self.racer.knobs.items())

    def tune(self, course: Course) -> None:
        """Move lr to the best of TRIED: as far down as the picture shows, and of several the smallest."""
        # With noise, lr is chosen on other seeds than the one in the picture.
        setting, seeds = self._setting(), range(1, 9) if course.noise else (0,)
        losses = np.full((len(TRIED), len(seeds)), np.nan)
        began = time.monotonic()
        for i, j in np.ndindex(losses.shape):
            run = self._run(course, TRIED[i], setting, seeds[j])
            losses[i, j] = run.trace.loss[-1] if run.trace else np.nan
            if self.racer.own and time.monotonic() > began + TUNING:
                self._too_slow_for = course, setting
                return
        ends = np.median(np.where(np.isfinite(losses), losses, np.inf), axis=1)
        if np.isfinite(ends).any():
            self._tuned_for, self._curve = (course, setting), visible(ends)
            self.lr.value = TRIED[int(self._curve.argmin())]

    def row(self, color: str, dashes: str) -> ipywidgets.HBox:
        """A swatch of its line, on or off, settings, how it ended."""
        line = f'<line x1="2" y1="7" x2="30" y2="7" stroke="{color}" stroke-width="3" stroke-dasharray="{dashes}" />'
        swatch = ipywidgets.HTML(f'<svg class="workshop-swatch" width="32" height="14" aria-hidden="true">{line}</svg>')
        row = ipywidgets.HBox([swatch, *self.controls.values(), self.result], layout=WRAP)
        row.add_class("workshop-row")  # its sliders are called by the name of the racer as well
        return row

    def _setting(self) -> tuple[tuple[str, float], ...]:
        """All that decides where this racer ends on a course, but for lr and seed."""
        return tuple((knob, control.value) for knob, control in self.knobs.items())

    def _descend(self, course: Course, lr: float, setting: tuple, seed: int = 0) -> Walked:
        def walk(make):
            where = {"start": course.start, "noise": course.noise}
            return descend(course.surface, make, STEPS, **where, seed=seed, label=self.racer.name)

        def make(params):
            return self.racer.make(params, lr=lr, **dict(setting))

        return walked(self._guarded, walk, make, seed=seed) if self._guarded else Walked(walk(make))


class _Race:
    """Lab 2 on one page: its lanes, the controls that these share, and the lab that shows them."""

    def __init__(self, racers: list[Racer]):
        self._lanes = [_Lane(racer) for racer in racers]
        self._shared = _shared_controls()
        surfaces = {surface.name: surface for surface, _ in PROBLEMS.values()}  # two problems may share one
        self._stills = Stills(lambda name: draw_still(surfaces[name]), surfaces)
        self._go_home()
        # Before the lab's own observer: that must not see the old start.
        self._shared["problem"].observe(self._choose, names="value")
        plot = make_plot(*self._stills[self._course().surface.name])
        plot.on_msg(self._stills.draw_soon)
        controls = self._shared.copy()
        for lane in self._lanes:
            controls |= lane.controls
        actions = {"tune all": self._tune}
        self.lab = Lab(
            "race", plot, controls, self._update, race_goals(), actions=actions, tell=self._tell, arrange=self._arranged
        )

    def _course(self) -> Course:
        return Course.from_shares(**{name: self._shared[name].value for name in ("problem", "x", "y", "noise")})

    def _update(self, **_) -> tuple[dict, str, bytes]:
        course, target = self._course(), self._shared["target"].value
        self._entries = entries = [lane.entry(course) for lane in self._lanes]
        canvas, axes = self._stills[course.surface.name]
        return frame(canvas, axes, entries, course=course, target=target), self._raced(entries, course), canvas.png

    def _tell(self) -> None:
        for lane, entry in zip(self._lanes, self._entries, strict=True):
            lane.result.value = html.escape(entry.result(self._shared["target"].value))

    def _raced(self, entries: list[Entry], course: Course) -> Raced:
        """What the goals see."""
        runs = {entry.name: entry.outcome for entry in entries if isinstance(entry.outcome, Trace)}
        steps = {name: run.steps_to(self._shared["target"].value) for name, run in runs.items()}
        surface, noise = PROBLEMS[course.problem]
        as_it_came = (course.start, course.noise) == (surface.start, noise)
        return Raced(
            course.problem,
            course.noise,
            by_lrs=as_it_came and all(lane.by_default for lane in self._lanes),
            ends={name: np.inf if run.diverged_at is not None else run.loss[-1] for name, run in runs.items()},
            passed={name: reached for name, reached in steps.items() if reached is not None},
            tuned=len(runs) > 1 and all(entry.tuned for entry in entries if entry.outcome is not None),
        )

    def _tune(self) -> None:
        course = self._course()
        with self.lab.hold():
            for lane in self._lanes:
                if lane.on.value:
                    lane.tune(course)

    def _choose(self, _) -> None:
        with self.lab.hold():
            self._go_home()

    def _go_home(self) -> None:
        """Start and noise as the problem brings them."""
        surface, self._shared["noise"].value = PROBLEMS[self._shared["problem"].value]
        self._shared["x"].value, self._shared["y"].value = home(surface)

    def _arranged(self, lab: Lab, scrub: ipywidgets.Widget) -> list[ipywidgets.Widget]:
        """The problem above the picture, a row for each racer below it."""
        rows = [lane.row(*look) for lane, *look in zip(self._lanes, COLORS, DASHES, strict=True)]
        return [grid(self._shared.values()), pictured(lab, scrub), *rows]


def _shared_controls() -> dict[str, ipywidgets.Widget]:
    style = {"style": {"description_width": "56px"}}
    percent = {"min": 0.0, "max": 1.0, "step": 0.01, "readout_format": ".0%", **style}
    targets = [(f"{10.0**-k:.0e}", 10.0**-k) for k in range(1, 10)]
    return {
        "problem": ipywidgets.Dropdown(options=list(PROBLEMS), description="problem", **style),
        "x": ipywidgets.FloatSlider(description="start x", **percent),
        "y": ipywidgets.FloatSlider(description="start y", **percent),
        "noise": ipywidgets.FloatSlider(min=0.0, max=5.0, step=0.1, description="noise", **style),
        "target": ipywidgets.SelectionSlider(options=targets, value=1e-3, description="target", **style),
    }
