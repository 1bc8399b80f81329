"""The guard: nothing that comes in does harm, and a sentence comes out."""

import os
import random
import re
import signal
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from utils.checks import check_gradient_descent, check_largest_stable_lr, check_resume
from utils.guard import HELP, NotYet, Verdict, Wrong, call, check, has_placeholder
from utils.internals import running
from utils.verdicts import shortened

CHECKS = [check_gradient_descent, check_largest_stable_lr, check_resume]


@pytest.fixture(autouse=True)
def not_strict(monkeypatch):
    monkeypatch.delenv("WORKSHOP_STRICT", raising=False)


# --- verdicts -------------------------------------------------------------------------------------------------------

PASSED = Verdict(True, "well done")
FAILED = Verdict(False, "`x < 1` & more\nlook again")
NOT_YET = Verdict(False, "Not yet: replace it.", untouched=True)


def test_a_verdict_is_true_if_passed_and_its_state_is_in_its_text():
    assert PASSED and not FAILED and not NOT_YET
    assert [str(v)[0] for v in (PASSED, FAILED, NOT_YET)] == ["✓", "✗", "○"]
    assert repr(FAILED) == str(FAILED) == "✗ Not quite: `x < 1` & more\nlook again"
    with pytest.raises(AttributeError):
        PASSED.passed = False


def test_the_html_is_escaped_keeps_lines_and_shows_code():
    html = FAILED._repr_html_()
    assert "<code>x &lt; 1</code> &amp; more<br>look again" in html and "✗ Not quite:" in html
    assert "<script>" not in Verdict(False, "<script>`</code><b>`")._repr_html_()


def test_the_first_failure_is_told_alone_and_the_others_on_demand():
    verdict = Verdict(False, "`a` first", others=("b < c", "`d`"), help="Look below.")
    more = "2 more things are wrong: `print(*_.others)` lists them."
    assert str(verdict).splitlines() == ["✗ Not quite: `a` first", more, "Look below."]
    folded = "<details><summary>2 more things are wrong</summary><ul><li>b &lt; c</li><li><code>d</code></li></ul>"
    assert folded in verdict._repr_html_()
    assert "1 more thing is wrong" in str(Verdict(False, "a", others=("b",)))


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("verdict", [PASSED, FAILED, NOT_YET], ids=["passed", "failed", "not yet"])
@pytest.mark.parametrize("page", ["#ffffff", "#111111"], ids=["light", "dark"])
def test_marks_stand_out_in_both_themes_and_the_text_has_the_themes_colour(verdict, page):
    html = verdict._repr_html_()
    (colour,) = set(re.findall("#[0-9a-f]{6}", html))
    dark, light = sorted([luminance(colour), luminance(page)])
    assert (light + 0.05) / (dark + 0.05) >= 3
    text = html.split("</strong>")[1]
    assert "color" not in text and "background" not in html


# --- the decorator --------------------------------------------------------------------------------------------------


@check
def check_is_two(candidate):
    """Judge `two()`."""
    if call(candidate).answer() != 2:
        raise Wrong("not `2`")
    return "it is 2"


def test_the_hints_are_proposed_from_the_second_failure_in_a_row_on():
    @check
    def judge(candidate):
        if candidate is ...:
            raise NotYet("not yet")
        if candidate != 2:
            raise Wrong("not `2`", ["nor even"])
        return "it is 2"

    verdicts = [judge(answer) for answer in (1, ..., 1, ..., 2, 1, 1)]
    assert [verdict.help == HELP for verdict in verdicts] == [False, False, True, False, False, False, True]
    assert verdicts[2].others == ("nor even",) and verdicts[2].message == "not `2`"


def stub(): ...  # fmt: skip


def stub_returns():
    return ...


def stub_raises():
    raise NotImplementedError


def stub_uses():
    x = ...
    return x + 1


@pytest.mark.parametrize("candidate", [..., stub, stub_returns, stub_raises, stub_uses])
@pytest.mark.parametrize("judge", [check_is_two, *CHECKS])
def test_a_stub_is_not_yet_and_no_mistake(judge, candidate):
    def with_arguments(*args):
        return candidate(*args[:0])

    # The stubs of the exercises take arguments; their source is what tells them.
    with_arguments.__wrapped__ = candidate
    verdict = judge(candidate if candidate is ... or judge is check_is_two else with_arguments)
    assert not verdict and verdict.untouched
    assert re.fullmatch(r"Not yet: replace the `\.\.\.` in .+ and run the cell again\.", verdict.message)


def test_an_ellipsis_that_indexes_is_no_placeholder():
    def indexing(x) -> tuple[int, ...]:
        return x[..., 0] + x[0, ...]

    def started(x):
        y = x[..., 0]
        ...
        return y

    assert not has_placeholder(indexing) and has_placeholder(started)
    assert not has_placeholder(len) and not has_placeholder(None)


def test_a_stub_that_is_right_all_the_same_passes():
    def two():
        ...  # forgotten, harmless
        return 2

    assert check_is_two(two)


def test_strict_turns_what_is_not_passed_into_an_assertion(monkeypatch):
    monkeypatch.setenv("WORKSHOP_STRICT", "1")
    assert check_is_two(lambda: 2)
    with pytest.raises(AssertionError, match=r"^not `2`$"):
        check_is_two(lambda: 3)
    with pytest.raises(AssertionError, match="Not yet"):
        check_is_two(stub_returns)
    monkeypatch.setenv("WORKSHOP_STRICT", "0")
    assert not check_is_two(lambda: 3)


def test_a_check_that_fails_itself_gives_a_verdict():
    @check
    def broken(candidate):
        return candidate.nothing

    verdict = broken(3)
    assert not verdict and not verdict.untouched and "could not read" in verdict.message


# --- the guard ------------------------------------------------------------------------------------------------------


def loops():
    while True:
        pass


def loops_and_catches():
    while True:
        try:
            torch.ones(2) + 1
        except Exception:
            pass


def refuses_to_stop():
    end = time.thread_time() + 1.5  # else it would slow down all tests after this one
    while time.thread_time() < end:
        try:
            while time.thread_time() < end:
                pass
        except BaseException:
            pass
    return 2


def loops_and_continues():
    while True:
        try:
            sum(range(100))
        except:  # noqa: E722 - as students do
            continue


def sleeps():
    time.sleep(8)


def prints():
    print("noise")
    print("noise", file=sys.stderr)
    warnings.warn("noise", stacklevel=1)
    return 2


def exits():
    sys.exit(3)


def interrupts():
    raise KeyboardInterrupt


def recurses():
    return recurses()


def divides():
    x = 0
    return 1 / x


class Mute(Exception):
    def __str__(self):
        raise ValueError


def raises_mutely():
    raise Mute


class Odd:
    def __getattr__(self, name):
        raise ValueError(name)

    def __call__(self, *args):
        return self

    def __eq__(self, other):
        raise ValueError

    __hash__ = None


HOSTILE = {
    "loop": (loops, "still running after 0.3 seconds"),
    "loop that catches": (loops_and_catches, "still running after 0.3 seconds"),
    "loop that refuses": (refuses_to_stop, "still running after 0.3 seconds"),
    "sleep": (sleeps, "could not be stopped"),
    "exit": (exits, r"raised `SystemExit: 3` in line \d+: `sys.exit\(3\)`"),
    "interrupt": (interrupts, r"raised `KeyboardInterrupt` in line \d+: `raise KeyboardInterrupt`"),
    "recursion": (recurses, r"raised `RecursionError: .*` in line \d+: `return recurses\(\)`"),
    "error": (divides, r"raised `ZeroDivisionError: division by zero` in line \d+: `return 1 / x`"),
    "error without text": (raises_mutely, r"raised `Mute` in line \d+"),
    "needs an argument": (lambda x: x, "raised `TypeError: .*missing 1 required positional argument"),
    "None": (None, "no function but None"),
    "a number": (3, "no function but an object of type `int`"),
    "a result": (torch.zeros(2), "no function but an object of type `Tensor`"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_happens_is_told_in_a_sentence(name, capsys):
    function, message = HOSTILE[name]
    outcome = call(function, timeout=0.3)
    assert outcome.value is None and not outcome.untouched and re.search(message, outcome.problem)
    with pytest.raises(Wrong):
        outcome.answer()
    assert capsys.readouterr() == ("", "")


def assert_threads_at_most(number):
    for _ in range(100):  # a thread past its last line may still be in the list for a moment
        if threading.active_count() <= number:
            return
        time.sleep(0.01)
    raise AssertionError(f"still running: {threading.enumerate()}")


@pytest.mark.parametrize("function", [loops, loops_and_catches, loops_and_continues])
def test_an_endless_loop_is_really_stopped(monkeypatch, function):
    monkeypatch.setattr(running, "GRACE", 20)  # beside other tests the throws come rarely
    before = threading.active_count()
    assert "could not" not in call(function, timeout=0.1).problem
    assert_threads_at_most(before)


def test_what_an_answer_prints_is_shown_with_the_verdict_and_only_there(capsys, recwarn):
    @check
    def judge(candidate):
        call(candidate).answer()
        return call(candidate).answer() and "so it is"

    verdict = judge(prints)
    assert str(verdict) == "✓ Passed: so it is\nIt printed:\nnoise"  # in the first call alone
    assert "<pre>noise</pre>" in verdict._repr_html_()
    assert str(judge(lambda: 2)) == "✓ Passed: so it is"
    assert capsys.readouterr() == ("", "")


def test_what_the_call_printed_that_failed_is_shown_and_no_other():
    @check
    def judge(candidate):
        for n in (1, 2, 3):
            if call(candidate, n).answer(may_be_none=True) != n:
                call(candidate, 1)  # to find the mistake that explains it
                raise Wrong("no")

    def half(n):
        print("called with", n)
        return n if n < 2 else None

    assert judge(half).printed == "called with 2"
    assert judge(lambda n: half(1) if n == 1 else 0).printed == ""
    assert check(lambda candidate: call(candidate, 1) and call(candidate, 2) and 1 / 0)(half).printed == "called with 1"


def test_much_that_is_printed_is_shortened_and_no_reason_to_call_an_answer_endless():
    def chatty():
        for k in range(100_000):
            print(f"<{k}>")
        print("x" * 1000)
        raise ValueError("at last")

    verdict = check(lambda candidate: call(candidate).answer())(chatty)
    assert "raised `ValueError: at last`" in verdict.message
    assert verdict.printed.startswith("<0>\n<1>\n") and verdict.printed.endswith("<9>\n… and 99991 more lines")
    assert "&lt;9&gt;" in verdict._repr_html_()
    assert shortened("x" * 1000) == "x" * 200 + " …"


def test_what_is_printed_is_swallowed(capsys, recwarn):
    assert call(prints).answer() == 2
    assert capsys.readouterr() == ("", "") and len(recwarn) == 0


def test_global_state_is_as_it_was():
    def spoils():
        torch.manual_seed(1)
        random.seed(1)
        np.random.seed(1)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        warnings.simplefilter("error")
        sys.setrecursionlimit(5000)
        sys.stdout = sys.stderr = None
        return 2

    def state():
        return (
            torch.get_rng_state().tolist(),
            random.getstate(),
            np.random.get_state()[1].tolist(),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            list(warnings.filters),
            sys.getrecursionlimit(),
            sys.stdout,
            sys.stderr,
        )

    torch.manual_seed(7), random.seed(7), np.random.seed(7)
    before = state()
    assert call(spoils).answer() == 2
    assert state() == before

    def spoils_and_hangs():
        spoils()
        loops()

    call(spoils_and_hangs, timeout=0.2)
    assert state() == before


def test_arguments_changed_in_place_are_named():
    def adds(first, second, *, unused=None):
        second += 1
        return first

    tensor = torch.ones(2)
    outcome = call(adds, torch.ones(2), tensor)
    assert "changed `second` in place" in outcome.changed and outcome.problem is None
    with pytest.raises(Wrong, match="`second`"):
        outcome.answer()
    assert torch.equal(outcome.answer(may_change=True), torch.ones(2))

    nested = {"state": [torch.tensor([float("nan"), 1.0])], "lr": 0.1}
    assert call(lambda d: d["lr"], nested).changed is None
    assert "`d`" in call(lambda d: d["state"][0].add_(1) is d, nested).changed
    assert "`d`" in call(lambda d: d.pop("lr"), nested).changed


def test_none_is_a_value_but_no_answer():
    outcome = call(lambda: None)
    assert outcome.value is None and outcome.problem is None
    with pytest.raises(Wrong, match="returned None"):
        outcome.answer()
    with pytest.raises(NotYet):
        call(stub_returns).answer()


def test_not_implemented_by_torch_is_an_error_and_no_stub():
    outcome = call(lambda: nn.Module()(1))
    assert not outcome.untouched and "NotImplementedError" in outcome.problem

    def complex_max(x):
        return x.max()  # C code raises here, and leaves no frame of its own

    outcome = call(complex_max, torch.ones(2, dtype=torch.complex64))
    assert not outcome.untouched and outcome.problem.endswith("C code raises here, and leaves no frame of its own`")


def test_only_a_bare_not_implemented_error_is_a_stub():
    def explains():
        raise NotImplementedError("only for two parameters")

    assert call(stub_raises).untouched
    outcome = call(explains)
    assert not outcome.untouched and "only for two parameters" in outcome.problem


def test_a_hint_is_added_where_its_pattern_is_in_the_whole_error_or_its_line():
    def raises():
        text = ["first", "second"]
        raise ValueError("\n".join(text))

    outcome = call(raises)
    assert "second" not in outcome.problem
    for pattern, found in (("second", True), ("raise ValueError", True), ("^.*first", True), ("^.*second", False)):
        with pytest.raises(Wrong) as wrong:
            outcome.answer(hints=[("elsewhere", "no"), (pattern, "a hint"), ("", "the rest")])
        assert str(wrong.value).split("\n")[1:] == ["a hint" if found else "the rest"]
    with pytest.raises(Wrong) as wrong:  # no error, no hint
        call(lambda: None).answer(hints=[("", "a hint")])
    assert "hint" not in str(wrong.value)


@pytest.mark.skipif(os.name == "nt", reason="a signal is sent another way there")
def test_the_users_own_interrupt_gets_through_and_stops_the_thread():
    before, stdout = threading.active_count(), sys.stdout
    # As in a kernel. A shell that starts the tests in the background has them ignore this signal.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            call(loops, timeout=20)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, handler)
    assert_threads_at_most(before)
    assert sys.stdout is stdout


def hostile_answers():
    """What a student's function may give back or do, for a function of any arguments."""
    returns = [None, 3, "text", [], [1.0], {}, (1, 2), float("nan"), -1.0, 0, True, 1j, object(), Odd(), np.ones(3)]
    returns += [
        torch.zeros(0),
        torch.full((7, 2), float("nan")),
        torch.zeros(7, 2, dtype=torch.long),
        torch.tensor(1 + 2j),
    ]
    returns += [torch.zeros(7, 2), torch.rand(3, 3, 3), nn.Linear(1, 1), (nn.Linear(1, 1), None), (None, None)]
    return [None, 3, Odd(), len, dict, *(lambda *args, value=value: value for value in returns)]


@pytest.mark.parametrize("judge", CHECKS)
@pytest.mark.parametrize("index", range(len(hostile_answers())))
def test_hostile_answers_get_a_verdict_and_change_nothing(judge, index, capsys):
    candidate = hostile_answers()[index]
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with torch.no_grad():  # as a student may have left it
        verdict = judge(candidate)
        assert not torch.is_grad_enabled()
    assert not verdict and not verdict.untouched and len(verdict.message) > 20
    assert isinstance(verdict._repr_html_(), str)
    assert torch.equal(before, torch.get_rng_state()) and capsys.readouterr() == ("", "")


@pytest.mark.parametrize("function", [loops_and_catches, sleeps, exits, interrupts], ids=lambda f: f.__name__)
def test_a_check_ends_whatever_the_answer_does(function):
    verdict = check_gradient_descent(lambda *args: function())
    assert not verdict and not verdict.untouched


def test_an_abandoned_thread_does_not_keep_the_process_alive():
    before = set(threading.enumerate())
    call(time.sleep, 20, timeout=0.05)
    abandoned = set(threading.enumerate()) - before
    assert len(abandoned) == 1 and all(thread.daemon for thread in abandoned)
