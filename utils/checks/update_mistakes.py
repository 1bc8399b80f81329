"""Known mistakes around every update rule, and `KNOWN`: each rule with all the mistakes that can be made in it.

Where two lead along the same path, the one that stands first is named.
"""

from utils.checks.adam_mistakes import EPS_INSIDE, NO_EPS, NO_ROOT, OF_ADAM, SQUARE_OF_M
from utils.checks.momentum_mistakes import OF_MOMENTUM
from utils.checks.update_rules import (
    ADAGRAD,
    ADAM,
    ADAMW,
    MOMENTUM,
    RMSPROP,
    Rule,
    apart_from_gradient,
    coupled,
    shrinks,
)
from utils.guard import Mistake

# --- around every rule: the sign, weight decay, maximize --------------------------------------------------------------

SIGN = Mistake(
    "sign",
    {"land": lambda p, update, keep: p * keep + update},
    "It climbs where it should descend: look at the sign of the update.",
)


def _step_first(p, update, keep):
    return (p - update) * keep


_WITHOUT_LR = {"pull": apart_from_gradient, "keep": lambda o: 1 - o.get("weight_decay", 0)}
_DECAY_SWAPPED = Mistake(
    "swapped decay",
    {"pull": apart_from_gradient, "keep": shrinks},
    "Your weight decay is decoupled, it shrinks the parameter itself: torch adds weight_decay · p to the gradient.",
)
_DECAY_SWAPPED_ADAMW = Mistake(
    "swapped decay",
    {"pull": coupled, "keep": lambda o: 1},
    "Your weight decay is coupled, added to the gradient: decoupled it shrinks the parameter itself by lr · wd.",
)
_DECAY = (
    Mistake("decay without lr", _WITHOUT_LR, "Your weight decay is not multiplied by lr."),
    Mistake(
        "decay without lr, last", _WITHOUT_LR | {"land": _step_first}, "Your weight decay is not multiplied by lr."
    ),
    Mistake(
        "decay last",
        {"land": _step_first},
        "You decay the parameter after the step, which shrinks the step too: torch decays first.",
    ),
    Mistake("no decay", {"pull": apart_from_gradient, "keep": lambda o: 1}, "`weight_decay` is not used."),
)
_MAXIMIZE = Mistake(
    "maximize ignored",
    {"ascend": lambda g, o: g},
    "`maximize` is not used: with it the gradient changes its sign, before the weight decay.",
)

# --- in the loop over groups and parameters ---------------------------------------------------------------------------

LR_OF_DEFAULTS = Mistake(
    "lr of defaults",
    {"lr": lambda own, first, default: default},
    "The lr does not come from the group: `group['lr']` holds it. What is in `self.defaults` or was kept in `__init__` "
    "knows nothing of groups and schedulers.",
)
T_FROM_2 = Mistake(
    "t from 2",
    {"count": lambda own, calls, step: own + 1},
    "Your t is one too large: the first step has t = 1.",
)
_SHARED = "Your parameters share one state: each needs its own, `state = self.state[p]`."
_LOOP = (
    LR_OF_DEFAULTS,
    Mistake(
        "lr of the first group",
        {"lr": lambda own, first, default: first},
        "Every group uses the lr of the first: read `group['lr']` inside the loop over groups.",
    ),
    Mistake("shared state", {"owner": lambda i: 0, "count": lambda own, calls, step: calls}, _SHARED),
    Mistake("shared state, t per step", {"owner": lambda i: 0, "count": lambda own, calls, step: step}, _SHARED),
    Mistake(
        "shared t",
        {"count": lambda own, calls, step: calls},
        "Your parameters share one step counter, and each counts it up: keep it in `self.state[p]`.",
    ),
    Mistake(
        "t per step",
        {"count": lambda own, calls, step: step},
        "Your step counter counts calls of `step`, not the updates of each parameter: keep it in `self.state[p]`, "
        "since a parameter may join late or have no gradient.",
    ),
    Mistake(
        "t from 0",
        {"count": lambda own, calls, step: own - 1},
        "Your step counter starts at 0: count it up before you use it, so that the first step has t = 1.",
    ),
    T_FROM_2,
    Mistake(
        "None as zero",
        {"missing": lambda p: 0 * p},
        "A parameter whose gradient is None is updated as if it were zero: skip it.",
    ),
)

# --- RMSprop and Adagrad ----------------------------------------------------------------------------------------------

OF_RMSPROP = (
    EPS_INSIDE,
    NO_EPS,
    NO_ROOT,
    SQUARE_OF_M,
    Mistake(
        "swapped alpha",
        {"alpha": lambda o: 1 - o["alpha"]},
        "Your averages weigh old and new the wrong way round: the old average counts alpha times.",
    ),
    Mistake(
        "correction added",
        {"correction": lambda alpha, t: 1 - alpha**t},
        "You correct the bias of the average: torch's RMSprop does not.",
    ),
    Mistake(
        "not centered",
        {"spread": lambda v, m, o: v},
        "`centered` is not used: the square of the averaged gradient is subtracted from v.",
    ),
)
OF_ADAGRAD = (
    EPS_INSIDE,
    NO_EPS,
    NO_ROOT,
    Mistake(
        "no lr_decay",
        {"slower": lambda o, t: 1},
        "`lr_decay` is not used: the lr of step t is lr / (1 + (t - 1) · lr_decay).",
    ),
)

OF_ANY = (SIGN, *_LOOP)  # also of an optimizer whose rule is not known


def _all(own: tuple[Mistake, ...], *, swapped: Mistake = _DECAY_SWAPPED) -> tuple[Mistake, ...]:
    return (SIGN, *own, swapped, *_DECAY, _MAXIMIZE, *_LOOP)


KNOWN: tuple[tuple[Rule, tuple[Mistake, ...]], ...] = (
    (MOMENTUM, _all(OF_MOMENTUM)),
    (ADAMW, _all(OF_ADAM, swapped=_DECAY_SWAPPED_ADAMW)),
    (ADAM, _all(OF_ADAM)),
    (RMSPROP, _all(OF_RMSPROP)),
    (ADAGRAD, _all(OF_ADAGRAD)),
)
