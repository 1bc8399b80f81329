"""What is asked: a Question of one of four kinds, its possible answers, and whether an answer is right.

Answers travel as text: a choice is its label, several or an order are lists of labels, a number is a float. So they are
the same in a widget, in the file of answers and beside the result.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real

ONE, SEVERAL, NUMBER, ORDER = KINDS = ("one", "several", "number", "order")
LOW, HIGH = "too low", "too high"  # what may be tempting about a number
Answer = str | float | list[str]
ELSEWHERE = "That is what comes out with the seeds of the page."


def label(choice: object) -> str:
    """The text of a choice: a number in its shortest form, anything else as it is."""
    is_number = isinstance(choice, Real) and not isinstance(choice, bool)
    return f"{choice:.6g}" if is_number else str(choice)


@dataclass(frozen=True)
class Question:
    """A question by the name that its answer is kept under.

    choices   labels, in the order in which they are offered; none for a number
    kind      one of KINDS
    unit      of a number, shown behind it
    within    the factor by which a number may be off and still count as right
    """

    name: str
    text: str
    choices: tuple[str, ...] = ()
    kind: str = ONE
    unit: str = ""
    within: float = 1.5

    def __post_init__(self):
        who = f"the prediction {self.name!r}"
        if not (isinstance(self.name, str) and self.name.strip()):
            raise ValueError(f"a prediction needs a name, such as 'edge-lr', not {self.name!r}")
        if not (isinstance(self.text, str) and self.text.strip()):
            raise ValueError(f"{who} asks nothing: its second argument is the question")
        if self.kind not in KINDS:
            raise ValueError(f"{who} is of the kind {self.kind!r}; there are {', '.join(KINDS)}")
        if self.kind == NUMBER:
            if self.choices:
                raise ValueError(f"{who} asks for a number, so it has no choices")
            if not self.within > 1:
                raise ValueError(f"{who}: `within` is a factor above 1, not {self.within}")
        elif len(self.choices) < 2:
            raise ValueError(f"{who} needs two choices or more, it has {list(self.choices)}")
        elif twice := sorted({each for each in self.choices if self.choices.count(each) > 1}):
            raise ValueError(f"{who} offers {', '.join(twice)} twice")

    def answer(self, given: object) -> Answer:
        """What was chosen or measured, as an Answer; {choice: whether it holds} stands for those that hold.

        Raises ValueError, which says what would be an answer.
        """
        if isinstance(given, Mapping):
            given = [self._choice(each) for each, holds in given.items() if holds]
            if self.kind == ONE:
                if len(given) != 1:
                    raise ValueError(f"one answer to the prediction {self.name!r} holds, not {len(given)}: {given}")
                (given,) = given
        if self.kind == NUMBER:
            return self._number(given)
        if self.kind == ONE:
            return self._choice(given)
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise ValueError(f"the prediction {self.name!r} takes a list of choices, not {given!r}")
        chosen = [self._choice(each) for each in given]
        if len(set(chosen)) < len(chosen) or (self.kind == ORDER and len(chosen) < len(self.choices)):
            raise ValueError(f"the prediction {self.name!r} takes each choice once, not {', '.join(chosen)}")
        return chosen if self.kind == ORDER else [each for each in self.choices if each in chosen]

    def _number(self, given: object) -> float:
        try:
            number = float(given)
        except (TypeError, ValueError):
            number = math.nan
        if not 0 < number < math.inf:
            raise ValueError(f"the prediction {self.name!r} takes a number above zero, not {given!r}")
        return number

    def _choice(self, given: object) -> str:
        if label(given) not in self.choices:
            raise ValueError(
                f"the prediction {self.name!r} offers {', '.join(self.choices)}, and {label(given)} is none of them: "
                "add it to the choices, or measure what they ask for"
            )
        return label(given)

    def holds(self, answer: object) -> bool:
        """Whether this is still an answer: the lesson may have changed since it was given."""
        try:
            return self.answer(answer) == answer
        except ValueError:
            return False

    def is_right(self, answer: Answer, measured: Answer) -> bool:
        """Whether an answer is what was measured; a number may be off by the factor `within`."""
        if self.kind == NUMBER:
            return max(answer / measured, measured / answer) <= self.within * (1 + 1e-9)
        return answer == measured

    def mistakes(self, answer: Answer, measured: Answer) -> list[str]:
        """The keys of the sentences that answer a wrong answer: labels, or LOW or HIGH."""
        if self.is_right(answer, measured):
            return []
        if self.kind == NUMBER:
            return [LOW if answer < measured else HIGH]
        if self.kind == ONE:
            return [answer]
        if self.kind == SEVERAL:
            return [each for each in self.choices if (each in answer) != (each in measured)]
        return [each for each, other in zip(answer, measured, strict=True) if each != other]

    def sentences(self, why: Mapping | str, measured: Answer) -> dict[str, str]:
        """{mistake: the sentence that says why it is tempting}; one string is the sentence for every mistake.

        Raises ValueError for a key that is no mistake, and for a mistake without a sentence, but for one of several
        choices: it is the right one with the page's own seeds, and ELSEWHERE is said where others make it a mistake.
        """
        possible = [LOW, HIGH] if self.kind == NUMBER else list(self.choices)
        if isinstance(why, str):
            return dict.fromkeys(possible, why)
        said = {label(key): sentence for key, sentence in why.items()}
        if unknown := [key for key in said if key not in possible]:
            raise ValueError(f"the prediction {self.name!r} has no answer {', '.join(unknown)}; it has {possible}")
        lacking = [each for each in possible if not said.get(each, "").strip()]
        if self.kind == ONE and len(lacking) == 1:  # the right one; with other seeds another may be right
            return {**said, lacking[0]: ELSEWHERE} if lacking != [measured] else said
        if lacking := [each for each in lacking if each != measured or self.kind != ONE]:
            raise ValueError(f"the prediction {self.name!r} has no sentence why {', '.join(lacking)} is tempting")
        return said

    def shown(self, answer: Answer) -> str:
        """The answer in words."""
        if self.kind == NUMBER:
            return f"{label(float(f'{answer:.3g}'))} {self.unit}".strip()  # 2800 and not 2.8e+03
        if self.kind == ONE:
            return answer
        return (" → " if self.kind == ORDER else "; ").join(answer) or "none of them"
