"""The check of notebook 01's exercise on checkpoints: a resumed run beside one that was never stopped, bit for bit."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from utils.guard import Wrong, call, check
from utils.internals.errors import in_short
from utils.internals.snapshots import same

__all__ = ["check_resume"]

_RECIPES = {  # how the optimizers of the exercise are built; its checkpoint holds an lr that was lowered since
    "SGD with momentum": lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9),
    "Adam": lambda params: torch.optim.Adam(params, lr=0.05),
}
_RESUME_HINTS = [
    (
        r'Unexpected key\(s\) in state_dict: "model", "optimizer"',
        "`checkpoint` holds two state dicts: take `['model']` for the model.",
    ),
    (
        r'Unexpected key\(s\) in state_dict: "state", "param_groups"',
        "That is the state dict of the optimizer: take `['model']` for the model.",
    ),
    (
        "KeyError: 'param_groups'",
        "`checkpoint` holds two state dicts: take `['optimizer']` for the optimizer.",
    ),
    (
        "KeyError: 'step'",  # Adam, given the state of another
        "The state is of another class of optimizer than yours: build the optimizer with `make_optimizer`.",
    ),
    ("_IncompatibleKeys", "`load_state_dict` works in place and returns no model: do not assign what it returns."),
    (r"torch\.load|\bopen\(", "`checkpoint` has been loaded already: it is the dict itself, not the name of a file."),
    (
        r"make_model\(\) takes|make_model\(\) got",
        "`make_model()` takes no argument: it makes a new model, into which `load_state_dict` then puts the numbers.",
    ),
    (
        r"'function' object has no attribute",
        "`make_model` and `make_optimizer` are functions: call them, and go on with what they return.",
    ),
    (
        "one of the params is torch.nn",
        "`make_optimizer` takes the parameters of a model, `model.parameters()`, and not the model itself.",
    ),
    ("'method' object is not iterable", "A method is called: `model.parameters()`, with its parentheses."),
    (
        r"one of the params is str|params argument given to the optimizer should be",
        "What you handed to `make_optimizer` is no list of parameters: it takes `model.parameters()`.",
    ),
    (
        r"'(dict|OrderedDict|collections\.OrderedDict)' object has no attribute '(model|optimizer)'",
        "`checkpoint` is a dict: `checkpoint['model']` and `checkpoint['optimizer']` are its two parts.",
    ),
    (
        r"'(dict|OrderedDict|collections\.OrderedDict)' object (has no attribute|is not callable)",
        "A state dict holds numbers and is no model and no optimizer: make those two first, then load it into them.",
    ),
]
_LOWERED, _BEFORE, _AFTER = 0.02, 5, 5  # lr of the checkpoint, steps before it, steps after it
_FURTHER = range(_BEFORE, _BEFORE + _AFTER)  # the numbers of the steps after it


def _fresh_model(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()


def _steps(model: nn.Module, optimizer: Optimizer, numbers) -> list[list[Tensor]]:
    """Take the steps with these numbers, each on a batch of its own; the parameters after each."""
    after = []
    for number in numbers:
        x = torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(number))
        optimizer.zero_grad()
        (model(x) - x.prod(1, keepdim=True)).square().mean().backward()
        optimizer.step()
        after.append([p.detach().clone() for p in model.parameters()])
    return after


@check
def check_resume(candidate) -> str:
    """Judge `resume(checkpoint, make_model, make_optimizer)`: (model, optimizer) that go on as if never stopped."""
    shared = [_judge_recipe(candidate, name, make_optimizer) for name, make_optimizer in _RECIPES.items()]
    praise = f"with {' and with '.join(_RECIPES)} all {_AFTER} further steps equal the uninterrupted run, bit for bit."
    if any(shared):
        praise += (
            "\nMind: `optimizer.load_state_dict` keeps the checkpoint's own tensors, so training on changed them. To "
            "resume twice from one checkpoint in memory, load a `copy.deepcopy` of it."
        )
    return praise


def _judge_recipe(candidate, name: str, make_optimizer: Callable) -> bool:
    """Raise Wrong if the answer does not go on with this optimizer; True if training on changed the checkpoint's."""
    checkpoint, truth, kind = _stopped(make_optimizer)
    untouched = copy.deepcopy(checkpoint)
    made = []  # every model made for the student, with the parameters that it had at birth

    def make_model():
        fresh = _fresh_model(1 + len(made))
        made.append((fresh, list(fresh.parameters())))
        return fresh

    make_model.__qualname__ = "make_model"  # the student reads it in an error
    resumed = call(candidate, checkpoint, make_model, make_optimizer).answer(hints=_RESUME_HINTS)
    model, optimizer = _judge_pair(resumed)
    _judge_methods(model, optimizer)
    _judge_parameters(model, optimizer, made)
    if _shapes(model.state_dict()) != _shapes(checkpoint["model"]):
        raise Wrong("The model that you return has other parameters than `checkpoint['model']`: take `make_model()`.")
    _judge_steps(name, model, optimizer, truth=truth, kind=kind, checkpoint=untouched)
    if not same(untouched["model"], checkpoint["model"]):
        raise Wrong(
            f"With {name} training on changed `checkpoint['model']`: your model shares its tensors, so nobody can "
            "resume from it twice. `load_state_dict` copies the numbers."
        )
    return not same(untouched["optimizer"], checkpoint["optimizer"])


def _stopped(make_optimizer: Callable) -> tuple[dict, list[list[Tensor]], type]:
    """A run that goes on: its checkpoint, the parameters after each further step, the class of its optimizer."""
    model = _fresh_model(0)
    optimizer = make_optimizer(model.parameters())
    _steps(model, optimizer, range(_BEFORE))
    optimizer.param_groups[0]["lr"] = _LOWERED
    checkpoint = copy.deepcopy({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    return checkpoint, _steps(model, optimizer, _FURTHER), type(optimizer)


def _shapes(state: dict) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def _judge_steps(
    name: str, model: nn.Module, optimizer: Optimizer, *, truth: list[list[Tensor]], kind: type, checkpoint: dict
) -> None:
    """Take the further steps with the answer's pair; raise Wrong where they are not those of the uninterrupted run."""
    suspicion = _resume_mistake(model, optimizer, checkpoint)
    other_class = type(optimizer) is not kind
    if other_class:
        kinds = f"Your optimizer is of the class `{type(optimizer).__name__}`, that of the checkpoint of"
        suspicion = f"{kinds} `{kind.__name__}`: build the optimizer with `make_optimizer`."
    outcome = call(_steps, model, optimizer, _FURTHER)
    if outcome.error:  # raised in no line of the student's
        raised = f"With {name} the run cannot go on: a step raises `{in_short(outcome.error)}`."
        raise Wrong(f"{raised}\n{suspicion}" if other_class else raised)
    path = outcome.answer(may_change=True)
    for number, (ours, theirs) in enumerate(zip(truth, path, strict=True), start=1):
        if not all(map(torch.equal, ours, theirs)):
            gap = max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))
            where = f"With {name} your run parts from the uninterrupted one at step {number} after resuming"
            raise Wrong(f"{where}: the parameters differ by up to {gap:.2g}.\n{suspicion}")


def _judge_pair(resumed) -> tuple[nn.Module, Optimizer]:
    if isinstance(resumed, nn.Module | Optimizer):
        only = "model" if isinstance(resumed, nn.Module) else "optimizer"
        raise Wrong(f"You returned only the {only}: going on takes the model and the optimizer, in this order.")
    if not isinstance(resumed, tuple | list) or len(resumed) != 2:
        raise Wrong(
            f"You returned an object of type `{type(resumed).__name__}`: a pair (model, optimizer) is asked for."
        )
    first, second = resumed
    if isinstance(first, Optimizer) and isinstance(second, nn.Module):
        raise Wrong("You returned (optimizer, model): the model comes first.")
    for thing, kind, name in ((first, nn.Module, "model"), (second, Optimizer, "optimizer")):
        if isinstance(thing, kind):
            continue
        found = "None" if thing is None else f"a `{type(thing).__name__}`"
        hint = ""
        if thing is None or type(thing).__name__ == "_IncompatibleKeys":  # what load_state_dict returns
            hint = f" `load_state_dict` works in place and returns no {name}: do not assign what it returns."
        elif isinstance(thing, dict):
            hint = f" That is what was saved: make the {name} by `make_{name}`, then load this into it."
        elif callable(thing):
            hint = f" Call `make_{name}`: what it returns is the {name}."
        should = "a module" if kind is nn.Module else "an optimizer"
        raise Wrong(f"In your pair there is {found} where {should} should be.{hint}")
    return first, second


def _judge_methods(model: nn.Module, optimizer: Optimizer) -> None:
    """`model.state_dict = …` hides the method of that name; the model keeps the numbers that it had."""
    for thing, name in ((model, "model"), (optimizer, "optimizer")):
        for key, value in vars(thing).items():
            if callable(getattr(type(thing), key, None)) and not callable(value):
                hint = f" `{name}.load_state_dict(checkpoint['{name}'])` puts what was saved into the {name}."
                raise Wrong(
                    f"You assigned to `{name}.{key}`, which is a method: now there is a `{type(value).__name__}` in "
                    f"its place, and the {name} itself is as it was.{hint if 'state' in key else ''}"
                )


def _judge_parameters(model: nn.Module, optimizer: Optimizer, made: list) -> None:
    """The optimizer must hold the very tensors that the model computes with."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    own = {id(p) for p in model.parameters()}
    if own <= held:
        return
    if own & held:
        raise Wrong(
            f"Your optimizer holds {len(own & held)} of the model's {len(own)} parameters: the others never move."
        )
    if any(model is fresh and held & {id(p) for p in birth} for fresh, birth in made):
        raise Wrong(
            "Your optimizer holds the parameters that the model had before they were replaced. Those get no gradient, "
            "so `step()` skips them. Which has to come first, or is replacing needed at all?"
        )
    raise Wrong(
        "Your optimizer was built on another model than the one you return. The parameters that it holds get no "
        "gradient, so `step()` skips them, and your model stays as it is. How many models do you make?"
    )


def _resume_mistake(model: nn.Module, optimizer: Optimizer, checkpoint: dict) -> str:
    """What is not the checkpoint's before the first further step."""
    if not same(checkpoint["model"], dict(model.state_dict())):
        return "The model that you return does not hold the parameters of `checkpoint['model']`: was it loaded?"
    ours, theirs = optimizer.state_dict(), checkpoint["optimizer"]
    if not ours["state"]:
        kept = ", ".join(f"`{key}`" for key in theirs["state"][0])
        return f"The optimizer starts from nothing: what `checkpoint['optimizer']` kept ({kept}) is lost."
    lr, kept = ours["param_groups"][0]["lr"], theirs["param_groups"][0]["lr"]
    if lr != kept:
        return f"The lr is {float(lr):g} where the checkpoint has {kept:g}: who sets it after the state was loaded?"
    if not same(theirs["state"], ours["state"]):
        return (
            "The optimizer has a state, but not that of `checkpoint['optimizer']`: does anything change it afterwards?"
        )
    return "Model, state and lr are right before that step: does anything else change what a step does?"
