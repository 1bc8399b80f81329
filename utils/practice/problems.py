"""What notebook 04b trains under each schedule: seeds → the arguments of `sweep()`."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from utils.data import digits
from utils.stacked import cross_entropy, draw_rows, linear, network, start_network

JUDGED = 400  # rows of the training set: how well does it train?


def least_squares(steps: int, *, watch: int = 0, every: int = 1) -> Callable[[Sequence[int]], dict]:
    """20 weights from noisy rows, 4 new ones at each step; judged by the squared distance to the true weights.

    With `watch`, up to 200, there is a `metric` as well, after `every` steps: the loss on so many rows apart.
    """

    def problem(seeds):
        parts = []
        for seed in seeds:
            g = torch.Generator().manual_seed(seed)
            true_w = torch.randn(20, generator=g, dtype=torch.float64)
            x = torch.randn(4 * steps + 200, 20, generator=g, dtype=torch.float64)
            parts.append((true_w, x, x @ true_w + 0.5 * torch.randn(len(x), generator=g, dtype=torch.float64)))
        true_w, x, y = (torch.stack(part) for part in zip(*parts, strict=True))

        def loss_on(w: Tensor, rows: slice) -> Tensor:
            return (linear(w, x[:, rows]) - y[:, rows]).square().mean(-1)

        metric = {"metric": lambda p: loss_on(p["w"], slice(4 * steps, 4 * steps + watch)), "every": every}
        return {
            "init": lambda seed: {"w": torch.zeros(20, dtype=torch.float64)},
            "loss": lambda p, step: loss_on(p["w"], slice(4 * step, 4 * step + 4)),
            "steps": steps,
            "evaluate": lambda p: (p["w"] - true_w).square().sum(-1),
        } | (metric if watch else {})

    return problem


def on_digits(*sizes: int, batch_size: int, steps: int) -> Callable[[Sequence[int]], dict]:
    """A network with layers of these sizes on digits, judged by its loss on 400 rows of the training set.

    A seed has the same start and the same first batches whatever `steps` is.
    """
    x, y = digits().x_train, digits().y_train

    def problem(seeds):
        rows = draw_rows(len(x), batch_size, steps, seeds)
        return {
            "init": start_network(*sizes),
            "loss": lambda p, step: cross_entropy(network(p, x[rows[step]]), y[rows[step]]),
            "steps": steps,
            "evaluate": lambda p: cross_entropy(network(p, x[:JUDGED]), y[:JUDGED]),
        }

    return problem
