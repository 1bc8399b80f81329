"""A question: which ones can be asked, what an answer is, and which answer is right."""

import numpy as np
import pytest

from utils.predictions.question import ELSEWHERE, Question, label

ONE = Question("lr", "Which?", ("0.02", "0.18"))
SEVERAL = Question("which", "Which?", ("a", "b", "c"), "several")
NUMBER = Question("steps", "How many?", (), "number", "steps", 2.0)
ORDER = Question("order", "In which order?", ("a", "b", "c"), "order")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "Which?", ("a", "b")), "needs a name"),
        (("lr", " ", ("a", "b")), "asks nothing"),
        (("lr", "Which?", ("a",)), "two choices or more"),
        (("lr", "Which?", ("a", "b", "a")), "offers a twice"),
        (("lr", "Which?", ("a", "b"), "many"), "of the kind 'many'; there are one, several"),
        (("lr", "How many?", ("1", "2"), "number"), "has no choices"),
        (("lr", "How many?", (), "number", "", 1.0), "a factor above 1"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Question(*arguments)


def test_a_choice_is_its_shortest_text():
    assert [label(each) for each in (0.1 + 0.2, 10, np.float64(0.18), np.float32(0.02), "a", True)] == [
        *("0.3", "10", "0.18", "0.02", "a", "True")
    ]


@pytest.mark.parametrize(
    ("question", "given", "answer"),
    [
        (ONE, 0.18, "0.18"),
        (ONE, np.float64(0.18), "0.18"),
        (ONE, {0.02: False, 0.18: np.bool_(True)}, "0.18"),
        (SEVERAL, ["c", "a"], ["a", "c"]),
        (SEVERAL, {"a": True, "b": False, "c": True}, ["a", "c"]),
        (SEVERAL, (), []),
        (NUMBER, np.int64(36), 36.0),
        (NUMBER, "1e-3", 0.001),
        (ORDER, ["c", "a", "b"], ["c", "a", "b"]),
    ],
)
def test_an_answer_is_text_or_a_number(question, given, answer):
    assert question.answer(given) == answer
    assert question.holds(answer)


@pytest.mark.parametrize(
    ("question", "given", "message"),
    [
        (ONE, 0.195, "offers 0.02, 0.18, and 0.195 is none of them: add it"),
        (ONE, {0.02: True, 0.18: True}, "one answer .* holds, not 2"),
        (ONE, {0.02: False}, "one answer .* holds, not 0"),
        (ONE, {0.02: True, 0.19: False}, None),
        (SEVERAL, "a", "takes a list of choices"),
        (SEVERAL, ["a", "a"], "each choice once"),
        (NUMBER, 0, "a number above zero"),
        (NUMBER, float("nan"), "a number above zero"),
        (NUMBER, float("inf"), "a number above zero"),
        (NUMBER, None, "a number above zero"),
        (ORDER, ["a", "b"], "each choice once"),
        (ORDER, ["a", "b", "b"], "each choice once"),
    ],
)
def test_what_is_no_answer_is_refused(question, given, message):
    if message is None:  # a choice that does not hold need not be offered
        assert question.answer(given)
        return
    with pytest.raises(ValueError, match=message):
        question.answer(given)
    assert not question.holds(given)


@pytest.mark.parametrize(
    ("question", "answer", "measured", "mistakes"),
    [
        (ONE, "0.18", "0.18", []),
        (ONE, "0.02", "0.18", ["0.02"]),
        (SEVERAL, ["a", "b"], ["a", "b"], []),
        (SEVERAL, ["a", "b"], ["b", "c"], ["a", "c"]),
        (NUMBER, 50.0, 100.0, []),
        (NUMBER, 200.0, 100.0, []),
        (NUMBER, 49.0, 100.0, ["too low"]),
        (NUMBER, 201.0, 100.0, ["too high"]),
        (ORDER, ["a", "b", "c"], ["a", "b", "c"], []),
        (ORDER, ["b", "a", "c"], ["a", "b", "c"], ["b", "a"]),
    ],
)
def test_an_answer_is_right_or_its_mistakes_have_names(question, answer, measured, mistakes):
    assert question.mistakes(answer, measured) == mistakes
    assert question.is_right(answer, measured) == (not mistakes)


def test_every_mistake_has_a_sentence():
    assert ONE.sentences({0.02: "It is safe."}, "0.18") == {"0.02": "It is safe."}
    assert ONE.sentences({0.02: "It is safe."}, "0.02") == {"0.02": "It is safe.", "0.18": ELSEWHERE}  # other seeds
    assert ORDER.sentences("Count.", ["a", "b", "c"]) == {"a": "Count.", "b": "Count.", "c": "Count."}
    for question, why, measured, message in [
        (ONE, {}, "0.18", "no sentence why 0.02 is tempting"),
        (ONE, {0.02: " "}, "0.18", "no sentence why 0.02"),
        (ONE, {0.02: "It is safe.", 0.03: "No."}, "0.18", "has no answer 0.03"),
        (NUMBER, {"too low": "It is slow."}, 3.0, "no sentence why too high"),
        (SEVERAL, {"a": "Yes.", "b": "No."}, ["a"], "no sentence why c"),
    ]:
        with pytest.raises(ValueError, match=message):
            question.sentences(why, measured)


def test_a_number_is_written_out_and_rounded_to_three_digits():
    calls = Question("calls", "How many calls?", kind="number", unit="calls")
    assert [calls.shown(number) for number in (2802.0, 36.0, 0.0123456)] == ["2800 calls", "36 calls", "0.0123 calls"]
