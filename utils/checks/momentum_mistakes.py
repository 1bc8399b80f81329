"""Known mistakes in momentum, by the parts of the rule that each replaces.

Where two lead along the same path, the one that stands first is named.
"""

from utils.checks.update_rules import step_of_momentum
from utils.guard import Mistake


def _weight(o: dict) -> float:
    """The weight of a new gradient."""
    return 1 - o.get("dampening", 0)


def _dampened_whole(old, g, o):
    return _weight(o) * (o["momentum"] * old + g)


def _averaged(old, g, o):
    return o["momentum"] * old + (1 - o["momentum"]) * g


def _with_lr(old, g, o):
    return o["momentum"] * old + _weight(o) * o["lr"] * g


def _twice(g, o):
    return o["momentum"] * g + _weight(o) * g


_NO_ELSE = (
    "The first gradient counts twice: the buffer starts as g and is then updated with g as well. Is an `else` missing?"
)
_AVERAGE = "Your buffer is a running average with the weight 1 - momentum: torch adds the gradient with weight 1."
_NOT_THE_OLD = "`dampening` scales the new gradient only, not the old buffer."
OF_MOMENTUM = (
    Mistake(
        "dampened start",
        {"first": lambda g, o: _weight(o) * g},
        "You dampen the first gradient too, as a buffer that starts at zero does: torch starts the buffer with the "
        "whole gradient.",
    ),
    Mistake(
        "no dampening",
        {"following": lambda old, g, o: o["momentum"] * old + g},
        "`dampening` is not used: from the second step on the gradient counts (1 - dampening) times.",
    ),
    Mistake("no else", {"first": _twice}, _NO_ELSE),
    Mistake(
        "no else, buffer forgotten",
        {"first": _twice, "following": lambda old, g, o: _twice(g, o)},
        f"Each step begins anew: what is computed is kept nowhere, so the next step does not find it. {_NO_ELSE}",
    ),
    Mistake("average", {"first": lambda g, o: (1 - o["momentum"]) * g, "following": _averaged}, _AVERAGE),
    Mistake(
        "no look-ahead",
        {"step": lambda g, old, new, o: o["lr"] * new},
        "The look-ahead of Nesterov is missing: with `nesterov` the step follows gradient + momentum × buffer, the "
        "buffer updated before.",
    ),
    Mistake(
        "no buffer",
        {"step": lambda g, old, new, o: o["lr"] * g},
        "No buffer is kept: each step follows its own gradient.",
    ),
    Mistake(
        "buffer forgotten",
        {"following": lambda old, g, o: _weight(o) * g},
        "The buffer is forgotten at each step: is it still there the next time, outside the loop's body?",
    ),
    Mistake("average from the second step on", {"following": _averaged}, _AVERAGE),
    Mistake("old buffer dampened", {"following": lambda old, g, o: o["momentum"] * _weight(o) * old + g}, _NOT_THE_OLD),
    Mistake("both dampened", {"following": _dampened_whole}, _NOT_THE_OLD),
    Mistake(
        "both dampened from the first step on",
        {"first": lambda g, o: _weight(o) * g, "following": _dampened_whole},
        _NOT_THE_OLD,
    ),
    Mistake(
        "dampening for its complement",
        {"following": lambda old, g, o: o["momentum"] * old + o.get("dampening", 0) * g},
        "The new gradient counts 1 - dampening times, not dampening times.",
    ),
    Mistake(
        "lr in the buffer",
        {
            "first": lambda g, o: o["lr"] * g,
            "following": _with_lr,
            "step": lambda g, old, new, o: o["lr"] * g + o["momentum"] * new if o.get("nesterov") else new,
        },
        "`lr` is inside your buffer, so old steps keep their old lr: torch multiplies the whole buffer by today's lr.",
    ),
    Mistake(
        "lr twice",
        {"first": lambda g, o: o["lr"] * g, "following": _with_lr},
        "`lr` is in it twice: once inside the buffer and once in the step.",
    ),
    Mistake(
        "no lr",
        {"step": lambda g, old, new, o: new},
        "The whole buffer is subtracted: where does `lr` come in?",
    ),
    Mistake(
        "always Nesterov",
        {"step": lambda g, old, new, o: o["lr"] * (g + o["momentum"] * new)},
        "Your step is Nesterov's even where `nesterov` is False.",
    ),
    Mistake(
        "buffer added to itself",
        {"step": lambda g, old, new, o: step_of_momentum(new, old, new, o)},
        "Your Nesterov step adds the buffer to itself: it is the gradient plus momentum × buffer.",
    ),
    Mistake(
        "Nesterov exchanged",
        {"step": lambda g, old, new, o: o["lr"] * (new + o["momentum"] * g if o.get("nesterov") else new)},
        "Nesterov's roles are exchanged: gradient + momentum × buffer.",
    ),
    Mistake(
        "step along the old buffer",
        {"step": lambda g, old, new, o: o["lr"] * old},
        "You step along the buffer from before this gradient: update the buffer first.",
    ),
)
