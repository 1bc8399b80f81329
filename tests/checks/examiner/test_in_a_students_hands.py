"""The examiner passes only what works in a student's hands: all optimizers here can train a list of vectors."""

import importlib
import re
from functools import partial
from typing import ClassVar

import pytest
import torch
from torch.optim import SGD, Adam, Optimizer

from utils.checks.custom import ClippedSGD
from utils.checks.examiner import check_optimizer, histories

examiner = importlib.import_module("utils.checks.examiner.examine")  # the package has a function of the same name
LR, BETA = 0.1, 0.9


class Momentum(Optimizer):
    """As it should be; each heir has one fault, which its name says."""

    def __init__(self, params, lr=LR, momentum=BETA):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    def groups(self):
        """(group, its parameters that have a gradient)"""
        return [(group, [p for p in group["params"] if p.grad is not None]) for group in self.param_groups]

    def before(self):
        """What comes first in a step."""

    def buffer(self, p, group):
        state = self.state[p]
        state["b"] = group["momentum"] * state["b"] + p.grad if "b" in state else p.grad.clone()
        return state["b"]

    def move(self, p, b, group):
        p.sub_(group["lr"] * b)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else torch.enable_grad()(closure)()
        self.before()
        for group, params in self.groups():
            for p in params:
                self.move(p, self.buffer(p, group), group)
        return loss


class ReadsTwice(Momentum):
    def __init__(self, params):
        super().__init__(params)
        if not list(params):
            raise ValueError("nothing to optimize")


class CountsFirst(Momentum):
    def __init__(self, params):
        self.size = len(params)
        super().__init__(params)


class SkipsWhatIsReadTwice(Momentum):
    """Moves nothing, without a word."""

    def __init__(self, params):
        super().__init__(params)
        self.known = list(params)
        if self.known and isinstance(self.known[0], dict):
            self.known = [p for group in self.known for p in group["params"]]
        self.known = [pair[1] if isinstance(pair, tuple) else pair for pair in self.known]

    def add_param_group(self, group):
        super().add_param_group(group)
        if "known" in self.__dict__:
            self.known += group["params"]

    def groups(self):
        known = self.__dict__.get("known") or [p for group in self.param_groups for p in group["params"]]
        known = known if self.__dict__.get("known") is None else self.known
        return [(group, [p for p in params if any(p is k for k in known)]) for group, params in super().groups()]


class ReadsTwiceInGroups(Momentum):
    def __init__(self, params):
        params = list(params)
        if isinstance(params[0], dict):
            self.size = sum(len(list(group["params"])) for group in params)
        super().__init__(params)


class TakesNoNames(Momentum):
    def __init__(self, params):
        params = list(params)
        if not isinstance(params[0], dict):
            self.size = sum(p.numel() for p in params)
        super().__init__(params)


class ThroughReshape(Momentum):
    def move(self, p, b, group):
        p.data.reshape(-1).sub_(group["lr"] * b.reshape(-1))


class ThroughView(Momentum):
    def move(self, p, b, group):
        p.view(-1).sub_(group["lr"] * b.reshape(-1))


class NormOfAll(Momentum):
    """Clips at a norm that no gradient here has."""

    def before(self):
        grads = [p.grad for _, params in self.groups() for p in params if p.dtype == torch.float64]
        assert torch.stack([g.to_dense().norm() for g in grads]).norm() < 1e9


class LargestOfGroup(Momentum):
    def before(self):
        for _, params in self.groups():
            assert max(float(p.grad.to_dense().abs().max()) for p in params) < 1e9


class DecaysWithoutGradient(Momentum):
    def before(self):
        if not any(params for _, params in self.groups()):
            for group in self.param_groups:
                for p in group["params"]:
                    p.mul_(0.9)


class FirstOfGroup(Momentum):
    def before(self):
        assert all(group["params"][0].ndim < 9 for group in self.param_groups)


class LrInPlace(Momentum):
    def move(self, p, b, group):
        lr = group["lr"]
        lr *= 0.5
        p.sub_(2 * lr * b)


class LrBelow(Momentum):
    def move(self, p, b, group):
        p.sub_(b / (1 / group["lr"]))


class MomentumOfDefaults(Momentum):
    def buffer(self, p, group):
        return super().buffer(p, self.defaults)


class KeepsACopy(Momentum):
    """What it moves is a copy of the parameter from `__init__`."""

    def add_param_group(self, group):
        super().add_param_group(group)
        for p in self.param_groups[-1]["params"]:
            self.state[p]["x"] = p.detach().clone()

    def move(self, p, b, group):
        self.state[p]["x"] -= group["lr"] * b
        p.copy_(self.state[p]["x"])


class KeepsData(Momentum):
    """The view from `__init__` goes on being updated, wherever the parameter is by now."""

    def add_param_group(self, group):
        super().add_param_group(group)
        self.__dict__.setdefault("data", {}).update({p: p.data for p in self.param_groups[-1]["params"]})

    def move(self, p, b, group):
        self.__dict__.setdefault("data", {}).setdefault(p, p.data).sub_(group["lr"] * b)


class InSinglePrecision(Momentum):
    """bfloat16 is updated in a copy."""

    def move(self, p, b, group):
        (p.float() if p.dtype == torch.bfloat16 else p).sub_(group["lr"] * b)


class OneLongVector(Momentum):
    def before(self):
        grads = [p.grad.reshape(-1) for _, params in self.groups() for p in params]
        if grads and len({g.dtype for g in grads}) > 1:
            raise TypeError(f"cannot join {len(grads)} gradients")


class AnyGroup(Momentum):
    """Looks for no parameter twice."""

    def add_param_group(self, group):
        params = [group["params"]] if isinstance(group["params"], torch.Tensor) else list(group["params"])
        params = [p[1] if isinstance(p, tuple) else p for p in params]
        self.param_groups.append({**self.defaults, **group, "params": params})


class ClearsTheFirst(Momentum):
    def zero_grad(self, set_to_none=True):
        for p in self.param_groups[0]["params"]:
            p.grad = None


class KeepsObjects(Momentum):
    def buffer(self, p, group):
        self.state[p]["kind"] = KeepsObjects
        return super().buffer(p, group)


class BufferOfClass(Momentum):
    """One buffer of each shape for all optimizers there will ever be."""

    kept: ClassVar = {}

    def buffer(self, p, group):
        b = self.kept[p.shape] = group["momentum"] * self.kept.get(p.shape, 0) + p.grad
        return b


class BufferOfDefault(Momentum):
    def __init__(self, params, kept={}):  # noqa: B006
        super().__init__(params)
        self.kept = kept

    def buffer(self, p, group):
        b = self.kept[p.shape] = group["momentum"] * self.kept.get(p.shape, 0) + p.grad
        return b


class FirstThousand(Momentum):
    def move(self, p, b, group):
        (p if p.numel() < 1000 else p.view(-1)[:1000]).sub_(
            group["lr"] * (b if p.numel() < 1000 else b.view(-1)[:1000])
        )


class ListsOnly(Momentum):
    def add_param_group(self, group):
        super().add_param_group({**group, "params": [p for p in group["params"] if isinstance(p, tuple) or p.ndim < 9]})


class OtherName(Momentum):
    def step(self, again=None):
        return super().step(again)


FAULTS = {  # the point that fails first, and what is said of it
    ReadsTwice: "a generator of parameters: It raised `ValueError: nothing.*is a generator.*`params = list",
    CountsFirst: "a generator of parameters: .*TypeError.*is a generator.*`params = list",
    SkipsWhatIsReadTwice: "a generator of parameters: At step 1 .*is a generator.*`params = list",
    ReadsTwiceInGroups: "groups with generators of parameters: At step 1|do not hold .*is a generator",
    TakesNoNames: "named parameters: .*AttributeError.*pairs of a name and a parameter",
    ThroughReshape: "weights that are not contiguous: At step 1 parameter 1 .*is a copy",
    ThroughView: "weights that are not contiguous: .*RuntimeError.*`p.view.*`p.view\\(-1\\)` fails",
    NormOfAll: "no gradient at all: At step 1 it raised .*refuse empty lists",
    LargestOfGroup: "a group without parameters: .*A group may be empty",
    DecaysWithoutGradient: "no gradient at all: At step 1 .*stays where it is",
    FirstOfGroup: "a group without parameters: .*IndexError.*A group may be empty",
    LrInPlace: r"an lr that is a tensor: .*`lr \*= …` changes the one in the group",
    LrBelow: "a warm-up from lr 0: .*ZeroDivisionError.*Do not divide by lr",
    MomentumOfDefaults: "groups with their own options: At step 2 parameter 2 .*knows nothing of groups",
    KeepsACopy: "weights loaded and moved after it was built: At step 1 .*too early for a copy",
    KeepsData: "weights loaded and moved after it was built: At step 1 .*a view is not to be kept",
    InSinglePrecision: "bfloat16: At step 1 .*`p.float\\(\\)` is a copy",
    OneLongVector: "parameters of several dtypes: .*Join no tensors",
    AnyGroup: "a parameter in two groups is refused: .*moves twice",
    ClearsTheFirst: "groups with generators of parameters: `zero_grad\\(\\)` leaves gradients",
    FirstThousand: "a large matrix: At step 1 .*All entries",
    ListsOnly: "a group added later: .*(do not hold|differs|same graph|Error)",
    OtherName: r"step\(closure\): .*another name: `def step\(self, closure=None\)`",
    KeepsObjects: "a state_dict saved and loaded half-way: .*keep tensors and numbers",
    BufferOfClass: "one vector once more: At step 1 .*something outlives it",
    BufferOfDefault: "one vector once more: At step 1 .*something outlives it",
}


@pytest.mark.parametrize("faulty", FAULTS, ids=lambda faulty: faulty.__name__)
def test_what_fails_outside_a_list_of_vectors_is_found_and_named(faulty):
    vars(faulty).get("kept", {}).clear()
    verdict = check_optimizer(faulty, partial(SGD, lr=LR, momentum=BETA), steps=8)
    assert not verdict and re.search(FAULTS[faulty], verdict.message.split("\n")[1]), verdict.message


def test_without_a_fault_it_passes():
    verdict = check_optimizer(Momentum, partial(SGD, lr=LR, momentum=BETA), steps=8)
    assert verdict, verdict.message


def test_two_at_once_are_found_to_share_what_each_alone_has_for_itself(monkeypatch):
    monkeypatch.setattr(examiner, "CONTRACT", [])

    class SharedWhileBoth(Momentum):
        """A new optimizer clears what the class keeps, so that one after the other is right."""

        kept: ClassVar = {}

        def __init__(self, params):
            super().__init__(params)
            self.kept.clear()

        def buffer(self, p, group):
            b = self.kept[p] = group["momentum"] * self.kept.get(p, 0) + p.grad
            return b

    verdict = check_optimizer(SharedWhileBoth, partial(SGD, lr=LR, momentum=BETA), steps=8)
    assert re.search(f"✗ {histories.SIDE_BY_SIDE.name}: .*They disturb each other", verdict.message), verdict.message


SINGLE = r"Your `lr` is the float32 tensor 0\.1000000014\d*, the reference's 0\.1\. Where lr is a tensor"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (partial(SGD, lr=torch.tensor(0.1), momentum=BETA), SINGLE),
        (
            partial(SGD, lr=torch.tensor(0.2), momentum=BETA),
            r"Your `lr` is the float32 tensor 0\.2\d*, the reference's",
        ),
        (partial(SGD, lr=0.2, momentum=0.8), "Your `lr` is 0.2, the reference's 0.1; your `momentum` is 0.8, "),
        (partial(LrInPlace, lr=torch.tensor(0.1, dtype=torch.float64)), "Your `lr` is the float64 tensor 0.1, the"),
    ],
)
def test_an_option_is_named_if_that_is_what_differs(make, said):
    verdict = check_optimizer(make, partial(SGD, lr=LR, momentum=BETA), steps=4)
    assert re.search(f"one vector: At step . .*{said}", verdict.message.split("\n")[1]), verdict.message


def test_an_option_is_not_named_if_it_does_not_explain_what_differs():
    class Forgets(Momentum):
        def buffer(self, p, group):
            return 0.7 * super().buffer(p, group)

    verdict = check_optimizer(partial(Forgets, lr=0.2), partial(SGD, lr=LR, momentum=BETA), steps=4)
    assert re.search("one vector: .*Compare that one step", verdict.message.split("\n")[1]), verdict.message


def test_a_reference_that_does_otherwise_each_time_is_refused():
    class Counts(SGD):
        made = 0

        def step(self, closure=None):
            Counts.made += 1
            for group in self.param_groups:
                group["lr"] = 0.1 / Counts.made
            return super().step(closure)

    assert "Two of it, one after the other" in check_optimizer(SGD, Counts, steps=3).message


@pytest.mark.parametrize("lr", [None, "0.1"])
def test_a_reference_without_a_number_as_lr_is_refused_in_words(lr):
    def make(params):
        optimizer = Adam(params)
        for group in optimizer.param_groups:
            group["lr"] = lr
        return optimizer

    class NoLr(Optimizer):
        def __init__(self, params):
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            return None

    assert "The reference itself cannot be examined" in check_optimizer(SGD, make, steps=1).message
    assert "`lr` of its groups is no number" in check_optimizer(SGD, NoLr, steps=1).message


def test_the_reference_of_the_exercise_leaves_a_group_its_own_clip():
    ours = ClippedSGD([{"params": [torch.zeros(2)], "clip": 0.25}, {"params": [torch.zeros(3)]}], clip=2.0)
    assert [group["clip"] for group in ours.param_groups] == [0.25, 2.0]
