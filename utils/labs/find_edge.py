"""Lab 1, find the edge: gradient descent on a ravine, with sliders for lr, condition number and start."""

from collections.abc import Callable

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes

from utils.descent import descend
from utils.labs.plot_widget import Canvas, PlotWidget, Stills
from utils.labs.shell import Lab
from utils.plots import surface_contours
from utils.surfaces import Surface, ravine


def find_edge(make_optimizer: Callable = torch.optim.SGD, *, steps: int = 60) -> Lab:
    """Lab 1: gradient descent on a ravine, with sliders for lr, condition number κ and start.

    Left the path, in the middle its loss, right the loss after `steps` steps against lr: the curve that theory predicts
    for plain gradient descent, the best lr 2/(μ + L), the edge 2/L, and a dot where the run really ended.
    `make_optimizer(params, lr=…)` may be any optimizer, the student's own too.
    """
    kappas = [1, 3, 10, 30, 100]
    lrs = [float(f"{lr:.3g}") for lr in np.geomspace(0.003, 3, 351)]  # a key press changes lr by 2 %
    stills = Stills(lambda kappa: _edge_still(ravine(kappa), steps), kappas)
    canvas, axes = stills[10]
    run = "#0072B2"
    plot = PlotWidget(
        size=list(canvas.size),
        panels=[canvas.panel(ax) for ax in axes],
        lines=[
            {"panel": 2, "stroke": "#5A5A5A", "stroke-width": "1.6", "stroke-dasharray": "5 3"},
            {"panel": 0, "stroke": "black", "dot": 6},
            {"panel": 0, "stroke": run, "stroke-width": "2", "dot": 5, "by_step": True},
            {"panel": 1, "stroke": run, "stroke-width": "2.5", "dot": 5, "by_step": True},
            {"panel": 2, "stroke": run, "dot": 7},
        ],
        words=[{"fill": color, "text-anchor": "end"} for color in (run, "#A33F00", run)],
        step=steps,
    )
    controls = {
        "lr": ipywidgets.SelectionSlider(
            options=[(f"{lr:.3g}", lr) for lr in lrs], value=lrs[100], description="lr", layout={"width": "620px"}
        ),
        "kappa": ipywidgets.SelectionSlider(options=[(str(k), k) for k in kappas], value=10, description="κ = L/μ"),
        "x": ipywidgets.FloatSlider(value=-1.0, min=-1.2, max=1.2, step=0.1, description="start x"),
        "y": ipywidgets.FloatSlider(value=0.4, min=-0.9, max=0.9, step=0.1, description="start y"),
    }
    plot.on_msg(stills.draw_soon)
    goals = _EdgeGoals()

    def update(lr, kappa, x, y):
        x, y = round(x, 6), round(y, 6)  # a slider's zero may be 1e-17, which would grow along the steep axis
        canvas, (on_surface, on_loss, on_lr) = stills[kappa]
        trace = descend(ravine(kappa), lambda params: make_optimizer(params, lr=lr), steps, start=(x, y))
        fell = trace.diverged_at is None and trace.loss[-1] < trace.loss[0]
        if trace.diverged_at is not None:
            verdict = f"diverged at step {trace.diverged_at}"
        else:
            verdict = f"loss {trace.loss[-1]:.1e} after {steps} steps" + ("" if fell else ": it did not go down")
        short = verdict.partition(" after")[0] + ("" if fell or trace.diverged_at is not None else ": not down")
        edge = 2 / kappa
        grid = np.linspace(0, 1.5 * edge, 241)
        # The loss of gradient descent on a quadratic, in closed form: every axis shrinks by |1 − lr·curvature| a step.
        predicted = (x**2 * (1 - grid) ** (2 * steps) + kappa * y**2 * (1 - grid * kappa) ** (2 * steps)) / 2
        end = trace.loss[-1] if np.isfinite(trace.loss[-1]) else np.inf
        share = f"{lr / edge:.0%}" if lr > 0.1 * edge else f"{lr / edge:.1%}"
        alt = f"lr {lr:.3g}, κ = {kappa}: {verdict}. The edge 2/L is {edge:.3g}; this lr is {share} of it."
        shown = np.clip(end, 3e-12, 3e3)
        frame = canvas.frame(
            [
                (on_lr, grid, np.clip(predicted, 1e-14, 1e6)),
                (on_surface, [x], [y]),
                (on_surface, *trace.path.T),
                (on_loss, np.arange(steps + 1), np.maximum(trace.loss, 1e-14)),
                (on_lr, [min(lr, 1.44 * edge)], [shown]),
            ],
            [
                (on_loss, steps, 2e3, short if fell else ""),
                (on_loss, steps, 2e3, "" if fell else short),
                (on_lr, 1.38 * edge, shown / 2, f"lr {lr:.3g} →" if lr > 1.44 * edge else ""),  # not in the picture
            ],
            alt,
        )
        return frame, goals.see(lr, kappa, (x, y), trace), canvas.png

    return Lab("edge", plot, controls, update)


def _edge_still(surface: Surface, steps: int) -> tuple[Canvas, list[Axes]]:
    """The still part of Lab 1 for one ravine, and its three axes."""
    with plt.style.context("utils.workshop"):
        figure, axes = plt.subplots(1, 3, figsize=(9.0, 3.6), width_ratios=[1.25, 1, 1], layout="none")
        figure.subplots_adjust(left=0.085, right=0.97, top=0.89, bottom=0.15, wspace=0.34)
        on_surface, on_loss, on_lr = axes
        surface_contours(surface, on_surface, title="The path")
        limits = {"yscale": "log", "ylim": (1e-12, 1e4)}
        on_loss.set(xlim=(0, 1.04 * steps), xlabel="step", ylabel="loss", title="Its loss", **limits)
        steepest = surface.gradient(1.0, 1.0)[1]  # L
        best, edge = 2 / (1 + steepest), 2 / steepest
        on_lr.set(xlim=(0, 1.5 * edge), xlabel="lr", title=f"Loss after {steps} steps", **limits)
        on_lr.locator_params(axis="x", nbins=5)
        on_lr.axvline(edge, color="#A33F00", linewidth=2)
        on_lr.axvline(best, color="#00664A", linewidth=2, linestyle=":")
        beside = {"textcoords": "offset points", "fontweight": "bold", "fontsize": 10}
        on_lr.annotate("edge 2/L", (edge, 1e2), (5, 0), color="#A33F00", **beside)
        on_lr.annotate("best\n2/(μ+L)", (best, 1e2), (-5, 0), ha="right", color="#00664A", **beside)
        return Canvas.of(figure), list(axes)


class _EdgeGoals:
    """What the student has reached in Lab 1; a goal once reached stays reached."""

    GOALS = (
        "κ = 10: get from the start below 1e-6 within 40 steps.",
        "κ = 30: find the edge. Show one lr that goes down and one that goes up, at most 5 % apart.",
        "κ = 100, lr at least 0.5: find a start from which it converges all the same. Why does it?",
    )

    def __init__(self):
        self.reached = [False] * len(self.GOALS)
        self.down, self.up = 0.0, np.inf

    def see(self, lr, kappa, start, trace) -> str:
        """Note a run and return the list of goals as HTML."""
        fell = trace.diverged_at is None and trace.loss[-1] < trace.loss[0]
        quick = trace.steps_to(1e-6)
        if kappa == 10 and all(start) and quick is not None and 0 < quick <= 40:
            self.reached[0] = True
        if kappa == 30 and all(start):
            self.down, self.up = (max(self.down, lr), self.up) if fell else (self.down, min(self.up, lr))
            self.reached[1] |= self.down > 0 and self.up <= 1.05 * self.down
        if kappa == 100 and lr >= 0.5 and any(start) and fell:
            self.reached[2] = True
        marks = ("✓" if done else "○" for done in self.reached)
        return "".join(f"<div>{mark} {goal}</div>" for mark, goal in zip(marks, self.GOALS, strict=True))
