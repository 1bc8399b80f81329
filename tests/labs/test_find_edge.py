"""Lab 1 without a browser: every setting is drawn where it should be, told in words, and judged by the goals."""

import html
import importlib
import random
import re
import sys
import threading
import time
from functools import cache, partial
from io import BytesIO
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from traitlets import TraitError

from tests.support.badly_behaved import fails, forever, leave, that, wobble
from tests.support.lab_widgets import drawn, options, shown, to_data, widgets_of
from tools.notebooks import is_still
from utils.descent import FAR
from utils.internals import running
from utils.labs import find_edge, guarded
from utils.labs.plot_widget import Canvas
from utils.surfaces import ravine

pytestmark = pytest.mark.filterwarnings("error")
module = importlib.import_module("utils.labs.find_edge")
STEPS = 60


@pytest.fixture(scope="module", autouse=True)
def stills_once():
    """The pictures behind the lines do not change from lab to lab; drawing them takes a second per lab."""
    draw = module._still
    by_name = cache(lambda name, kappa, steps: draw(ravine(kappa), steps))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            module, "_still", lambda surface, steps: by_name(surface.name, surface.gradient(1.0, 1.0)[1], steps)
        )
        yield


@pytest.fixture
def lab():
    return find_edge()


def nearest(lab, lr) -> float:
    return min(options(lab.controls["lr"]), key=lambda each: abs(each - lr))


def random_settings(lab, count=200):
    """Both ends of all sliders, in every combination, then random positions."""
    choices = {name: options(control) for name, control in lab.controls.items()}
    ends = np.array(np.meshgrid(*[[0, -1]] * 4)).reshape(4, -1).T
    for positions in ends:
        yield {name: each[i] for (name, each), i in zip(choices.items(), positions, strict=True)}
    draw = np.random.default_rng(0)
    for _ in range(count - len(ends)):
        yield {name: each[draw.integers(len(each))] for name, each in choices.items()}


def by_theory(lr, kappa, x, y):
    """Path and loss of gradient descent on the ravine in closed form; nan from the step on that left the surface."""
    n = np.arange(STEPS + 1)
    path = np.column_stack([x * (1 - lr) ** n, y * (1 - lr * kappa) ** n])
    far = np.abs(path).sum(axis=1) >= FAR
    path[np.maximum.accumulate(far)] = np.nan
    return path, (path[:, 0] ** 2 + kappa * path[:, 1] ** 2) / 2, int(far.argmax()) if far.any() else None


@pytest.mark.parametrize("known", [False, True], ids=["before the edge is found", "after"])
def test_every_setting_is_drawn_in_place_and_told_truly(lab, known):
    lab.goals.reached[1] = known
    settings = list(random_settings(lab))
    settings = settings[:60] if known else settings
    diverged = risen = 0
    for setting in settings:
        lab.set(**setting)
        lr, kappa, x, y = (lab.values[name] for name in ("lr", "kappa", "x", "y"))
        x, y = round(x, 6), round(y, 6)
        path, loss, end = by_theory(lr, kappa, x, y)
        edge = 2 / kappa

        words = f"lr {lr:.3g}, κ = {kappa}: "
        told = lab.plot.frame["alt"]
        assert told.startswith(words)
        said = re.search(r"\. The edge 2/L is (\S+); this lr is (\S+)% of it\.$", told)
        assert bool(said) == known
        if known:
            assert float(said[1]) == pytest.approx(edge, rel=0.005)
            near = pytest.approx(100 * lr / edge, abs=0.501 if lr > 0.1 * edge else 0.051)
            assert float(said[2]) == near and float(said[2])
        if end is not None:
            diverged += 1
            assert told.startswith(f"{words}diverged at step {end}.")
        else:
            shown = re.match(rf"loss (\S+) after {STEPS} steps(: it did not go down)?\.", told[len(words) :])
            assert float(shown[1]) == pytest.approx(loss[-1], rel=0.06, abs=1e-30)
            if loss[0] and abs(loss[-1] / loss[0] - 1) > 1e-9:
                risen += loss[-1] > loss[0]
                assert bool(shown[2]) == (loss[-1] > loss[0])

        at_edge, at_best, predicted, start, walked, curve, dot = drawn(lab)
        window, panels = ravine(kappa).window, lab.plot.panels
        log = {"ylim": (1e-12, 1e4), "log": True}
        np.testing.assert_allclose(to_data(start, panels[0], window[:2], window[2:]), [[x, y]], atol=1e-4)
        seen = np.abs(path).sum(axis=1) < 10  # beyond, coordinates are cut off far outside the panel
        np.testing.assert_allclose(to_data(walked, panels[0], window[:2], window[2:])[seen], path[seen], atol=1e-4)
        assert (np.isnan(walked).any(axis=1) == np.isnan(path).any(axis=1)).all()
        at = to_data(curve, panels[1], (0, 1.04 * STEPS), **log)
        finite = np.isfinite(loss)
        assert (np.isfinite(at).all(axis=1) == finite).all()
        np.testing.assert_allclose(at[finite, 0], np.flatnonzero(finite), atol=1e-3)
        np.testing.assert_allclose(at[finite, 1], np.maximum(loss, 1e-14)[finite], rtol=1e-3)
        for points, place in ((at_edge, edge), (at_best, 2 / (1 + kappa))):
            at = to_data(points, panels[2], (0, 1.5 * edge), **log)
            np.testing.assert_allclose(at, [[place, 1e-12], [place, 1e4]] if known else np.empty((0, 2)), rtol=1e-3)
        at = to_data(predicted, panels[2], (0, 1.5 * edge), **log)
        np.testing.assert_allclose(at[:, 0], np.linspace(0, 1.5 * edge, 241), atol=1e-5 * edge)
        n = 2 * STEPS
        theory = (x**2 * (1 - at[:, 0]) ** n + kappa * y**2 * (1 - at[:, 0] * kappa) ** n) / 2
        visible = (theory > 1e-12) & (theory < 1e4)
        np.testing.assert_allclose(at[visible, 1], theory[visible], rtol=0.02)
        at = to_data(dot, panels[2], (0, 1.5 * edge), **log)[0]
        assert at[0] == pytest.approx(min(lr, 1.44 * edge), rel=1e-3)
        assert at[1] == pytest.approx(np.clip(np.nan_to_num(loss[-1], nan=np.inf), 3e-12, 3e3), rel=1e-3)

        fell, failed, outside, *names = (text for _, _, text in lab.plot.frame["texts"])
        assert names == (["best", "2/(μ+L)", "edge 2/L"] if known else [""] * 3)
        down = end is None and loss[-1] < loss[0]
        number = re.match(r"loss \S+(?= after)|diverged at step \d+", told[len(words) :])[0]
        assert (fell, failed) == ((number, "") if down else ("", number + (": not down" if end is None else "")))
        assert outside == (f"lr {lr:.3g} →" if lr > 1.44 * edge else "")  # the dot stands at the panel's side
        assert html.escape(told) in lab.status.value
    assert diverged > 10 and risen > 1


def test_the_background_is_that_of_kappa_and_travels_only_when_kappa_moves(lab):
    changes = []
    lab.plot.observe(lambda change: changes.append(change.name), names=["background", "frame"])
    lab.set(lr=nearest(lab, 0.1))
    assert changes == ["frame"]
    before = lab.plot.background
    lab.set(kappa=30)
    assert changes == ["frame", "background", "frame"] and lab.plot.background != before
    lab.set(kappa=10)
    assert lab.plot.background == before


def test_a_move_brings_the_page_only_what_moved(lab):
    with shown(lab) as page:
        for setting in random_settings(lab, 24):
            lab.set(**setting)
            page.assert_shows(lab)
        lab.set(kappa=10, x=-1.0, y=0.4, lr=nearest(lab, 0.05))
        page.bytes = 0
        lab.set(lr=nearest(lab, 0.06))  # the dashed curve, 241 points, stays
        assert page.bytes < 2500
        page.assert_shows(lab)
        lab.redraw()
        assert page.bytes < 2700


# ---- goals


def reached(lab) -> list[bool]:
    return [mark == "✓" for mark in re.findall(r"<div>([✓○]) ", lab.goal_list.value)]


def at_edge(share) -> float:
    return share * 2 / 30


GOALS = {  # which goal, the settings that reach it, and settings that nearly do
    "within 40 steps": (
        0,
        [{"lr": 2 / 11}],
        [[{"lr": 0.12}], [{"lr": 0.2}], [{"lr": 0.5, "kappa": 3}], [{"lr": 2 / 11, "x": 0.0}], [{"lr": 0.9, "y": 0.0}]],
    ),
    "both sides of the edge": (
        1,
        [{"kappa": 30, "lr": at_edge(0.98)}, {"kappa": 30, "lr": at_edge(1.02)}],
        [
            [{"kappa": 30, "lr": at_edge(0.98)}],
            [{"kappa": 30, "lr": at_edge(1.02)}],
            [{"kappa": 30, "lr": at_edge(0.96)}, {"kappa": 30, "lr": at_edge(1.04)}],
            [{"kappa": 30, "y": 0.0, "lr": at_edge(0.98)}, {"kappa": 30, "y": 0.0, "lr": at_edge(1.02)}],
            [{"kappa": 10, "lr": 0.196}, {"kappa": 10, "lr": 0.204}],
        ],
    ),
    "on the floor of the ravine": (
        2,
        [{"kappa": 100, "lr": 0.6, "y": 0.0}],
        [
            [{"kappa": 100, "lr": 0.6, "y": 0.1}],
            [{"kappa": 100, "lr": 0.48, "y": 0.0}],
            [{"kappa": 30, "lr": 0.6, "y": 0.0}],
            [{"kappa": 100, "lr": 0.6, "x": 0.0, "y": 0.0}],
            [{"kappa": 100, "lr": 2.2, "y": 0.0}],
        ],
    ),
}


def go(lab, settings):
    for setting in settings:
        # κ and the start first, so that the lr is not tried on the way at another place.
        lab.set(**{name: value for name, value in setting.items() if name != "lr"})
        lab.set(lr=nearest(lab, setting["lr"]))


@pytest.mark.parametrize(("goal", "settings", "misses"), GOALS.values(), ids=GOALS)
def test_a_goal_is_reached_only_when_it_is(goal, settings, misses):
    for miss in misses:
        lab = find_edge()
        assert reached(lab) == [False] * 3
        go(lab, miss)
        assert not reached(lab)[goal], miss
    lab = find_edge()
    go(lab, settings)
    assert [i for i, done in enumerate(reached(lab)) if done] == [goal]
    go(lab, misses[0])
    assert reached(lab)[goal]  # and stays so


def test_the_edge_can_be_read_off_the_lab_only_once_it_has_been_found(lab):
    def words() -> str:
        return " ".join([lab.plot.frame["alt"], lab.status.value, *(text for *_, text in lab.plot.frame["texts"])])

    go(lab, [{"kappa": 30, "lr": at_edge(0.98)}])
    assert "edge" not in words() and "0.0667" not in words()
    go(lab, [{"lr": at_edge(1.02)}])
    assert "The edge 2/L is 0.0667" in words() and "edge 2/L" in words()


def test_what_a_drag_leads_through_reaches_no_goal_what_comes_to_rest_does(lab):
    for lr in (2 / 11, 0.25):
        lab.controls["lr"].value = nearest(lab, lr)  # as a hand does
    lab.plot._handle_custom_msg({"rest": True}, [])  # as the page says
    assert reached(lab) == [False] * 3
    lab.controls["lr"].value = nearest(lab, 2 / 11)
    lab.plot._handle_custom_msg({"shown": True, "rest": False}, [])
    assert reached(lab) == [False] * 3
    lab.plot._handle_custom_msg({"rest": True}, [])
    assert reached(lab) == [True, False, False]


# ---- the lab as a thing to show


def test_the_still_picture_shows_the_present_state(lab):
    pictures, open_before = [], plt.get_fignums()
    for lr in (0.03, 0.19, 0.3):
        lab.set(lr=nearest(lab, lr))
        still = lab.still()
        assert still.alt == lab.plot.frame["alt"] and still.width == lab.plot.size[0]
        pictures.append(plt.imread(BytesIO(still.png)))
    width, height = lab.plot.size
    assert all(each.shape[:2] == (round(1.6 * height), round(1.6 * width)) for each in pictures)
    for one, other in pairwise(pictures):
        assert (np.abs(one - other).max(axis=2) > 0.2).mean() > 1e-3
    assert plt.get_fignums() == open_before


def test_lines_of_the_still_picture_are_cut_off_at_their_panel(lab):
    """A run that leaves the window at its top changes nothing above the panels, where the titles are."""
    above = round(1.6 * lab.plot.panels[0][1]) - 3
    one = plt.imread(BytesIO(lab.still().png))
    lab.set(lr=nearest(lab, 0.25))
    assert np.nanmin(drawn(lab)[4][:, 1]) < 0
    other = plt.imread(BytesIO(lab.still().png))
    np.testing.assert_array_equal(one[:above], other[:above])
    assert (one[above:] != other[above:]).any()


def test_a_notebook_gets_a_still_picture_and_a_widget(lab, monkeypatch):
    outputs = []
    monkeypatch.setattr(sys.modules[type(lab).__module__], "display", lambda data, **more: outputs.append((data, more)))
    lab._ipython_display_()
    (still, more), (live, _) = outputs
    assert is_still(more)
    assert set(still) == {"text/html", "text/plain"} and still["text/plain"] == lab.plot.frame["alt"]
    (tag,) = re.findall(r"<img [^>]*>", still["text/html"])
    assert 'class="lab-still lab-still-edge"' in tag
    assert html.unescape(re.search(r'alt="([^"]*)"', tag)[1]) == lab.plot.frame["alt"]
    assert "application/vnd.jupyter.widget-view+json" in live
    assert live["text/plain"] == "Run this notebook to move the sliders of this lab."  # no id that changes per run
    assert "text/html" not in live


def test_shown_again_the_step_slider_still_reaches_the_last_step(lab):
    (slider,), (play,) = widgets_of(lab, "IntSlider"), widgets_of(lab, "Play")
    assert (slider.min, slider.max, slider.value) == (play.min, play.max, play.value) == (0, STEPS, STEPS)
    lab.plot.step = 7  # as the browser does
    (slider,), (play,) = widgets_of(lab, "IntSlider"), widgets_of(lab, "Play")
    assert (slider.max, slider.value) == (play.max, play.value) == (STEPS, 7)


def test_every_control_is_shown_once_in_the_order_of_the_tab_key(lab):
    shown = [each.description for kind in ("SelectionSlider", "FloatSlider") for each in widgets_of(lab, kind)]
    assert shown == ["lr", "κ = L/μ", "start x", "start y"]
    assert [each.description for each in lab.controls.values()] == shown


class OneThird(torch.optim.Optimizer):
    """A student's own: a third of a step of gradient descent."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p -= group["lr"] / 3 * p.grad


def test_any_optimizer_may_walk():
    lab = find_edge(OneThird)
    lr = lab.values["lr"]
    x, y = by_theory(lr / 3, 10, -1.0, 0.4)[0][-1]
    assert f"loss {(x**2 + 10 * y**2) / 2:.1e} after" in lab.plot.frame["alt"]
    for setting in [{}, {"kappa": 100}, {"lr": 3.0}]:
        for make in (torch.optim.Adam, partial(torch.optim.SGD, momentum=0.9), torch.optim.LBFGS):
            told = find_edge(make).set(**setting).plot.frame["alt"]
            assert re.search(r"diverged at step|loss \S+ after 60 steps", told)


BADLY = {  # what makes it, what is said of it
    "raises": (that(lambda p: p.no_such_thing), "AttributeError: 'Parameter' object has no attribute 'no_such_thing'"),
    "raises at once": (fails, "ZeroDivisionError: division by zero"),
    "leaves the process": (that(leave), "SystemExit: xxx"),
    "loops": (that(forever), "stopped after 0.3 s, for it is too slow or its loop does not end"),
    "is slow": (that(lambda p: time.sleep(0.1)), "stopped after 0.3 s, for it is too slow or its loop does not end"),
    "nan": (that(lambda p: p.div_(0).mul_(0)), "nan after step 1: is there a 0 / 0"),
    "none": (lambda params, lr: None, "ValueError: make_optimizer must return"),
}


@pytest.mark.parametrize("name", BADLY)
def test_whatever_an_optimizer_of_ones_own_does_is_said_in_place_of_the_run_before(name, monkeypatch):
    monkeypatch.setattr(guarded, "AGAIN", guarded.SECONDS)
    bad, said = BADLY[name]
    lab = find_edge(lambda params, lr: (bad if lr > 0.1 else torch.optim.SGD)(params, lr=lr))
    lab.set(lr=nearest(lab, 0.05))
    before = drawn(lab)[4]
    with monkeypatch.context() as patch:
        if name in ("loops", "is slow"):
            patch.setattr(guarded, "SECONDS", 0.3)
            patch.setattr(guarded, "AGAIN", 0.3)
        lab.set(lr=nearest(lab, 0.3), kappa=30)
    alt = lab.plot.frame["alt"]
    assert f"your optimizer gave no run ({said}" in alt and len(alt) < 400 and html.escape(said) in lab.status.value
    assert alt.startswith("lr 0.298, κ = 30: ") and "diverged" not in alt and "loss " not in alt
    assert np.isfinite(before).all() and not np.isfinite(drawn(lab)[4][1:]).any()
    assert "no run: see below" in [text for _, _, text in lab.plot.frame["texts"]]
    lab.still()
    lab.set(lr=nearest(lab, 0.06))
    assert "no run" not in lab.plot.frame["alt"]
    assert reached(lab) == [False] * 3  # its failure is not a run that went up


def test_a_failure_is_no_run_that_went_up():
    lab = find_edge(lambda params, lr: (fails if lr > 0.065 else torch.optim.SGD)(params, lr=lr))
    lab.set(kappa=30)
    for lr in (0.0645, 0.0660):  # 2 % apart, at an edge of 0.0667
        lab.set(lr=nearest(lab, lr))
    assert "no run" in lab.plot.frame["alt"] and reached(lab) == [False] * 3


def test_random_numbers_are_said_and_are_the_same_each_time():
    lab = find_edge(that(wobble))
    before = torch.get_rng_state(), random.getstate()
    first = drawn(lab)[4]
    assert "It draws random numbers, here those of one seed" in lab.plot.frame["alt"]
    lab.set(kappa=3).set(kappa=10)
    np.testing.assert_array_equal(drawn(lab)[4], first)
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]
    assert "random" not in find_edge().plot.frame["alt"]


def test_those_of_torch_have_all_the_time_that_a_busy_machine_takes(monkeypatch):
    monkeypatch.setattr(guarded, "SECONDS", 1e-9)
    for make in (torch.optim.LBFGS, partial(torch.optim.SGD, momentum=0.9)):
        assert "no run" not in find_edge(make, steps=3).plot.frame["alt"]
    assert "no run (stopped" in find_edge(that(forever), steps=3).plot.frame["alt"]


def test_one_that_was_stopped_gets_less_time_until_it_ends(monkeypatch):
    limits = []

    def run_limited(work, seconds):
        limits.append(seconds)
        work()
        return len(limits) > 2, True  # the first two were stopped

    monkeypatch.setattr(guarded, "run_limited", run_limited)
    one = guarded.Guarded()
    assert [one.run(int).stopped for _ in range(4)] == [True, True, False, False]
    assert limits == [guarded.SECONDS, guarded.AGAIN, guarded.AGAIN, guarded.SECONDS]


def test_one_that_will_not_stop_is_run_once(monkeypatch):
    monkeypatch.setattr(guarded, "SECONDS", 0.1)
    monkeypatch.setattr(running, "GRACE", 0.1)
    calls, end = [], threading.Event()

    def stubborn(params, lr):
        calls.append(lr)
        while not end.is_set():
            try:
                end.wait(0.01)
            except BaseException:
                pass

    lab = find_edge(stubborn)
    lab.set(kappa=3).set(kappa=100)
    end.set()
    assert len(calls) == 1 and "it could not be stopped and still runs: restart the kernel" in lab.plot.frame["alt"]


def test_the_number_of_steps_is_free():
    lab = find_edge(steps=25)
    assert "after 25 steps" in lab.plot.frame["alt"] and lab.plot.step == 25 and lab.plot.frame["lengths"][4] == 26


def test_a_control_that_does_not_exist_is_named():
    lab = find_edge()
    with pytest.raises(ValueError, match=r"no control \['momentum'\]; it has \['lr', 'kappa', 'x', 'y'\]"):
        lab.set(momentum=0.9)
    with pytest.raises(TraitError):
        lab.set(kappa=11)


def test_a_word_that_cannot_be_placed_is_not_drawn():
    """As a point is not: a browser would report an error for a place that is nan."""
    figure, ax = plt.subplots()
    canvas = Canvas.of(figure)
    frame = canvas.frame([(ax, [0, 1], [0, np.nan])], [(ax, 0.5, np.nan, "lost"), (ax, 0.5, 0.5, "here")], "")
    assert [text for _, _, text in frame["texts"]] == ["", "here"]
    assert np.isfinite([place for *place, _ in frame["texts"]]).all()
