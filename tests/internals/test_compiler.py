"""The compiler of torch waits until somebody compiles, and is then what it always was."""

import json
import subprocess
import sys

from tests.support.jupyter_page import ROOT

PROGRAM = """
import json, sys, warnings
from functools import partial
from utils.checks.examiner import check_optimizer
import torch
from torch import nn, optim

warnings.simplefilter("ignore")


def loaded():
    return any(name.startswith("torch._dynamo.") for name in sys.modules)


def make():
    w = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    w.grad = torch.tensor([0.1, 0.2, -0.3])
    return w, optim.Adam([w])


found = {}
w, optimizer = make()
scheduler = optim.lr_scheduler.StepLR(optimizer, 1)
for _ in range(3):
    optimizer.step()
    scheduler.step()
optimizer.load_state_dict(optimizer.state_dict())
optimizer.add_param_group({"params": nn.Parameter(torch.ones(2))})
optimizer.zero_grad()
found["an optimizer loads it"] = loaded()
found["torch finds it without a search"] = "_dynamo" in vars(torch)


class Uphill(optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p += group["lr"] * p.grad


verdict = check_optimizer(partial(Uphill, lr=0.1), partial(optim.SGD, lr=0.1))
found["a verdict loads it, or sympy"] = bool(verdict) or loaded() or "sympy" in sys.modules

import torch._dynamo.config  # what is inside may import a part of it first, as torch.compile does
found["a part of it loads it"] = loaded()
config = sys.modules["torch._dynamo.config"]
found["there is one of the part"] = config is torch._dynamo.config is torch._dynamo.utils.config
spec = config.__spec__
found["its part is as Python left it"] = spec.loader is not None and spec.origin == config.__file__
try:
    import torch._dynamo.nothing_of_this_name
except ModuleNotFoundError as error:
    found["a part that it has not"] = str(error)

(a, plain), (b, compiled) = make(), make()
step = torch.compile(compiled.step, backend="eager")
for _ in range(3):
    plain.step()
    step()
found["compiled steps go where plain ones go"] = torch.equal(a, b)
found["a frame was compiled"] = torch._dynamo.utils.counters["frames"]["ok"] > 0
asked = optim.Optimizer.add_param_group.__wrapped__
optimizer.add_param_group({"params": nn.Parameter(torch.ones(2))})
found["torch's own decorator is back"] = "uncompiled" not in asked.__dynamo_disable.__qualname__
print(json.dumps(found))
"""


def test_it_waits_until_somebody_compiles():
    """torch loads it with the first optimizer, which costs a kernel two seconds; half-loaded it is broken for good."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "an optimizer loads it": False,
        "torch finds it without a search": True,
        "a verdict loads it, or sympy": False,
        "a part of it loads it": True,
        "there is one of the part": True,
        "its part is as Python left it": True,
        "a part that it has not": "No module named 'torch._dynamo.nothing_of_this_name'",
        "compiled steps go where plain ones go": True,
        "a frame was compiled": True,
        "torch's own decorator is back": True,
    }
