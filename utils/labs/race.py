"""Lab 2, the race: up to six optimizers from the same start, each with settings of its own, and tuned on the spot."""

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes

from utils import surfaces
from utils.descent import Trace, descend
from utils.labs.plot_widget import Canvas, PlotWidget, Stills
from utils.labs.shell import WRAP, Lab
from utils.plots import readable, surface_contours
from utils.surfaces import Surface

STEPS = 100
LRS = [float(f"{lr:.3g}") for lr in np.geomspace(1e-4, 10**0.5, 91)]  # 20 a decade
TRIED = LRS[::5]  # by tuning
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#4B1E78", "#000000"]  # as in the lessons' figures
DASHES = ["none", "7 3", "2.5 2.5", "10 3 2 3", "4 4", "1.5 4"]  # for eyes that do not tell the colours
LOSSES = (1e-10, 1e3)  # the range that the pictures show


@dataclass(frozen=True)
class Racer:
    """`make(params, lr=…, **knobs)` is the optimizer; `knobs` are its other sliders: keyword → (values, default)."""

    name: str
    make: Callable
    lr: float = 0.01
    knobs: Mapping[str, tuple] = field(default_factory=dict)
    on: bool = True


_SLOW, _FAST = (0.9, 0.99, 0.999), (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)  # Adam refuses a 0 that is no float


def _adam(params, *, lr, beta1, beta2):
    return torch.optim.Adam(params, lr=lr, betas=(beta1, beta2))


def _nesterov(params, *, lr, momentum):
    return torch.optim.SGD(params, lr=lr, momentum=momentum, nesterov=momentum > 0)  # torch refuses it without momentum


RACERS = (
    Racer("SGD", torch.optim.SGD, lr=0.01),
    Racer("Momentum", torch.optim.SGD, lr=0.01, knobs={"momentum": (_FAST, 0.9)}),
    Racer("RMSprop", torch.optim.RMSprop, lr=0.01, knobs={"alpha": ((0.5, *_SLOW), 0.99)}),
    Racer("Adam", _adam, lr=0.1, knobs={"beta1": (_FAST, 0.9), "beta2": (_SLOW, 0.999)}),
    Racer("Nesterov", _nesterov, lr=0.01, knobs={"momentum": (_FAST, 0.9)}, on=False),
    Racer("Adagrad", torch.optim.Adagrad, lr=0.1, on=False),
)

PROBLEMS: dict[str, tuple[Surface, float]] = {  # each isolates one cause; the number is the noise
    "ravine": (surfaces.ravine(30), 0.0),
    "ravine, turned": (surfaces.ravine(30, angle=45), 0.0),
    "ravine, noisy": (surfaces.ravine(30), 1.0),
    "saddle": (surfaces.saddle(), 0.0),
    "plateau and cliff": (surfaces.cliff(), 0.0),
    "bent valley (Rosenbrock)": (surfaces.rosenbrock(), 0.0),
    "flat arms (Beale)": (surfaces.beale(), 0.0),
    "four minima (Himmelblau)": (surfaces.himmelblau(), 0.0),
    "many dents (Rastrigin)": (surfaces.rastrigin(), 0.0),
}


def race(own: Mapping[str, Callable] | None = None) -> Lab:
    """Lab 2: optimizers race on a surface; "tune all" gives each its best lr, so that nobody compares untuned ones.

    `own` enters optimizers of yours, name → `make(params, lr=…)`, at the cost of the last of the six built-in racers.
    One of yours that raises is shown with what it raised. Raises ValueError for more than six, or for a name twice.
    """
    own = dict(own or {})
    if len(own) > 6:
        raise ValueError(f"six optimizers can race, you entered {len(own)}")
    racers = [*RACERS[: 6 - len(own)], *(Racer(name, make) for name, make in own.items())]
    if len({racer.name for racer in racers}) < len(racers):
        raise ValueError(f"two racers have the same name, among {', '.join(racer.name for racer in racers)}")

    by_name = {surface.name: surface for surface, _ in PROBLEMS.values()}  # two problems may share a surface
    stills = Stills(lambda name: _still(by_name[name]), by_name)
    canvas, axes = stills[PROBLEMS["ravine"][0].name]
    controls = _controls(racers)
    results = {racer.name: ipywidgets.HTML(layout={"width": "235px"}) for racer in racers}
    tuned = {}  # racer's name → (what it was tuned for, final losses along TRIED)

    @lru_cache(maxsize=1024)  # only a racer whose setting changed runs again
    def run(name, problem, start, noise, lr, knobs, seed=0) -> Trace | str:
        racer = next(racer for racer in racers if racer.name == name)
        make = partial(racer.make, lr=lr, **dict(knobs))
        try:
            return descend(PROBLEMS[problem][0], make, STEPS, start=start, noise=noise, seed=seed, label=name)
        except Exception as error:  # a student's optimizer may raise anything, and the lab must go on
            return f"{type(error).__name__}: {error}"

    def setting(racer, values) -> tuple:
        """All that decides where this racer ends, but for lr and seed, as `run` takes it."""
        start = _start(PROBLEMS[values["problem"]][0], values["x"], values["y"])
        return values["problem"], start, values["noise"], tuple((k, values[f"{racer.name} {k}"]) for k in racer.knobs)

    def run_at(racer, values, lr, seed=0) -> Trace | str:
        *where, knobs = setting(racer, values)
        return run(racer.name, *where, lr, knobs, seed)

    def update(**values):
        canvas, (on_surface, on_loss, on_lr) = stills[PROBLEMS[values["problem"]][0].name]
        moving, labels, told = [], [], []
        for racer in racers:
            lr = values[f"{racer.name} lr"]
            trace = run_at(racer, values, lr) if values[f"{racer.name} on"] else "not in the race"
            result = _result(trace, values["target"])
            results[racer.name].value = html.escape(result)
            if values[f"{racer.name} on"]:
                told.append(f"{racer.name}, lr {lr:.3g}: {result}")
            if not isinstance(trace, Trace):
                moving += [(on_surface, [], []), (on_loss, [], []), (on_lr, [], []), (on_lr, [], [])]
                labels.append((on_loss, STEPS, 1, ""))
                continue
            tuned_for, curve = tuned.get(racer.name, (None, []))
            curve = curve if tuned_for == setting(racer, values) else []  # an old curve would be wrong
            end = _shown(trace.loss[-1:])
            moving += [
                (on_surface, *trace.path.T),
                (on_loss, np.arange(STEPS + 1), np.maximum(trace.loss, LOSSES[0] / 10)),
                (on_lr, TRIED[: len(curve)], curve),
                (on_lr, [lr], end),
            ]
            labels.append((on_loss, STEPS, end[0], racer.name if len(racer.name) < 12 else racer.name[:10] + "…"))
        start = setting(racers[0], values)[1]
        moving += [(on_surface, [start[0]], [start[1]]), (on_loss, [0, STEPS], [values["target"]] * 2)]
        labels.append((on_loss, 0, values["target"], "target"))
        alt = f"{STEPS} steps on the problem {values['problem']}. " + "; ".join(told or ["Nobody is in the race"]) + "."
        frame = canvas.frame(moving, labels, alt)
        *names, (x, y, target) = frame["texts"]
        frame["texts"] = [*_beside(names, canvas.size[1] - on_loss.bbox.y0), (x + 4, y + 13, target)]
        return frame, "", canvas.png

    def tune():
        values = lab.values
        with lab.hold():
            for racer in (racer for racer in racers if values[f"{racer.name} on"]):
                # With noise, lr is chosen on other seeds than the one in the picture.
                seeds = range(1, 9) if values["noise"] else (0,)
                runs = [[run_at(racer, values, lr, seed) for seed in seeds] for lr in TRIED]
                losses = np.array([[t.loss[-1] if isinstance(t, Trace) else np.nan for t in row] for row in runs])
                ends = np.median(np.where(np.isfinite(losses), losses, np.inf), axis=1)
                if np.isfinite(ends).any():
                    tuned[racer.name] = (setting(racer, values), _shown(ends))
                    # As far down as the picture shows; of several, the smallest lr.
                    controls[f"{racer.name} lr"].value = TRIED[int(_shown(ends).argmin())]

    def place():
        surface, controls["noise"].value = PROBLEMS[controls["problem"].value]
        controls["x"].value, controls["y"].value = _home(surface)

    def choose(_):
        with lab.hold():
            place()

    place()
    controls["problem"].observe(choose, names="value")  # before the lab's own observer: it must not see the old start
    plot = _plot(canvas, axes)
    plot.on_msg(stills.draw_soon)
    lab = Lab(
        "race",
        plot,
        controls,
        update,
        actions={"tune all": tune},
        arrange=partial(_rows, racers, results),
    )
    return lab


def _controls(racers) -> dict[str, ipywidgets.Widget]:
    narrow = {"layout": {"width": "195px"}, "style": {"description_width": "50px"}}
    percent = {"min": 0.0, "max": 1.0, "step": 0.01, "readout_format": ".0%", **narrow}
    targets = [(f"{10.0**-k:.0e}", 10.0**-k) for k in range(1, 10)]
    controls = {
        "problem": ipywidgets.Dropdown(
            options=list(PROBLEMS),
            description="problem",
            layout={"width": "250px"},
            style={"description_width": "56px"},
        ),
        "x": ipywidgets.FloatSlider(description="start x", **percent),
        "y": ipywidgets.FloatSlider(description="start y", **percent),
        "noise": ipywidgets.FloatSlider(min=0.0, max=5.0, step=0.1, description="noise", **narrow),
        "target": ipywidgets.SelectionSlider(options=targets, value=1e-3, description="target", **narrow),
    }
    for racer in racers:
        controls[f"{racer.name} on"] = ipywidgets.Checkbox(
            value=racer.on, description=racer.name, indent=False, layout={"width": "110px"}
        )
        controls[f"{racer.name} lr"] = ipywidgets.SelectionSlider(
            options=[(f"{lr:.2g}", lr) for lr in LRS],
            value=min(LRS, key=lambda lr, wanted=racer.lr: abs(lr - wanted)),
            description="lr",
            layout={"width": "215px"},
            style={"description_width": "20px"},
        )
        for knob, (values, default) in racer.knobs.items():
            controls[f"{racer.name} {knob}"] = ipywidgets.SelectionSlider(
                options=[(f"{value:g}", value) for value in values],
                value=default,
                description=knob,
                layout={"width": "215px" if len(racer.knobs) == 1 else "190px"},
                style={"description_width": f"{14 + 8.6 * len(knob):.0f}px"},
            )
    return controls


def _rows(racers, results, lab: Lab, scrub) -> list[ipywidgets.Widget]:
    """The problem above the picture, a row for each racer below it: on or off, settings, how it ended."""
    controls, rows = lab.controls, []
    for racer, color, dashes in zip(racers, COLORS, DASHES, strict=True):
        line = f'<line x1="2" y1="7" x2="38" y2="7" stroke="{color}" stroke-width="3" stroke-dasharray="{dashes}" />'
        swatch = ipywidgets.HTML(f'<svg class="workshop-swatch" width="40" height="14" aria-hidden="true">{line}</svg>')
        parts = [controls[f"{racer.name} {part}"] for part in ("on", "lr", *racer.knobs)]
        row = ipywidgets.HBox([swatch, *parts, results[racer.name]], layout=WRAP)
        row.add_class("workshop-row")  # its sliders are called by the name of the racer as well
        rows.append(row)
    above = [controls[name] for name in ("problem", "x", "y", "noise", "target")]
    return [ipywidgets.HBox(above, layout=WRAP), lab.plot, ipywidgets.HBox([*lab.buttons.values(), scrub]), *rows]


def _home(surface: Surface) -> tuple[float, float]:
    """Where the sliders stand at the surface's own start: shares of its window in whole percents."""
    left, right, bottom, top = surface.window
    x, y = surface.start
    return round((x - left) / (right - left), 2), round((y - bottom) / (top - bottom), 2)


def _start(surface: Surface, x: float, y: float) -> tuple[float, float]:
    """The start for the sliders' shares x and y: at home exactly the surface's own, which whole percents would miss.

    Half a percent aside matters: on the ridge of the saddle nobody would ever leave it.
    """
    left, right, bottom, top = surface.window
    home = _home(surface)
    start = surface.start[0] + (x - home[0]) * (right - left), surface.start[1] + (y - home[1]) * (top - bottom)
    return round(start[0], 4), round(start[1], 4)


def _still(surface: Surface) -> tuple[Canvas, list[Axes]]:
    with plt.style.context("utils.workshop"):
        figure, axes = plt.subplots(1, 3, figsize=(9.2, 3.5), width_ratios=[1.25, 1, 1], layout="none")
        figure.subplots_adjust(left=0.08, right=0.985, top=0.9, bottom=0.155, wspace=0.47)
        on_surface, on_loss, on_lr = axes
        surface_contours(surface, on_surface, title="The paths")
        limits = {"yscale": "log", "ylim": LOSSES}
        on_loss.set(xlim=(0, 1.03 * STEPS), xlabel="step", ylabel="loss", title="Their losses", **limits)
        on_lr.tick_params(labelleft=False)  # the axis beside it says the same, and the racers' names stand here
        on_lr.set(
            xscale="log", xlim=(LRS[0] / 1.3, LRS[-1] * 1.3), xlabel="lr", title=f"Loss after {STEPS} steps", **limits
        )
        return Canvas.of(figure), list(axes)


def _plot(canvas: Canvas, axes) -> PlotWidget:
    lines = []
    for place, (color, dashes) in enumerate(zip(COLORS, DASHES, strict=True)):
        look = {"stroke": color, "stroke-width": "2"}
        lines += [
            {"panel": 0, "dot": 5, "by_step": True, "stroke-dasharray": dashes, **look},
            {"panel": 1, "dot": 4, "by_step": True, **look},
            {"panel": 2, **look, "stroke-width": "1.5", "stroke-dasharray": dashes},
            {"panel": 2, "dot": 11 - 1.8 * place, **look},  # of several at one place each shows its rim
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


def _shown(losses) -> np.ndarray:
    """Losses as the pictures show them: what diverged, or is too high or low to be seen, at the edge."""
    losses = np.where(np.isfinite(losses), losses, np.inf)
    return np.clip(losses, LOSSES[0] * 2, LOSSES[1] / 2)


def _result(trace: Trace | str, target: float) -> str:
    if isinstance(trace, str):
        return trace
    if trace.diverged_at is not None:
        return f"diverged at step {trace.diverged_at}"
    steps = trace.steps_to(target)
    return f"loss {trace.loss[-1]:.1e}, " + ("target missed" if steps is None else f"target after {steps} steps")


def _beside(texts, lowest: float, gap: float = 14.0) -> list[tuple]:
    """Names to the right of their curves' ends, pushed apart until none overlaps another or lies below `lowest`."""
    placed, last = list(texts), -np.inf
    order = sorted((i for i, (_, _, text) in enumerate(texts) if text), key=lambda i: texts[i][1])
    for i in order:
        x, y, text = texts[i]
        last = max(y + 4, last + gap)  # the baseline of a word lies a little below its middle
        placed[i] = (x + 8, last, text)
    for i in reversed(order):
        x, y, text = placed[i]
        placed[i] = (x, min(y, lowest), text)
        lowest = placed[i][1] - gap
    return placed
