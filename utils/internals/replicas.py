"""The replicas of a sweep, each with an optimizer of its own, on its part of the tensors that all of them share.

A replica is one run: one lr, one seed. Its parameters have the shapes, the order and the strides that they have in a
run alone, and nobody else moves them. So whatever its optimizer does, it does what it would do alone.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from utils.internals.errors import in_short, text_of
from utils.internals.lockstep import Worker
from utils.internals.process_state import generator_kept
from utils.internals.stepping import needs_closure, set_mode
from utils.internals.torch_steps import step_without_profiler

Make = Callable[[list[nn.Parameter], float], Optimizer]  # (parameters, lr) → optimizer
Schedule = Callable[[Optimizer], object]  # optimizer → scheduler, or None


class FailsAlone(ValueError):
    """An optimizer raised in a replica whose numbers are all finite: a plain loop would have met the same error."""


def stacked(starts: Sequence[Tensor], lrs: int) -> Tensor:
    """(lrs, seeds, …): the starts of all seeds, once for every lr.

    A replica's numbers lie in memory in the order of the start's own. It is trained unless the start is a parameter
    that is not.
    """
    one = torch.empty_like(starts[0])
    size = one.numel()
    shape, strides = (lrs, len(starts), *one.shape), (len(starts) * size, size, *one.stride())
    whole = torch.empty_strided(shape, strides, dtype=one.dtype, device=one.device)
    for place, start in enumerate(starts):
        whole[:, place] = start.detach()
    return whole.requires_grad_(is_trained(starts[0]))


def is_trained(start: Tensor) -> bool:
    """Whether a start of init is trained: all are, but for a parameter (nn.Parameter) that asks for no gradient."""
    return start.requires_grad or not isinstance(start, nn.Parameter)


@dataclass
class Replica:
    """One run. `views` are its part of the shared tensors, `params` the same memory as its optimizer knows it."""

    lr: float
    seed: int
    views: list[Tensor]
    params: list[nn.Parameter]
    random: Tensor  # the state of torch's generator as this run has left it
    optimizer: Optimizer | None = None
    scheduler: object = None
    step: Callable | None = None
    alive: bool = True  # False once its numbers were no longer finite and its optimizer raised

    def collect(self) -> None:
        """Bring the numbers to the shared tensors, if the optimizer has moved a parameter to memory of its own."""
        for view, parameter in zip(self.views, self.params, strict=True):
            if parameter.data_ptr() != view.data_ptr():
                view.copy_(parameter.detach())

    def is_finite(self) -> bool:
        """Whether its parameters and gradients are."""
        tensors = chain(self.views, (parameter.grad for parameter in self.params))
        return all(bool(tensor.isfinite().all()) for tensor in tensors if tensor is not None)

    @contextlib.contextmanager
    def turn(self, when: str) -> Iterator[None]:
        """Around what the optimizer does: random numbers come from the replica's own stream, errors name the replica.

        An error that comes of numbers which are no longer finite ends this run and no other: it has diverged.
        """
        torch.set_rng_state(self.random)
        try:
            yield
        except Exception as error:
            if self.optimizer is not None and not self.is_finite():
                self.alive = False
                for view in self.views:
                    view.fill_(torch.nan)
            else:
                where = f"{when}, lr {self.lr:.3g}, seed {self.seed}"
                raise FailsAlone(f"a run alone fails as well ({where}), with {in_short(text_of(error))}") from error
        self.random = torch.get_rng_state()
        if self.alive:
            self.collect()


class Separate:
    """All replicas of a sweep, each with its own optimizer and scheduler.

    `leaves` holds the shared tensors, {name: (lrs, seeds, …)}; step() moves them along the gradients that they have.
    """

    def __init__(
        self,
        starts: Sequence[dict[str, Tensor]],
        seeds: Sequence[int],
        lrs: Sequence[float],
        make: Make,
        schedule: Schedule = lambda optimizer: None,
    ):
        self.leaves = {key: stacked([start[key] for start in starts], len(lrs)) for key in starts[0]}
        self.replicas = [self._replica(i, j, lr, seed) for i, lr in enumerate(lrs) for j, seed in enumerate(seeds)]
        self._make, self._wants_closure = make, None
        with generator_kept():
            for replica in self.replicas:
                with replica.turn("when it is made"):
                    replica.optimizer = make(replica.params, replica.lr)
                    replica.scheduler = schedule(replica.optimizer)
                    replica.step = step_without_profiler(replica.optimizer)
                    set_mode(replica.optimizer, training=True)

    def _replica(self, i: int, j: int, lr: float, seed: int) -> Replica:
        views = [leaf.detach()[i, j] for leaf in self.leaves.values()]
        trained = [leaf.requires_grad for leaf in self.leaves.values()]
        params = [nn.Parameter(view, requires_grad=each) for view, each in zip(views, trained, strict=True)]
        return Replica(lr, seed, views, params, torch.Generator().manual_seed(int(seed)).get_state())

    @property
    def is_of_torch(self) -> bool:
        """Whether the optimizers are torch's own, which keep nothing outside themselves."""
        return all(type(each.optimizer).__module__.startswith("torch.optim.") for each in self.replicas)

    @property
    def alive(self) -> Tensor:
        """(lrs, seeds): False for a run that has ended: its numbers were not finite, and its optimizer raised."""
        lrs, seeds = next(iter(self.leaves.values())).shape[:2]
        return torch.tensor([replica.alive for replica in self.replicas]).view(lrs, seeds)

    def step(self, when: str = "", evaluate: Callable[[], Tensor] | None = None, now: Tensor | None = None) -> None:
        """Move every replica along the gradients of the leaves; `schedule()` is for its scheduler.

        evaluate() gives the losses where all replicas are now and leaves the gradients in the leaves; `now`, (lrs,
        seeds), are those before the step. Only for an optimizer without closure both may be left out.
        """
        gradients = self._collect_gradients()
        if self._wants_closure is not False:
            spare = [gradient if gradient is None else gradient.clone() for gradient in gradients]
        self._hand_out(gradients, self.replicas)
        if self._wants_closure is None:
            self._wants_closure = evaluate is not None and self._needs_closure()
        with generator_kept():
            if self._wants_closure:
                self._step_in_lockstep(now, spare, evaluate, when)
            else:
                for replica in self.replicas:
                    if replica.alive:
                        with replica.turn(when):
                            replica.step()

    def schedule(self, when: str = "", metrics: Tensor | None = None) -> None:
        """Move every replica's scheduler by one step: by its own of the metrics, (lrs, seeds), if there are any."""
        values = [()] * len(self.replicas) if metrics is None else [(value,) for value in metrics.flatten().tolist()]
        with generator_kept():
            for replica, value in zip(self.replicas, values, strict=True):
                if replica.alive and replica.scheduler is not None:
                    with replica.turn(when):
                        replica.scheduler.step(*value)

    def show_result(self) -> None:
        """Move the parameters to where the optimizers want them judged."""
        with generator_kept():
            for replica in self.replicas:
                if replica.alive:
                    with replica.turn("at the end"):
                        set_mode(replica.optimizer, training=False)

    def take_gradients(self, leaves: dict[str, Tensor]) -> None:
        """The gradients of other tensors of the same names and shapes, as if they had been computed for these."""
        for key, leaf in self.leaves.items():
            gradient = leaves[key].grad
            leaf.grad = None if gradient is None else torch.empty_like(leaf).copy_(gradient)

    def _collect_gradients(self) -> list[Tensor | None]:
        gradients = [leaf.grad for leaf in self.leaves.values()]
        for leaf in self.leaves.values():
            leaf.grad = None
        return gradients

    def _hand_out(self, gradients: Sequence[Tensor | None], replicas: Sequence[Replica]) -> None:
        """Give each of these replicas its part, which it may keep or change: nobody else uses these tensors."""
        parts = []
        for gradient in gradients:
            if gradient is None:
                parts.append([None] * len(self.replicas))
            else:
                parts.append([part for row in gradient.unbind() for part in row.unbind()])
        chosen = {id(replica) for replica in replicas}
        for replica, gradients in zip(self.replicas, zip(*parts, strict=True), strict=True):
            if id(replica) in chosen:
                if type(replica.optimizer).zero_grad is not Optimizer.zero_grad:
                    replica.optimizer.zero_grad()
                for parameter, gradient in zip(replica.params, gradients, strict=True):
                    parameter.grad = gradient

    def _needs_closure(self) -> bool:
        first = self.replicas[0]
        return needs_closure(lambda params: self._make(params, first.lr), first.params)

    def _step_in_lockstep(self, now: Tensor, gradients: list, evaluate: Callable[[], Tensor], when: str) -> None:
        """Steps that ask for the loss again: each runs in a thread, and once all have asked, one evaluation serves all.

        Only one thread runs at a time, in a fixed order. `now` and `gradients` are those of where the step begins.
        """
        answers = dict(zip(map(id, self.replicas), now.detach().flatten().unbind(), strict=True))
        start = [leaf.detach().clone() for leaf in self.leaves.values()]
        workers = []
        for replica in self.replicas:
            if replica.alive:
                workers.append((replica, Worker(lambda pause, r=replica: r.step(_closure(r, pause, answers)))))
        try:
            while workers:
                for replica, worker in workers:
                    with replica.turn(when):
                        worker.resume()
                workers = [(replica, worker) for replica, worker in workers if not worker.ended]
                here = [leaf.detach() for leaf in self.leaves.values()]
                if gradients is None or not all(map(torch.equal, here, start)):
                    losses = evaluate().detach().flatten().unbind()
                    answers.update(zip(map(id, self.replicas), losses, strict=True))
                    gradients = self._collect_gradients()
                self._hand_out(gradients, [replica for replica, _ in workers])
                gradients = None  # given away
        finally:
            for _, worker in workers:
                worker.stop()


def _closure(replica: Replica, pause: Callable, answers: dict) -> Callable[[], Tensor]:
    """What a step calls to learn the loss of its replica, and its gradient, where it is now."""

    def closure() -> Tensor:
        if not torch.is_grad_enabled():
            raise RuntimeError("step calls the closure without torch.enable_grad(), so no gradient can be computed")
        pause()
        return answers[id(replica)].clone()

    return closure
