"""Run what a student wrote: Verdict, Mistake, the decorator `check`, and `call`.

`call` runs what a student wrote, whatever that is, and leaves the process as it was.
"""

import ast
import contextlib
import ctypes
import dis
import functools
import html
import inspect
import io
import os
import random
import re
import sys
import textwrap
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch

from utils._torch_internals import hooks_on_all_optimizers

GRACE = 0.6  # seconds between the time limit and giving a thread up


@dataclass(frozen=True)
class Verdict:
    """What a check found: true if passed. `untouched` tells an exercise not yet begun from a mistake.

    The message may hold `code` in backticks and line breaks.
    """

    passed: bool
    message: str
    untouched: bool = False

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        return f"{self._look()[0]} {self.message}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        # Words keep the theme's own colour; that of the bar has a contrast of 3 and more on white and on black.
        mark, colour = self._look()
        text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(self.message)).replace("\n", "<br>")
        box = f"border-left: 6px solid {colour}; padding: 0.3em 0.8em"
        return f'<div style="{box}"><strong>{mark}</strong> {text}</div>'

    def _look(self) -> tuple[str, str]:
        if self.passed:
            return "✓ Passed:", "#00875f"
        return ("○", "#4a7fb5") if self.untouched else ("✗ Not quite:", "#d55e00")


@dataclass(frozen=True, eq=False)
class Mistake:
    """A known mistake. A check names it only where it explains all that an answer did.

    name      what it is called; the key by which it is looked up
    does      what it changes, as functions: one alone, or a dict with the parts of a rule that it replaces
    message   what to say of it to the student
    """

    name: str
    does: object
    message: str


class Wrong(Exception):
    """A check has found a mistake; its text is the message of the verdict."""


class NotYet(Exception):
    """The student has not started; its text is the message of the verdict."""


class Stop(BaseException):
    """Thrown into a thread that takes too long: `except Exception` does not catch it."""


@dataclass(frozen=True)
class Outcome:
    """What a guarded call came to: a value, or the sentence that says why there is none.

    problem      why the call gave no value, or None
    untouched    True if the function is still the stub
    changed      sentence that names the arguments changed in place, or None
    error        type and whole text of what the function raised, or None
    """

    value: object = None
    problem: str | None = None
    untouched: bool = False
    changed: str | None = None
    error: str | None = None

    def answer(self, *, may_change: bool = False, hints: Iterable[tuple[str, str]] = ()) -> object:
        """The value, for use in a check: raises Wrong or NotYet with the sentence if there is none to judge.

        `hints` are pairs (pattern, hint): added is the first whose pattern is in the error or in its line of code.
        """
        if self.untouched:
            raise NotYet(self.problem)
        if self.problem:
            seen = f"{self.error}\n{self.problem}" if self.error else ""
            raise Wrong("\n".join([self.problem, *[hint for pattern, hint in hints if re.search(pattern, seen)][:1]]))
        if self.value is None:
            raise Wrong("Your function returned None: is its `return` missing?")
        if self.changed and not may_change:
            raise Wrong(self.changed)
        return self.value


def call(function: Callable, *args, timeout: float = 3.0) -> Outcome:
    """Call `function(*args)` in a thread of its own; never raises because of what the function does.

    Prints and warnings are swallowed. Random states, the default dtype, warning filters and sys.stdout are put back.
    After `timeout` seconds the thread is stopped, or abandoned where it waits in C code. Only the user's own
    KeyboardInterrupt gets through.
    """
    if function is ...:
        return Outcome(problem=not_yet("your answer"), untouched=True)
    if not callable(function):
        return Outcome(
            problem=f"This is no function but {_kind(function)}: hand over the function itself, without calling it."
        )
    before = _snapshot(args)
    box = {}

    # Events, since a thread whose join() is interrupted counts as dead ever after, even if it runs on.
    ended, quiet = threading.Event(), threading.Event()

    def run():
        try:
            box["value"] = function(*args)
        except Stop:
            pass
        except BaseException as error:
            # Described here, not in the caller: str(error) is the student's code too.
            box["error"] = text_of(error)
            box["stub"] = _is_stub(error, function, box["error"])
            box["problem"] = _describe(error, function, box["error"])
        ended.set()

    def run_and_leave():
        # A throw may come late, even while an earlier one is handled: hence the layers, and no end before all is quiet.
        with contextlib.suppress(Stop), contextlib.suppress(Stop):
            with contextlib.suppress(Stop), contextlib.suppress(Stop):
                run()
            ended.set()
            quiet.wait(2 * GRACE)

    thread = threading.Thread(target=run_and_leave, daemon=True)
    with as_it_was():
        thread.start()
        try:
            in_time = _wait(ended, timeout)
        finally:  # also when the user interrupts
            stopped = _stop(thread, ended)
            quiet.set()
    if not in_time:
        left = "" if stopped else " It could not be stopped: restart the kernel before you go on."
        return Outcome(problem=f"Your function was still running after {timeout:g} seconds: does its loop end?{left}")
    if box.get("stub") or box.get("value") is ...:
        return Outcome(problem=not_yet(name_of(function)), untouched=True)
    if "problem" in box:
        return Outcome(problem=box["problem"], error=box["error"])
    return Outcome(value=box.get("value"), changed=_changes(function, before, args))


def check(judge: Callable[[object], str]) -> Callable[[object], Verdict]:
    """Turn `judge`, which raises Wrong or returns its praise, into a check, which returns a Verdict and never raises.

    With WORKSHOP_STRICT=1 in the environment a check that is not passed raises AssertionError.
    """

    @functools.wraps(judge)
    def checked(candidate) -> Verdict:
        try:
            with torch.enable_grad():
                verdict = Verdict(True, judge(candidate))
        except NotYet as stub:
            verdict = Verdict(False, str(stub), untouched=True)
        except Wrong as wrong:
            begun = not has_placeholder(candidate)
            verdict = Verdict(False, str(wrong) if begun else not_yet(name_of(candidate)), untouched=not begun)
        except Exception as error:  # an answer stranger than any that the judge foresaw
            verdict = Verdict(False, f"The check could not read this answer: `{type(error).__name__}: {error}`.")
        if not verdict and os.environ.get("WORKSHOP_STRICT") == "1":
            raise AssertionError(verdict.message)
        return verdict

    checked.__annotations__["return"] = Verdict
    return checked


def not_yet(where: str) -> str:
    return f"Not yet: replace the `...` in {where} and run the cell again."


def name_of(function) -> str:
    name = _attribute(function, "__name__")
    return f"`{name}`" if isinstance(name, str) and name != "<lambda>" else "your function"


def has_placeholder(function) -> bool:
    """True if a `...` that is not an index is still in the source of `function`."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except Exception:  # built-in, partial, part of a line: no source, no placeholder
        return False
    indices = {id(n) for s in ast.walk(tree) if isinstance(s, ast.Subscript) for n in ast.walk(s.slice)}
    return any(isinstance(n, ast.Constant) and n.value is ... and id(n) not in indices for n in ast.walk(tree))


def _wait(ended: threading.Event, seconds: float) -> bool:
    """True if it happened in time. In slices, since Windows delivers an interrupt only between two waits."""
    end = time.monotonic() + seconds
    while not ended.is_set() and time.monotonic() < end:
        ended.wait(min(0.05, seconds))
    return ended.is_set()


def _stop(thread: threading.Thread, ended: threading.Event) -> bool:
    """Throw Stop into the thread until it ends or GRACE is over: True if it ended.

    A loop that catches everything ends when a throw hits it outside its `try`. That takes thousands of throws, so the
    threads change places as often as Python lets them: at its usual 5 ms a tight loop survived one time in three.
    """
    end, interval = time.monotonic() + GRACE, sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        while not ended.is_set() and thread.is_alive() and time.monotonic() < end:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Stop))
            time.sleep(0)  # let it run
    finally:
        sys.setswitchinterval(interval)
    return ended.is_set() or not thread.is_alive()


def random_state() -> dict:
    """The global generators of torch (each GPU's too), NumPy and Python, as numbers and tensors for a file."""
    algorithm, keys, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [algorithm, keys.tolist(), *rest],
        "python": random.getstate(),
    }


def set_random_state(state: dict) -> None:
    """Put the global generators where random_state() found them; GPUs only if there are as many as then."""
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    algorithm, keys, *rest = state["numpy"]
    np.random.set_state((algorithm, np.array(keys, dtype=np.uint32), *rest))
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))


@contextlib.contextmanager
def as_it_was():
    """What belongs to the whole process comes back as it was, whatever happens inside; what is printed disappears.

    That is: random states, torch's default dtype, gradient mode, number of threads, deterministic mode and hooks on all
    optimizers, the recursion limit, the environment, warning filters, sys.stdout and sys.stderr.
    """
    randomness, environment = random_state(), dict(os.environ)
    dtype, grad, limit = torch.get_default_dtype(), torch.is_grad_enabled(), sys.getrecursionlimit()
    threads, exact = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    hooks = [(registry, dict(registry)) for registry in hooks_on_all_optimizers()]
    stdout, stderr = sys.stdout, sys.stderr
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
            yield
    finally:
        sys.stdout, sys.stderr = stdout, stderr
        set_random_state(randomness)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        sys.setrecursionlimit(limit)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        if torch.are_deterministic_algorithms_enabled() != exact:
            torch.use_deterministic_algorithms(exact)
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        for registry, before in hooks:
            registry.clear()
            registry.update(before)


def text_of(error: BaseException) -> str:
    """Type and text, of a length that can be searched."""
    try:
        text = str(error).strip()[:2000]
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def in_short(error: str) -> str:
    return error.split("\n")[0][:220]


def _describe(error: BaseException, function, text: str) -> str:
    """Type, text and the last line of the student's own code on the way to the error."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == _file(function)]
    if not own:
        return f"Your function raised `{in_short(text)}`."
    line = own[-1].line
    return f"Your function raised `{in_short(text)}` in line {own[-1].lineno}" + (f": `{line}`" if line else ".")


def _is_stub(error: BaseException, function, text: str) -> bool:
    """True for a bare `raise NotImplementedError` in the student's own code.

    Python code of torch raises it too, and so does its C code, called from the student's line, which is no `raise`.
    """
    if not isinstance(error, NotImplementedError) or text != type(error).__name__:
        return False
    last = error.__traceback__
    while last.tb_next:
        last = last.tb_next
    code = last.tb_frame.f_code
    raised = code.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return raised and code.co_filename == _file(function)


def _file(function) -> str | None:
    return _attribute(_attribute(function, "__code__"), "co_filename")


def _attribute(thing, name: str):
    try:
        return getattr(thing, name, None)
    except Exception:  # whatever the student handed over may have a __getattr__ of its own
        return None


def _snapshot(value):
    """A copy that changes in place do not reach: tensors and arrays cloned, containers rebuilt, the rest as it is."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {key: _snapshot(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_snapshot(item) for item in value]
    return value


def same(before, now) -> bool:
    """True if `now` still holds what its snapshot `before` holds, bit for bit (nan equals nan)."""
    if isinstance(before, torch.Tensor):
        if not isinstance(now, torch.Tensor) or before.shape != now.shape or before.dtype != now.dtype:
            return False
        return bool(((before == now) | ((before != before) & (now != now))).all())
    if isinstance(before, np.ndarray):
        return isinstance(now, np.ndarray) and np.array_equal(before, now)
    if isinstance(before, dict):
        return isinstance(now, dict) and before.keys() == now.keys() and all(same(before[k], now[k]) for k in before)
    if isinstance(before, list | tuple):
        return isinstance(now, list | tuple) and len(before) == len(now) and all(map(same, before, now))
    return before is now or (isinstance(before, int | float | str) and type(now) is type(before) and before == now)


def _changes(function, before: list, args: tuple) -> str | None:
    changed = [i for i in range(len(args)) if not same(before[i], args[i])]
    if not changed:
        return None
    try:
        names = list(inspect.signature(function).bind(*args).arguments)
        shown = " and ".join(f"`{names[i]}`" for i in changed)
    except Exception:  # a signature that is unknown or catches everything
        shown = " and ".join(f"argument {i + 1}" for i in changed)
    return f"Your function changed {shown} in place, and its caller still needs that: work on a copy (`.clone()`)."


def _kind(value) -> str:
    return "None" if value is None else f"an object of type `{type(value).__name__}`"
