"""How far a student is: what the lessons ask for, and what of it is done."""

import json
import re
from pathlib import Path

import pytest

from tools.notebooks import has_tag
from tools.notebooks import lessons as notebooks
from utils.progress import Journal
from utils.progress.lessons import lessons
from utils.progress.standing import closing_line, overview, standings

TITLE = (
    "# 01 · Concepts\n\n**Minutes:** 75 to 90, and 30 for the exercises. **Builds on:** nothing.\n\n- say |x|,\n- stop."
)


def cell(source, *tags):
    kind = "code" if tags else "markdown"
    return {"cell_type": kind, "id": "c", "metadata": {"tags": list(tags)} if tags else {}, "source": source}


def write(path, *cells):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"cells": list(cells)}), encoding="utf-8")


@pytest.fixture
def root(tmp_path):
    write(
        tmp_path / "notebooks/01-concepts.ipynb",
        cell(TITLE),
        *(cell(f'predict(\n    "{name}", "Which?")', "predict") for name in ("a", "b", "c")),
        cell("### Exercise 1: by hand\nWrite it."),
        cell("checks.check_hand(by_hand)", "exercise-check"),
        cell("<details>the solution</details>"),
        cell("## 5. Exercise: resume"),
        cell("checks.check_resume(resume)", "exercise-check"),
        *(cell(f'quiz("{name}", "Which?")', "quiz") for name in ("q", "r", "s")),
        cell("## 6. Bug clinic: nothing moves"),
        cell("checks.check_moves(by_hand)", "clinic-check"),
    )
    title = ["# 02a · Momentum\n", "\n", "**Minutes:** 10. **Builds on:** 01."]
    write(tmp_path / "notebooks/02a-momentum.ipynb", cell(title), cell('predict("d", "How?")', "predict"))
    (tmp_path / "my-work").mkdir()
    return tmp_path


@pytest.fixture
def journal(root):
    return Journal(root / "my-work", lesson="01")


def table(shown):
    """The rows of a table in Markdown."""
    rows = [line for line in shown._repr_markdown_().splitlines() if line.startswith("|")]
    return [[part.strip() for part in re.split(r"(?<!\\)\|", row.strip("|"))] for row in rows[:1] + rows[2:]]


def test_before_anything_is_done_the_map_says_what_each_lesson_is_for(root):
    shown = table(overview(Journal(root / "notebooks")))
    assert shown == [
        ["notebook", "minutes, with exercises", "you will"],
        ["[01 · Concepts](01-concepts.ipynb)", "105–120", r"say \|x\|"],
        ["[02a · Momentum](02a-momentum.ipynb)", "10", ""],
        ["together", "115–130", ""],
    ]


def test_then_it_says_what_is_done_and_left_and_of_the_others_what_they_are_for(journal):
    assert [row[1:] for row in table(overview(journal))[:2]] == [
        ["minutes, with exercises", "you will"], ["105–120", r"say \|x\|"],
    ]  # fmt: skip
    journal.add("answers", name="d")
    assert [row[1:] for row in table(overview(journal))] == [
        ["minutes left", "done, or what you will do"],
        ["105–120", r"say \|x\|"],
        ["none", "predictions 1 of 1"],
        ["105–120", ""],
    ]
    for name in ("a", "a", "b", "of another workshop"):
        journal.add("answers", name=name)
    journal.note("exercises", "check_resume")
    doing = "predictions 2 of 3, exercises 1 of 2, bug clinics 0 of 1"
    assert table(overview(journal))[1][1:] == ["40–45", doing]
    journal.note("goals", "κ = 10", of=3)
    journal.add("answers", name="c")
    journal.note("exercises", "check_hand")
    done = "predictions 3 of 3, exercises 2 of 2, bug clinics 0 of 1, lab goals 1 of 3"
    assert [row[1:] for row in table(overview(journal))[1:]] == [
        ["none", done], ["none", "predictions 1 of 1"], ["none", ""],
    ]  # fmt: skip


def test_many_minutes_are_hours(root):
    write(root / "notebooks/03-long.ipynb", cell("# 03 · Long\n\n**Minutes:** 90 to 175. **Builds on:** 02a."))
    assert table(overview(Journal(root / "notebooks")))[-1] == ["together", "3–5 hours", ""]


def test_exercises_without_minutes_of_their_own_are_a_part_of_the_lesson(journal):
    last = journal.lessons_folder / "02a-momentum.ipynb"
    asked = [cell(f"checks.check_{name}(x)", "exercise-check") for name in ("x", "y", "z")]
    write(last, cell("# 02a\n\n**Minutes:** 40. **Builds on:** 01."), cell('predict("d", "How?")', "predict"), *asked)
    journal.note("exercises", "check_x")
    assert standings(journal)[1].minutes == (30, 30)


def test_the_line_at_the_end_of_a_lesson(journal):
    clinics = "Bug clinics passed: 0 of 1."
    assert closing_line(journal, set()) == f"Exercises passed: 0 of 2, still open: by hand; resume. {clinics}"
    journal.note("exercises", "check_hand")
    journal.note("goals", "κ = 10", of=3)
    goals = "Lab goals reached: 1 of 3."
    assert closing_line(journal, set()) == f"Exercises passed: 1 of 2, still open: resume. {clinics} {goals}"
    journal.note("exercises", "check_resume")
    assert closing_line(journal, set()) == f"Exercises passed: 2 of 2. {clinics} {goals}"


def test_a_clinic_is_no_exercise_and_the_first_answer_to_a_quick_question_counts(journal):
    journal.note("exercises", "check_moves")
    assert [(each.passed, each.clinics) for each in standings(journal)] == [(0, 1), (0, 0)]
    for name, answers in {"q": ("right",), "r": ("wrong", "right"), "of another": ("right",)}.items():
        for late, answer in enumerate(answers):
            journal.add("answers", name=name, answer=answer, after_result=bool(late))
            journal.add("results", name=name, measured="right")
    assert closing_line(journal, set()).endswith("passed: 1 of 1. Quick questions: right at the first answer 1 of 2.")
    assert "quick questions right at first 1 of 2" in str(standings(journal)[0])


def test_a_wrong_answer_alone_is_something_done(journal):
    journal.add("answers", name="q", answer="wrong", after_result=False)
    assert str(standings(journal)[0]).endswith("quick questions right at first 0 of 1")


def test_a_lesson_is_known_by_its_number_or_by_what_it_asked(root):
    journal = Journal(root / "my-work", lesson="")
    assert closing_line(journal, {"b"}).startswith("Exercises passed: 0 of 2")
    assert closing_line(journal, {"d"}) == closing_line(journal, {"no question"}) == ""


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"cells": 3}', b'{"cells": []}', b'{"cells": [{}]}'])
def test_a_damaged_lesson_and_a_dated_copy_are_left_out(root, content):
    (root / "notebooks/02b-torn.ipynb").write_bytes(content)
    write(root / "notebooks/01-concepts.2026-03-01.ipynb", cell(TITLE))
    assert [each.number for each in lessons(root / "notebooks")] == ["01", "02a"]


def test_without_the_workshop_beside_them_the_copies_tell_what_is_to_do(root):
    (root / "notebooks").rename(root / "elsewhere")
    write(root / "my-work/01-concepts.ipynb", cell(TITLE))
    assert [each.lesson.number for each in standings(Journal(root / "my-work"))] == ["01"]


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_of_the_real_lessons_everything_is_found(path):
    lesson = next(each for each in lessons(path.parent) if each.file == path.name)
    cells = json.loads(Path(path).read_bytes())["cells"]
    asks = [each for each in cells if has_tag(each, "predict") and each["cell_type"] == "code"]
    judges = [each for each in cells if has_tag(each, "exercise-check")]
    quick, clinics = ([each for each in cells if has_tag(each, tag)] for tag in ("quiz", "clinic-check"))
    assert len(asks) == len(lesson.questions) > 0 and len(judges) == len(lesson.exercises)
    assert len(quick) == len(lesson.quizzes) and len(clinics) == len(lesson.clinics)
    assert lesson.aim and all(lesson.minutes) and all(lesson.exercises.values())
