"""Quick questions: the first answer counts, each gets its sentence, and the score is that of the first answers."""

import json
import re

import pytest

from utils.predictions import page as pages
from utils.predictions import quizzes
from utils.predictions.page import Page
from utils.predictions.quizzes import Quiz
from utils.progress import Journal

CHOICES = {"backward()": "It *adds* to `.grad`.", "step()": "Yes, & at once."}


@pytest.fixture
def shown(monkeypatch):
    """The data and the metadata of everything that was displayed."""
    outputs = []
    for module in (pages, quizzes):
        monkeypatch.setattr(module, "display", lambda data, metadata, raw: outputs.append((data, metadata["workshop"])))
    return outputs


@pytest.fixture
def quiz(shown, tmp_path):
    """The quiz of a student's copy, as a new kernel has it each time."""
    (tmp_path / "my-work").mkdir()

    def new() -> Quiz:
        quiz = Quiz(Page(Journal(tmp_path / "my-work")))
        quiz.ask("moves", "Which line moves `w`?", CHOICES, right="step()")
        quiz.ask("asks", "Which asks?", {"predict()": "Yes.", "seen()": "It shows."}, right="predict()")
        return quiz

    return new


def press(quiz, name, choice):
    return quiz.widgets[name].press(choice)


def test_each_choice_gets_its_sentence_and_the_first_answers_make_the_score(quiz, tmp_path):
    asked = quiz()
    wrong = press(asked, "moves", "backward()")
    assert (
        wrong.startswith("✗ It <em>adds</em> to <code>.grad</code>.") and "Right at the first answer: 0 of 1." in wrong
    )
    again = press(asked, "moves", "step()")
    assert again.startswith("✓ Yes, &amp; at once.") and "0 of 1." in again
    assert "Right at the first answer: 1 of 2." in press(asked, "asks", "predict()")
    stored = json.loads((tmp_path / "my-work" / "answers.json").read_text(encoding="utf-8"))["answers"]
    assert [(each["name"], each["answer"], each["after_result"]) for each in stored] == [
        ("moves", "backward()", False), ("moves", "step()", True), ("asks", "predict()", False),
    ]  # fmt: skip


def test_the_next_kernel_shows_the_first_answer_and_what_was_said_of_it(quiz):
    press(quiz(), "moves", "backward()")
    later = quiz()
    widget = later.widgets["moves"]
    assert widget.form.chosen == ["backward()"] and widget.form.noted.startswith("✗ It <em>adds</em>")
    assert later.widgets["asks"].form.noted == "" and "0 of 1." in later.score()


def test_without_a_kernel_each_choice_is_folded_over_its_sentence(quiz, shown):
    quiz()
    data, workshop = shown[0]
    assert data["text/markdown"].splitlines() == [
        "**Which line moves `w`?**", "",
        "<details><summary>backward()</summary>✗ It <em>adds</em> to <code>.grad</code>.</details>",
        "<details><summary>step()</summary>✓ Yes, &amp; at once.</details>",
    ]  # fmt: skip
    assert workshop["role"] == "quiz" and "application/vnd.jupyter.widget-view+json" in data


def test_nothing_is_said_before_an_answer_and_the_form_is_no_prediction(quiz):
    widget = quiz().widgets["moves"]
    assert widget.form.button == "That is my answer" and widget.form.noted == ""
    assert "Predict" not in widget.children[0].value and "Which line moves <code>w</code>?" in widget.children[0].value


@pytest.mark.parametrize(
    ("choices", "right", "message"),
    [(CHOICES, "zero_grad()", "none of them"), ({**CHOICES, "step()": " "}, "step()", "no sentence for step()")],
)
def test_a_question_without_its_answer_or_a_sentence_is_refused(shown, tmp_path, choices, right, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Quiz(Page(Journal(tmp_path))).ask("moves", "Which?", choices, right=right)
