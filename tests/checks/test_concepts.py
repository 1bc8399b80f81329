"""The check of gradient descent: right answers pass however they are written, each mistake is named."""

import itertools
import math
import re

import pytest
import torch

from utils.checks import concepts
from utils.checks.concepts import check_gradient_descent
from utils.checks.paths import close


def by_stack(gradient, start, lr, steps):
    path = [start]
    for _ in range(steps):
        path.append(path[-1] - lr * gradient(path[-1]))
    return torch.stack(path)


def by_preallocation(gradient, start, lr, steps):
    path = torch.empty(steps + 1, len(start), dtype=start.dtype)
    path[0] = start
    for t in range(steps):
        path[t + 1] = path[t] - lr * gradient(path[t])
    return path


def by_float32(gradient, start, lr, steps):
    return by_preallocation(lambda x: gradient(x.double()).float(), start.float(), lr, steps)


def by_in_place_on_a_copy(gradient, start, lr, steps):
    x = start.clone()
    path = [x.clone()]
    for _ in range(steps):
        x -= lr * gradient(x)
        path.append(x.clone())
    return torch.stack(path)


def by_sgd(gradient, start, lr, steps):
    x = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([x], lr=lr)
    path = [x.detach().clone()]
    for _ in range(steps):
        optimizer.zero_grad()
        x.grad = gradient(x)
        optimizer.step()
        path.append(x.detach().clone())
    return torch.stack(path)


def with_grad_left_on(gradient, start, lr, steps):
    return by_stack(gradient, start.clone().requires_grad_(), lr, steps)


def by_recursion(gradient, start, lr, steps):
    rest = (
        by_recursion(gradient, start - lr * gradient(start), lr, steps - 1) if steps else start.new_empty(0, len(start))
    )
    return torch.cat([start.unsqueeze(0), rest]) if steps else start.unsqueeze(0)


def by_lists_of_numbers(gradient, start, lr, steps):
    return torch.tensor([row.tolist() for row in by_stack(gradient, start, lr, steps)], dtype=torch.float64)


RIGHT_DESCENTS = [
    by_stack,
    by_preallocation,
    by_float32,
    by_in_place_on_a_copy,
    by_sgd,
    with_grad_left_on,
    by_recursion,
    by_lists_of_numbers,
]


@pytest.mark.parametrize("candidate", RIGHT_DESCENTS, ids=lambda f: f.__name__)
def test_gradient_descent_passes_however_it_is_written(candidate):
    verdict = check_gradient_descent(candidate)
    assert verdict, verdict.message


def moving(move):
    """Gradient descent whose step subtracts `move(gradients so far, step, lr)`."""

    def candidate(gradient, start, lr, steps):
        path, gradients = [start], []
        for t in range(steps):
            gradients.append(gradient(path[-1]))
            path.append(path[-1] - move(gradients, t, lr))
        return torch.stack(path)

    return candidate


def aliased(gradient, start, lr, steps):
    x = start.clone()
    path = [x]
    for _ in range(steps):
        x -= lr * gradient(x)
        path.append(x)
    return torch.stack(path)


def aliased_to_start(gradient, start, lr, steps):
    return aliased(gradient, type("", (), {"clone": lambda self: start})(), lr, steps)


def start_changed(gradient, start, lr, steps):
    path = [start.clone()]
    for _ in range(steps):
        start -= lr * gradient(start)
        path.append(start.clone())
    return torch.stack(path)


def late_nan(gradient, start, lr, steps):
    path = by_stack(gradient, start, lr, steps)
    path[2] = float("nan")
    return path


def in_float32(gradient, start, lr, steps):
    path = torch.zeros(steps + 1, len(start))
    path[0] = start
    for t in range(steps):
        path[t + 1] = path[t] - lr * gradient(path[t])
    return path


def returns_in_the_loop(gradient, start, lr, steps):
    path = [start]
    for _ in range(steps):
        path.append(path[-1] - lr * gradient(path[-1]))
        return torch.stack(path)


def prefilled(value, first=0, last=0, returns=False):
    """A path filled from row `first` on, its `last` rows left as they were."""

    def candidate(gradient, start, lr, steps):
        path = torch.full((steps + 1, len(start)), value, dtype=start.dtype)
        if first == 0:
            path[0] = start
        for t in range(steps - last):
            path[t + 1] = path[t] - lr * gradient(path[t])
            if returns:
                return path
        return path

    return candidate


def from_start(gradient, start, lr, steps):
    path = [start]
    for _ in range(steps):
        path.append(start - lr * gradient(start))
    return torch.stack(path)


def from_start_with_the_newest_gradient(gradient, start, lr, steps):
    path = [start]
    for _ in range(steps):
        path.append(start - lr * gradient(path[-1]))
    return torch.stack(path)


def by_backward(gradient, start, lr, steps):
    x = start.clone()
    gradient(x).backward()
    return x.grad


def by_backward_with_grad(gradient, start, lr, steps):
    x = start.clone().requires_grad_()
    gradient(x).backward()
    return x.grad


def by_grad_of_nothing(gradient, start, lr, steps):
    x = start.clone()
    return x - lr * x.grad


def by_in_place_on_a_leaf(gradient, start, lr, steps):
    x = start.clone().requires_grad_()
    x -= lr * gradient(x)
    return x


def fails_beside_a_dtype(gradient, start, lr, steps):
    return torch.zeros(steps + 1, len(start), dtype=start.dtype).append(start)


def listed(points):
    """The right points, made into one tensor in another way."""

    def candidate(gradient, start, lr, steps):
        return points(list(by_stack(gradient, start, lr, steps)))

    return candidate


NO_AUTOGRAD = r"in line \d+.*\n`gradient\(x\)` already is the gradient.*no autograd needed"

WRONG_DESCENTS = {
    "float32 path": (in_float32, r"dtype.*in line \d+.*\nMake your tensors of the same dtype as `start`"),
    "another error beside a dtype": (fails_beside_a_dtype, r"raised `AttributeError[^\n]*$"),
    "torch.tensor of a list": (
        listed(lambda points: torch.tensor(points)),
        r"\n`torch.stack\(path\)` makes one",
    ),
    "a list of lists": (
        listed(lambda points: torch.stack([p.tolist() for p in points])),
        r"\n.*keep each point as a tensor",
    ),
    "points of two shapes": (listed(lambda points: torch.stack([points[0][None], *points[1:]])), "differ in shape"),
    "return in the loop": (returns_in_the_loop, r"shape \(2, 2\).* is your `return` inside the loop\?"),
    "first and last": (lambda *a: by_stack(*a)[[0, -1]], r"shape \(2, 2\).* first and the last point: keep"),
    "transposed": (lambda *a: by_stack(*a).T, r"shape \(2, 7\).* Rows and columns are swapped"),
    "wrong and transposed": (lambda *a: -by_stack(*a).T, "Rows and columns are swapped"),
    "last row zero": (prefilled(0.0, last=1), "at step 6: .*\nRow 6, the last, holds only zeros: was it ever filled"),
    "last row anything": (prefilled(9.0, last=1), "at step 6: .*\nAll rows but row 6, .* was it ever filled"),
    "last row nan": (
        prefilled(math.nan, last=1),
        "row 6 .* not finite.*\nAll rows before it are right: .* ever filled",
    ),
    "two rows zero": (prefilled(0.0, last=2), r"at step 5: .*\nRows 5 to 6 hold only zeros: were they ever filled\?$"),
    "filled, return in the loop": (prefilled(0.0, returns=True), "at step 2: .*\nRows 2 to 6 .* inside the loop"),
    "first row zero": (prefilled(0.0, first=1), "at step 0: .*\nRow 0 should be `start` itself"),
    "from start": (from_start, "at step 2: .*\nEvery step goes out from `start`.* newest point"),
    "from start, newest gradient": (from_start_with_the_newest_gradient, "at step 2: .*\nEvery step subtracts from"),
    "backward": (by_backward, NO_AUTOGRAD),
    "backward with grad": (by_backward_with_grad, NO_AUTOGRAD),
    "no grad there": (by_grad_of_nothing, NO_AUTOGRAD),
    "in place on a leaf": (by_in_place_on_a_leaf, NO_AUTOGRAD),
    "start left out": (lambda *a: by_stack(*a)[1:], "first row should be `start`"),
    "last left out": (lambda *a: by_stack(*a)[:-1], "point after the last step is missing"),
    "one step too many": (lambda g, s, lr, n: by_stack(g, s, lr, n + 1), "That is 7 steps: how often"),
    "last point alone": (lambda *a: by_stack(*a)[-1], "last point alone"),
    "one long row": (lambda *a: by_stack(*a).flatten(), "`torch.stack` keeps points apart"),
    "list": (lambda *a: list(by_stack(*a)), "You returned a list of 7 items: make one tensor"),
    "array": (lambda *a: by_stack(*a).numpy(), "type `ndarray`: a tensor is asked for"),
    "whole numbers": (lambda *a: by_stack(*a).long(), "dtype `torch.int64`"),
    "nan": (late_nan, r"row 2 of your path is not finite: \(nan, nan\)"),
    "ascent": (moving(lambda g, t, lr: -lr * g[-1]), "at step 1: .*\nIt climbs"),
    "no lr": (moving(lambda g, t, lr: g[-1]), "at step 1: .*\n.*where does `lr` come in"),
    "lr squared": (moving(lambda g, t, lr: lr * lr * g[-1]), "at step 1: .*\n`lr` is in it twice"),
    "lr decays": (moving(lambda g, t, lr: lr / (t + 1) * g[-1]), "at step 2: .*\nYour `lr` shrinks"),
    "lr hard-coded": (moving(lambda g, t, lr: 0.3 * g[-1]), "at step 1: .*\n.*as if `lr` were 0.3"),
    "lr hard-coded to that of the first": (
        moving(lambda g, t, lr: 0.1 * g[-1]),
        "one parameter .*\n.*as if `lr` were 0.1",
    ),
    "lr hard-coded, uphill": (moving(lambda g, t, lr: -0.3 * g[-1]), "at step 1: .*\nCompare that one step by hand"),
    "frozen gradient": (moving(lambda g, t, lr: lr * g[0]), "at step 2: .*\nEvery step uses the gradient at `start`"),
    "summed gradients": (moving(lambda g, t, lr: lr * sum(g)), "at step 2: .*\n.*momentum 1"),
    "normalised": (moving(lambda g, t, lr: lr * g[-1] / g[-1].norm()), "at step 1: .*\n.*do not normalise"),
    "sign": (moving(lambda g, t, lr: lr * g[-1].sign()), "at step 1: .*\nOnly the sign"),
    "never moves": (moving(lambda g, t, lr: 0 * g[-1]), "at step 1: .*\nNo row differs"),
    "aliased": (aliased, "at step 0: .*\nAll rows are the last point"),
    "aliased to start": (aliased_to_start, "at step 0: .*\nAll rows are the last point"),
    "start changed": (start_changed, "changed `start` in place"),
    "another rule": (moving(lambda g, t, lr: lr * (t % 2 + 1) * g[-1]), "at step 2: .*\nCompare that one step by hand"),
}


@pytest.mark.parametrize("name", WRONG_DESCENTS)
def test_mistakes_of_gradient_descent_are_named(name):
    candidate, message = WRONG_DESCENTS[name]
    verdict = check_gradient_descent(candidate)
    assert not verdict and not verdict.untouched
    assert re.search(message, verdict.message), verdict.message


def test_no_two_mistakes_of_gradient_descent_look_alike_on_the_first_descent():
    first = concepts._DESCENTS[0]
    paths = [*map(first.mistaken, concepts._MOVES), first.truth()]
    for a, b in itertools.combinations(paths, 2):
        assert not close(a, b)


def test_a_mistake_is_named_only_if_it_explains_the_descents_before_as_well():
    def climbs_in_three_dimensions(gradient, start, lr, steps):
        return by_stack(gradient, start, -lr if len(start) == 3 else lr, steps)

    message = check_gradient_descent(climbs_in_three_dimensions).message
    assert re.search("On a valley of three .*\nCompare that one step by hand", message), message


def test_a_verdict_is_the_same_the_second_time():
    """Notebooks store them: no address, no random number, no time may be in a message."""
    for candidate, _ in list(WRONG_DESCENTS.values())[::6]:
        assert check_gradient_descent(candidate).message == check_gradient_descent(candidate).message
