"""The controls of the schedule designer, and how they stand around its picture."""

from collections.abc import Iterable

import ipywidgets

from utils.labs.designer.choices import AFTER, ALONE, BEFORE, COMPOSE, KNOBS, LRS, PARTNERS
from utils.labs.shell import WRAP, Lab

STYLE = """<style>
.workshop-code textarea { font: 12px/1.35 monospace; white-space: pre }
.workshop-lab .workshop-words .widget-readout { min-width: 150px }
.workshop-results td, .workshop-results th { padding: 1px 12px 1px 0; text-align: left; line-height: 1.5 }
.workshop-results th, .workshop-results td:not([colspan]) { white-space: nowrap }
.workshop-results div, .workshop-results p { line-height: 1.4; margin: 4px 0 }
div.workshop-results > div { padding-left: 1.4em; text-indent: -1.4em }
</style>"""


class Controls(dict):
    """name → control. The arguments of a scheduler stand in a row of their own, shown only where it is chosen.

    `own` are the names of the student's schedulers. Names of controls: "scheduler", "lr", "StepLR gamma" and, for the
    second of two schedulers, "2nd LinearLR total_iters".
    """

    def __init__(self, own: Iterable[str]):
        super().__init__(
            scheduler=_choice([*KNOBS, *own], "scheduler", 310),
            compose=_choice(list(COMPOSE), "composed", 220),
            partner=_choice(list(PARTNERS), "second", 240),
            milestone=_slider(range(5, 196, 5), 20, "milestone"),
            lr=_slider(LRS, 0.126, "lr", 400),
            constant=_slider(LRS, 0.126, "constant lr", 430),
            log=ipywidgets.Checkbox(description="logarithmic lr axis", indent=False, layout={"width": "170px"}),
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
            widget.layout.display = "flex" if name in shown else "none"

    def arranged(self, lab: Lab, scrub: ipywidgets.Widget, *, results, code) -> list[ipywidgets.Widget]:
        """The page from top to bottom; the two widgets `results` and `code` stand beside the picture or below it."""
        top, lrs = (
            ipywidgets.HBox([self[name] for name in names], layout=WRAP)
            for names in (("scheduler", "compose", "partner", "milestone"), ("lr", "constant", "log"))
        )
        code.add_class("workshop-code")
        below = ipywidgets.HBox([results, code], layout=WRAP)
        below.add_class("workshop-below")
        picture = ipywidgets.VBox([lab.plot, scrub], layout={"flex": "1 1 700px", "max_width": "100%"})
        beside = ipywidgets.HBox([picture, below], layout=WRAP)
        beside.add_class("workshop-beside")  # on a slide, which is wider than it is high
        return [ipywidgets.HTML(STYLE), top, lrs, *self._rows.values(), beside]


def _look(width: int, name: str) -> dict:
    return {"layout": {"width": f"{width}px"}, "style": {"description_width": f"{12 + 7.6 * len(name):.0f}px"}}


def _choice(options: list[str], name: str, width: int) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(options=options, description=name, **_look(width, name))


def _slider(values, value, name: str, width: int = 285) -> ipywidgets.SelectionSlider:
    texts = [_text(each) for each in values]
    options = [(text.replace("{k}", "k"), each) for text, each in zip(texts, values, strict=True)]
    wide = max(map(len, texts)) > 9
    slider = ipywidgets.SelectionSlider(
        options=options, value=value, description=name, **_look(width + 90 * wide, name)
    )
    slider.add_class("workshop-words" if wide else "workshop-numbers")
    return slider


def _text(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:g}"


def _row(heading: str, arguments: Iterable[ipywidgets.Widget]) -> ipywidgets.HBox:
    name = ipywidgets.HTML(f'<b class="workshop-name">{heading}</b>', layout={"width": "216px"})
    beside = ipywidgets.HBox(list(arguments), layout={**WRAP, "flex": "1 1 330px"})
    row = ipywidgets.HBox([name, beside], layout=WRAP)
    row.add_class("workshop-row")  # its sliders are called by the name of the scheduler as well
    return row
