"""What belongs to the whole process, kept and put back: random states, torch's modes, the environment, output."""

import contextlib
import io
import os
import random
import sys
import warnings
from collections.abc import Iterator

import numpy as np
import torch

from utils.internals.torch_steps import hooks_on_all_optimizers


def random_state() -> dict:
    """The global generators of torch (each GPU's too), NumPy and Python, as numbers and tensors for a file."""
    algorithm, keys, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [algorithm, keys.tolist(), *rest],
        "python": random.getstate(),
    }


def set_random_state(state: dict) -> None:
    """Put the global generators where random_state() found them; GPUs only if there are as many as then."""
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    algorithm, keys, *rest = state["numpy"]
    np.random.set_state((algorithm, np.array(keys, dtype=np.uint32), *rest))
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))


@contextlib.contextmanager
def generator_kept() -> Iterator[None]:
    """torch's generator goes on as if nobody had drawn from it."""
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)


@contextlib.contextmanager
def as_it_was():
    """What belongs to the whole process comes back as it was, whatever happens inside; what is printed disappears.

    That is: random states, torch's default dtype, gradient mode, number of threads, deterministic mode and hooks on all
    optimizers, the recursion limit, the environment, warning filters, sys.stdout and sys.stderr.
    """
    randomness, environment = random_state(), dict(os.environ)
    dtype, grad, limit = torch.get_default_dtype(), torch.is_grad_enabled(), sys.getrecursionlimit()
    threads, exact = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    hooks = [(registry, dict(registry)) for registry in hooks_on_all_optimizers()]
    stdout, stderr = sys.stdout, sys.stderr
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
            yield
    finally:
        sys.stdout, sys.stderr = stdout, stderr
        set_random_state(randomness)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        sys.setrecursionlimit(limit)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        if torch.are_deterministic_algorithms_enabled() != exact:
            torch.use_deterministic_algorithms(exact)
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        for registry, before in hooks:
            registry.clear()
            registry.update(before)
