"""What a student's optimizer may do besides its step, for the tests of the labs."""

import random

import numpy as np
import torch


class Mine(torch.optim.SGD):
    """Gradient descent, but for what `does` does in every step with each parameter."""

    does = None

    def step(self, closure=None):
        super().step()
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    type(self).does(p)


def that(does) -> type:
    """A class of optimizers that also do this, as one that a student wrote."""
    return type("Mine", (Mine,), {"does": staticmethod(does)})


def forever(_):
    while True:
        pass


def leave(_):
    raise SystemExit("x" * 500)


def wobble(p):
    p += 1e-3 * (torch.rand(2) + np.random.rand() + random.random())


def fails(params, lr):
    return 1 / 0
