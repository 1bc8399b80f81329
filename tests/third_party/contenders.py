"""Every optimizer class of eight packages, as a factory `make(params, lr=…)` that a plain loop would use."""

import contextlib
import importlib
import importlib.util
import inspect
import io
import warnings
from collections.abc import Callable
from functools import partial

from torch import nn, optim
from torch.optim import Optimizer

PACKAGES = (
    *("pytorch_optimizer", "torch_optimizer", "lion_pytorch", "schedulefree", "prodigyopt", "dadaptation"),
    *("adabelief_pytorch", "muon"),
)
# What a class must be given, beside params and lr, to be built at all.
_OPTIONS = {
    "BSAM": {"num_data": 100},
    "Ranger21": {"num_iterations": 100},
    "AdaBelief (adabelief_pytorch)": {"print_change_log": False},
}
_BY_KIND = {f"{each} (pytorch_optimizer)" for each in "AdaGO AdaMuon DistributedMuon Muon MuonClip NorMuon".split()}
_OF_MATRICES = {"SpectralSphere (pytorch_optimizer)", "SingleDeviceMuon (muon)", "Muon (muon)"}


def missing() -> list[str]:
    """The packages that cannot be found."""
    return [package for package in PACKAGES if importlib.util.find_spec(package) is None]


def contenders() -> dict[str, Callable[..., Optimizer]]:
    """ "Name (package)" → factory; torch's own classes, which some packages hand on, are left out."""
    found = {}
    for package in PACKAGES:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            module = importlib.import_module(package)
        for value in vars(module).values():
            is_class = inspect.isclass(value) and issubclass(value, Optimizer) and value is not Optimizer
            if is_class and not value.__module__.startswith("torch."):
                found[f"{value.__name__} ({package})"] = value
    return {name: _factory(name, made) for name, made in found.items()}


def _factory(name: str, made: type) -> Callable[..., Optimizer]:
    """How this class is built from params and lr, by the names of what its constructor takes."""
    arguments = inspect.signature(made).parameters
    options = _OPTIONS.get(name, _OPTIONS.get(made.__name__, {}))

    def wrapping(params, lr=0.01):  # an optimizer around another
        return made(optim.SGD(params, lr=lr, momentum=0.9), **options)

    def of_model(params, lr=0.01):
        return made(_model(params), lr=lr, **options)

    def with_base(params, lr=0.01):  # two steps with gradients at two places
        params = list(params)
        more = {"model": _model(params)} if "model" in arguments else {}
        if "rho_scheduler" in arguments:
            from pytorch_optimizer import ProportionScheduler

            base = optim.SGD(params, lr=lr)
            more["rho_scheduler"] = ProportionScheduler(optim.lr_scheduler.ConstantLR(base), max_lr=lr, max_value=2.0)
            return made(params=params, base_optimizer=base, **more, **options)
        return made(params=params, base_optimizer=optim.SGD, lr=lr, **more, **options)

    def by_kind(params, lr=0.01):  # Muon for matrices, Adam for the rest
        params = list(params)
        matrices = [p for p in params if p.ndim >= 2]
        groups = [{"params": matrices, "use_muon": True, "lr": lr}] if matrices else []
        rest = [p for p in params if p.ndim < 2]
        return made([*groups, *([{"params": rest, "use_muon": False, "lr": lr}] if rest else [])], **options)

    def of_matrices(params, lr=0.01):
        return made([p for p in params if p.ndim >= 2], lr=lr, **options)

    if "param_groups" in arguments or name in _BY_KIND:
        return by_kind
    if name in _OF_MATRICES:
        return of_matrices
    if "base_optimizer" in arguments:
        return with_base
    if "optimizer" in arguments:
        return wrapping
    return of_model if "model" in arguments else partial(made, **options)


def _model(params) -> nn.Module:
    """A module whose parameters these are."""
    model = nn.Module()
    for place, parameter in enumerate(params):
        model.register_parameter(f"p{place}", parameter)
    return model
