"""The checks of notebooks 02a and 02b: right answers pass however they are written, each mistake is named."""

import itertools
import re

import pytest
import torch

from utils.checks import built_in, update_rules
from utils.checks.built_in import check_adam_path, check_momentum_path


def momentum(*, first=lambda g, d: g, keep=None, step=None, sign=-1):
    """A student's answer with one part replaced."""
    keep = keep or (lambda old, g, b, d: b * old + (1 - d) * g)
    step = step or (lambda g, old, new, b, nesterov: g + b * new if nesterov else new)

    def momentum_path(gradients, start, lrs, momentum, dampening, nesterov):
        path, buf = [start], torch.zeros_like(start)
        for k, (g, lr) in enumerate(zip(gradients, lrs, strict=True)):
            old, buf = buf, first(g, dampening) if k == 0 else keep(buf, g, momentum, dampening)
            path.append(path[-1] + sign * lr * step(g, old, buf, momentum, nesterov))
        return torch.stack(path)

    return momentum_path


def momentum_by_torch(gradients, start, lrs, momentum, dampening, nesterov):
    x = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.SGD([x], lr=1.0, momentum=momentum, dampening=dampening, nesterov=nesterov)
    path = [start]
    for g, lr in zip(gradients, lrs, strict=True):
        optimizer.param_groups[0]["lr"], x.grad = lr, g.clone()
        optimizer.step()
        path.append(x.detach().clone())
    return torch.stack(path)


def momentum_in_place(gradients, start, lrs, momentum, dampening, nesterov):
    path, x, buf = [start.clone()], start.clone(), None
    for g, lr in zip(gradients, lrs, strict=True):
        if buf is None:
            buf = g.clone()
        else:
            buf.mul_(momentum).add_(g, alpha=1 - dampening)
        x -= lr * (g + momentum * buf if nesterov else buf)
        path.append(x.clone())
    return torch.stack(path)


def momentum_with_lr_inside(gradients, start, lrs, momentum, dampening, nesterov, twice=False):
    path, buf = [start], None
    for g, lr in zip(gradients, lrs, strict=True):
        buf = lr * g if buf is None else momentum * buf + (1 - dampening) * lr * g
        if twice:
            path.append(path[-1] - lr * (g + momentum * buf if nesterov else buf))
        else:
            path.append(path[-1] - (lr * g + momentum * buf if nesterov else buf))
    return torch.stack(path)


def momentum_with_one_lr(gradients, start, lrs, *settings):
    return momentum()(gradients, start, [lrs[0]] * len(lrs), *settings)


def momentum_stored_once(*arguments):
    path = momentum()(*arguments)
    return path[-1].expand_as(path)


def start_changed(gradients, start, *settings):
    path = momentum()(gradients, start.clone(), *settings)
    start += 1
    return path


@pytest.mark.parametrize("candidate", [momentum(), momentum_by_torch, momentum_in_place])
def test_momentum_passes_however_it_is_written(candidate):
    verdict = check_momentum_path(candidate)
    assert verdict, verdict.message


WRONG_MOMENTA = {
    "climbs": (momentum(sign=1), "at step 1: .*\nIt climbs"),
    "no buffer": (momentum(step=lambda g, old, new, b, n: g), "at step 2: .*\nNo buffer is kept"),
    "forgotten": (
        momentum(keep=lambda old, g, b, d: (1 - d) * g, first=lambda g, d: (1 - d) * g),
        "\nNo buffer is kept",
    ),
    "first dampened": (momentum(first=lambda g, d: (1 - d) * g), "dampening .*at step 1: .*\nYou dampen the first"),
    "dampening unused": (
        momentum(keep=lambda old, g, b, d: b * old + g),
        "dampening .*at step 2: .*\n`dampening` is not",
    ),
    "average": (
        momentum(first=lambda g, d: 0.1 * g, keep=lambda old, g, b, d: b * old + (1 - b) * g),
        "at step 1: .*\nYour buffer is a running average",
    ),
    "average from the second step on": (
        momentum(keep=lambda old, g, b, d: b * old + (1 - b) * g),
        "at step 2: .*\nYour buffer is a running average",
    ),
    "average from the second step on, dampened": (
        momentum(keep=lambda old, g, b, d: b * old + (1 - b) * (1 - d) * g),
        "at step 2: .*\nYour buffer is a running average",
    ),
    "old buffer dampened": (
        momentum(keep=lambda old, g, b, d: b * (1 - d) * old + g),
        "dampening .*at step 2: .*\n`dampening` scales the new gradient only",
    ),
    "both dampened": (
        momentum(keep=lambda old, g, b, d: (1 - d) * (b * old + g)),
        "dampening .*at step 2: .*\n`dampening` scales the new gradient only",
    ),
    "both dampened from zero": (
        momentum(first=lambda g, d: (1 - d) * g, keep=lambda old, g, b, d: (1 - d) * (b * old + g)),
        "dampening .*at step 1: .*\n`dampening` scales the new gradient only",
    ),
    "dampening for its complement": (
        momentum(keep=lambda old, g, b, d: b * old + d * g),
        "at step 2: .*\nThe new gradient counts 1 - dampening times, not",
    ),
    "dampening for its complement, from zero": (
        momentum(first=lambda g, d: d * g, keep=lambda old, g, b, d: b * old + d * g),
        "at step 1: .*\nThe point never moves.* counts 1 - dampening times",
    ),
    "first lr": (momentum_with_one_lr, r"lr falls .*at step 2: .*\nYou use lrs\[0\] at every step"),
    "lr inside": (momentum_with_lr_inside, "lr falls .*at step 2: .*\n`lr` is inside your buffer"),
    "lr twice": (lambda *a: momentum_with_lr_inside(*a, twice=True), "at step 1: .*\n`lr` is in it twice"),
    "Nesterov missing": (
        momentum(step=lambda g, old, new, b, n: new),
        "Nesterov .*at step 1: .*\nThe look-ahead of Nesterov is missing",
    ),
    "always Nesterov": (momentum(step=lambda g, old, new, b, n: g + b * new), "at step 1: .*\nYour step is Nesterov's"),
    "Nesterov with the old buffer": (
        momentum(step=lambda g, old, new, b, n: g + b * old if n else new),
        "Nesterov .*\nThe look-ahead of Nesterov is missing",
    ),
    "Nesterov of the buffer": (
        momentum(step=lambda g, old, new, b, n: new + b * new if n else new),
        "Nesterov .*\nYour Nesterov step adds the buffer to itself",
    ),
    "Nesterov exchanged": (
        momentum(step=lambda g, old, new, b, n: new + b * g if n else new),
        "Nesterov .*at step 2: .*\nNesterov's roles are exchanged",
    ),
    "old buffer": (
        momentum(step=lambda g, old, new, b, n: old),
        "at step 1: .*\nYou step along the buffer from before",
    ),
    "no start": (lambda *a: momentum()(*a)[1:], "first row should be `start`"),
    "stored once": (momentum_stored_once, "All rows are one point"),
    "start changed": (start_changed, "changed `start` in place"),
    "another rule": (momentum(keep=lambda old, g, b, d: old - g), "at step 2: .*\nCompare that one step by hand"),
    "no lr": (lambda g, s, lrs, *a: momentum()(g, s, [1.0] * len(lrs), *a), "at step 1: .*\nThe whole buffer"),
}


@pytest.mark.parametrize("name", WRONG_MOMENTA)
def test_mistakes_of_momentum_are_named(name):
    candidate, message = WRONG_MOMENTA[name]
    verdict = check_momentum_path(candidate)
    assert not verdict and not verdict.untouched
    assert re.search(message, verdict.message), verdict.message


# --- Adam -----------------------------------------------------------------------------------------------------------


def adam(*, m_by=lambda b, t: 1 - b[0] ** t, v_by=lambda b, t: 1 - b[1] ** t, step=None, first=1, sign=-1, swap=False):
    step = step or (lambda m, v, eps: m / (v**0.5 + eps))

    def adam_path(gradients, start, lr, betas, eps):
        betas = betas[::-1] if swap else betas
        path, m, v = [start], 0, 0
        for t, g in enumerate(gradients, start=first):
            m = betas[0] * m + (1 - betas[0]) * g
            v = betas[1] * v + (1 - betas[1]) * g * g
            path.append(path[-1] + sign * lr * step(m / m_by(betas, t), v / v_by(betas, t), eps))
        return torch.stack(path)

    return adam_path


def adam_by_torch(gradients, start, lr, betas, eps):
    x = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.Adam([x], lr=lr, betas=betas, eps=eps)
    path = [start]
    for g in gradients:
        x.grad = g.clone()
        optimizer.step()
        path.append(x.detach().clone())
    return torch.stack(path)


def adam_in_place(gradients, start, lr, betas, eps):
    path, x, m, v = [start.clone()], start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    for t, g in enumerate(gradients, start=1):
        m.lerp_(g, 1 - betas[0])
        v.mul_(betas[1]).addcmul_(g, g, value=1 - betas[1])
        x.addcdiv_(m, (v / (1 - betas[1] ** t)).sqrt_().add_(eps), value=-lr / (1 - betas[0] ** t))
        path.append(x.clone())
    return torch.stack(path)


def adam_that_stores(gradients, start, lr, betas, eps):
    path, m, v = [start], 0, 0
    for t, g in enumerate(gradients, start=1):
        m = (betas[0] * m + (1 - betas[0]) * g) / (1 - betas[0] ** t)
        v = (betas[1] * v + (1 - betas[1]) * g * g) / (1 - betas[1] ** t)
        path.append(path[-1] - lr * m / (v.sqrt() + eps))
    return torch.stack(path)


def adam_with(*, m_weight=None, v_weight=None, square=lambda g: g * g):
    def adam_path(gradients, start, lr, betas, eps):
        path, m, v = [start], 0, 0
        for t, g in enumerate(gradients, start=1):
            m = betas[0] * m + (m_weight or 1 - betas[0]) * g
            v = betas[1] * v + (v_weight or 1 - betas[1]) * square(g)
            path.append(path[-1] - lr * m / (1 - betas[0] ** t) / ((v / (1 - betas[1] ** t)).abs().sqrt() + eps))
        return torch.stack(path)

    return adam_path


def adam_in_full(*, m_keep=None, v_keep=None, zeros=True, corrected=True, root=None, betas_used=None, square=None):
    """Another student's Adam, with parts that `adam` lacks."""
    m_keep = m_keep or (lambda old, g, b: b * old + (1 - b) * g)
    v_keep = v_keep or m_keep
    root = root or (lambda v, c, eps: (v / c) ** 0.5 + eps)
    square = square or (lambda g: g**2)

    def adam_path(gradients, start, lr, betas, eps):
        b1, b2 = betas_used or betas
        x, path = start, [start]
        m, v = (0 * start, 0 * start) if zeros else (gradients[0], gradients[0] ** 2)
        for k, g in enumerate(gradients):
            if zeros or k:
                m, v = m_keep(m, g, b1), v_keep(v, square(g), b2)
            c1, c2 = (1 - b1 ** (k + 1), 1 - b2 ** (k + 1)) if corrected else (1, 1)
            x = x - lr * (m / c1) / root(v, c2, eps)
            path.append(x)
        return torch.stack(path)

    return adam_path


def eps_before_correction(gradients, start, lr, betas, eps):
    path, m, v = [start], 0, 0
    for t, g in enumerate(gradients, start=1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        factor = (1 - betas[1] ** t) ** 0.5 / (1 - betas[0] ** t)
        path.append(path[-1] - lr * factor * m / (v.sqrt() + eps))
    return torch.stack(path)


@pytest.mark.parametrize("candidate", [adam(), adam_by_torch, adam_in_place, adam_in_full()])
def test_adam_passes_however_it_is_written(candidate):
    verdict = check_adam_path(candidate)
    assert verdict, verdict.message


WRONG_ADAMS = {
    "climbs": (adam(sign=1), "at step 1: .*\nIt climbs"),
    "no correction": (adam(m_by=lambda b, t: 1, v_by=lambda b, t: 1), "at step 1: .*\nYou skipped both bias"),
    "m uncorrected": (adam(m_by=lambda b, t: 1), "at step 1: .*\nYou skipped the bias correction of m"),
    "v uncorrected": (adam(v_by=lambda b, t: 1), "at step 1: .*\nYou skipped the bias correction of v"),
    "eps inside": (adam(step=lambda m, v, eps: m / (v + eps) ** 0.5), "\nYour eps is inside the root"),
    "eps before the correction": (eps_before_correction, "\nYour eps is added before v is corrected"),
    "no eps": (adam(step=lambda m, v, eps: m / v**0.5), "\n`eps` is not used"),
    "from zero": (adam(first=0), "step 1 is not finite: .*\nDoes your t count from 0"),
    "from two": (adam(first=2), "at step 1: .*\nYour t is one too large"),
    "constant correction": (
        adam(m_by=lambda b, t: 1 - b[0], v_by=lambda b, t: 1 - b[1]),
        "step 2: .*\nYou always divide",
    ),
    "v by the other beta": (adam(v_by=lambda b, t: 1 - b[0] ** t), "\nYou correct v with betas"),
    "m by the other beta": (adam(m_by=lambda b, t: 1 - b[1] ** t), "\nYou correct m with betas"),
    "swapped": (adam(swap=True), "\nYour betas are swapped"),
    "no square": (adam_with(square=lambda g: g), "\nv averages g, not its square"),
    "no root": (adam(step=lambda m, v, eps: m / (v + eps)), "\nThe root is missing"),
    "m with weight 1": (adam_with(m_weight=1), "\nm adds the whole gradient"),
    "v with weight 1": (adam_with(v_weight=1), "\nv adds the whole square"),
    "no square, no abs": (
        adam_in_full(square=lambda g: g),
        r"step 1 is not finite: .*\nA root of a negative number .*Does v average g\*\*2",
    ),
    "product for power": (
        adam(m_by=lambda b, t: 1 - b[0] * t, v_by=lambda b, t: 1 - b[1] * t),
        r"step 2 is not finite: .*\nA root of a negative number .*a power, 1 - betas\[1\] \*\* t",
    ),
    "first gradient whole": (
        adam_in_full(zeros=False, corrected=False),
        "at step 2: .*\nm and v start at zero in Adam",
    ),
    "first gradient whole, and corrected": (adam_in_full(zeros=False), "step 1: .*\nm and v start at zero in Adam"),
    "root before the correction": (
        adam_in_full(root=lambda v, c, eps: v.sqrt() / c + eps),
        "at step 1: .*\nCorrect v before you take the root",
    ),
    "root and eps before the correction": (
        adam_in_full(root=lambda v, c, eps: (v.sqrt() + eps) / c),
        "at step 1: .*\nCorrect v before you take the root",
    ),
    "weights exchanged": (
        adam_in_full(m_keep=lambda old, g, b: (1 - b) * old + b * g),
        "at step 1: .*\n.*beta is the weight of the old average",
    ),
    "multiplied by the correction": (
        adam(m_by=lambda b, t: 1 / (1 - b[0] ** t), v_by=lambda b, t: 1 / (1 - b[1] ** t)),
        "at step 1: .*\nYou multiply by the correction .*Divide by it",
    ),
    "fixed betas": (adam_in_full(betas_used=(0.9, 0.999)), "With other betas .*at step 2: .*\nUse `betas`"),
    "stored": (adam_that_stores, "at step 2: .*\nYou keep the corrected"),
    "another rule": (adam(step=lambda m, v, eps: m), "at step 1: .*\nCompare that one step by hand"),
    "list": (lambda *a: list(adam()(*a)), "You returned a list of 7 items"),
}


@pytest.mark.parametrize("name", WRONG_ADAMS)
def test_mistakes_of_adam_are_named(name):
    candidate, message = WRONG_ADAMS[name]
    verdict = check_adam_path(candidate)
    assert not verdict and not verdict.untouched
    assert re.search(message, verdict.message), verdict.message


@pytest.mark.parametrize("name", ["no eps", "eps inside"])
def test_a_difference_too_small_to_print_is_given_as_a_number(name):
    message = check_adam_path(WRONG_ADAMS[name][0]).message
    assert re.search(r"at step \d: \(.*\), off by [1-9]e-\d\d\.\n", message), message


def test_a_point_that_never_moves_is_not_told_of_one_stored_tensor():
    for judge in (check_momentum_path, check_adam_path):
        message = judge(lambda gradients, start, *_: start.expand(len(gradients) + 1, -1)).message
        assert "stored" not in message, message


@pytest.mark.parametrize("judge", [check_momentum_path, check_adam_path])
def test_a_stub_is_not_yet_and_strange_answers_get_a_verdict(judge):
    def stub(gradients, start, *settings): ...  # fmt: skip

    assert judge(stub).untouched and judge(...).untouched
    for value in (None, 3, "text", torch.zeros(0), torch.full((7, 3), float("nan")), [1.0], object()):
        verdict = judge(lambda *args, value=value: value)
        assert not verdict and not verdict.untouched and len(verdict.message) > 20


@pytest.mark.parametrize(
    ("rule", "settings", "mistakes"),
    [
        (update_rules.MOMENTUM, built_in._MOMENTA, built_in._IN_MOMENTUM),
        (update_rules.ADAM, built_in._ADAMS, built_in._IN_ADAM),
    ],
)
def test_every_mistake_differs_somewhere_from_the_truth_and_from_the_others(rule, settings, mistakes):
    paths = {mistake: [setting.path(flawed) for setting in settings] for flawed, mistake in mistakes}
    right = [setting.path(rule) for setting in settings]

    def alike(a, b):
        return all(map(torch.allclose, a, b))

    assert [mistake.name for mistake, path in paths.items() if alike(path, right)] in ([], ["no amsgrad"])
    for a, b in itertools.combinations(paths, 2):
        assert a.message == b.message or not alike(paths[a], paths[b]), (a.name, b.name)


def test_a_mistake_is_named_only_if_it_explains_the_settings_before_as_well():
    def uncorrected_at_times(gradients, start, lr, betas, eps):
        rule = adam(m_by=lambda b, t: 1) if betas == (0.5, 0.8) else adam()
        return rule(gradients, start, lr, betas, eps)

    message = check_adam_path(uncorrected_at_times).message
    assert re.search("With other betas .*at step 1: .*\nCompare that one step by hand", message), message
