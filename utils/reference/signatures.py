"""Classes of torch beside the words that describe them: which there are, and what has no words or no object."""

import inspect
from collections.abc import Iterable, Mapping

Words = Mapping[str, Mapping[str, str]]
NOT_DESCRIBED = "(not described)"  # what another torch has and the lessons' torch has not


def public_classes(namespace: Mapping[str, object], base: type, *, order: Iterable[str]) -> dict[str, type]:
    """The public subclasses of `base` in a namespace: those named in `order` first and so ordered, then the others."""
    found = {
        name: thing
        for name, thing in namespace.items()
        if isinstance(thing, type) and issubclass(thing, base) and thing is not base and not name.startswith("_")
    }
    places = [*order, *sorted(found)]
    return dict(sorted(found.items(), key=lambda item: places.index(item[0])))


def parameters_of(described: type) -> dict[str, inspect.Parameter]:
    """The parameters of the class's constructor, in order."""
    return dict(inspect.signature(described).parameters)


def described_parameters(
    described: type, *, shared: Mapping[str, str], own: Words
) -> list[tuple[inspect.Parameter, str]]:
    """Each parameter with its words: the class's own, else those it shares."""
    words = {**shared, **own.get(described.__name__, {})}
    return [(parameter, words.get(name, NOT_DESCRIBED)) for name, parameter in parameters_of(described).items()]


def check_class(thing, base: type, *, kind: str, function: str, example: str) -> None:
    """Raise TypeError unless `thing` is a class derived from `base`; `kind` is what one calls its objects."""
    if not isinstance(thing, type) or not issubclass(thing, base):
        shown = kind if isinstance(thing, base) else repr(thing)
        raise TypeError(f"{function} needs {kind} class such as {example}, got {shown}")


def discrepancies(
    classes: Mapping[str, type],
    *,
    shared: Mapping[str, str],
    own: Words,
    needed: Mapping[str, Mapping[str, str]],
    where: str,
    unread: str,
) -> list[str]:
    """A sentence for each class or parameter without a description, and for each description without an object.

    `needed` holds what every class must have, {"purpose": {name: …}}; `where` is where the classes come from; `unread`
    says what is wrong with a shared description that serves no parameter.
    """
    parameters = {name: list(parameters_of(described)) for name, described in classes.items()}
    found = [f"{name} has no {what}" for what, words in needed.items() for name in classes if name not in words]
    named = dict.fromkeys(name for words in (*needed.values(), own) for name in words)
    found += [f"{name} is described and not in {where}" for name in named if name not in classes]
    for name, ours in parameters.items():
        words = own.get(name, {})
        found += [f"{name}: {p} is not described" for p in ours if p not in words and p not in shared]
        found += [f"{name}: {p} is described and not a parameter" for p in words if p not in ours]
    read = {p for name, ours in parameters.items() for p in ours if p not in own.get(name, {})}
    return found + [f"{p} is described and {unread}" for p in shared if p not in read]
