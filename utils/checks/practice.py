"""The checks of notebook 05a's exercises, parameter groups and accumulated gradients, and 05b's of a recipe.

Longer than two screens by the answers that go wrong.
"""

from collections.abc import Callable, Iterator
from operator import methodcaller

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from utils.guard import Mistake, Wrong, call, check
from utils.practice.leaderboard import check_recipe

__all__ = ["check_accumulate", "check_groups", "check_recipe"]

# --- no decay on biases and norms -------------------------------------------------------------------------------------

_DECAY = 0.3


def _models() -> list[tuple[str, nn.Module]]:
    """Models on which the usual short cuts go wrong, each with a name for the message."""
    conv = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    text = nn.Sequential(nn.Embedding(9, 4), nn.LayerNorm(4), nn.Linear(4, 9))
    tied = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9))
    tied[1].weight = tied[0].weight
    frozen = nn.Sequential(nn.Linear(3, 4), nn.GroupNorm(2, 4), nn.Linear(4, 2))
    heated = nn.Sequential(nn.Linear(3, 2))
    heated.register_parameter("temperature", nn.Parameter(torch.tensor(1.0)))  # has no axis at all
    return [
        ("a conv net", conv),
        ("a text model", text),
        ("a model with tied weights", tied),
        ("an MLP", frozen),
        ("a model with a temperature", heated),
    ]


@check
def check_groups(candidate: Callable) -> str:
    """Judge `decay_groups(model, weight_decay)`: parameter groups in which only weights of two or more axes decay."""
    for where, model in _models():
        names = {id(p): name for name, p in model.named_parameters()}
        groups = call(candidate, model, _DECAY).answer(may_change=True)
        if not isinstance(groups, list | tuple) or not all(isinstance(g, dict) and "params" in g for g in groups):
            raise Wrong("A list of groups is asked for, each a dict: `[{'params': [...], 'weight_decay': ...}, ...]`.")
        seen: dict[int, float] = {}
        for group in groups:
            if "weight_decay" not in group:
                raise Wrong(
                    "A group without `weight_decay` gets the optimizer's default, 0.01 for AdamW: write the 0 down."
                )
            params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
            for p in params:
                if isinstance(p, tuple):
                    raise Wrong("A group holds pairs (name, parameter): keep the parameter alone.")
                if id(p) in seen:
                    name = names.get(id(p), "a tensor")
                    raise Wrong(f"In {where} `{name}` is in the groups twice: once is enough.")
                seen[id(p)] = group["weight_decay"]
        if problems := list(_problems(where, model, names, seen)):
            raise Wrong(problems[0], problems[1:])
        optim.AdamW(groups, lr=0.1)
    return "each parameter is in one group; matrices, kernels and embeddings decay, biases and norms do not."


def _problems(where: str, model: nn.Module, names: dict, seen: dict) -> Iterator[str]:
    """What is wrong with a model's groups, a sentence for each parameter; those in no group come first."""
    for key, name in names.items():
        if key not in seen:
            yield f"In {where} `{name}` is in no group: the optimizer would never move it."
    for p in model.parameters():
        name, decay = names[id(p)], seen.get(id(p))
        if decay is None:
            continue
        if p.ndim > 1 and decay != _DECAY:
            yield f"In {where} `{name}`, of shape {tuple(p.shape)}, has weight decay {decay}: weights should decay."
        if p.ndim == 1 and decay != 0:  # whether a single number should decay is not asked
            layer = model.get_submodule(name.rpartition(".")[0])
            hint = "Its name ends in `weight`, but it is the scale of a norm. " if name.endswith("weight") else ""
            yield (
                f"In {where} `{name}` of {type(layer).__name__} has weight decay {decay}. {hint}What have biases and "
                "norms in common that matrices and kernels have not?"
            )


# --- accumulation -----------------------------------------------------------------------------------------------------

_PIECES = ((8, 8, 8, 8), (12, 12, 8), (20,))  # rows of the micro-batches: equal, unequal, a single one


def _linear(rows: int) -> tuple[nn.Module, Tensor, Tensor]:
    g = torch.Generator().manual_seed(rows)
    model = nn.Linear(5, 3).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g))
    x, y = torch.randn(rows, 5, generator=g).double(), torch.randint(3, (rows,), generator=g)
    return model, x, y


def _share(y: Tensor, pieces: int, rows: int) -> float:
    """The weight of a piece's mean loss in that of all rows."""
    return len(y) / rows


_step, _zero_grad = methodcaller("step"), methodcaller("zero_grad")


def _nothing(optimizer: optim.Optimizer) -> None:
    pass


def _accumulated(
    model: nn.Module, pieces: list, *, weight=_share, before=_nothing, after=_nothing, end=_step
) -> list[Tensor]:
    """The parameters after one SGD step with lr 1 on all pieces, in parts that a mistake replaces; the model's stay.

    weight          of the mean loss of a piece, from its labels, the number of pieces and of rows in all
    before, after   what is done to the optimizer before and after the `backward` of each piece
    end             what is done to it after the last
    """
    rows = sum(len(y) for _, y in pieces)
    start = [p.detach().clone() for p in model.parameters()]
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    optimizer.zero_grad()
    for x, y in pieces:
        before(optimizer)
        (weight(y, len(pieces), rows) * F.cross_entropy(model(x), y)).backward()
        after(optimizer)
    end(optimizer)
    reached = [p.detach().clone() for p in model.parameters()]
    _put(model, start)
    return reached


def _put(model: nn.Module, values: list[Tensor]) -> None:
    with torch.no_grad():
        for p, value in zip(model.parameters(), values, strict=True):
            p.copy_(value)


def _whole(y: Tensor, pieces: int, rows: int) -> float:
    return 1.0


_MISTAKES = (  # each replaces parts of _accumulated()
    Mistake(
        "sum of means",
        {"weight": _whole},
        "The means of the pieces are added up, so the gradient is as many times too large as there are pieces: divide.",
    ),
    Mistake(
        "mean of means",
        {"weight": lambda y, pieces, rows: 1 / pieces},
        "Each piece counts the same, though they differ in rows: weigh a piece by its share of the rows.",
    ),
    Mistake(
        "zeroed",
        {"weight": _whole, "before": _zero_grad},
        "Only the last piece counts: is `zero_grad()` inside the loop, or `backward()` after it?",
    ),
    Mistake(
        "stepped",
        {"weight": _whole, "before": _zero_grad, "after": _step, "end": _nothing},
        "It steps after every piece: those are small batches, one after the other, not one large one.",
    ),
    Mistake(
        "stepped without zero",
        {"weight": _whole, "after": _step, "end": _nothing},
        "It steps after every piece, with all gradients so far: one step is asked for, at the end.",
    ),
)


@check
def check_accumulate(candidate: Callable) -> str:
    """Judge `accumulate(model, optimizer, pieces)`: one optimizer step, equal to that on all rows at once."""
    seen = []
    for sizes in _PIECES:
        model, x, y = _linear(sum(sizes))
        pieces = list(zip(x.split(sizes), y.split(sizes), strict=True))
        start = [p.detach().clone() for p in model.parameters()]
        truth = _accumulated(model, pieces)
        optimizer = optim.SGD(model.parameters(), lr=1.0)
        for p in model.parameters():  # what an earlier step has left behind
            p.grad = torch.ones_like(p)
        call(candidate, model, optimizer, pieces).answer(may_change=True, may_be_none=True)
        after = [p.detach().clone() for p in model.parameters()]
        _put(model, start)
        seen.append((model, pieces, after))
        if _close(after, truth):
            continue
        where = f"With pieces of {', '.join(map(str, sizes))} rows"
        if _close(after, start):
            raise Wrong(
                f"{where} the model is as it was: does `step()` come at the end, and `zero_grad()` not just before?"
            )
        old = [t - 1.0 for t in truth]
        if _close(after, old):
            raise Wrong(f"{where} the step also holds the gradient of an earlier step: `zero_grad()` comes first.")
        for mistake in _MISTAKES:
            if all(_close(reached, _accumulated(*run, **mistake.does)) for *run, reached in seen):
                raise Wrong(f"{where} the step is not that of the large batch. {mistake.message}")
        gap = max(float((a - t).abs().max()) for a, t in zip(after, truth, strict=True))
        raise Wrong(f"{where} the step is not that of the large batch: parameters differ by up to {gap:.2g}.")
    return "one step, equal to that of the large batch to rounding, for equal and for unequal pieces."


def _close(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.allclose(p, q, rtol=1e-9, atol=1e-10) for p, q in zip(a, b, strict=True))
