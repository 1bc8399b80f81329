"""The check of the largest stable lr: right answers pass however they are computed, each mistake is named."""

import itertools
import re

import numpy as np
import pytest
import torch

from utils.checks import stable_lr
from utils.checks.stable_lr import check_largest_stable_lr

RIGHT_LRS = {
    "eigvalsh": lambda h: 2 / torch.linalg.eigvalsh(h)[-1],
    "max of eigvals, complex": lambda h: 2 / torch.linalg.eigvals(h)[torch.linalg.eigvals(h).real.argmax()],
    "one element": lambda h: (2 / torch.linalg.eigvalsh(h).max()).reshape(1),
    "float": lambda h: 2 / torch.linalg.eigvalsh(h).max().item(),
    "numpy": lambda h: 2 / np.linalg.eigvalsh(h.numpy()).max(),
    "spectral norm": lambda h: 2 / torch.linalg.matrix_norm(h, 2),
    "svd, float32": lambda h: 2 / torch.linalg.svdvals(h.float())[0],
}


def by_power_iteration(hessian):
    x = torch.arange(1.0, len(hessian) + 1, dtype=hessian.dtype)
    for _ in range(300):
        x = hessian @ x / (hessian @ x).norm()
    return 2 / (x @ hessian @ x)


@pytest.mark.parametrize("candidate", [*RIGHT_LRS.values(), by_power_iteration], ids=[*RIGHT_LRS, "power iteration"])
def test_the_largest_stable_lr_passes_however_it_is_computed(candidate):
    verdict = check_largest_stable_lr(candidate)
    assert verdict, verdict.message


def spoiled(hessian):
    answer = 2 / torch.linalg.eigvalsh(hessian)[-1]
    hessian /= 2
    return answer


def eigenvalues(hessian):
    return torch.linalg.eigvalsh(hessian)


def only_three_by_three(hessian):
    return 0.125 / (len(hessian) == 3)


WRONG_LRS = {
    "smallest": (lambda h: 2 / eigenvalues(h)[0], "loss went from 1 to .* too large.*\n.*2 / the smallest"),
    "middle": (lambda h: 2 / eigenvalues(h)[len(h) // 2], "too large.*\n.*not the largest: `torch.linalg.eigvals`"),
    "1/L": (lambda h: 1 / eigenvalues(h)[-1], "loss fell from 1 to .* too small.*\n.*like 1 / the largest"),
    "1/mu": (lambda h: 1 / eigenvalues(h)[0], "too large.*\n.*like 1 / the smallest"),
    "best": (lambda h: 2 / (eigenvalues(h)[0] + eigenvalues(h)[-1]), "too small.*\n.*the fastest lr, not the edge"),
    "2/κ": (
        lambda h: 2 * eigenvalues(h)[0] / eigenvalues(h)[-1],
        "too small.*\n.*like 2 / κ.* where the smallest is 1",
    ),
    "1/κ": (lambda h: eigenvalues(h)[0] / eigenvalues(h)[-1], "too small.*\n.*like 1 / κ"),
    "κ": (lambda h: eigenvalues(h)[-1] / eigenvalues(h)[0], "too large.*\n.*like κ, largest / smallest"),
    "1/L by chance": (lambda h: 0.125, "too small.*\nAlong an eigenvector"),
    "1/L, then an error": (only_three_by_three, "too small.*\nAlong an eigenvector"),
    "max of eigvals": (
        lambda h: 2 / torch.linalg.eigvals(h).max(),
        "raised `NotImpl.*\n.*complex.*`torch.linalg.eigvalsh`",
    ),
    "builtin max": (
        lambda h: 2 / max(torch.linalg.eigvals(h)),
        "raised `NotImpl.*\n.*complex.*`torch.linalg.eigvalsh`",
    ),
    "sorted": (lambda h: torch.linalg.eigvals(h).sort()[0][-1], "raised `.*\n.*complex.*`torch.linalg.eigvalsh`"),
    "trace": (lambda h: 2 / h.trace(), "too small.*\n.*2 / trace"),
    "mean": (lambda h: 2 / eigenvalues(h).mean(), "too large.*\n.*2 / mean eigenvalue"),
    "diagonal": (lambda h: 2 / h.diag().max(), "too large.*\n.*diagonal entry: right only if the axes are not tilted"),
    "Frobenius": (lambda h: 2 / h.norm(), "too small.*\n.*Frobenius"),
    "row sum": (lambda h: 2 / torch.linalg.matrix_norm(h, 1), "too small.*\n.*row sum"),
    "inverted": (lambda h: eigenvalues(h)[-1] / 2, "too large.*\n.*eigenvalue / 2"),
    "L": (lambda h: eigenvalues(h)[-1], "too large.*\n.*eigenvalue itself"),
    "squared": (lambda h: 2 / torch.linalg.svdvals(h @ h)[0], "too small.*\n.*eigenvalue squared"),
    "root": (lambda h: 2 / eigenvalues(h)[-1].sqrt(), "too large.*\n.*root of the largest"),
    "constant": (lambda h: 0.07, "too small.*\nAlong an eigenvector"),
    "enormous": (lambda h: 1e300, "too large.*\nAlong an eigenvector"),
    "all": (lambda h: 2 / eigenvalues(h), "several numbers for a 3 × 3 matrix"),
    "negative": (lambda h: -2 / eigenvalues(h)[-1], "a learning rate is positive and finite"),
    "infinite": (lambda h: float("inf"), "a learning rate is positive and finite"),
    "really complex": (lambda h: 0.1 + 0.2j, "type `complex`: a learning rate is one real number"),
    "text": (lambda h: "0.25", "type `str`: a learning rate is one real number"),
    "matrix changed": (spoiled, "changed `hessian` in place"),
}


@pytest.mark.parametrize("name", WRONG_LRS)
def test_mistakes_of_the_largest_stable_lr_are_named(name):
    candidate, message = WRONG_LRS[name]
    verdict = check_largest_stable_lr(candidate)
    assert not verdict and not verdict.untouched
    assert re.search(message, verdict.message), verdict.message


def test_no_two_mistakes_of_the_lr_look_alike_on_all_matrices_and_none_is_within_the_tolerance():
    lrs = []
    for spectrum in stable_lr._SPECTRA:
        hessian = stable_lr._hessian(spectrum)
        torch.testing.assert_close(eigenvalues(hessian), torch.tensor(spectrum, dtype=torch.float64))
        lrs.append(
            [float(mistake.does(hessian, eigenvalues(hessian))) for mistake in stable_lr._LRS] + [2 / spectrum[-1]]
        )
    for a, b in itertools.combinations(zip(*lrs, strict=True), 2):
        assert any(abs(x / y - 1) > 0.021 for x, y in zip(a, b, strict=True))


def test_the_loss_at_a_lr_is_that_of_the_closed_form():
    hessian = stable_lr._hessian((1.0, 6.0, 8.0))
    loss, steps = stable_lr._last_loss(hessian, 0.1, steps=20)
    powers = sum(e * (1 - 0.1 * e) ** 40 for e in (1.0, 6.0, 8.0)) / 15
    assert steps == 20 and loss == pytest.approx(powers)


def test_a_verdict_is_the_same_the_second_time():
    """Notebooks store them: no address, no random number, no time may be in a message."""
    for candidate, _ in list(WRONG_LRS.values())[::6]:
        assert check_largest_stable_lr(candidate).message == check_largest_stable_lr(candidate).message
