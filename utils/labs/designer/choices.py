"""What the schedule designer offers: schedulers with their sliders, and the design that a setting stands for."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from utils.labs.designer.design import Design, Part, Rule
from utils.reference.schedulers import scheduler_classes

_CLASSES = scheduler_classes()
LRS = tuple(float(f"{lr:.3g}") for lr in np.geomspace(1e-4, 1, 81))  # 20 a decade

_COUNTS = (1, 2, 5, *range(10, 201, 5))
_LONG = (*range(10, 201, 10), 250, 300, 400)  # what may last longer than the run
_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
_LOWEST = (0.0, 1e-5, 1e-4, 1e-3, 0.01, 0.1)
_GAMMA = (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)
_SLOW = (0.9, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 1.0, 1.01, 1.02, 1.03, 1.05)  # above 1: a range test
_STRATEGY = ("cos", "linear")
_RULES: dict[str, Callable[[int, int], float]] = {  # as it is written, and what it is
    "1 / (1 + step / {k})": lambda k, step: 1 / (1 + step / k),
    "(1 + step / {k}) ** -0.5": lambda k, step: (1 + step / k) ** -0.5,
    "0.5 ** (step / {k})": lambda k, step: 0.5 ** (step / k),
}

# scheduler → slider → (its values, the one that it starts with)
KNOBS: dict[str, dict[str, tuple]] = {
    "CosineAnnealingLR": {"T_max": (_LONG, 200), "eta_min": (_LOWEST, 0.0)},
    "StepLR": {"step_size": (_COUNTS, 50), "gamma": (_GAMMA, 0.3)},
    "MultiStepLR": {"milestone 1": (_COUNTS, 100), "milestone 2": (_COUNTS, 150), "gamma": (_GAMMA, 0.2)},
    "ExponentialLR": {"gamma": (_SLOW, 0.985)},
    "LinearLR": {
        "start_factor": (_SHARES, 1.0),
        "end_factor": ((0.0, *_SHARES), 0.0),
        "total_iters": (_LONG, 200),
    },
    "PolynomialLR": {"total_iters": (_LONG, 200), "power": ((0.5, 1.0, 1.5, 2.0, 3.0, 5.0), 2.0)},
    "OneCycleLR": {
        "max_lr": (LRS, 0.2),
        "total_steps": (_LONG, 200),
        "pct_start": ((0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9), 0.3),
        "div_factor": ((1, 2, 5, 10, 25, 100), 25),
        "anneal_strategy": (_STRATEGY, "cos"),
        "three_phase": ((False, True), False),
    },
    "CyclicLR": {
        "base_lr": (LRS, 0.01),
        "max_lr": (LRS, 0.2),
        "step_size_up": (_COUNTS, 25),
        "mode": (("triangular", "triangular2", "exp_range"), "triangular2"),
        "gamma": ((0.95, 0.98, 0.99, 0.995, 1.0), 0.99),
    },
    "CosineAnnealingWarmRestarts": {"T_0": (_COUNTS, 50), "T_mult": ((1, 2, 3), 1), "eta_min": (_LOWEST, 0.0)},
    "ReduceLROnPlateau": {
        "mode": (("min", "max"), "min"),
        "factor": ((0.1, 0.2, 0.3, 0.5, 0.7, 0.9), 0.5),
        "patience": ((0, 1, 2, 3, 5, 10, 15, 20, 30, 50), 10),
        "threshold": ((0.0, 1e-4, 1e-3, 0.01, 0.05, 0.1), 1e-4),
        "cooldown": ((0, 5, 10, 20, 50), 0),
    },
    "LambdaLR": {"lr_lambda": (tuple(_RULES), next(iter(_RULES))), "k": (_COUNTS, 30)},
    "MultiplicativeLR": {"factor": (_SLOW, 0.97), "start": ((0, *_COUNTS), 100)},
    "ConstantLR": {"factor": (_SHARES, 0.3), "total_iters": (_COUNTS, 50)},
    "SWALR": {"swa_lr": (LRS, 0.01), "anneal_epochs": (_LONG, 200), "anneal_strategy": (_STRATEGY, "cos")},
}
# The sliders of the second scheduler, where it starts with another value than it would alone: a warm-up, for one.
PARTNERS: dict[str, dict[str, tuple]] = {
    "LinearLR": KNOBS["LinearLR"]
    | {"start_factor": (_SHARES, 0.1), "end_factor": ((0.0, *_SHARES), 1.0), "total_iters": (_COUNTS, 20)},
    "ConstantLR": KNOBS["ConstantLR"] | {"total_iters": (_COUNTS, 20)},
    "ExponentialLR": KNOBS["ExponentialLR"],
    "CosineAnnealingLR": KNOBS["CosineAnnealingLR"],
    "SWALR": KNOBS["SWALR"],
}
# How a second scheduler joins the first.
ALONE, AFTER, BEFORE, TIMES = "alone", "after a second", "before a second", "with a second"
COMPOSE = (ALONE, AFTER, BEFORE, TIMES)


def design(values: Mapping, own: Mapping[str, Part]) -> Design:
    """The design that the lab's controls describe.

    `values` are those of the controls, by their names: "scheduler", "StepLR gamma", "2nd LinearLR total_iters", …;
    `own` are the student's schedulers by their names.
    """
    main, partner = values["scheduler"], values["partner"]
    first = own[main] if main in own else _part(main, KNOBS, values, "")
    if values["compose"] == ALONE:
        return Design(values["lr"], (first,))
    second = _part(partner, PARTNERS, values, "2nd ")
    return Design(
        values["lr"],
        (second, first) if values["compose"] == AFTER else (first, second),
        None if values["compose"] == TIMES else values["milestone"],
    )


def _part(name: str, knobs: Mapping[str, Mapping], values: Mapping, prefix: str) -> Part:
    arguments = {knob: values[f"{prefix}{name} {knob}"] for knob in knobs[name]}
    if name in _ARGUMENTS:
        arguments = _ARGUMENTS[name](*arguments.values())
    return Part(name, _CLASSES[name], tuple(arguments.items()))


# Where the sliders are not the arguments: what follows from the sliders, in their order.
_ARGUMENTS: dict[str, Callable[..., dict]] = {
    "MultiStepLR": lambda first, second, gamma: {"milestones": (first, second), "gamma": gamma},
    "LambdaLR": lambda rule, k: {"lr_lambda": Rule(rule.format(k=k), partial(_RULES[rule], k))},
    "MultiplicativeLR": lambda factor, start: {
        "lr_lambda": Rule(f"{factor} if step > {start} else 1", lambda step: factor if step > start else 1)
    },
}
