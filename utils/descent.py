"""Real torch.optim optimizers walking a Surface, and the trace that they leave."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from utils.internals.stepping import has_modes, needs_closure, set_mode
from utils.internals.torch_steps import step_without_profiler
from utils.schedules import needs_metric
from utils.surfaces import Surface

FAR = 1e6  # a coordinate beyond this has left every surface; stopping there keeps inf and nan out of the arithmetic


@dataclass(frozen=True)
class Trace:
    """Where n optimizer steps led. Rows after a divergence are nan.

    label        what a figure calls this run
    path         (n + 1, 2): the parameters before the first step and after each
    loss         (n + 1,): the loss at each of those points
    lr           (n,): the lr that each step used
    diverged_at  the first step after which the run was no longer near the surface, or None
    """

    label: str
    path: np.ndarray
    loss: np.ndarray
    lr: np.ndarray
    diverged_at: int | None

    def steps_to(self, target: float) -> int | None:
        """The first step after which the loss is at most `target`, or None if it never is."""
        reached = np.flatnonzero(self.loss <= target)
        return int(reached[0]) if reached.size else None


def descend(
    surface: Surface,
    make_optimizer: Callable[[list], Optimizer],
    steps: int = 100,
    *,
    start: tuple[float, float] | None = None,
    make_scheduler: Callable[[Optimizer], LRScheduler] | None = None,
    noise: float = 0.0,
    seed: int = 0,
    label: str | None = None,
) -> Trace:
    """Walk `surface` for `steps` steps with a real optimizer, e.g. `partial(torch.optim.Adam, lr=0.1)`.

    The two coordinates are one float64 parameter of shape (2,). Its gradient is the surface's closed form plus, if
    `noise` is not 0, Gaussian noise of that standard deviation; the same seed gives every optimizer the same noise. A
    scheduler made by `make_scheduler` is stepped after each step; one that needs a metric is given the loss. An
    optimizer that asks for a closure gets one, and of one with `train()` and `eval()` the trace has the points of eval.

    Raises ValueError for a bad argument. What torch raises for a bad optimizer setting passes through, and so does its
    refusal of optimizers that cannot take a dense 1-D parameter (Muon, SparseAdam).
    """
    start = surface.start if start is None else start
    if len(start) != 2 or not np.all(np.isfinite(start)):
        raise ValueError(f"start must be two finite numbers (x, y), got {start!r}")
    if steps < 1 or not 0 <= noise < np.inf:
        raise ValueError(f"steps must be at least 1 and noise finite and at least 0, got {steps} and {noise}")
    walk = partial(_walk, surface, make_optimizer, steps, start, make_scheduler, noise, seed, label)
    try:
        return walk(wants_closure=False)
    except Exception:
        parameter = _parameter(start)
        parameter.grad = torch.from_numpy(np.array(surface.gradient(*start)))
        if not needs_closure(make_optimizer, [parameter]):
            raise
    return walk(wants_closure=True)


def _walk(surface, make_optimizer, steps, start, make_scheduler, noise, seed, label, *, wants_closure) -> Trace:
    parameter = _parameter(start)
    optimizer = make_optimizer([parameter])
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"make_optimizer must return a torch.optim.Optimizer, got {type(optimizer).__name__}")
    scheduler = make_scheduler(optimizer) if make_scheduler else None
    wants_loss = scheduler is not None and needs_metric(type(scheduler))
    wants_closure = wants_closure or requires_closure(optimizer)
    two_points = has_modes(optimizer)  # one to train at, and another one that it shows
    set_mode(optimizer, training=True)
    take_step = optimizer.step if scheduler else step_without_profiler(optimizer)

    # A NumPy view shares the parameter's memory and reads one number without torch's overhead per call.
    point = parameter.detach().numpy()
    disturbance = np.random.default_rng(seed).normal(scale=noise, size=(steps, 2)) if noise else np.zeros((steps, 2))

    def set_gradient(point, step):
        # A new tensor every time, as after zero_grad(): the optimizer may have changed or kept the last one.
        dx, dy = surface.gradient(point[0], point[1])
        slope = np.array((dx + disturbance[step, 0], dy + disturbance[step, 1]))
        parameter.grad = torch.from_numpy(slope)

    path, lr = np.full((steps + 1, 2), np.nan), np.full(steps, np.nan)
    path[0] = start  # of two points, the one to be judged at
    diverged_at = None
    with np.errstate(all="ignore"):  # a diverging run overflows; that is reported, not warned about
        for step in range(steps):

            def closure(step=step):
                here = parameter.detach().numpy()  # the optimizer may have moved to other memory before it asks
                set_gradient(here, step)
                return torch.tensor(surface.loss(*here))

            lr[step] = _lr(optimizer)
            set_gradient(point, step)  # also before a closure: SAM begins with the gradient that is there
            take_step(closure) if wants_closure else take_step()
            if two_points:
                set_mode(optimizer, training=False)
            if parameter.data_ptr() != point.ctypes.data:  # an optimizer that assigns `p.data` moves to new memory
                point = parameter.detach().numpy()
            if not abs(point[0]) + abs(point[1]) < FAR:  # written so that nan counts as far
                diverged_at = step + 1
                break
            path[step + 1] = point
            if two_points:
                set_mode(optimizer, training=True)
                point = parameter.detach().numpy()
            if scheduler:
                scheduler.step(surface.loss(point[0], point[1])) if wants_loss else scheduler.step()
        loss = np.asarray(surface.loss(path[:, 0], path[:, 1]))

    name = type(optimizer).__name__
    return Trace(label or (name if np.isnan(lr[0]) else f"{name}, lr {lr[0]:.3g}"), path, loss, lr, diverged_at)


def _parameter(start) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))


def _lr(optimizer: Optimizer) -> float:
    groups = getattr(optimizer, "param_groups", None)  # a wrapper may be a subclass by name only, without any
    return groups[0].get("lr", np.nan) if groups else np.nan


def requires_closure(optimizer: Optimizer) -> bool:
    """True if `optimizer.step` cannot be called without an argument, as that of LBFGS."""
    parameters = list(inspect.signature(type(optimizer).step).parameters.values())[1:]
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return any(p.default is p.empty for p in named)
