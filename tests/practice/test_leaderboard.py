"""The leaderboard: right recipes are scored; broken and hostile ones get a diagnosis and change nothing else."""

import copy
import dataclasses
import random
import threading
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.nn import functional as F

from utils.practice import leaderboard
from utils.practice.digits_net import digits_problem
from utils.practice.leaderboard import REFERENCES, SEEDS, Score, check_recipe, constant, score
from utils.practice.leaderboard import leaderboard as board_of
from utils.sweeps import sweep


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few steps and three seeds: the rules do not depend on them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.delenv("WORKSHOP_STRICT", raising=False)
    monkeypatch.setattr(leaderboard, "STEPS", 24)
    monkeypatch.setattr(leaderboard, "SEEDS", {"validation": (0, 1, 2), "test": (100, 101, 102)})
    monkeypatch.setattr(leaderboard, "_SECONDS", 20.0)
    cached = leaderboard.reference_scores
    cached.cache_clear()
    yield
    cached.cache_clear()
    torch.set_num_threads(threads)


def step(model, optimizer, x, y):
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def averaged(model, batches):
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    ema = optim.swa_utils.AveragedModel(model, multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(0.9), use_buffers=True)
    for x, y in batches:
        step(model, optimizer, x, y)
        ema.update_parameters(model)
    return ema


@pytest.mark.parametrize("recipe", [*REFERENCES.values(), averaged])
def test_a_recipe_is_scored_and_the_same_every_time(recipe):
    first, again = score(recipe), score(recipe)
    assert first.accuracy.shape == (3,) and first.accuracy.mean() > 60
    assert np.array_equal(first.accuracy, again.accuracy)


def test_steps_of_others_are_not_counted():
    """A run that was stopped for its time, and would not end, may still be training in its own thread."""
    ended, other = threading.Event(), torch.zeros(1, requires_grad=True)
    other.grad = torch.ones(1)

    def goes_on():
        optimizer = optim.SGD([other], lr=0.1)
        while not ended.wait(0.001):
            optimizer.step()

    thread = threading.Thread(target=goes_on)
    thread.start()
    try:
        assert score(constant).accuracy.shape == (3,)
    finally:
        ended.set()
        thread.join()
    assert other.item() < 0  # it did take steps meanwhile


def test_validation_and_test_rows_are_not_the_same():
    assert not np.array_equal(score(constant).accuracy, score(constant, on="test").accuracy)
    with pytest.raises(ValueError, match="report on 'test'"):
        score(constant, on="train")


def test_no_seed_both_chooses_and_reports():
    assert len(SEEDS["validation"]) == len(SEEDS["test"]) == 5
    assert not set(SEEDS["validation"]) & set(SEEDS["test"])


def test_the_board_ranks_and_compares_with_the_best_reference():
    board = board_of(averaged)
    means = [s.accuracy.mean() for s in board.scores]
    assert means == sorted(means, reverse=True) and "yours" in [s.label for s in board.scores]
    assert board.against is not None and "Student's paired t" in board.said
    best = max(leaderboard.reference_scores().values(), key=lambda s: s.accuracy.mean())
    yours = next(s for s in board.scores if s.label == "yours")
    assert np.isclose(-board.against.mean, (yours.accuracy - best.accuracy).mean()) and best.label in board.said
    assert "| yours" in board._repr_markdown_()


@pytest.mark.parametrize(
    "ahead, verdict, reason",
    [
        ([0.5, 0.6, 0.7], "better", "lies above 0"),
        ([-0.5, -0.6, -0.7], "worse", "lies below 0"),
        ([0.1, 0.11, 0.12], "no difference", "within ± 0.2"),
        ([-0.9, 0.1, 0.9], "undecided", "cannot tell"),
    ],
)
def test_the_board_gives_the_judges_verdict_and_its_reason(monkeypatch, ahead, verdict, reason):
    best = Score("the best", np.array([98.0, 98.2, 98.4]))
    monkeypatch.setattr(leaderboard, "reference_scores", lambda: {"the best": best})
    monkeypatch.setattr(leaderboard, "score", lambda recipe, on: Score("yours", best.accuracy + ahead))
    board = board_of(constant)
    assert board.against.verdict == verdict
    assert f"Verdict: {verdict}, since the interval" in board.said and reason in board.said


def test_a_sweep_on_the_choosing_seeds_shows_what_the_check_will_judge():
    """What a student reads off a sweep and what the check says are of the same runs: all of the seeds that choose."""
    seeds = leaderboard.SEEDS["validation"]
    problem = digits_problem(leaderboard.digits(), leaderboard.STEPS, seeds=seeds, judge="error")
    shown = 100 - sweep(partial(optim.AdamW, fused=True), **problem, lrs=[0.01]).final[0]
    assert np.abs(shown - score(constant).accuracy).max() < 0.3  # one of 337 digits: a last bit may turn a close one


def test_the_looks_at_the_test_rows_are_counted(monkeypatch):
    monkeypatch.setattr(leaderboard, "_looks", iter([3, 4]))
    assert "has chosen on them" not in board_of(constant).said
    assert "look number 4" in (said := board_of(constant).said) and "has chosen on them" in said


@pytest.mark.parametrize("name", REFERENCES)
def test_the_references_are_scored_as_any_other_recipe(name):
    scored, as_any_other = leaderboard.reference_scores()[name], score(REFERENCES[name], on="test")
    assert np.array_equal(scored.accuracy, as_any_other.accuracy)
    assert scored.most == as_any_other.most == [1, 1]


def test_a_copy_of_the_best_reference_is_level():
    leaderboard.reference_scores()
    best = max(REFERENCES, key=lambda name: leaderboard.reference_scores()[name].accuracy.mean())
    assert board_of(REFERENCES[best]).against.verdict == "no difference"


# ---- what a recipe spends, whoever does it


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(leaderboard, "STEPS", 12)
    monkeypatch.setattr(leaderboard, "SEEDS", {"validation": (0, 1), "test": (100, 101)})


def sgd(parameters, lr=0.05):
    """An update by hand, of what has a gradient."""
    with torch.no_grad():
        for p in parameters:
            p -= lr * p.grad
            p.grad = None


def gradient(model, x, y):
    F.cross_entropy(model(x), y).backward()


def muon_and_adamw(model, batches):
    matrices = [p for p in model.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.ndim != 2]
    both = optim.Muon(matrices, lr=0.01), optim.AdamW(others, lr=0.01)
    for x, y in batches:
        gradient(model, x, y)
        for optimizer in both:
            optimizer.step()
            optimizer.zero_grad()


def one_per_parameter(model, batches):
    optimizers = [optim.Adam([p], lr=0.01) for p in model.parameters()]
    for x, y in batches:
        gradient(model, x, y)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()


def steps_in_backward(model, batches):
    optimizers = {p: optim.SGD([p], lr=0.05) for p in model.parameters()}

    def update(p):
        optimizers[p].step()
        p.grad = None

    for p in model.parameters():
        p.register_post_accumulate_grad_hook(update)
    for x, y in batches:
        gradient(model, x, y)


class Lookahead(optim.Optimizer):
    """A step within a step, and every third goes half way back."""

    def __init__(self, base):
        self.base, self.count = base, 0
        super().__init__(base.param_groups, {})
        self.slow = [p.detach().clone() for group in base.param_groups for p in group["params"]]

    @torch.no_grad()
    def step(self, closure=None):
        self.base.step()
        self.count += 1
        if self.count % 3 == 0:
            for slow, p in zip(self.slow, (p for g in self.param_groups for p in g["params"]), strict=True):
                p.copy_(slow.lerp_(p, 0.5))


def lookahead(model, batches):
    optimizer = Lookahead(optim.SGD(model.parameters(), lr=0.1))
    for x, y in batches:
        step(model, optimizer, x, y)


def lookahead_by_hand(model, batches):
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    slow = [p.detach().clone() for p in model.parameters()]
    for number, (x, y) in enumerate(batches):
        step(model, optimizer, x, y)
        if number % 3 == 2:
            for s, p in zip(slow, model.parameters(), strict=True):
                p.data = s.lerp_(p.detach(), 0.5).clone()


def sam(model, batches, *, back="subtract", base=True):
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    for x, y in batches:
        gradient(model, x, y)
        kept = [p.detach().clone() for p in model.parameters()]
        with torch.no_grad():
            moves = [0.02 * p.grad / (p.grad.norm() + 1e-12) for p in model.parameters()]
            for p, move in zip(model.parameters(), moves, strict=True):
                p.add_(move)
        optimizer.zero_grad()
        gradient(model, x, y)
        with torch.no_grad():
            for p, move, old in zip(model.parameters(), moves, kept, strict=True):
                if back == "subtract":
                    p.sub_(move)
                elif back == "copy":
                    p.copy_(old)
                else:
                    p.data = old
        if base:
            optimizer.step()
            optimizer.zero_grad()
        else:
            sgd(model.parameters())


class SAM(optim.SGD):
    """Both gradients within one step."""

    def step(self, closure):
        params = [p for group in self.param_groups for p in group["params"]]
        closure()
        with torch.no_grad():
            moves = [0.02 * p.grad / (p.grad.norm() + 1e-12) for p in params]
            torch._foreach_add_(params, moves)
        closure()
        with torch.no_grad():
            torch._foreach_sub_(params, moves)
        return super().step()


def with_closures(make, model, batches):
    optimizer = make(model.parameters(), lr=0.05)
    for x, y in batches:

        def closure(x=x, y=y):
            optimizer.zero_grad()
            gradient(model, x, y)

        optimizer.step(closure)


def by_hand(model, batches):
    for x, y in batches:
        gradient(model, x, y)
        sgd(model.parameters())


def all_batches_first(model, batches):
    by_hand(model, list(batches))


def one_batch_ahead(model, batches):
    several = iter(batches)
    ahead = next(several)
    for following in several:
        by_hand(model, [ahead])
        ahead = following
    by_hand(model, [ahead])


def head_alone(model, batches, *, times=3):
    """No convolution has a gradient."""
    model[:-1].requires_grad_(False)
    optimizer = optim.SGD(model[-1].parameters(), lr=0.05)
    for x, y in batches:
        for _ in range(times):
            gradient(model, x, y)
        optimizer.step()
        optimizer.zero_grad()


def late(model, batches):
    """The update by a batch comes once the next one was taken."""
    waiting = False
    for x, y in batches:
        if waiting:
            sgd(model.parameters())
        gradient(model, x, y)
        waiting = True


def accumulated(model, batches):
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for number, (x, y) in enumerate(batches):
        gradient(model, x, y)
        if number % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()


def in_quarters(model, batches):
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    for x, y in batches:
        for rows in torch.arange(32).split(8):
            gradient(model, x[rows], y[rows])
        optimizer.step()
        optimizer.zero_grad()


def two_views(model, batches):
    by_hand(model, ((torch.cat([x, leaderboard.shift(x)]), torch.cat([y, y])) for x, y in batches))


def averages_are_swapped_in(model, batches):
    """To look at the average, it takes the place of the weights for one forward pass."""
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    average = [p.detach().clone() for p in model.parameters()]
    for x, y in batches:
        step(model, optimizer, x, y)
        for a, p in zip(average, model.parameters(), strict=True):
            a.lerp_(p.detach(), 0.1)
            a.data, p.data = p.data, a.data
        model(x)
        for a, p in zip(average, model.parameters(), strict=True):
            a.data, p.data = p.data, a.data


def standardised_weights(model, batches, *, times=2):
    """The weights of a convolution are computed from the parameters; two gradients, of one half of the rows each."""
    nn.utils.parametrizations.weight_norm(model[3])
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    for x, y in batches:
        for half in range(times):
            gradient(model, x[half::times], y[half::times])
        optimizer.step()
        optimizer.zero_grad()
    nn.utils.parametrize.remove_parametrizations(model[3], "weight")


def new_head(model, batches):
    model[-1] = nn.Linear(128, 10)
    averaged(model, batches)


def functional(model, batches, *, times=1):
    params = dict(model.named_parameters())
    for x, y in batches:
        for _ in range(times):
            loss = F.cross_entropy(torch.func.functional_call(model, params, x), y)
            gradients = torch.autograd.grad(loss, list(params.values()))
            params = {
                k: (p - 0.05 * g).detach().requires_grad_() for (k, p), g in zip(params.items(), gradients, strict=True)
            }
    model.load_state_dict(params, strict=False)


ACCEPTED = {
    "Muon beside AdamW": (muon_and_adamw, 1, 1),
    "an optimizer for each parameter": (one_per_parameter, 1, 1),
    "steps in backward": (steps_in_backward, 1, 1),
    "Lookahead": (lookahead, 1, 1),
    "Lookahead by hand": (lookahead_by_hand, 1, 1),
    "SAM": (sam, 1, 2),
    "SAM, a copy put back": (partial(sam, back="copy"), 1, 2),
    "SAM, the tensor put back": (partial(sam, back="data"), 1, 2),
    "SAM by hand": (partial(sam, base=False), 1, 2),
    "SAM in one step": (partial(with_closures, SAM), 1, 2),
    "by hand": (by_hand, 1, 1),
    "an average": (averaged, 1, 1),
    "averages swapped in": (averages_are_swapped_in, 1, 1),
    "the head alone": (partial(head_alone, times=1), 1, 1),
    "weight norm": (standardised_weights, 1, 1),
    "in quarters": (in_quarters, 1, 1),
    "two views": (two_views, 1, 2),
    "a new head": (new_head, 1, 1),
    "functional": (functional, 1, 1),
}


@pytest.mark.parametrize(("recipe", "moves", "gradients"), ACCEPTED.values(), ids=ACCEPTED)
@pytest.mark.usefixtures("tiny")
def test_what_keeps_the_budget_is_scored_with_its_counts(recipe, moves, gradients):
    spent = score(recipe).spent
    assert len(spent) == 2
    for one in spent:
        assert (one.gradients, one.most_gradients, one.batches) == (12 * gradients, gradients, 12)
        assert (one.moves, one.most_moves) == (12 * moves, moves)


@pytest.mark.parametrize(
    ("recipe", "moves", "gradients"),
    [(all_batches_first, 12, 12), (one_batch_ahead, 12, 12), (accumulated, 3, 12), (late, 11, 12)],
)
@pytest.mark.usefixtures("tiny")
def test_a_batch_may_be_kept_and_used_later(recipe, moves, gradients):
    for one in score(recipe).spent:
        assert (one.moves, one.gradients, one.most_moves, one.most_gradients) == (moves, gradients, 1, 1)


@pytest.mark.usefixtures("tiny")
def test_the_counts_stand_beside_the_score():
    table = board_of(sam)._repr_markdown_()
    header, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if "|" in line]
    assert header[-2:] == ["updates per batch", "gradients per batch"]
    assert {row[1]: row[-2:] for row in rows}["yours"] == ["1", "2"]


@pytest.mark.usefixtures("tiny")
def test_the_board_says_how_many_gradients_may_be_taken():
    with pytest.raises(leaderboard.Wrong, match="takes gradients of 2 times 32 rows on one batch"):
        score(sam, gradients=1)


def several(times, update):
    """So many gradients and updates on each batch, the updates by hand."""

    def recipe(model, batches):
        for x, y in batches:
            for _ in range(times):
                gradient(model, x, y)
                update(model)

    return recipe


def through_data(model):
    for p in model.parameters():
        p.data = p.data - 0.05 * p.grad
        p.grad = None


def through_a_state_dict(model):
    state = {name: p - 0.05 * p.grad for name, p in model.named_parameters()}
    model.load_state_dict(state, strict=False)
    model.zero_grad()


def through_numpy(model):
    for p in model.parameters():
        memory = p.detach().numpy()
        memory -= 0.05 * p.grad.numpy()
        p.grad = None


def through_views(model):
    for p in model.parameters():
        p.detach().view(-1)[:].sub_(0.05 * p.grad.view(-1))
        p.grad = None


def through_new_parameters(model):
    for module in model:
        for name, p in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(p.detach() - 0.05 * p.grad))


def two_optimizers_on_one(model, batches):
    first, second = optim.SGD(model.parameters(), lr=0.1), optim.AdamW(model.parameters(), lr=0.01)
    for x, y in batches:
        gradient(model, x, y)
        first.step()
        second.step()
        first.zero_grad()


def two_steps_with_one_gradient(model, batches):
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for x, y in batches:
        step(model, optimizer, x, y)
        optimizer.step()


class Twice(SAM):
    """Two updates within one step."""

    def step(self, closure):
        closure()
        optim.SGD.step(self)
        closure()
        return optim.SGD.step(self)


def a_copy_is_trained(model, batches):
    held = copy.deepcopy(model)
    several(2, lambda model: sgd(model.parameters()))(held, batches)
    return held


def lbfgs(model, batches):
    optimizer = optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    for x, y in batches:

        def closure(x=x, y=y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)


def replays(model, batches):
    """One move per batch, with the rows of all batches so far."""
    optimizer, seen = optim.SGD(model.parameters(), lr=0.1), []
    for batch in batches:
        seen = [*seen, batch][-4:]
        step(model, optimizer, *map(torch.cat, zip(*seen, strict=True)))


def by_turns(model, batches):
    """A copy makes every other move."""
    held = copy.deepcopy(model)
    for x, y in batches:
        gradient(model, x, y)
        sgd(model.parameters())
        held.load_state_dict(model.state_dict())
        gradient(held, x, y)
        sgd(held.parameters())
        model.load_state_dict(held.state_dict())


def two_and_late(model, batches):
    waiting = False
    for x, y in batches:
        if waiting:
            sgd(model.parameters())
        gradient(model, x, y)
        sgd(model.parameters())
        gradient(model, x, y)
        waiting = True


def optimizers_by_turns(model, batches):
    held = copy.deepcopy(model)
    pairs = [(m, optim.SGD(m.parameters(), lr=0.05)) for m in (model, held)]
    for x, y in batches:
        for (m, optimizer), other in zip(pairs, (held, model), strict=True):
            step(m, optimizer, x, y)
            other.load_state_dict(m.state_dict())


def five_at_once(model, batches):
    """Five networks, side by side in one, of which the mean is returned."""
    params = {name: torch.stack([p.detach()] * 5) for name, p in model.named_parameters()}
    buffers = {name: b for name, b in model.named_buffers()}

    def loss(params, x, y):
        return F.cross_entropy(torch.func.functional_call(model.eval(), (params, buffers), x), y)

    gradients = torch.func.vmap(torch.func.grad(loss), (0, None, None))
    for x, y in batches:
        found = gradients(params, x, y)
        params = {name: p - 0.05 * found[name] for name, p in params.items()}
    model.load_state_dict({name: p.mean(0) for name, p in params.items()}, strict=False)


def in_another_thread(model, batches):
    thread = threading.Thread(target=several(4, lambda model: sgd(model.parameters())), args=(model, batches))
    thread.start()
    thread.join()


class Looks(nn.Module):
    """The same numbers, and a list of images with their labels beside them."""

    def __init__(self, model, x, y):
        super().__init__()
        self.net, self.known = model, (x, y)

    def forward(self, x):
        distance = torch.cdist(x.flatten(1), self.known[0].flatten(1))
        return self.net(x) + 100 * F.one_hot(self.known[1][distance.argmin(1)], 10)


def remembers(model, batches):
    kept = list(batches)
    by_hand(model, kept)
    return Looks(model, *map(torch.cat, zip(*kept, strict=True)))


def answers_by_a_hook(model, batches):
    by_hand(model, batches)
    model.register_forward_hook(lambda module, x, out: out + 1.0 * torch.arange(10))


def climbs_hills(model, batches):
    """No gradient at all: random moves, kept where the loss falls."""
    with torch.no_grad():
        for x, y in batches:
            loss = F.cross_entropy(model(x), y)
            for _ in range(10):
                noise = [0.02 * torch.randn_like(p) for p in model.parameters()]
                torch._foreach_add_(list(model.parameters()), noise)
                if (now := F.cross_entropy(model(x), y)) < loss:
                    loss = now
                else:
                    torch._foreach_sub_(list(model.parameters()), noise)


def more_batches(model, batches):
    by_hand(model, leaderboard.Feed(leaderboard.digits(), 24, 0))


def the_feed_wound_back(model, batches):
    by_hand(model, batches)
    batches.taken = 0
    by_hand(model, batches)


def longer_feed(model, batches):
    batches.steps = 24
    by_hand(model, batches)


def the_hook_is_removed(model, batches):
    several(4, lambda model: sgd(model.parameters()))(model, [next(iter(batches))])
    for p in model.parameters():
        p._backward_hooks.clear()
    several(4, lambda model: sgd(model.parameters()))(model, batches)


def on_test_rows(model, batches):
    x, y = leaderboard.digits().test
    by_hand(model, ((x[:32], y[:32]) for _ in batches))


def on_validation_rows(model, batches):
    by_hand(model, batches)
    x, _ = leaderboard.digits().validation
    model(x)


REFUSED = {
    "four, by a class that is no optimizer": (several(4, lambda model: sgd(model.parameters())), "one batch"),
    "two, by hand": (several(2, lambda model: sgd(model.parameters())), "2 times on one batch"),
    "two through data": (several(2, through_data), "2 times on one batch"),
    "two through a state dict": (several(2, through_a_state_dict), "2 times on one batch"),
    "two through NumPy": (several(2, through_numpy), "2 times on one batch"),
    "two through views": (several(2, through_views), "2 times on one batch"),
    "two through new parameters": (several(2, through_new_parameters), "2 times on one batch"),
    "two, functional": (partial(functional, times=2), "2 times on one batch"),
    "two optimizers on one parameter": (two_optimizers_on_one, "2 times on one batch"),
    "two steps with one gradient": (two_steps_with_one_gradient, "2 times on one batch"),
    "two in one step": (partial(with_closures, Twice), "2 times on one batch"),
    "a copy is trained": (a_copy_is_trained, "one batch"),
    "LBFGS": (lbfgs, "one batch"),
    "the head alone": (head_alone, "takes gradients of 3 times 32 rows on one batch"),
    "replay": (replays, "takes gradients of 3 times 32 rows on one batch"),
    "two, one of them late": (two_and_late, "2 times on one batch"),
    "by turns": (by_turns, "2 places on one batch"),
    "optimizers by turns": (optimizers_by_turns, "one batch"),
    "five at once": (five_at_once, "takes gradients of 5 times 32 rows on one batch"),
    "another thread": (in_another_thread, "one batch"),
    "a list beside the network": (remembers, "computes something else"),
    "a hook that answers": (answers_by_a_hook, "computes something else"),
    "hill climbing": (climbs_hills, "times on one batch"),
    "batches of its own": (more_batches, "before it takes a batch"),
    "the feed wound back": (the_feed_wound_back, "after all 12 batches"),
    "a longer feed": (longer_feed, "after all 12 batches"),
    "hooks removed": (the_hook_is_removed, "one batch"),
    "test rows": (on_test_rows, "shows the network rows by which it is judged"),
    "validation rows": (on_validation_rows, "shows the network rows by which it is judged"),
}


@pytest.mark.parametrize(("recipe", "words"), REFUSED.values(), ids=REFUSED)
@pytest.mark.usefixtures("tiny")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_spends_more_is_refused_whoever_does_it(recipe, words):
    with pytest.raises(leaderboard.Wrong) as refusal:
        score(recipe)
    assert words in str(refusal.value), refusal.value


@pytest.mark.usefixtures("tiny")
def test_what_is_kept_from_run_to_run_is_noticed():
    kept = {}

    def goes_on(model, batches):
        if kept:
            model.load_state_dict(kept)
        by_hand(model, batches)
        kept.update(copy.deepcopy(model.state_dict()))

    with pytest.raises(leaderboard.Wrong, match="Run twice with the same seed, your recipe gives two different models"):
        score(goes_on)


@pytest.mark.usefixtures("tiny")
def test_counting_changes_no_number():
    rows = leaderboard.digits()
    for recipe in (constant, practised_seeded, sam):
        plain = leaderboard.conv_net(0)
        torch.manual_seed(0)
        recipe(plain, leaderboard.Feed(rows, 12, 0))
        counted, _ = leaderboard._run(recipe, 0, rows, 2)
        assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), counted.parameters(), strict=True))


def practised_seeded(model, batches):
    torch.manual_seed(1)
    leaderboard.practised(model, batches)


# ---- broken recipes


def nothing(model, batches):
    return model


def no_step(model, batches):
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for x, y in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()


def other_model(model, batches):
    held = copy.deepcopy(model)
    optimizer = optim.SGD(held.parameters(), lr=0.1)
    for x, y in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def too_many(model, batches):
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for x, y in batches:
        step(model, optimizer, x, y)
        step(model, optimizer, x, y)


def diverges(model, batches):
    optimizer = optim.SGD(model.parameters(), lr=1e30)
    for x, y in batches:
        step(model, optimizer, x, y)


def bigger(model, batches):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def loses_the_flatten(model, batches):
    constant(model, batches)
    return nn.Sequential(*[layer for layer in model if not isinstance(layer, nn.Flatten)])


def returns_a_number(model, batches):
    constant(model, batches)
    return 0.99


def raises(model, batches):
    for x, y in batches:
        return model(x) @ y


def never_ends(model, batches):
    while True:
        pass


def hostile(model, batches):
    torch.manual_seed(1)
    random.seed(1)
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    print("I was here")
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (nothing, "No optimizer took a step"),
        (no_step, "No optimizer took a step"),
        (other_model, "24 optimizer steps, and the model that you return is as it was"),
        (too_many, "moves a parameter of shape (16, 1, 3, 3) 2 times on one batch"),
        (diverges, "holds nan or inf"),
        (bigger, "another network"),
        (loses_the_flatten, "cannot be called"),
        (returns_a_number, "an object of type `float`"),
        (raises, "RuntimeError"),
        (never_ends, "still running after 2 seconds"),
        (hostile, "KeyboardInterrupt"),
        (lambda model: model, "TypeError"),
        (3, "no function"),
    ],
)
def test_a_broken_recipe_gets_a_diagnosis(recipe, words, capsys, monkeypatch):
    monkeypatch.setattr(leaderboard, "_SECONDS", 2.0 if recipe is never_ends else 20.0)
    monkeypatch.setattr(leaderboard, "reference_scores", lambda: {"a": Score("a", np.array([98.0, 98.5, 99.0]))})
    before, python = torch.get_rng_state(), random.getstate()
    board = board_of(recipe)
    assert words in board.said and board.said.startswith("✗ Not on the board") and board.against is None, board.said
    assert [s.label for s in board.scores] == ["a"]
    assert torch.equal(before, torch.get_rng_state()) and python == random.getstate()
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled() and capsys.readouterr().out == ""
    verdict = check_recipe(recipe)
    assert not verdict and words in verdict.message


def test_a_stub_is_not_yet():
    def my_recipe(model, batches): ...

    assert board_of(my_recipe).said.startswith("○ Not yet: replace the `...` in `my_recipe`")
    verdict = check_recipe(my_recipe)
    assert verdict.untouched and verdict.message.startswith("Not yet")


def test_the_check_tells_how_far_it_got(monkeypatch):
    monkeypatch.setattr(leaderboard, "TARGET", 100.5)
    assert "in the mean of the seeds 0, 1 and 2; the goal is 100.5 %" in check_recipe(constant).message
    monkeypatch.setattr(leaderboard, "TARGET", 50.0)
    assert check_recipe(constant) and "on the validation rows" in check_recipe(constant).message


def test_the_check_does_not_look_at_the_test_rows(monkeypatch):
    rows = leaderboard.digits()
    blind = dataclasses.replace(rows, test=None)
    monkeypatch.setattr(leaderboard, "TARGET", 50.0)
    monkeypatch.setattr(leaderboard, "digits", lambda: blind)
    assert check_recipe(constant)
