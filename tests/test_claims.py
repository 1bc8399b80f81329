"""The claims of 02b, 04b and 05a hold on other seeds too: their own cells, run again with another `base_seed`.

The cells tagged `claim` hold the experiments and the asserts on their directions; figures and prose are left out.
More seeds than one cost minutes: `CLAIM_SEEDS=100,200,1300 python -m pytest tests/test_claims.py`.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import matplotlib
import pytest
import torch

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
SEED_LINE = "base_seed = 0"
SEEDS = [int(seed) for seed in os.environ.get("CLAIM_SEEDS", "100").split(",")]


def cells(name: str) -> dict[str, dict]:
    """The cells of a notebook that make its claims, by id."""
    every = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    return {cell["id"]: cell for cell in every if "claim" in cell["metadata"].get("tags", [])}


def source(cell: dict) -> str:
    return "".join(cell["source"])


CELLS = {name: cells(name) for name in ("02b-which-optimizer", "04b-which-schedule", "05a-optimizers-in-practice")}
CLAIMING = [(name, id) for name in CELLS for id, cell in CELLS[name].items() if "claims.append" in source(cell)]


def run_again(name: str, seed: int) -> tuple[list, dict[str, str]]:
    """(the claims as they came out, the cells that failed) with this base seed; the page itself has 0."""
    namespace, failed = {"__name__": "__main__", "display": lambda *_: None}, {}
    threads = torch.get_num_threads()
    with matplotlib.rc_context(), torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "Agg")
        for id, cell in CELLS[name].items():
            code = source(cell).replace(SEED_LINE, f"base_seed = {seed}")
            try:
                exec(compile(code, id, "exec"), namespace)
            except AssertionError as error:
                failed[id] = f"line {error.__traceback__.tb_next.tb_lineno} of cell {id} does not hold"
    torch.set_num_threads(threads)
    return namespace["claims"], failed


@pytest.fixture(scope="module", params=SEEDS)
def runs(request) -> Callable[[str], tuple[list, dict[str, str]]]:
    """What run_again() gave for each notebook, made when it is first asked for."""
    made = {}

    def of(name: str):
        if name not in made:
            made[name] = run_again(name, request.param)
        return made[name]

    return of


@pytest.mark.parametrize("name", CELLS)
def test_the_seed_is_set_in_one_place(name):
    assert sum(source(cell).count(SEED_LINE) for cell in CELLS[name].values()) == 1
    assert not [id for id, cell in CELLS[name].items() if "seed(0)" in source(cell)]


@pytest.mark.parametrize(("name", "id"), CLAIMING)
def test_the_claims_asserts_hold(runs, name, id):
    _, failed = runs(name)
    group = id.split("-")[0]
    assert not [message for cell, message in failed.items() if cell.split("-")[0] == group]


@pytest.mark.parametrize("name", CELLS)
def test_every_verdict_is_the_one_on_the_page(runs, name):
    claims, failed = runs(name)
    table = "".join(CELLS[name]["claims-table"]["outputs"][0]["data"]["text/markdown"])
    rows = [[part.strip() for part in line.split("|")[1:3]] for line in table.splitlines()[2:]]
    assert not failed and [[claim, verdict] for claim, verdict, _ in claims] == rows
