"""Why the first point failed: the mistake that explains it, or where to look for it."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from utils.checks.examiner.attempt import attempt
from utils.checks.examiner.cases import Rows, apart
from utils.checks.examiner.histories import IN_PLACE, OUTLIVES
from utils.checks.examiner.mistakes import Walk, diagnose
from utils.checks.examiner.report import Point
from utils.checks.examiner.walks import walk

_ERRORS = [  # the part of the examination it is looked for in, a pattern in an error, what it comes from
    (
        "",
        r"leaf [Vv]ariable that requires grad",
        "Your update is tracked by autograd: put `@torch.no_grad()` above `step`.",
    ),
    (
        "values",
        r"ZeroDivisionError",
        "Does your step counter start at 0? 1 - beta ** 0 is 0: the first step has t = 1.",
    ),
    ("", r"step\(\) takes 1 positional", "`step` takes no closure: `def step(self, closure=None)`."),
    ("", r"unexpected keyword argument 'closure'", "Its argument has another name: `def step(self, closure=None)`."),
    (
        "",
        r"[Ww]eights.only",
        "Your state holds what `torch.load` does not read: keep tensors and numbers in `self.state[p]`, no objects.",
    ),
]


def reason_of(point: Point, *, points: list[Point], makes: tuple[Callable, Callable], options: dict) -> str:
    """The mistake behind a failure, or where to look for it.

    points    all that were examined
    makes     the factories of candidate and reference
    options   those of the reference's first group, `lr` as a float
    """
    case, tried, truth = point.case, point.tried, point.truth
    if tried is None:  # a side effect, whose sentence says it all
        return ""
    hint = case.hint if case else ""
    values = [p for p in points if p.part == "values" and p.tried]
    if len(values) > 1 and _do_otherwise(values[0].tried.rows, values[1].tried.rows):
        return OUTLIVES
    if tried.rebound:
        return "You put a new tensor into the group: update the parameter in place, as with `p.add_(…)`."
    if option := _option_without_group(tried.error, options):
        return f"`{option}` is an option of the group: write `group['{option}']`."
    if tried.error:
        named = (text for part, pattern, text in _ERRORS if part in point.part and re.search(pattern, tried.error))
        return next(named, _mostly(hint) if tried.ended else "")
    if case and all(map(_stands_still, values)):
        return (
            "It does not move at all. `p = p - …`, for one, only binds a new name: update in place, with `p.add_(…)`."
        )
    if other := _other_option(point, makes[0], options["lr"]):
        return other
    if case and case.dtypes == (torch.float64,):
        walks = [Walk(p.case, p.tried.rows, p.truth.rows, p.steps) for p in [*values, point] if not p.tried.error]
        mistake = diagnose(makes[1], options, walks=walks)
        if mistake:
            return mistake.message
    if tried.other_dtype and not truth.other_dtype:
        return "Your state has another dtype than its parameter: make it with `torch.zeros_like(p)`."
    if case and case.options and _ignores_them(point, makes[1], options["lr"]):
        return hint
    if case and case.options:
        half = ", ".join(f"{key}={value}" for key, value in case.options.items())
        return f"With {half} in its group a parameter moves otherwise than by the reference: what does each option do?"
    return _mostly(hint) or "Compare that one step by hand: the state first, then the update."


def _option_without_group(error: str, options: dict) -> str:
    """The option that the error says is unknown, as a name or as an attribute; else empty."""
    found = re.search(r"name '(\w+)' is not defined|object has no attribute '(\w+)'", error)
    name = found and (found[1] or found[2])
    return name if name in options else ""


def _mostly(hint: str) -> str:
    """A hint that nothing has confirmed: other mistakes can fail this point too."""
    return f"The usual cause here: {hint}" if hint else ""


def _ignores_them(point: Point, make_reference: Callable, lr: float) -> bool:
    """Whether the candidate goes where the reference does if no group has options of its own."""
    alike = replace(point.case, options={})
    there = attempt(partial(walk, case=alike, steps=point.steps, lr=lr), make_reference, 1.0)
    return not there.error and there.ended and apart(point.tried.rows, there.rows) is None


def _do_otherwise(ours: Rows, once_more: Rows) -> bool:
    return apart(ours, once_more) is not None


def _stands_still(point: Point) -> bool:
    """Whether the candidate left all parameters where they were, in each step that it took."""
    return all(apart([row], [point.case.parameters()]) is None for row in point.tried.rows)


def _other_option(point: Point, make: Callable, lr: float) -> str:
    """A sentence on the options that differ from the reference's, if with the reference's the candidate would do."""
    ours, theirs = point.tried.options, point.truth.options
    differ = [key for key in theirs if key in ours and _exactly(ours[key]) != _exactly(theirs[key])]
    for keys in [*([key] for key in differ), differ]:
        repaired = attempt(partial(point.run, lr=lr), partial(_with, make, {k: theirs[k] for k in keys}), 1.0)
        if keys and not repaired.error and repaired.ended and apart(repaired.rows, point.truth.rows) is None:
            named = [f"`{key}` is {_shown(ours[key])}, the reference's {_shown(theirs[key])}" for key in keys]
            tensor = "lr" in keys and isinstance(ours["lr"], torch.Tensor)
            return f"Your {'; your '.join(named)}.{f' {IN_PLACE}' * tensor}"
    return ""


def _exactly(value) -> tuple:
    """Equal for two options of one kind and value."""
    is_tensor = isinstance(value, torch.Tensor)
    return is_tensor, str(value.dtype) if is_tensor else "", value.tolist() if is_tensor else value


def _shown(value) -> str:
    if not isinstance(value, torch.Tensor):
        return str(value)
    return f"the {str(value.dtype).removeprefix('torch.')} tensor {value.tolist()}"


def _with(make: Callable, options: dict, params):
    """The candidate's optimizer with other options in its groups."""
    optimizer = make(params)
    for group in (optimizer.defaults, *optimizer.param_groups):
        group.update(options)
    return optimizer
