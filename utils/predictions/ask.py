"""The widget of a question: its controls, one button, and a line that says what was noted."""

import html
import re
from collections.abc import Callable
from pathlib import Path

import anywidget
import ipywidgets
import traitlets

from utils.predictions.question import NUMBER, ONE, ORDER, SEVERAL, Answer, Question

BUTTON = "That is my prediction"
# The focus is seen in light and dark themes; a long choice takes a second line.
LOOK = """
.workshop-predict { border-left: 5px solid #c2410c; padding-left: 12px; color: var(--jp-content-font-color1) }
.workshop-predict :is(button, select, input):focus-visible {
  outline: 3px solid #0072B2 !important; outline-offset: 2px !important /* ipywidgets says none */
}
.workshop-predict fieldset { border: 0; margin: 2px 0 6px; padding: 0 }
.workshop-predict legend { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
.workshop-predict label { display: flex; gap: 6px; align-items: center; line-height: 1.6; margin: 2px }
.workshop-predict label { width: fit-content }
.workshop-predict label:has([type="radio"], [type="checkbox"]) { cursor: pointer }
.workshop-predict :is(select, [type="text"]) { font: inherit; min-width: 140px; padding: 2px 4px }
.workshop-predict span:has(+ select) { min-width: 30px }
.workshop-predict div:has(> button) { display: flex; gap: 10px; align-items: baseline }
.workshop-predict button { width: auto; flex: none }
.workshop-predict .widget-htmlmath-content { color: inherit }
"""


class Form(anywidget.AnyWidget):
    """The controls of one question and its button; see form.js, which draws them.

    A press sends {"chosen": list of str}: the labels ticked, the label of each place ("" for none), or what is typed.
    """

    _esm = Path(__file__).with_name("form.js")
    asks = traitlets.Dict().tag(sync=True)  # "kind", "options", "legend" (the group's name), "field" (other names)
    button = traitlets.Unicode().tag(sync=True)
    chosen = traitlets.List(traitlets.Unicode()).tag(sync=True)  # what the controls show first, and after a press
    noted = traitlets.Unicode().tag(sync=True)  # HTML


class Ask(ipywidgets.VBox):
    """Controls for a question. `keep` is called with the answer at each press and returns what to say of it, as HTML.

    before   the answer that was given earlier
    noted    what to say of it, as HTML
    """

    def __init__(
        self,
        question: Question,
        keep: Callable[[Answer], str],
        *,
        before: Answer | None = None,
        head: str = "Predict:",
        button: str = BUTTON,
        noted: str = "",
    ):
        self.question, self._keep = question, keep
        asks = {"kind": question.kind, "options": question.choices, "legend": question.text, "field": _names(question)}
        self.form = Form(asks=asks, button=button, chosen=_controls(question, before), noted=noted)
        self.form.on_msg(lambda _form, said, _buffers: self.press(*said["chosen"]))
        text = f"<style>{LOOK}</style>" + f"<b>{head}</b> {markup(question.text)}".removeprefix("<b></b> ")
        super().__init__([ipywidgets.HTMLMath(text), self.form])
        self.add_class("workshop-predict")

    def press(self, *chosen: str) -> str:
        """Answer as a press in the page does, which sends what its controls show; returns what is said of it."""
        self.form.chosen = list(chosen)
        try:
            answer = self._answer(chosen)
        except ValueError as reason:
            self.form.noted = html.escape(str(reason))
        else:
            self.form.noted = self._keep(answer)
        return self.form.noted

    def _answer(self, chosen: tuple[str, ...]) -> Answer:
        """Raises ValueError with what is lacking, to be said to the student."""
        if self.question.kind in (ONE, SEVERAL):
            one = self.question.kind == ONE
            if not chosen:
                raise ValueError("Choose one first." if one else "Tick at least one first.")
            return self.question.answer(chosen[0] if one else chosen)
        if self.question.kind == ORDER:
            if "" in chosen or len(set(chosen)) < len(chosen):
                raise ValueError("Give each of them one place.")
            return list(chosen)
        typed = re.match(r"\s*([-+\d.,]+(?:[eE][-+]?\d+)?)", chosen[0])
        try:
            return self.question.answer(typed and typed[1].replace(",", "."))
        except ValueError:
            raise ValueError("Type a number above zero, such as 40 or 0.1.") from None


def _names(question: Question) -> list[str]:
    """What stands before each control that is not ticked."""
    if question.kind == NUMBER:
        return [f"your number{f' ({question.unit})' if question.unit else ''}"]
    if question.kind == ORDER:
        return [f"{n}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(n, 'th') }" for n in range(1, len(question.choices) + 1)]
    return []


def _controls(question: Question, answer: Answer | None) -> list[str]:
    """What the controls show for an answer."""
    if answer is None:
        return []
    if question.kind == NUMBER:
        return [f"{answer:.6g}"]
    return [answer] if question.kind == ONE else answer


def markup(text: str) -> str:
    """The question as HTML: `code` and *emphasis* as in Markdown; formulas are left to the page."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return re.sub(r"\*([^*\s][^*]*)\*", r"<em>\1</em>", text)
