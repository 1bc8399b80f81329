"""What the installed torch has that the torch of the lessons has not, and the other way round, in words.

signatures.json beside this file holds every optimizer and scheduler of the lessons' torch: name → its arguments, each
with its kind and, after a comma, its default as Python shows it. `python -m tools.signatures --store` writes it.
"""

import inspect
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch

FILE = Path(__file__).with_name("signatures.json")
INSTALLED = torch.__version__.partition("+")[0]
Arguments = Mapping[str, str]  # {"lr": "positional or keyword, 0.001", …} in order; no comma for a required one


@cache
def stored() -> dict:
    """{"torch": its version, "optimizer": {name: arguments}, "scheduler": {name: arguments}} of the lessons' torch."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def arguments_of(described: type) -> Arguments:
    """Those of the class's constructor."""
    parameters = inspect.signature(described).parameters.values()
    return {p.name: p.kind.description + ("" if p.default is p.empty else f", {p.default!r}") for p in parameters}


def changes(name: str, before: Arguments, now: Arguments) -> list[str]:
    """A few words on each argument that a class gained or lost, or that has another default, kind or place."""
    found = []
    for argument, words in now.items():
        kind, _, default = words.partition(", ")
        if argument not in before:
            found.append(f"{name} gained {argument}={default}" if default else f"{name} gained {argument}")
            continue
        old_kind, _, old_default = before[argument].partition(", ")
        if default != old_default:
            found.append(f"{name}.{argument}: {old_default or 'required'} → {default or 'required'}")
        if kind != old_kind:
            found.append(f"{name}.{argument}: {old_kind} → {kind}")
    found += [f"{name} lost {argument}" for argument in before if argument not in now]
    places = [argument for argument, words in now.items() if words.startswith("positional")]
    still = [argument for argument in before if argument in places]
    if places[: len(still)] != still:  # a call without names means something else
        found.append(f"{name} takes its arguments in another order: {', '.join(places)}")
    return found


def changes_of(kind: str, described: type) -> list[str]:
    """What changed in a class of torch, an "optimizer" or a "scheduler"; nothing for what the lessons' torch lacks."""
    before = stored()[kind].get(described.__name__)
    of_torch = described.__module__.startswith("torch.")  # a student may write an SGD of their own
    return changes(described.__name__, before, arguments_of(described)) if before and of_torch else []


def differences(kind: str, classes: Mapping[str, type]) -> list[str]:
    """What the classes of a kind, "optimizer" or "scheduler", have or lack beside those of the lessons' torch."""
    before = stored()[kind]
    found = [f"new {kind}: {name}" for name in classes if name not in before]
    found += [f"no {kind} {name}" for name in before if name not in classes]
    return found + [words for described in classes.values() for words in changes_of(kind, described)]


def note(found: list[str]) -> str:
    """The line under a table that tells differences; "" where there is none."""
    return f"This is torch {INSTALLED}. Unlike torch {stored()['torch']}: {'; '.join(found)}." if found else ""
