"""The check of resuming: right answers pass however they are written, each mistake is named."""

import copy
import re
from collections.abc import Callable

import pytest
import torch
from torch import nn

from utils.checks.resume import check_resume


def textbook(checkpoint, make_model, make_optimizer):
    model = make_model()
    model.load_state_dict(checkpoint["model"])
    optimizer = make_optimizer(model.parameters())
    optimizer.load_state_dict(checkpoint["optimizer"])
    return model, optimizer


def optimizer_first(checkpoint, make_model, make_optimizer):
    model = make_model()
    optimizer = make_optimizer(list(model.parameters()))
    optimizer.load_state_dict(checkpoint["optimizer"])
    model.load_state_dict(checkpoint["model"])
    return [model, optimizer]


def by_deepcopy(checkpoint, make_model, make_optimizer):
    return textbook(copy.deepcopy(checkpoint), make_model, make_optimizer)


def by_copying_numbers(checkpoint, make_model, make_optimizer):
    model = make_model()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(checkpoint["model"][name])
    optimizer = make_optimizer(model.parameters())
    optimizer.load_state_dict(copy.deepcopy(checkpoint["optimizer"]))
    return model, optimizer


def with_a_spare_model(checkpoint, make_model, make_optimizer):
    make_model()
    return textbook(checkpoint, make_model, make_optimizer)


@pytest.mark.parametrize(
    ("candidate", "shares"),
    [
        (textbook, True),
        (optimizer_first, True),
        (by_deepcopy, False),
        (by_copying_numbers, False),
        (with_a_spare_model, True),
    ],
)
def test_resume_passes_and_tells_when_the_checkpoint_is_shared(candidate, shares):
    verdict = check_resume(candidate)
    assert verdict, verdict.message
    assert ("keeps the checkpoint's own tensors" in verdict.message) == shares


def test_torch_still_shares_the_optimizers_tensors_with_the_checkpoint():
    """The remark in the praise rests on this; should torch copy one day, the remark disappears by itself."""
    p = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([p], lr=1.0, momentum=0.9)
    p.grad = torch.ones(1)
    optimizer.step()
    checkpoint = copy.deepcopy(optimizer.state_dict())
    optimizer.load_state_dict(checkpoint)
    optimizer.step()
    assert checkpoint["state"][0]["momentum_buffer"].item() == pytest.approx(1.9)


def resume(*, model="load", optimizer="load", change=None):
    """The textbook answer with parts left out or something done at the end."""

    def candidate(checkpoint, make_model, make_optimizer):
        net = make_model()
        if model == "load":
            net.load_state_dict(checkpoint["model"])
        opt = make_optimizer(net.parameters())
        if optimizer == "load":
            opt.load_state_dict(checkpoint["optimizer"])
        result = change(net, opt, checkpoint, make_model, make_optimizer) if change else None
        return (net, opt) if result is None else result

    return candidate


def restored_lr_lost(net, opt, checkpoint, make_model, make_optimizer):
    opt.param_groups[0]["lr"] = make_optimizer(make_model().parameters()).param_groups[0]["lr"]


def replaced(net, opt, checkpoint, make_model, make_optimizer):
    net.load_state_dict(checkpoint["model"], assign=True)


def other_model(net, opt, checkpoint, make_model, make_optimizer):
    other = make_model()
    other.load_state_dict(checkpoint["model"])
    return other, opt


def state_changed(net, opt, checkpoint, make_model, make_optimizer):
    for state in opt.state.values():
        for key, value in state.items():
            if key != "step":
                state[key] = torch.zeros_like(value)


def part_held(net, opt, checkpoint, make_model, make_optimizer):
    return net, make_optimizer(net[0].parameters())


def frozen_before(net, opt, checkpoint, make_model, make_optimizer):
    opt.param_groups[0]["weight_decay"] = 0.1


def assigned(checkpoint, make_model, make_optimizer):
    model = make_model()
    model.load_state_dict(checkpoint["model"], assign=True)
    optimizer = make_optimizer(model.parameters())
    optimizer.load_state_dict(copy.deepcopy(checkpoint["optimizer"]))
    return model, optimizer


def popped(checkpoint, make_model, make_optimizer):
    model = make_model()
    model.load_state_dict(checkpoint.pop("model"))
    optimizer = make_optimizer(model.parameters())
    optimizer.load_state_dict(checkpoint.pop("optimizer"))
    return model, optimizer


def hard_coded(make):
    def candidate(checkpoint, make_model, make_optimizer):
        model = make_model()
        model.load_state_dict(checkpoint["model"])
        optimizer = make(model.parameters())
        optimizer.load_state_dict(checkpoint["optimizer"])
        return model, optimizer

    return candidate


def model_reassigned(checkpoint, make_model, make_optimizer):
    model = make_model()
    model = model.load_state_dict(checkpoint["model"])
    optimizer = make_optimizer(model.parameters())
    optimizer.load_state_dict(checkpoint["optimizer"])
    return model, optimizer


def model_reassigned_late(checkpoint, make_model, make_optimizer):
    model = make_model()
    optimizer = make_optimizer(model.parameters())
    model = model.load_state_dict(checkpoint["model"])
    return model, optimizer


def optimizer_reassigned(checkpoint, make_model, make_optimizer):
    model = make_model()
    return model, make_optimizer(model.parameters()).load_state_dict(checkpoint["optimizer"])


def whole_checkpoint_to_model(checkpoint, make_model, make_optimizer):
    make_model().load_state_dict(checkpoint)


def optimizers_part_to_model(checkpoint, make_model, make_optimizer):
    make_model().load_state_dict(checkpoint["optimizer"])


def whole_checkpoint_to_optimizer(checkpoint, make_model, make_optimizer):
    make_optimizer(make_model().parameters()).load_state_dict(checkpoint)


def without_forward(checkpoint, make_model, make_optimizer):
    model, _ = textbook(checkpoint, make_model, make_optimizer)
    model.forward = lambda x: x + None
    return model, make_optimizer(model.parameters())


def assigns(part: str, method: str):
    """`model.state_dict = checkpoint["model"]` and its like."""

    def candidate(checkpoint, make_model, make_optimizer):
        model, optimizer = textbook(checkpoint, make_model, make_optimizer)
        setattr({"model": model, "optimizer": optimizer}[part], method, checkpoint[part])
        return model, optimizer

    return candidate


def with_model(make: Callable):
    """The textbook's answer, but for the line that makes the model."""

    def candidate(checkpoint, make_model, make_optimizer):
        model = make(checkpoint, make_model)
        model.load_state_dict(checkpoint["model"])
        return model, make_optimizer(model.parameters())

    return candidate


WRONG_RESUMES = {
    "hard-coded SGD": (
        hard_coded(lambda params: torch.optim.SGD(params, lr=0.1)),
        "^With Adam the run cannot go on: a step raises `KeyError: 'momentum'`.\nYour optimizer is of the class `SGD`, "
        "that of the checkpoint of `Adam`: build the optimizer with `make_optimizer`.$",
    ),
    "hard-coded Adam": (
        hard_coded(torch.optim.Adam),
        "KeyError: 'step'.*\n.*build the optimizer with `make_optimizer`.$",
    ),
    "cannot step": (without_forward, "^With SGD .* cannot go on: a step raises `TypeError: .*`.$"),
    "model reassigned": (model_reassigned, r"in line \d+.*\n`load_state_dict` works in place and returns no model"),
    "model reassigned late": (model_reassigned_late, "In your pair .* a module .* in place and returns no model"),
    "optimizer reassigned": (optimizer_reassigned, "None where an optimizer .* in place and returns no optimizer"),
    "checkpoint to model": (whole_checkpoint_to_model, r"\n`checkpoint` holds two .* take `\['model'\]` for the model"),
    "optimizer to model": (optimizers_part_to_model, r"\nThat is the .* optimizer: take `\['model'\]` for the model"),
    "checkpoint to optimizer": (whole_checkpoint_to_optimizer, r"\n`checkpoint` holds .* take `\['optimizer'\]`"),
    "optimizer not loaded": (resume(optimizer="no"), r"at step 1 after.*\n.*\(`momentum_buffer`\) is lost"),
    "model not loaded": (resume(model="no"), "at step 1 after.*\n.*does not hold the parameters"),
    "neither": (resume(model="no", optimizer="no"), "at step 1 after.*\n.*does not hold the parameters"),
    "lr lost": (resume(change=restored_lr_lost), "at step 1 after.*\nThe lr is 0.1 where the checkpoint has 0.02"),
    "state changed": (resume(change=state_changed), "at step 1 after.*\n.*has a state, but not that"),
    "another setting": (resume(change=frozen_before), "at step 1 after.*\nModel, state and lr are right"),
    "another model": (
        resume(change=other_model),
        r"built on another model.* get no gradient, so `step\(\)` skips them",
    ),
    "replaced afterwards": (
        resume(change=replaced),
        r"before they were replaced.* get no gradient, so `step\(\)` skips them",
    ),
    "a part held": (resume(change=part_held), "holds 2 of the model's 4 parameters"),
    "swapped": (lambda *a: textbook(*a)[::-1], "the model comes first"),
    "model only": (lambda *a: textbook(*a)[0], "only the model"),
    "optimizer only": (lambda *a: textbook(*a)[1], "only the optimizer"),
    "the checkpoint": (lambda checkpoint, *a: checkpoint, "type `dict`: a pair"),
    "a class": (lambda *a: (nn.Linear, textbook(*a)[1]), "a `type` where a module should be"),
    "a model of one's own": (lambda c, m, o: ((n := nn.Linear(1, 1)), o(n.parameters())), "has other parameters"),
    "model shares tensors": (assigned, r"training on changed `checkpoint\['model'\]`"),
    "checkpoint emptied": (popped, "changed `checkpoint` in place"),
    "optimizer on the model": (
        lambda c, m, o: (m(), o(m())),
        r"in line \d+.*\n.*`model.parameters\(\)`, and not the model",
    ),
    "optimizer on a method": (
        lambda c, m, o: (m(), o(m().parameters)),
        r"\nA method is called: `model.parameters\(\)`",
    ),
    "optimizer on the state": (
        lambda c, m, o: (m(), o(c["model"])),
        r"\nWhat you handed to `make_optimizer` is no list",
    ),
    "a state dict assigned": (
        assigns("model", "state_dict"),
        r"assigned to `model.state_dict`.*`model.load_state_dict",
    ),
    "the optimizer's assigned": (assigns("optimizer", "state_dict"), "assigned to `optimizer.state_dict`"),
    "another method assigned": (assigns("model", "parameters"), "assigned to `model.parameters`, which is a method"),
    "a model made of its state": (
        with_model(lambda c, m: m(c["model"])),
        r"make_model\(\) takes 0.*\n.* takes no argument",
    ),
    "a model not made": (with_model(lambda c, m: m), r"\n.* are functions: call them"),
    "a model not made, returned": (lambda c, m, o: (m, textbook(c, m, o)[1]), "a `function` .* Call `make_model`"),
    "its state as the model": (with_model(lambda c, m: c["model"]), r"\nA state dict holds numbers"),
    "the states themselves": (lambda c, m, o: (c["model"], c["optimizer"]), "That is what was saved: make the model"),
    "keys as attributes": (lambda c, m, o: m().load_state_dict(c.model), r"\n`checkpoint` is a dict"),
    "loaded again": (lambda c, m, o: m().load_state_dict(torch.load(c)), r"\n`checkpoint` has been loaded already"),
}


@pytest.mark.parametrize("name", WRONG_RESUMES)
def test_mistakes_of_resume_are_named(name):
    candidate, message = WRONG_RESUMES[name]
    verdict = check_resume(candidate)
    assert not verdict and not verdict.untouched
    assert re.search(message, verdict.message), verdict.message


def test_a_verdict_is_the_same_the_second_time():
    """Notebooks store them: no address, no random number, no time may be in a message."""
    for candidate, _ in list(WRONG_RESUMES.values())[::6]:
        assert check_resume(candidate).message == check_resume(candidate).message
