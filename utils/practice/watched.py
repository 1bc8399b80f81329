"""Tuned like any other: a scheduler that watches a metric, so that every replica needs an optimizer of its own."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from utils.sweeps import Params, Sweep
from utils.tuning import Tuned


def sweep_watched(
    make_optimizer: Callable[..., Optimizer],
    init: Callable[[int], Params],
    loss: Callable[[Params, int], Tensor],
    steps: int,
    *,
    lrs: Sequence[float],
    seeds: Sequence[int],
    evaluate: Callable[[Params], Tensor],
    metric: Callable[[Params], Tensor],
    every: int,
    make_scheduler: Callable[[Optimizer], ReduceLROnPlateau],
    label: str,
) -> Sweep:
    """As `sweep()`, but each replica's scheduler is given its own metric, after every `every` steps.

    metric   like `evaluate`: the stacked parameters → (lrs, seeds)

    For optimizers that take no closure and look at no other group of parameters than the one they move: SGD, Adam.
    """
    shape, starts = (len(lrs), len(seeds)), [init(seed) for seed in seeds]
    stacked = {key: torch.stack([torch.stack([start[key] for start in starts])] * len(lrs)) for key in starts[0]}
    for leaf in stacked.values():
        leaf.requires_grad_().grad = torch.zeros_like(leaf)
    optimizers, every_param = [], []
    for place in np.ndindex(shape):
        params = [nn.Parameter(leaf.detach()[place]) for leaf in stacked.values()]  # the same memory
        for param, leaf in zip(params, stacked.values(), strict=True):
            param.grad = leaf.grad[place]
        every_param += params
        optimizers.append(make_optimizer(params, lr=float(lrs[place[0]])))
    # One optimizer steps for all, several times faster: it uses the groups in which the schedulers set their lrs.
    together = make_optimizer(every_param, lr=float(lrs[0]))
    together.param_groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    schedulers = [make_scheduler(optimizer) for optimizer in optimizers]
    losses = np.empty((steps, *shape))
    for step in range(steps):
        for leaf in stacked.values():
            leaf.grad.zero_()
        now = loss(stacked, step)
        now.sum().backward()
        losses[step] = now.detach().numpy()
        together.step()
        if (step + 1) % every == 0:
            with torch.no_grad():
                values = metric(stacked).flatten().tolist()
            for scheduler, value in zip(schedulers, values, strict=True):
                scheduler.step(value)
    with torch.no_grad():
        final = evaluate(stacked).double().numpy()
    final = np.where(np.isfinite(losses[-1]) & np.isfinite(final), final, np.inf)
    return Sweep(label, np.array(lrs, dtype=float), tuple(seeds), losses, final)


def tune_watched(
    make_optimizer: Callable[..., Optimizer],
    problem: Callable[[Sequence[int]], dict],
    *,
    lrs: Sequence[float],
    choosing: Sequence[int],
    reporting: Sequence[int],
    **settings,
) -> Tuned:
    """As `tune()`: the lr is chosen on some seeds and judged on others; `settings` are those of `sweep_watched()`.

    Raises ValueError if a seed both chooses and reports.
    """
    shared = sorted(set(choosing) & set(reporting))
    if shared:
        raise ValueError(f"seeds that choose the lr may not report as well: {shared} do both")

    def run(lrs, seeds):
        return sweep_watched(make_optimizer, **problem(seeds), lrs=lrs, seeds=seeds, **settings)

    chosen = run(lrs, choosing)
    return Tuned(chosen, run([chosen.best_lr], reporting))
