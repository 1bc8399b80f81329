"""What a sweep trains: starts, batches and networks for all replicas at once, written out once for every lesson.

A replica's own shapes come last. In front of them stand (lrs, seeds), or (seeds,) for data, which all lrs share.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor


def start_network(*sizes: int) -> Callable[[int], dict[str, Tensor]]:
    """The `init` of a network with layers of these sizes: seed → weights W0, W1, … (in, out), biases b0, b1, … (out,).

    Weights are drawn with He's standard deviation √(2 / in), biases are 0.
    """

    def init(seed):
        draw = partial(torch.randn, generator=torch.Generator().manual_seed(seed))
        weights = {f"W{k}": draw(i, o) * (2 / i) ** 0.5 for k, (i, o) in enumerate(pairwise(sizes))}
        return weights | {f"b{k}": torch.zeros(o) for k, o in enumerate(sizes[1:])}

    return init


def network(p: dict[str, Tensor], x: Tensor) -> Tensor:
    """x: (seeds, rows, features), or (rows, features) for all seeds alike → logits (lrs, seeds, rows, classes)."""
    # One einsum in place of a broadcast `@`, which would copy the rows for every lr: five times slower.
    x = torch.einsum("sri,gsio->gsro", x.expand(p["W0"].shape[1], *x.shape[-2:]), p["W0"]) + p["b0"].unsqueeze(-2)
    for k in range(1, len(p) // 2):
        x = x.relu() @ p[f"W{k}"] + p[f"b{k}"].unsqueeze(-2)
    return x


def linear(w: Tensor, x: Tensor) -> Tensor:
    """x @ w of every replica. w: (lrs, seeds, features), x: (seeds, rows, features) → (lrs, seeds, rows)."""
    return torch.einsum("sri,gsi->gsr", x.expand(w.shape[1], *x.shape[-2:]), w)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over rows. logits (lrs, seeds, rows, classes), labels (seeds, rows) or (rows,) → (lrs, seeds)."""
    right = labels.expand(logits.shape[:-1]).unsqueeze(-1)
    return -logits.log_softmax(-1).gather(-1, right).mean((-1, -2))


def draw_rows(count: int, batch_size: int, steps: int, seeds: Sequence[int]) -> Tensor:
    """Places of rows below `count`, (steps, seeds, batch_size): each seed has its own stream of batches."""
    generators = [torch.Generator().manual_seed(1000 + seed) for seed in seeds]
    return torch.stack([torch.randint(count, (steps, batch_size), generator=g) for g in generators], dim=1)
