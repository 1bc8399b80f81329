"""A lab that moves without a kernel: its slider chooses among pictures that the lab itself made, when the deck was."""

import base64
import html
import io
import json
from collections.abc import Callable, Collection
from contextlib import redirect_stdout
from functools import partial

import ipywidgets
from nbformat import NotebookNode

from tools.deck.needed_cells import needed_cells, plain_python
from tools.notebooks import is_still
from utils.labs.shell import Lab
from utils.plots import reduced

MOST = 24  # pictures of a lab; one takes 0.3 s and about 75 kB, tuning a race before it up to some seconds
State = tuple[str, Callable[[], object]]  # what the slider says, and what brings the lab there


def with_frames(
    notebook: NotebookNode, live: str, *, paper: str = "", among: Collection[int] | None = None
) -> NotebookNode:
    """Let the labs of a notebook move without a kernel; `live` says how to run them with one. Changes `notebook`.

    paper   what stands below the picture in place of `live` where nothing moves
    among   the places of the cells that are shown, if not all: others keep their stored picture

    Raises ValueError with the id of the cell for a lab that cannot be made here: its cell, or one it builds on, fails.
    """
    for place, cell in enumerate(notebook.cells):
        still = next(filter(is_still, cell.get("outputs", [])), None)
        if not still or (among is not None and place not in among):
            continue
        lab = _made_by(notebook.cells[: place + 1])
        goals = lab.goals.listed()  # before the pictures: a lab that makes them reaches some
        shown = _slider_html(cell.id, *frames(lab))
        told = f'<p class="deck-live">{html.escape(live)}</p><p class="deck-live deck-paper">{html.escape(paper)}</p>'
        still.data["text/html"] = f'{shown}<div class="deck-goals">{goals}</div>{told}'
        cell.outputs = [still]  # the other output says to run the notebook
    return notebook


def frames(lab: Lab) -> tuple[str, int, list[dict[str, str]]]:
    """(what the slider chooses, which frame comes first, [{"value", "alt", "src": a PNG as data URI}])."""
    label, start, states = _SWEEPS.get(lab.name, _from_end_to_end)(lab)
    chosen = range(len(states))
    if len(states) > MOST:
        chosen = [round(i * (len(states) - 1) / (MOST - 1)) for i in range(MOST)]
    found = []
    for value, change in (states[i] for i in chosen):
        change()
        still = lab.still()
        found.append({"value": value, "alt": still.alt, "src": _data_uri(still.png)})
    return label, min(range(len(chosen)), key=lambda i: abs(chosen[i] - start)), found


def _edge(lab: Lab) -> tuple[str, int, list[State]]:
    """Lab 1 at κ = 10: lr from far below the best to beyond the edge, in finer steps where it happens."""
    lrs = [lr for _, lr in lab.controls["lr"].options]
    chosen = [lr for i, lr in enumerate(lrs) if (0.01 < lr < 0.15 and i % 14 == 0) or (0.15 < lr < 0.26 and i % 2 == 0)]
    return "lr", 3, [(f"{lr:.3g}", partial(lab.set, lr=lr)) for lr in chosen]


def _race(lab: Lab) -> tuple[str, int, list[State]]:
    """Lab 2: every problem, each racer at the lr that is best there."""

    def tuned(problem):
        lab.set(problem=problem).do("tune all")

    return "everybody tuned, on", 0, [(each, partial(tuned, each)) for each in lab.controls["problem"].options]


def _from_end_to_end(lab: Lab) -> tuple[str, int, list[State]]:
    """Any other lab: the first of its controls that has values in an order."""
    for name, control in lab.controls.items():
        if isinstance(control, ipywidgets.SelectionSlider | ipywidgets.Dropdown):
            pairs = [each if isinstance(each, tuple) else (str(each), each) for each in control.options]
        elif isinstance(control, ipywidgets.FloatSlider | ipywidgets.IntSlider):
            count = round((control.max - control.min) / control.step)
            pairs = [(f"{value:.4g}", value) for value in (control.min + i * control.step for i in range(count + 1))]
        else:
            continue
        now = next((i for i, (_, value) in enumerate(pairs) if value == control.value), 0)
        return control.description, now, [(text, partial(lab.set, **{name: value})) for text, value in pairs]
    raise ValueError(f"the lab {lab.name!r} has no control that could choose among pictures")


_SWEEPS: dict[str, Callable[[Lab], tuple[str, int, list[State]]]] = {"edge": _edge, "race": _race}


def _made_by(cells: list[NotebookNode]) -> Lab:
    """The lab that the last of these cells shows; of the others only those run that it builds on."""
    space: dict = {"__name__": "__main__"}
    for place in needed_cells(cells, [len(cells) - 1]):
        cell = cells[place]
        try:
            with redirect_stdout(io.StringIO()):
                exec(compile(plain_python(cell.source), f"<cell {cell.id}>", "exec"), space)
        except Exception as error:
            raise ValueError(f"cell {cell.id}, which a lab builds on: {type(error).__name__}: {error}") from error
    made = [value for value in space.values() if isinstance(value, Lab)]
    if not made:
        raise ValueError(f"cell {cells[-1].id} shows a lab, but gives it no name")
    return made[-1]


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(reduced(png)).decode()}"


def _slider_html(cell: str, label: str, start: int, states: list[dict[str, str]]) -> str:
    first = states[start]
    text = json.dumps(states, ensure_ascii=False).replace("<", "\\u003c")
    return (
        f'<figure class="deck-frames"><img alt="{html.escape(first["alt"])}" src="{first["src"]}">'
        f'<label for="frames-{cell}">{html.escape(label)}</label>'
        f'<input type="range" id="frames-{cell}" min="0" max="{len(states) - 1}" value="{start}" step="1">'
        f'<output for="frames-{cell}">{html.escape(first["value"])}</output>'
        f'<script type="application/json">{text}</script></figure>'
    )
