"""The sentences of a prediction, as Markdown: the question, what was measured, and the table at the end."""

from collections.abc import Mapping

from tabulate import tabulate

from utils.predictions.question import NUMBER, ORDER, SEVERAL, Answer, Question

HINTS = {SEVERAL: "More than one may be right.", ORDER: "Put them in order."}
CHANGED = "That is none of the answers that were offered: this experiment has been changed."
NOT_ASKED = "Run the cell that asks for your prediction, then this one: they will stand side by side."
SKIPPED = "You ran this without a prediction; answer the next one before you run, and the result will stay with you."


def question(asked: Question) -> str:
    """The question and its choices, for a slide or a page without a kernel."""
    hint = HINTS.get(asked.kind, f"A number{f' ({asked.unit})' if asked.unit else ''}." if asked.kind == NUMBER else "")
    head = " ".join(filter(None, [f"**Predict:** {asked.text}", hint]))
    return "\n\n".join(filter(None, [head, "\n".join(f"- {choice}" for choice in asked.choices)]))


def compared(asked: Question, answer: Answer, measured: Answer, said: Mapping[str, str], *, late: bool) -> str:
    """The student's answer beside the measured one, with a sentence for each mistake."""
    mistakes = asked.mistakes(answer, measured)
    you = f"{asked.shown(answer)}{' (after the result)' if late else ''}"
    head = f"{'✗' if mistakes else '✓'} **You: {you}. Measured: {asked.shown(measured)}.**"
    if not mistakes:
        return f"{head} You were right."
    sentences = list(dict.fromkeys(said[each] for each in mistakes))
    if len(sentences) == 1:
        return f"{head} {sentences[0]}"
    return "\n".join([head, "", *(f"- *{each}:* {said[each]}" for each in mistakes)])


def answered(asked: Question, measured: Answer, said: Mapping[str, str]) -> str:
    """The measured answer, and why each of the others is tempting: for a page that nobody has predicted on."""
    if asked.kind in (SEVERAL, ORDER):
        tempting = list(said)
    else:
        tempting = [each for each in said if each != measured]
    sentences = list(dict.fromkeys(said[each] for each in tempting))
    if len(sentences) == 1:
        return f"**Measured: {asked.shown(measured)}.** {sentences[0]}"
    marks = {each: "✓ " if each in measured else "✗ " for each in tempting} if asked.kind == SEVERAL else {}
    listed = (f"- {marks.get(each, '')}*{each}:* {said[each]}" for each in tempting)
    return "\n".join([f"**Measured: {asked.shown(measured)}.**", "", *listed])


def table(rows: list[list[str]], *, answers: bool) -> str:
    """The predictions of a notebook: [question, measured], or [question, you, measured, right or wrong] each."""
    headers = ["what was asked", "you", "measured", ""] if answers else ["what was asked", "measured"]
    rows = [[part.replace("|", r"\|") for part in row] for row in rows]  # |x| is no border of a column
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
