"""What a check says: Verdict, and the exceptions by which a check comes to one.

On a page the rest of what went wrong is folded below the first: what is told first is what to mend first.
"""

import html
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

# JupyterLab marks a cell that was edited after its run. So the page itself says at once what no kernel can see: under
# the verdict of the cell below, and, in a clinic, of the one after that. "Passed" gives way to it: it was said of an
# older answer. What is wrong stays to be read while it is mended.
_BELOW = ":is(.jp-mod-dirty + .jp-CodeCell, .jp-mod-dirty + .jp-CodeCell + .jp-CodeCell)"
EDITED = (
    f"<style>{_BELOW} .workshop-edited::after "
    '{ content: "The cell above has changed since it ran: run it, then check again." } '
    f"{_BELOW} .workshop-passed {{ display: none }} "
    f"{_BELOW} div:has(> .workshop-passed) {{ border-color: #4a7fb5 !important }}</style>"
    '<div class="workshop-edited"></div>'
)


@dataclass(frozen=True)
class Verdict:
    """What a check found: true if passed. `untouched` tells an exercise not yet begun from a mistake.

    others    what else is wrong, a sentence each: shown on demand
    help      where the student finds help, or empty
    printed   what the answer printed in the call that failed, or in the first one; shortened
    The texts may hold `code` in backticks and line breaks.
    """

    passed: bool
    message: str
    untouched: bool = False
    others: tuple[str, ...] = ()
    help: str = ""
    printed: str = ""

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        more = f"{self._count()}: `print(*_.others)` lists them." if self.others else ""
        printed = f"It printed:\n{self.printed}" if self.printed else ""
        return "\n".join(filter(None, [f"{self._look()[0]} {self.message}", more, printed, self.help]))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        # Words keep the theme's own colour; that of the bar has a contrast of 3 and more on white and on black.
        mark, colour = self._look()
        box = f"border-left: 6px solid {colour}; padding: 0.3em 0.8em"
        listed = "".join(f"<li>{_markup(other)}</li>" for other in self.others)
        more = f"<details><summary>{self._count()}</summary><ul>{listed}</ul></details>" if self.others else ""
        help = f"<div>{_markup(self.help)}</div>" if self.help else ""
        printed = f"<div>It printed:<pre>{html.escape(self.printed)}</pre></div>" if self.printed else ""
        edited = EDITED if os.environ.get("JPY_SESSION_NAME") and not self.untouched else ""  # only where a page asks
        said = f"<strong>{mark}</strong> {_markup(self.message)}{more}{printed}{help}"
        if edited and self.passed:
            said = f'<div class="workshop-passed">{said}</div>'
        return f'<div style="{box}">{said}{edited}</div>'

    def _look(self) -> tuple[str, str]:
        if self.passed:
            return "✓ Passed:", "#00875f"
        return ("○", "#4a7fb5") if self.untouched else ("✗ Not quite:", "#d55e00")

    def _count(self) -> str:
        return f"{len(self.others)} more {'thing is' if len(self.others) == 1 else 'things are'} wrong"


def shortened(printed: str, *, lines: int = 10, width: int = 200) -> str:
    """The first lines of what was printed, each cut to this width, and how many more there are."""
    every = printed.rstrip().splitlines()
    shown = [line if len(line) <= width else f"{line[:width]} …" for line in every[:lines]]
    return "\n".join([*shown, f"… and {len(every) - lines} more lines"] if len(every) > lines else shown)


def _markup(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text)).replace("\n", "<br>")


class Wrong(Exception):
    """A check has found a mistake; its text is the message of the verdict. `others` say what else is wrong."""

    def __init__(self, message: str, others: Iterable[str] = ()):
        super().__init__(message)
        self.others = tuple(others)


class NotYet(Exception):
    """The student has not started; its text is the message of the verdict."""
