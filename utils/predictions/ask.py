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
.workshop-predict { border-left: 5px solid #c2410c; padding-left: 12px }
.workshop-predict :is(button, select, input):focus-visible {
  outline: 3px solid #0072B2 !important; outline-offset: 2px !important /* ipywidgets says none */
}
.workshop-predict fieldset { border: 0; margin: 2px 0 6px; padding: 0 }
.workshop-predict legend { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
.workshop-predict fieldset label { display: flex; gap: 6px; align-items: center; line-height: 1.6; cursor: pointer }
.workshop-predict :is(fieldset, .widget-html-content, .widget-htmlmath-content) { color: var(--jp-content-font-color1) }
"""


class Choices(anywidget.AnyWidget):
    """Radio buttons, or checkboxes where several may be chosen, in a group that a screen reader calls by `legend`."""

    _esm = Path(__file__).with_name("choices.js")
    options = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chosen = traitlets.List(traitlets.Unicode()).tag(sync=True)
    several = traitlets.Bool(False).tag(sync=True)
    legend = traitlets.Unicode().tag(sync=True)


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
        self.controls = {ONE: _choices, SEVERAL: _choices, NUMBER: _field, ORDER: _places}[question.kind](
            question, before
        )
        layout = {"width": "auto", "flex": "none"}  # whole, also beside a long line
        self.button = ipywidgets.Button(description=button, layout=layout)
        self.button.on_click(lambda _button: self._press())
        self.status = ipywidgets.HTML(noted)
        text = f"<style>{LOOK}</style>" + f"<b>{head}</b> {markup(question.text)}".removeprefix("<b></b> ")
        super().__init__([ipywidgets.HTMLMath(text), *self.controls, ipywidgets.HBox([self.button, self.status])])
        self.add_class("workshop-predict")

    def choose(self, *chosen) -> "Ask":
        """Set the controls as a hand would: one label, several, the places of an order, or what is typed."""
        if self.question.kind in (ONE, SEVERAL):
            self.controls[0].chosen = list(chosen)
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
        self.status.value = self._keep(answer)

    def _chosen(self) -> Answer:
        """The answer that the controls show. Raises ValueError with what is lacking, to be said to the student."""
        if self.question.kind in (ONE, SEVERAL):
            chosen, one = self.controls[0].chosen, self.question.kind == ONE
            if not chosen:
                raise ValueError("Choose one first." if one else "Tick at least one first.")
            return self.question.answer(chosen[0] if one else chosen)
        values = [control.value for control in self.controls]
        if self.question.kind == ORDER:
            if None in values or len(set(values)) < len(values):
                raise ValueError("Give each of them one place.")
            return values
        typed = re.match(r"\s*([-+\d.,]+(?:[eE][-+]?\d+)?)", values[0])
        try:
            return self.question.answer(typed and typed[1].replace(",", "."))
        except ValueError:
            raise ValueError("Type a number above zero, such as 40 or 0.1.") from None


def _choices(question: Question, before: Answer | None) -> list[ipywidgets.Widget]:
    several = question.kind == SEVERAL
    chosen = [] if before is None else before if several else [before]
    return [Choices(options=list(question.choices), chosen=chosen, several=several, legend=question.text)]


def _field(question: Question, before: Answer | None) -> list[ipywidgets.Widget]:
    text = "" if before is None else f"{before:.6g}"
    name = f"your number{f' ({question.unit})' if question.unit else ''}"
    return [ipywidgets.Text(text, description=name, style={"description_width": "initial"}, layout={"width": "340px"})]


def _places(question: Question, before: Answer | None) -> list[ipywidgets.Widget]:
    chosen = before or [None] * len(question.choices)
    return [
        ipywidgets.Dropdown(options=question.choices, value=value, description=_place(n))
        for n, value in enumerate(chosen, 1)
    ]


def _place(n: int) -> str:
    return f"{n}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(n, 'th') }"


def markup(text: str) -> str:
    """The question as HTML: `code` and *emphasis* as in Markdown; formulas are left to the page."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return re.sub(r"\*([^*\s][^*]*)\*", r"<em>\1</em>", text)
