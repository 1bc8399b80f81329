"""What a student wrote, run for a lab: it ends, it raises nothing, and its random numbers are always the same."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from utils.internals.errors import in_short, text_of
from utils.internals.process_state import as_it_was, random_state, set_random_state
from utils.internals.running import Stop, run_limited

SECONDS = 5.0  # for one run, which takes an optimizer of torch 2 to 20 ms
AGAIN = 1.0  # after one had to be stopped: a slider that is dragged asks many times a second


@dataclass(frozen=True)
class Ran:
    """What came of a run.

    value    what it returned, or None
    error    why it returned nothing, as half a sentence, or ""
    random   whether it drew numbers from one of the global generators
    stopped  whether it had to be stopped
    """

    value: object = None
    error: str = ""
    random: bool = False
    stopped: bool = False


class Guarded:
    """Runs what one student wrote, for at most SECONDS at a time; after it had to be stopped AGAIN, until it ends.

    With `endless` it has all the time that it takes. One that could not even be stopped runs on beside the rest; it is
    not run again.
    """

    def __init__(self, *, endless: bool = False):
        self._endless = endless
        self._was_stopped = False
        self._numbers: dict = {}
        self._lost = ""

    def run(self, work: Callable[[], object], *, seed: int | None = 0) -> Ran:
        """What came of `work()`; the process is left as it was, what is printed disappears.

        The global random generators begin at `seed`; with None they go on from where the last run here left them.
        """
        if self._lost:
            return Ran(error=self._lost, stopped=True)
        box = {}

        def inside():
            if seed is None and self._numbers:
                set_random_state(self._numbers)
            else:
                torch.manual_seed(seed or 0)
                random.seed(seed or 0)
                np.random.seed(seed or 0)
            before = _seen(random_state())
            try:
                box["value"] = work()
            except Stop:
                raise
            except BaseException as error:
                box["error"] = in_short(text_of(error))
            self._numbers = random_state()
            box["random"] = _seen(self._numbers) != before

        seconds = math.inf if self._endless else AGAIN if self._was_stopped else SECONDS
        with as_it_was():
            in_time, stopped = run_limited(inside, seconds)
        self._was_stopped = not in_time
        if not in_time:
            error = f"stopped after {seconds:g} s, for it is too slow or its loop does not end"
            self._lost = "" if stopped else "it could not be stopped and still runs: restart the kernel"
            return Ran(error=self._lost or error, stopped=True)
        return Ran(**box)


def _seen(state: dict) -> tuple:
    """A random state in a form that can be compared."""
    return state["torch"].numpy().tobytes(), state["numpy"], state["python"]
