"""A lab that moves without a kernel: its slider chooses among pictures that the lab itself made, when the deck was."""

import ast
import base64
import builtins
import html
import io
import json
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache, partial

import ipywidgets
from nbformat import NotebookNode

from utils import labs
from utils.labs.shell import Lab
from utils.plots import reduced

STILL = re.compile(r'<img class="lab-still[^>]*>')
MADE_ALONE = re.compile(r"\blabs\.(\w+)\(\s*\)")  # without arguments: it needs nothing of its notebook
MOST = 24  # pictures of a lab; one takes 0.3 s and about 75 kB, tuning a race before it up to some seconds
State = tuple[str, Callable[[], object]]  # what the slider says, and what brings the lab there


def with_frames(notebook: NotebookNode, live: str) -> NotebookNode:
    """Let the labs of a notebook move without a kernel; `live` says how to run them with one.

    A lab that cannot be made here, because its cell fails, raises ValueError with the id of the cell.
    """
    for place, cell in enumerate(notebook.cells):
        stills = [each for each in cell.get("outputs", []) if STILL.search(each.get("data", {}).get("text/html", ""))]
        if not stills:
            continue
        if alone := MADE_ALONE.search(cell.source):
            label, start, states = _of_factory(alone[1])
        else:
            label, start, states = frames(_made_by(notebook.cells[: place + 1]))
        shown = _slider_html(cell.id, label, start, states)
        stills[0].data["text/html"] = f'{shown}<p class="deck-live">{html.escape(live)}</p>'
        cell.outputs = stills[:1]  # the other output says to run the notebook
    return notebook


@cache
def _of_factory(name: str) -> tuple[str, int, list[dict[str, str]]]:
    return frames(getattr(labs, name)())


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
    code = [(cell.id, ast.parse(cell.source)) for cell in cells if cell.cell_type == "code"]
    run, wanted = [code[-1]], _names(code[-1][1], ast.Load)
    for cell, tree in reversed(code[:-1]):
        made = _bound(tree)
        if made & wanted:
            run.insert(0, (cell, tree))
            wanted = (wanted - made) | _names(tree, ast.Load)
    space: dict = {"__name__": "__main__"}
    for cell, tree in run:
        try:
            with redirect_stdout(io.StringIO()):
                exec(compile(tree, f"<cell {cell}>", "exec"), space)
        except Exception as error:
            raise ValueError(f"cell {cell}, which a lab builds on: {type(error).__name__}: {error}") from error
    made = [value for value in space.values() if isinstance(value, Lab)]
    if not made:
        raise ValueError(f"cell {run[-1][0]} shows a lab, but gives it no name")
    return made[-1]


def _names(tree: ast.AST, use: type) -> set[str]:
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, use)}
    return found - vars(builtins).keys()


def _bound(tree: ast.Module) -> set[str]:
    """The names that a cell gives: by assignment, import, def or class at its top level."""
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(each.asname or each.name).partition(".")[0] for each in node.names}
        else:
            found |= _names(node, ast.Store)
    return found


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
