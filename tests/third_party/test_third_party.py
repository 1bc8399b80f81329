"""A fixed sample of the standing court; `python -m tests.third_party` hears all of it, and fetches the packages."""

import os
import sys

import pytest

from tests.third_party.__main__ import FOLDER, install
from tests.third_party.contenders import contenders, missing
from tests.third_party.judges import judged, swept
from utils import sweeps

# Of every way to differ from SGD one: matrices, norms, rows, an own lr, two modes, closures, wrappers, random numbers.
SAMPLE = (
    *(
        "Muon (pytorch_optimizer)",
        "SOAP (pytorch_optimizer)",
        "Lamb (torch_optimizer)",
        "AdaFactor (pytorch_optimizer)",
    ),
    *("Lion (lion_pytorch)", "Prodigy (prodigyopt)", "DAdaptAdam (dadaptation)", "AdaBelief (adabelief_pytorch)"),
    *("AdamWScheduleFree (schedulefree)", "SGDScheduleFreeClosure (schedulefree)", "SAM (pytorch_optimizer)"),
    *("Lookahead (torch_optimizer)", "SafeFP16Optimizer (pytorch_optimizer)", "SingleDeviceMuonWithAuxAdam (muon)"),
)
REFUSED = ("SophiaH (pytorch_optimizer)", "MuonWithAuxAdam (muon)")


@pytest.fixture(scope="module")
def court():
    if os.environ.get("CI"):  # a proof that is skipped proves nothing
        install()
    sys.path.append(str(FOLDER))
    if missing():
        sys.path.remove(str(FOLDER))
        pytest.skip(f"{', '.join(missing())} not there: `python -m tests.third_party` fetches them and hears all")
    yield contenders()
    sys.path.remove(str(FOLDER))


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("judge", ["sweep", "descend", "race"])
@pytest.mark.parametrize("name", SAMPLE)
def test_a_judge_is_right_about(name, judge, court):
    said = judged(judge, court[name])
    assert said.startswith("FINE")
    assert judge != "sweep" or said.startswith("FINE, equal")


@pytest.mark.parametrize("name", REFUSED)
def test_sweep_refuses_what_fails_alone(name, court):
    assert judged("sweep", court[name]).startswith("FINE, refused: ")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda losses: losses * (1 + 2e-3), "WRONG, off by 0.002"),
        (lambda losses: losses * float("nan"), "WRONG, off by"),
        (lambda losses: (_ for _ in ()).throw(ValueError("no")), "WRONG, refused though it runs alone: no"),
        (lambda losses: 1 / 0, "WRONG, ZeroDivisionError"),
    ],
)
def test_a_judge_that_is_wrong_is_found_out(monkeypatch, wrong, said):
    from torch import optim

    from tests.third_party import judges

    def spoiled(*args, **settings):
        found = sweeps.sweep(*args, **settings)
        return sweeps.Sweep(found.label, found.lrs, found.seeds, wrong(found.losses), found.final)

    monkeypatch.setattr(judges, "sweep", spoiled)
    assert swept(optim.SGD).startswith(said)
    monkeypatch.undo()
    assert swept(optim.SGD).startswith("FINE, equal")
