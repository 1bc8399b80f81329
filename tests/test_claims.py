"""The claims of notebook 02b hold on other seeds too: its own cells, run again with another `base_seed`, same verdicts.

The cells tagged `claim` hold the experiments and the asserts on their directions; figures and prose are left out.
"""

import json
from pathlib import Path

import matplotlib
import pytest
import torch

NOTEBOOK = Path(__file__).resolve().parent.parent / "notebooks" / "02b-which-optimizer.ipynb"
CELLS = [
    (cell["id"], "".join(cell["source"]))
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    if "claim" in cell["metadata"].get("tags", [])
]
SEED_LINE = "base_seed = 0"
CLAIMING = [id for id, source in CELLS if "claims.append" in source]


@pytest.fixture(scope="module", params=[100, 200])
def run(request):
    """(the claims as they came out, the cells that failed) with this base seed; the page itself has 0."""
    namespace, failed = {"__name__": "__main__", "display": lambda *_: None}, {}
    threads = torch.get_num_threads()
    with matplotlib.rc_context(), torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "Agg")
        for id, source in CELLS:
            try:
                exec(compile(source.replace(SEED_LINE, f"base_seed = {request.param}"), id, "exec"), namespace)
            except AssertionError as error:
                failed[id] = f"line {error.__traceback__.tb_next.tb_lineno} of cell {id} does not hold"
    torch.set_num_threads(threads)
    return namespace["claims"], failed


def test_the_seed_is_set_in_one_place():
    assert sum(source.count(SEED_LINE) for _, source in CELLS) == 1
    assert not [id for id, source in CELLS if "seed(0)" in source]


@pytest.mark.parametrize("id", CLAIMING)
def test_the_claims_asserts_hold(run, id):
    _, failed = run
    group = id.split("-")[0]
    assert not [message for cell, message in failed.items() if cell.split("-")[0] == group]


def test_every_verdict_is_the_one_on_the_page(run):
    claims, failed = run
    table = next(
        "".join(cell["outputs"][0]["data"]["text/markdown"])
        for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
        if cell["id"] == "claims-table"
    )
    rows = [[part.strip() for part in line.split("|")[1:3]] for line in table.splitlines()[2:]]
    assert not failed and [[claim, verdict] for claim, verdict, _ in claims] == rows
