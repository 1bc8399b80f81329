"""What the figures show and say: their lines, their labels' places, their alt text, and colours that stay apart."""

import html
import itertools
import re
from functools import partial
from io import BytesIO

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from torch import optim

from tests.support.colors import MACHADO, cielab, nearest
from utils.descent import Trace, descend
from utils.plots import (
    describe,
    loss_curves,
    lr_sensitivity,
    picture,
    readable,
    spread,
    surface_contours,
    surface_traces,
)
from utils.surfaces import SURFACES, ravine, rosenbrock
from utils.sweeps import Sweep

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def the_look():
    with plt.style.context("utils.workshop"):
        yield
    plt.close("all")


def runs(*, steps=30) -> list[Trace]:
    """Two runs that end at the same place, one that leaves the window and one that diverges."""
    makes = [partial(optim.SGD, lr=0.05), partial(optim.Adam, lr=0.2), partial(optim.SGD, lr=0.1001)]
    traces = [descend(ravine(20), make, steps) for make in makes]
    return [*traces, descend(ravine(20), partial(optim.SGD, lr=0.2), steps, label="too fast")]


def lines(ax, style="-", marker="None"):
    return [each for each in ax.lines if each.get_linestyle() == style and each.get_marker() == marker]


def boxes(ax):
    """Text → the rectangle it takes in the finished figure, of every label that belongs to a run."""
    ax.figure.canvas.draw()
    return {each.get_text(): each.get_window_extent() for each in ax.texts if each.get_text()}


def assert_readable(ax):
    placed, figure = boxes(ax), ax.figure.bbox
    for (one, box), (other, another) in itertools.combinations(placed.items(), 2):
        assert not box.overlaps(another), f"{one!r} lies over {other!r}"
    for text, box in placed.items():
        assert box.x0 >= 0 and box.x1 <= figure.width and box.y0 >= 0 and box.y1 <= figure.height, text
    for label in (ax.xaxis.label, ax.yaxis.label, ax.title, ax._left_title):
        extent = label.get_window_extent()
        for text, box in placed.items():
            assert not (label.get_text() and box.overlaps(extent)), f"{text!r} lies over {label.get_text()!r}"


# ---- surfaces and paths


@pytest.mark.parametrize("name", SURFACES)
def test_contours_have_a_star_at_each_minimum_and_named_axes(name):
    surface = SURFACES[name]()
    ax = surface_contours(surface)
    (stars,) = [line for line in ax.lines if line.get_marker() == "*"]
    np.testing.assert_array_equal(stars.get_xydata(), surface.minima)
    assert (*ax.get_xlim(), *ax.get_ylim()) == surface.window
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left")) == ("parameter x", "parameter y", surface.name)
    assert surface.name in picture(ax).alt


def test_darker_is_lower_and_half_of_the_window_is_below_the_middle_level():
    surface = rosenbrock()
    ax = surface_contours(surface)
    filled = next(each for each in ax.collections if each.get_facecolor().size and len(each.levels) == 15)
    shades = filled.get_facecolor()[:, 0]
    assert (np.diff(shades) > 0).all()
    x, y = np.meshgrid(np.linspace(*surface.window[:2], 161), np.linspace(*surface.window[2:], 161))
    assert np.mean(surface.loss(x, y) < filled.levels[7]) == pytest.approx(0.5, abs=0.02)


def test_a_line_per_run_from_the_start_on():
    traces = runs()
    ax = surface_traces(ravine(20), traces, title="Four lrs")
    paths = lines(ax)
    assert len(paths) == 4 and len({path.get_color() for path in paths}) == 4
    for path, trace in zip(paths, traces, strict=True):
        finite = np.isfinite(trace.path).all(axis=1)
        np.testing.assert_array_equal(path.get_xydata(), trace.path[finite])
    squares = [line.get_xydata()[0] for line in ax.lines if line.get_marker() == "s"]
    assert {tuple(at) for at in squares} == {ravine().start}
    assert ax.get_title(loc="left") == "Four lrs"
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [len(dot.get_xdata()) for dot in dots] == [len(path.get_xdata()) for path in paths]
    assert [label.get_color() for label in ax.texts] == [readable(path.get_color()) for path in paths]


def test_a_run_that_diverged_says_so_and_is_drawn_over_the_edge():
    trace = runs()[-1]
    ax = surface_traces(ravine(20), trace)
    assert list(boxes(ax)) == [f"too fast (diverged at step {trace.diverged_at})"]
    (path,) = lines(ax)
    assert abs(path.get_ydata()[-1]) > ravine().window[3] and path.get_clip_on()
    (label,) = ax.texts
    left, right, bottom, top = ravine().window
    assert left <= label.xy[0] <= right and bottom <= label.xy[1] <= top
    assert_readable(ax)


@pytest.mark.parametrize("name", SURFACES)
def test_labels_of_paths_overlap_neither_each_other_nor_the_axes(name):
    surface = SURFACES[name]()
    traces = [descend(surface, partial(optim.Adam, lr=0.1 * n), 100, label=f"Adam, number {n}") for n in range(1, 8)]
    assert_readable(surface_traces(surface, traces, mark_every=0))


def test_labels_at_the_lower_edge_stay_in_the_axes():
    path = np.array([[0.0, 0.0], [0.5, -0.99]])
    traces = [Trace(f"run {n}", path, np.ones(2), np.ones(1), None) for n in range(6)]
    ax = surface_traces(ravine(), traces)
    assert_readable(ax)
    assert all(box.y0 > ax.get_window_extent().y0 - 1 for box in boxes(ax).values())


def test_arrows_follow_their_steps_and_none_is_drawn_after_a_divergence():
    trace = descend(ravine(), partial(optim.SGD, lr=0.02), 10)
    ax = surface_traces(ravine(), trace, mark_every=0, arrows_at=[0, 4, 10, 50])
    arrows = [each for each in ax.texts if each.arrow_patch]
    assert len(arrows) == 2
    for arrow, k in zip(arrows, (0, 4), strict=True):
        assert tuple(arrow.xyann) == tuple(trace.path[k]) and tuple(arrow.xy) == tuple(trace.path[k + 1])
    assert not [line for line in ax.lines if line.get_marker() == "o"]


def test_mark_every():
    ax = surface_traces(ravine(), descend(ravine(), optim.SGD, 10), mark_every=5)
    (dots,) = [line for line in ax.lines if line.get_marker() == "o"]
    assert len(dots.get_xdata()) == 3


def test_no_runs_is_the_surface_alone():
    assert lines(surface_traces(ravine(), [])) == []


def test_describe():
    good, *_, bad = runs(steps=30)
    assert describe(good) == f"SGD, lr 0.05: loss {good.loss[-1]:.2g} after 30 steps"
    assert describe(bad) == f"too fast: diverged at step {bad.diverged_at}" and bad.diverged_at < 30


# ---- curves


def test_loss_curves_of_traces():
    traces = runs()
    ax = loss_curves(traces, title="Loss on a ravine")
    assert ax.get_yscale() == "log" and (ax.get_xlabel(), ax.get_ylabel()) == ("step", "loss")
    for line, trace in zip(lines(ax), traces, strict=True):
        finite = np.isfinite(trace.loss)
        np.testing.assert_array_equal(line.get_xdata(), np.flatnonzero(finite))
        np.testing.assert_array_equal(line.get_ydata(), trace.loss[finite])
    assert [text.get_text() for text in ax.texts][-1] == f"too fast (diverged at step {traces[-1].diverged_at})"
    assert_readable(ax)
    assert not ax.collections  # a band would claim seeds


def test_runs_of_the_same_name_are_all_drawn():
    trace = descend(ravine(), optim.SGD, 3)
    assert len(lines(loss_curves([trace, trace]))) == 2


def test_the_band_over_seeds_is_lowest_to_highest_and_the_line_the_median():
    losses = np.exp(np.random.default_rng(0).normal(size=(20, 5)))
    losses[3, 2], losses[5] = np.inf, np.nan
    kept = np.delete(np.where(np.isfinite(losses), losses, np.nan), 5, axis=0)
    places = np.delete(np.arange(20) * 2.0, 5)
    ax = loss_curves({"five seeds": losses}, x=np.arange(20) * 2.0, log=False, xlabel="epoch", ylabel="test loss")
    (line,), (band,) = lines(ax), ax.collections
    np.testing.assert_array_equal(line.get_xydata(), np.column_stack([places, np.nanmedian(kept, axis=1)]))
    corners = band.get_paths()[0].vertices
    for x, low, high in zip(places, np.nanmin(kept, axis=1), np.nanmax(kept, axis=1), strict=True):
        heights = corners[corners[:, 0] == x, 1]
        assert (heights.min(), heights.max()) == (low, high)
    assert ax.get_yscale() == "linear" and (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "test loss")


def test_floor_lifts_what_a_log_scale_cannot_show():
    (line,) = lines(loss_curves({"exact": np.array([1.0, 1e-20, 0.0])}, floor=1e-16))
    assert line.get_ydata().tolist() == [1, 1e-16, 1e-16]


def test_a_curve_without_a_finite_point_is_refused():
    with pytest.raises(ValueError, match="lost: no point is finite"):
        loss_curves({"lost": np.full(5, np.nan)})


@pytest.mark.parametrize("end", [1.0, 1e-9], ids=["top", "bottom"])
def test_curves_that_end_at_the_same_height_have_labels_apart(end):
    curves = {f"run number {n}": np.geomspace(1e-9 if end == 1 else 1, end, 10) for n in range(7)}
    assert_readable(loss_curves(curves, title="They all end there"))


@settings(deadline=None)
@given(st.lists(st.floats(-50, 150), min_size=1, max_size=8))
def test_spread_keeps_distance_and_order_and_stays_within(wanted):
    placed = spread(wanted, 10.0, 0.0, 100.0)
    order = np.argsort(np.clip(wanted, 0, 100), kind="stable")
    assert (np.diff(placed[order]) >= 10 - 1e-9).all()
    assert placed.min() >= -1e-9 and placed.max() <= 100 + 1e-9
    apart = np.diff(np.sort(np.clip(wanted, 0, 100)))
    if (apart >= 10).all():
        np.testing.assert_allclose(placed, np.clip(wanted, 0, 100))


# ---- sensitivity to lr


LRS = np.array([0.001, 0.01, 0.1, 1.0])
LOSSES = np.array([[0.9, 0.8, 1.0], [0.2, 0.1, 0.3], [0.5, np.nan, 0.4], [np.inf, np.nan, 2.0]])


def test_the_ring_is_at_the_best_lr_and_crosses_at_what_diverged():
    ax = lr_sensitivity({"SGD": (LRS, LOSSES), "Adam": (LRS, LOSSES[::-1])}, title="Two optimizers")
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_xlabel(), ax.get_ylabel()) == ("log", "log", "lr", "final loss")
    rings = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    assert [line.get_xydata()[0].tolist() for line in rings] == [[0.01, 0.2], [0.1, 0.2]]
    sgd, adam = [line for line in ax.lines if line.get_marker() == "x"]
    assert (sgd.get_xdata().tolist(), adam.get_xdata().tolist()) == ([1.0], [0.001])
    assert sgd.get_color() == rings[0].get_color() != adam.get_color()
    solid = lines(ax, marker="o")
    np.testing.assert_allclose(solid[0].get_xydata(), [[0.001, 0.9], [0.01, 0.2], [0.1, 0.5]])
    corners = ax.collections[0].get_paths()[0].vertices
    assert [corners[corners[:, 0] == 0.1, 1].min(), corners[corners[:, 0] == 0.1, 1].max()] == [0.4, 0.5]
    assert "× diverged" in boxes(ax)
    assert_readable(ax)
    assert picture(ax).alt == (
        "Two optimizers. final loss against lr: SGD is best at lr 0.01 with 0.2 and diverges from lr 1 on; "
        "Adam is best at lr 0.1 with 0.2 and diverges at lr 0.001."
    )


@pytest.mark.parametrize(
    ("losses", "taken"),
    [
        ([[0.5, 0.5, 0.5], [0.1, 0.1, np.inf]], 0),  # the lower median has a seed that diverged
        ([[0.5, 0.5, 0.5], [0.1, 0.1, 2.0]], 0),  # … or one that spoils the mean
        ([[0.5, 0.5, np.inf], [0.1, 0.1, np.inf]], 1),
    ],
)
def test_the_ring_is_at_the_lr_that_a_sweep_takes(losses, taken):
    losses = np.array(losses)
    ax = lr_sensitivity({"SGD": (LRS[:2], losses)})
    (ring,) = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    assert ring.get_xydata()[0].tolist() == [LRS[taken], np.median(losses[taken])]
    if np.isfinite(losses).all(axis=1).any():
        sweep = Sweep("SGD", np.array(LRS[:2]), (0, 1, 2), losses[None], losses)
        assert sweep.best_lr == LRS[taken]


def test_crosses_of_two_optimizers_at_one_lr_are_both_seen():
    ax = lr_sensitivity({"SGD": (LRS, LOSSES), "Adam": (LRS, LOSSES)})
    one, two = [line.get_xydata() for line in ax.lines if line.get_marker() == "x"]
    assert one[0, 0] == two[0, 0] and abs(one[0, 1] - two[0, 1]) > 0.03


def test_lrs_may_come_in_any_order():
    order = [2, 0, 3, 1]
    one, two = (lr_sensitivity({"SGD": each}) for each in [(LRS, LOSSES), (LRS[order], LOSSES[order])])
    for a, b in zip(one.lines, two.lines, strict=True):
        np.testing.assert_array_equal(a.get_xydata(), b.get_xydata())


def test_an_optimizer_that_always_diverged_is_refused():
    with pytest.raises(ValueError, match="SGD: every lr diverged"):
        lr_sensitivity({"SGD": (LRS, np.full(4, np.inf))})


def test_without_divergence_no_cross_is_explained():
    ax = lr_sensitivity({"SGD": (LRS, np.ones(4))}, log=False)
    assert boxes(ax) == {} and ax.get_yscale() == "linear" and "diverges" not in ax.get_label()


# ---- what becomes of a figure


def test_every_function_draws_into_a_given_axes_and_returns_it():
    figure, axes = plt.subplots(2, 2, figsize=(9, 7))
    a, b, c, d = axes.flat
    trace = descend(ravine(), optim.SGD, 5)
    assert surface_contours(ravine(), a) is a and surface_traces(ravine(), trace, b) is b
    assert loss_curves([trace], c) is c and lr_sensitivity({"SGD": (LRS, LOSSES)}, d) is d
    assert plt.get_fignums() == [figure.number]
    alt = picture(figure).alt
    assert alt.count("Contours of ravine") == 1 and "Paths on ravine" in alt and "best at lr 0.01" in alt


def test_a_picture_closes_its_figure_and_is_the_same_file_every_time():
    def draw():
        return picture(surface_traces(ravine(20), runs(), arrows_at=[0]))

    one, two = draw(), draw()
    assert plt.get_fignums() == []
    assert one == two and one.png.startswith(b"\x89PNG") and b"atplotlib" not in one.png
    height, width = plt.imread(BytesIO(one.png)).shape[:2]
    assert (width, height, one.width) == (1216, 640, 760)


def test_alt_text_is_escaped_in_html_and_read_back_by_a_browser():
    ax = loss_curves({'a <b> & "c"': np.array([1.0, 0.5])}, title="1 < 2")
    shown = picture(ax)
    assert shown.alt == '1 < 2. loss against step: a <b> & "c" goes from 1 to 0.5.'
    (alt,) = re.findall(r'^<img alt="([^"<>]*)" width="760" ', shown._repr_html_())
    assert html.unescape(alt) == shown.alt
    assert repr(shown) == f"<Picture: {shown.alt}>"
    assert "data:image/png;base64," in shown._repr_html_()


def test_alt_text_of_ones_own_and_none_at_all():
    figure, ax = plt.subplots()
    with pytest.raises(ValueError, match="alt="):
        picture(ax)
    assert picture(ax, alt="an empty frame").alt == "an empty frame"
    figure, ax = plt.subplots()
    figure.suptitle("On top")
    ax.set_title("Below\nit")
    assert picture(figure).alt == "On top. Below it."


# ---- colours


def test_the_measure_of_colours_knows_white_and_tells_red_from_green_only_with_cones():
    assert cielab([[1, 1, 1]], np.eye(3))[0] == pytest.approx([100, 0, 0], abs=0.02)
    red_green = [to_rgb("#C0392B"), to_rgb("#6B7A1E")]
    assert nearest(red_green, MACHADO["deuteranopia"]) < 15 < 60 < nearest(red_green, np.eye(3))


@pytest.mark.parametrize("vision", MACHADO)
def test_the_first_four_colours_stay_apart(vision):
    colors = [to_rgb(f"C{i}") for i in range(4)]
    assert nearest(colors, MACHADO[vision]) > 15  # in CIELAB; a just noticeable difference is about 2.3
