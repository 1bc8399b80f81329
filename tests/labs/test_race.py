"""Lab 2 without a browser: each setting is drawn where it should be and told in words, and only what changed runs."""

import asyncio
import importlib
import re
import time
from functools import cache, partial
from io import BytesIO
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from tests.support.badly_behaved import forever, leave, that, wobble
from tests.support.lab_widgets import drawn, options, shown, to_data, widgets_of
from utils.descent import descend
from utils.labs import design_schedule, guarded
from utils.labs.goals import Raced, race_goals
from utils.labs.plot_widget import PlotWidget, Stills
from utils.labs.race import race
from utils.labs.race_picture import LOSSES
from utils.labs.racers import LRS, PROBLEMS, TRIED

race_module = importlib.import_module("utils.labs.race")  # `utils.labs.race` is the lab
pytestmark = pytest.mark.filterwarnings("error")
STEPS = 100
GOOD = partial(torch.optim.SGD, momentum=0.5)
# The racers written out once more: a name that stands for another optimizer would be found out.
MAKES = {
    "SGD": torch.optim.SGD,
    "Momentum": torch.optim.SGD,
    "RMSprop": torch.optim.RMSprop,
    "Adam": lambda params, lr, beta1, beta2: torch.optim.Adam(params, lr, (beta1, beta2)),
    "Nesterov": lambda params, lr, momentum: torch.optim.SGD(params, lr, momentum=momentum, nesterov=momentum > 0),
    "Adagrad": torch.optim.Adagrad,
    "Own": GOOD,
}


@pytest.fixture(scope="module", autouse=True)
def stills_once():
    """The pictures behind the lines do not change from lab to lab; drawing them takes a second per lab."""
    draw, surfaces = race_module.draw_still, {surface.name: surface for surface, _ in PROBLEMS.values()}
    by_name = cache(lambda name: draw(surfaces[name]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(race_module, "draw_still", lambda surface: by_name(surface.name))
        yield


@pytest.fixture
def lab():
    return race()


@pytest.fixture
def runs(monkeypatch):
    """(racer, seed) of every run from here on."""
    seen = []

    def noted(*args, **settings):
        seen.append((settings["label"], settings["seed"]))
        return descend(*args, **settings)

    monkeypatch.setattr(race_module, "descend", noted)
    return seen


def move(lab, **values) -> None:
    """All at once; the names of a racer's controls have a blank: Adam_lr."""
    with lab.hold():
        lab.set(**{name.replace("_", " "): value for name, value in values.items()})


def racers(lab) -> list[str]:
    return [name.removesuffix(" on") for name in lab.controls if name.endswith(" on")]


def racing(lab) -> list[str]:
    return [name for name in racers(lab) if lab.values[f"{name} on"]]


def start_of(lab) -> tuple[float, float]:
    """The surface's own start, moved by whole percents of the window."""
    surface = PROBLEMS[lab.values["problem"]][0]
    left, right, bottom, top = surface.window
    places = []
    for own, share, low, size in zip(
        surface.start, (lab.values["x"], lab.values["y"]), (left, bottom), (right - left, top - bottom), strict=True
    ):
        moved = share - round((own - low) / size, 2)
        places.append(round(own + moved * size, 4))
        assert places[-1] == pytest.approx(low + share * size, abs=0.0051 * size)
    return tuple(places)


def walk(lab, name, lr=None, seed=0):
    """The trace of one racer at its present setting, or at another lr, by descend() alone."""
    own = {key.removeprefix(f"{name} "): value for key, value in lab.values.items() if key.startswith(f"{name} ")}
    del own["on"]
    own["lr"] = own["lr"] if lr is None else lr
    surface, noise = PROBLEMS[lab.values["problem"]][0], lab.values["noise"]
    return descend(surface, partial(MAKES[name], **own), STEPS, start=start_of(lab), noise=noise, seed=seed)


def told(lab) -> dict[str, str]:
    """racer → what the alt text says of it."""
    alt = lab.plot.frame["alt"]
    head = f"{STEPS} steps on the problem {lab.values['problem']}. "
    assert alt.startswith(head) and alt.endswith(".")
    said = {}
    for part in alt[len(head) : -1].split("; "):
        if part != "Nobody is in the race":
            name, lr, result = re.fullmatch(r"(.+?), lr (\S+): (.+)", part).groups()
            assert float(lr) == pytest.approx(lab.values[f"{name} lr"], rel=0.005)
            said[name] = result
    return said


def in_words(trace, target) -> str:
    if trace.diverged_at is not None:
        return f"diverged at step {trace.diverged_at}"
    below = [step for step, loss in enumerate(trace.loss) if loss <= target]
    return f"loss {trace.loss[-1]:.1e}, " + (f"target at step {below[0]}" if below else "target missed")


def curve_of(lab, name) -> np.ndarray:
    """(lr, loss) along the sensitivity curve of a racer, empty if none is shown."""
    return on_lr(lab, drawn(lab)[4 * racers(lab).index(name) + 2])


def on_lr(lab, points) -> np.ndarray:
    ends = np.log10([LRS[0] / 1.3, LRS[-1] * 1.3])
    data = to_data(points, lab.plot.panels[2], ends, LOSSES, log=True)
    return np.column_stack([10 ** data[:, 0], data[:, 1]])


def as_shown(losses) -> np.ndarray:
    losses = np.nan_to_num(losses, nan=np.inf)
    return np.clip(losses, 2 * LOSSES[0], LOSSES[1] / 2)


def random_settings(lab, count=60):
    """Every problem in turn; each other control at one of its ends or, as often, anywhere."""
    random = np.random.default_rng(0)
    choices = {
        name: [False, True, True] if name.endswith(" on") else options(control)
        for name, control in lab.controls.items()
        if name != "problem"
    }
    for i in range(count):
        setting = {"problem": list(PROBLEMS)[i % len(PROBLEMS)]}
        for name, values in choices.items():
            at = random.choice([0, len(values) - 1, *random.integers(len(values), size=2)])
            setting[name] = values[at]
        yield setting


def assert_names_apart(lab) -> None:
    _, top, _, height = lab.plot.panels[1]
    *names, (x, y, target) = lab.plot.frame["texts"]
    dashed = drawn(lab)[-1]
    assert target == "target" and 0 < x - dashed[0, 0] < 10 and 10 < y - dashed[0, 1] < 16  # below its line
    words = sorted((y, x, text) for x, y, text in names if text)
    assert sorted(text for *_, text in words) == sorted(told(lab))
    left = sum(lab.plot.panels[1][::2])
    for y, x, _ in words:
        assert left < x < left + 12 and top < y < top + height + 1
    assert all(lower[0] - upper[0] >= 12 for upper, lower in pairwise(words))


def test_every_setting_is_drawn_in_place_and_told_truly(lab):
    settings = list(random_settings(lab))
    for name, control in lab.controls.items():
        ends = list(PROBLEMS) if name == "problem" else [False, True] if name.endswith(" on") else options(control)
        on = f"{name.split()[0]} on"  # an extreme of a racer that stands aside says nothing
        tried = [setting[name] for setting in settings if setting.get(on, True) or name == on]
        assert {ends[0], ends[-1]} <= set(tried), name
    diverged = reached = 0
    for setting in settings:
        move(lab, **setting)
        assert lab.values == setting
        window, panels = PROBLEMS[setting["problem"]][0].window, lab.plot.panels
        lines = drawn(lab)
        assert list(told(lab)) == racing(lab)
        for i, name in enumerate(racers(lab)):
            path, curve, sensitivity, dot = lines[4 * i : 4 * i + 4]
            assert not sensitivity.size  # nobody has been tuned
            if not setting[f"{name} on"]:
                assert not path.size and not curve.size and not dot.size
                continue
            trace = walk(lab, name)
            assert told(lab)[name] == in_words(trace, setting["target"])
            diverged += trace.diverged_at is not None
            reached += trace.steps_to(setting["target"]) is not None
            size = max(window[1] - window[0], window[3] - window[2])
            seen = np.abs(trace.path).max(axis=1) < 5 * size
            at = to_data(path, panels[0], window[:2], window[2:])
            np.testing.assert_allclose(at[seen], trace.path[seen], atol=1e-5 * size)
            assert (np.isnan(path) == np.isnan(trace.path)).all()
            at = to_data(curve, panels[1], (0, 1.03 * STEPS), LOSSES, log=True)
            seen = np.isfinite(trace.loss)
            np.testing.assert_allclose(at[seen, 0], np.flatnonzero(seen), atol=1e-3)
            np.testing.assert_allclose(at[seen, 1], np.maximum(trace.loss, 1e-11)[seen], rtol=1e-3)
            expected = [[setting[f"{name} lr"], as_shown(trace.loss[-1])]]
            np.testing.assert_allclose(on_lr(lab, dot), expected, rtol=1e-3)
        start, target = lines[-2:]
        np.testing.assert_allclose(to_data(start, panels[0], window[:2], window[2:]), [start_of(lab)], atol=1e-4)
        at = to_data(target, panels[1], (0, 1.03 * STEPS), LOSSES, log=True)
        np.testing.assert_allclose(at, [[0, setting["target"]], [STEPS, setting["target"]]], rtol=1e-3, atol=1e-3)
        assert_names_apart(lab)
    assert diverged > 30 and reached > 15


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_problem_brings_its_start_and_noise_in_one_run(lab, runs, problem):
    move(lab, problem="ravine" if problem == "saddle" else "saddle", x=1.0, y=0.0, noise=5.0, SGD_on=False)
    move(lab, **{f"{name}_lr": LRS[33] for name in racing(lab)})  # where nobody has been before
    changes = []
    lab.plot.observe(lambda change: changes.append(change.name), names=["background", "frame"])
    runs.clear()
    lab.set(problem=problem)
    surface, noise = PROBLEMS[problem]
    assert runs == [(name, 0) for name in racing(lab)]
    assert changes == ["background", "frame"]
    assert start_of(lab) == surface.start and lab.values["noise"] == noise
    for name in racing(lab):
        assert told(lab)[name] == in_words(walk(lab, name), lab.values["target"])
    assert all(
        round(lab.values[name] / control.step, 9).is_integer()  # else the browser would move it, and the start with it
        for name, control in lab.controls.items()
        if name in ("x", "y", "noise")
    )


def test_only_the_racer_that_changed_runs_again(lab, runs):
    lab.set(**{"Adam lr": LRS[50]})
    assert runs == [("Adam", 0)]
    lab.set(**{"Adam beta1": 0.5, "RMSprop alpha": 0.9})
    assert runs == [("Adam", 0), ("Adam", 0), ("RMSprop", 0)]
    runs.clear()
    lab.set(**{"Adam lr": LRS[51], "Nesterov lr": LRS[3]})  # Nesterov is not in the race
    lab.set(**{"Adam lr": LRS[50], "target": 1e-6, "SGD on": False}).set(**{"SGD on": True})
    assert runs == [("Adam", 0)]  # what has been run before need not run again
    lab.set(**{"Nesterov on": True})
    assert runs == [("Adam", 0), ("Nesterov", 0)]
    runs.clear()
    lab.set(x=0.4)
    assert runs == [(name, 0) for name in racing(lab)]


def test_only_a_new_problem_sends_a_new_background(lab):
    changes = []
    lab.plot.observe(lambda change: changes.append(change.name), names=["background", "frame"])
    lab.set(**{"Adam lr": LRS[50], "x": 0.4})
    assert changes == ["frame"] * 2
    lab.set(problem="ravine, noisy")  # on the same surface
    assert changes == ["frame"] * 3


# ---- tuning


@pytest.mark.parametrize(
    "problem, others",
    [
        ("plateau and cliff", {"Adam_on": False, "Momentum_on": False}),
        ("ravine, noisy", {"RMSprop_on": False, "Momentum_on": False}),
    ],
)
def test_tuning_finds_the_best_of_the_lrs_tried(lab, runs, problem, others):
    move(lab, problem=problem, **others)
    before, picture, seeds = lab.values, lab.still().png, range(1, 9) if lab.values["noise"] else (0,)
    runs.clear()
    lab.do("tune all")
    # Tuned on these seeds alone; then each is run once more, on the seed that is shown.
    assert {seed for _, seed in runs[: -len(racing(lab))]} == set(seeds)
    ties = 0
    for name in racers(lab):
        if not lab.values[f"{name} on"]:
            assert lab.values[f"{name} lr"] == before[f"{name} lr"] and not curve_of(lab, name).size
            continue
        losses = as_shown([[walk(lab, name, lr, seed).loss[-1] for seed in seeds] for lr in TRIED])
        losses = np.median(losses, axis=1)
        ties += (losses == losses.min()).sum() > 1
        assert lab.values[f"{name} lr"] == TRIED[losses.argmin()]
        np.testing.assert_allclose(curve_of(lab, name), np.column_stack([TRIED, losses]), rtol=1e-3)
        assert told(lab)[name] == in_words(walk(lab, name), lab.values["target"])
        assert any(losses > losses.min())
    assert bool(ties) == (problem == "plateau and cliff")
    moved = {name for name, value in lab.values.items() if value != before[name]}
    assert moved and all(name.endswith(" lr") for name in moved)
    one, other = (plt.imread(BytesIO(png)) for png in (picture, lab.still().png))
    assert (np.abs(one - other).max(axis=2) > 0.2).mean() > 1e-3


@pytest.mark.parametrize(
    ("make", "control", "words"), [(race, "Adam lr", ["HTML"]), (design_schedule, "lr", ["Textarea"])]
)
def test_a_move_brings_the_picture_before_the_words_around_it(make, control, words):
    lab = make()
    with shown(lab) as page:
        page.told.clear()
        lab.controls[control].value = LRS[3] if make is race else 0.01
    assert page.told == ["SelectionSlider", "PlotWidget", *words]


def test_a_sensitivity_curve_is_shown_only_while_it_is_true(lab):
    move(lab, Momentum_on=False, RMSprop_on=False)
    lab.do("tune all")
    both = curve_of(lab, "SGD"), curve_of(lab, "Adam")
    assert both[0].shape == both[1].shape == (len(TRIED), 2)

    def shown() -> list[bool]:
        now = curve_of(lab, "SGD"), curve_of(lab, "Adam")
        assert all((not each.size) or np.array_equal(each, old) for each, old in zip(now, both, strict=True))
        return [bool(each.size) for each in now]

    lab.set(**{"SGD lr": LRS[7], "Adam lr": LRS[80], "target": 1e-7})
    assert shown() == [True, True]
    lab.set(**{"Adam beta1": 0.5})
    assert shown() == [True, False]
    lab.set(**{"Adam beta1": 0.9})
    assert shown() == [True, True]
    home = lab.values
    for name, value in {"x": 0.4, "y": 0.4, "noise": 0.5}.items():
        lab.set(**{name: value})
        assert shown() == [False, False]
        lab.set(**{name: home[name]})
        assert shown() == [True, True]
    lab.set(problem="saddle")
    assert shown() == [False, False]
    lab.set(problem="ravine, turned")
    assert shown() == [False, False]
    lab.set(problem="ravine", **{"SGD on": False})
    assert shown() == [False, True]


# ---- goals


def ticked(lab) -> set[int]:
    return {i for i, mark in enumerate(re.findall(r"<div>([✓○]) ", lab.goal_list.value)) if mark == "✓"}


def raced(**seen) -> Raced:
    ends = {"SGD": 0.1, "Momentum": 0.01, "RMSprop": 0.02, "Adam": 0.03}
    home = {"problem": "ravine", "noise": 0.0, "by_lrs": True, "ends": ends, "passed": {}, "tuned": False}
    return Raced(**home | {"ends": ends | seen.pop("ends", {})} | seen)


QUICK, NOISY = {"SGD": 40, "Adam": 20}, {"problem": "ravine, noisy", "tuned": True}
RMSPROP, SGD = {"ends": {"RMSprop": 0.001}}, {"ends": {"SGD": 0.001, "Momentum": np.inf}}
TURNED = {"problem": "ravine, turned"}
GOALS = {  # what is reached, by what is seen one after the other
    "at first": (set(), [raced()]),
    "both by lrs": ({0}, [raced(**RMSPROP), raced(), raced(**SGD)]),
    "only one": (set(), [raced(**RMSPROP), raced()]),
    "only the other": (set(), [raced(**SGD)]),
    "by more than lrs": (set(), [raced(**RMSPROP, by_lrs=False), raced(**SGD)]),
    "elsewhere": (set(), [raced(**RMSPROP, **TURNED), raced(**SGD)]),
    "nobody to beat": (set(), [Raced("ravine", 0.0, True, {"RMSprop": 0.1, "SGD": 0.2}, {}, False), raced(**SGD)]),
    "both ravines": ({1}, [raced(tuned=True), raced(), raced(**TURNED, tuned=True)]),
    "one not tuned": (set(), [raced(tuned=True), raced(**TURNED)]),
    "the saddle": ({2}, [raced(problem="saddle", passed=QUICK)]),
    "less than twice": (set(), [raced(problem="saddle", passed=QUICK | {"SGD": 39})]),
    "not on the ravine": (set(), [raced(passed=QUICK)]),
    "with and without noise": ({3}, [raced(noise=1.0, **NOISY), raced(**NOISY)]),
    "only with noise": (set(), [raced(noise=1.0, **NOISY), raced(noise=0.5, **NOISY)]),
}


@pytest.mark.parametrize("expected, seen", GOALS.values(), ids=GOALS)
def test_a_goal_is_reached_only_when_it_is(expected, seen):
    goals = race_goals()
    for each in seen:
        goals.see(each)
    assert {i for i, done in enumerate(goals.reached) if done} == expected


def test_the_controls_can_reach_each_goal(lab):
    assert ticked(lab.settle()) == set()
    lab.set(**{"SGD lr": LRS[55], "Momentum lr": LRS[0]})
    assert ticked(lab) == set()
    assert ticked(lab.set(**{"RMSprop lr": TRIED[9]})) == {0}
    assert ticked(lab.set(problem="saddle", **{"SGD lr": TRIED[13], "RMSprop lr": TRIED[10]})) == {0, 2}
    lab.set(problem="ravine", **{"RMSprop on": False, "Adam on": False}).do("tune all")
    assert ticked(lab.set(problem="ravine, turned").do("tune all")) == {0, 1, 2}
    lab.set(problem="ravine, noisy", noise=0.1).do("tune all").set(noise=0.0)
    assert ticked(lab) == {0, 1, 2}
    assert ticked(lab.do("tune all")) == set(range(4))


def test_by_lrs_alone_means_from_the_start_with_the_knobs_that_each_brings(lab):
    lab.set(**{"RMSprop lr": TRIED[9]})
    lab.set(**{"Momentum momentum": 0.0, "SGD lr": LRS[55]})
    assert ticked(lab) == set()
    lab.set(**{"Momentum momentum": 0.9, "Momentum lr": LRS[0], "x": 0.13})
    assert ticked(lab) == set()
    assert ticked(lab.set(x=0.12)) == {0}


# ---- optimizers of one's own


class FailsInStep(torch.optim.SGD):
    def step(self, closure=None):
        raise RuntimeError("I forgot <p.grad>")


def fails_at_once(params, lr):
    raise TypeError("no such optimizer")


OWN = {"Own": GOOD, "At once": fails_at_once, "In step": FailsInStep, "Uphill": partial(torch.optim.SGD, maximize=True)}


def test_optimizers_of_ones_own_race_too():
    lab = race(OWN)
    assert racers(lab) == ["SGD", "Momentum", *OWN]
    move(lab, Uphill_lr=1.0)
    for _ in range(2):
        said = told(lab)
        assert said["Own"] == in_words(walk(lab, "Own"), 1e-3)
        assert said["At once"] == "TypeError: no such optimizer"
        assert said["In step"] == "RuntimeError: I forgot <p.grad>"
        assert said["Uphill"].startswith("diverged at step ") or "target missed" in said["Uphill"]
        shown = {each.value for each in widgets_of(lab, "HTML")}
        assert {said["Own"], said["Uphill"], "RuntimeError: I forgot &lt;p.grad&gt;"} <= shown
        named = [text for _, _, text in lab.plot.frame["texts"][:-1]]
        assert named == ["SGD", "Momentum", "Own", "", "", "Uphill"]
        lab.do("tune all")  # and once more, tuned
    assert curve_of(lab, "Own").size and not curve_of(lab, "At once").size and not curve_of(lab, "In step").size
    assert lab.values["At once lr"] == 0.01
    move(lab, Uphill_lr=LRS[-1])
    assert told(lab)["Uphill"].startswith("diverged at step ")


STOPPED = "stopped after 0.3 s, for it is too slow or its loop does not end"
BADLY = {  # what it does in a step, what is said
    "leaves the process": (leave, "SystemExit: xxx"),
    "loops": (forever, STOPPED),
    "is slow": (lambda p: time.sleep(0.05), STOPPED),
    "nan": (lambda p: p.div_(0).mul_(0), "nan after step 1: is there a 0 / 0, or the root of a negative number?"),
}


@pytest.mark.parametrize("name", BADLY)
def test_whatever_one_of_ones_own_does_is_said_and_the_others_race_on(name, monkeypatch):
    monkeypatch.setattr(guarded, "SECONDS", 0.3 if BADLY[name][1] == STOPPED else 5.0)
    lab = race({"Bad": that(BADLY[name][0]), "Own": GOOD})
    assert told(lab)["Bad"].startswith(BADLY[name][1]) and len(told(lab)["Bad"]) < 300
    assert told(lab)["Own"] == in_words(walk(lab, "Own"), 1e-3)
    assert lab.plot.frame["texts"][4][2] == "" and lab.plot.frame["texts"][5][2] == "Own"


@pytest.mark.parametrize("does", [forever, lambda p: time.sleep(0.002)], ids=["loops", "is slow"])
def test_tuning_ends_and_says_who_was_too_slow(does, monkeypatch):
    monkeypatch.setattr(guarded, "SECONDS", 0.1 if does is forever else 60.0)
    monkeypatch.setattr(guarded, "AGAIN", 0.05)
    monkeypatch.setattr(race_module, "TUNING", 0.3)
    lab = race({"Bad": that(does)}).set(**{name: False for name in ("SGD on", "Momentum on", "RMSprop on", "Adam on")})
    lr = lab.values["Bad lr"]
    lab.do("tune all")
    assert told(lab)["Bad"].endswith(", too slow to tune") and lab.values["Bad lr"] == lr
    assert not curve_of(lab, "Bad").size
    lab.set(**{"Bad on": False})
    assert "Bad" not in told(lab)


def test_random_numbers_are_said_and_are_the_same_each_time():
    lab = race({"Lots": that(wobble)})
    before = torch.get_rng_state()
    first = told(lab)["Lots"]
    assert first.endswith(", with random numbers") and "random" not in told(lab)["SGD"]
    torch.manual_seed(5)
    move(lab, Lots_lr=0.1)
    move(lab, Lots_lr=0.01)
    assert told(race({"Lots": that(wobble)}))["Lots"] == told(lab)["Lots"] == first
    torch.set_rng_state(before)


def test_what_is_no_optimizer_is_said():
    lab = race({"List": lambda params, lr: params, "A very long name": GOOD})
    assert told(lab)["List"] == "ValueError: make_optimizer must return a torch.optim.Optimizer, got list"
    assert lab.plot.frame["texts"][5][2] == "A very lon…"


def test_six_can_race_and_none_twice():
    six = {f"Own {i}": GOOD for i in range(6)}
    assert racers(race(six)) == list(six)
    with pytest.raises(ValueError, match="six optimizers can race, you entered 7"):
        race(six | {"One more": GOOD})
    with pytest.raises(ValueError, match=r"two racers have the same name, among SGD, .*, SGD$"):
        race({"SGD": GOOD})
    assert racers(race({"Adagrad": GOOD})).count("Adagrad") == 1  # the built-in one has made room


def test_nobody_need_race(lab):
    move(lab, **{f"{name}_on": False for name in racers(lab)})
    assert lab.plot.frame["alt"] == "100 steps on the problem ravine. Nobody is in the race."
    assert not any(points.size for points in drawn(lab)[:-2])
    assert not any(text for *_, text in lab.plot.frame["texts"][:-1])
    before = lab.values
    lab.do("tune all").still()
    assert lab.values == before


@pytest.mark.parametrize("lr, where", [(LRS[-1], "top"), (LRS[60], "bottom")])
def test_six_names_at_one_place_stay_in_sight(lr, where):
    same = {f"Own {i}": torch.optim.SGD for i in range(6)}
    lab = race(same)
    move(lab, problem="plateau and cliff", x=0.5, y=0.5, noise=0.0)
    move(lab, **{f"{name} lr".replace(" ", "_"): lr for name in same})
    if where == "top":
        lab.set(problem="many dents (Rastrigin)")
    ends = {float(on_lr(lab, drawn(lab)[4 * i + 3])[0, 1]) for i in range(6)}
    assert len(ends) == 1 and (ends.pop() > 400) == (where == "top")
    assert_names_apart(lab)


# ---- what every lab has


def test_within_hold_nothing_runs(lab, runs):
    frames = []
    lab.plot.observe(frames.append, names="frame")
    with lab.hold():
        lab.set(x=0.4)
        with lab.hold():
            lab.set(y=0.4)
        assert not runs and not frames
    assert len(runs) == 4 and len(frames) == 1
    with pytest.raises(ZeroDivisionError), lab.hold():
        lab.set(x=0.5)
        raise ZeroDivisionError
    assert len(runs) == 8 and len(frames) == 2
    lab.set(x=0.6)
    assert len(runs) == 12 and len(frames) == 3


def test_a_button_or_control_that_does_not_exist_is_named(lab):
    with pytest.raises(ValueError, match=r"no button 'tune'; it has \['tune all'\]"):
        lab.do("tune")
    with pytest.raises(ValueError, match=r"no control \['Lion lr'\]; it has \['problem', 'x', "):
        lab.set(**{"Lion lr": 0.1})


def test_every_control_is_shown_once(lab):
    kinds = ("Dropdown", "FloatSlider", "Checkbox", "SelectionSlider", "Button")
    shown = [each for kind in kinds for each in widgets_of(lab, kind)]
    for control in (*lab.controls.values(), *lab.buttons.values()):
        assert sum(each is control for each in shown) == 1
    assert len(shown) == len(lab.controls) + len(lab.buttons)


def test_stills_are_drawn_once_and_only_when_asked():
    asked = []
    stills = Stills(lambda key: asked.append(key) or key.upper(), "abc")
    assert asked == [] and "b" not in stills
    assert [stills[key] for key in "bbab"] == ["B", "B", "A", "B"]
    assert asked == ["b", "a"]


def test_once_a_page_shows_the_lab_stills_are_drawn_in_the_background():
    asked = []

    async def kernel():
        stills = Stills(lambda key: asked.append(key) or key.upper(), "abc")
        assert stills["b"] == "B" and asked == ["b"]
        await asyncio.sleep(0.4)
        assert asked == ["b"]  # nobody looks: a notebook that only runs pays for the picture it stores
        plot = PlotWidget()
        plot.on_msg(stills.draw_soon)
        plot._handle_custom_msg({"shown": True}, [])  # what the page sends
        assert asked == ["b"]
        end = time.monotonic() + 10
        while len(stills) < 3 and time.monotonic() < end:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        assert [stills[key] for key in "abc"] == ["A", "B", "C"]

    asyncio.run(kernel())
    assert asked == ["b", "a", "c"]
