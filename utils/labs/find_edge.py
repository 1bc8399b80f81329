"""Lab 1, find the edge: gradient descent on a ravine, with sliders for lr, condition number and start."""

from collections.abc import Callable

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes

from utils.descent import descend
from utils.labs.goals import EDGE, Walk, edge_goals
from utils.labs.guarded_walk import RANDOM, Walked, guard_of, nowhere, walked
from utils.labs.plot_widget import Canvas, PlotWidget, Stills
from utils.labs.shell import Lab
from utils.plots import surface_contours
from utils.surfaces import Surface, ravine

KAPPAS = (1, 3, 10, 30, 100)
LOSSES = (1e-12, 1e4)  # the range that the picture shows
LRS = [float(f"{lr:.3g}") for lr in np.geomspace(0.003, 3, 351)]  # a key press changes lr by 2 %


def find_edge(make_optimizer: Callable = torch.optim.SGD, *, steps: int = 60) -> Lab:
    """Lab 1: gradient descent on a ravine, with sliders for lr, condition number κ and start.

    Left the path, in the middle its loss, right the loss after `steps` steps against lr: the curve that theory predicts
    for plain gradient descent, and a dot where the run really ended. Once the student has found the edge, it is drawn
    there and named, and so is the best lr.
    `make_optimizer(params, lr=…)` may be any optimizer, the student's own too: what it raises is shown, and so is that
    it takes too long, arrives at nan or draws random numbers.
    """
    stills = Stills(lambda kappa: _still(ravine(kappa), steps), KAPPAS)
    plot = _plot(*stills[10], steps)
    plot.on_msg(stills.draw_soon)
    goals, guarded = edge_goals(), guard_of(make_optimizer)

    def update(lr, kappa, x, y):
        start = round(x, 6), round(y, 6)  # a slider's zero may be 1e-17, which would grow along the steep axis

        def walk_from_start(make):
            return descend(ravine(kappa), make, steps, start=start)

        run = walked(guarded, walk_from_start, lambda params: make_optimizer(params, lr=lr))
        walk = Walk(lr, kappa, start, run.trace or nowhere(start, steps))
        canvas, axes = stills[kappa]
        return _frame(canvas, axes, walk, run, found=goals.reached[EDGE]), None if run.error else walk, canvas.png

    return Lab("edge", plot, _controls(), update, goals)


def _controls() -> dict[str, ipywidgets.Widget]:
    options = [(f"{lr:.3g}", lr) for lr in LRS]
    lr = ipywidgets.SelectionSlider(options=options, value=LRS[100], description="lr")
    lr.add_class("workshop-whole-row")
    return {
        "lr": lr,
        "kappa": ipywidgets.SelectionSlider(options=[(str(k), k) for k in KAPPAS], value=10, description="κ = L/μ"),
        "x": ipywidgets.FloatSlider(value=-1.0, min=-1.2, max=1.2, step=0.1, description="start x"),
        "y": ipywidgets.FloatSlider(value=0.4, min=-0.9, max=0.9, step=0.1, description="start y"),
    }


def _plot(canvas: Canvas, axes: list[Axes], steps: int) -> PlotWidget:
    run, edge, best = "#0072B2", "#A33F00", "#00664A"
    return PlotWidget(
        size=list(canvas.size),
        panels=[canvas.panel(ax) for ax in axes],
        lines=[
            {"panel": 2, "stroke": edge, "stroke-width": "2"},
            {"panel": 2, "stroke": best, "stroke-width": "2", "stroke-dasharray": "2 3"},
            {"panel": 2, "stroke": "#5A5A5A", "stroke-width": "1.6", "stroke-dasharray": "5 3"},
            {"panel": 0, "stroke": "black", "dot": 6},
            {"panel": 0, "stroke": run, "stroke-width": "2", "dot": 5, "by_step": True},
            {"panel": 1, "stroke": run, "stroke-width": "2.5", "dot": 5, "by_step": True},
            {"panel": 2, "stroke": run, "dot": 7},
        ],
        words=[
            *({"fill": color, "text-anchor": "end"} for color in (run, edge, run, best, best)),
            {"fill": edge, "text-anchor": "start"},
        ],
        step=steps,
    )


def _frame(canvas: Canvas, axes: list[Axes], walk: Walk, run: Walked, *, found: bool) -> dict:
    """What moves, for one walk and how it came about: the lines and words of _plot(), and the alt text.

    The edge and the best lr are shown to those who have `found` the edge: till then it is what they look for.
    """
    on_surface, on_loss, on_lr = axes
    lr, (x, y), loss, steps = walk.lr, walk.start, walk.trace.loss, len(walk.trace.lr)
    edge, best, whole = 2 / walk.kappa, 2 / (1 + walk.kappa), slice(None if found else 0)
    grid = np.linspace(0, 1.5 * edge, 241)
    predicted = _predicted(grid, walk.kappa, walk.start, steps)
    end = np.clip(loss[-1] if np.isfinite(loss[-1]) else np.inf, 3e-12, 3e3)
    short = _ending(walk) + ("" if walk.fell or walk.trace.diverged_at is not None else ": not down")
    short = "no run: see below" if run.error else short
    return canvas.frame(
        [
            (on_lr, [edge, edge][whole], LOSSES[whole]),
            (on_lr, [best, best][whole], LOSSES[whole]),
            (on_lr, grid, np.clip(predicted, 1e-14, 1e6)),
            (on_surface, [x], [y]),
            (on_surface, *walk.trace.path.T),
            (on_loss, np.arange(steps + 1), np.maximum(loss, 1e-14)),
            (on_lr, [min(lr, 1.44 * edge)], [np.nan if run.error else end]),
        ],
        [
            (on_loss, steps, 2e3, short if walk.fell else ""),
            (on_loss, steps, 2e3, "" if walk.fell else short),
            (on_lr, 1.38 * edge, end / 2, f"lr {lr:.3g} →" if lr > 1.44 * edge else ""),  # not in the picture
            (on_lr, best - 0.03 * edge, 1e2, "best" if found else ""),
            (on_lr, best - 0.03 * edge, 5e0, "2/(μ+L)" if found else ""),
            (on_lr, 1.03 * edge, 1e2, "edge 2/L" if found else ""),
        ],
        _alt_text(walk, run, found),
    )


def _predicted(lrs: np.ndarray, kappa: float, start: tuple[float, float], steps: int) -> np.ndarray:
    """The loss of gradient descent on the ravine, in closed form: every axis shrinks by |1 − lr·curvature| a step."""
    x, y = start
    return (x**2 * (1 - lrs) ** (2 * steps) + kappa * y**2 * (1 - lrs * kappa) ** (2 * steps)) / 2


def _ending(walk: Walk) -> str:
    if walk.trace.diverged_at is not None:
        return f"diverged at step {walk.trace.diverged_at}"
    return f"loss {walk.trace.loss[-1]:.1e}"


def _alt_text(walk: Walk, run: Walked, found: bool) -> str:
    ending, edge = _ending(walk), 2 / walk.kappa
    if run.error:
        ending = f"your optimizer gave no run ({run.error})"
    elif walk.trace.diverged_at is None:
        ending += f" after {len(walk.trace.lr)} steps" + ("" if walk.fell else ": it did not go down")
    ending += f". {RANDOM}" if run.random else ""
    if found:
        share = f"{walk.lr / edge:.0%}" if walk.lr > 0.1 * edge else f"{walk.lr / edge:.1%}"
        ending += f". The edge 2/L is {edge:.3g}; this lr is {share} of it"
    return f"lr {walk.lr:.3g}, κ = {walk.kappa}: {ending}."


def _still(surface: Surface, steps: int) -> tuple[Canvas, list[Axes]]:
    """What does not move, for one ravine, and its three axes."""
    with plt.style.context("utils.workshop"):
        figure, axes = plt.subplots(1, 3, figsize=(9.0, 3.3), width_ratios=[1.25, 1, 1], layout="none")
        figure.subplots_adjust(left=0.085, right=0.97, top=0.88, bottom=0.17, wspace=0.34)
        on_surface, on_loss, on_lr = axes
        surface_contours(surface, on_surface, title="The path")
        # The first goal names 1e-6: it is among the labels.
        limits = {"yscale": "log", "ylim": LOSSES, "yticks": [10.0**power for power in range(-12, 4, 3)]}
        on_loss.set(xlim=(0, 1.04 * steps), xlabel="step", ylabel="loss", title="Its loss", **limits)
        edge = 2 / surface.gradient(1.0, 1.0)[1]
        on_lr.set(xlim=(0, 1.5 * edge), xlabel="lr", title=f"Loss after {steps} steps", **limits)
        on_lr.locator_params(axis="x", nbins=5)
        return Canvas.of(figure), list(axes)
