"""What else an optimizer is led through: a closure, a second optimizer, and what it has to refuse.

As in `walks`, each function fills an Attempt and raises whatever the optimizer raises.
"""

from collections.abc import Callable

import torch
from torch.nn import Parameter

from utils.checks.examiner.attempt import Attempt, Failed
from utils.checks.examiner.cases import Case
from utils.checks.examiner.walks import build


def walk_closure(make: Callable, at: Attempt, *, steps: int, lr: float) -> None:
    """`step(closure)`, also by name: called once with gradients enabled, before the update, and its loss returned."""
    p = Parameter(torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64))  # a matrix, for Muon
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
        loss = optimizer.step(closure=closure) if k else optimizer.step(closure)
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
    a, b = map(Parameter, Case("", shapes=((2, 1), (2, 1))).parameters())
    saved = build(make, [a, b], [a, b], at).state_dict()
    optimizer = build(make, [{"params": [a], "lr": lr}, {"params": [b], "lr": lr}], [a, b], at)
    try:
        optimizer.load_state_dict(saved)
    except ValueError:
        return
    raise Failed("`load_state_dict` takes a state with one group where there are two: it should raise a ValueError.")


def walk_side_by_side(make: Callable, at: Attempt, *, case: Case, steps: int, lr: float) -> None:
    """Two optimizers take turns, each with a parameter of its own; the second comes after a step of the first."""
    history, optimizers = case.gradients(steps), []
    params = [Parameter(p) for p in case.parameters()]
    for k, gradients in enumerate(history):
        if k < len(params):
            group = {"params": [params[k]], "lr": lr * case.factor(k)}
            optimizers.append(build(make, [group], [params[k]], at))
        at.step = k + 1
        for optimizer in optimizers:
            for p, g in zip(params, gradients, strict=True):
                p.grad = g.clone()
            optimizer.step()
            at.rows.append([p.detach().clone() for p in params])


def walk_twice(make: Callable, at: Attempt, *, case: Case, lr: float) -> None:
    """A parameter that is in a group already is refused in another, at once and later."""
    a, b = map(Parameter, case.parameters())

    def later():
        build(make, [a, b], [a, b], at).add_param_group({"params": [a], "lr": lr})

    def at_once():
        build(make, [{"params": [a], "lr": lr}, {"params": [b, a], "lr": lr}], [a, b], at)

    for join in (later, at_once):
        try:
            join()
        except ValueError:
            continue
        raise Failed(
            "A parameter may stand in two groups, and then moves twice in a step: it should raise a ValueError."
        )
