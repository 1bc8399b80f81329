"""Tables made from the installed torch: the parameters of an optimizer, and what every optimizer keeps and needs.

torch says which classes, parameters, types and defaults there are, and trials say what a class keeps and refuses. The
only words typed here are the descriptions; discrepancies() names each that is missing and each that has no object.
Longer than two screens by the words that describe each class.
"""

import inspect
import types
import typing

import torch
from torch import Tensor, nn, optim
from torch.optim import Optimizer

from utils.reference import signatures, versions
from utils.reference.signatures import NOT_DESCRIBED, check_class, described_parameters, public_classes
from utils.reference.table import Table

# --- the words ------------------------------------------------------------------------------------------------------

PURPOSES = {
    "SGD": "the plain step; with momentum for ravines",
    "Adagrad": "a step size per parameter; rare features",
    "RMSprop": "a step size per parameter that forgets",
    "Adam": "momentum and a step size per parameter, both unbiased",
    "AdamW": "Adam whose weight decay is the same for all parameters",
    "NAdam": "Adam that looks ahead as Nesterov does",
    "RAdam": "Adam that starts as momentum until its scale is reliable",
    "Adamax": "Adam that scales by the largest recent gradient",
    "Adadelta": "steps sized by earlier steps; lr is only a factor",
    "ASGD": "SGD that also keeps the average of the points it visits",
    "Rprop": "full batches: uses only the sign of the gradient",
    "Adafactor": "large matrices in little memory: rows and columns share",
    "LBFGS": "small, smooth, full-batch problems: learns the curvature",
    "SparseAdam": "embeddings: touches only the rows that occur",
    "Muon": "weight matrices of hidden layers: all directions equally far",
}

SHARED = {  # what a parameter does wherever its class has no words of its own below
    "params": "the tensors to train: an iterable of tensors, of (name, tensor) pairs or of groups (dicts)",
    "lr": "step size, the factor before the whole update; a Tensor can be changed without recompiling",
    "betas": "how much of the old average is kept at each step: (of the gradient, of its square)",
    "eps": "added to the denominator, outside the root; bounds the step where gradients are tiny",
    "weight_decay": "adds weight_decay × parameter to the gradient (L2), before everything else",
    "momentum": "how much of the old velocity is kept at each step; 0 keeps none and stores nothing",
    "nesterov": "steps along the gradient plus momentum × the new velocity: looks one step ahead",
    "amsgrad": "divides by the largest average of squares so far, so a scale never shrinks again",
    "decoupled_weight_decay": "True: shrinks the parameter by lr × weight_decay, past the averages, as AdamW does",
    "maximize": "climbs: turns the sign of the gradient around",
    "foreach": "one call for many tensors in place of a loop; same result, more memory; None: torch decides",
    "fused": "the whole update as one kernel, on CPU too; excludes foreach and differentiable",
    "capturable": "keeps what a step needs on the device, for CUDA graphs and torch.compile",
    "differentiable": "lets autograd record the step, so that one can differentiate through training",
}

OWN = {
    "SGD": {"dampening": "the new gradient counts (1 − dampening) times, from the second step on; needs momentum"},
    "Adagrad": {
        "lr_decay": "at step t lr is divided by 1 + (t − 1) × lr_decay, on top of the growing sum",
        "initial_accumulator_value": "where the sum of squares starts; above 0 it tames the first steps",
    },
    "RMSprop": {
        "alpha": "how much of the old average of squares is kept at each step",
        "momentum": "how much of the old velocity is kept; the velocity is of scaled gradients",
        "centered": "divides by an estimate of the gradient's standard deviation: the mean is subtracted",
    },
    "AdamW": {"weight_decay": "shrinks the parameter by lr × weight_decay, past the averages (decoupled)"},
    "NAdam": {"momentum_decay": "how fast the schedule of its momentum rises to betas[0]"},
    "Adamax": {
        "betas": "how much is kept: (of the average gradient, of the largest gradient)",
        "eps": "added to each new gradient's size before the largest is taken",
    },
    "Adadelta": {
        "rho": "how much of both averages of squares (gradients, steps) is kept at each step",
        "eps": "added inside both roots; it sets the size of the first step",
    },
    "ASGD": {
        "lambd": "decay: lr falls with it, and each step shrinks the parameter by lr × lambd",
        "alpha": "the power with which lr falls",
        "t0": "the step at which averaging starts",
    },
    "Rprop": {
        "lr": "the length of the first step of every parameter",
        "etas": "factors of the step length: (after a change of sign, after the same sign)",
        "step_sizes": "the shortest and the longest step allowed",
    },
    "Adafactor": {
        "lr": "upper bound of the relative step size; so is 1 / √t",
        "beta2_decay": "the average of squares keeps 1 − t^beta2_decay at step t",
        "eps": "(least size of a gradient, least size of a parameter for the relative step)",
        "d": "an update whose root mean square is above d is scaled down to it",
        "weight_decay": "shrinks the parameter by lr × weight_decay (decoupled)",
    },
    "LBFGS": {
        "lr": "step size along the direction found; 1 is the full step",
        "max_iter": "iterations within one call of step",
        "max_eval": "calls of the closure within one call of step; None: 1.25 × max_iter",
        "tolerance_grad": "stops when no entry of the gradient is larger",
        "tolerance_change": "stops when parameter or loss changes by less",
        "history_size": "how many past steps the curvature is learnt from",
        "line_search_fn": '"strong_wolfe": try several lengths per step; None: trust lr',
    },
    "Muon": {
        "lr": "step size of the orthogonalised update",
        "momentum": "how much of the old velocity is kept at each step",
        "nesterov": "steps along (1 − momentum) × the gradient plus momentum × the new velocity",
        "weight_decay": "shrinks the matrix by lr × weight_decay (decoupled)",
        "ns_coefficients": "the three coefficients of the Newton–Schulz polynomial",
        "eps": "least norm by which the velocity is divided before orthogonalising",
        "ns_steps": "iterations of Newton–Schulz: more come closer to orthogonal",
        "adjust_lr_fn": 'how lr follows the shape: "original" (also None) or "match_rms_adamw"',
    },
}


# --- what torch says ------------------------------------------------------------------------------------------------


def optimizer_classes() -> dict[str, type[Optimizer]]:
    """Every optimizer class that torch.optim exports: those we describe first and in our order, then the others."""
    return public_classes(vars(optim), Optimizer, order=PURPOSES)


def discrepancies(classes: dict[str, type[Optimizer]] | None = None) -> list[str]:
    """A sentence for each class or parameter without a description, and for each description without an object."""
    classes = optimizer_classes() if classes is None else classes
    needed, unread = {"purpose": PURPOSES}, "a parameter of no optimizer"
    return signatures.discrepancies(classes, shared=SHARED, own=OWN, needed=needed, where="torch.optim", unread=unread)


def parameter_table(optimizer_class: type[Optimizer]) -> Table:
    """The parameters of a class of torch.optim: type, default, whether keyword-only, and what each does.

    Raises TypeError for what is no optimizer class.
    """
    check_class(optimizer_class, Optimizer, kind="an optimizer", function="parameter_table", example="torch.optim.SGD")
    hints = typing.get_type_hints(optimizer_class.__init__)
    rows = []
    for parameter, words in described_parameters(optimizer_class, shared=SHARED, own=OWN):
        name, required = parameter.name, parameter.default is parameter.empty
        kind = "iterable" if name == "params" else short_type(hints.get(name, typing.Any))
        default = "required" if required else f"`{parameter.default!r}`"
        keyword_only = "yes" if parameter.kind is parameter.KEYWORD_ONLY else "no"
        rows.append((f"`{name}`", kind, default, keyword_only, words))
    headers = ("parameter", "type", "default", "keyword-only", "what it does")
    return Table(headers, tuple(rows), note=versions.note(versions.changes_of("optimizer", optimizer_class)))


def short_type(hint) -> str:
    """A type hint as one would say it: "float or Tensor", "pair of float", "bool or None"."""
    arguments = typing.get_args(hint)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return " or ".join(map(short_type, arguments))
    if typing.get_origin(hint) is tuple:
        words = list(map(short_type, arguments))
        group = {2: "pair", 3: "triple"}.get(len(words))
        return f"{group} of {words[0]}" if group and len(set(words)) == 1 else f"({', '.join(words)})"
    if hint is types.NoneType:
        return "None"
    return getattr(hint, "__name__", str(hint))


# --- what trials say ------------------------------------------------------------------------------------------------

SIDE = 128  # of the matrix that is trained to weigh the state: a 0-d step counter is 1/4000 byte per element of it
ADDS_STATE = {"momentum": 0.9, "amsgrad": True, "centered": True}  # options that are off by default and store more


def optimizer_table() -> Table:
    """Every optimizer of torch.optim: purpose, state in bytes per float32 element, what it takes and refuses."""
    # Said aloud, even if to say no: torch warns once per process when nobody chose.
    with torch.sparse.check_sparse_tensor_invariants(enable=False):
        rows = [
            (f"`{name}`", PURPOSES.get(name, NOT_DESCRIBED), _state_in_words(made), *_takes(made))
            for name, made in optimizer_classes().items()
        ]
    headers = ("optimizer", "what it is for", "state, bytes per element", "`step` needs", "shapes", "gradients")
    return Table(headers, tuple(rows), note=versions.note(versions.differences("optimizer", optimizer_classes())))


def state_bytes(optimizer_class: type[Optimizer], *, steps: int = 1, **options) -> float:
    """Bytes of state per float32 parameter element after `steps` steps with these options.

    A class that takes only sparse gradients gets gradients with one entry for every element.
    """
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(SIDE, SIDE, generator=generator)
    curvature = torch.logspace(0, 4, SIDE)
    matrix = nn.Parameter(torch.zeros(SIDE, SIDE))
    optimizer = optimizer_class([matrix], **options)
    sparse = not _works(optimizer_class)

    def closure():
        loss = (curvature * (matrix - target) ** 2).sum()
        matrix.grad = torch.autograd.grad(loss, matrix)[0]
        if sparse:
            matrix.grad = matrix.grad.to_sparse(1)
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    # A tensor that is the gradient itself is counted: the optimizer keeps it alive.
    return sum(t.numel() * t.element_size() for t in _tensors(optimizer.state[matrix])) / matrix.numel()


def _tensors(state) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    items = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return [tensor for item in items for tensor in _tensors(item)]


def _state_in_words(optimizer_class: type[Optimizer]) -> str:
    parameters = inspect.signature(optimizer_class).parameters
    if not any(_works(optimizer_class, sparse=sparse) for sparse in (False, True)):
        return "(not tried)"
    if "history_size" in parameters:
        one, five, six = (state_bytes(optimizer_class, lr=0.1, tolerance_change=0, max_iter=n) for n in (1, 5, 6))
        return f"{one:.2g}, plus {six - five:.2g} per step kept"
    words = f"{state_bytes(optimizer_class):.2g}"
    for option, value in ADDS_STATE.items():
        if option in parameters and not parameters[option].default:
            words += f"; {state_bytes(optimizer_class, **{option: value}):.2g} with {option}"
    return words


def _takes(optimizer_class: type[Optimizer]) -> tuple[str, str, str]:
    """(closure or nothing, shapes, kinds of gradients), each by trying."""
    dense, sparse = _works(optimizer_class), _works(optimizer_class, sparse=True)
    vector = _works(optimizer_class, shape=(3,)) or _works(optimizer_class, shape=(3,), sparse=True)
    kinds = {(True, True): "dense, sparse", (True, False): "dense", (False, True): "sparse only"}
    closure = _works(optimizer_class, closure=False, sparse=not dense)
    return "" if closure else "a closure", "any" if vector else "2-D only", kinds.get((dense, sparse), "none")


def _works(optimizer_class, *, shape=(3, 2), sparse: bool = False, closure: bool = True) -> bool:
    """Whether a step on a parameter of this shape, with a dense or a sparse gradient, goes through and moves it."""
    parameter = nn.Parameter(torch.ones(shape))
    gradient = torch.ones(shape)
    parameter.grad = gradient.to_sparse(1) if sparse else gradient
    try:
        optimizer = optimizer_class([parameter])
        optimizer.step(lambda: torch.tensor(1.0)) if closure else optimizer.step()
    except (RuntimeError, ValueError, TypeError):
        return False
    return not torch.equal(parameter.detach(), torch.ones(shape))
