"""Eight ways to spoil a training run, each really run: a small recurrent network on the Zen of Python, and one mistake.

The healthy run and the eight sick ones share model, batches and length; they differ in the line that is the mistake.
`MISTAKES` has the eight by name.
Longer than two screens, since the eight are told apart by one another.
"""

import codecs
import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from operator import methodcaller

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.optim.lr_scheduler import LRScheduler, StepLR

from utils.guard import Mistake

STEPS, LR, CLIP = 100, 0.3, 1.0  # what the healthy run uses; its momentum is 0.9
_LETTERS_READ = 24


@dataclass(frozen=True, eq=False)
class Signals:
    """What one run showed, arrays of shape (steps,); nan after the step at which the loss was not finite.

    loss        of the step's batch, before the step
    gradient    norm of all gradients as they lie in `.grad`, before clipping
    weights     norm of all parameters after the step
    update      norm of what the step changed
    """

    loss: np.ndarray
    gradient: np.ndarray
    weights: np.ndarray
    update: np.ndarray


def zen() -> tuple[str, list[str], Tensor]:
    """The Zen of Python in lower case, its letters in order, and the text as their numbers, int64 (856,)."""
    with contextlib.redirect_stdout(io.StringIO()):
        import this  # prints it, and keeps it in ROT13
    text = codecs.decode(this.s, "rot13").lower()
    letters = sorted(set(text))
    return text, letters, torch.tensor([letters.index(letter) for letter in text])


class Reader(nn.Module):
    """Letters (rows, n) → logits (rows, n, letters): an embedding, a ReLU network that recurs, a linear layer.

    Recurrence starts as the identity (Le, Jaitly and Hinton, 2015): it remembers long, and its gradient can explode.
    """

    def __init__(self, letters: int, *, width: int = 32, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.read = nn.Embedding(letters, width)
            self.recur = nn.RNN(width, width, batch_first=True, nonlinearity="relu")
            self.write = nn.Linear(width, letters)
        nn.init.eye_(self.recur.weight_hh_l0)

    def forward(self, x: Tensor) -> Tensor:
        """The logits of the letter that follows each letter of x, int64 (rows, n)."""
        return self.write(self.recur(self.read(x))[0])


def reader(seed: int = 0) -> Reader:
    """The network of all these runs, for the letters of zen(), float32; the same for the same seed."""
    return Reader(len(zen()[1]), seed=seed)


def windows(seed: int = 0, *, steps: int = STEPS, batch_size: int = 16) -> list[tuple[Tensor, Tensor]]:
    """`steps` batches (x, y) of int64 (batch_size, 24): pieces of the Zen, and the letter that follows each letter."""
    pieces = zen()[2].unfold(0, _LETTERS_READ + 1, 1)
    rows = torch.randint(len(pieces), (steps, batch_size), generator=torch.Generator().manual_seed(seed))
    return [(pieces[r, :-1], pieces[r, 1:]) for r in rows]


def guessing() -> float:
    """The loss of knowing only how common each letter is: the entropy of the text's letters, in nats."""
    shares = zen()[2].bincount().double() / len(zen()[2])
    return -(shares * shares.log()).sum().item()


def text_loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Mean cross entropy per letter, in nats, a scalar with a graph; x and y as windows() gives them."""
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten())


def _train(
    seed: int,
    *,
    lr: float = LR,
    decay: float = 0.0,
    held: Callable[[nn.Module, int], nn.Module] = lambda model, seed: model,
    labels: Callable[[Tensor, torch.Generator], Tensor] = lambda y, generator: y,
    clear: Callable[[optim.Optimizer], None] = methodcaller("zero_grad"),
    clip: Callable = nn.utils.clip_grad_norm_,
    scheduler: Callable[[optim.Optimizer], LRScheduler] | None = None,
) -> Signals:
    """The healthy run, in parts that a mistake replaces.

    held         the model whose parameters the optimizer is given
    labels       what is taken for the labels of a batch, int64 (batch_size, 24)
    clear        what is done to the optimizer before `backward`
    clip         what is done to (parameters, CLIP) after it
    scheduler    makes the one that is stepped after every batch, if there is one
    """
    model = reader(seed)
    moved = held(model, seed)
    optimizer = optim.SGD(moved.parameters(), lr=lr, momentum=0.9, weight_decay=decay)
    schedule = scheduler(optimizer) if scheduler else None
    generator = torch.Generator().manual_seed(seed)

    def one_step(x, y):
        loss = text_loss(model, x, labels(y, generator))
        clear(optimizer)
        loss.backward()
        norm = nn.utils.get_total_norm([p.grad for p in model.parameters()]).item()
        clip(moved.parameters(), CLIP)
        optimizer.step()
        if schedule is not None:
            schedule.step()
        return loss.item(), norm

    return observe(model, one_step, windows(seed))


def _shuffled(y: Tensor, generator: torch.Generator) -> Tensor:
    return y.flatten()[torch.randperm(y.numel(), generator=generator)].view(y.shape)


# Each replaces parts of the healthy run; its message is what the run shows, as a reader of the four signals would say.
_MISTAKES = (
    Mistake(
        "lr too high",
        {"lr": 3.0},
        "updates are several times as long as the healthy run's from the start, the loss stays stuck near that of "
        "guessing letters by how common they are, and the weights' norm grows",
    ),
    Mistake(
        "lr too low",
        {"lr": 0.003},
        "the loss falls from the first step to the last, only slowly; updates are short throughout",
    ),
    Mistake(
        "no zero_grad",
        {"clear": lambda optimizer: None},
        "the loss falls as in a healthy run at first, then climbs again, and the weights' norm grows",
    ),
    Mistake(
        "labels shuffled",
        {"labels": _shuffled},
        "the loss falls to that of guessing letters by how common they are and stays there, while the updates shrink, "
        "but not by powers of ten, and the weights' norm stays where it was",
    ),
    Mistake(
        "dead optimizer",
        {"held": lambda model, seed: reader(seed)},  # a copy: what the optimizer moves nobody uses
        "the loss stays where it started, but for the noise of the batches: no weight ever moves",
    ),
    Mistake(
        "decay too strong",
        {"decay": 0.1},
        "the loss stops near that of guessing, as if nothing could be learnt, and the weights' norm shrinks",
    ),
    Mistake(
        "scheduler per iteration",
        {"scheduler": partial(StepLR, step_size=10, gamma=0.2)},
        "the loss falls as in a healthy run, then freezes: updates get shorter by powers of ten",
    ),
    Mistake(
        "exploding gradient",
        {"clip": lambda parameters, norm: None},
        "the gradient grows by powers of ten within a few steps, and the loss is inf or nan",
    ),
)
MISTAKES = {mistake.name: mistake for mistake in _MISTAKES}


@cache
def spoiled(mistake: str | None = None, *, seed: int = 0) -> Signals:
    """Train with this mistake (a key of MISTAKES; None is the healthy run) and note what is to be seen.

    The signals have STEPS entries each. Raises ValueError for any other name.
    """
    if mistake is not None and mistake not in MISTAKES:
        raise ValueError(f"{mistake!r} is none of the eight: {', '.join(MISTAKES)}")
    return _train(seed, **(MISTAKES[mistake].does if mistake else {}))


def observe(model: nn.Module, one_step: Callable, batches) -> Signals:
    """Run `one_step(x, y) -> (loss, gradient norm)` on every batch (x, y) and watch the model.

    The signals have an entry for each batch. It stops after the first step that shows a number that is not finite.
    """
    rows = np.full((len(batches), 4), np.nan)
    before = flat(model)
    for row, (x, y) in zip(rows, batches, strict=True):
        loss, gradient = one_step(x, y)
        now = flat(model)
        row[:] = loss, gradient, now.norm(), (now - before).norm()
        before = now
        if not np.isfinite(row).all():
            break
    return Signals(*rows.T)


def flat(model: nn.Module) -> Tensor:
    """All parameters as one vector, shape (parameters,), a copy without a graph."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def lettered(seed: int = 0) -> dict[str, str]:
    """The mistakes, shuffled by `seed`: a letter from A to H → the name of a mistake."""
    names = np.random.default_rng(seed).permutation(list(MISTAKES))
    return dict(zip("ABCDEFGH", map(str, names), strict=True))


def recognise(signals: Signals) -> str:
    """The mistake that these signals show, or "healthy". Rules of thumb; tests try them on other seeds."""
    loss, update, weights = signals.loss, signals.update, signals.weights
    if not np.isfinite(loss).all():
        return "exploding gradient"
    if not update.any():
        return "dead optimizer"
    end = loss[-10:].mean()
    if weights[-1] < 0.6 * weights[0]:
        return "decay too strong"
    if update.max() < 0.1 * LR * CLIP:
        return "lr too low"
    if np.median(update[:10]) > 4 * LR * CLIP:
        return "lr too high"
    if np.median(update[-5:]) < 0.05 * np.median(update[:10]) and end > 1.8:  # a good schedule fades too, and ends low
        return "scheduler per iteration"
    if end < 2.2:
        return "healthy"
    return "no zero_grad" if weights[-1] > 1.3 * weights[0] else "labels shuffled"
