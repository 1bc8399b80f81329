"""A fair comparison in one go: every run of a grid of lrs × seeds trained at once by one real torch.optim optimizer.

A *replica* is one run: one lr, one seed. The seeds are stacked inside each parameter, the lrs are parameter groups, so
one `step()` moves all replicas. Most optimizers treat every number on its own: a replica then goes exactly where it
would go alone. sweep() refuses those that do not.

Longer than two screens by what a sweep refuses, and why.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, optim
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from utils.descent import requires_closure
from utils.schedules import needs_metric

Params = Mapping[str, Tensor]

_REASONS = {  # why an optimizer of torch cannot move stacked replicas, by its name: an older torch may lack the class
    "LBFGS": "it searches along one line for all of its parameters together, so all replicas would share one step",
    "Muon": "it orthogonalises whole matrices, and stacked replicas are no longer matrices",
    "Adafactor": "it scales a step by the root mean square of the whole parameter, over all replicas in it",
    "SparseAdam": "it takes sparse gradients only, and those of stacked parameters are dense",
}
REFUSED = {getattr(optim, name): reason for name, reason in _REASONS.items() if hasattr(optim, name)}


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a sweep measured. Seeds at even places (from 0) choose the lr, the others report.

    label    what a figure calls this optimizer
    lrs      (lrs,), increasing
    seeds    the seeds, in order
    losses   (steps, lrs, seeds): each replica's loss before each step; nan or inf once it has diverged
    final    (lrs, seeds): the number to judge by, lower is better; inf for a replica that diverged
    """

    label: str
    lrs: np.ndarray
    seeds: tuple[int, ...]
    losses: np.ndarray
    final: np.ndarray

    @property
    def best(self) -> int:
        """Place in `lrs` of the lowest mean over the choosing seeds; one that diverges on any of them is not taken."""
        return int(self.final[:, ::2].mean(axis=1).argmin())

    @property
    def tuned(self) -> float:
        """The lr that the choosing seeds prefer."""
        return float(self.lrs[self.best])

    @property
    def result(self) -> np.ndarray:
        """(reporting seeds,): `final` at the tuned lr, on the seeds that had no say in choosing it."""
        return self.final[self.best, 1::2]

    @property
    def curves(self) -> np.ndarray:
        """(steps, reporting seeds): `losses` at the tuned lr."""
        return self.losses[:, self.best, 1::2]

    @property
    def diverged(self) -> np.ndarray:
        """(lrs,): how many seeds diverged at each lr."""
        return np.isinf(self.final).sum(axis=1)

    @property
    def edge(self) -> str | None:
        """ "lower" or "upper" if the tuned lr lies at that end of the grid: a better one may lie beyond."""
        if len(self.lrs) == 1:
            return None
        return {0: "lower", len(self.lrs) - 1: "upper"}.get(self.best)

    def wins(self, other: "Sweep") -> int:
        """On how many of the reporting seeds this one ends lower than `other`, each at its own tuned lr."""
        if self.seeds != other.seeds:
            raise ValueError(f"{self.label} and {other.label} ran with different seeds: nothing can be paired")
        return int((self.result < other.result).sum())

    def __str__(self) -> str:
        text = f"{self.label}: {self.result.mean():.3g} ± {self.result.std():.2g} at lr {self.tuned:.2g}"
        if self.edge:
            text += f" (at the {self.edge} edge of the grid: widen it)"
        if self.diverged.any():
            text += f"; {self.diverged.sum()} of {self.final.size} runs diverged"
        return text

    __repr__ = __str__


def sweep(
    make_optimizer: Callable[..., Optimizer],
    init: Callable[[int], Params],
    loss: Callable[[Params, int], Tensor],
    steps: int,
    *,
    lrs: Sequence[float],
    seeds: Sequence[int],
    evaluate: Callable[[Params], Tensor] | None = None,
    make_scheduler: Callable[[Optimizer], LRScheduler] | None = None,
    label: str | None = None,
) -> Sweep:
    """Train every lr with every seed at once and keep what each replica measured.

    make_optimizer   params → optimizer, e.g. `partial(torch.optim.SGD, momentum=0.9)`; the lrs come from here
    init             seed → {name: tensor}, the parameters of one replica
    loss             ({name: tensor of shape (lrs, seeds, …)}, step) → losses of shape (lrs, seeds). Data that differ
                     from seed to seed (the minibatch of this step) have shape (seeds, …): all lrs share them
    evaluate         like loss, without the step: what to judge by after the last step; default: the last loss
    make_scheduler   optimizer → scheduler, stepped after every step; each group keeps its own lr as the base, and with
                     OneCycleLR(max_lr=the list of the groups' lrs) as the peak

    Raises ValueError for what cannot be trained like this (an optimizer or a loss that mixes replicas, a scheduler
    with one lr for all or one that watches a loss), and for lrs that do not increase or fewer than two seeds.
    """
    lrs, seeds = [float(lr) for lr in lrs], tuple(seeds)
    if steps < 1 or not lrs or not all(low < high for low, high in zip([0.0, *lrs], [*lrs, np.inf], strict=True)):
        raise ValueError(f"steps must be at least 1, lrs positive and increasing, got {steps} and {lrs}")
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be two or more different ones (half choose the lr, half report), got {seeds}")
    name = _check_optimizer(make_optimizer)

    starts = [init(seed) for seed in seeds]
    shapes = {key: value.shape for key, value in starts[0].items()}
    sizes = [shape.numel() for shape in shapes.values()]
    # One flat parameter per lr, (seeds, numbers of a replica): few large calls of the optimizer, not many small ones.
    flat = torch.stack([torch.cat([start[key].detach().flatten() for key in shapes]) for start in starts])
    copies = [torch.nn.Parameter(flat.clone()) for _ in lrs]
    optimizer = make_optimizer([{"params": [copy], "lr": lr} for copy, lr in zip(copies, lrs, strict=True)])
    if [group["lr"] for group in optimizer.param_groups] != lrs:
        raise ValueError(f"{name}: make_optimizer must hand the groups that it gets to the optimizer as they are")
    scheduler = _checked_scheduler(make_scheduler, optimizer, lrs)

    def params() -> dict[str, Tensor]:
        parts = torch.stack(copies).split(sizes, dim=-1)
        return {key: part.reshape(*part.shape[:2], *shapes[key]) for key, part in zip(shapes, parts, strict=True)}

    losses = np.empty((steps, len(lrs), len(seeds)))
    for step in range(steps):
        now = loss(params(), step)
        if step == 0:
            _check_loss(now, copies, len(seeds))
        losses[step] = now.detach().numpy()
        optimizer.zero_grad()
        now.sum().backward()  # the derivative of a sum: every replica gets the gradient of its own loss
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    with torch.no_grad():
        final = losses[-1] if evaluate is None else evaluate(params()).double().numpy()
    if final.shape != losses.shape[1:]:
        raise ValueError(f"evaluate must give shape (lrs, seeds) = {losses.shape[1:]}, got {final.shape}")
    final = np.where(np.isfinite(losses[-1]) & np.isfinite(final), final, np.inf)
    return Sweep(label or name, np.array(lrs), seeds, losses, final)


def _check_optimizer(make_optimizer: Callable) -> str:
    """The optimizer's name, once it is known to move stacked replicas exactly as it moves each of them alone."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(2, 3, 3, generator=generator)
    slopes = torch.randn(4, 2, 3, 3, generator=generator) * torch.tensor([1.0, 100.0]).view(2, 1, 1)

    def walk(value: Tensor, slopes: Tensor) -> Tensor:
        parameter = torch.nn.Parameter(value.clone())
        optimizer = make_optimizer([{"params": [parameter], "lr": 0.01}])
        for slope in slopes:
            parameter.grad = slope.clone()
            optimizer.step()
        return parameter.detach()

    probe = make_optimizer([{"params": [torch.nn.Parameter(start[0].clone())], "lr": 0.01}])
    if not isinstance(probe, Optimizer):
        raise ValueError(f"make_optimizer must return a torch.optim.Optimizer, got {type(probe).__name__}")
    name = type(probe).__name__
    for kind, reason in REFUSED.items():
        if isinstance(probe, kind):
            raise ValueError(f"{name} cannot be swept: {reason}. Train it in a plain loop, one run after the other.")
    if requires_closure(probe):
        raise ValueError(f"{name} cannot be swept: its step asks for a closure, that is for one loss for all replicas.")
    alone = torch.stack([walk(start[i], slopes[:, i]) for i in range(2)])
    if not torch.allclose(walk(start, slopes), alone, rtol=1e-4, atol=1e-6):
        raise ValueError(
            f"{name} cannot be swept: two replicas in one tensor do not move as each does alone. Does its step clip by "
            "a norm, take a mean over a parameter, or draw random numbers?"
        )
    return name


def _checked_scheduler(make_scheduler, optimizer: Optimizer, lrs: list[float]) -> LRScheduler | None:
    if make_scheduler is None:
        return None
    scheduler = make_scheduler(optimizer)
    if needs_metric(type(scheduler)):
        name = type(scheduler).__name__
        raise ValueError(f"{name} cannot be swept: it watches one loss, and every replica has its own")
    # OneCycleLR's own base is a share of its peak, and the peak is what a grid tunes.
    if [group.get("max_lr", group["initial_lr"]) for group in optimizer.param_groups] != lrs:
        name = type(scheduler).__name__
        hint = ' Give it max_lr=[group["lr"] for group in optimizer.param_groups].' if name == "OneCycleLR" else ""
        raise ValueError(f"{name} cannot be swept: it replaces the lrs of the grid by its own.{hint}")
    return scheduler


def _check_loss(now: Tensor, copies: list[Tensor], seeds: int) -> None:
    """The first losses have one number per replica, and that of the first depends on no other replica."""
    shape = (len(copies), seeds)
    if tuple(now.shape) != shape:
        raise ValueError(f"loss must keep replicas apart and give shape (lrs, seeds) = {shape}, got {tuple(now.shape)}")
    slopes = torch.stack(torch.autograd.grad(now[0, 0], copies, retain_graph=True))
    slopes[0, 0] = 0
    if slopes.any():
        raise ValueError("loss mixes replicas: that of the first depends on the parameters of another")
