"""All histories that an optimizer is examined on, and what a difference in each mostly comes from."""

import torch

from utils.checks.examiner.cases import Case

VALUES = [
    Case("one vector"),
    Case("one vector once more"),  # by a second optimizer: see OUTLIVES
    Case("a matrix", shapes=((3, 2),)),
    Case("two parameters of one shape", shapes=((4,), (4,))),
    Case("parameters of several shapes", shapes=((4,), (2, 3), (3, 1, 2))),
    Case("gradients that shrink from 1e3 to 1e-3", shapes=((5,),), scale=(1e3, 1e-3)),
    Case("tiny gradients", start=0.0, scale=(1e-7, 1e-6)),
    Case("gradients with zeros", shapes=((6,), (3,)), zeros=0.4),
]
OUTLIVES = (
    "A second optimizer on parameters of its own does not do what the first did: something outlives it (a "
    "buffer or a counter of the class, a default argument like `state={}`, a global), or is random or `torch.empty`. "
    "Keep what it needs in `self.state[p]`."
)
IN_PLACE = "Where lr is a tensor, `lr *= …` changes the one in the group: write `lr = lr * …`, or `float(group['lr'])`."
OWN_OPTIONS = "groups with their own options"  # which, depends on what both optimizers have
_GROUP = "what was kept in `__init__` or stands in `self.defaults` knows nothing of groups."
_OUTSIDE = (
    "What an optimizer keeps outside `self.state` and `param_groups`, such as `self.t`, or does not load is lost."
)
_LOST = f"{_OUTSIDE} Read options from `group` and keep the rest in `self.state[p]`."
_ONCE = (
    "`model.parameters()` is a generator: it has no length, and after it was read once it is empty. Begin `__init__` "
    "with `params = list(params)`, or loop over `self.param_groups` after `super().__init__(…)`."
)
_NONE = (
    "A parameter whose `p.grad` is None stays where it is, and so does its state. Leave such out first, and where "
    "none is left, do nothing: `torch.stack`, `max` and `torch._foreach_…` refuse empty lists."
)
_DTYPE = (
    "Make the state with `torch.zeros_like(p)`: it then has p's dtype. And update `p` itself: `p.float()` is a copy."
)
CONTRACT = [
    Case(
        "a long walk",
        least_steps=200,
        hint="It agrees at first, and no longer after many steps: a counter or a power of a beta runs out, or what "
        "was to happen once, or every so many steps, happens at other steps.",
    ),
    Case(
        "groups with their own lr",
        shapes=((3,), (3,), (2, 2)),
        lrs=(0.7, 0.3, 2.0),  # none is the default, so that it is seen where an lr was read
        hint="Read every option from `group`, inside the loop over `self.param_groups`.",
    ),
    Case(
        OWN_OPTIONS,
        shapes=((3,), (2, 2)),
        lrs=(1.0, 1.0),
        most_steps=4,
        hint=f"Read them from `group`, inside the loop over `self.param_groups`: {_GROUP}",
    ),
    Case("a scheduler that changes lr", schedule=0.8, hint="Read `group['lr']` anew in every step."),
    Case(
        "a warm-up from lr 0",
        warm_up=2,
        most_steps=4,
        hint="An lr of 0 is an lr: the state goes on, the parameter stays where it is. Do not divide by lr.",
    ),
    Case(
        "an lr that is a tensor",
        shapes=((3,), (2, 2)),
        lrs=(0.7, 2.0),
        tensor_lr=True,
        most_steps=4,
        refusable="tensor",
        hint=IN_PLACE,
    ),
    Case(
        "a group added later",
        shapes=((3,), (3,)),
        event="late",
        lrs=(0.7, 0.3),
        hint="Make the state of a parameter in the first `step` that meets it, not in `__init__`.",
    ),
    Case("a generator of parameters", shapes=((3,), (2, 2)), given="generator", most_steps=2, hint=_ONCE),
    Case(
        "groups with generators of parameters",
        shapes=((3,), (2, 2)),
        lrs=(0.7, 2.0),
        given="generator",
        most_steps=2,
        hint=_ONCE,
    ),
    Case(
        "named parameters",
        shapes=((3,), (2, 2)),
        given="named",
        most_steps=2,
        hint="`model.named_parameters()` gives pairs of a name and a parameter, which `super().__init__(…)` takes. "
        "After it read the parameters from `self.param_groups`.",
    ),
    Case(
        "a group without parameters",
        shapes=((3,), (2, 2)),
        lrs=(0.7, 2.0),
        given="empty group",
        most_steps=2,
        hint="A group may be empty: do not take its first parameter, and hand no empty list to `torch._foreach_…`.",
    ),
    Case(
        "gradients that are None",
        shapes=((3,), (2,), (3,)),
        absent="some",
        hint="A parameter whose `p.grad` is None is to be skipped, with its state left as it is.",
    ),
    Case("no gradient at all", shapes=((3,), (2, 2)), absent="all", most_steps=5, hint=_NONE),
    Case(
        "a group without any gradient",
        shapes=((3,), (2, 2)),
        lrs=(0.7, 2.0),
        absent="in turn",
        most_steps=5,
        hint=_NONE,
    ),
    Case(
        "gradients written into the same memory",
        shapes=((3,), (2, 2)),
        reused=True,
        hint="Your state holds `p.grad` itself, and the next gradient overwrites it: keep a copy, `p.grad.clone()`.",
    ),
    Case(
        "weights that are not contiguous",
        shapes=((2, 3, 2, 2), (3, 4)),
        strided=True,
        most_steps=4,
        hint="Such weights come from `channels_last` or `.T`. `p.view(-1)` fails on them, and `p.reshape(-1)` "
        "or `p.flatten()` is a copy: what happens to it never reaches `p`. Update `p` itself, in its own shape.",
    ),
    Case(
        "weights loaded and moved after it was built",
        shapes=((3,), (2, 2)),
        event="moved",
        most_steps=6,
        hint="`model.load_state_dict(…)` gives `p` other values, `model.to(…)` other memory. Read and write `p` itself "
        "in every step: `__init__` is too early for a copy of it, and `p.data` or a view is not to be kept.",
    ),
    Case(
        "a state_dict saved and loaded half-way", shapes=((3,), (2, 2)), lrs=(0.7, 2.0), event="state_dict", hint=_LOST
    ),
    Case("a deepcopy half-way", shapes=((3,), (2, 2)), event="deepcopy", hint=_LOST),
    Case("a pickle half-way", shapes=((3,), (2, 2)), event="pickle", hint=_LOST),
    Case("maximize", maximize=True, hint="With `maximize` the gradient changes its sign, before the weight decay."),
    Case(
        "a large matrix",
        shapes=((40, 50),),
        most_steps=3,
        hint="All entries of a parameter move by one rule, however many there are.",
    ),
    Case("0-d parameters", shapes=((), (1,))),
    Case("empty parameters", shapes=((0,), (2, 0), (2,)), most_steps=3),
    Case("float32", dtypes=(torch.float32,), start=1e-3, hint=_DTYPE),
    Case("bfloat16", dtypes=(torch.bfloat16,), start=1e-3, hint=_DTYPE),
    Case(
        "parameters of several dtypes",
        shapes=((3,), (3,), (3,)),
        dtypes=(torch.float64, torch.float32, torch.bfloat16),
        start=1e-3,
        most_steps=3,
        hint=f"Join no tensors of several parameters. {_DTYPE}",
    ),
    Case(
        "complex parameters",
        dtypes=(torch.complex128,),
        refusable="complex",
        hint="A square is taken of real and imaginary part apart: work on `torch.view_as_real(p)`, or refuse complex "
        "parameters with an error that says so.",
    ),
    Case(
        "sparse gradients",
        shapes=((4, 2),),
        refusable="sparse",
        refused_alike=True,
        hint="Refuse them before anything is changed: `if p.grad.is_sparse: raise RuntimeError('… sparse gradients')`.",
    ),
]
SIDE_BY_SIDE = Case(
    "two optimizers at once on one model",
    shapes=((3, 2), (3, 2)),
    lrs=(1.0, 0.3),
    hint="They disturb each other: a buffer, a counter or an option of the class, of a default argument or a global is "
    "one for both. Keep it in `self.state[p]`, or in `self` of one optimizer.",
)
TWICE = Case(
    "a parameter in two groups is refused",
    shapes=((3, 2), (3, 2)),
    hint="`add_param_group` of `Optimizer` refuses it, or weights that two layers share would move twice in a step: "
    "call it, also through `super().__init__(…)`.",
)
