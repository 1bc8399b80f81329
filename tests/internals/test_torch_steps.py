"""What torch does not promise and utils/internals/torch_steps.py uses: what fails here says which name has changed."""

import inspect
import warnings
from collections.abc import MutableMapping

import pytest
import torch
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.optim import optimizer as torch_optimizer

from utils.internals.torch_steps import (
    Operations,
    attributes_without_schedulers,
    hooks_on_all_optimizers,
    note_as_stepped,
    step_without_profiler,
)

WHERE = "utils/internals/torch_steps.py rests on it: mend it there"


def one(make=optim.SGD):
    p = nn.Parameter(torch.ones(3))
    p.grad = torch.ones(3)
    return p, make([p], lr=0.1)


@pytest.mark.parametrize("when", ["pre", "post"])
def test_hooks_on_all_optimizers_are_kept_where_we_look(when):
    register = getattr(torch_optimizer, f"register_optimizer_step_{when}_hook")
    pre, post = hooks_on_all_optimizers()
    for registry in (pre, post):
        assert isinstance(registry, MutableMapping), f"torch keeps its global hooks in another form; {WHERE}"
    registry, before = (pre if when == "pre" else post), len(pre) + len(post)
    handle = register(lambda *_: None)
    try:
        assert len(pre) + len(post) == before + 1, f"torch keeps its global {when} hooks elsewhere; {WHERE}"
        assert registry, f"the global {when} hooks are in the other registry; {WHERE}"
    finally:
        handle.remove()


def test_a_step_is_wrapped_as_we_unwrap_it():
    for made in (optim.SGD, optim.Adam, optim.RMSprop):
        _, optimizer = one(made)
        assert getattr(made.step, "hooked", False), f"torch marks a wrapped step by another name than `hooked`; {WHERE}"
        inner = inspect.unwrap(made.step)
        assert inner is not made.step, f"the wrapper of step has no `__wrapped__` any more; {WHERE}"
        assert step_without_profiler(optimizer).func is made.step.__wrapped__


@pytest.mark.parametrize("own", ["_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"])
def test_hooks_of_one_optimizer_are_kept_where_we_look(own):
    _, optimizer = one()
    register = optimizer.register_step_pre_hook if "pre" in own else optimizer.register_step_post_hook
    calls = []
    register(lambda *_: calls.append(1))
    assert len(getattr(optimizer, own, ())) == 1, f"an optimizer keeps its hooks elsewhere than in {own}; {WHERE}"
    step_without_profiler(optimizer)()
    assert calls == [1]


def test_without_the_wrapper_a_step_is_the_same_step():
    (p, plain), (q, bare) = one(optim.Adam), one(optim.Adam)
    for _ in range(3):
        plain.step()
        step_without_profiler(bare)()
    assert torch.equal(p, q)


def test_a_scheduler_believes_that_the_optimizer_has_stepped():
    _, optimizer = one()
    scheduler = lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()
    _, optimizer = one()
    note_as_stepped(optimizer)
    scheduler = lr_scheduler.StepLR(optimizer, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()  # if it warns, torch looks elsewhere than at `_opt_called`


def test_every_operation_is_heard_those_of_the_backward_pass_and_of_optimizers_too():
    conv, heard = nn.Conv2d(1, 2, 3), []
    optimizer = optim.SGD(conv.parameters(), lr=0.1)
    with Operations(lambda operation, arguments: heard.append((operation, arguments))):
        conv(torch.ones(4, 1, 8, 8)).sum().backward()
        optimizer.step()
    by_name = dict(heard)
    images, weight = by_name[torch.ops.aten.convolution.default][:2]
    assert images.shape == (4, 1, 8, 8), f"a convolution's arguments stand in another order; {WHERE}"
    assert weight.data_ptr() == conv.weight.data_ptr(), f"an operation gets a copy of the weights; {WHERE}"
    _, images, weight, *_, wanted = by_name[torch.ops.aten.convolution_backward.default]
    assert images.shape == (4, 1, 8, 8) and weight.data_ptr() == conv.weight.data_ptr() and wanted[1], WHERE
    assert any(operation._schema.is_mutable for operation in by_name), f"no update in place is heard; {WHERE}"


def test_a_scheduler_wraps_step_as_we_unwrap_it():
    _, optimizer = one()
    lr_scheduler.StepLR(optimizer, 1)
    assert "step" in vars(optimizer), f"a scheduler no longer puts its own `step` on the optimizer; {WHERE}"
    assert "step" not in attributes_without_schedulers(optimizer), f"a scheduler marks it by another name; {WHERE}"
    optimizer.step = print
    assert attributes_without_schedulers(optimizer)["step"] is print
