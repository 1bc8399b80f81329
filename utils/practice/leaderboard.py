"""Score a training recipe fairly: same net, same batches, same steps, five seeds, rows that nobody trained on.

Recipes are chosen on the validation rows with five seeds, and reported on the test rows with five others.

A recipe is a function `recipe(model, batches)`: it trains `model` on the pairs (x, y) of `batches` and returns the
model to be judged (None: the one that it got). On each batch a parameter moves once at most, whoever moves it, and a
gradient is taken twice at most, see `budget`. A recipe may transform x and y, schedule, average…

Longer than two screens by the sentences for recipes that break the rules.
"""

import inspect
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from tabulate import tabulate
from torch import nn, optim
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from utils import progress
from utils.comparison import Comparison, compare
from utils.guard import NotYet, Wrong, call, check, has_placeholder, name_of, not_yet
from utils.practice.budget import Budget, Spent
from utils.practice.digits_net import Digits, Feed, Recipe, Rows, conv_net, digits, judge, shift

STEPS, TARGET = 300, 98.5  # batches per run, and the accuracy in per cent to reach, in the mean of the seeds
MARGIN = 0.2  # points: about one of the 450 test digits, and no difference worth a claim
ROWS, GRADIENTS = 32, 2  # rows in a batch, and how often a gradient may be taken on it
SEEDS = {"validation": (0, 1, 2, 3, 4), "test": (100, 101, 102, 103, 104)}  # no trained model both chooses and reports
_SECONDS = 30.0  # per run; the references take about one
_looks = itertools.count(1)


# ---- the references


def constant(model: nn.Module, batches: Feed) -> None:
    """AdamW at one lr from the first step to the last. The lr was chosen on the validation rows (notebook 05b)."""
    optimizer = optim.AdamW(model.parameters(), lr=0.01, fused=True)
    for x, y in batches:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def practised(model: nn.Module, batches: Feed) -> None:
    """Warm-up and cosine, decay on the weights only, label smoothing, every other batch shifted.

    The numbers were chosen on the validation rows, with the seeds for that.
    """
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": 0.3}, {"params": others, "weight_decay": 0.0}]
    optimizer = optim.AdamW(groups, lr=0.03, fused=True)
    steps, warm = len(batches), len(batches) // 10
    scheduler = LambdaLR(optimizer, lambda t: min((t + 1) / warm, (1 + math.cos(math.pi * t / steps)) / 2))
    for step, (x, y) in enumerate(batches):
        loss = F.cross_entropy(model(shift(x) if step % 2 else x), y, label_smoothing=0.2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()


REFERENCES: dict[str, Recipe] = {"AdamW, constant lr": constant, "the page's recipe": practised}


# ---- running a recipe


@dataclass(frozen=True, eq=False)
class Score:
    """What a recipe reached: the accuracy in per cent, one number per seed; and what it spent, per seed counted."""

    label: str
    accuracy: np.ndarray
    spent: tuple[Spent, ...] = ()

    def __str__(self) -> str:
        return f"{self.accuracy.mean():.2f} % ± {self.accuracy.std(ddof=1):.2f}"

    @property
    def most(self) -> list[int | str]:
        """Updates of a parameter and gradients of a batch's rows, the most on one batch; empty texts if not counted."""
        if not self.spent:
            return ["", ""]
        return [max(each.most_moves for each in self.spent), max(each.most_gradients for each in self.spent)]


def score(
    recipe: Recipe, *, on: str = "validation", label: str = "yours", gradients: int = GRADIENTS, trusted: bool = False
) -> Score:
    """Train with the SEEDS of the "validation" or the "test" rows and judge there.

    `gradients` is how many may be taken on a batch. At the end the first seed is run again, to see whether the recipe
    keeps something from run to run. One that is `trusted` is not, and what it spends is counted with the first seed
    only: counting takes as long as training. Raises Wrong with a diagnosis, or NotYet, where the recipe gives no model
    to judge or breaks a rule, and nothing else, whatever the recipe does. A run that takes longer than 30 seconds is
    stopped.
    """
    if on not in ("validation", "test"):
        raise ValueError(f"on is {on!r}: choose on 'validation' as often as you like, report on 'test'")
    rows, seeds = digits(), SEEDS[on]
    runs = [_run(recipe, seed, rows, gradients) for seed in (seeds[:1] if trusted else seeds)]
    models = [model for model, _ in runs] + [_trained(recipe, seed, rows) for seed in seeds[len(runs) :]]
    accuracy = np.array([100 - judge(model, getattr(rows, on))[1] for model in models])
    if not trusted:
        again, _ = _run(recipe, seeds[0], rows, gradients)
        if not all(map(torch.equal, _numbers(runs[0][0]), _numbers(again))):
            raise Wrong(
                "Run twice with the same seed, your recipe gives two different models. Does it keep something from run "
                "to run, or draw random numbers of its own? All must come from `model`, `batches` and the global "
                "generators of torch, NumPy and Python."
            )
    return Score(label, accuracy, tuple(spent for _, spent in runs))


def _trained(recipe: Recipe, seed: int, rows: Digits) -> nn.Module:
    """What a recipe makes that keeps the rules: as `_run`, without a look at what it does."""
    model = conv_net(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return recipe(model, Feed(rows, STEPS, seed, ROWS)) or model


def _numbers(model: nn.Module) -> list[torch.Tensor]:
    return list(model.state_dict().values())


class _Counted(Feed):
    """The batches, each of them known to the budget."""

    def __init__(self, rows: Digits, seed: int, budget: Budget):
        super().__init__(rows, STEPS, seed, ROWS)
        self._budget = budget

    def __iter__(self) -> Iterator[Rows]:
        for batch in super().__iter__():
            self._budget.take()
            yield batch


class _Watched:
    """A recipe whose operations are counted; everything else of it is the recipe's own."""

    def __init__(self, recipe: Recipe, budget: Budget):
        self._recipe, self._budget = recipe, budget

    def __call__(self, model: nn.Module, batches: Feed) -> object:
        with self._budget.counting():
            return self._recipe(model, batches)

    def __getattr__(self, name: str) -> object:
        return getattr(self._recipe, name)


def _run(recipe: Recipe, seed: int, rows: Digits, gradients: int) -> tuple[nn.Module, Spent]:
    """The trained model of one seed, once it is known that the rules were kept, and what it took."""
    model = conv_net(seed)
    optim.SGD(model.parameters(), lr=0.1)  # the first one imports much of torch: not in the time of the recipe
    before = [p.detach().clone() for p in model.parameters()]
    judged = torch.cat([part[0] for part in (rows.validation, rows.test) if part is not None])
    budget = Budget(model, batches=STEPS, rows=ROWS, gradients=gradients, forbidden=judged)
    with budget.listening(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        watched = _Watched(recipe, budget) if callable(recipe) else recipe
        outcome = call(watched, model, _Counted(rows, seed, budget), timeout=_SECONDS)
    if outcome.untouched:
        raise NotYet(outcome.problem)
    if budget.breach is None and outcome.problem:
        raise Wrong(outcome.problem)
    spent = budget.spent()
    if spent.breach:
        raise Wrong(
            f"Your recipe {spent.breach}. The rules: on each batch a parameter moves once at most, whoever moves it, "
            f"and {gradients} gradients of {ROWS} rows are taken at most; nothing but the batches is shown to the "
            "network. Otherwise it would not be compared with the others."
        )
    result = model if outcome.value is None else outcome.value
    if has_placeholder(recipe) and not spent.moves:
        raise NotYet(not_yet(name_of(recipe)))
    if not isinstance(result, nn.Module):
        raise Wrong(f"Your recipe returned an object of type `{type(result).__name__}`: return the model, or nothing.")
    _judge_network(result, model, before, spent)
    return _same_network(result, seed, rows), spent


def _same_network(result: nn.Module, seed: int, rows: Digits) -> nn.Module:
    """The net that everybody trains, with the numbers of the model that was returned: it alone is judged."""
    inner, net = _inner(result), conv_net(seed)
    with torch.no_grad():
        for ours, theirs in zip(
            [*net.parameters(), *net.buffers()], [*inner.parameters(), *inner.buffers()], strict=True
        ):
            ours.copy_(theirs)
        x = rows.train[0][:64]
        if not torch.allclose(net.eval()(x), result.eval()(x), rtol=1e-3, atol=1e-3):
            raise Wrong(
                "The model that you return computes something else than the net that you got does with the same "
                "numbers: everybody trains the same one."
            )
    return net


def _inner(result: nn.Module) -> nn.Module:
    return result.module if isinstance(result, optim.swa_utils.AveragedModel) else result


def _judge_network(result: nn.Module, model: nn.Module, before: list, spent: Spent) -> None:
    inner = _inner(result)
    shapes = [[tuple(t.shape) for t in (*m.parameters(), *m.buffers())] for m in (inner, conv_net(0))]
    if shapes[0] != shapes[1]:
        raise Wrong("Your recipe returned another network than it got: everybody trains the same one.")
    if not all(t.isfinite().all() for t in inner.state_dict().values()):
        raise Wrong(f"After {spent.moves} steps the model holds nan or inf: the run diverged. Try a lower lr, or clip.")
    if all(torch.equal(a, b) for a, b in zip(before, inner.parameters(), strict=True)):
        if spent.steps == spent.moves == 0:
            raise Wrong(
                "No optimizer took a step: the model is as it was. Does your loop over `batches` call `step()`?"
            )
        raise Wrong(
            f"{spent.steps} optimizer steps, and the model that you return is as it was. Does the optimizer hold "
            "`model.parameters()`, does `backward()` come before `step()`, and is an average updated?"
        )
    try:
        with torch.no_grad():
            shape = tuple(result.eval()(torch.zeros(2, 1, 8, 8)).shape)
    except Exception as error:
        raise Wrong(f"The model that you return cannot be called: `{type(error).__name__}: {error}`.") from None
    if shape != (2, 10):
        raise Wrong(f"For two images the model that you return gives shape {shape}, not (2, 10).")


@cache
def reference_scores() -> dict[str, Score]:
    """The references on the test rows, trained once per session."""
    return {label: score(recipe, on="test", label=label, trusted=True) for label, recipe in REFERENCES.items()}


# ---- the board


@dataclass(frozen=True, eq=False)
class Board:
    """The scores, best first; `said` is the diagnosis, or how the student's recipe compares with the best reference."""

    scores: list[Score]
    said: str
    against: Comparison | None = None

    def _repr_markdown_(self) -> str:
        rows = [
            [place, s.label, str(s), f"{s.accuracy.min():.2f} %", *s.most]
            for place, s in enumerate(self.scores, start=1)
        ]
        headers = [
            "",
            "recipe",
            "test accuracy ± spread over seeds",
            "worst seed",
            "updates per batch",
            "gradients per batch",
        ]
        table = tabulate(rows, headers=headers, tablefmt="github")
        return f"{table}\n\n{self.said}"

    def __repr__(self) -> str:
        return self._repr_markdown_()


def leaderboard(recipe: Recipe) -> Board:
    """Score `recipe` on the test rows beside the references. Never raises: what is wrong stands on the board."""
    scores = list(reference_scores().values())
    try:
        yours = score(recipe, on="test")
    except NotYet as stub:
        return Board(_ranked(scores), f"○ {stub}")
    except Wrong as wrong:
        return Board(_ranked(scores), f"✗ Not on the board. {wrong}")
    best = max(scores, key=lambda s: s.accuracy.mean())
    against = compare(-yours.accuracy, -best.accuracy, margin=MARGIN)  # lower is better there
    said = f"{_told(against, best)} {_seen()}"
    what = {"score": str(yours), "said": said, "source": _source(recipe)}
    progress.mine.note("boards", name_of(recipe), each_time=True, **what)
    return Board(_ranked([*scores, yours]), said, against)


def _source(recipe: Callable) -> str:
    try:
        return inspect.getsource(recipe)
    except Exception:  # an object with a __call__, say: its recipe stands on no page
        return ""


def _ranked(scores: list[Score]) -> list[Score]:
    return sorted(scores, key=lambda s: -s.accuracy.mean())


def _told(against: Comparison, best: Score) -> str:
    mean, low, high = (0.0 - value for value in (against.mean, against.high, against.low))  # never −0.00
    gap = f"Yours minus {best.label}, seed by seed: {mean:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}"
    reasons = {
        "better": "the interval lies above 0",
        "worse": "the interval lies below 0",
        "no difference": f"the interval lies within ± {MARGIN}",
        "undecided": f"the interval holds 0 and reaches beyond ± {MARGIN}, so these seeds cannot tell",
    }
    return f"{gap} (Student's paired t). Verdict: {against.verdict}, since {reasons[against.verdict]}."


def _seen() -> str:
    look = next(_looks)
    warning = " Whoever looks often, and keeps the best, has chosen on them." if look > 3 else ""
    return f"This was look number {look} at the test rows.{warning}"


def _listed(seeds: tuple[int, ...]) -> str:
    return ", ".join(map(str, seeds[:-1])) + f" and {seeds[-1]}"


@check
def check_recipe(candidate: Callable) -> str:
    """Judge `my_recipe(model, batches)`: its mean accuracy on the validation rows reaches TARGET."""
    board = score(candidate)
    if board.accuracy.mean() < TARGET:
        raise Wrong(
            f"Your recipe reaches {board} on the validation rows, in the mean of the seeds "
            f"{_listed(SEEDS['validation'])}; the goal is {TARGET} %. What does the page's recipe do that yours "
            "does not? Read `leaderboard.practised??`."
        )
    return (
        f"{board} on the validation rows; the worst of {len(board.accuracy)} seeds reaches "
        f"{board.accuracy.min():.2f} %. One look at the board shows what it is worth on rows by which nobody chose."
    )
