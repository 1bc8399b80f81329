"""The examiner: right optimizers pass however they are written, each mistake is named, the hostile leave no trace."""

import importlib
import inspect
import itertools
import random
import re
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.optim import Optimizer
from torch.optim import optimizer as torch_optimizer

from utils.checks import update_mistakes
from utils.checks.examiner import attempt, cases, check_optimizer, histories, mistakes, walks

examiner = importlib.import_module("utils.checks.examiner.examine")  # the package has a function of the same name

SGD, Adam, AdamW, RMSprop, Adagrad = (
    getattr(torch.optim, name) for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad")
)


@pytest.fixture
def no_long_walk(monkeypatch):
    """It has more steps than all other histories together, and most mistakes show without it."""
    monkeypatch.setattr(examiner, "CONTRACT", [case for case in histories.CONTRACT if not case.least_steps])


class Mine(Optimizer):
    """A student's optimizer as it should be, but for `flaw`; subclasses say how one parameter is updated."""

    def __init__(self, params, lr=0.1, *, flaw="", **options):
        super().__init__(params, {"lr": lr, "maximize": False, **options})
        self.flaw, self.common, self.t, self.calls = flaw, {}, 0, 0

    def __setstate__(self, state):
        super().__setstate__(state)
        self.__dict__.setdefault("flaw", "")

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        self.calls = self.__dict__.get("calls", 0) + 1
        if closure is not None and self.flaw != "closure never":
            with torch.set_grad_enabled(self.flaw != "closure under no_grad"):
                loss = closure()
        for group in self.param_groups:
            lr = {"lr of defaults": self.defaults["lr"]}.get(self.flaw, group["lr"])
            if self.flaw == "lr of the first group":
                lr = self.param_groups[0]["lr"]
            for p in group["params"]:
                if p.grad is None and self.flaw == "None as zero":
                    p.grad = torch.zeros_like(p)
                if p.grad is None and self.flaw != "None crashes":
                    continue
                if p.grad.is_sparse:
                    raise RuntimeError("this optimizer takes no sparse gradients")
                if p.is_complex():
                    raise TypeError("this optimizer takes no complex parameters")
                g = p.grad.neg() if group["maximize"] and self.flaw != "maximize" else p.grad.clone()
                state = self.common if self.flaw == "shared state" else self.state[p]
                state["t"] = state.get("t", -1 if self.flaw == "t from 0" else 0) + 1
                t = state["t"]
                if self.flaw == "shared t":
                    self.t += 1
                    t = self.t
                if self.flaw == "t per step":
                    t = self.calls
                self.update(p, g, state, t, {**group, "lr": lr}, self.flaw)
        return None if self.flaw == "loss not returned" else loss


class MySGD(Mine):
    def update(self, p, g, state, t, group, flaw):
        mu, tau = group.get("momentum", 0), group.get("dampening", 0)
        decay = group.get("weight_decay", 0)
        if flaw == "decoupled":
            p.mul_(1 - group["lr"] * decay)
        elif flaw == "decay without lr":
            p.mul_(1 - decay)
        else:
            g = g + decay * p
        if flaw == "lr in the buffer":
            state["buffer"] = mu * state.get("buffer", 0) + group["lr"] * g
            p.sub_(state["buffer"])
            return
        if mu:
            if "buffer" in state or flaw == "zero buffer":
                state["buffer"] = mu * state.get("buffer", torch.zeros_like(p)) + (1 - tau) * g
            else:
                state["buffer"] = g
            nesterov = group.get("nesterov") and flaw != "no look-ahead"
            g = g + mu * state["buffer"] if nesterov else state["buffer"]
        p.add_(g, alpha=group["lr"] if flaw == "sign" else -group["lr"])


class MyAdam(Mine):
    decoupled = False

    def update(self, p, g, state, t, group, flaw):
        (b1, b2), eps, decay = group["betas"], group["eps"], group.get("weight_decay", 0)
        if flaw == "decay without lr":
            p.sub_(decay * p)
        elif self.decoupled != (flaw == "swapped decay"):
            p.sub_(group["lr"] * decay * p)
        else:
            g.add_(p, alpha=decay)
        m, v = state.get("m", torch.zeros_like(p)), state.get("v", torch.zeros_like(p))
        m = m.lerp(g, b1 if flaw == "weight of m exchanged" else 1 - b1)
        other = m if flaw == "square of m" else g
        v = b2 * v + (1 - b2) * other**2
        state["m"], state["v"] = m, v
        if flaw not in ("no correction", "no correction of m"):
            m = m / (1 - b1**t)
        if flaw not in ("no correction", "no correction of v"):
            v = v / (1 - b2**t)
        if flaw == "corrected ones stored":
            state["m"], state["v"] = m, v
        if flaw == "eps inside":
            root = (v + eps).sqrt()
        else:
            root = (v if flaw == "no root" else v.sqrt()) + eps
        p.addcdiv_(m, root, value=group["lr"] if flaw == "sign" else -group["lr"])


class MyAdamW(MyAdam):
    decoupled = True


class MyRMSprop(Mine):
    def update(self, p, g, state, t, group, flaw):
        alpha, eps = group["alpha"], group["eps"]
        v = state["v"] = alpha * state.get("v", 0) + (1 - alpha) * g * g
        if group.get("centered") and flaw != "not centered":
            m = state["m"] = alpha * state.get("m", 0) + (1 - alpha) * g
            v = v - m * m
        if flaw == "correction added":
            v = v / (1 - alpha**t)
        root = (v + eps).sqrt() if flaw == "eps inside" else (v if flaw == "no root" else v**0.5) + eps
        p -= group["lr"] * g / root


class MySign(Mine):
    """None of torch's, such as Lion: the examiner has no rule for it."""

    def update(self, p, g, state, t, group, flaw):
        b = group["beta"]
        step = (b * state.get("m", 0) + (1 - b) * g).sign()
        state["m"] = 0.99 * state.get("m", 0) + 0.01 * g
        p.add_(step, alpha=group["lr"] if flaw == "sign" else -group["lr"])


_ADAM = {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8}
_DECAY = {**_ADAM, "weight_decay": 0.1}
_MOMENTUM = {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}
_NESTEROV = {"lr": 0.1, "momentum": 0.8, "nesterov": True}
_RMS = {"lr": 0.01, "alpha": 0.9, "eps": 1e-8}

# --- right ones -------------------------------------------------------------------------------------------------------

ELEMENTWISE = ["SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "Adadelta", "Adamax", "ASGD", "NAdam", "RAdam", "Rprop"]
OPTIONS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "foreach": True},
    "Adam": {"amsgrad": True, "fused": True},
    "RMSprop": {"centered": True, "momentum": 0.9, "weight_decay": 0.1},
    "Adagrad": {"lr_decay": 0.1, "initial_accumulator_value": 0.1},
    "NAdam": {"decoupled_weight_decay": True, "weight_decay": 0.1},
    "Rprop": {"lr": 0.05},
}


@pytest.mark.parametrize("name", [*ELEMENTWISE, "Adafactor", "Muon"])
def test_optimizers_of_torch_pass_beside_themselves(name):
    make = getattr(torch.optim, name)
    reference = partial(make, **{k: v for k, v in OPTIONS.get(name, {}).items() if k not in ("foreach", "fused")})
    verdict = check_optimizer(partial(make, **OPTIONS.get(name, {})), reference, steps=12)
    assert verdict, verdict.message
    assert "✗" not in verdict.message
    assert verdict.message.startswith(
        "all 45 points" if name in ELEMENTWISE else f"all {43 if name == 'Adafactor' else 41}"
    )


def test_elementwise_ones_are_all_of_them():
    others = {"Adafactor", "LBFGS", "Muon", "SparseAdam", "Optimizer"}
    assert {name for name, thing in vars(torch.optim).items() if inspect.isclass(thing)} - others == set(ELEMENTWISE)


RIGHT = {
    "SGD": (MySGD, SGD, {"lr": 0.3}),
    "momentum": (MySGD, SGD, _MOMENTUM),
    "Nesterov": (MySGD, SGD, _NESTEROV),
    "Adam": (MyAdam, Adam, _DECAY),
    "AdamW": (MyAdamW, AdamW, _DECAY),
    "RMSprop": (MyRMSprop, RMSprop, {**_RMS, "centered": True}),
    "a reference of one's own": (MySign, MySign, {"beta": 0.9}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_ones_that_round_otherwise_pass(name):
    mine, reference, options = RIGHT[name]
    verdict = check_optimizer(partial(mine, **options), partial(reference, **options))
    assert verdict, verdict.message


def test_steps_may_be_one():
    verdict = check_optimizer(Adam, Adam, steps=1)
    assert verdict.message.startswith("all 45 points")


def test_lr_may_be_a_tensor():
    make = partial(SGD, lr=torch.tensor(0.1, dtype=torch.float64))
    verdict = check_optimizer(make, partial(SGD, lr=0.1), steps=4)
    assert verdict and make.keywords["lr"] == 0.1, verdict.message


@pytest.mark.parametrize(
    "core, reference, options",
    [
        (1, AdamW, _DECAY),
        (2, Adam, {**_DECAY, "amsgrad": True}),
        (0, SGD, _MOMENTUM),
        (0, SGD, _NESTEROV),
        (3, RMSprop, {**_RMS, "centered": True, "momentum": 0.5}),
        (4, Adagrad, {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.2}),
    ],
)
def test_rules_without_a_mistake_are_those_of_torch(core, reference, options):
    for case in histories.VALUES:
        truth = attempt.attempt(partial(walks.walk, case=case, steps=20, lr=0.1), partial(reference, **options), 9)
        options = dict(truth.options)
        rows = list(mistakes.follow_case(update_mistakes.KNOWN[core][0], case, 20, options=options))
        assert len(rows) == 20 and cases.apart(rows, truth.rows) is None
        options = {k: options[k] for k in options if k in inspect.signature(reference).parameters}


def test_rounding_beside_a_nan_is_rounding_and_a_nan_beside_a_number_is_not():
    nan = float("nan")
    truth = torch.tensor([nan, 1.0], dtype=torch.float64)
    assert cases.apart([[truth + 1e-15]], [[truth]]) is None
    assert cases.apart([[truth + 1e-9]], [[truth]]) == (0, 0)
    assert cases.apart([[truth.nan_to_num(0.0)]], [[truth]]) == (0, 0)


# --- mistakes ---------------------------------------------------------------------------------------------------------

WRONG = {  # class, reference, options, flaw, what is said: (the point that fails first, the mistake)
    "no correction of m": (MyAdam, Adam, _ADAM, "one vector: At step 1 .*You skipped the bias correction of m"),
    "no correction of v": (MyAdam, Adam, _ADAM, "one vector: At step 1 .*You skipped the bias correction of v"),
    "no correction": (MyAdam, Adam, _ADAM, "You skipped both bias corrections"),
    "eps inside": (MyAdam, Adam, _ADAM, "Your eps is inside the root"),
    "no root": (MyAdam, Adam, _ADAM, "The root is missing"),
    "sign": (MyAdam, Adam, _DECAY, "It climbs"),
    "square of m": (MyAdam, Adam, _ADAM, "v averages the square of m"),
    "swapped decay": (MyAdamW, AdamW, _DECAY, "Your weight decay is coupled"),
    "swapped decay, Adam": (MyAdam, Adam, _DECAY, "Your weight decay is decoupled"),
    "decoupled": (MySGD, SGD, _MOMENTUM, "Your weight decay is decoupled"),
    "decay without lr": (MyAdamW, AdamW, _DECAY, "Your weight decay is not multiplied by lr"),
    "decay without lr, SGD": (MySGD, SGD, _MOMENTUM, "Your weight decay is not multiplied by lr"),
    "zero buffer": (MySGD, SGD, _MOMENTUM, "at zero does"),
    "lr in the buffer": (
        MySGD,
        SGD,
        {"lr": 0.1, "momentum": 0.9},
        "a scheduler that changes lr: .*`lr` is inside your buffer",
    ),
    "corrected ones stored": (MyAdam, Adam, _ADAM, "You keep the corrected m and v for the next step"),
    "weight of m exchanged": (MyAdam, Adam, _ADAM, "one vector: .*Compare that one step by hand"),
    "no look-ahead": (MySGD, SGD, _NESTEROV, "The look-ahead of Nesterov is missing"),
    "sign, SGD": (MySGD, SGD, _MOMENTUM, "It climbs"),
    "sign, unknown": (MySign, MySign, {"beta": 0.9}, "It climbs"),
    "eps inside, RMSprop": (MyRMSprop, RMSprop, _RMS, "Your eps is inside the root"),
    "no root, RMSprop": (MyRMSprop, RMSprop, _RMS, "The root is missing"),
    "correction added": (MyRMSprop, RMSprop, _RMS, "torch's RMSprop does not"),
    "not centered": (MyRMSprop, RMSprop, {**_RMS, "centered": True}, "`centered` is not used"),
    "lr of defaults": (MySGD, SGD, _MOMENTUM, "groups with their own lr: .*The lr does not come from the group"),
    "lr of defaults, unknown": (MySign, MySign, {"beta": 0.9}, "The lr does not come from the group"),
    "lr of the first group": (MyAdam, Adam, _ADAM, "Every group uses the lr of the first"),
    "shared state": (MyAdam, Adam, _ADAM, "two parameters of one shape: .*Your parameters share one state"),
    "shared state, SGD": (MySGD, SGD, _MOMENTUM, "Your parameters share one state"),
    "shared state, unknown": (MySign, MySign, {"beta": 0.9}, "Your parameters share one state"),
    "shared t": (MyAdam, Adam, _ADAM, "two parameters of one shape: .*Your parameters share one step counter"),
    "t per step": (MyAdam, Adam, _ADAM, "a group added later: .*Your step counter counts calls of `step`"),
    "t from 0": (MyAdam, Adam, _ADAM, "one vector: At step 1 .*[Ss]tep counter starts? at 0"),
    "maximize": (MyAdamW, AdamW, _DECAY, "✗ maximize: .*`maximize` is not used"),
    "None as zero": (MyAdam, Adam, _ADAM, "gradients that are None|gradients left alone"),
    "None crashes": (MySGD, SGD, {"lr": 0.1}, "gradients that are None: .*AttributeError.*whose `p.grad` is None"),
    "closure never": (MySGD, SGD, {"lr": 0.1}, r"step\(closure\): The closure is never called"),
    "closure under no_grad": (MySGD, SGD, {"lr": 0.1}, r"step\(closure\): The closure is called under `no_grad`"),
    "loss not returned": (MySGD, SGD, {"lr": 0.1}, r"step\(closure\): The loss is not returned"),
}


@pytest.mark.usefixtures("no_long_walk")
@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_named(name):
    mine, reference, options, said = WRONG[name]
    flaw = name.split(",")[0]
    beside = partial(reference, **options)
    verdict = check_optimizer(partial(mine, **options, flaw=flaw), beside, steps=4)
    first = verdict.message.split("\n")[1]
    assert not verdict and not verdict.untouched
    assert re.search(said, first), verdict.message


def test_a_mistake_is_named_only_if_it_explains_the_other_histories_as_well():
    class Changes(MyAdam):
        """No correction of m, but only for matrices."""

        def update(self, p, g, state, t, group, flaw):
            super().update(p, g, state, t, group, "no correction of m" if p.ndim == 2 else "")

    verdict = check_optimizer(partial(Changes, **_ADAM), partial(Adam, **_ADAM), steps=4)
    assert re.search("a matrix: At step 1 .*Compare that one step by hand", verdict.message), verdict.message


@pytest.mark.parametrize("last", [30, 150])
def test_what_breaks_only_after_many_steps_is_seen(last):
    class Late(MyAdam):
        """Right for a while; then its step is half as long."""

        def update(self, p, g, state, t, group, flaw):
            before = p.clone()
            super().update(p, g, state, t, group, flaw)
            if t > last:
                p.lerp_(before, 0.5)

    verdict = check_optimizer(partial(Late, **_ADAM), partial(Adam, **_ADAM))
    assert re.search(f"a long walk: At step {last + 1} .*", verdict.message), verdict.message


class TwoModes(SGD):
    """As schedule-free optimizers do, it keeps its mode in its groups and refuses a step before `train()`."""

    def train(self, mode=True):
        for group in self.param_groups:
            group["train_mode"] = mode

    def eval(self):
        self.train(False)

    def step(self, closure=None):
        if not self.param_groups[0].get("train_mode"):
            raise RuntimeError("call train() first")
        return super().step(closure)


def test_one_with_two_modes_is_examined_in_the_one_it_trains_in():
    verdict = check_optimizer(partial(TwoModes, lr=0.1), partial(SGD, lr=0.1), steps=4)
    assert verdict, verdict.message


def test_a_reference_that_fails_after_it_was_looked_at_is_refused_as_such():
    made = []

    def tires(params):
        made.append(params)
        return SGD(params, lr=0.1 if len(made) < 3 else -1)

    verdict = check_optimizer(partial(SGD, lr=0.1), tires, steps=4)
    assert re.search("reference itself cannot be examined.*Invalid learning rate", verdict.message), verdict.message


def test_a_reference_that_fails_once_the_candidate_has_had_its_turn_is_refused_as_such():
    made = []

    def both(params):
        made.append(params)
        return SGD(params, lr=0.1 if len(made) < 60 else -1)

    verdict = check_optimizer(both, both, steps=4)
    assert 50 < len(made) and "reference itself cannot be examined" in verdict.message, verdict.message


class Bare(Optimizer):
    """Short student classes with mistakes of Python and of torch, not of the formula."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    def each(self):
        return [(g, p) for g in self.param_groups for p in g["params"] if p.grad is not None]


class Rebound(Bare):
    def step(self, closure=None):
        for group, p in self.each():
            p = p - group["lr"] * p.grad


class RebornInGroup(Bare):
    def step(self, closure=None):
        for group in self.param_groups:
            group["params"] = [p - group["lr"] * p.grad for p in group["params"]]


class RebornData(Bare):
    def step(self, closure=None):
        for group, p in self.each():
            p.data = p.data - group["lr"] * p.grad


class Tracked(Bare):
    def step(self, closure=None):
        for group, p in self.each():
            p -= group["lr"] * p.grad


class TrackedState(Bare):
    def step(self, closure=None):
        for group, p in self.each():
            self.state[p]["last"] = group["lr"] * p.grad + 0 * p
            p.data.sub_(self.state[p]["last"])


class KeepsTheParameter(Bare):
    @torch.no_grad()
    def step(self, closure=None):
        for group, p in self.each():
            self.state[p]["slow"] = p
            p.sub_(group["lr"] * p.grad)


class ChangesGradients(Bare):
    @torch.no_grad()
    def step(self, closure=None):
        for group, p in self.each():
            p.sub_(p.grad.mul_(group["lr"]))


class NoClosure(Bare):
    @torch.no_grad()
    def step(self):
        for group, p in self.each():
            p.sub_(group["lr"] * p.grad)


class Eager(Bare):
    """State made in __init__ for the parameters of the time, kept outside `self.state`."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        self.buffers = {p: torch.zeros_like(p) for g in self.param_groups for p in g["params"]}

    @torch.no_grad()
    def step(self, closure=None):
        for group, p in self.each():
            self.buffers[p].mul_(0.9).add_(p.grad)
            p.sub_(group["lr"] * self.buffers[p])


class ForgetsInStateDict(Bare):
    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        self.buffers = {}

    @torch.no_grad()
    def step(self, closure=None):
        for group, p in self.each():
            self.buffers[p] = 0.9 * self.buffers.get(p, 0) + p.grad
            p.sub_(group["lr"] * self.buffers[p])


class KeepsTheGradient(Bare):
    """Its buffer is `p.grad` itself until a second gradient comes: well only while each gradient is a new tensor."""

    @torch.no_grad()
    def step(self, closure=None):
        for group, p in self.each():
            state = self.state[p]
            state["buffer"] = 0.9 * state["buffer"] + p.grad if "buffer" in state else p.grad
            p.sub_(group["lr"] * state["buffer"])


class AddsToTheGradient(Bare):
    """The same in place, which writes into the gradient as well."""

    @torch.no_grad()
    def step(self, closure=None):
        for group, p in self.each():
            state = self.state[p]
            state["buffer"] = state["buffer"].mul_(0.9).add_(p.grad) if "buffer" in state else p.grad
            p.sub_(group["lr"] * state["buffer"])


class StateOfFloat32(Bare):
    @torch.no_grad()
    def step(self, closure=None):
        for group, p in self.each():
            buffer = self.state[p].setdefault("buffer", torch.zeros(p.shape))
            p.sub_(group["lr"] * buffer.mul_(0.9).add_(p.grad))


class LaxGroups(Bare):
    @torch.no_grad()
    def step(self, closure=None):
        loss = closure and torch.enable_grad()(closure)()
        for group, p in self.each():
            p.sub_(group["lr"] * p.grad)
        return loss

    def load_state_dict(self, state):
        if len(state["param_groups"]) == len(self.param_groups):
            super().load_state_dict(state)


@pytest.mark.usefixtures("no_long_walk")
@pytest.mark.parametrize(
    "mine, momentum, said",
    [
        (Rebound, 0, "one vector: .*only binds a new name"),
        (RebornInGroup, 0, "one vector: .*You put a new tensor into the group"),
        (RebornData, 0, "updates in place: At step 1 `p.data` was rebound"),
        (Tracked, 0, "one vector: .*RuntimeError.*`p -= .*tracked by autograd: put `@torch.no_grad"),
        (TrackedState, 0, "updates outside autograd: After step 1 the state requires grad"),
        (KeepsTheParameter, 0, "updates outside autograd: After step 1 .* it holds the parameter itself: keep a copy"),
        (ChangesGradients, 0, "gradients left alone: At step 1 it changed `p.grad`"),
        (NoClosure, 0, r"step\(closure\): .*`step` takes no closure"),
        (Eager, 0.9, "a group added later: .*KeyError.*in the first `step` that meets it"),
        (ForgetsInStateDict, 0.9, "a state_dict saved and loaded half-way: At step 4 .*outside `self.state`"),
        (KeepsTheGradient, 0.9, "written into the same memory: At step 2 .*Your state holds `p.grad` itself"),
        (AddsToTheGradient, 0.9, "gradients left alone: At step 2 it changed `p.grad`"),
        (StateOfFloat32, 0.9, r"is (-0.9\d+), not (?!\1).*Your state has another dtype"),
        (LaxGroups, 0, "wrong number of groups is refused: .*should raise a ValueError"),
        (partial(SGD, lr=0.2), 0, "one vector: At step 1 .*Your `lr` is 0.2, the reference's 0.1"),
        (partial(MyAdam, **_ADAM), 0, "one vector: At step 1 .*Compare that one step by hand"),
    ],
)
def test_mistakes_of_torch_are_named(mine, momentum, said):
    verdict = check_optimizer(mine, partial(SGD, lr=0.1, momentum=momentum), steps=6)
    assert not verdict and re.search(said, verdict.message.split("\n")[1]), verdict.message


class Unclear(MyRMSprop):
    def step(self, closure=None):
        if any(p.grad is not None and p.grad.is_sparse for group in self.param_groups for p in group["params"]):
            raise RuntimeError("no")
        return super().step(closure)


class TakesAll(Bare):
    """RMSprop whose square of a complex number is complex, and that makes sparse gradients dense."""

    def __init__(self, params):
        super().__init__(params, 0.01)

    @torch.no_grad()
    def step(self, closure=None):
        for group, p in self.each():
            g = p.grad.to_dense()
            v = self.state[p]["v"] = 0.9 * self.state[p].get("v", 0) + 0.1 * g * g
            p.sub_(group["lr"] * g / (v.sqrt() + 1e-8))


@pytest.mark.parametrize(
    "make, name, said",
    [
        (partial(Unclear, **_RMS), "sparse gradients", "It raised `RuntimeError: no`.*Refuse them before anything"),
        (TakesAll, "sparse gradients", "It takes sparse gradients, which the reference refuses.*Refuse them before"),
        (TakesAll, "complex parameters", "differs from the reference by .*view_as_real"),
    ],
)
def test_refusals_must_be_clear(make, name, said, monkeypatch):
    monkeypatch.setattr(examiner, "CONTRACT", [case for case in histories.CONTRACT if case.name == name])
    verdict = check_optimizer(make, partial(RMSprop, **_RMS), steps=3)
    assert re.search(f"✗ {name}: .*{said}", verdict.message, re.IGNORECASE), verdict.message


# dampening 0.4, since at 0.5 a gradient counts as much by it as by 1 - dampening
@pytest.mark.parametrize(
    ("core", "options"),
    [
        (0, {**_MOMENTUM, "dampening": 0.4}),
        (0, {**_NESTEROV, "weight_decay": 0.1}),
        (1, _DECAY),
        (2, _DECAY),
        (3, _RMS),
        (4, {"lr": 0.1, "lr_decay": 0.1, "eps": 1e-10}),
    ],
)
def test_mistakes_with_different_sentences_lead_along_different_paths(core, options):
    right, known = update_mistakes.KNOWN[core]
    names = ["two parameters of one shape", "tiny gradients", "gradients with zeros", "groups with their own lr"]
    names += ["a scheduler that changes lr", "a group added later", "gradients that are None"]
    chosen = [case for case in histories.VALUES + histories.CONTRACT if case.name in names]
    chosen = [replace(case, shapes=((3,),) * len(case.shapes)) for case in chosen]

    def everywhere(rule):
        return [list(mistakes.follow_case(rule, case, 4, options=options)) for case in chosen]

    def alike(a, b):
        return all(cases.apart(x, y) is None for x, y in zip(a, b, strict=True))

    truth = everywhere(right)
    paths = {mistake: everywhere(right.with_mistake(mistake)) for mistake in known}
    shown = {mistake: path for mistake, path in paths.items() if not alike(path, truth)}
    assert len(shown) > 8
    for (one, a), (other, b) in itertools.combinations(shown.items(), 2):
        assert one.message == other.message or not alike(a, b), (one.name, other.name)


@pytest.mark.parametrize(("rule", "known"), update_mistakes.KNOWN)
def test_a_mistake_replaces_only_parts_that_its_rule_has_and_no_two_have_one_name(rule, known):
    assert all(mistake.does and set(mistake.does) <= set(rule.parts) for mistake in known)
    assert len({mistake.name for mistake in known}) == len(known)


# --- stubs, strange answers, hostile ones -----------------------------------------------------------------------------


class Stub(Bare):
    def step(self, closure=None):
        raise NotImplementedError


class Dots(Bare):
    @torch.no_grad()
    def step(self, closure=None):
        for group, p in self.each():
            p -= group["lr"] * ...


class Empty(Bare):
    @torch.no_grad()
    def step(self, closure=None):
        loss = closure and torch.enable_grad()(closure)()
        for _ in self.each():
            ...
        return loss


@pytest.mark.usefixtures("no_long_walk")
@pytest.mark.parametrize("stub", [..., Stub, Dots, Empty, partial(Dots, lr=0.1), lambda params: ...])
def test_a_stub_is_not_yet(stub):
    verdict = check_optimizer(stub, SGD, steps=3)
    assert not verdict and verdict.untouched and verdict.message.startswith("Not yet")


@pytest.mark.usefixtures("no_long_walk")
def test_a_placeholder_in_one_that_does_all_is_none():
    class Complete(SGD):
        def later(self): ...

    assert check_optimizer(partial(Complete, lr=0.1), partial(SGD, lr=0.1), steps=1)


@pytest.mark.parametrize("steps", [0, 1.5, None])
def test_wrong_arguments_get_a_verdict(steps):
    assert "at least 1" in check_optimizer(SGD, SGD, steps=steps).message
    assert "The reference itself" in check_optimizer(SGD, torch.optim.LBFGS).message
    assert not check_optimizer(SGD, None)


def fail(*args, **kwargs):
    raise SystemExit(3)


def seed(self):
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)


def hostile(action):
    class Hostile(Bare):
        @torch.no_grad()
        def step(self, closure=None):
            action(self)

    return Hostile


def forever(*args):
    while True:
        pass


def stubborn(*args):
    end = time.monotonic() + 15  # else it would go on beside all tests after this one
    while time.monotonic() < end:
        try:
            time.sleep(0.01)
        except BaseException:
            pass


class Odd(Bare):
    def __getattribute__(self, name):
        if name in ("param_groups", "state", "step"):
            raise RuntimeError("go away")
        return super().__getattribute__(name)


def shrink(self):
    for _, p in self.each():
        p.data = torch.zeros(1)


HOSTILE = {
    "raises": (hostile(lambda o: 1 / 0), "ZeroDivisionError"),
    "exits": (hostile(fail), "SystemExit"),
    "exits at once": (fail, "SystemExit"),
    "loops": (hostile(forever), "stopped in step 1"),
    "loops at once": (forever, "stopped while it was built"),
    "no optimizer": (lambda params: None, "a `NoneType`"),
    "a list": (list, "a `list`"),
    "the class": (lambda params: SGD, "the class `SGD`"),
    "an optimizer of others": (lambda params: SGD([torch.zeros(2)]), "do not hold the parameters"),
    "an optimizer, not a factory": (SGD([torch.zeros(2)]), "factor"),
    "a number": (3, "no factory"),
    "odd": (Odd, "go away"),
    "shapes": (hostile(shrink), "keep dtype and shape"),
    "seeds": (hostile(seed), "differs"),
    "dtype": (hostile(lambda o: torch.set_default_dtype(torch.float16)), "differs"),
    "grad mode": (lambda params: torch.set_grad_enabled(False) and None, "NoneType"),
    "group emptied": (hostile(lambda o: o.param_groups.clear()), "differs|does not move"),
    "gradients": (hostile(lambda o: [p.grad.zero_() for _, p in o.each()]), "differs"),
    "hooks": (hostile(lambda o: torch_optimizer.register_optimizer_step_pre_hook(fail)), "SystemExit"),
    "threads": (hostile(lambda o: torch.set_num_threads(3)), "differs"),
}


def the_process():
    hooks = torch_optimizer._global_optimizer_pre_hooks
    states = (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist())
    return *states, torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads(), len(hooks)


@pytest.mark.usefixtures("no_long_walk")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_ones_get_a_verdict_and_leave_no_trace(name, monkeypatch):
    if "loops" in name:
        monkeypatch.setattr(examiner, "SECONDS", 0.3)
    candidate, said = HOSTILE[name]
    before = the_process()
    verdict = check_optimizer(candidate, SGD, steps=3)
    assert the_process() == before
    assert not verdict and re.search(said, verdict.message), verdict.message


def test_one_that_will_not_stop_gets_a_verdict_before_it_ends(monkeypatch):
    monkeypatch.setattr(examiner, "PATIENCE", 0)  # which is for slow references
    verdict = check_optimizer(hostile(stubborn), SGD)
    assert "stopped in step 1" in verdict.message  # who waits for its end would see the steps after it


def test_where_the_reference_is_slow_the_candidate_may_be(monkeypatch):
    monkeypatch.setattr(examiner, "SECONDS", 0.3)
    monkeypatch.setattr(examiner, "PATIENCE", 3)

    class Slow(SGD):
        def step(self, closure=None):
            end = time.thread_time() + 0.003
            while time.thread_time() < end:
                pass
            return super().step(closure)

    assert check_optimizer(partial(Slow, lr=0.1), partial(Slow, lr=0.1), steps=3)
    assert "all time was used up" in check_optimizer(hostile(forever), Slow, steps=3).message


def test_changes_of_the_process_are_told():
    class Seeds(NoClosure):
        def step(self, closure=None):
            seed(self)
            return super().step()

    verdict = check_optimizer(Seeds, partial(SGD, lr=0.1), steps=3)
    assert re.search("process left alone: It changes torch's random state and Python's.* and NumPy's", verdict.message)


def test_strict_turns_a_failure_into_an_error(monkeypatch):
    monkeypatch.setenv("WORKSHOP_STRICT", "1")
    assert check_optimizer(SGD, SGD, steps=2)
    with pytest.raises(AssertionError, match="one vector"):
        check_optimizer(Rebound, SGD, steps=2)
