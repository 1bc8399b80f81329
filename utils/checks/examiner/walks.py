"""What an optimizer is led through: a history, a closure, and a state_dict that does not fit.

Each function fills an Attempt and raises whatever the optimizer raises, so it is run by `attempt`.
"""

import copy
import io
import pickle
from collections.abc import Callable

import torch
from torch.optim import Optimizer

from utils.checks.examiner.attempt import Attempt, Failed, Skipped
from utils.checks.examiner.cases import Case


def walk(make: Callable, at: Attempt, *, case: Case, steps: int, lr: float) -> None:
    """Fill `at` with what the optimizer does in `case`; raises whatever it raises."""
    params = [p.requires_grad_() for p in case.parameters()]
    now = [p for i, p in enumerate(params) if not case.joins(i, steps)]
    group = [{"params": [p], "lr": lr * case.factor(i)} for i, p in enumerate(now)]
    optimizer = build(make, group if case.lrs else now, now, at)
    if case.maximize:
        for group in optimizer.param_groups:
            if "maximize" not in group:
                raise Skipped("your groups have no `maximize`")
            group["maximize"] = True
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, case.schedule) if case.schedule != 1 else None
    for k, gradients in enumerate(case.gradients(steps)):
        if case.event == "late" and k == case.joins(len(params) - 1, steps):
            optimizer.add_param_group({"params": [params[-1]], "lr": lr * case.factor(len(params) - 1)})
        elif k == steps // 2 and case.event not in ("", "late"):
            params, optimizer = _reborn(case.event, params, optimizer, make, at)
        for p, g in zip(params, gradients, strict=True):
            if case.reused and p.grad is not None:
                p.grad.copy_(g)
            else:
                p.grad = None if g is None else g.clone()
        given, before = [p.grad for p in params], [(p.data_ptr(), p.dtype, p.shape) for p in params]
        at.step = k + 1
        optimizer.step()
        at.rows.append([p.detach().clone() for p in params])
        _note_effects(at, optimizer, params, given=given, gradients=gradients, before=before)
        if schedule:
            schedule.step()


def build(make: Callable, groups: list, params: list, at: Attempt) -> Optimizer:
    """The optimizer that `make(groups)` makes, if it is one and holds `params`; raises Failed if not."""
    optimizer = make(groups)
    if optimizer is ...:
        raise NotImplementedError
    if isinstance(optimizer, type) or not isinstance(optimizer, Optimizer):
        kind = f"the class `{optimizer.__name__}`" if isinstance(optimizer, type) else f"a `{type(optimizer).__name__}`"
        raise Failed(f"Your factory returned {kind}: it should return an object of a subclass of `Optimizer`.")
    at.kind = type(optimizer)
    for group in optimizer.param_groups:  # an lr that is a tensor is changed in place by schedulers: not the factory's
        group.update({k: v.clone() for k, v in group.items() if isinstance(v, torch.Tensor)})
    at.options = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
    if {id(p) for p in params} != {id(p) for group in optimizer.param_groups for p in group["params"]}:
        raise Failed("Your optimizer's `param_groups` do not hold the parameters that the factory was given.")
    return optimizer


def _reborn(event: str, params: list, optimizer: Optimizer, make: Callable, at: Attempt) -> tuple[list, Optimizer]:
    """Parameters and optimizer as they come back from storage or a copy."""
    if event == "deepcopy":
        return copy.deepcopy((params, optimizer))
    file = io.BytesIO()
    if event == "state_dict":
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        params = [p.detach().clone().requires_grad_() for p in params]
        optimizer = build(make, params, params, at)
        optimizer.load_state_dict(torch.load(file))
        return params, optimizer
    # A class that was defined inside a function cannot be pickled, and that is not the optimizer's fault.
    cls = type(optimizer)
    pickler, unpickler = pickle.Pickler(file), pickle.Unpickler(file)
    pickler.persistent_id = lambda thing: "class" if thing is cls else None
    unpickler.persistent_load = lambda _: cls
    pickler.dump((params, optimizer))
    file.seek(0)
    return unpickler.load()


def _note_effects(at: Attempt, optimizer: Optimizer, params: list, *, given: list, gradients: list, before: list):
    """Note what the last step did beside moving the parameters, the first time that it did.

    given        each `p.grad` as the step got it, the object; `gradients` has its numbers
    before       (place in memory, dtype, shape) of each parameter
    """
    k, effects = at.step, at.effects
    for p, grad, g, (place, dtype, shape) in zip(params, given, gradients, before, strict=True):
        if p.dtype != dtype or p.shape != shape:
            raise Failed(f"After step {k} a parameter is {p.dtype} of shape {tuple(p.shape)}: keep dtype and shape.")
        if p.grad is not grad or (grad is not None and not torch.equal(grad.to_dense(), g.to_dense())):
            effects.setdefault("gradients", f"At step {k} it changed `p.grad`: work on a copy, `g = p.grad.clone()`.")
        if p.data_ptr() != place:
            effects.setdefault(
                "memory",
                f"At step {k} `p.data` was rebound to a new tensor: whoever shares the parameter's memory keeps the "
                "old values. Update in place, as with `p.add_(…)`.",
            )
        if p.grad_fn is not None or not p.requires_grad:
            effects.setdefault("autograd", f"After step {k} a parameter is no leaf that requires grad any more.")
        kept = _tensors(optimizer.state.get(p, {}))
        at.other_dtype = at.other_dtype or any(x.ndim and x.shape == shape and x.dtype != dtype for x in kept)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    at.rebound = at.rebound or not held <= {id(p) for p in params}
    if any(x.requires_grad for state in optimizer.state.values() for x in _tensors(state)):
        effects.setdefault(
            "autograd",
            f"After step {k} the state requires grad: your update is tracked by autograd, and its graph grows with "
            "every step. Put `@torch.no_grad()` above `step`.",
        )


def _tensors(state) -> list[torch.Tensor]:
    """The tensors in what an optimizer keeps of one parameter, which need not be a dict."""
    return [x for x in state.values() if isinstance(x, torch.Tensor)] if isinstance(state, dict) else []


def walk_closure(make: Callable, at: Attempt, *, steps: int, lr: float) -> None:
    """`step(closure)`: called once with gradients enabled, before the update, and its loss returned."""
    p = torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64, requires_grad=True)  # a matrix, for Muon
    weights = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    optimizer = build(make, [p], [p], at)
    for k in range(min(steps, 3)):
        calls, p.grad, at.step = [], None, k + 1

        def closure(calls=calls):
            calls.append(torch.is_grad_enabled())
            with torch.enable_grad():  # so that the report speaks of the cause, not of what follows from it
                loss = (p * p * weights).sum()
                optimizer.zero_grad()
                loss.backward()
            return loss

        truth = float((p.detach() ** 2 * weights).sum())
        loss = optimizer.step(closure)
        at.rows.append([p.detach().clone()])
        if not calls:
            raise Failed("The closure is never called: `step(closure)` calls it once, before the update.")
        if not all(calls):
            raise Failed("The closure is called under `no_grad`: call it under `with torch.enable_grad():`.")
        if len(calls) > 1:
            raise Failed(f"The closure is called {len(calls)} times in one step: once is enough.")
        if loss is None:
            raise Failed("The loss is not returned: `step(closure)` returns what the closure returned.")
        if abs(float(loss) - truth) > 1e-9:
            raise Failed(f"`step(closure)` returned {float(loss):.4g} where the closure returned {truth:.4g}.")


def walk_wrong_groups(make: Callable, at: Attempt, *, lr: float) -> None:
    """`load_state_dict` of an optimizer with one group is refused by one with two."""
    a, b = Case("", shapes=((2, 1), (2, 1))).parameters()
    saved = build(make, [a, b], [a, b], at).state_dict()
    optimizer = build(make, [{"params": [a], "lr": lr}, {"params": [b], "lr": lr}], [a, b], at)
    try:
        optimizer.load_state_dict(saved)
    except ValueError:
        return
    raise Failed("`load_state_dict` takes a state with one group where there are two: it should raise a ValueError.")
