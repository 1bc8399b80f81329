"""The reader of the Zen for `sweep()`: every replica's recurrent network at once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from utils.practice.sick_runs import reader, windows
from utils.stacked import cross_entropy


def zen_problem(seeds: Sequence[int], steps: int) -> dict:
    """The arguments of `sweep()` for `reader` on `windows`: init, loss, steps.

    The loss is that of `text_loss`: mean cross entropy per letter, in nats. Each seed has its own start and windows.
    """
    batches = torch.stack([torch.stack([torch.stack(batch) for batch in windows(s, steps=steps)]) for s in seeds])
    x, y = batches.unbind(2)  # (seeds, steps, rows, letters)

    def init(seed):
        return dict(reader(seed).named_parameters())

    def loss(params, step):
        logits = _read(params, x[:, step])
        return cross_entropy(logits.flatten(2, 3), y[:, step].flatten(1))

    return {"init": init, "loss": loss, "steps": steps}


def _read(p: dict[str, Tensor], x: Tensor) -> Tensor:
    """`Reader` of every replica: letters (seeds, rows, n) → logits (lrs, seeds, rows, n, letters)."""
    rows, n = x.shape[1:]
    place = x.flatten(1).unsqueeze(-1)
    table = p["read.weight"]  # (lrs, seeds, letters, width)
    read = table.gather(2, place.expand(*table.shape[:2], -1, table.shape[-1]))
    bias = (p["recur.bias_ih_l0"] + p["recur.bias_hh_l0"]).unsqueeze(-2)
    given = (read @ p["recur.weight_ih_l0"].mT + bias).unflatten(2, (rows, n))
    again, states = p["recur.weight_hh_l0"].mT, [given[..., 0, :].relu()]
    for k in range(1, n):
        states.append((given[..., k, :] + states[-1] @ again).relu())
    written = torch.stack(states, dim=-2).flatten(2, 3) @ p["write.weight"].mT + p["write.bias"].unsqueeze(-2)
    return written.unflatten(2, (rows, n))
