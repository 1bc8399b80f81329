"""Run what a student wrote: Mistake, the decorator `check`, and `call`.

`call` runs what a student wrote, whatever that is, and leaves the process as it was.
"""

import ast
import functools
import inspect
import io
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch

from utils import progress
from utils.internals.cells import changed_since_it_ran, gone_from_its_cell, older_than_its_cell
from utils.internals.errors import in_short, raised_in, text_of
from utils.internals.process_state import as_it_was
from utils.internals.running import Stop, run_limited
from utils.internals.snapshots import same, snapshot
from utils.verdicts import NotYet, Verdict, Wrong, shortened

__all__ = ["Mistake", "NotYet", "Outcome", "Verdict", "Wrong", "call", "check", "has_placeholder", "name_of", "not_yet"]

_printed: list[str] = []  # by the calls of the check under way, in their order
_judged: list[str] = []  # the same of those whose value was asked for
HELP = "Stuck? Open “Hint 1” below this cell: there are three, and then the solution."


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


@dataclass(frozen=True)
class Outcome:
    """What a guarded call came to: a value, or the sentence that says why there is none.

    problem      why the call gave no value, or None
    untouched    True if the function is still the stub
    changed      sentence that names the arguments changed in place, or None
    error        type and whole text of what the function raised, or None
    printed      what it printed
    """

    value: object = None
    problem: str | None = None
    untouched: bool = False
    changed: str | None = None
    error: str | None = None
    printed: str = ""

    def answer(
        self, *, may_change: bool = False, may_be_none: bool = False, hints: Iterable[tuple[str, str]] = ()
    ) -> object:
        """The value, for use in a check: raises Wrong or NotYet with the sentence if there is none to judge.

        `hints` are pairs (pattern, hint): added is the first whose pattern is in the error or in its line of code.
        """
        _judged.append(self.printed)
        if self.untouched:
            raise NotYet(self.problem)
        if self.problem:
            seen = f"{self.error}\n{self.problem}" if self.error else ""
            raise Wrong("\n".join([self.problem, *[hint for pattern, hint in hints if re.search(pattern, seen)][:1]]))
        if self.value is None and not may_be_none:
            raise Wrong("Your function returned None: is its `return` missing?")
        if self.changed and not may_change:
            raise Wrong(self.changed)
        return self.value


def call(function: Callable, *args, timeout: float = 3.0) -> Outcome:
    """Call `function(*args)` in a thread of its own; never raises because of what the function does.

    Warnings are swallowed; what is printed is shown by the check. Random states, the default dtype, warning filters and
    sys.stdout are put back. After `timeout` seconds in which it computes or sleeps (see `internals.running.Clock`) the
    thread is stopped, or abandoned where it waits in C code. Only the user's own KeyboardInterrupt gets through.
    """
    if function is ...:
        return Outcome(problem=not_yet("your answer"), untouched=True)
    if not callable(function):
        return Outcome(
            problem=f"This is no function but {_kind(function)}: hand over the function itself, without calling it."
        )
    before, box = snapshot(args), {}

    def run():
        try:
            box["value"] = function(*args)
        except Stop:
            raise
        except BaseException as error:
            # Described here, not in the caller: str(error) is the student's code too.
            box["error"] = text_of(error)
            box["stub"] = _is_stub(error, function, box["error"])
            box["problem"] = _describe(error, function, box["error"])

    with as_it_was():
        sys.stdout = io.StringIO()
        in_time, stopped = run_limited(run, timeout)
        printed = sys.stdout.getvalue() if isinstance(sys.stdout, io.StringIO) else ""
    _printed.append(printed)
    outcome = functools.partial(Outcome, printed=printed)
    if not in_time:
        left = "" if stopped else " It could not be stopped: restart the kernel before you go on."
        return outcome(problem=f"Your function was still running after {timeout:g} seconds: does its loop end?{left}")
    if box.get("stub") or box.get("value") is ...:
        return outcome(problem=not_yet(name_of(function)), untouched=True)
    if "problem" in box:
        return outcome(problem=box["problem"], error=box["error"])
    return outcome(value=box.get("value"), changed=_changes(function, before, args))


def check(judge: Callable[[object], str], *, help: str = HELP) -> Callable[[object], Verdict]:
    """Turn `judge`, which raises Wrong or returns its praise, into a check, which returns a Verdict and never raises.

    From the second failure in a row on, the verdict says where to find `help`.
    With WORKSHOP_STRICT=1 in the environment a check that is not passed raises AssertionError.
    """
    failures = 0

    @functools.wraps(judge)
    def checked(candidate) -> Verdict:
        nonlocal failures
        _printed.clear(), _judged.clear()
        try:
            if name := older_than_its_cell(candidate):
                raise Wrong(
                    f"This is the `{name}` of an earlier run: the cell that should define it ended in an error before "
                    "it did. Run that cell until it ends without one, then check again."
                )
            if name := changed_since_it_ran(candidate):
                raise NotYet(f"The cell of `{name}` has changed since you ran it: run that cell, then check again.")
            if name := gone_from_its_cell(candidate):
                raise NotYet(f"No cell defines `{name}` any more. Write it again, run its cell, then check again.")
            with torch.enable_grad():
                verdict = Verdict(True, judge(candidate))
            progress.mine.note("exercises", checked.__name__, said=verdict.message)
            verdict = replace(verdict, help=progress.mine.tell())  # if it could not be stored
        except NotYet as stub:
            verdict = Verdict(False, str(stub), untouched=True)
        except Wrong as wrong:
            begun = not has_placeholder(candidate)
            verdict = Verdict(False, str(wrong), others=wrong.others)
            if not begun:
                verdict = Verdict(False, not_yet(name_of(candidate)), untouched=True)
        except Exception as error:  # an answer stranger than any that the judge foresaw
            verdict = Verdict(False, f"The check could not read this answer: `{type(error).__name__}: {error}`.")
        failures = 0 if verdict else failures + (not verdict.untouched)
        # By the call that failed. What passed, or gave no value to judge, shows the first that printed.
        printed = next(filter(None, _printed), "") if verdict or not _judged else _judged[-1]
        verdict = replace(verdict, printed=shortened(printed))
        if failures > 1 and not verdict.untouched:
            verdict = replace(verdict, help=help)
        if not verdict and os.environ.get("WORKSHOP_STRICT") == "1":
            raise AssertionError(verdict.message)
        return verdict

    checked.__annotations__["return"] = Verdict
    return checked


def not_yet(where: str) -> str:
    """What a check says of an exercise that is not begun; `where` names the function or variable."""
    return f"Not yet: replace the `...` in {where} and run the cell again."


def name_of(function) -> str:
    """How a message calls what a student handed over."""
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
    code = raised_in(error)
    return code is not None and code.co_filename == _file(function)


def _file(function) -> str | None:
    return _attribute(_attribute(function, "__code__"), "co_filename")


def _attribute(thing, name: str):
    try:
        return getattr(thing, name, None)
    except Exception:  # whatever the student handed over may have a __getattr__ of its own
        return None


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
