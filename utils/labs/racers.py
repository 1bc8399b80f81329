"""Who can race in Lab 2, with which settings, and on what."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from utils import surfaces
from utils.surfaces import Surface

STEPS = 100
LRS = [float(f"{lr:.3g}") for lr in np.geomspace(1e-4, 10**0.5, 91)]  # 20 a decade
TRIED = LRS[::5]  # by tuning


@dataclass(frozen=True)
class Racer:
    """`make(params, lr=…, **knobs)` is the optimizer; `knobs` are its other sliders: keyword → (values, default).

    One that is the student's `own` is guarded.
    """

    name: str
    make: Callable
    lr: float = 0.01
    knobs: Mapping[str, tuple] = field(default_factory=dict)
    on: bool = True
    own: bool = False


_SLOW, _FAST = (0.9, 0.99, 0.999), (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)  # Adam refuses a 0 that is no float


def _adam(params, *, lr, beta1, beta2):
    # Without foreach=False torch looks at each step which of its ways is the fastest, which takes a tenth of the step.
    return torch.optim.Adam(params, lr=lr, betas=(beta1, beta2), foreach=False)


def _nesterov(params, *, lr, momentum):
    return torch.optim.SGD(params, lr=lr, momentum=momentum, nesterov=momentum > 0)  # torch refuses it without momentum


RACERS = (
    Racer("SGD", torch.optim.SGD, lr=0.01),
    Racer("Momentum", torch.optim.SGD, lr=0.01, knobs={"momentum": (_FAST, 0.9)}),
    Racer("RMSprop", torch.optim.RMSprop, lr=0.01, knobs={"alpha": ((0.5, *_SLOW), 0.99)}),
    Racer("Adam", _adam, lr=0.1, knobs={"beta1": (_FAST, 0.9), "beta2": (_SLOW, 0.999)}),
    Racer("Nesterov", _nesterov, lr=0.01, knobs={"momentum": (_FAST, 0.9)}, on=False),
    Racer("Adagrad", torch.optim.Adagrad, lr=0.1, on=False),
)

PROBLEMS: dict[str, tuple[Surface, float]] = {  # each isolates one cause; the number is the noise
    "ravine": (surfaces.ravine(30), 0.0),
    "ravine, turned": (surfaces.ravine(30, angle=45), 0.0),
    "ravine, noisy": (surfaces.ravine(30), 1.0),
    "saddle": (surfaces.saddle(), 0.0),
    "plateau and cliff": (surfaces.cliff(), 0.0),
    "bent valley (Rosenbrock)": (surfaces.rosenbrock(), 0.0),
    "flat arms (Beale)": (surfaces.beale(), 0.0),
    "four minima (Himmelblau)": (surfaces.himmelblau(), 0.0),
    "many dents (Rastrigin)": (surfaces.rastrigin(), 0.0),
}


@dataclass(frozen=True)
class Course:
    """What all racers have in common: a name in PROBLEMS, the start in coordinates of its surface, the noise."""

    problem: str
    start: tuple[float, float]
    noise: float

    @classmethod
    def from_shares(cls, problem: str, x: float, y: float, noise: float) -> "Course":
        """The course for a start in shares of the window, at home() exactly the surface's own, which shares would miss.

        Half a percent aside matters: on the ridge of the saddle nobody would ever leave it.
        """
        surface = PROBLEMS[problem][0]
        left, right, bottom, top = surface.window
        home_x, home_y = home(surface)
        start = surface.start[0] + (x - home_x) * (right - left), surface.start[1] + (y - home_y) * (top - bottom)
        return cls(problem, (round(start[0], 4), round(start[1], 4)), noise)

    @property
    def surface(self) -> Surface:
        """The problem's."""
        return PROBLEMS[self.problem][0]


def home(surface: Surface) -> tuple[float, float]:
    """The surface's own start as shares of its window, in whole percents: where the sliders stand at first."""
    left, right, bottom, top = surface.window
    x, y = surface.start
    return round((x - left) / (right - left), 2), round((y - bottom) / (top - bottom), 2)
