"""What a learning rate scheduler will do, before it does it: the curves of lr and momentum that it would set."""

import inspect
import math
import operator
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from utils.internals.torch_steps import note_as_stepped

MakeScheduler = Callable[[Optimizer], LRScheduler]


def lr_curve(
    make_scheduler: MakeScheduler, steps: int, *, lr: float = 1.0, metrics: Sequence[float] | None = None
) -> np.ndarray:
    """The lr that each of `steps` optimizer steps would use, shape (steps,), if `scheduler.step()` followed each.

    `make_scheduler` takes an optimizer and returns a scheduler of it: `partial(StepLR, step_size=30)`, or a function
    that composes several. It is called with an optimizer of ours (SGD on one number, at this `lr`), so no optimizer or
    scheduler of the caller is stepped, and torch has no wrong order to warn of. Only what the factory itself changes,
    such as a counter kept by a function given to LambdaLR, is not ours to restore. A scheduler whose `step` needs a
    metric, such as ReduceLROnPlateau, is given metrics[k] after optimizer step k (from 0); others ignore `metrics`.

    Raises TypeError if `make_scheduler` is no factory of schedulers; ValueError for a bad number, for too few metrics,
    for a scheduler of another optimizer and, naming the step, where a scheduler fails (OneCycleLR stepped too often).
    What torch raises while the scheduler is made passes through.
    """
    return _run("lr", make_scheduler, steps, lr=lr, metrics=metrics)


def momentum_curve(
    make_scheduler: MakeScheduler,
    steps: int,
    *,
    momentum: float = 0.9,
    lr: float = 1.0,
    metrics: Sequence[float] | None = None,
) -> np.ndarray:
    """The momentum that each optimizer step would use, shape (steps,): CyclicLR and OneCycleLR move it, others do not.

    `momentum` is what the optimizer has before the scheduler is made. With an optimizer of the Adam family the same
    numbers become betas[0]. The rest is as in lr_curve().
    """
    return _run("momentum", make_scheduler, steps, lr=lr, momentum=momentum, metrics=metrics)


def _run(key: str, make_scheduler, steps, *, lr, metrics, momentum=0.9) -> np.ndarray:
    if not callable(make_scheduler):
        made = type(make_scheduler).__name__
        raise TypeError(
            f"make_scheduler must be what makes a scheduler, such as partial(StepLR, step_size=30), got a {made}"
        )
    steps = operator.index(steps)
    if steps < 1 or not 0 <= lr < math.inf or not 0 <= momentum < math.inf:
        raise ValueError(
            "steps must be at least 1, lr and momentum finite and at least 0, "
            f"got steps {steps}, lr {lr} and momentum {momentum}"
        )
    optimizer = SGD([torch.zeros((), device="cpu")], lr=float(lr), momentum=float(momentum))
    # Steps of this optimizer would change nothing and set off whatever hooks the caller has on all optimizers. They are
    # left out, and noted as done where a scheduler looks before it warns of the wrong order.
    note_as_stepped(optimizer)
    scheduler = make_scheduler(optimizer)
    name = type(scheduler).__name__
    if not isinstance(scheduler, LRScheduler):
        raise TypeError(f"make_scheduler must return a scheduler of torch.optim.lr_scheduler, got {name}")
    if scheduler.optimizer is not optimizer:
        raise ValueError(
            f"make_scheduler returned a {name} of another optimizer, which would be spent here: "
            "make a new one for the optimizer that it is given"
        )
    arguments = [()] * (steps - 1)
    if needs_metric(type(scheduler)):
        arguments = [(metric,) for metric in _checked(metrics, steps - 1, name)]

    group, curve = optimizer.param_groups[0], np.empty(steps)
    for step in range(steps):
        try:
            if step > 0:
                scheduler.step(*arguments[step - 1])
            curve[step] = float(group[key])
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(f"{name} has no {key} for step {step}, counted from 0 ({reason})") from error
    return curve


def needs_metric(scheduler_class: type[LRScheduler]) -> bool:
    """Whether `step` must be given a metric, as that of ReduceLROnPlateau and of whatever is made of it."""
    _self, *parameters = inspect.signature(scheduler_class.step).parameters.values()
    asked = any(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
    return asked or issubclass(scheduler_class, ReduceLROnPlateau)  # whose heirs may take `*args` and pass them on


def _checked(metrics, count: int, name: str) -> list[float]:
    """The first `count` metrics as floats."""
    if metrics is None:
        raise ValueError(f"{name} follows a metric: pass metrics, a sequence of at least steps - 1 = {count} numbers")
    try:
        numbers = [float(metric) for metric in metrics]
    except (TypeError, ValueError) as error:
        raise ValueError(f"metrics must be a sequence of numbers, one after each step ({error})") from error
    if len(numbers) < count:
        raise ValueError(f"metrics must hold at least steps - 1 = {count} numbers, got {len(numbers)}")
    return numbers[:count]
