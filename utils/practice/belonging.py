"""Whether what a checkpoint holds belongs to the run at hand, and which parameter each part of it belongs to."""

from collections import Counter
from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim import Optimizer

Names = list[list[str | None]]  # the parameters of an optimizer, group by group; None where nobody names one


def names_of(parts: Mapping[str, object]) -> dict[str, Names]:
    """The parameters of each optimizer by the names that they have in a model among the parts, or were given."""
    known = {}
    for key, part in parts.items():
        if isinstance(part, nn.Module):
            for name, parameter in part.named_parameters():
                known.setdefault(id(parameter), f"{key}.{name}")
    return {
        key: [
            [
                known.get(id(p)) or given
                for p, given in zip(
                    group["params"], group.get("param_names") or [None] * len(group["params"]), strict=True
                )
            ]
            for group in part.param_groups
        ]
        for key, part in parts.items()
        if isinstance(part, Optimizer)
    }


def unclear(names: Names, shapes: Mapping[str, str]) -> str | None:
    """Why nobody could say which parameter is which: some of one shape have no name. None if it is clear."""
    twice = [shape for shape, times in Counter(shapes.values()).items() if times > 1]
    if not twice or all(name is not None for group in names for name in group):
        return None
    return (
        f"holds several parameters of shape {twice[0]}, and nothing says which is which: save and restore it together "
        "with the model that they belong to, or build it on `named_parameters()`"
    )


def _order_problem(key: str, saved: Names | None, here: Names, content: dict, shapes: Mapping[str, str]) -> str | None:
    """Why the state in the file cannot be given to the right parameters; None if it can."""
    if saved == here and not unclear(here, shapes):
        return None
    if not _in_another_order(saved, here):
        problem = unclear([[None]], shapes)
        return f"`{key}` {problem}" if problem else None
    for k, (theirs, ours) in enumerate(zip(saved, here, strict=True)):
        if sorted(theirs) != sorted(ours):
            lost, found = sorted(set(theirs) - set(ours)), sorted(set(ours) - set(theirs))
            return (
                f"`{key}`: group {k} held {_some(lost)} when it was saved, and holds {_some(found)} here: make the "
                "groups of the same parameters, in the same order"
            )
    owners = [name for group in saved for name in group]
    theirs = _of_no_one(content["parts"][key], dict(enumerate(content["shapes"][key].values())))
    return theirs and (
        f"`{key}` held its parameters in another order, and nothing says to which of them its `{theirs}` belongs: "
        f"order them as they were, {_some(owners)}"
    )


def _of_no_one(state: Mapping, shapes: Mapping[int, str]) -> str | None:
    """What an optimizer keeps that may not belong to one parameter alone; `shapes` are those, by place."""
    if not {"state", "param_groups"} <= state.keys():
        return "state"
    for name in state.keys() - {"state", "param_groups"}:
        return str(name)
    for group in state["param_groups"]:
        for name in group.keys() - {"params", "param_names"}:
            if _of_several(group[name]):
                return str(name)
    for place, kept in state["state"].items():
        if place not in shapes or not isinstance(kept, dict):
            return str(place)
        for name, value in kept.items():
            whole = _told(value).split(" ", 1)[1] if isinstance(value, Tensor) and value.ndim else ""
            if isinstance(value, list | tuple | dict) or not shapes[place].endswith(whole):
                return str(name)
    return None


def _of_several(value: object) -> bool:
    """Whether an option of a group may hold something for each parameter."""
    if isinstance(value, tuple):  # betas, say
        return any(map(_of_several, value))
    return isinstance(value, list | dict) or (isinstance(value, Tensor) and value.ndim > 0)


def _in_another_order(saved: Names | None, here: Names) -> bool:
    """Whether both name all, and not alike."""
    return saved is not None and saved != here and all(name is not None for group in saved + here for name in group)


def _some(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:3])
    return shown + (", …" if len(names) > 3 else "") if names else "nothing of its own"


def in_order(state: dict, saved: Names | None, here: Names) -> dict:
    """The state of an optimizer with the parameters in the order that they have here."""
    if not _in_another_order(saved, here):
        return state
    places = iter(range(sum(map(len, saved))))
    place_of = {name: place for group in saved for name, place in zip(group, places, strict=False)}
    order = [place_of[name] for group in here for name in group]
    groups = []
    for ours, theirs, group in zip(here, saved, state["param_groups"], strict=True):
        moved = {"params": [place_of[name] for name in ours]}
        if "param_names" in group:
            moved["param_names"] = [group["param_names"][theirs.index(name)] for name in ours]
        groups.append(group | moved)
    return state | {"state": {p: state["state"][p] for p in order if p in state["state"]}, "param_groups": groups}


def mismatches(content: dict, parts: Mapping[str, object], names: Mapping[str, Names]) -> list[str]:
    """What in the file does not fit the parts at hand, a sentence each."""
    problems = [f"`{key}` is not in the file" for key in parts if key not in content["parts"]]
    problems += [f"`{key}` is in the file, but nobody asks for it" for key in content["parts"] if key not in parts]
    orders = []  # worth a word only where all else fits
    for key in parts.keys() & content["parts"].keys():
        saved, here = content["kinds"][key], kind_of(parts[key])
        if saved != here:
            problems.append(f"`{key}` was saved from {saved}, here it is {here}")
            continue
        saved, here = content["shapes"][key], shapes_of(parts[key])
        if key in names and sorted(saved) == sorted(here):  # as many groups, each of as many parameters
            theirs = content["names"].get(key)
            wrong = _order_problem(key, theirs, names[key], content, here)
            if wrong is None and _in_another_order(theirs, names[key]):
                continue  # the shapes are those of the model
            if wrong and Counter(saved.values()) == Counter(here.values()):
                orders.append(wrong)
                continue
        problems += [f"`{key}` lacks {one} in the file" for one in here if one not in saved]
        problems += [f"`{key}` has no {one}, the file has" for one in saved if one not in here]
        for one in saved.keys() & here.keys():
            if saved[one] != here[one]:
                problems.append(f"`{key}`, {one}: {saved[one]} in the file, {here[one]} here")
    return sorted(problems or orders)


def kind_of(part: object) -> str:
    """What a file and a run must agree on; a model is known by its tensors, whatever its class."""
    return "a model" if isinstance(part, nn.Module) else type(part).__name__


def shapes_of(part: object) -> dict[str, str]:
    """What must fit, by name: the tensors of a model, the parameters of an optimizer group by group."""
    if isinstance(part, nn.Module):
        return {f"`{key}`": _told(value) for key, value in part.state_dict().items()}
    if isinstance(part, Optimizer):
        groups = enumerate(part.param_groups)
        return {f"group {k} parameter {i}": _told(p) for k, group in groups for i, p in enumerate(group["params"])}
    return {}


def _told(value: object) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
