"""Known mistakes in Adam, by the parts of the rule that each replaces; some are those of RMSprop and Adagrad as well.

Where two lead along the same path, the one that stands first is named.
"""

from utils.checks.update_rules import average, average_of_squares
from utils.guard import Mistake

# --- what divides by a root: Adam, RMSprop, Adagrad -------------------------------------------------------------------

EPS_INSIDE = Mistake(
    "eps inside",
    {"denominator": lambda v_hat, c, o: (v_hat + o["eps"]).sqrt()},
    "Your eps is inside the root: torch adds it outside, to √v.",
)
NO_EPS = Mistake(
    "no eps",
    {"denominator": lambda v_hat, c, o: v_hat.sqrt()},
    "`eps` is not used: it bounds the step where v is tiny.",
)
NO_ROOT = Mistake(
    "no root",
    {"denominator": lambda v_hat, c, o: v_hat + o["eps"]},
    "The root is missing: the step is divided by √v, not by v.",
)
_SQUARE_OF_M = "v averages the square of m: it should average the square of the gradient."
SQUARE_OF_M = Mistake("square of m", {"squared": lambda g, old, m, m_hat: m}, _SQUARE_OF_M)

# --- Adam -------------------------------------------------------------------------------------------------------------


def _one(b, t):
    return 1


def _whole_first(old, new, beta, t):
    return new if t == 1 else average(old, new, beta, t)


def _squares_whole_first(old, new, beta, t):
    return new * new if t == 1 else average_of_squares(old, new, beta, t)


def _exchanged(old, new, beta, t):
    return average(old, new, 1 - beta, t)


def _squares_exchanged(old, new, beta, t):
    return average_of_squares(old, new, 1 - beta, t)


_DIVIDE = "divide {} by 1 - betas[{}] ** t, with t = 1 in the first step."
_FROM_ZERO = "m and v start at zero in Adam; that is why there is a correction."
_ROOT_LAST = "Correct v before you take the root."
OF_ADAM = (
    Mistake(
        "no correction",
        {"c1": _one, "c2": _one},
        "You skipped both bias corrections: m and v start at zero and are too small in the first steps.",
    ),
    Mistake("no correction of m", {"c1": _one}, f"You skipped the bias correction of m: {_DIVIDE.format('m', 0)}"),
    Mistake("no correction of v", {"c2": _one}, f"You skipped the bias correction of v: {_DIVIDE.format('v', 1)}"),
    EPS_INSIDE,
    Mistake(
        "eps inside, first",
        {"denominator": lambda v_hat, c, o: ((v_hat * c + o["eps"]) / c).sqrt()},
        "Your eps is inside the root: torch adds it outside, to √v, after v was corrected.",
    ),
    Mistake(
        "eps first",
        {"denominator": lambda v_hat, c, o: ((v_hat * c).sqrt() + o["eps"]) / c**0.5},
        "Your eps is added before v is corrected: torch corrects v, takes the root, then adds eps.",
    ),
    NO_EPS,
    NO_ROOT,
    SQUARE_OF_M,
    Mistake("square of the old m", {"squared": lambda g, old, m, m_hat: old}, _SQUARE_OF_M),
    Mistake("square of the corrected m", {"squared": lambda g, old, m, m_hat: m_hat}, _SQUARE_OF_M),
    Mistake(
        "swapped betas",
        {"betas": lambda o: tuple(map(float, o["betas"]))[::-1]},
        "Your betas are swapped: betas[0] belongs to m, betas[1] to v.",
    ),
    Mistake(
        "constant correction",
        {"c1": lambda b, t: 1 - b[0], "c2": lambda b, t: 1 - b[1]},
        "You always divide by 1 - beta: the correction is 1 - beta ** t, and it fades.",
    ),
    Mistake("no amsgrad", {"top": lambda top, v, o: v}, "`amsgrad` is not used: divide by the largest v so far."),
    Mistake(
        "starts whole, no correction",
        {"m": _whole_first, "v": _squares_whole_first, "c1": _one, "c2": _one},
        _FROM_ZERO,
    ),
    Mistake("starts whole", {"m": _whole_first, "v": _squares_whole_first}, _FROM_ZERO),
    Mistake(
        "multiplied by the correction",
        {"c1": lambda b, t: 1 / (1 - b[0] ** t), "c2": lambda b, t: 1 / (1 - b[1] ** t)},
        "You multiply by the correction 1 - beta ** t. Divide by it.",
    ),
    Mistake(
        "root before the correction",
        {"denominator": lambda v_hat, c, o: (v_hat / c).sqrt() + o["eps"]},
        _ROOT_LAST,
    ),
    Mistake(
        "root and eps before the correction",
        {"denominator": lambda v_hat, c, o: ((v_hat * c).sqrt() + o["eps"]) / c},
        _ROOT_LAST,
    ),
    Mistake("default betas", {"betas": lambda o: (0.9, 0.999)}, "Use `betas`: 0.9 and 0.999 are only the defaults."),
    Mistake(
        "v corrected by the other beta",
        {"c2": lambda b, t: 1 - b[0] ** t},
        "You correct v with betas[0]: its own is betas[1].",
    ),
    Mistake(
        "m corrected by the other beta",
        {"c1": lambda b, t: 1 - b[1] ** t},
        "You correct m with betas[1]: its own is betas[0].",
    ),
    Mistake(
        "no square",
        {"v": average, "denominator": lambda v_hat, c, o: v_hat.abs().sqrt() + o["eps"]},
        "v averages g, not its square.",
    ),
    Mistake(
        "weights exchanged",
        {"m": _exchanged, "v": _squares_exchanged},
        "Weights exchanged: beta is the weight of the old average.",
    ),
    Mistake(
        "m is a sum",
        {"m": lambda old, new, beta, t: beta * old + new},
        "m adds the whole gradient: it should count (1 - betas[0]) times.",
    ),
    Mistake(
        "v is a sum",
        {"v": lambda old, new, beta, t: beta * old + new * new},
        "v adds the whole square: it should count (1 - betas[1]) times.",
    ),
    Mistake(
        "corrected ones stored",
        {"stored": lambda m, v, m_hat, v_hat: (m_hat, v_hat)},
        "You keep the corrected m and v for the next step: correct copies, the averages go on uncorrected.",
    ),
)
