"""How far an optimizer steps: one that is written as text gets gradients that we choose; a table shows its steps."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from IPython.display import Markdown
from tabulate import tabulate
from torch import optim

from utils.probes import push


def pushed(text: str, gradients: Iterable[float], start: float = 0.0) -> np.ndarray:
    """`push()` for an optimizer written as in code, with `w` for its parameters: `pushed("SGD(w, lr=0.1)", [1, 2])`.

    Returns shape (gradients,): how far each step moves the parameter, positive against a positive gradient.
    """
    return push(lambda w: eval(f"optim.{text}", {"optim": optim, "w": w}), gradients, start)


def in_steps(moves: Mapping[str, Sequence[float]], *steps: int) -> Markdown:
    """A table of some steps, the first is 1: a row for each label, with the lengths that `push()` returned for it."""
    rows = [[f"`{label}`", *(f"{lengths[k - 1]:.3g}" for k in steps)] for label, lengths in moves.items()]
    return Markdown(tabulate(rows, headers=["step", *map(str, steps)], tablefmt="github", disable_numparse=True))
