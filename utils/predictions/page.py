"""Page: what one notebook has asked and seen. `predict`, `seen` and `predictions` of a lesson are its methods."""

import html
from collections.abc import Callable, Iterable, Mapping

from IPython.display import display

from utils import progress
from utils.internals.widget_view import widget_view
from utils.predictions import tell
from utils.predictions.ask import Ask
from utils.predictions.question import NUMBER, ONE, Answer, Question, label
from utils.progress import Journal
from utils.progress.standing import closing_line

# An output's role stands in its metadata; the slides know it by that.
QUESTION, RESULT = "question", "result"
NO_KERNEL = "A question: run this cell and commit to an answer."


class Page:
    """The predictions of a notebook.

    journal   where answers are kept; by default this kernel's, which a student's folder stores beside the copies
    """

    def __init__(self, journal: Journal | None = None):
        self.journal = progress.mine if journal is None else journal
        self.widgets: dict[str, Ask] = {}  # name → the widget shown last
        self._questions: dict[str, Question] = {}
        self._results: dict[str, Answer] = {}
        self._said_skipped = False

    def predict(
        self,
        name: str,
        question: str,
        choices: Iterable | None = None,
        *,
        kind: str | None = None,
        unit: str = "",
        within: float = 1.5,
    ) -> None:
        """Ask for a prediction, and keep the answer under `name`, which no other question of the workshop has.

        kind     "one" of the choices (the default), "several", an "order", or, without choices, a "number"
        unit     of a number, such as "steps"
        within   a number counts as right if it is off by this factor at most
        Raises ValueError for a question that cannot be asked so, or a name that asks something else here.
        """
        labels = () if choices is None else tuple(label(choice) for choice in choices)
        kind = kind or (NUMBER if choices is None else ONE)
        asked = Question(name, question, labels, kind, unit, within)
        other = self._questions.setdefault(name, asked)
        if other != asked:
            raise ValueError(
                f"the prediction {name!r} already asks: {other.text} Another question needs another name; if you "
                "changed this one, restart the kernel"
            )
        before, _late = self._answer_to(asked)
        noted = "" if before is None else f"Your prediction so far: {html.escape(asked.shown(before))}."
        widget = self.widgets[name] = Ask(asked, self._kept(asked), before=before, noted=noted)
        # By the name and the choices a deck could bring a count of the room's answers.
        seam = {"role": QUESTION, "name": name, "kind": kind, "choices": list(labels)}
        bundle = widget_view(widget, **{"text/markdown": tell.question(asked), "text/plain": NO_KERNEL})
        display(bundle, metadata={"workshop": seam}, raw=True)

    def seen(self, name: str, measured: object, why: Mapping | str) -> None:
        """Show what was measured beside the prediction.

        measured   from the run: a choice, a list of choices (several, an order), a number, or {choice: does it hold?}
        why        {choice: one sentence that says why it is tempting}, for each that is wrong; for a number
                   {"too low": …, "too high": …}; or one sentence for all
        Raises ValueError if `measured` is none of the choices, or a wrong one has no sentence. Not so in a student's
        copy, where somebody may have changed the experiment.
        """
        asked = self._questions.get(name)
        try:
            result = asked.answer(measured) if asked else None
            said = asked.sentences(why, result) if asked else {}
        except ValueError:
            if not self.journal.is_students:
                raise
            asked = None
        if asked is None:
            changed = name in self._questions  # the experiment is another one by now, or its question was not run
            if not changed:
                self._note_unasked(name, _plain(measured))
            also = tell.CHANGED if changed else tell.NOT_ASKED if self.journal.is_students else ""
            _show(f"**Measured: {_plain(measured)}.** {also}".strip(), name)
            return
        answer, late = self._answer_to(asked)
        if answer is not None:
            text = tell.compared(asked, answer, result, said, late=late)
        elif self.journal.is_students:
            text = f"**Measured: {asked.shown(result)}.** {self._skipped()}".strip()
        else:
            text = tell.answered(asked, result, said)
        self._note(asked, result)
        _show(text, name)

    def predictions(self) -> None:
        """Show every prediction of this notebook beside what was measured, and what else is done of it."""
        rows, made, right = [], 0, 0
        for name, asked in self._questions.items():
            answer, late = self._answer_to(asked)
            result = self._results.get(name)
            measured = "not yet" if result is None else asked.shown(result)
            if not self.journal.is_students:
                rows.append([asked.text, measured])
                continue
            good = answer is not None and result is not None and asked.is_right(answer, result) and not late
            made, right = made + (answer is not None and not late), right + good
            you = "–" if answer is None else f"{asked.shown(answer)}{' (after the result)' if late else ''}"
            rows.append([asked.text, you, measured, "" if None in (answer, result) or late else "✓" if good else "✗"])
        head = f"You predicted {made} of {len(rows)} and were right in {right}." if self.journal.is_students else ""
        table = tell.table(rows, answers=self.journal.is_students)
        done = closing_line(self.journal, set(self._questions)) if self.journal.is_students else ""
        head = " ".join(filter(None, [head if rows else "Nothing was asked yet.", done, self.journal.tell()]))
        _show(f"{head}\n\n{table}".strip() if rows else head, "")

    def _kept(self, asked: Question) -> Callable[[Answer], str]:
        return lambda answer: html.escape(self._keep(asked, answer))

    def _keep(self, asked: Question, answer: Answer) -> str:
        """Note an answer, and return what to say of it."""
        late = self._was_seen(asked)
        entry = {"name": asked.name, "question": asked.text, "answer": answer, "shown": asked.shown(answer)}
        self.journal.add("answers", **entry, after_result=late)
        noted = f"Noted: {asked.shown(answer)}."
        if late:
            alone = self._answer_to(asked)[1]
            what = "this one does not count" if alone else "your first prediction still counts"
            noted += f" You had seen the result, so {what}."
        return f"{noted} {self.journal.tell()}".strip()

    def _note(self, asked: Question, result: Answer) -> None:
        """Note what was measured, once: from then on answers come after the result."""
        self._results[asked.name] = result
        known = [each.get("measured") for each in self.journal.entries("results") if each["name"] == asked.name]
        if result not in known[-1:]:
            entry = {"name": asked.name, "question": asked.text, "measured": result, "shown": asked.shown(result)}
            self.journal.add("results", **entry)

    def _note_unasked(self, name: str, shown: str) -> None:
        """Note a result in words, whose question was not run: an answer to that one comes after it."""
        if self.journal.is_students and not self.journal.known("results", name):
            self.journal.add("results", name=name, question="", measured=None, shown=shown)

    def _was_seen(self, asked: Question) -> bool:
        """Whether a result was shown that answers this question: one with other choices does not."""
        results = [each.get("measured") for each in self.journal.entries("results") if each["name"] == asked.name]
        return any(each is None or asked.holds(each) for each in results)

    def _answer_to(self, asked: Question) -> tuple[Answer | None, bool]:
        """(the answer that counts, whether it came after the result): the last one before it, else the last one."""
        answers = [each for each in self.journal.entries("answers") if each["name"] == asked.name]
        answers = [each for each in answers if asked.holds(each.get("answer"))]
        early = [each for each in answers if not each.get("after_result")]
        return ((early or answers)[-1]["answer"], not early) if answers else (None, False)

    def _skipped(self) -> str:
        """What to say, once, to a student who did not predict."""
        said, self._said_skipped = self._said_skipped, True
        return "" if said or not self.journal.is_students else tell.SKIPPED


def _show(markdown: str, name: str) -> None:
    """Show a result: in JupyterLab a quotation has a bar on its left, as the question has."""
    quoted = "\n".join(f"> {line}".rstrip() for line in markdown.splitlines()) if name else markdown
    data = {"text/markdown": quoted, "text/plain": markdown.partition("\n")[0]}
    display(data, metadata={"workshop": {"role": RESULT, "name": name}}, raw=True)


def _plain(measured: object) -> str:
    if isinstance(measured, Mapping):
        measured = [choice for choice, holds in measured.items() if holds]
    if isinstance(measured, str) or not isinstance(measured, Iterable):
        return label(measured)
    return ", ".join(map(label, measured))
