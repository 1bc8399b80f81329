"""What every lab has in common: controls around a PlotWidget, goals, a step slider with play, and a still picture."""

import html
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import ipywidgets
from IPython.display import display

from utils.internals.widget_view import widget_view
from utils.labs.goals import Goals
from utils.labs.plot_widget import PlotWidget, flatten
from utils.plots import Picture


class Lab:
    """Controls around a PlotWidget, and goals. `update` turns the controls' values into a frame.

    plot       the PlotWidget
    controls   name → ipywidgets control, in the order of the Tab key; update gets their values by these names
    update     (**values) → (frame, what the goals are to see or None, background PNG)
    goals      see what is shown wherever the controls come to rest, not what a drag leads through
    actions    label → function without arguments: buttons
    finish     ends what goes on in the background; called before a still picture is made
    tell       says elsewhere what is shown, once the picture is on its way; by default the status does, in words
    arrange    (lab, step slider with play) → widgets from top to bottom; by default controls, plot, buttons, goals,
               status
    lock       held while a frame is made: JupyterLab 4.6 has sliders answered by a thread of their own, and a cell that
               moves controls, or a timer that has something new to show, runs in another
    """

    def __init__(
        self,
        name: str,
        plot: PlotWidget,
        controls: Mapping[str, ipywidgets.Widget],
        update: Callable,
        goals: Goals,
        *,
        actions: Mapping[str, Callable] | None = None,
        finish: Callable[[], None] | None = None,
        tell: Callable[[], None] | None = None,
        arrange: Callable | None = None,
        lock: AbstractContextManager | None = None,
    ):
        self.name, self.plot, self.controls, self._update = name, plot, dict(controls), update
        self.goals, self._shown = goals, None
        self.status, self.goal_list = ipywidgets.HTML(), ipywidgets.HTML(goals.listed())
        self.goal_list.add_class("workshop-goals")
        self.status.add_class("workshop-status")
        self.finish, self._tell = finish or (lambda: None), tell or self._say
        self._lock = lock or threading.RLock()
        self._last_step = plot.step  # the browser will move plot.step itself
        self._held = False
        self._arrange = arrange or _one_above_the_other
        self.buttons = {label: ipywidgets.Button(description=label) for label in actions or {}}
        for label, button in self.buttons.items():
            button.on_click(partial(self._act, actions[label]))
        for control in self.controls.values():
            control.observe(self._changed, names="value")
        plot.on_msg(lambda _plot, said, _buffers: self.settle() if said.get("rest") else None)
        self.redraw()

    def _act(self, act: Callable, button: ipywidgets.Button) -> None:
        button.disabled = True  # some take a second: the page shows that it is at work, and a second click waits
        try:
            act()
            self.settle()
        finally:
            button.disabled = False

    @property
    def values(self) -> dict:
        """The controls' values by their names."""
        return {name: control.value for name, control in self.controls.items()}

    def set(self, **values) -> "Lab":
        """Move controls by name, as a hand would; for notebooks that show a state, and for tests.

        Raises ValueError for a name that no control has, and traitlets' TraitError for a value that it cannot take.
        """
        unknown = values.keys() - self.controls.keys()
        if unknown:
            raise ValueError(f"this lab has no control {sorted(unknown)}; it has {list(self.controls)}")
        for name, value in values.items():
            self.controls[name].value = value
        return self.settle()

    def do(self, action: str) -> "Lab":
        """Press a button by its label. Raises ValueError for one that the lab does not have."""
        if action not in self.buttons:
            raise ValueError(f"this lab has no button {action!r}; it has {list(self.buttons)}")
        self.buttons[action].click()
        return self

    @contextmanager
    def hold(self):
        """Within this block controls may move without a run; one run follows at its end."""
        held, self._held = self._held, True
        try:
            yield
        finally:
            self._held = held
            self.redraw()
            self.settle()

    def _changed(self, _change) -> None:
        self.redraw()

    def redraw(self) -> None:
        """Show what the controls stand for by now: one of them has moved, or there is more to see."""
        if self._held:
            return
        with self._lock:
            frame, self._shown, background = self._update(**self.values)
            if background != self.plot.background:
                self.plot.background = background
            self.plot.frame = frame
            self._tell()

    def _say(self) -> None:
        self.status.value = f"<b>{html.escape(self.plot.frame['alt'])}</b>"

    def settle(self) -> "Lab":
        """Let the goals see what is shown: the controls are at rest."""
        with self._lock:
            if not self._held and self._shown is not None and self.goals.see(self._shown):
                self.goal_list.value = self.goals.listed()
                self.redraw()  # the picture may show more once a goal is reached
        return self

    def still(self) -> Picture:
        """The present state as a picture: what a page without a kernel shows. Waits for what is still going on."""
        self.finish()
        return Picture(flatten(self.plot), self.plot.frame["alt"], self.plot.size[0])

    def _ipython_display_(self) -> None:
        """Two outputs: the still picture for pages without a kernel, and the widget, whose style hides that picture."""
        still = self.still()._repr_html_().replace("<img ", f'<img class="lab-still lab-still-{self.name}" ', 1)
        role = {"workshop": {"role": "lab-still"}}  # by which tools/notebooks.py knows the picture
        display({"text/html": still, "text/plain": self.plot.frame["alt"]}, metadata=role, raw=True)
        text = "Run this notebook to move the sliders of this lab."
        display(widget_view(self.widget(), **{"text/plain": text}), raw=True)

    def widget(self) -> ipywidgets.Widget:
        """All of the lab. Each call gives the same controls and plot a step slider and a play button of its own."""
        hidden = f".lab-still-{self.name} {{ display: none !important }}"
        look = ipywidgets.HTML(f"<style>{hidden} {LOOK}</style>")
        step, last = self.plot.step, self._last_step
        # The step slider is the source of the links: jslink copies its source's value when it is shown.
        scrub = ipywidgets.IntSlider(value=step, min=0, max=last, description="step", layout={"width": "360px"})
        play = ipywidgets.Play(value=step, min=0, max=last, interval=25, show_repeat=False)
        ipywidgets.jslink((scrub, "value"), (play, "value"))
        ipywidgets.jslink((scrub, "value"), (self.plot, "step"))
        steps = ipywidgets.HBox([scrub, play], layout=WRAP)
        steps.add_class("workshop-steps")
        box = ipywidgets.VBox([look, *self._arrange(self, steps)])
        box.add_class("workshop-lab")
        return box


def grid(controls: Iterable[ipywidgets.Widget], *, wide: bool = False) -> ipywidgets.Box:
    """Controls in columns of one width, as many as there is room for; `wide` ones for a slider of many values."""
    box = ipywidgets.Box(list(controls))
    box.add_class("workshop-wide-grid" if wide else "workshop-grid")
    return box


def pictured(lab: Lab, scrub: ipywidgets.Widget) -> ipywidgets.Box:
    """The picture with the buttons and the step slider, and the goals beside it, or below where there is no room."""
    under = ipywidgets.HBox([*lab.buttons.values(), scrub], layout=WRAP)
    lab.goal_list.layout.flex = "1 1 250px"
    picture = ipywidgets.VBox([lab.plot, under], layout={"flex": "5 1 700px"})
    box = ipywidgets.HBox([picture, lab.goal_list], layout=WRAP)
    for part, name in ((under, "under"), (picture, "picture"), (box, "pictured")):  # a slide places them in its own way
        part.add_class(f"workshop-{name}")
    return box


WRAP = {"flex_flow": "row wrap"}
# In light and dark themes: what ipywidgets draws in a faint grey has a contrast of 3 and more, the focus is seen, the
# picture is a sheet of paper on the dark desk, and no row is wider than the page (at 200 % it has half the room).
LOOK = """
.workshop-lab .widget-readout { min-width: 56px }
.workshop-lab .noUi-target { background: #808080 }
.workshop-lab .noUi-handle { border: 2px solid #6b6b6b; background: #ffffff }
.workshop-lab .noUi-handle:focus { border-color: #0072B2; outline: 3px solid #0072B2; outline-offset: 2px }
.workshop-lab :is(button, select, input, textarea):focus-visible {
  outline: 3px solid #0072B2 !important; outline-offset: 2px !important /* ipywidgets says none */
}
.workshop-lab .workshop-plot { border-radius: 4px }
.workshop-lab .workshop-swatch { display: block; margin: 7px 4px; background: #ffffff; border-radius: 3px }
.workshop-lab :is(.workshop-grid, .workshop-wide-grid) { display: grid; align-items: center; --least: 260px }
.workshop-lab .workshop-wide-grid { --least: 400px }
.workshop-lab :is(.workshop-grid, .workshop-wide-grid), .workshop-goals .widget-html-content {
  grid-template-columns: repeat(auto-fill, minmax(min(var(--least), 100%), 1fr))
}
.workshop-lab :is(.workshop-grid, .workshop-wide-grid) > * { width: auto !important }
.workshop-lab .workshop-whole-row { grid-column: 1 / -1 }
.workshop-goals .widget-html-content {
  display: grid; align-content: start; --least: 330px; gap: 2px 16px; line-height: 1.35
}
.workshop-goals .widget-html-content > div { padding-left: 1.4em; text-indent: -1.4em }
.workshop-goals p { grid-column: 1 / -1; margin: 2px 0 0 }
.workshop-lab .workshop-row:not(.workshop-grid) .widget-readout { min-width: 42px }
.workshop-result { align-self: center }
.workshop-result .widget-html-content { line-height: 1.15 }
.workshop-notice { margin: 4px 0; padding: 6px 10px; border-left: 4px solid #B34700; font-weight: 600 }
.workshop-stopped :is(.widget-slider, .widget-dropdown, .widget-checkbox, .jupyter-button):not(.workshop-steps *) {
  opacity: 0.4
}
/* ipywidgets marks each widget of a kernel that has ended with an icon, once for every slider and row. */
.jupyter-widgets-disconnected:is(.workshop-lab, .workshop-lab *)::before { content: none }
.workshop-lab .widget-inline-hbox { max-width: calc(100% - 4px) } /* it has a margin of 2 px */
"""


def _one_above_the_other(lab: Lab, scrub: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    return [grid(lab.controls.values()), pictured(lab, scrub), lab.status]
