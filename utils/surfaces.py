"""Two-parameter losses to walk on: value and gradient in closed form, known minima, and the window worth drawing.

Every formula works elementwise on floats, NumPy arrays and torch tensors alike, so the same surface is drawn from a
grid, differentiated by autograd, and walked step by step without the price of a graph.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Surface:
    """A loss over two parameters (x, y) whose lowest value is 0.

    name      what a figure calls it
    loss      (x, y) → loss, elementwise
    gradient  (x, y) → (∂loss/∂x, ∂loss/∂y), elementwise
    start     (x, y) from which a walk begins unless told otherwise
    minima    every point where the loss is 0
    window    (left, right, bottom, top): the part worth drawing
    """

    name: str
    loss: Callable
    gradient: Callable
    start: tuple[float, float]
    minima: tuple[tuple[float, float], ...]
    window: tuple[float, float, float, float]


def _functions(x):
    """The library whose cos, exp and clip fit `x`: torch keeps autograd's graph, NumPy serves floats and arrays."""
    return torch if isinstance(x, torch.Tensor) else np


def ravine(condition_number: float = 20.0, *, angle: float = 0.0) -> Surface:
    """½(u² + κv²), a quadratic bowl κ times steeper across than along: curvatures μ = 1 and L = κ.

    (u, v) is (x, y) turned by `angle` degrees; at 0 the ravine lies along x.
    Raises ValueError unless κ is a finite number of at least 1.
    """
    kappa = float(condition_number)
    if not 1 <= kappa < float("inf"):
        raise ValueError(f"condition_number is L/μ, so it must be finite and at least 1, got {condition_number}")
    cos, sin = float(np.cos(np.radians(angle))), float(np.sin(np.radians(angle)))

    def loss(x, y):
        return ((cos * x + sin * y) ** 2 + kappa * (cos * y - sin * x) ** 2) / 2

    def gradient(x, y):
        u, steep = cos * x + sin * y, kappa * (cos * y - sin * x)
        return cos * u - sin * steep, sin * u + cos * steep

    return Surface(
        name=f"ravine, κ = {kappa:g}" + (f", turned by {angle:g}°" if angle else ""),
        loss=loss,
        gradient=gradient,
        start=(-1.0, 0.4),
        minima=((0.0, 0.0),),
        window=(-1.3, 1.3, -1.0, 1.0),
    )


def rosenbrock() -> Surface:
    """(1 − x)² + 100(y − x²)²: a flat, bent valley between steep walls (Rosenbrock 1960)."""
    return Surface(
        name="Rosenbrock's valley",
        loss=lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
        gradient=lambda x, y: (-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)),
        start=(-1.2, 1.0),
        minima=((1.0, 1.0),),
        window=(-1.7, 1.7, -0.7, 2.2),
    )


def beale() -> Surface:
    """(1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)²: flat arms, steep corners (Beale 1958)."""

    def residuals(x, y):
        return 1.5 - x + x * y, 2.25 - x + x * y**2, 2.625 - x + x * y**3

    def loss(x, y):
        a, b, c = residuals(x, y)
        return a**2 + b**2 + c**2

    def gradient(x, y):
        a, b, c = residuals(x, y)
        return (
            2 * (a * (y - 1) + b * (y**2 - 1) + c * (y**3 - 1)),
            2 * x * (a + 2 * b * y + 3 * c * y**2),
        )

    return Surface("Beale's function", loss, gradient, (1.0, 1.5), ((3.0, 0.5),), (-0.5, 4.5, -1.2, 2.0))


def himmelblau() -> Surface:
    """(x² + y − 11)² + (x + y² − 7)²: four minima, all equally deep (Himmelblau 1972)."""

    def gradient(x, y):
        a, b = x**2 + y - 11, x + y**2 - 7
        return 4 * x * a + 2 * b, 2 * a + 4 * y * b

    return Surface(
        name="Himmelblau's function",
        loss=lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
        gradient=gradient,
        start=(-0.5, -0.8),
        minima=(
            (3.0, 2.0),
            (-2.805118086952745, 3.131312518250573),
            (-3.779310253377747, -3.283185991286170),
            (3.584428340330492, -1.848126526964404),
        ),
        window=(-5.0, 5.0, -5.0, 5.0),
    )


def saddle() -> Surface:
    """½x² + ¼(y² − 1)²: a saddle at the origin, between two minima at (0, ±1). The start is almost on its ridge."""
    return Surface(
        name="saddle",
        loss=lambda x, y: x**2 / 2 + (y**2 - 1) ** 2 / 4,
        gradient=lambda x, y: (x, y * (y**2 - 1)),
        start=(-1.3, 0.001),
        minima=((0.0, -1.0), (0.0, 1.0)),
        window=(-1.6, 1.6, -1.5, 1.5),
    )


def cliff() -> Surface:
    """1 − exp(−x²/2) + ½y²/4, and a wall of height 2 between x = 2.0 and x = 2.4: a plateau above a cliff.

    On the plateau the slope almost vanishes, on the wall it is over ten times that of the bowl beneath. The wall is
    the polynomial 3z² − 2z³, so the slope is continuous everywhere.
    """
    foot, width, height = 2.0, 0.4, 2.0

    def loss(x, y):
        f = _functions(x)
        z = f.clip((x - foot) / width, 0.0, 1.0)
        return 1 - f.exp(-(x**2) / 2) + y**2 / 8 + height * (3 - 2 * z) * z**2

    def gradient(x, y):
        f = _functions(x)
        z = f.clip((x - foot) / width, 0.0, 1.0)
        return x * f.exp(-(x**2) / 2) + height * 6 * z * (1 - z) / width, y / 4

    return Surface("plateau and cliff", loss, gradient, (3.0, 0.9), ((0.0, 0.0),), (-2.6, 3.6, -1.4, 1.4))


def rastrigin() -> Surface:
    """20 + x² + y² − 10cos(2πx) − 10cos(2πy): a bowl covered by regular dents, one lowest (Rastrigin 1974)."""

    def loss(x, y):
        f = _functions(x)
        return 20 + x**2 + y**2 - 10 * (f.cos(2 * np.pi * x) + f.cos(2 * np.pi * y))

    def gradient(x, y):
        f = _functions(x)
        return 2 * x + 20 * np.pi * f.sin(2 * np.pi * x), 2 * y + 20 * np.pi * f.sin(2 * np.pi * y)

    return Surface("Rastrigin's function", loss, gradient, (-2.2, 1.7), ((0.0, 0.0),), (-3.0, 3.0, -3.0, 3.0))


SURFACES = {make.__name__: make for make in (ravine, rosenbrock, beale, himmelblau, saddle, cliff, rastrigin)}
