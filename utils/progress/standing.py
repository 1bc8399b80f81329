"""How far a student is: in one lesson, and on the map of all of them."""

from dataclasses import dataclass

from tabulate import tabulate

from utils.progress.journal import Journal
from utils.progress.lessons import Lesson, lessons

NOTHING = "–"  # is done yet


@dataclass(frozen=True)
class Standing:
    """What is done of a lesson and what is open.

    predicted   how many of its questions are answered
    open        titles of the exercises that are not passed yet
    clinics     how many of its bug clinics are passed
    goals       how many goals of its labs are reached, and how many those labs have; (0, 0) as long as none is
    quick       how many quick questions were answered right at first, and how many were answered
    """

    lesson: Lesson
    predicted: int
    open: tuple[str, ...]
    clinics: int
    goals: tuple[int, int]
    quick: tuple[int, int]

    @property
    def passed(self) -> int:
        """How many exercises are passed."""
        return len(self.lesson.exercises) - len(self.open)

    @property
    def minutes(self) -> tuple[int, int]:
        """What is left, the least and the most: a part for each open question, and the minutes of open exercises."""
        questions, exercises = len(self.lesson.questions), len(self.lesson.exercises)
        steps, done, extra = questions, self.predicted, self.lesson.extra
        if not extra:
            steps, done = steps + exercises, done + self.passed
        share = 1 - done / steps if steps else 1
        more = extra * len(self.open) / exercises if exercises else 0
        return tuple(_rounded(part * share + more) for part in self.lesson.minutes)

    @property
    def left(self) -> str:
        """The minutes that are left, in words."""
        return _range(*self.minutes)

    def __str__(self) -> str:
        parts = [(self.predicted, len(self.lesson.questions), "predictions")]
        parts += [(self.passed, len(self.lesson.exercises), "exercises")]
        parts += [(self.clinics, len(self.lesson.clinics), "bug clinics"), (*self.goals, "lab goals")]
        parts += [(*self.quick, "quick questions right at first")]
        if not any(done for done, _, _ in parts) and not self.quick[1]:
            return NOTHING
        return ", ".join(f"{what} {done} of {of}" for done, of, what in parts if of)


@dataclass(frozen=True)
class Overview:
    """The map of the lessons: what each is for, or, once something of it is done, what is done and open."""

    standings: tuple[Standing, ...]

    def _repr_markdown_(self) -> str:
        done = any(str(each) != NOTHING for each in self.standings)
        headers = ["minutes left", "done, or what you will do"] if done else ["minutes, with exercises", "you will"]
        rows = []
        for each in self.standings:
            what = each.lesson.aim if str(each) == NOTHING else str(each)
            rows.append([f"[{each.lesson.title}]({each.lesson.file})", each.left, what.replace("|", r"\|")])
        least, most = (sum(each.minutes[k] for each in self.standings) for k in (0, 1))
        together = _range(least, most) if most < 180 else f"{_range(round(least / 60), round(most / 60))} hours"
        return tabulate(
            [*rows, ["together", together, ""]],
            headers=["notebook", *headers],
            tablefmt="github",
            disable_numparse=True,
        )

    def __repr__(self) -> str:
        return "\n".join(f"{each.lesson.title}: {each.left} minutes" for each in self.standings)


def overview(journal: Journal) -> Overview:
    """The lessons with the minutes that are left, and what is done; without a student's folder, all minutes."""
    return Overview(tuple(standings(journal)))


def standings(journal: Journal) -> list[Standing]:
    """How far the student is in each lesson."""
    answers, passed = journal.entries("answers"), {each["name"] for each in journal.entries("exercises")}
    answered = {each["name"] for each in answers}
    first = {each["name"]: each.get("answer") for each in answers if not each.get("after_result")}
    right = {each["name"]: each.get("measured") for each in journal.entries("results")}
    goals = journal.entries("goals")
    found = []
    for lesson in lessons(journal.lessons_folder):
        there = {each["name"]: each.get("of", 0) for each in goals if each.get("lesson") == lesson.number}
        quick = [name for name in lesson.quizzes if name in first]
        found.append(
            Standing(
                lesson,
                predicted=len(answered.intersection(lesson.questions)),
                open=tuple(title for name, title in lesson.exercises.items() if name not in passed),
                clinics=len(passed.intersection(lesson.clinics)),
                goals=(len(there), max(there.values(), default=0)),
                quick=(sum(first[name] == right.get(name) for name in quick), len(quick)),
            )
        )
    return found


def closing_line(journal: Journal, asked: set[str]) -> str:
    """What is done of the lesson beside its predictions; empty where nothing is to do, or the lesson is not known.

    asked   names of questions by which a lesson is found whose number Jupyter does not tell
    """
    for each in standings(journal):
        if each.lesson.number == journal.lesson or asked.intersection(each.lesson.questions):
            still = f", still open: {'; '.join(each.open)}" if each.open else ""
            (reached, goals), (right, answered) = each.goals, each.quick
            exercises, clinics = len(each.lesson.exercises), len(each.lesson.clinics)
            sentences = [
                (exercises, f"Exercises passed: {each.passed} of {exercises}{still}."),
                (clinics, f"Bug clinics passed: {each.clinics} of {clinics}."),
                (goals, f"Lab goals reached: {reached} of {goals}."),
                (answered, f"Quick questions: right at the first answer {right} of {answered}."),
            ]
            return " ".join(sentence for there, sentence in sentences if there)
    return ""


def _rounded(minutes: float) -> int:
    return 5 * max(1, round(minutes / 5)) if minutes else 0


def _range(least: int, most: int) -> str:
    return f"{least}–{most}" if least < most else f"{most}" if most else "none"
