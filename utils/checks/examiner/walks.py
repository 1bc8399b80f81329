"""What an optimizer is led through: a history, in which parameters come and go, are stored and copied.

Each function fills an Attempt and raises whatever the optimizer raises, so it is run by `attempt`.
"""

import copy
import io
import pickle
from collections.abc import Callable

import torch
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from utils.checks.examiner.attempt import Attempt, Failed, Skipped
from utils.checks.examiner.cases import Case
from utils.checks.examiner.side_effects import note_effects
from utils.internals.stepping import set_mode


def walk(make: Callable, at: Attempt, *, case: Case, steps: int, lr: float) -> None:
    """Fill `at` with what the optimizer does in `case`; raises whatever it raises."""
    history = case.gradients(steps)  # before anything of a student's runs in this thread, since they are kept
    params = [Parameter(p) for p in case.parameters()]
    now = [p for i, p in enumerate(params) if not case.joins(i, steps)]
    optimizer = build(make, _handed_over(case, now, lr), now, at)
    if case.maximize:
        for group in optimizer.param_groups:
            if "maximize" not in group:
                raise Skipped("your groups have no `maximize`")
            group["maximize"] = True
    schedule = LambdaLR(optimizer, case.share) if case.warm_up or case.schedule != 1 else None
    for k, gradients in enumerate(history):
        if case.event == "late" and k == case.joins(len(params) - 1, steps):
            optimizer.add_param_group({"params": params[-1], "lr": lr * case.factor(len(params) - 1)})
        elif case.event == "moved" and k in (0, steps // 2):
            for p in params:  # as `to` of a module does, and first as if weights were loaded
                p.data = p.data.clone() if k else 0.5 - p.data
        elif k == steps // 2 and case.event in ("state_dict", "deepcopy", "pickle"):
            params, optimizer = _reborn(case, params, optimizer, make, at)
        if case.given == "generator":
            _clear(optimizer, params)
        for p, g in zip(params, gradients, strict=True):
            if case.reused and p.grad is not None:
                p.grad.copy_(g)
            else:
                p.grad = None if g is None else g.clone()
        given, before = [p.grad for p in params], [(p.data_ptr(), p.dtype, p.shape) for p in params]
        at.step = k + 1
        optimizer.step()
        at.rows.append([p.detach().clone() for p in params])
        note_effects(at, optimizer, params, given=given, gradients=gradients, before=before)
        if schedule:
            schedule.step()


def _handed_over(case: Case, params: list, lr: float | None):
    """What the factory gets: parameters or groups in the form of the case; lr None leaves the groups without one."""
    if not case.lrs:
        named = [(f"layer.{i}", p) for i, p in enumerate(params)] if case.given == "named" else params
        return iter(named) if case.given else named
    groups = []
    for i, p in enumerate(params):
        group = {"params": iter([p]) if case.given == "generator" else [p]}
        if lr is not None:
            own = lr * case.factor(i)
            group["lr"] = torch.tensor(own, dtype=torch.float64) if case.tensor_lr else own
        groups.append(group)
    groups[-1].update(case.options)
    return groups + [{"params": []}] * (case.given == "empty group")


def _clear(optimizer: Optimizer, params: list) -> None:
    """`zero_grad`, as in every training loop; raises Failed where a gradient is left."""
    optimizer.zero_grad()
    if any(p.grad is not None and p.grad.any() for p in params):
        raise Failed("`zero_grad()` leaves gradients as they are: the one of `Optimizer` clears those of all groups.")


def build(make: Callable, groups: list, params: list, at: Attempt) -> Optimizer:
    """The optimizer that `make(groups)` makes, if it is one and holds `params`; raises Failed if not."""
    optimizer = make(groups)
    if optimizer is ...:
        raise NotImplementedError
    if isinstance(optimizer, type) or not isinstance(optimizer, Optimizer):
        kind = f"the class `{optimizer.__name__}`" if isinstance(optimizer, type) else f"a `{type(optimizer).__name__}`"
        raise Failed(f"Your factory returned {kind}: it should return an object of a subclass of `Optimizer`.")
    at.kind = type(optimizer)
    set_mode(optimizer, training=True)
    for group in optimizer.param_groups:  # an lr that is a tensor is changed in place by schedulers: not the factory's
        group.update({k: v.clone() for k, v in group.items() if isinstance(v, torch.Tensor)})
    first = optimizer.param_groups[0]
    at.options = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in first.items() if k != "params"}
    if {id(p) for p in params} != {id(p) for group in optimizer.param_groups for p in group["params"]}:
        raise Failed("Your optimizer's `param_groups` do not hold the parameters that the factory was given.")
    return optimizer


def _reborn(case: Case, params: list, optimizer: Optimizer, make: Callable, at: Attempt) -> tuple[list, Optimizer]:
    """Parameters and optimizer as they come back from storage or a copy."""
    if case.event == "deepcopy":
        return copy.deepcopy((params, optimizer))
    file = io.BytesIO()
    if case.event == "state_dict":
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        params = [Parameter(p.detach().clone()) for p in params]
        optimizer = build(make, _handed_over(case, params, None), params, at)  # their lr is in the file
        optimizer.load_state_dict(torch.load(file))
        return params, optimizer
    _Pickler(file, type(optimizer)).dump((params, optimizer))
    file.seek(0)
    return _Unpickler(file, type(optimizer)).load()


# A class that was defined inside a function cannot be pickled, and that is not the optimizer's fault: a word stands for
# it in the file. (Python 3.13.0 takes these two as methods only.)
class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, whole: type):
        super().__init__(file)
        self.whole = whole

    def persistent_id(self, thing: object) -> str | None:
        return "class" if thing is self.whole else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, whole: type):
        super().__init__(file)
        self.whole = whole

    def persistent_load(self, _word: str) -> type:
        return self.whole
