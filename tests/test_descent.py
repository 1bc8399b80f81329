"""descend() against a plain loop with autograd, at every step; theory on quadratics; students' own optimizers."""

import inspect
import math
import re
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import optim
from torch.optim import Optimizer, lr_scheduler
from torch.optim.optimizer import register_optimizer_step_post_hook

from utils.descent import FAR, Trace, descend
from utils.surfaces import SURFACES, himmelblau, ravine, rosenbrock, saddle

pytestmark = pytest.mark.filterwarnings("error")


def plain_loop(surface, make_optimizer, steps, *, start=None, make_scheduler=None, noise=None):
    """What a student would write: autograd, zero_grad, backward, step. Returns path, losses and lrs."""
    p = torch.nn.Parameter(torch.tensor(start or surface.start, dtype=torch.float64))
    optimizer = make_optimizer([p])
    scheduler = make_scheduler(optimizer) if make_scheduler else None
    path, losses, lrs = [p.tolist()], [surface.loss(*p).item()], []
    for step in range(steps):

        def closure(step=step):
            optimizer.zero_grad()
            loss = surface.loss(*p)
            loss.backward()
            if noise is not None:
                p.grad += torch.from_numpy(noise[step])
            return loss

        lrs.append(float(optimizer.param_groups[0].get("lr", math.nan)))
        if "closure" in inspect.signature(optimizer.step).parameters:
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
        path.append(p.tolist())
        losses.append(surface.loss(*p).item())
        if scheduler is not None:
            scheduler.step(losses[-1]) if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else scheduler.step()
    return np.array(path), np.array(losses), np.array(lrs)


def assert_same(trace: Trace, expected, *, tolerance=1e-12):
    for mine, plain in zip((trace.path, trace.loss, trace.lr), expected, strict=True):
        np.testing.assert_allclose(mine, plain, rtol=tolerance, atol=tolerance)


# ---- every optimizer of torch

REFUSED = {optim.Muon: "only supports 2D parameters", optim.SparseAdam: "does not support dense gradients"}
ACCEPTED = [
    each
    for each in vars(optim).values()
    if isinstance(each, type) and issubclass(each, Optimizer) and each is not Optimizer and each not in REFUSED
]
LRS = {optim.SGD: 5e-4, optim.ASGD: 5e-4, optim.RAdam: 5e-4, optim.LBFGS: 0.5}
OPTIONS = [
    partial(optim.SGD, lr=1e-3, momentum=0.9),
    partial(optim.SGD, lr=1e-3, momentum=0.9, nesterov=True),
    partial(optim.SGD, lr=1e-3, momentum=0.9, dampening=0.5),
    partial(optim.SGD, lr=1e-3, weight_decay=0.1),
    partial(optim.SGD, lr=torch.tensor(1e-3, dtype=torch.float64)),
    partial(optim.Adam, lr=0.05, amsgrad=True),
    partial(optim.Adam, lr=0.05, weight_decay=0.1),
    partial(optim.AdamW, lr=0.05, weight_decay=0.1, betas=(0.5, 0.9)),
    partial(optim.RMSprop, lr=0.02, momentum=0.9, centered=True),
    partial(optim.Adagrad, lr=0.3, lr_decay=0.1, initial_accumulator_value=0.1),
    partial(optim.LBFGS, lr=1.0, line_search_fn="strong_wolfe", max_iter=5),
]


def test_the_list_of_optimizers_comes_from_torch():
    assert {optim.SGD, optim.Adam, optim.LBFGS, optim.Adafactor} <= set(ACCEPTED) and len(ACCEPTED) >= 13


@pytest.mark.parametrize("surface", [ravine(10), rosenbrock(), himmelblau(), saddle()], ids=lambda each: each.name)
@pytest.mark.parametrize("optimizer", ACCEPTED, ids=lambda each: each.__name__)
def test_every_optimizer_walks_as_in_a_plain_loop(optimizer, surface):
    make = partial(optimizer, lr=LRS.get(optimizer, 0.05))
    trace = descend(surface, make, 40)
    assert trace.diverged_at is None and not np.array_equal(trace.path[1], trace.path[0])
    assert_same(trace, plain_loop(surface, make, 40))


@pytest.mark.parametrize("make", OPTIONS, ids=lambda make: "-".join([make.func.__name__, *make.keywords]))
def test_its_options_too(make):
    for surface in (ravine(), rosenbrock()):
        tolerance = 1e-10 if make.func is optim.LBFGS else 1e-12  # a line search magnifies rounding
        assert_same(descend(surface, make, 40), plain_loop(surface, make, 40), tolerance=tolerance)


@pytest.mark.parametrize("name", SURFACES)
def test_on_every_surface_and_from_any_start(name):
    surface = SURFACES[name]()
    start = tuple(0.9 * each for each in surface.start)
    make = partial(optim.Adam, lr=0.03)
    assert_same(descend(surface, make, 60, start=start), plain_loop(surface, make, 60, start=start), tolerance=1e-11)


@pytest.mark.parametrize(("optimizer", "message"), REFUSED.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_what_torch_refuses_passes_through(optimizer, message):
    with pytest.raises((ValueError, RuntimeError), match=message):
        descend(ravine(), partial(optimizer, lr=0.01), 3)


def test_bad_settings_of_an_optimizer_are_refused_in_its_own_words():
    with pytest.raises(ValueError, match="Invalid learning rate: -1"):
        descend(ravine(), partial(optim.SGD, lr=-1), 3)


# ---- schedulers and noise

SCHEDULERS = {
    "step": partial(lr_scheduler.StepLR, step_size=7, gamma=0.5),
    "cosine": partial(lr_scheduler.CosineAnnealingLR, T_max=30),
    "one-cycle": partial(lr_scheduler.OneCycleLR, max_lr=0.05, total_steps=45),
    "lambda": partial(lr_scheduler.LambdaLR, lr_lambda=lambda step: 1 / (1 + step)),
    "plateau": partial(lr_scheduler.ReduceLROnPlateau, patience=1, factor=0.5, threshold=0.9),
}


@pytest.mark.parametrize("make_scheduler", SCHEDULERS.values(), ids=SCHEDULERS)
def test_lr_is_what_each_step_used(make_scheduler):
    surface, make = ravine(20), partial(optim.SGD, lr=0.09, momentum=0.3)
    trace = descend(surface, make, 40, make_scheduler=make_scheduler)
    expected = plain_loop(surface, make, 40, make_scheduler=make_scheduler)
    assert_same(trace, expected)
    assert len(set(trace.lr)) > 2


def disturbance(trace, lr):
    """The noise in the gradients that plain SGD must have been given."""
    surface = ravine()
    return -np.diff(trace.path, axis=0) / lr - np.column_stack(surface.gradient(*trace.path[:-1].T))


def test_the_same_seed_is_the_same_noise_for_every_optimizer():
    sgd = partial(optim.SGD, lr=0.01)
    noise = disturbance(descend(ravine(), sgd, 4000, noise=0.3, seed=5), 0.01)
    assert np.std(noise) == pytest.approx(0.3, rel=0.03) and abs(noise.mean()) < 0.02
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.05

    for make in (sgd, partial(optim.Adam, lr=0.02), partial(optim.RMSprop, lr=0.02)):
        trace = descend(ravine(), make, 30, noise=0.3, seed=5)
        assert_same(trace, plain_loop(ravine(), make, 30, noise=noise), tolerance=1e-9)  # noise carries rounding / lr
    other = disturbance(descend(ravine(), sgd, 30, noise=0.3, seed=6), 0.01)
    assert np.abs(other - noise[:30]).min() > 1e-6


def test_without_noise_the_seed_is_idle():
    one, two = (descend(ravine(), optim.SGD, 5, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(one.path, two.path)


# ---- divergence, and where theory says it begins


@settings(max_examples=60, deadline=None)
@given(kappa=st.floats(1, 200), share=st.floats(0.01, 0.995) | st.floats(1.05, 3))
def test_plain_descent_on_a_quadratic_converges_below_2_over_l_and_only_there(kappa, share):
    lr, steps = share * 2 / kappa, 250
    surface = ravine(kappa)
    trace = descend(surface, partial(optim.SGD, lr=lr), steps)
    n, (x, y) = np.arange(steps + 1), surface.start
    with np.errstate(over="ignore"):
        far = np.abs(x * (1 - lr) ** n) + np.abs(y * (1 - lr * kappa) ** n) >= FAR
        closed_form = (x**2 * (1 - lr) ** (2 * n) + kappa * y**2 * (1 - lr * kappa) ** (2 * n)) / 2
    if share < 1:
        assert trace.diverged_at is None
        falling = trace.loss[:-1] > 1e-300  # below, 0 and the rounding of the smallest numbers
        assert (np.diff(trace.loss)[falling] < 0).all()
        np.testing.assert_allclose(trace.loss, closed_form, rtol=1e-7, atol=1e-30)
    else:
        assert abs(trace.diverged_at - np.flatnonzero(far)[0]) <= 1  # rounding may decide at the last digit
        np.testing.assert_allclose(trace.loss[: trace.diverged_at], closed_form[: trace.diverged_at], rtol=1e-7)


@pytest.mark.parametrize("make", [partial(optim.SGD, lr=0.3), partial(optim.SGD, lr=0.4, momentum=0.9)])
def test_a_divergence_is_told_and_leaves_nan_behind(make):
    trace = descend(ravine(20), make, 100)
    path, losses, lrs = plain_loop(ravine(20), make, 60)
    n = int(np.flatnonzero(np.abs(path).sum(axis=1) >= FAR)[0])
    assert trace.diverged_at == n
    np.testing.assert_allclose(trace.path[:n], path[:n], rtol=1e-12)
    np.testing.assert_allclose(trace.loss[:n], losses[:n], rtol=1e-12)
    np.testing.assert_array_equal(trace.lr[:n], lrs[:n])
    assert np.isnan(trace.path[n:]).all() and np.isnan(trace.loss[n:]).all() and np.isnan(trace.lr[n:]).all()
    assert trace.path.shape == (101, 2) and trace.loss.shape == (101,) and trace.lr.shape == (100,)


@pytest.mark.parametrize("name", SURFACES)
@pytest.mark.parametrize("lr", [1e3, 1e150, 1e300])
def test_no_lr_warns_or_raises(name, lr):
    for optimizer in (optim.SGD, optim.Adam, optim.Rprop):
        trace = descend(SURFACES[name](), partial(optimizer, lr=lr), 5)
        assert trace.diverged_at is None or np.isnan(trace.loss[trace.diverged_at :]).all()
    assert descend(SURFACES[name](), partial(optim.Adam, lr=lr * FAR), 5).diverged_at == 1


def test_a_step_to_nan_is_a_divergence():
    class ToNan(WithoutLr):
        @torch.no_grad()
        def step(self):
            self.param_groups[0]["params"][0].mul_(math.nan)

    trace = descend(ravine(), ToNan, 3)
    assert trace.diverged_at == 1 and np.isnan(trace.loss).tolist() == [False, True, True, True]


def test_steps_to():
    trace = descend(ravine(10), partial(optim.SGD, lr=0.15), 50)
    n = trace.steps_to(1e-3)
    assert 0 < n < 50 and trace.loss[n] <= 1e-3 < trace.loss[n - 1]
    assert trace.steps_to(trace.loss[0]) == 0 and trace.steps_to(-1.0) is None
    assert trace.steps_to(trace.loss[7]) == 7
    assert descend(ravine(10), partial(optim.SGD, lr=3.0), 50).steps_to(1e-3) is None


# ---- arguments


@pytest.mark.parametrize(
    "arguments",
    [
        {"steps": 0},
        {"steps": -1},
        {"noise": -0.1},
        {"noise": math.nan},
        {"noise": math.inf},
        {"start": (1.0,)},
        {"start": (1.0, 2.0, 3.0)},
        {"start": (math.nan, 0.0)},
        {"start": (0.0, math.inf)},
        {"make_optimizer": lambda params: "SGD"},
        {"make_optimizer": lambda params: optim.SGD},
    ],
    ids=lambda options: re.sub(r" at 0x\w+", "", repr(options)),  # every worker must call them the same
)
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError):
        descend(ravine(), **{"make_optimizer": optim.SGD} | arguments)


def test_labels():
    assert descend(ravine(), partial(optim.Adam, lr=0.03), 1).label == "Adam, lr 0.03"
    assert descend(ravine(), optim.SGD, 1, label="mine").label == "mine"
    assert descend(ravine(), WithoutLr, 1).label == "WithoutLr"


def test_the_surface_start_and_its_numbers_are_left_alone():
    surface, start = ravine(), np.array([0.5, 0.5])
    descend(surface, partial(optim.SGD, lr=0.1), 5, start=start)
    assert start.tolist() == [0.5, 0.5] and surface.start == ravine().start


# ---- optimizers as students write them: most are gradient descent with lr 0.05, said in another way


class WithoutLr(Optimizer):
    def __init__(self, params):
        super().__init__(params, {})

    @torch.no_grad()
    def step(self):
        for p in self.param_groups[0]["params"]:
            p -= 0.05 * p.grad


class RebindsData(WithoutLr):
    def step(self):
        for p in self.param_groups[0]["params"]:
            p.data = p.data - 0.05 * p.grad


class ReplacesGrad(WithoutLr):
    @torch.no_grad()
    def step(self):
        for p in self.param_groups[0]["params"]:
            p.grad = 0.05 * p.grad
            p -= p.grad


class ScalesGradInPlace(WithoutLr):
    @torch.no_grad()
    def step(self):
        for p in self.param_groups[0]["params"]:
            p -= p.grad.mul_(0.05)


class ZeroesGrad(WithoutLr):
    @torch.no_grad()
    def step(self):
        super().step()
        self.zero_grad()


class ZeroesGradInPlace(WithoutLr):
    @torch.no_grad()
    def step(self):
        super().step()
        self.zero_grad(set_to_none=False)


class RequiresClosure(WithoutLr):
    @torch.no_grad()
    def step(self, closure):
        with torch.enable_grad():
            self.seen = [*getattr(self, "seen", []), closure().item()]
        super().step()


class LooksAhead(WithoutLr):
    """Asks for the gradient elsewhere before it steps, as SAM does, and moves there by `p.data =`."""

    @torch.no_grad()
    def step(self, closure):
        (p,) = self.param_groups[0]["params"]
        here = p.data
        p.data = here + 0.3
        with torch.enable_grad():
            closure()
        p.data = here
        super().step()


class KeepsGrad(WithoutLr):
    """Keeps the last gradient itself, no copy: fine after zero_grad(), since backward then makes a new one."""

    @torch.no_grad()
    def step(self):
        (p,) = self.param_groups[0]["params"]
        last = self.state[p].get("last", p.grad)
        p -= 0.05 * (p.grad + 0.5 * (p.grad - last))
        self.state[p]["last"] = p.grad


LIKE_SGD = [WithoutLr, RebindsData, ReplacesGrad, ScalesGradInPlace, ZeroesGrad, ZeroesGradInPlace, RequiresClosure]


@pytest.mark.parametrize("optimizer", [*LIKE_SGD, LooksAhead, KeepsGrad], ids=lambda each: each.__name__)
def test_an_optimizer_of_ones_own_walks_as_in_a_plain_loop(optimizer):
    trace = descend(ravine(), optimizer, 30)
    assert_same(trace, plain_loop(ravine(), optimizer, 30))
    like_sgd = np.allclose(trace.path, plain_loop(ravine(), partial(optim.SGD, lr=0.05), 30)[0], rtol=1e-12)
    assert like_sgd == (optimizer in LIKE_SGD)


def test_the_closure_returns_the_loss_of_the_present_point():
    made = []

    def make(params):
        made.append(RequiresClosure(params))
        return made[0]

    trace = descend(ravine(), make, 10)
    np.testing.assert_allclose(made[0].seen, trace.loss[:-1])


@pytest.mark.parametrize("kind", ["pre", "post", "every optimizer", "replaced step"])
def test_hooks_are_called(kind):
    calls, handles = [], []

    def note(optimizer, args, kwargs):
        calls.append(optimizer)

    def make(params):
        optimizer = optim.SGD(params, lr=0.05)
        if kind == "pre":
            optimizer.register_step_pre_hook(note)
        elif kind == "post":
            optimizer.register_step_post_hook(note)
        elif kind == "every optimizer":
            handles.append(register_optimizer_step_post_hook(note))
        else:
            step = optimizer.step
            optimizer.step = lambda closure=None: (calls.append(optimizer), step(closure))
        return optimizer

    try:
        trace = descend(ravine(), make, 12)
    finally:
        for handle in handles:
            handle.remove()
    assert len(calls) == 12
    assert_same(trace, plain_loop(ravine(), partial(optim.SGD, lr=0.05), 12))


def test_a_filter_for_warnings_is_set_here():
    """The tests above rely on it to notice a warning of NumPy or of a scheduler."""
    with pytest.raises(UserWarning):
        warnings.warn("noticed", stacklevel=1)


class Insistent(optim.SGD):
    """Its signature says that a closure is optional, and it raises without one, as SAM does."""

    def step(self, closure=None):
        if closure is None:
            raise RuntimeError("give me a closure")
        return super().step(closure)


class TwoPoints(optim.SGD):
    """Trains at twice the point that it is to be judged at, and refuses a step anywhere else."""

    training = False

    def _switch(self, training, factor):
        if self.training != training:
            self.training = training
            for group in self.param_groups:
                for p in group["params"]:
                    p.data = p.data * factor  # to other memory

    def train(self):
        self._switch(True, 2.0)

    def eval(self):
        self._switch(False, 0.5)

    def step(self, closure=None):
        if not self.training:
            raise RuntimeError("call train() first")
        return super().step(closure)


def test_an_optimizer_that_insists_on_a_closure_gets_one():
    plain = descend(ravine(), partial(optim.SGD, lr=0.02), 20)
    insistent = descend(ravine(), partial(Insistent, lr=0.02), 20)
    np.testing.assert_array_equal(insistent.path, plain.path)


class Ascending(optim.SGD):
    """As SAM does, it climbs along the gradient that is there and asks for the one above."""

    def step(self, closure=None):
        if closure is None:
            raise RuntimeError("give me a closure")
        (p,) = self.param_groups[0]["params"]
        with torch.no_grad():
            climb = 0.1 * p.grad / p.grad.norm()
            p.add_(climb)
            closure()
            p.sub_(climb)
        super().step()


def test_before_a_step_with_a_closure_the_gradient_is_there():
    found = descend(ravine(), partial(Ascending, lr=0.02), 20)
    point, path = np.array(ravine().start), [np.array(ravine().start)]
    for _ in range(20):
        slope = np.array(ravine().gradient(*point))
        point = point - 0.02 * np.array(ravine().gradient(*(point + 0.1 * slope / np.linalg.norm(slope))))
        path.append(point)
    np.testing.assert_allclose(found.path, path, rtol=1e-12)


def test_of_an_optimizer_with_two_points_the_trace_has_the_one_to_be_judged_at():
    found = descend(ravine(), partial(TwoPoints, lr=0.01), 20)
    point, path = 2 * np.array(ravine().start), [np.array(ravine().start)]
    for _ in range(20):
        point = point - 0.01 * np.array(ravine().gradient(*point))
        path.append(point / 2)
    np.testing.assert_allclose(found.path, path, rtol=1e-12)


def test_an_error_that_a_closure_would_not_cure_passes_through():
    class Broken(optim.SGD):
        def step(self, closure=None):
            raise LookupError("whatever happens")

    with pytest.raises(LookupError, match="whatever happens"):
        descend(ravine(), partial(Broken, lr=0.1), 5)
    with pytest.raises(ZeroDivisionError):
        descend(ravine(), lambda params: 1 / 0, 5)
