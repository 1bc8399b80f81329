"""What a recipe spends: how often each parameter moves and how often gradients are taken, whoever does it.

Optimizers are not trusted to say it. Seen are the values of the parameters (of the model, of every optimizer that
steps, whether it is one of torch or not), each gradient of theirs, and every convolution that torch computes, with the
weights and the rows that it is given. So it does not matter whether an update is written through `.data`, a view,
`load_state_dict` or NumPy, nor whether a copy of the model is trained.

Not seen is what runs in another process, convolutions of another's weights that are written as matrix products, rows
that were changed before they are shown, what a recipe keeps from call to call and hides well, and what it does to these
modules themselves.
"""

import contextlib
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from utils.internals.torch_steps import Operations

_FORWARD, _BACKWARD = torch.ops.aten.convolution.default, torch.ops.aten.convolution_backward.default
BACK = 1e-3  # a move is taken back if what is left of it is a smaller share


@dataclass(frozen=True)
class Spent:
    """What a run spent.

    steps        calls of `step` of optimizers
    moves        how often the parameter moved that moved most often; most_moves: on one batch
    gradients    how often a gradient of it was taken, or of so many rows; most_gradients: on one batch
    batches      how many batches were taken
    breach       the sentence that says which rule was broken first, or None
    """

    steps: int
    moves: int
    gradients: int
    most_moves: int
    most_gradients: int
    batches: int
    breach: str | None = None


@dataclass(eq=False)
class _Record:
    """One parameter: its value when last seen, its moves on this batch, and whether more is known since the last one.

    A move is (the value before, whether it counts). What is done with no new gradient and no new forward pass is part
    of the move before it, unless an optimizer's `step` does it. What is done with those of the batch before counts
    there.
    """

    tensor: Tensor
    memory: np.ndarray  # that of the tensor, read without an operation of torch
    place: int
    value: np.ndarray
    written: bytes
    moves: list[tuple[np.ndarray, bool]] = field(default_factory=list)
    informed: int | None = None  # the number of the batch on which more was known
    hooked: bool = False
    gradients: int = 0  # on this batch, of however many rows
    moves_before: int = 0  # on the batch before
    all_moves: int = 0
    all_gradients: float = 0.0  # of a whole batch's rows
    before_step: tuple[np.ndarray, int] | None = None

    def counted(self) -> int:
        return sum(counts for _, counts in self.moves)

    def now(self) -> np.ndarray:
        """The present numbers."""
        if self.place != (place := _place(self.tensor)) or self.tensor.dtype == torch.bfloat16:
            self.place, self.memory = place, _memory(self.tensor)
        return self.memory


class Spendthrift(BaseException):
    """Ends a run that has broken a rule; `except Exception` does not catch it."""


class Budget:
    """One move and `gradients` gradients per batch, of `rows` rows; a batch that is kept may be used later.

    model       whose run it is
    batches     how many there are
    forbidden   images (n, 1, 8, 8) that the network must not be shown
    """

    def __init__(self, model: nn.Module, *, batches: int, rows: int, gradients: int, forbidden: Tensor):
        self.model, self.batches, self.rows, self.limit = model, batches, rows, gradients
        self.taken = self.used = self.steps = self.most_moves = self.most_gradients = 0
        self._allowed_before = 0
        self.breach: str | None = None
        self.records: dict[int, _Record] = {}
        self.stepping: list[Optimizer] = []
        self.work = self.all_work = 0.0  # of convolutions' gradients, on this batch and in all, in units of one batch's
        self.passes: dict[
            tuple, int
        ] = {}  # how often gradients went through a convolution, by the shape of its weights
        self.strangers: dict[tuple, list[Tensor]] = {}  # weights of nobody known at which gradients were taken
        self.known: dict[tuple, int] = {}  # how often they were taken at known ones, by the shape of the weights
        self.slots: dict[str, _Record] = {}  # the model's parameters by name: another in its place is a move
        self._mix = torch.randint(1 << 40, (64,), generator=torch.Generator().manual_seed(0))
        self._forbidden = set(self._keys(forbidden))
        self._handles, self._where = [], {}  # where memory begins → whose it is
        self._others = set(threading.enumerate())  # a run that was stopped may go on beside this one for a while
        self._survey()
        self._unit = self._work_of_a_batch()

    # --- around a run

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Count what this thread does."""
        with Operations(self._operation):
            yield

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hear of the steps of all optimizers in threads that are started within."""
        hooks = register_optimizer_step_pre_hook(self._before_step), register_optimizer_step_post_hook(self._after_step)
        try:
            yield
        finally:
            for handle in (*hooks, *self._handles):
                handle.remove()

    def take(self) -> None:
        """A batch is handed out, unless a rule was broken before."""
        self._close()
        if self.breach:
            raise Spendthrift(self.breach)
        self.taken = min(self.taken + 1, self.batches)

    def spent(self) -> Spent:
        """What was spent, once the run is over."""
        self._close()
        return Spent(
            self.steps,
            max(record.all_moves for record in self.records.values()),
            _whole(max(*(record.all_gradients for record in self.records.values()), self.all_work)),
            self.most_moves,
            self.most_gradients,
            self.taken,
            self.breach,
        )

    def _close(self) -> None:
        """The end of what was done on a batch."""
        self._survey()
        for record in self.records.values():
            self._look(record)
        moves = max(record.counted() for record in self.records.values())
        self._allowed_before = allowed = self.taken - self.used
        gradients = max(record.gradients for record in self.records.values())
        for shape, points in self.strangers.items():
            known = self.known.get(shape, 0)
            computed = max(0, gradients - known)  # weights that were computed from known parameters
            places = len(points) - computed + (known > 0)
            if len(points) > computed and places > max(1, allowed):
                self._break(
                    f"takes gradients at {places} places on one batch, of weights that are neither the model's nor an "
                    "optimizer's, so nobody sees which moves are taken back"
                )
        most = self.work
        for record in self.records.values():
            whole = self._whole_gradients(record)
            most, record.all_gradients = max(most, whole), record.all_gradients + whole
            record.moves_before = record.counted()
            record.moves.clear()
            record.gradients = 0
        self._check_gradients(most)
        self.most_moves = max(self.most_moves, math.ceil(moves / max(1, allowed)))
        self.most_gradients = max(self.most_gradients, _whole(most / max(1, allowed)))
        if moves or gradients or most:
            self.used += max(moves, 1)
        self.passes.clear()
        self.work = 0.0
        self.known.clear()
        self.strangers.clear()

    def _break(self, what: str) -> None:
        self.breach = self.breach or what

    # --- parameters

    def _survey(self) -> None:
        """Find the model's parameters, those that took the place of others included."""
        for name, parameter in self.model.named_parameters():
            if parameter.numel() and not _place(parameter):  # of a transform of torch.func, for a while
                continue
            slot = self.slots.get(name)
            if slot is None:
                self.slots[name] = self._record(parameter)
            elif slot.tensor is not parameter and id(parameter) not in self.records:
                del self.records[id(slot.tensor)]
                slot.tensor, slot.place, slot.hooked = parameter, -1, False
                self.records[id(parameter)] = slot
                self._record(parameter)

    def _record(self, parameter: Tensor) -> _Record:
        record = self.records.get(id(parameter))
        if record is None:
            memory = _memory(parameter)
            record = self.records[id(parameter)] = _Record(
                parameter, memory, _place(parameter), memory.copy(), memory.tobytes()
            )
        if parameter.requires_grad and parameter.is_leaf and not record.hooked:
            record.hooked = True
            self._handles.append(parameter.register_hook(lambda _: self._gradient(record)))
        self._where[_place(parameter)] = record
        return record

    def _look(self, record: _Record) -> None:
        """Note a move if the value is not what it was; forget those that are taken back."""
        now = record.now()
        written = now.tobytes()
        if written == record.written or _equal(now, record.value):
            return
        self._where[record.place] = record
        last, record.value, record.written = record.value, now.copy(), written
        for place, (before, _) in enumerate(record.moves):
            if last.shape == now.shape == before.shape and _length(now - before) <= BACK * _length(last - before):
                record.all_moves -= sum(counts for _, counts in record.moves[place:])
                del record.moves[place:]
                record.informed = self.taken  # by what was seen on the way
                return
        if record.informed is not None and record.informed < self.taken:
            record.moves.append((last, False))
            record.informed = None
            record.all_moves += 1
            record.moves_before += 1
            self.most_moves = max(self.most_moves, math.ceil(record.moves_before / max(1, self._allowed_before)))
            self._check_moves(record, record.moves_before, self._allowed_before)
            return
        record.moves.append((last, record.informed is not None))
        if record.informed is not None:
            self._moved(record)

    def _moved(self, record: _Record) -> None:
        record.informed = None
        record.all_moves += 1
        self._check_moves(record, record.counted(), self.taken - self.used)

    def _check_moves(self, record: _Record, moves: int, allowed: int) -> None:
        if moves <= allowed:
            return
        which = f"a parameter of shape {tuple(record.tensor.shape)}"
        if allowed > 0:
            self._break(f"moves {which} {moves} times on one batch")
        elif self.taken:
            self._break(f"moves {which} after all {self.taken} batches")
        else:
            self._break(f"moves {which} before it takes a batch")

    def _gradient(self, record: _Record) -> None:
        self._look(record)
        record.informed = self.taken
        record.gradients += 1

    def _whole_gradients(self, record: _Record) -> float:
        """How many gradients of a whole batch it was given on this one, by the rows that the convolutions saw."""
        passes = max(self.passes.values(), default=0)
        share = self.work / passes if passes else 0.0
        return min(record.gradients, passes) * share + max(0, record.gradients - passes)

    def _check_gradients(self, found: float) -> None:
        if _whole(found) > self.limit * max(1, self.taken - self.used):
            self._break(f"takes gradients of {_whole(found)} times {self.rows} rows on one batch")

    # --- optimizers

    def _mine(self) -> bool:
        return threading.current_thread() not in self._others

    def _before_step(self, optimizer: Optimizer, *_) -> None:
        if not self._mine():
            return
        if optimizer in self.stepping:  # an earlier step of it raised
            del self.stepping[self.stepping.index(optimizer) :]
        self.stepping.append(optimizer)
        if len(self.stepping) == 1:
            self.steps += 1
            for record in self._held(optimizer):
                self._look(record)
                record.before_step = record.value, record.all_moves

    def _after_step(self, optimizer: Optimizer, *_) -> None:
        if not self._mine() or optimizer not in self.stepping:
            return
        del self.stepping[self.stepping.index(optimizer) :]
        if self.stepping:  # a step within a step, as Lookahead's and SAM's
            return
        for record in self._held(optimizer):
            self._look(record)
            if record.before_step is None:
                continue
            (value, moves), record.before_step = record.before_step, None
            if record.all_moves == moves and record.moves and not _equal(value, record.value):
                record.moves[-1] = record.moves[-1][0], True
                self._moved(record)

    def _held(self, optimizer: Optimizer) -> list[_Record]:
        return [self._record(parameter) for group in optimizer.param_groups for parameter in group["params"]]

    # --- operations of torch

    def _operation(self, function, arguments: tuple) -> None:
        if function is _FORWARD:
            self._forward(*arguments[:2])
        elif function is _BACKWARD:
            self._backward(*arguments[:3], of_weights=arguments[-1][1])
        elif _in_place(function):
            for tensor in _tensors(arguments):
                record = self._owner(tensor)
                if record is not None and record.moves:  # the first move is seen when something comes of it
                    self._look(record)

    def _forward(self, images: Tensor, weight: Tensor) -> None:
        if self._owner(weight) is None:
            self._survey()
        if self._owner(weight) is not None:
            for record in self.records.values():
                self._look(record)
                record.informed = self.taken
        if images.shape[1:] == (1, 8, 8) and not self._forbidden.isdisjoint(self._keys(images)):
            self._break("shows the network rows by which it is judged or chosen")

    def _backward(self, gradient: Tensor, images: Tensor, weight: Tensor, *, of_weights: bool) -> None:
        shape = tuple(weight.shape)
        work = _products(gradient, weight) / self._unit
        self.work, self.all_work = self.work + work, self.all_work + work
        self.passes[shape] = self.passes.get(shape, 0) + 1
        self._check_gradients(self.work)
        if not of_weights:
            return
        if self._owner(weight) is not None:
            self.known[shape] = self.known.get(shape, 0) + 1
        else:
            points = self.strangers.setdefault(shape, [])
            if not any(torch.equal(weight, point) for point in points):
                points.append(weight.detach().clone())

    def _work_of_a_batch(self) -> int:
        """The products in the model's convolutions for the rows of a batch."""
        products = []
        hooks = [
            module.register_forward_hook(lambda m, _, out: products.append(_products(out, m.weight)))
            for module in self.model.modules()
            if isinstance(module, nn.Conv2d)
        ]
        training = self.model.training
        with torch.no_grad():
            self.model.eval()(torch.zeros(self.rows, 1, 8, 8))
        self.model.train(training)
        for hook in hooks:
            hook.remove()
        return sum(products)

    def _owner(self, tensor: Tensor) -> _Record | None:
        """The parameter whose memory this is; memory that was given back may be another's by now."""
        place = _place(tensor)
        record = self._where.get(place)
        return record if record is not None and _place(record.tensor) == place else None

    def _keys(self, images: Tensor) -> list[int]:
        """A whole number for each image; pixels are whole sixteenths."""
        return ((images.detach().flatten(1) * 16).round().long() * self._mix).sum(1).tolist()


@cache
def _in_place(function) -> bool:
    return function._schema.is_mutable


def _products(out: Tensor, weight: Tensor) -> int:
    """How many products a convolution with this output, or its gradient, and these weights takes."""
    return out.numel() * weight[0].numel()


def _whole(work: float) -> int:
    """How many gradients of a whole batch this is."""
    return math.ceil(work - 1e-6)


def _memory(tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor: its memory itself, where NumPy knows the dtype."""
    tensor = tensor.detach()
    return tensor.float().numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether the numbers are the same; nan is nan."""
    return np.array_equal(a, b) or np.array_equal(a, b, equal_nan=True)


def _length(a: np.ndarray) -> float:
    return float(np.linalg.norm(a.ravel()))


def _place(tensor: Tensor) -> int:
    """Where the memory of a tensor begins, shared by its views; 0 where it has none of its own, as a sparse one."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):
        return 0


def _tensors(arguments) -> Iterator[Tensor]:
    for argument in arguments:
        if isinstance(argument, Tensor):
            yield argument
        elif isinstance(argument, list | tuple):
            yield from _tensors(argument)
