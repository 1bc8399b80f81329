"""Every surface against autograd, its known minima, and its own window."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.surfaces import SURFACES, Surface, ravine

ALL = {name: make() for name, make in SURFACES.items()}
ALL |= {f"ravine-{kappa}": ravine(kappa) for kappa in (1, 100, 1e4)}
# Rastrigin's dents are its point; every other surface has no dent in its window but its minima.
WITHOUT_OTHER_DENTS = [name for name in ALL if name != "rastrigin"]

each_surface = pytest.mark.parametrize("surface", ALL.values(), ids=ALL)


def grid(surface: Surface, *, points=101, margin=0.5):
    """x and y over the window and a margin around it of that share of its width."""
    left, right, bottom, top = surface.window
    dx, dy = margin * (right - left), margin * (top - bottom)
    return np.meshgrid(np.linspace(left - dx, right + dx, points), np.linspace(bottom - dy, top + dy, points))


@each_surface
@settings(max_examples=50, deadline=None)
@given(share=st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)))
def test_gradient_is_what_autograd_finds(surface, share):
    left, right, bottom, top = surface.window
    x, y = left + share[0] * (right - left), bottom + share[1] * (top - bottom)
    tensors = [torch.tensor(each, dtype=torch.float64, requires_grad=True) for each in (x, y)]
    loss = surface.loss(*tensors)
    by_autograd = [each.item() for each in torch.autograd.grad(loss, tensors)]
    scale = max(1.0, loss.item())  # where terms of that size cancel, this many digits remain
    assert surface.gradient(x, y) == pytest.approx(by_autograd, rel=1e-12, abs=1e-12 * scale)
    assert surface.loss(x, y) == pytest.approx(loss.item(), rel=1e-12, abs=1e-14)


@each_surface
def test_floats_arrays_and_tensors_agree(surface):
    x, y = grid(surface, points=7)
    loss, slopes = surface.loss(x, y), np.array(surface.gradient(x, y))
    assert isinstance(loss, np.ndarray) and loss.shape == x.shape and slopes.shape == (2, *x.shape)
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    assert isinstance(surface.loss(*tensors), torch.Tensor)
    np.testing.assert_allclose(surface.loss(*tensors), loss, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.array(surface.gradient(*tensors)), slopes, rtol=1e-12, atol=1e-11)
    for at in np.ndindex(x.shape):
        point = float(x[at]), float(y[at])
        assert surface.loss(*point) == pytest.approx(loss[at], rel=1e-12, abs=1e-12)
        assert surface.gradient(*point) == pytest.approx(slopes[(slice(None), *at)], rel=1e-12, abs=1e-11)


@each_surface
def test_loss_is_nowhere_below_its_minima(surface):
    assert surface.loss(*grid(surface)).min() >= 0
    for minimum in surface.minima:
        assert 0 <= surface.loss(*minimum) <= 1e-12
        assert np.abs(surface.gradient(*minimum)).max() <= 1e-12


@each_surface
def test_start_and_minima_are_inside_the_window(surface):
    left, right, bottom, top = surface.window
    for x, y in (surface.start, *surface.minima):
        assert left < x < right and bottom < y < top
    assert surface.loss(*surface.start) > 0.1


@pytest.mark.parametrize("name", WITHOUT_OTHER_DENTS)
def test_no_dent_of_the_window_is_missing_among_the_minima(name):
    """Every lowest point of a fine grid lies beside a listed minimum, and every minimum has one beside it."""
    surface = ALL[name]
    left, right, bottom, top = surface.window
    x, y = np.meshgrid(np.linspace(left, right, 401), np.linspace(bottom, top, 401))
    loss = surface.loss(x, y)
    near = [np.roll(loss, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    lowest = (loss < np.min(near, axis=0))[1:-1, 1:-1]
    at = np.column_stack([x[1:-1, 1:-1][lowest], y[1:-1, 1:-1][lowest]])
    # A grid has dents of its own along a narrow slanted valley; from those the way leads on to a minimum.
    ends = [settle(surface, point) for point in at]
    nearest = [min(surface.minima, key=partial(math.dist, end)) for end in ends]
    assert max(map(math.dist, ends, nearest)) < 1e-6
    assert set(nearest) == set(surface.minima)


def settle(surface: Surface, point) -> tuple[float, float]:
    """Where Newton's method, kept from climbing, ends from here: a point where the slope vanishes."""
    p = torch.tensor(point, dtype=torch.float64)
    for _ in range(200):
        gradient = torch.stack(surface.gradient(*p))
        if gradient.norm() < 1e-11:
            break
        hessian = torch.autograd.functional.hessian(lambda q: surface.loss(*q), p)
        damping = max(0.0, 1e-6 - torch.linalg.eigvalsh(hessian)[0].item())
        step = torch.linalg.solve(hessian + damping * torch.eye(2, dtype=torch.float64), gradient)
        while surface.loss(*(p - step)) > surface.loss(*p) and step.norm() > 1e-14:
            step = step / 2
        p = p - step
    return tuple(p.tolist())


@pytest.mark.parametrize("kappa", [1, 7.5, 1000])
def test_kappa_is_the_ratio_of_the_curvatures_of_a_ravine(kappa):
    hessian = torch.autograd.functional.hessian(lambda q: ravine(kappa).loss(*q), torch.zeros(2, dtype=torch.float64))
    assert hessian.tolist() == [[1, 0], [0, kappa]]
    assert f"κ = {kappa:g}" in ravine(kappa).name


@pytest.mark.parametrize("kappa", [0.999, 0, -3, math.inf, math.nan])
def test_what_is_no_condition_number_is_refused(kappa):
    with pytest.raises(ValueError, match="condition_number"):
        ravine(kappa)


def test_a_surface_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ravine().start = (0.0, 0.0)


def test_the_saddle_is_one_and_the_wall_is_steep():
    """What the docstrings promise beyond the formula."""
    saddle, cliff = ALL["saddle"], ALL["cliff"]
    assert saddle.gradient(0.0, 0.0) == (0, 0)
    hessian = torch.autograd.functional.hessian(lambda q: saddle.loss(*q), torch.zeros(2, dtype=torch.float64))
    assert hessian.diagonal().tolist() == [1, -1]

    slope = lambda *x: max(abs(cliff.gradient(each, 0.0)[0]) for each in x)  # noqa: E731
    bowl, wall, plateau = np.linspace(-2, 2, 201), np.linspace(2, 2.4, 201), np.linspace(2.9, 3.6, 99)
    assert slope(*wall) > 10 * slope(*bowl) and slope(*plateau) < 0.1 * slope(*bowl)
    x = np.linspace(1.9, 2.5, 60001)
    slopes = cliff.gradient(x, np.zeros_like(x))[0]
    assert np.abs(np.diff(slopes)).max() < 0.01  # no jump where the wall begins and ends
