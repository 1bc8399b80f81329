"""Leading an optimizer through a history, guarded: what it did to the parameters, and what else it did."""

import contextlib
import copy
import dis
import io
import os
import pickle
import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim import optimizer as torch_optimizer

from utils.checks.examiner.cases import Case
from utils.guard import Stop, call, in_short, text_of


class Failed(Exception):
    """The candidate breaks the contract; the text says how."""


class Skipped(Exception):
    """There is nothing to examine; the text says why."""


@dataclass
class Attempt:
    """What one optimizer did in one history: the parameters after each step, and how it ended."""

    rows: list = field(default_factory=list)
    notes: dict = field(default_factory=dict)
    error: str = ""
    refused: bool = False  # by a `raise` in Python, not by an accident
    skipped: str = ""
    ended: bool = False
    step: int = 0  # the step that was begun last


# --- leading one optimizer through one history, in the guarded thread -------------------------------------------------


def walk(make: Callable, at: Attempt, *, case: Case, steps: int, lr: float) -> None:
    """Fill `at` with what the optimizer does in `case`; raises whatever it raises."""
    params = [p.requires_grad_() for p in case.parameters()]
    now = [p for i, p in enumerate(params) if not case.joins(i, steps)]
    group = [{"params": [p], "lr": lr * case.factor(i)} for i, p in enumerate(now)]
    optimizer = _build(make, group if case.lrs else now, now, at)
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
        _take_notes(at.notes, optimizer, params, given, gradients, before, k + 1)
        if schedule:
            schedule.step()


def _build(make: Callable, groups: list, params: list, at: Attempt) -> Optimizer:
    optimizer = make(groups)
    if optimizer is ...:
        raise NotImplementedError
    if isinstance(optimizer, type) or not isinstance(optimizer, Optimizer):
        kind = f"the class `{optimizer.__name__}`" if isinstance(optimizer, type) else f"a `{type(optimizer).__name__}`"
        raise Failed(f"Your factory returned {kind}: it should return an object of a subclass of `Optimizer`.")
    at.notes["class"] = type(optimizer)
    for group in optimizer.param_groups:  # an lr that is a tensor is changed in place by schedulers: not the factory's
        group.update({k: v.clone() for k, v in group.items() if isinstance(v, torch.Tensor)})
    at.notes["options"] = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
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
        optimizer = _build(make, params, params, at)
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


def _take_notes(notes: dict, optimizer: Optimizer, params: list, given: list, gradients: list, before: list, k: int):
    """Note what a step did beside moving the parameters, the first time that it did."""
    for p, grad, g, (place, dtype, shape) in zip(params, given, gradients, before, strict=True):
        if p.dtype != dtype or p.shape != shape:
            raise Failed(f"After step {k} a parameter is {p.dtype} of shape {tuple(p.shape)}: keep dtype and shape.")
        if p.grad is not grad or (grad is not None and not torch.equal(grad.to_dense(), g.to_dense())):
            notes.setdefault("gradients", f"At step {k} it changed `p.grad`: work on a copy, `g = p.grad.clone()`.")
        if p.data_ptr() != place:
            notes.setdefault(
                "memory",
                f"At step {k} `p.data` was rebound to a new tensor: whoever shares the parameter's memory keeps the "
                "old values. Update in place, as with `p.add_(…)`.",
            )
        if p.grad_fn is not None or not p.requires_grad:
            notes.setdefault("autograd", f"After step {k} a parameter is no leaf that requires grad any more.")
        state = optimizer.state.get(p, {})
        kept = state.values() if isinstance(state, dict) else ()
        if any(isinstance(x, torch.Tensor) and x.ndim and x.shape == shape and x.dtype != dtype for x in kept):
            notes["state of another dtype"] = True
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not held <= {id(p) for p in params}:
        notes["rebound"] = True
    kept = [x for state in optimizer.state.values() if isinstance(state, dict) for x in state.values()]
    if any(isinstance(x, torch.Tensor) and x.requires_grad for x in kept):
        notes.setdefault(
            "autograd",
            f"After step {k} the state requires grad: your update is tracked by autograd, and its graph grows with "
            "every step. Put `@torch.no_grad()` above `step`.",
        )


def walk_closure(make: Callable, at: Attempt, *, steps: int, lr: float) -> None:
    """`step(closure)`: called once with gradients enabled, before the update, and its loss returned."""
    p = torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64, requires_grad=True)  # a matrix, for Muon
    weights = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    optimizer = _build(make, [p], [p], at)
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
    saved = _build(make, [a, b], [a, b], at).state_dict()
    optimizer = _build(make, [{"params": [a], "lr": lr}, {"params": [b], "lr": lr}], [a, b], at)
    try:
        optimizer.load_state_dict(saved)
    except ValueError:
        return
    raise Failed("`load_state_dict` takes a state with one group where there are two: it should raise a ValueError.")


# --- guarding ---------------------------------------------------------------------------------------------------------


def _globals() -> dict:
    return {
        "torch's random state": torch.get_rng_state().numpy().tobytes(),
        "Python's random state": random.getstate(),
        "NumPy's random state": [np.asarray(part).tobytes() for part in np.random.get_state()],
        "the default dtype": torch.get_default_dtype(),
        "whether gradients are enabled": torch.is_grad_enabled(),
        "the default device": str(torch.get_default_device()),
        "the number of threads": torch.get_num_threads(),
        "which algorithms are allowed": torch.are_deterministic_algorithms_enabled(),
        "the environment": dict(os.environ),
    }


@contextlib.contextmanager
def _as_it_was():
    """What `call` does not put back."""
    threads, exact, environment = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        dict(os.environ),
    )
    hooks = (torch_optimizer._global_optimizer_pre_hooks, torch_optimizer._global_optimizer_post_hooks)
    kept = [dict(h) for h in hooks]
    torch.set_num_threads(1)  # tensors this small only lose by more, and by much on a busy machine
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if torch.are_deterministic_algorithms_enabled() != exact:
            torch.use_deterministic_algorithms(exact)
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        for hook, before in zip(hooks, kept, strict=True):
            hook.clear()
            hook.update(before)


def attempt(run: Callable, make: Callable, seconds: float) -> Attempt:
    at = Attempt()

    def inside():
        before = _globals()
        try:
            run(make, at)
        except Stop:
            raise
        except Skipped as skipped:
            at.skipped = str(skipped)
        except Failed as failed:
            at.error = str(failed)
        except BaseException as error:
            at.error, at.refused = _explain(error, at.step)
        after = _globals()
        changed = [name for name in before if before[name] != after[name]]
        if changed:
            at.notes["globals"] = f"It changes {' and '.join(changed)}, and that belongs to the whole process."
        at.ended = True

    with _as_it_was():
        call(inside, timeout=seconds)
    if not at.ended:
        at = Attempt(list(at.rows), dict(at.notes), step=at.step)  # the thread may still be writing to the other
        where = f"in step {at.step}" if at.step else "while it was built"
        at.error = f"Your optimizer was stopped {where}: all time was used up. Does its loop end?"
    return at


def _explain(error: BaseException, step: int) -> tuple[str, bool]:
    """(what was raised and in which line of the student's, whether a `raise` in Python did it on purpose)."""
    others = (os.path.dirname(torch.__file__), os.path.dirname(os.__file__), __file__)
    own = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(others)]
    line = f" in `{own[-1].line}`" if own and own[-1].line else ""
    last = error.__traceback__
    while last.tb_next:
        last = last.tb_next
    raised = last.tb_frame.f_code.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    when = f"At step {step} it" if step else "It"
    return f"{when} raised `{in_short(text_of(error))}`{line}.", raised and isinstance(error, Exception)
