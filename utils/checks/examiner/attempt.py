"""One optimizer led through something, guarded: what it did to the parameters, what else it did, and how it ended."""

import os
import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from utils.checks.examiner.cases import Rows
from utils.guard import call
from utils.internals.errors import in_short, raised_in, text_of
from utils.internals.running import Stop


class Failed(Exception):
    """The candidate breaks the contract; the text says how."""


class Skipped(Exception):
    """There is nothing to examine; the text says why."""


@dataclass
class Attempt:
    """What one optimizer did, as far as it came.

    rows         the parameters after each step
    step         the step that was begun last, from 1; 0 before the first
    kind         the class of the optimizer
    options      those of its first group, without the parameters
    effects      what it did beside moving the parameters, the first time that it did: the kind of effect → a sentence
    rebound      True if its groups came to hold other tensors than the parameters
    other_dtype  True if its state has another dtype than the parameter
    error        what ended it too early, as a sentence; empty if nothing did
    refused      True if that was raised on purpose, by a `raise` in Python
    unwritten    True if that was a bare `raise NotImplementedError`
    skipped      why there is nothing to examine; empty if there is
    ended        False if it had to be stopped
    """

    rows: Rows = field(default_factory=list)
    step: int = 0
    kind: type | None = None
    options: dict = field(default_factory=dict)
    effects: dict[str, str] = field(default_factory=dict)
    rebound: bool = False
    other_dtype: bool = False
    error: str = ""
    refused: bool = False
    unwritten: bool = False
    skipped: str = ""
    ended: bool = False


def attempt(run: Callable[[Callable, Attempt], None], make: Callable, seconds: float) -> Attempt:
    """What came of `run(make, attempt)`, which fills the attempt that it is given; never raises, and takes no longer.

    The process is left as it was; what was changed in it is in the attempt's effects, as "globals".
    """
    at = Attempt()

    def inside():
        before = _globals()
        try:
            run(make, at)
        except Stop:
            raise
        except Skipped as skipped:
            at.skipped = str(skipped)
        except Failed as failed:
            at.error = str(failed)
        except BaseException as error:
            _explain(error, at)
        after = _globals()
        changed = [name for name in before if before[name] != after[name]]
        if changed:
            at.effects["globals"] = f"It changes {' and '.join(changed)}, and that belongs to the whole process."
        at.ended = True

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tensors this small only lose by more, and by much on a busy machine
    try:
        call(inside, timeout=seconds)
    finally:
        torch.set_num_threads(threads)
    if at.ended:
        return at
    where = f"in step {at.step}" if at.step else "while it was built"
    error = f"Your optimizer was stopped {where}: all time was used up. Does its loop end?"
    # A copy, since the thread may still be writing to the other.
    rows, effects = list(at.rows), dict(at.effects)
    return replace(at, rows=rows, effects=effects, error=error, refused=False, unwritten=False, skipped="", ended=False)


def _globals() -> dict:
    """What belongs to the whole process, by its name in a sentence."""
    return {
        "torch's random state": torch.get_rng_state().numpy().tobytes(),
        "Python's random state": random.getstate(),
        "NumPy's random state": [np.asarray(part).tobytes() for part in np.random.get_state()],
        "the default dtype": torch.get_default_dtype(),
        "whether gradients are enabled": torch.is_grad_enabled(),
        "the default device": str(torch.get_default_device()),
        "the number of threads": torch.get_num_threads(),
        "which algorithms are allowed": torch.are_deterministic_algorithms_enabled(),
        "the environment": dict(os.environ),
    }


def _explain(error: BaseException, at: Attempt) -> None:
    """Note what was raised, in which line of the student's, and whether a `raise` in Python did it on purpose."""
    others = (os.path.dirname(torch.__file__), os.path.dirname(os.__file__), os.path.dirname(__file__))
    own = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(others)]
    line = f" in `{own[-1].line}`" if own and own[-1].line else ""
    text = text_of(error)
    at.error = f"{f'At step {at.step} it' if at.step else 'It'} raised `{in_short(text)}`{line}."
    at.refused = raised_in(error) is not None and isinstance(error, Exception)
    at.unwritten = at.refused and text == NotImplementedError.__name__
