"""Lab 3, the schedule designer: choose or compose schedulers, see the lr they set, copy the code, watch it train."""

import bisect
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial

import ipywidgets
import numpy as np

from utils.internals.errors import in_short, text_of
from utils.labs.designer.background import Runs
from utils.labs.designer.choices import ALONE, KNOBS, design
from utils.labs.designer.controls import Controls
from utils.labs.designer.design import Design, Part
from utils.labs.designer.picture import draw_still, frame, make_plot
from utils.labs.designer.report import Shown, table
from utils.labs.goals import Trained, designer_goals
from utils.labs.guarded import Guarded, Ran
from utils.labs.shell import Lab
from utils.practice.schedule_runs import MOMENTUM, STEPS, Run, train
from utils.schedules import lr_curve, momentum_curve


def design_schedule(own: Mapping[str, Callable] | None = None) -> Lab:
    """Lab 3: a schedule's lr and momentum at once, and within a second what it does to training, beside a constant lr.

    Both train the same six networks on digits for 200 steps, each network with the same start and batches in both.
    `own` adds schedulers of yours to the choice, name → `make(optimizer)`. One that raises is shown with what it
    raised, and so is one that takes too long, sets an lr that is no lr, or draws random numbers. Raises ValueError for
    a name that a built-in one has.
    """
    own = dict(own or {})
    if taken := sorted(own.keys() & KNOBS.keys()):
        raise ValueError(f"{taken[0]} is already there: give your scheduler a name of its own")
    return _Designer(own).lab


class _Designer:
    """Lab 3 on one page: its controls, the runs in the background, and the lab that shows both."""

    def __init__(self, own: Mapping[str, Callable]):
        self._own = {name: Part(name, make, own=Guarded()) for name, make in own.items()}
        self._controls = Controls(own)
        self._canvas, self._axes = draw_still()
        self._code = ipywidgets.Textarea(
            description="code",
            rows=17,
            layout={"flex": "1 1 420px", "max_width": "640px"},
            style={"description_width": "40px"},
        )
        width = {"width": "435px", "max_width": "calc(100% - 16px)"}
        self._results = ipywidgets.HTML(layout={**width, "margin": "0 8px"})
        lock = threading.RLock()  # one for both: what is drawn is what has been trained, never half of a step
        self._runs = Runs(_trained, lambda: self.lab.redraw(), lock=lock)
        self._designs: dict[Design, Design] = {}  # equal ones are one, so that each is asked only once what it needs
        self._watched: Design | None = None  # the constant lr whose whole run stands in for one that is not known yet
        self._curves = lru_cache(maxsize=256)(self._computed)
        self.lab = Lab(
            "design",
            make_plot(self._canvas, self._axes),
            self._controls,
            self._update,
            designer_goals(),
            finish=self._runs.finish,
            tell=self._tell,
            arrange=partial(self._controls.arranged, results=self._results, code=self._code),
            lock=lock,
        )

    def _update(self, **values) -> tuple[dict, str, bytes]:
        self._controls.show_only(**values)
        what = design(values, self._own)
        what = self._designs.setdefault(what, what)
        shown = self._shown(what, Design(values["constant"]))
        self._told = what.code, f'<div class="workshop-results">{table(values, shown)}</div>'
        trained = Trained(values["compose"] != ALONE, shown.schedule, shown.constant)
        return frame(self._canvas, self._axes, values, shown), trained, self._canvas.png

    def _tell(self) -> None:
        self._code.value, self._results.value = self._told

    def _shown(self, what: Design, constant: Design) -> Shown:
        """What is known of a design beside a constant lr by now; what is not is trained from here on."""
        if what.needs_metric and constant in self._runs and self._runs[constant].finished:
            self._watched = constant
        lr, momentum, error, random = self._curves(what, self._watched if what.needs_metric else None)
        self._runs.want((constant,) if error else (constant, what))
        run = Run(error=error) if error else self._runs[what]
        if what.needs_metric and run.step:
            lr = run.lr[: run.step]  # what it did, not what it would do
        return Shown(lr, momentum, error, what.needs_metric, random, schedule=run, constant=self._runs[constant])

    def _computed(self, what: Design, watched: Design | None) -> tuple[np.ndarray, np.ndarray, str, bool]:
        """lr and momentum at each step that the schedule has, why it has fewer than the run, and if it draws numbers.

        One that needs a metric is given the losses of the watched run.
        """
        metrics = self._runs[watched].mean[1:] if watched else [1.0] * STEPS  # one after each step
        none, given = np.empty(0), {"lr": what.lr, "metrics": metrics}

        def ask(curve: Callable, steps: int, **more) -> Ran:
            return _asked(what, lambda: curve(what.make, steps, **given, **more))

        lr = ask(lr_curve, STEPS)
        steps = STEPS
        if lr.error and not lr.stopped:
            steps = bisect.bisect_left(range(1, STEPS), True, key=lambda n: bool(ask(lr_curve, n).error))
        shown = lr.value if not lr.error else ask(lr_curve, steps).value if steps and not lr.stopped else None
        if shown is None:
            return none, none, lr.error, lr.random
        error = lr.error
        bad = [step for step, each in enumerate(shown) if what.own and _fault(each)]
        if bad:
            steps, error = bad[0], f"lr is {shown[bad[0]]:.3g} in step {bad[0]}: {_fault(shown[bad[0]])}"
        momentum = ask(momentum_curve, steps, momentum=MOMENTUM) if steps else Ran(none)
        if momentum.error:
            return none, none, momentum.error, lr.random
        return shown[:steps], momentum.value, error, lr.random


def _asked(what: Design, work: Callable[[], np.ndarray]) -> Ran:
    """The curve that `work()` computes, or what was raised; guarded if a part is the student's."""

    def bare() -> np.ndarray:
        try:
            return work()
        except Exception as error:  # lr_curve wraps what the scheduler raised
            raise (error.__cause__ or error) from None

    if what.own:
        return what.own.run(bare)
    try:
        return Ran(bare())
    except Exception as error:  # what does not go together
        return Ran(error=in_short(text_of(error)))


def _fault(lr: float) -> str:
    """Why this is no lr to train with, or nothing; a cosine ends at -1e-17 where 0 was meant."""
    return "" if -1e-12 < lr < np.inf else "training would climb" if lr < 0 else "that is no number to step by"


def _trained(run: Run, what: Design) -> Iterator[None]:
    """Train `run`, guarded if a part is the student's: it ends where the scheduler does not, or where lr is none."""
    steps = train(run, what.make, what.lr)
    if not what.own:
        yield from steps
        return
    over, seed = object(), 0
    while not run.error:
        ran, seed = what.own.run(lambda: next(steps, over), seed=seed), None
        lr = run.lr[run.step - 1] if run.step else 0.0
        if ran.error or _fault(lr):
            run.error = ran.error or f"lr is {lr:.3g} in step {run.step - 1}: {_fault(lr)}"
        if ran.value is over:
            return
        yield
