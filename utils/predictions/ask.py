"""The widget of a question: its controls, one button, and a line that says what was noted."""

import html
import re
from collections.abc import Callable

import ipywidgets

from utils.predictions.question import NUMBER, ONE, ORDER, SEVERAL, Answer, Question

BUTTON = "That is my prediction"
WIDE = {"width": "auto"}
# The focus is seen in light and dark themes; a long choice takes a second line.
LOOK = """
.workshop-predict { border-left: 5px solid #c2410c; padding-left: 12px }
.workshop-predict :is(button, select, input):focus-visible {
  outline: 3px solid #0072B2 !important; outline-offset: 2px !important /* ipywidgets says none */
}
.workshop-predict .widget-radio-box label, .workshop-predict .widget-checkbox label {
  height: auto; white-space: normal; line-height: 1.6
}
"""


class Ask(ipywidgets.VBox):
    """Controls for a question. `keep` is called with the answer at each press and returns what to say of it."""

    def __init__(self, question: Question, keep: Callable[[Answer], str], *, before: Answer | None = None):
        self.question, self._keep = question, keep
        self.controls = {ONE: _radio, SEVERAL: _boxes, NUMBER: _field, ORDER: _places}[question.kind](question, before)
        self.button = ipywidgets.Button(description=BUTTON, layout={"width": "auto"}, button_style="")
        self.button.on_click(lambda _button: self._press())
        noted = "" if before is None else f"Your prediction so far: {question.shown(before)}."
        self.status = ipywidgets.HTML(html.escape(noted))
        text = f"<style>{LOOK}</style><b>Predict:</b> {_markup(question.text)}"
        super().__init__([ipywidgets.HTMLMath(text), *self.controls, ipywidgets.HBox([self.button, self.status])])
        self.add_class("workshop-predict")

    def choose(self, *chosen) -> "Ask":
        """Set the controls as a hand would: one label, several, the places of an order, or what is typed."""
        if self.question.kind == ONE:
            (self.controls[0].value,) = chosen
        elif self.question.kind == SEVERAL:
            for box in self.controls:
                box.value = box.description in chosen
        else:
            for control, value in zip(self.controls, chosen, strict=True):
                control.value = value
        return self

    def _press(self) -> None:
        try:
            answer = self._chosen()
        except ValueError as reason:
            self.status.value = html.escape(str(reason))
            return
        self.status.value = html.escape(self._keep(answer))

    def _chosen(self) -> Answer:
        """The answer that the controls show. Raises ValueError with what is lacking, to be said to the student."""
        values = [control.value for control in self.controls]
        if self.question.kind == ONE:
            if values == [None]:
                raise ValueError("Choose one first.")
            return values[0]
        if self.question.kind == SEVERAL:
            if not any(values):
                raise ValueError("Tick at least one first.")
            return [box.description for box in self.controls if box.value]
        if self.question.kind == ORDER:
            if None in values or len(set(values)) < len(values):
                raise ValueError("Give each of them one place.")
            return values
        typed = re.match(r"\s*([-+\d.,]+(?:[eE][-+]?\d+)?)", values[0])
        try:
            return self.question.answer(typed and typed[1].replace(",", "."))
        except ValueError:
            raise ValueError("Type a number above zero, such as 40 or 0.1.") from None


def _radio(question: Question, before: Answer | None) -> list[ipywidgets.Widget]:
    return [ipywidgets.RadioButtons(options=question.choices, value=before, layout=WIDE)]


def _boxes(question: Question, before: Answer | None) -> list[ipywidgets.Widget]:
    ticked = before or []
    return [
        ipywidgets.Checkbox(value=choice in ticked, description=choice, indent=False, layout=WIDE)
        for choice in question.choices
    ]


def _field(question: Question, before: Answer | None) -> list[ipywidgets.Widget]:
    text = "" if before is None else f"{before:.6g}"
    name = f"your number{f' ({question.unit})' if question.unit else ''}"
    return [ipywidgets.Text(text, description=name, style={"description_width": "initial"}, layout={"width": "340px"})]


def _places(question: Question, before: Answer | None) -> list[ipywidgets.Widget]:
    options = [("choose …", None), *((choice, choice) for choice in question.choices)]
    chosen = before or [None] * len(question.choices)
    return [
        ipywidgets.Dropdown(options=options, value=value, description=_place(n)) for n, value in enumerate(chosen, 1)
    ]


def _place(n: int) -> str:
    return f"{n}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(n, 'th') }"


def _markup(text: str) -> str:
    """The question as HTML: `code` and *emphasis* as in Markdown; formulas are left to the page."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return re.sub(r"\*([^*\s][^*]*)\*", r"<em>\1</em>", text)
