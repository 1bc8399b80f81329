"""What a notebook shows: the question, the answer beside what was measured, the table at the end."""

import json

import pytest

from utils.predictions import page as pages
from utils.predictions.page import Page
from utils.progress import Journal

LRS = [0.02, 0.18, 0.195]
WHY = {0.02: "It is safe, and slow.", 0.195: "It goes further, and swings."}


@pytest.fixture
def shown(monkeypatch):
    """The data and the role of everything that was displayed."""
    outputs = []
    monkeypatch.setattr(
        pages, "display", lambda data, metadata, raw: outputs.append((data, metadata["workshop"]["role"]))
    )
    return outputs


@pytest.fixture
def students(tmp_path):
    (tmp_path / "my-work").mkdir()
    return tmp_path / "my-work"


def ask(page):
    page.predict("edge-lr", "Which lr ends lowest?", LRS)
    return page.widgets["edge-lr"]


def press(widget, *chosen):
    return widget.press(*chosen)


def text(shown):
    """What was shown last, a result without the marks of a quotation."""
    return "\n".join(line.removeprefix(">").strip() for line in shown[-1][0]["text/markdown"].splitlines())


def stored(folder, kind="answers"):
    return json.loads((folder / "answers.json").read_text(encoding="utf-8"))[kind]


def test_the_question_is_a_widget_and_a_text(shown, tmp_path):
    ask(Page(Journal(tmp_path)))
    data, role = shown[0]
    assert role == "question" and "application/vnd.jupyter.widget-view+json" in data
    assert data["text/markdown"] == "**Predict:** Which lr ends lowest?\n\n- 0.02\n- 0.18\n- 0.195"
    assert data["text/plain"] == pages.NO_KERNEL


def test_a_live_deck_shows_the_text_also_after_all_cells_have_run(tmp_path, monkeypatch):
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    from tools.deck.live_page import live_page

    outputs = []
    monkeypatch.setattr(
        pages,
        "display",
        lambda data, metadata, raw: outputs.append(new_output("display_data", data, metadata=metadata)),
    )
    ask(Page(Journal(tmp_path)))
    cell = new_code_cell("predict(…)", id="asks", metadata={"tags": ["predict"]}, outputs=outputs)
    deck = {"title": "", "style": "", "script": "", "links": "", "live": {}}
    page = live_page(new_notebook(cells=[cell]), tmp_path, deck)
    assert "predict(…)" not in page and "Which lr ends lowest?" in page
    assert 'data-role="question"' in page and 'data-prediction="edge-lr"' in page
    assert 'class="deck-output deck-widget"' not in page


def test_an_answer_stands_beside_what_was_measured(shown, students):
    page = Page(Journal(students, lesson="01"))
    assert press(ask(page), "0.195") == "Noted: 0.195."
    (entry,) = stored(students)
    assert entry.pop("time") and entry == {
        **{"lesson": "01", "name": "edge-lr", "question": "Which lr ends lowest?"},
        **{"answer": "0.195", "shown": "0.195", "after_result": False},
    }
    page.seen("edge-lr", 0.18, WHY)
    assert text(shown) == "✗ **You: 0.195. Measured: 0.18.** It goes further, and swings."
    assert [stored(students, "results")[0][key] for key in ("measured", "shown")] == ["0.18", "0.18"]


def test_a_right_answer_is_praised(shown, students):
    page = Page(Journal(students))
    press(ask(page), "0.18")
    page.seen("edge-lr", 0.18, WHY)
    assert text(shown) == "✓ **You: 0.18. Measured: 0.18.** You were right."


def test_the_last_answer_before_the_result_counts_and_one_after_it_is_kept_as_a_second(shown, students):
    page = Page(Journal(students))
    widget = ask(page)
    press(widget, "0.02")
    press(widget, "0.195")
    page.seen("edge-lr", 0.18, WHY)
    assert "still counts" in press(widget, "0.18")
    page.seen("edge-lr", 0.18, WHY)
    assert text(shown).startswith("✗ **You: 0.195.")
    assert [(each["answer"], each["after_result"]) for each in stored(students)] == [
        *(("0.02", False), ("0.195", False), ("0.18", True))
    ]
    assert len(stored(students, "results")) == 1


def test_whoever_answers_only_after_the_result_is_told_so(shown, students):
    page = Page(Journal(students))
    widget = ask(page)
    page.seen("edge-lr", 0.18, WHY)
    assert press(widget, "0.18").endswith("You had seen the result, so this one does not count.")
    page.seen("edge-lr", 0.18, WHY)
    assert text(shown).startswith("✓ **You: 0.18 (after the result).")


def test_another_kernel_finds_the_answer_and_knows_that_the_result_was_seen(shown, students):
    first = Page(Journal(students))
    press(ask(first), "0.195")
    first.seen("edge-lr", 0.18, WHY)
    second = Page(Journal(students))
    widget = ask(second)
    assert widget.form.chosen == ["0.195"] and "0.195" in widget.form.noted
    assert "still counts" in press(widget, "0.18")
    second.seen("edge-lr", 0.18, WHY)
    assert text(shown).startswith("✗ **You: 0.195.")


def test_without_a_prediction_it_is_said_once_and_nothing_blocks(shown, students):
    page = Page(Journal(students))
    ask(page)
    page.predict("other", "How many?", unit="steps")
    page.seen("edge-lr", 0.18, WHY)
    assert text(shown) == f"**Measured: 0.18.** {pages.tell.SKIPPED}"
    page.seen("other", 36, "Count.")
    assert text(shown) == "**Measured: 36 steps.**"


def test_in_the_originals_every_wrong_choice_is_answered_and_nothing_is_written(shown, tmp_path):
    page = Page(Journal(tmp_path))
    ask(page)
    page.seen("edge-lr", 0.18, WHY)
    assert text(shown) == (
        "**Measured: 0.18.**\n\n- *0.02:* It is safe, and slow.\n- *0.195:* It goes further, and swings."
    )
    press(page.widgets["edge-lr"], "0.02")  # an instructor may answer there all the same
    assert list(tmp_path.iterdir()) == []


def test_what_is_measured_must_be_offered_but_a_student_may_change_the_experiment(shown, tmp_path, students):
    page = Page(Journal(tmp_path))
    ask(page)
    with pytest.raises(ValueError, match=r"0\.3 is none of them: add it to the choices"):
        page.seen("edge-lr", 0.3, WHY)
    own = Page(Journal(students))
    ask(own)
    own.seen("edge-lr", 0.3, WHY)
    assert text(shown) == f"**Measured: 0.3.** {pages.tell.CHANGED}"


def test_a_result_without_its_question_says_what_to_run(shown, students, tmp_path):
    Page(Journal(students)).seen("edge-lr", {0.18: True, 0.02: False}, WHY)
    assert text(shown) == f"**Measured: 0.18.** {pages.tell.NOT_ASKED}"
    Page(Journal(tmp_path)).seen("edge-lr", 0.18, WHY)
    assert text(shown) == "**Measured: 0.18.**"


def test_whoever_saw_a_result_before_its_question_has_seen_it(shown, students):
    page = Page(Journal(students))
    page.seen("edge-lr", 0.18, WHY)
    page.seen("edge-lr", 0.18, WHY)
    assert "does not count" in press(ask(page), "0.18")
    page.seen("edge-lr", 0.18, WHY)
    assert text(shown).startswith("✓ **You: 0.18 (after the result).")
    assert [each["measured"] for each in stored(students, "results")] == [None, "0.18"]


def test_a_result_of_other_choices_of_an_earlier_lesson_has_told_nothing(shown, students):
    earlier = Page(Journal(students))
    earlier.predict("edge-lr", "Which lr ends lowest?", ["tiny", "huge"])
    earlier.seen("edge-lr", "huge", {"tiny": "It is safe."})
    now = Page(Journal(students))
    press(ask(now), "0.195")
    now.seen("edge-lr", 0.18, WHY)
    assert text(shown).startswith("✗ **You: 0.195. Measured")


def test_a_name_asks_one_thing(shown, tmp_path):
    page = Page(Journal(tmp_path))
    ask(page)
    ask(page)  # the same cell again
    with pytest.raises(ValueError, match="'edge-lr' already asks: Which lr ends lowest"):
        page.predict("edge-lr", "Which lr diverges?", LRS)


def test_several_a_number_and_an_order_are_answered_too(shown, students):
    page = Page(Journal(students))
    page.predict("which", "Which ones?", ["a", "b", "c"], kind="several")
    page.predict("steps", "How many?", unit="steps", within=2)
    page.predict("order", "Fastest first?", ["a", "b", "c"], kind="order")
    which, steps, order = page.widgets.values()
    assert press(which, "a", "b") == "Noted: a; b."
    assert press(steps, " 1,5e2 steps ") == "Noted: 150 steps."
    assert press(order, "b", "a", "c") == "Noted: b → a → c."
    page.seen("which", ["b", "c"], {"a": "Not a.", "b": "b.", "c": "Also c."})
    assert text(shown) == "✗ **You: a; b. Measured: b; c.**\n\n- *a:* Not a.\n- *c:* Also c."
    page.seen("steps", 301, {"too low": "It creeps.", "too high": "It runs."})
    assert text(shown) == "✗ **You: 150 steps. Measured: 301 steps.** It creeps."
    page.seen("order", ["a", "b", "c"], "Count the steps.")
    assert text(shown) == "✗ **You: b → a → c. Measured: a → b → c.** Count the steps."
    again = Page(Journal(students))
    again.predict("which", "Which ones?", ["a", "b", "c"], kind="several")
    again.predict("steps", "How many?", unit="steps", within=2)
    again.predict("order", "Fastest first?", ["a", "b", "c"], kind="order")
    which, steps, order = again.widgets.values()
    assert which.form.chosen == ["a", "b"] and steps.form.chosen == ["150"]
    assert order.form.chosen == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("choices", "kind", "chosen", "said"),
    [
        (["a", "b"], "one", [], "Choose one first."),
        (["a", "b"], "several", [], "Tick at least one first."),
        (["a", "b"], "order", ["a", ""], "Give each of them one place."),
        (["a", "b"], "order", ["a", "a"], "Give each of them one place."),
        *(
            (None, "number", [typed], "Type a number above zero, such as 40 or 0.1.")
            for typed in ("", "many", "-3", "0")
        ),
    ],
)
def test_half_an_answer_is_not_kept(shown, students, choices, kind, chosen, said):
    page = Page(Journal(students))
    page.predict("name", "What?", choices, kind=kind)
    assert press(page.widgets["name"], *chosen) == said
    assert not (students / "answers.json").exists()


def test_an_answer_that_the_lesson_no_longer_offers_is_not_chosen(shown, students):
    press(ask(Page(Journal(students))), "0.195")
    page = Page(Journal(students))
    page.predict("edge-lr", "Which lr ends lowest?", [0.02, 0.18, 0.21])
    assert page.widgets["edge-lr"].form.chosen == []


def test_the_table_at_the_end(shown, students, tmp_path):
    page = Page(Journal(students))
    page.predictions()
    assert text(shown) == "Nothing was asked yet."
    press(ask(page), "0.18")
    for name in ("second", "third"):
        page.predict(name, f"The {name}?", ["a", "b"])
    press(page.widgets["second"], "a")
    page.seen("edge-lr", 0.18, WHY)
    page.seen("second", "b", {"a": "No."})
    page.predictions()
    head, _, *rows = text(shown).splitlines()
    assert head == "You predicted 2 of 3 and were right in 1."
    assert [[part.strip() for part in row.strip("|").split("|")] for row in rows[2:]] == [
        ["Which lr ends lowest?", "0.18", "0.18", "✓"],
        ["The second?", "a", "b", "✗"],
        ["The third?", "–", "not yet", ""],
    ]
    original = Page(Journal(tmp_path))
    original.predictions()
    assert text(shown) == "Nothing was asked yet."
    ask(original)
    original.seen("edge-lr", 0.18, WHY)
    original.predictions()
    assert text(shown).splitlines()[2].split("|")[1:3] == [" Which lr ends lowest? ", " 0.18       "]


def test_the_table_says_what_else_is_done_and_what_became_of_the_file(shown, students, monkeypatch):
    monkeypatch.setattr(pages, "closing_line", lambda journal, asked: f"Exercises of {journal.lesson}, {asked}.")
    page = Page(Journal(students, lesson="01"))
    page.predictions()
    assert text(shown) == "Nothing was asked yet. Exercises of 01, set()."
    Page(Journal(students.parent)).predictions()
    assert text(shown) == "Nothing was asked yet."
    (students / "answers.json").write_text("{")
    page.journal.note("exercises", "check_resume")
    ask(page)
    page.predictions()
    head = text(shown).splitlines()[0]
    assert head.startswith(
        "You predicted 0 of 1 and were right in 0. Exercises of 01, {'edge-lr'}. my-work/answers.json"
    )


def test_the_lesson_is_read_from_the_name_of_the_session(monkeypatch, tmp_path):
    monkeypatch.setenv("JPY_SESSION_NAME", "my-work/02a-built-in-optimizers.ipynb")
    assert Journal(tmp_path).lesson == "02a"
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert Journal(tmp_path).lesson == ""
