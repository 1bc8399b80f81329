"""A fair comparison in one go: every run of a grid of lrs × seeds trained at once by real torch.optim optimizers.

A *replica* is one run: one lr, one seed. The loss and its gradient are computed for all replicas in one pass. Then
each replica's own optimizer moves it, in the shapes that it would have alone. Where one optimizer for all replicas does
the same, since it treats every number on its own, it does so in their place, several times faster: SGD, Adam and others
of torch, whose source is known, and any other that is seen to do so at every step of the run.

Longer than two screens by what a sweep refuses, and why.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from utils.internals.errors import in_short, text_of
from utils.internals.process_state import generator_kept
from utils.internals.replicas import FailsAlone, Separate, is_trained
from utils.internals.stepping import has_modes
from utils.internals.together import MissingGradient, Together, can_go_together, goes_by_the_step, is_known
from utils.internals.torch_steps import acts_in_backward
from utils.internals.watched import Unproven
from utils.internals.witness import Witness
from utils.schedules import needs_metric

Params = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a sweep measured.

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
        """Place in `lrs` of the lowest mean over the seeds; one that diverges on any of them is not taken."""
        return int(self.final.mean(axis=1).argmin())

    @property
    def best_lr(self) -> float:
        """The lr with the lowest mean over the seeds. What it measured there is lower than on new seeds: `tune()`."""
        return float(self.lrs[self.best])

    @property
    def diverged(self) -> np.ndarray:
        """(lrs,): how many seeds diverged at each lr."""
        return np.isinf(self.final).sum(axis=1)

    @property
    def edge(self) -> str | None:
        """ "lower" or "upper" if the best lr lies at that end of the grid: a better one may lie beyond."""
        if len(self.lrs) == 1 or self.flat:
            return None
        return {0: "lower", len(self.lrs) - 1: "upper"}.get(self.best)

    @property
    def flat(self) -> bool:
        """True if all lrs of the grid led through the same losses: the optimizer does not use the lr that it gets."""
        if len(self.lrs) == 1 or len(self.losses) == 1:
            return False
        return all(np.array_equal(self.losses[:, 0], self.losses[:, i], equal_nan=True) for i in range(len(self.lrs)))

    def __str__(self) -> str:
        found = self.final[self.best]
        text = f"{self.label}: {found.mean():.3g} ± {found.std(ddof=1):.2g} at lr {self.best_lr:.2g}"
        if self.edge:
            text += f" (at the {self.edge} edge of the grid: widen it)"
        if self.flat:
            text += " (every lr of the grid does the same: is it used?)"
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
    metric: Callable[[Params], Tensor] | None = None,
    every: int = 1,
    label: str | None = None,
) -> Sweep:
    """Train every lr with every seed at once and keep what each replica measured: what it would have measured alone.

    make_optimizer   as for a run alone: called as `make_optimizer(parameters, lr=lr)`, e.g. `torch.optim.SGD` or
                     `partial(torch.optim.SGD, momentum=0.9)`, or, if it takes no lr, with one group that holds it
    init             seed → {name: tensor}, the parameters of one replica. All are trained, but for an nn.Parameter
                     with requires_grad=False
    loss             ({name: tensor of shape (lrs, seeds, …)}, step) → losses of shape (lrs, seeds). Data that differ
                     from seed to seed (the minibatch of this step) have shape (seeds, …): all lrs share them.
                     It must depend on nothing else: a sweep begins anew if its optimizer turns out, after some steps,
                     to look at more than single numbers
    evaluate         like loss, without the step: what to judge by after the last step; default: the last loss
    make_scheduler   optimizer → scheduler, stepped after every step; each replica's lr is its base, and with
                     OneCycleLR(max_lr=the list of the groups' lrs) its peak
    metric, every    for a scheduler that watches a metric: like evaluate, what each replica's own is stepped with
                     after `every` steps; each replica then has an optimizer of its own

    An optimizer whose step needs a closure gets one: `loss` is then called several times in a step, for all replicas.
    One with `train()` and `eval()` trains in the one and is judged in the other.
    What an update draws from torch's global generator is reproducible: each replica has a stream of its own, which
    starts as after `torch.manual_seed(seed)`, and the generator itself is left as it was.
    A replica whose numbers are no longer finite has diverged; if its optimizer then raises, only this run ends.

    Raises ValueError, with the reason, for what has no meaning: an optimizer that raises in a run alone as well (one
    that wants sparse gradients, or second derivatives), a loss that mixes replicas, a scheduler that replaces the lrs
    or watches a metric that is not given; an update that depends on more than its optimizer holds, such as a counter
    of the class, Python's or NumPy's random numbers; and for lrs that do not increase or fewer than two seeds.
    """
    lrs, seeds = [float(lr) for lr in lrs], tuple(seeds)
    if steps < 1 or not lrs or not all(low < high for low, high in zip([0.0, *lrs], [*lrs, np.inf], strict=True)):
        raise ValueError(f"steps must be at least 1, lrs positive and increasing, got {steps} and {lrs}")
    if every < 1 or (every > 1 and metric is None) or (metric is not None and make_scheduler is None):
        raise ValueError(f"metric goes with a scheduler that watches it, every (1 or more, got {every}) with a metric")
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be two or more different ones (a spread needs two), got {seeds}")
    starts = [dict(init(seed)) for seed in seeds]
    _check_starts(starts)

    def make(params, lr):
        return _build(make_optimizer, params, lr)

    def schedule(optimizer):
        return None if make_scheduler is None else _checked_scheduler(make_scheduler, optimizer, metric)

    runs, name = _all_runs(starts, seeds, lrs, make_optimizer, make, schedule)

    def evaluated(step):
        # Copies, so that a loss may keep what it gets, and change it.
        now = loss({key: leaf.clone() for key, leaf in runs.leaves.items()}, step)
        if step == 0:
            _check_loss(now, list(runs.leaves.values()), (len(lrs), len(seeds)))
        now.sum().backward()  # the derivative of a sum: every replica gets the gradient of its own loss
        if any(leaf.grad is not None and leaf.grad.layout != torch.strided for leaf in runs.leaves.values()):
            raise ValueError("loss gives sparse gradients, and those of stacked replicas cannot be told apart")
        return now.detach()

    def asked(step):
        now = evaluated(step)
        if witness:
            witness.hear(now)
        return now

    def metric_of(runs):
        if metric is None:
            return None
        with torch.no_grad():
            measured = metric({key: leaf.clone() for key, leaf in runs.leaves.items()})
        if measured.shape != (len(lrs), len(seeds)):
            raise ValueError(
                f"metric must give shape (lrs, seeds) = {(len(lrs), len(seeds))}, got {(*measured.shape,)}"
            )
        return measured

    losses, begun = np.empty((steps, len(lrs), len(seeds))), 0  # begun: how many steps a first attempt had done
    witness = None
    try:
        step = 0
        while step < steps:
            now = evaluated(step)
            found = _numbers(now, runs)
            if step < begun and not np.allclose(found, losses[step], rtol=1e-3, equal_nan=True):
                raise ValueError("loss must depend on the parameters and the step alone: called again, it differs")
            losses[step] = found
            if isinstance(runs, Together):
                try:
                    runs.step()
                except MissingGradient:
                    runs = runs.apart(seeds, lrs, make, schedule)
                except Unproven:
                    first, runs = runs, Separate(starts, seeds, lrs, make, schedule)
                    if step > 0:
                        step, begun = 0, step + 1
                        continue
                    runs.take_gradients(first.leaves)
            if isinstance(runs, Separate):
                if step == 0 and not runs.is_of_torch:
                    witness = Witness(runs, lrs, seeds)
                if witness:
                    witness.begin(now)
                runs.step(f"step {step}", lambda step=step: asked(step), now)
                moved = (step + 1) % every == 0
                measured = metric_of(runs) if moved else None
                if moved:
                    runs.schedule(f"step {step}", measured)
                if witness:
                    witness.schedule(measured, moved=moved)
            step += 1
        if witness:
            witness.check(starts[-1], make, schedule)
        if isinstance(runs, Separate):
            runs.show_result()
    except FailsAlone as error:
        raise ValueError(f"{name} cannot be swept: {_SPARSE_ONLY if name == 'SparseAdam' else error}") from error
    final = losses[-1]
    if evaluate is not None:
        with torch.no_grad():
            final = _numbers(evaluate({key: leaf.clone() for key, leaf in runs.leaves.items()}), runs)
    if final.shape != losses.shape[1:]:
        raise ValueError(f"evaluate must give shape (lrs, seeds) = {losses.shape[1:]}, got {final.shape}")
    final = np.where(np.isfinite(losses[-1]) & np.isfinite(final), final, np.inf)
    return Sweep(label or name, np.array(lrs), seeds, losses, final)


_SPARSE_ONLY = "it takes sparse gradients only, and those of stacked replicas are dense"


def _all_runs(starts, seeds, lrs, make_optimizer, make, schedule) -> tuple[Together | Separate, str]:
    """All replicas at their starts, under one optimizer where that may make no difference; the optimizer's name."""
    with generator_kept():
        homes = [starts[place % len(seeds)].values() for place in range(len(lrs))]
        params = [[nn.Parameter(value.detach().clone(), is_trained(value)) for value in home] for home in homes]
        leads = [make(each, lr) for each, lr in zip(params, lrs, strict=True)]
        name = type(leads[0]).__name__
        alike = can_go_together(starts, leads, params)
        known = alike and is_known(leads)
        schedulers = [schedule(lead) for lead in leads]
        if alike and all(scheduler is None or goes_by_the_step(scheduler) for scheduler in schedulers):
            if known:
                return Together(starts, leads, schedulers), name
            if all(map(is_trained, starts[0].values())) and not has_modes(leads[0]):
                combine = partial(_call, make_optimizer, lr=lrs[0])
                try:
                    return Together(starts, leads, schedulers, combine=combine, watched=params), name
                except Exception:  # it cannot be made for all at once, so it is made for each
                    pass
    try:
        return Separate(starts, seeds, lrs, make, schedule), name
    except FailsAlone as error:
        raise ValueError(f"{name} cannot be swept: {error}") from error


def _takes_lr(make_optimizer: Callable) -> bool:
    try:
        inspect.signature(make_optimizer).bind([], lr=1.0)
    except (TypeError, ValueError):
        return False
    return True


def _call(make_optimizer: Callable, groups: list[dict], lr: float) -> Optimizer:
    """The optimizer for groups that hold lrs of their own; lr goes only to what insists on one."""
    return make_optimizer(groups, lr=lr) if _takes_lr(make_optimizer) else make_optimizer(groups)


def _build(make_optimizer: Callable, params: list[nn.Parameter], lr: float) -> Optimizer:
    """The optimizer of one run, as a plain loop would make it."""
    takes_lr = _takes_lr(make_optimizer)
    try:
        optimizer = make_optimizer(params, lr=lr) if takes_lr else make_optimizer([{"params": params, "lr": lr}])
    except Exception as error:
        name = getattr(getattr(make_optimizer, "func", make_optimizer), "__name__", "the optimizer")
        raise ValueError(f"{name} cannot be swept: it cannot be made, {in_short(text_of(error))}") from error
    name = type(optimizer).__name__
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"make_optimizer must return a torch.optim.Optimizer, got {name}")
    if any(map(acts_in_backward, params)):
        raise ValueError(f"{name} cannot be swept: it acts during backward(), which all replicas share, by hooks")
    if not takes_lr and any(group.get("lr") != lr for group in optimizer.param_groups):
        name = type(optimizer).__name__
        raise ValueError(
            f"{name}: make_optimizer must take lr, or hand the groups that it gets to the optimizer as they are"
        )
    return optimizer


def _checked_scheduler(make_scheduler: Callable, optimizer: Optimizer, metric: Callable | None) -> LRScheduler:
    lrs = [group.get("lr") for group in optimizer.param_groups]
    scheduler = make_scheduler(optimizer)
    name = type(scheduler).__name__
    if not callable(getattr(scheduler, "step", None)):
        raise ValueError(f"make_scheduler must return a scheduler, got {name}")
    if needs_metric(type(scheduler)) != (metric is not None):
        reason = "watches no metric: leave `metric` out" if metric else "watches a metric: give sweep() one as `metric`"
        raise ValueError(f"{name} cannot be swept like this: it {reason}")
    # OneCycleLR's own base is a share of its peak, and the peak is what a grid tunes.
    groups = zip(optimizer.param_groups, lrs, strict=True)
    if any(group.get("max_lr", group.get("initial_lr", lr)) != lr for group, lr in groups):
        hint = ' Give it max_lr=[group["lr"] for group in optimizer.param_groups].' if name == "OneCycleLR" else ""
        raise ValueError(f"{name} cannot be swept: it replaces the lrs of the grid by its own.{hint}")
    return scheduler


def _check_starts(starts: list[dict[str, Tensor]]) -> None:
    """Every seed starts with the same names, shapes and dtypes, and all of it can be trained, each name by itself."""

    def layout(start):
        return {key: (tuple(value.shape), value.dtype) for key, value in start.items()}

    if any(list(layout(start).items()) != list(layout(starts[0]).items()) for start in starts):
        raise ValueError("init must give every seed the same names, shapes and dtypes, in the same order")
    for key, value in starts[0].items():
        if not (value.is_floating_point() or value.is_complex()):
            raise ValueError(f"init gives {key!r} of {value.dtype}, which cannot be trained: keep it in loss")
    places = {}
    for key, value in starts[0].items():
        twin = places.setdefault(value.data_ptr(), key) if value.numel() else key
        if twin != key:
            raise ValueError(f"init gives {twin!r} and {key!r} the same memory: give it once, and use it twice in loss")


def _check_loss(now: Tensor, leaves: list[Tensor], shape: tuple[int, int]) -> None:
    """The first losses have one number per replica, and none depends on another replica's parameters.

    Like the fields of a chessboard: those of one colour must not depend on what lies on the other, nor the reverse.
    """
    if tuple(now.shape) != shape:
        raise ValueError(f"loss must keep replicas apart and give shape (lrs, seeds) = {shape}, got {tuple(now.shape)}")
    trained = [leaf for leaf in leaves if leaf.requires_grad]
    white = sum(torch.meshgrid(*map(torch.arange, shape), indexing="ij")) % 2 == 0
    for colour in (white, ~white):
        slopes = torch.autograd.grad(now[colour].sum(), trained, retain_graph=True, allow_unused=True)
        if any(slope is not None and slope[~colour].abs().gt(0).any() for slope in slopes):
            raise ValueError("loss mixes replicas: that of one depends on the parameters of another")


def _numbers(values: Tensor, runs: Together | Separate) -> np.ndarray:
    """As float64; nan for a run that has ended before the others."""
    values = values.detach().double().numpy().copy()
    if isinstance(runs, Separate) and values.shape == tuple(runs.alive.shape):
        values[~runs.alive.numpy()] = np.nan
    return values
