"""Rounding does not depend on the processor: else strict nbval would compare machines, not lessons."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the settings are those of x86")

# What notebooks do with numbers, in small: nets trained in both precisions, and NumPy's functions.
TRAINING = """
import hashlib
from utils import data
from utils.practice import digits_net as practice
import numpy as np, torch
torch.set_num_threads(1)
found, digits = hashlib.sha256(), data.digits()
for dtype in (torch.float32, torch.float64):
    model = practice.conv_net(seed=0).to(dtype)
    for images, labels in practice.Feed(practice.digits(train=300), 10, seed=0):
        loss = torch.nn.functional.cross_entropy(model(images.to(dtype)), labels)
        for p, g in zip(model.parameters(), torch.autograd.grad(loss, model.parameters()), strict=True):
            p.data -= 0.1 * g  # no optimizer: torch needs 2 s to import the first one
    for p in model.parameters():
        found.update(p.detach().numpy().tobytes())
x = np.linspace(-5, 5, 1001)
for each in (np.exp(x), np.sin(x), np.tanh(x), np.log(x + 6), np.power(x + 6, 0.3)):
    found.update(each.tobytes())
print(torch.backends.cpu.get_cpu_capability(), found.hexdigest())
"""


def trained(**settings):
    return subprocess.check_output([sys.executable, "-c", TRAINING], text=True, env=os.environ | settings).split()


def test_a_processor_that_takes_other_code_for_products_rounds_the_same():
    older = {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}  # MKL believes that it is on such a processor
    found = trained()
    assert found[0] == "AVX2" and trained(**older) == found
    assert trained(MKL_CBWR="AUTO", **older) != found  # what came of that without us


def test_code_for_newer_processors_is_not_taken():
    features = "import utils; import numpy as np; print(np._core._multiarray_umath.__cpu_features__)"
    for line in (subprocess.check_output([sys.executable, "-c", features], text=True), str(_features())):
        assert not any(eval(line)[name] for name in ("X86_V4", "AVX512_ICL", "AVX512_SPR"))


def _features():
    import numpy as np

    return np._core._multiarray_umath.__cpu_features__


def test_a_setting_of_ones_own_counts():
    say = [sys.executable, "-c", "import os, utils; print(os.environ['MKL_CBWR'], os.environ['ATEN_CPU_CAPABILITY'])"]
    bare = {name: value for name, value in os.environ.items() if name not in ("MKL_CBWR", "ATEN_CPU_CAPABILITY")}
    assert subprocess.check_output(say, text=True, env=bare).split() == ["COMPATIBLE", "avx2"]
    assert subprocess.check_output(say, text=True, env=bare | {"MKL_CBWR": "AUTO"}).split() == ["AUTO", "avx2"]
