"""The controls of the schedule designer, and how they stand around its picture."""

from collections.abc import Iterable

import ipywidgets

from utils.labs.designer.choices import AFTER, ALONE, BEFORE, COMPOSE, KNOBS, LRS, PARTNERS
from utils.labs.shell import WRAP, Lab, grid, pictured

STYLE = """<style>
.workshop-code textarea { font: 12px/1.35 monospace; white-space: pre }
.workshop-lab .workshop-words .widget-readout { min-width: 150px }
/* The name stays alone in its column: no scheduler's sliders need more than three rows. */
.workshop-row.workshop-grid > :first-child { grid-row: 1 / span 3 }
.workshop-grid > .workshop-words { grid-column: span 2 }
.workshop-results td, .workshop-results th { padding: 1px 12px 1px 0; text-align: left; line-height: 1.5 }
.workshop-results th, .workshop-results td:not([colspan]) { white-space: nowrap }
.workshop-results p { line-height: 1.4; margin: 4px 0 }
</style>"""


class Controls(dict):
    """name → control. The arguments of a scheduler stand in a row of their own, shown only where it is chosen.

    `own` are the names of the student's schedulers. Names of controls: "scheduler", "lr", "StepLR gamma" and, for the
    second of two schedulers, "2nd LinearLR total_iters".
    """

    def __init__(self, own: Iterable[str]):
        super().__init__(
            scheduler=_choice([*KNOBS, *own], "scheduler"),
            compose=_choice(list(COMPOSE), "composed"),
            partner=_choice(list(PARTNERS), "second"),
            milestone=_slider(range(5, 196, 5), 20, "milestone"),
            lr=_slider(LRS, 0.126, "lr"),
            constant=_slider(LRS, 0.126, "constant lr"),
            log=ipywidgets.Checkbox(description="logarithmic lr axis", indent=False),
        )
        self._rows = {}  # "StepLR", "2nd LinearLR" → its arguments
        for prefix, also, offered in (("", "", KNOBS), ("2nd ", "second: ", PARTNERS)):
            for name, knobs in offered.items():
                arguments = {f"{prefix}{name} {knob}": _slider(*values, knob) for knob, values in knobs.items()}
                self.update(arguments)
                self._rows[prefix + name] = _row(also + name, arguments.values())

    def show_only(self, *, scheduler: str, compose: str, partner: str, **_) -> None:
        """Show the arguments of what is chosen, and no others: what is not shown is not in the order of the Tab key."""
        shown = {scheduler}
        shown |= {"partner", f"2nd {partner}"} if compose != ALONE else set()
        shown |= {"milestone"} if compose in (AFTER, BEFORE) else set()
        optional = self._rows | {name: self[name] for name in ("partner", "milestone")}
        for name, widget in optional.items():
            widget.layout.display = None if name in shown else "none"

    def arranged(self, lab: Lab, scrub: ipywidgets.Widget, *, results, code) -> list[ipywidgets.Widget]:
        """The page from top to bottom; the two widgets `results` and `code` stand side by side below the picture."""
        top = grid(self[name] for name in ("scheduler", "compose", "log", "partner", "milestone"))
        lrs = grid((self[name] for name in ("lr", "constant")), wide=True)
        code.add_class("workshop-code")
        below = ipywidgets.HBox([results, code], layout=WRAP)
        below.add_class("workshop-below")
        return [ipywidgets.HTML(STYLE), top, lrs, *self._rows.values(), pictured(lab, scrub), below]


LOOK = {"style": {"description_width": "108px"}}  # of the longest name: the sliders begin in one line


def _choice(options: list[str], name: str) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(options=options, description=name, **LOOK)


def _slider(values, value, name: str) -> ipywidgets.SelectionSlider:
    texts = [_text(each) for each in values]
    options = [(text.replace("{k}", "k"), each) for text, each in zip(texts, values, strict=True)]
    slider = ipywidgets.SelectionSlider(options=options, value=value, description=name, **LOOK)
    if max(map(len, texts)) > 9:
        slider.add_class("workshop-words")
    return slider


def _text(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:g}"


def _row(heading: str, arguments: Iterable[ipywidgets.Widget]) -> ipywidgets.HBox:
    name = ipywidgets.HTML(f'<b class="workshop-name">{heading}</b>')
    row = grid([name, *arguments])
    row.add_class("workshop-row")  # its sliders are called by the name of the scheduler as well
    return row
