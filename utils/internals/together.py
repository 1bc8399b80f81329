"""All replicas of a sweep moved by one optimizer: for those that treat every number on its own.

The seeds are stacked inside a parameter, the lrs are groups, and one step moves all. Classes of torch whose source is
known are tested once, in this layout. All others are watched at every step, since no test of some steps says what an
optimizer does later.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from inspect import signature
from types import FunctionType

import torch
from torch import Tensor, nn, optim
from torch.optim import Optimizer, lr_scheduler

from utils.internals.errors import text_of
from utils.internals.process_state import generator_kept
from utils.internals.replicas import Make, Schedule, Separate, is_trained, stacked
from utils.internals.torch_steps import has_hooks, note_as_stepped, step_without_profiler
from utils.internals.watched import NoWayOut, NumberByNumber, Unproven

_OPTIMIZERS = "SGD Adam AdamW Adagrad RMSprop Adadelta Adamax ASGD NAdam RAdam Rprop"
_SCHEDULERS = (
    "LambdaLR MultiplicativeLR StepLR MultiStepLR ConstantLR LinearLR ExponentialLR PolynomialLR CosineAnnealingLR "
    "CosineAnnealingWarmRestarts OneCycleLR SequentialLR ChainedScheduler"
)
# An older torch may lack a class. An heir is not its parent: its step may do anything.
ELEMENTWISE = {getattr(optim, name) for name in _OPTIMIZERS.split() if hasattr(optim, name)}
BY_THE_STEP = {getattr(lr_scheduler, name) for name in _SCHEDULERS.split() if hasattr(lr_scheduler, name)}


class MissingGradient(Exception):
    """The loss does not use all that is trained."""


class Together:
    """All replicas of a sweep under one optimizer; `leaves` are the shared tensors, as in Separate.

    leads        one optimizer per lr, as a run alone has it; that of the i-th lr is for the i-th seed, beginning anew
                 after the last. Schedulers set their options
    schedulers   that of each lead, or None
    combine      groups → the optimizer for all; by default of the class and with the options of the leads
    watched      for an optimizer that nobody knows, the parameters of each lead. The leads go along, and step() raises
                 Unproven unless it treats every number on its own and every lead is where its replica is
    """

    def __init__(self, starts: Sequence[dict], leads: Sequence, schedulers=None, *, combine=None, watched=None):
        self._starts, self._leads, self._schedulers = starts, leads, schedulers or [None] * len(leads)
        self._shapes = {key: start.shape for key, start in starts[0].items() if is_trained(start)}
        self._sizes = [shape.numel() for shape in self._shapes.values()]
        # One flat parameter per lr, (seeds, numbers of a replica): few large calls of the optimizer, not many small.
        rows = [torch.cat([start[key].detach().flatten() for key in self._shapes]) for start in starts]
        self._all = stacked(rows, len(leads)).detach()
        parts = dict(zip(self._shapes, self._all.split(self._sizes, dim=-1), strict=True))
        self.leaves = {}
        for key, start in starts[0].items():  # a part shares the memory of `_all`
            part = parts[key].view(*self._all.shape[:2], *start.shape) if key in parts else None
            self.leaves[key] = stacked([s[key] for s in starts], len(leads)) if part is None else part.requires_grad_()
        self._copies = [nn.Parameter(part) for part in self._all]
        groups = [_options(lead) | {"params": [copy]} for lead, copy in zip(leads, self._copies, strict=True)]
        if combine:
            watch = NumberByNumber(self._copies[0].shape)
            with NoWayOut(watch), watch:
                self._optimizer = combine(groups)
            watch.check()
        else:
            self._optimizer = _like(leads[0], groups)
        self._watched = watched
        self._step, *self._lead_steps = map(step_without_profiler, [self._optimizer, *(leads if watched else [])])
        if watched:
            self._seeds = torch.arange(len(leads)) % len(starts)
            self._begin = self._all[torch.arange(len(leads)), self._seeds]
            self._check(self._optimizer.param_groups, groups)
        for lead in leads:  # without the wrapper of step, schedulers would not see one
            note_as_stepped(lead)

    @staticmethod
    def _check(groups: Sequence[dict], wanted: Sequence[dict]) -> None:
        if [*map(_identity, groups)] != [*map(_identity, wanted)]:
            raise Unproven("its groups are not those that it got")

    def step(self) -> None:
        """Move every replica along the gradients of the leaves.

        Raises MissingGradient, or Unproven where it is watched, if something that is trained has none: alone, it would
        not be touched.
        """
        if any(self.leaves[key].grad is None for key in self._shapes):
            raise Unproven("a gradient is missing") if self._watched else MissingGradient
        gradients = torch.cat([_flat(self.leaves[key].grad) for key in self._shapes], dim=-1)
        if self._watched:
            for lead_params, gradient in zip(
                self._watched, gradients[range(len(self._leads)), self._seeds], strict=True
            ):
                for parameter, part in zip(lead_params, gradient.split(self._sizes), strict=True):
                    parameter.grad = part.view(parameter.shape)
        for copy, gradient in zip(self._copies, gradients.unbind(), strict=True):
            copy.grad = gradient
        if self._watched:
            self._step_watched()
        else:
            self._step()
        for leaf in self.leaves.values():
            leaf.grad = None
        for group, lead, scheduler in zip(self._optimizer.param_groups, self._leads, self._schedulers, strict=True):
            if scheduler is not None:
                before = _options(lead)
                scheduler.step()
                changed = {name: value for name, value in _options(lead).items() if before.get(name) is not value}
                group.update(changed)

    def _step_watched(self) -> None:
        watch = NumberByNumber(self._copies[0].shape)
        try:
            with generator_kept():
                with NoWayOut(watch), watch:
                    self._step()
                for step in self._lead_steps:
                    step()
        except Exception as error:  # a run alone may raise it as well, or not
            raise Unproven(text_of(error)) from error
        watch.check()
        for copy, part in zip(self._copies, self._all, strict=True):
            if copy.data_ptr() != part.data_ptr():
                part.copy_(copy.detach())
        alone = torch.stack([torch.cat([p.detach().flatten() for p in params]) for params in self._watched])
        here = self._all[torch.arange(len(self._leads)), self._seeds]
        if not torch.equal(alone, here):  # rounding, a gap or a run that has diverged
            way = (alone - self._begin).abs().amax(dim=1, keepdim=True)
            close = (alone - here).abs() <= 1e-5 * way + 4 * torch.finfo(here.dtype).eps * alone.abs()
            if not (close | (alone == here) | (alone.isnan() & here.isnan())).all():
                raise Unproven("its replicas do not go where they go alone")

    def apart(self, seeds: Sequence[int], lrs: Sequence[float], make: Make, schedule: Schedule) -> Separate:
        """A Separate that goes on from here: numbers, gradients, the state of optimizers and schedulers."""
        separate = Separate(self._starts, seeds, lrs, make, schedule)
        for key, leaf in separate.leaves.items():
            leaf.detach().copy_(self.leaves[key].detach())
        separate.take_gradients(self.leaves)
        for place, replica in enumerate(separate.replicas):
            i, j = divmod(place, len(seeds))
            trained = [parameter for parameter in replica.params if parameter.requires_grad]
            for name, value in self._optimizer.state[self._copies[i]].items():
                for parameter, part in zip(trained, self._parts(value, j), strict=True):
                    replica.optimizer.state[parameter][name] = part
            replica.optimizer.param_groups[0].update(_options(self._leads[i]))
            if replica.scheduler is not None:
                replica.scheduler.load_state_dict(deepcopy(self._schedulers[i].state_dict()))
                note_as_stepped(replica.optimizer)
        return separate

    def _parts(self, value, place: int) -> Iterator:
        """What a replica's parameters have of a value in the optimizer's state."""
        if isinstance(value, Tensor) and value.shape == self._copies[0].shape:
            for part, shape in zip(value[place].split(self._sizes), self._shapes.values(), strict=True):
                yield part.reshape(shape).clone()
        else:  # a number for all, such as the count of steps
            for _ in self._sizes:
                yield deepcopy(value)


def can_go_together(starts: Sequence[dict], leads: Sequence[Optimizer], params: Sequence[Sequence[Tensor]]) -> bool:
    """Whether one optimizer can be tried on all replicas: of one class, one group, numbers of one kind.

    leads have no schedulers yet; params are the parameters that each of them was made for.
    """
    trained = [start for start in starts[0].values() if is_trained(start)]
    dtypes = {start.dtype for start in trained}
    if len(dtypes) != 1 or next(iter(dtypes)).is_complex or len({type(lead) for lead in leads}) > 1:
        return False
    # A factory may give layers options of their own, or leave some out.
    groups = [getattr(lead, "param_groups", ()) for lead in leads]
    return all(
        len(own) == 1 and [*map(id, own[0]["params"])] == [*map(id, given)]
        for own, given in zip(groups, params, strict=True)
    )


def is_known(leads: Sequence[Optimizer]) -> bool:
    """Whether one optimizer does for all replicas what each of these, which can go together, does for its own."""
    plain = all(type(lead) in ELEMENTWISE and "step" not in vars(lead) and not has_hooks(lead) for lead in leads)
    return plain and _moves_as_alone(leads[0])


def _moves_as_alone(lead: Optimizer) -> bool:
    """Some steps of two lrs and two seeds, together and apart, on tensors of 0, 1 and 2 axes: do they go the same way?

    Gaps are held against the way gone, so that tiny steps count as much as large ones.
    """
    draw = torch.Generator().manual_seed(0)
    shapes = {"number": (), "row": (3,), "matrix": (2, 3)}
    starts = [{key: torch.randn(shape, generator=draw).double() for key, shape in shapes.items()} for _ in range(2)]
    lrs = [0.01, 0.3]

    def make(params, lr):
        return _like(lead, [_options(lead) | {"params": params, "lr": lr}], lr=lr)

    try:
        leads = [make([nn.Parameter(value.clone()) for value in starts[0].values()], lr) for lr in lrs]
        together, separate = Together(starts, leads), Separate(starts, (0, 1), lrs, make)
        for _ in range(5):
            for key, shape in shapes.items():
                gradient = torch.randn(2, 2, *shape, generator=draw).double()
                gradient[:, 1] *= 100
                together.leaves[key].grad, separate.leaves[key].grad = gradient.clone(), gradient
            together.step()
            separate.step()
    except Exception:
        return False
    for key in shapes:
        start = torch.stack([each[key] for each in starts])
        way = _flat(separate.leaves[key].detach() - start)
        gap = _flat(together.leaves[key].detach() - start) - way
        if not (gap.abs().amax(2) <= 1e-6 * way.abs().amax(2)).all():
            return False
    return True


def goes_by_the_step(scheduler) -> bool:
    """Whether what this scheduler does depends on nothing but the count of its steps: then one serves all seeds."""
    parts = getattr(scheduler, "_schedulers", [])
    functions = getattr(scheduler, "lr_lambdas", [])
    return type(scheduler) in BY_THE_STEP and all(map(goes_by_the_step, parts)) and all(map(_is_pure, functions))


def _is_pure(function) -> bool:
    """Whether a function has no variables but numbers and functions of the same kind; its globals are not searched."""
    if not isinstance(function, FunctionType):
        return False
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return all(isinstance(value, int | float | str) or _is_pure(value) for value in cells)


def _like(optimizer: Optimizer, groups: list[dict], **changed) -> Optimizer:
    """Another optimizer of the same class and options, but for what is changed, for these groups."""
    known = optimizer.defaults | changed
    options = {name: known[name] for name in signature(type(optimizer)).parameters if name in known}
    return type(optimizer)(groups, **options)


def _options(optimizer: Optimizer) -> dict:
    """Those of its only group."""
    return {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}


def _identity(group: dict) -> tuple:
    return group["lr"], [*map(id, group["params"])]


def _flat(tensor: Tensor) -> Tensor:
    """(lrs, seeds, …) → (lrs, seeds, numbers of a replica)."""
    return tensor.reshape(*tensor.shape[:2], -1)
