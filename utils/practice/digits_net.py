"""What notebooks 05a and 05b train: a small conv net on digits, with batches that every recipe sees alike.

`digits_problem` hands the net to `sweep()`, all seeds at once; `run_recipe` trains one model in the plain loop of a
recipe. Both see the same batches in the same order, and give the same model.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils import data
from utils.practice.checkpoint import Batches

Rows = tuple[Tensor, Tensor]  # images (rows, 1, 8, 8) in 0…1 and labels (rows,)
_CHUNK = 64  # rows judged at once: with many nets, more of them leave the cache


@dataclass(frozen=True, eq=False)
class Digits:
    """Three parts of the digits: to train on, to choose by (validation), and to report on (test), each (x, y)."""

    train: Rows
    validation: Rows
    test: Rows

    def __repr__(self) -> str:
        sizes = [len(part[1]) for part in (self.train, self.validation, self.test)]
        return "Digits({} to train on, {} to choose by, {} to report on)".format(*sizes)


def digits(train: int = 1010) -> Digits:
    """The digits with `train` rows to train on. The 450 test rows are those of `data.digits()`, whatever `train` is."""
    whole = data.digits()
    x, y = whole.x_train.view(-1, 1, 8, 8), whole.y_train
    test = whole.x_test.view(-1, 1, 8, 8), whole.y_test
    if not 0 < train < len(x):
        raise ValueError(f"train is {train}: use 1 to {len(x) - 1}, the rest are validation rows")
    return Digits((x[:train], y[:train]), (x[train:], y[train:]), test)


def conv_net(seed: int) -> nn.Sequential:
    """Two convolutions of 16 and 32 channels with batch norm: 6,138 numbers, images (rows, 1, 8, 8) → (rows, 10)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            *(nn.Conv2d(1, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10)),
        )


def shift(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Each image (rows, 1, 8, 8) moved by −1, 0 or 1 pixel each way, with zeros at the rim: new images for free."""
    offsets = torch.randint(0, 3, (2, len(x), 1), generator=generator)
    return _shifted(x, offsets)


def _shifted(x: Tensor, offsets: Tensor) -> Tensor:
    """`offsets` (2, rows, 1) in 0…2: where the 8 × 8 window starts in the padded image, down and right."""
    padded, pixels = F.pad(x[:, 0], (1, 1, 1, 1)), torch.arange(8)
    down, right = offsets + pixels
    return padded[torch.arange(len(x))[:, None, None], down[:, :, None], right[:, None, :]].unsqueeze(1)


# ---- all seeds at once


def digits_problem(
    rows: Digits,
    steps: int,
    *,
    seeds: Sequence[int],
    batch_size: int = 32,
    augment: int = 0,
    label_smoothing: float = 0.0,
    judge: str = "loss",
    remeasure: bool = False,
) -> dict:
    """The arguments of `sweep()` for conv_net: init, loss, steps, seeds, evaluate.

    Each seed has its own start and its own batches (`Batches`); `shift` moves the images of every batch if `augment` is
    1, of every other one if it is 2, of none if it is 0. `judge` is the "loss" on the validation rows or the "error",
    the share of them classified wrong, in per cent. `remeasure` measures batch norm's statistics anew on the training
    rows before judging, as `swa_utils.update_bn` does: after few steps the running ones still hold much of their start.
    """
    seeds = tuple(seeds)
    images, labels = _all_batches(rows, steps, seeds, batch_size, augment)
    models = [conv_net(seed) for seed in seeds]
    running = {}  # batch norm's running mean and variance of every replica, updated in place

    def loss(params, step):
        if step == 0:
            channels = {layer: math.prod(params[f"{layer}.weight"].shape) for layer in ("1", "4")}
            running.update({layer: (torch.zeros(n), torch.ones(n)) for layer, n in channels.items()})
        logits = _grouped_net(params, images[step], running, training=True)
        return _cross_entropy(logits, labels[step].expand(logits.shape[:-1]), label_smoothing)

    def evaluate(params):
        if remeasure:
            every = rows.train[0]
            _grouped_net(params, every.expand(len(seeds), *every.shape), running, training=True, momentum=1.0)
        x, y = rows.validation
        chunks = x.expand(len(seeds), *x.shape).split(_CHUNK, dim=1)
        logits = torch.cat([_grouped_net(params, part, running, training=False) for part in chunks], dim=2)
        if judge == "error":
            return 100 * (logits.argmax(-1) != y).double().mean(-1)
        return _cross_entropy(logits, y.expand(logits.shape[:-1]))

    def init(seed):
        return dict(models[seeds.index(seed)].named_parameters())

    return {"init": init, "loss": loss, "steps": steps, "seeds": seeds, "evaluate": evaluate}


def _all_batches(rows: Digits, steps: int, seeds, batch_size: int, augment: int) -> tuple[Tensor, Tensor]:
    """Images (steps, seeds, batch, 1, 8, 8) and labels (steps, seeds, batch), the same that a recipe gets."""
    images, labels = [], []
    for seed in seeds:
        generator, feed = noise(seed), list(Feed(rows, steps, seed, batch_size))
        moved = [augment > 0 and (step + 1) % augment == 0 for step in range(steps)]
        images.append(
            torch.stack([shift(x, generator) if move else x for move, (x, _) in zip(moved, feed, strict=True)])
        )
        labels.append(torch.stack([y for _, y in feed]))
    return torch.stack(images, dim=1), torch.stack(labels, dim=1)


def _grouped_net(params: dict, x: Tensor, running: dict, *, training: bool, momentum: float = 0.1) -> Tensor:
    """conv_net of every replica in one pass: x (seeds, rows, 1, 8, 8) → logits (lrs, seeds, rows, 10).

    The replicas' channels lie side by side, and `groups` keeps a convolution within its replica.
    """
    lrs, seeds = params["0.weight"].shape[:2]
    replicas, rows = lrs * seeds, x.shape[1]

    def flat(name):  # the replicas side by side along the first axis
        return params[name].flatten(0, 2)

    def conv_norm(x, conv, norm, stride):
        x = F.conv2d(x, flat(f"{conv}.weight"), stride=stride, padding=1, groups=replicas)
        mean, variance = running[norm]
        scale, bias = flat(f"{norm}.weight"), flat(f"{norm}.bias")
        return F.batch_norm(x, mean, variance, scale, bias, training, momentum).relu_()

    x = x[:, :, 0].transpose(0, 1).unsqueeze(1).expand(-1, lrs, -1, -1, -1).flatten(1, 2)  # (rows, replicas, 8, 8)
    x = x.contiguous(memory_format=torch.channels_last)  # this layout saves a sixth of the time
    x = F.max_pool2d(conv_norm(conv_norm(x, "0", "1", 2), "3", "4", 1), 2)
    # The features to each replica's rows, by a way on which no copy, forth or back, leaves the order of memory.
    x = x.permute(0, 2, 3, 1).reshape(rows, 4, replicas, 32).permute(2, 0, 3, 1).reshape(replicas, rows, -1)
    logits = x @ params["8.weight"].flatten(0, 1).transpose(1, 2) + params["8.bias"].flatten(0, 1).unsqueeze(1)
    return logits.view(lrs, seeds, rows, -1)


def _cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean over rows, one number per replica: logits (lrs, seeds, rows, classes) → (lrs, seeds)."""
    logs = logits.log_softmax(-1)
    right = logs.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return -((1 - label_smoothing) * right + label_smoothing * logs.mean(-1)).mean(-1)


# ---- one net per seed, side by side, in a plain loop


class Heads(nn.Module):
    """The last layers of several nets, each for its own features: (rows, nets × features) → (rows, nets, classes)."""

    def __init__(self, heads: Sequence[nn.Linear]):
        super().__init__()
        self.nets = len(heads)
        self.weight = nn.Parameter(torch.cat([head.weight.detach() for head in heads]))
        self.bias = nn.Parameter(torch.cat([head.bias.detach() for head in heads]))

    def forward(self, x: Tensor) -> Tensor:
        """The logits of every net."""
        weight, bias = (part.unflatten(0, (self.nets, -1)) for part in (self.weight, self.bias))
        return torch.einsum("rsi,soi->rso", x.unflatten(1, (self.nets, -1)), weight) + bias


def conv_nets(seeds: Sequence[int]) -> nn.Sequential:
    """`conv_net` of every seed in one module, layer beside layer: images (rows, seeds, 8, 8) → (rows, seeds, 10).

    The nets share nothing. So an optimizer that treats every number on its own, an average of weights and `update_bn`
    do to each what they do to it alone, if the loss is the sum of theirs (`losses`).
    """
    alone = [conv_net(seed) for seed in seeds]
    layers = [_beside(each) for each in zip(*alone, strict=True)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)  # saves a tenth of the time


def _beside(layers: Sequence[nn.Module]) -> nn.Module:
    """One layer that does for each net what its own of these does."""
    first, nets = layers[0], len(layers)
    if isinstance(first, nn.Linear):
        return Heads(layers)
    if isinstance(first, nn.Conv2d):
        sizes = nets * first.in_channels, nets * first.out_channels, first.kernel_size
        joint = nn.Conv2d(*sizes, first.stride, first.padding, groups=nets, bias=False)
    elif isinstance(first, nn.BatchNorm2d):
        joint = nn.BatchNorm2d(nets * first.num_features)
    else:
        return first
    with torch.no_grad():
        for name, parameter in joint.named_parameters():
            parameter.copy_(torch.cat([layer.get_parameter(name) for layer in layers]))
    return joint


def feeds(rows: Digits, steps: int, seeds: Sequence[int], *, batch_size: int = 32, augment: int = 0) -> Iterator[Rows]:
    """The batches for `conv_nets`: images (batch, seeds, 8, 8) and labels (batch, seeds).

    Each net gets what `Feed` gives for its seed; `augment` is that of `digits_problem`.
    """
    for images, labels in zip(*_all_batches(rows, steps, seeds, batch_size, augment), strict=True):
        yield images.squeeze(2).transpose(0, 1).contiguous(memory_format=torch.channels_last), labels.T


def losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy of every net: (rows, nets, 10) and labels (rows, nets) → (nets,). Go backward on the sum."""
    return _cross_entropy(logits.transpose(0, 1), labels.T)


def judge_nets(nets: nn.Sequential, part: Rows) -> tuple[np.ndarray, np.ndarray]:
    """(mean loss, error in per cent), (seeds,) each: every net in eval mode, on the same rows."""
    x, y = part
    nets.eval()
    with torch.no_grad():
        logits = torch.cat([nets(part.expand(-1, nets[0].groups, -1, -1)) for part in x.split(_CHUNK)])
    labels = y.unsqueeze(1).expand(logits.shape[:-1])
    error = 100 * (logits.argmax(-1) != labels).double().mean(0)
    return losses(logits, labels).double().numpy(), error.numpy()


# ---- one model, in the plain loop of a recipe


def noise(seed: int) -> torch.Generator:
    """A generator for what a recipe draws at random, apart from all others."""
    return torch.Generator().manual_seed(10_000 + seed)


class Feed:
    """The batches of one run: `steps` pairs (x, y), images (batch_size, 1, 8, 8). `len()` is the number of steps."""

    def __init__(self, rows: Digits, steps: int, seed: int, batch_size: int = 32):
        self.steps, self.taken = steps, 0
        self._x, self._y = rows.train
        self._order = Batches(len(self._y), batch_size, seed=seed)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Rows]:
        while self.taken < self.steps:
            self.taken += 1
            rows = next(self._order)
            yield self._x[rows], self._y[rows]


Recipe = Callable[[nn.Module, Feed], nn.Module | None]


def judge(model: nn.Module, part: Rows) -> tuple[float, float]:
    """(mean loss, error in per cent) of the model, in eval mode, on `part`."""
    model.eval()
    with torch.no_grad():
        logits = model(part[0])
    return F.cross_entropy(logits, part[1]).item(), 100 * (logits.argmax(1) != part[1]).double().mean().item()
