"""A table of all schedulers, and of the parameters of each, with the curve that an example of it sets.

torch says which schedulers, parameters and defaults there are, and running them gives the curves. The only words typed
here are the descriptions and the examples; discrepancies() names each that is missing and each that has no object.
Longer than two screens by the words that describe each class.
"""

import base64
import html
import re
from fractions import Fraction

import numpy as np
from torch.optim import lr_scheduler, swa_utils
from torch.optim.lr_scheduler import LRScheduler

from utils.plots import sparkline
from utils.reference import signatures, versions
from utils.reference.signatures import NOT_DESCRIBED, check_class, described_parameters, parameters_of, public_classes
from utils.reference.table import Table
from utils.schedules import MakeScheduler, lr_curve, needs_metric

# --- the words ------------------------------------------------------------------------------------------------------

# name → (what it does to lr, after what one usually calls `step`). torch counts nothing but calls of `step`.
PURPOSES = {
    "StepLR": ("× gamma after every step_size steps", "epoch"),
    "MultiStepLR": ("× gamma at each milestone", "epoch"),
    "ExponentialLR": ("× gamma at every step", "epoch"),
    "CosineAnnealingLR": ("half a cosine from lr down to eta_min in T_max steps", "epoch or iteration"),
    "LambdaLR": ("the first lr × your function of the step", "epoch or iteration"),
    "MultiplicativeLR": ("the current lr × your function of the step", "epoch or iteration"),
    "ReduceLROnPlateau": ("× factor when a metric has stopped improving", "epoch"),
    "LinearLR": ("a straight line between two shares of lr, then level; the usual warm-up", "epoch or iteration"),
    "ConstantLR": ("a fixed share of lr for total_iters steps, then all of it", "epoch or iteration"),
    "PolynomialLR": ("falls to 0 in total_iters steps, as a power of the steps left", "epoch or iteration"),
    "CyclicLR": ("up and down between two lrs, again and again; momentum moves the other way", "iteration"),
    "OneCycleLR": ("up to max_lr and down to almost 0, once; momentum moves the other way", "iteration"),
    "CosineAnnealingWarmRestarts": ("half a cosine down, then a jump back to lr, and again", "epoch or iteration"),
    "SequentialLR": ("one scheduler after the other, changing at the milestones", "what its parts count"),
    "ChainedScheduler": ("several on one lr, one after the other at each step", "what its parts count"),
    "SWALR": ("goes to swa_lr and stays there, while weights are averaged", "epoch"),
}

SHARED = {  # what a parameter does wherever its class has no words of its own below
    "optimizer": "the optimizer whose lr it sets, the first time when it is made",
    "last_epoch": "the index of the last step done, to resume after it; −1 starts anew",
    "gamma": "the factor",
    "eta_min": "the lowest lr, itself and not a share",
    "total_iters": "the number of steps until the schedule has ended",
    "schedulers": "schedulers of one and the same optimizer, made beforehand, in order",
    "max_lr": "the highest lr, or one for each parameter group",
    "cycle_momentum": "also moves momentum (Adam's betas[0]), against lr; False for optimizers that have none",
    "base_momentum": "the lowest momentum, used where lr is highest",
    "max_momentum": "the highest momentum, used where lr is lowest; replaces the optimizer's at once",
}

OWN = {
    "StepLR": {"step_size": "the number of steps at each lr"},
    "MultiStepLR": {"milestones": "the steps before which lr is multiplied; one named twice counts twice"},
    "LambdaLR": {
        "lr_lambda": "function from the step (0, 1, 2, …) to the factor of the first lr, or one for each group"
    },
    "MultiplicativeLR": {
        "lr_lambda": "function from the step (1, 2, …) to the factor of the lr before it, or one for each group"
    },
    "ReduceLROnPlateau": {
        "optimizer": "the optimizer whose lr it lowers; making it sets nothing",
        "mode": '"min": a lower metric is better (loss); "max": a higher one (accuracy)',
        "factor": "what lr is multiplied by; below 1",
        "patience": "how many bad steps in a row are borne; the one after them lowers lr",
        "threshold": "the improvement on the best metric that counts as one",
        "threshold_mode": '"rel": threshold is a share of the best metric; "abs": a difference',
        "cooldown": "the number of steps after a reduction in which bad steps do not count",
        "min_lr": "the lowest lr, or one for each parameter group",
        "eps": "a reduction of lr by no more than this is left out",
    },
    "LinearLR": {
        "start_factor": "the share of lr at the first step; above 0",
        "end_factor": "the share of lr from step total_iters on",
    },
    "ConstantLR": {"factor": "the share of lr in the first total_iters steps"},
    "PolynomialLR": {"power": "1: a straight line; above 1: fast first, then slow"},
    "CyclicLR": {
        "base_lr": "the lowest lr, or one for each parameter group; the optimizer's own is discarded",
        "step_size_up": "the number of steps from the lowest to the highest lr",
        "step_size_down": "the number of steps back; None: as many as up",
        "mode": '"triangular": all cycles alike; "triangular2": each half as high; "exp_range": × gamma^step',
        "gamma": 'the factor of the height at each step, in mode "exp_range"',
        "scale_fn": "your function to the factor of the height; mode is then ignored",
        "scale_mode": 'what scale_fn is given: the number of the "cycle" (from 1) or of the step ("iterations")',
    },
    "OneCycleLR": {
        "max_lr": "the highest lr, or one for each parameter group; the optimizer's own lr is discarded",
        "total_steps": "the number of optimizer steps in all; None: epochs × steps_per_epoch",
        "epochs": "the number of epochs, if total_steps is None",
        "steps_per_epoch": "the number of batches in an epoch, if total_steps is None",
        "pct_start": "the share of the steps in which lr rises",
        "anneal_strategy": '"cos": along half a cosine; "linear": along a straight line',
        "div_factor": "the first lr is max_lr / div_factor",
        "final_div_factor": "the last lr is the first / final_div_factor",
        "three_phase": "True: as long down to the first lr as up, then on to the last",
    },
    "CosineAnnealingLR": {"T_max": "the number of steps down to eta_min; as many lead up again"},
    "CosineAnnealingWarmRestarts": {
        "T_0": "the number of steps in the first cycle",
        "T_mult": "how many times as long as the last each further cycle is",
    },
    "ChainedScheduler": {"optimizer": "the optimizer of all of them; None: the first one's"},
    "SequentialLR": {"milestones": "the steps at which the next scheduler takes over, one fewer than schedulers"},
    "SWALR": {
        "swa_lr": "the lr at the end, or one for each parameter group",
        "anneal_epochs": "the number of steps until swa_lr is reached",
        "anneal_strategy": '"cos": along half a cosine; "linear": along a straight line',
    },
}

# The code of each picture in the table, with names from torch.optim.lr_scheduler and an `optimizer` of lr 1.
EXAMPLES = {
    "StepLR": "StepLR(optimizer, step_size=20, gamma=0.5)",
    "MultiStepLR": "MultiStepLR(optimizer, milestones=[10, 40], gamma=0.5)",
    "ExponentialLR": "ExponentialLR(optimizer, gamma=0.95)",
    "CosineAnnealingLR": "CosineAnnealingLR(optimizer, T_max=60)",
    "LambdaLR": "LambdaLR(optimizer, lr_lambda=lambda step: 1 / (1 + step / 10))",
    "MultiplicativeLR": "MultiplicativeLR(optimizer, lr_lambda=lambda step: 0.9 if step > 30 else 1)",
    "ReduceLROnPlateau": "ReduceLROnPlateau(optimizer, factor=0.5, patience=10)",
    "LinearLR": "LinearLR(optimizer, start_factor=0.1, total_iters=20)",
    "ConstantLR": "ConstantLR(optimizer, factor=0.4, total_iters=20)",
    "PolynomialLR": "PolynomialLR(optimizer, total_iters=60, power=2)",
    "CyclicLR": 'CyclicLR(optimizer, base_lr=0.1, max_lr=1, step_size_up=10, mode="triangular2")',
    "OneCycleLR": "OneCycleLR(optimizer, max_lr=1, total_steps=60)",
    "CosineAnnealingWarmRestarts": "CosineAnnealingWarmRestarts(optimizer, T_0=12, T_mult=2)",
    "SequentialLR": "SequentialLR(optimizer, [LinearLR(optimizer, 0.1, total_iters=15), "
    "CosineAnnealingLR(optimizer, 45)], milestones=[15])",
    "ChainedScheduler": "ChainedScheduler([LinearLR(optimizer, 0.1, total_iters=15), ExponentialLR(optimizer, 0.96)])",
    "SWALR": "SWALR(optimizer, swa_lr=0.3, anneal_epochs=30)",
}
STEPS = 60
METRICS = [1 / (1 + k) if k < 15 else 1 / 15 for k in range(STEPS)]  # a loss that falls and then rests


# --- what torch says ------------------------------------------------------------------------------------------------


def scheduler_classes() -> dict[str, type[LRScheduler]]:
    """Every scheduler class of torch (SWALR too): those we describe first and in our order, then the others."""
    return public_classes(vars(lr_scheduler) | vars(swa_utils), LRScheduler, order=PURPOSES)


def discrepancies(classes: dict[str, type[LRScheduler]] | None = None) -> list[str]:
    """A sentence for each class or parameter without a description, and for each description without an object."""
    classes = scheduler_classes() if classes is None else classes
    needed = {"purpose": PURPOSES, "example": EXAMPLES}
    unread = "no scheduler shows these words"
    return signatures.discrepancies(classes, shared=SHARED, own=OWN, needed=needed, where="torch", unread=unread)


def example(name: str) -> MakeScheduler:
    """The factory of an example: `lr_curve(example("StepLR"), STEPS)`."""
    names = scheduler_classes() | {"__builtins__": {}}
    return eval(f"lambda optimizer: {EXAMPLES[name]}", names)  # so that the code shown is the code run


def scheduler_parameters(scheduler_class: type[LRScheduler]) -> Table:
    """The parameters of a scheduler class of torch, in order: default, and what each does.

    Raises TypeError for what is no scheduler class.
    """
    check_class(
        scheduler_class, LRScheduler, kind="a scheduler", function="scheduler_parameters", example="lr_scheduler.StepLR"
    )
    rows = []
    for parameter, words in described_parameters(scheduler_class, shared=SHARED, own=OWN):
        default = "required" if parameter.default is parameter.empty else f"`{_short(parameter.default)}`"
        rows.append((f"`{parameter.name}`", default, words))
    note = versions.note(versions.changes_of("scheduler", scheduler_class))
    return Table(("parameter", "default", "what it does"), tuple(rows), note=note)


def _short(default) -> str:
    """A default as one would write it: 1/3, not 0.3333333333333333."""
    text = repr(default)
    if isinstance(default, float) and len(text) > 12:
        fraction = Fraction(default).limit_denominator(100)
        return str(fraction) if float(fraction) == default else text
    return text


# --- the table ------------------------------------------------------------------------------------------------------


class IllustratedTable(Table):
    """A table with pictures in its cells; as plain text it shows their alt texts."""

    def __repr__(self) -> str:
        rows = tuple(
            tuple(html.unescape(re.sub(r'<img alt="([^"]*)".*?>', r"\1", c)) for c in row) for row in self.rows
        )
        return repr(Table(self.headers, rows, note=self.note))


def scheduler_table() -> Table:
    """Every scheduler of torch: what it does, its parameters, when to call `step`, and the lr curve of its example."""
    rows = []
    for name, made in scheduler_classes().items():
        purpose, after = PURPOSES.get(name, (NOT_DESCRIBED, ""))
        after += ", with the metric" if needs_metric(made) else ""
        shown = []
        for p in parameters_of(made).values():
            if p.default is not p.empty:
                shown.append(f"`{p.name}={_short(p.default)}`")
            elif p.name != "optimizer":
                shown.append(f"`{p.name}`")
        picture = _thumbnail(name) if name in EXAMPLES else "(no example)"
        rows.append((f"`{name}`", purpose, ", ".join(shown), after, picture))
    last = f"lr in {STEPS} steps".replace(" ", "\N{NO-BREAK SPACE}")  # keeps the column wide where styles are stripped
    headers = ("scheduler", "lr", "parameters after `optimizer`", "call `step` after each", last)
    note = versions.note(versions.differences("scheduler", scheduler_classes()))
    return IllustratedTable(headers, tuple(rows), note=note)


def _in_words(curve: np.ndarray) -> str:
    """The course of a curve in words: "falls from 1 to 0.25"."""
    moves = np.diff(curve)
    moves = np.sign(np.where(abs(moves) > 1e-9 * abs(curve).max(), moves, 0))  # rounding is no turn
    turns = int((np.diff(moves[moves != 0]) != 0).sum())
    first, last = f"{curve[0]:.3g}", f"{curve[-1]:.3g}"
    if not moves.any():
        return f"stays at {first}"
    if turns == 0:
        return f"{'falls' if curve[-1] < curve[0] else 'rises'} from {first} to {last}"
    times = "once" if turns == 1 else f"{turns} times"
    return f"goes from {first} to {last}, turns {times}, between {curve.min():.3g} and {curve.max():.3g}"


def _thumbnail(name: str) -> str:
    """An <img> of the example's lr curve, 120 by 36 CSS pixels, above a grey line at lr 0; words where it has none."""
    try:
        curve = lr_curve(example(name), STEPS, metrics=METRICS)
    except Exception as error:  # another torch, which lacks an argument or a scheduler of the example
        return f"(no curve: {type(error).__name__})"
    alt = html.escape(f"{EXAMPLES[name]}: lr {_in_words(curve)}")
    data = base64.b64encode(sparkline(curve)).decode()
    size = 'width="120" height="36" style="min-width: 120px"'  # a table would squeeze it
    return f'<img alt="{alt}" title="{alt}" {size} src="data:image/png;base64,{data}">'
