"""Quiz: questions of plain knowledge, answered at once. The first answer counts; a later one is for learning."""

import html
from collections.abc import Mapping

from IPython.display import display

from utils.internals.widget_view import widget_view
from utils.predictions.ask import Ask, markup
from utils.predictions.page import Page
from utils.predictions.question import Answer, Question, label

QUIZ = "quiz"  # the role of the output, which the slides know it by
BUTTON = "That is my answer"
NO_KERNEL = "A question: run this cell and choose."


class Quiz:
    """The quick questions of a notebook; their answers are kept where its predictions are."""

    def __init__(self, page: Page):
        self.page = page
        self.widgets: dict[str, Ask] = {}  # name → the widget shown last
        self._asked: dict[str, tuple[Question, Answer]] = {}  # name → the question and the right answer

    def ask(self, name: str, question: str, choices: Mapping[str, str], *, right: str) -> None:
        """Ask, and tell the sentence of the choice that is made.

        name      that the answer is kept under, and no other question or prediction of the workshop has
        choices   {choice: what to say to whoever chose it}
        Raises ValueError for a question that cannot be asked so.
        """
        said = {label(choice): sentence for choice, sentence in choices.items()}
        asked = Question(name, question, tuple(said))
        right_one = asked.answer(right)
        if missing := [choice for choice, sentence in said.items() if not sentence.strip()]:
            raise ValueError(f"the question {name!r} has no sentence for {', '.join(missing)}")
        self._asked[name] = asked, right_one

        def told(answer: Answer) -> str:
            mark = "✓" if answer == right_one else "✗"
            score = f"<br>{html.escape(self.score())} {html.escape(self.page.journal.tell())}"
            return f"{mark} {markup(said[answer])}{score}"

        def keep(answer: Answer) -> str:
            self.page._keep(asked, answer)
            self.page._note(asked, right_one)  # from now on this answer has been told
            return told(answer)

        before, _late = self.page._answer_to(asked)
        noted = "" if before is None else told(before)
        widget = self.widgets[name] = Ask(asked, keep, before=before, head="", button=BUTTON, noted=noted)
        seam = {"role": QUIZ, "name": name, "kind": asked.kind, "choices": list(asked.choices)}
        text = {"text/markdown": _folded(asked, said, right_one), "text/plain": NO_KERNEL}
        display(widget_view(widget, **text), metadata={"workshop": seam}, raw=True)

    def score(self) -> str:
        """How many of the questions asked so far were answered right at first."""
        answers = [(self.page._answer_to(asked)[0], right) for asked, right in self._asked.values()]
        given = [answer == right for answer, right in answers if answer is not None]
        return f"Right at the first answer: {sum(given)} of {len(given)}." if given else ""


def _folded(asked: Question, said: Mapping[str, str], right: Answer) -> str:
    """The question with each choice folded over its sentence: for a slide or a page without a kernel."""
    lines = [f"**{asked.text}**", ""]
    for choice in asked.choices:
        mark = "✓" if choice == right else "✗"
        lines.append(f"<details><summary>{html.escape(choice)}</summary>{mark} {markup(said[choice])}</details>")
    return "\n".join(lines)
