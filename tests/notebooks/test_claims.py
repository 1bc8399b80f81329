"""The claims of 02b, 03, 04b and 05a hold on other seeds too: their own cells, run again with another `base_seed`.

The cells tagged `claim` hold the experiments and the asserts on their directions; figures and prose are left out.

A run takes minutes, and the same code comes to the same result, since rounding does not depend on the machine. So
claims.json keeps what came out, with a fingerprint of all that it depends on: the cells, the modules of utils that they
import, and the versions of the packages. Where that has changed, the claims are run again here; store what comes out by
`python -m tests.notebooks.test_claims`. Other seeds: CLAIM_SEEDS=200,1300 in the environment.
"""

import ast
import contextlib
import hashlib
import io
import json
import os
import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

import matplotlib
import pytest
import torch

TESTS = Path(__file__).resolve().parents[1]
NOTEBOOKS, UTILS, RECORD = TESTS.parent / "notebooks", TESTS.parent / "utils", TESTS / "claims.json"
SEED_LINE = "base_seed = 0"
SEEDS = [int(seed) for seed in os.environ.get("CLAIM_SEEDS", "100").split(",")]
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn")


def cells(name: str) -> dict[str, dict]:
    """The cells of a notebook that make its claims, by id; in 03 also those with the optimizers that race."""
    every = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    wanted = {"claim", "setup", "ladder"} if name.startswith("03") else {"claim"}
    return {cell["id"]: cell for cell in every if wanted & set(cell["metadata"].get("tags", []))}


def source(cell: dict) -> str:
    return "".join(cell["source"])


CELLS = {
    name: cells(name)
    for name in ("02b-which-optimizer", "03-custom-optimizer", "04b-which-schedule", "05a-optimizers-in-practice")
}
CLAIMING = [(name, id) for name in CELLS for id, cell in CELLS[name].items() if "claims.append" in source(cell)]


def modules_of(sources: Iterable[str], *, package: Path = UTILS) -> set[Path]:
    """The files of the package that these sources import, and what those import in their turn, however deep they lie.

    Importing a module runs the `__init__` of every package above it, so those count as well.
    """
    found, waiting = set(), [(source, None) for source in sources]
    while waiting:
        source, home = waiting.pop()
        for dotted in imported(source, home, package):
            for file in files_of(dotted, package) - found:
                found.add(file)
                waiting.append((file.read_text(encoding="utf-8"), file))
    return found


def imported(source: str, home: Path | None, package: Path) -> set[str]:
    """Dotted names that the source, which stands in the file `home`, imports: of modules, or of what is in them."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = home.relative_to(package.parent).parts[: -node.level] if home and node.level else ()
            base = ".".join([*above, *filter(None, [node.module])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] == package.name}


def files_of(dotted: str, package: Path) -> set[Path]:
    """The module's file, if it is one, and the `__init__` of each package on the way to it."""
    parts = dotted.split(".")
    places = [package.parent.joinpath(*parts[:n]) for n in range(1, len(parts) + 1)]
    candidates = [place / "__init__.py" for place in places] + [place.with_suffix(".py") for place in places]
    return {file for file in candidates if file.is_file()}


def fingerprint(name: str, *, package: Path = UTILS) -> str:
    """Of all that decides how the claims of a notebook come out."""
    sources = [source(cell) for cell in CELLS[name].values()]
    files = sorted(modules_of(sources, package=package))
    parts = [platform.machine(), *map(version, PACKAGES), *sources, *(f.read_text(encoding="utf-8") for f in files)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def run_again(name: str, seed: int) -> dict:
    """The claims as they came out, [claim, verdict] each, and the cells that failed; the page itself has seed 0."""
    namespace, failed = {"__name__": "__main__", "display": lambda *_: None}, {}
    threads = torch.get_num_threads()
    with matplotlib.rc_context(), torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "Agg")
        for id, cell in CELLS[name].items():
            code = source(cell).replace(SEED_LINE, f"base_seed = {seed}")
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(code, id, "exec"), namespace)
            except AssertionError as error:
                failed[id] = f"line {error.__traceback__.tb_next.tb_lineno} of cell {id} does not hold"
    torch.set_num_threads(threads)
    return {"claims": [claim[:2] for claim in namespace["claims"]], "failed": failed}


def recorded(name: str, seed: int) -> dict | None:
    """What claims.json says of these very cells, or None."""
    found = json.loads(RECORD.read_text(encoding="utf-8")).get(name, {}).get(str(seed))
    return found if found and found["of"] == fingerprint(name) else None


@pytest.fixture(scope="module", params=SEEDS)
def runs(request) -> Callable[[str], dict]:
    """What run_again() gave for each notebook, now or when it was stored."""
    made = {}

    def of(name: str):
        if name not in made:
            made[name] = recorded(name, request.param) or run_again(name, request.param)
        return made[name]

    return of


@pytest.mark.parametrize("name", CELLS)
def test_the_seed_is_set_in_one_place(name):
    assert sum(source(cell).count(SEED_LINE) for cell in CELLS[name].values()) == 1
    claiming = {id: cell for id, cell in CELLS[name].items() if "claim" in cell["metadata"]["tags"]}
    assert not [id for id, cell in claiming.items() if "seed(0)" in source(cell)]


@pytest.mark.parametrize(("name", "id"), CLAIMING)
def test_the_claims_asserts_hold(runs, name, id):
    group = id.split("-")[0]
    assert not [message for cell, message in runs(name)["failed"].items() if cell.split("-")[0] == group]


@pytest.mark.parametrize("name", CELLS)
def test_every_verdict_is_the_one_on_the_page(runs, name):
    found = runs(name)
    every = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    (table,) = ("".join(c["outputs"][0]["data"]["text/markdown"]) for c in every if c["id"] == "claims-table")
    rows = [[part.strip() for part in line.split("|")[1:3]] for line in table.splitlines()[2:]]
    if name.startswith("03"):  # where some claims are made by cells that have no seed
        rows = [row for row in rows if row in found["claims"]]
        assert {"Lion beats AdamW", "Schedule-free does without a schedule"} <= {claim for claim, _ in rows}
    assert not found["failed"] and found["claims"] == rows


def test_the_fingerprint_sees_what_decides():
    name = "05a-optimizers-in-practice"
    read = {str(file.relative_to(UTILS)) for file in modules_of(map(source, CELLS[name].values()))}
    assert {"__init__.py", "sweeps.py", "training.py", "data.py", "internals/torch_steps.py"} <= read
    assert {f"practice/{name}.py" for name in ("__init__", "digits_net", "sick_runs", "range_test")} <= read
    assert "labs/race.py" not in read and "practice/leaderboard.py" not in read
    before, cell = fingerprint(name), CELLS[name]["ladder-run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CELLS[name], "ladder-run", cell | {"source": [*cell["source"], "\n1"]})
        assert fingerprint(name) != before
    assert fingerprint(name) == before


@pytest.mark.parametrize(
    "line",
    [
        "from utils.deep.nest import value",
        "from utils.deep import nest",
        "import utils.deep.nest as nest",
        "from utils import shallow",  # which imports it in its turn
        "from utils.relative import value",
    ],
)
@pytest.mark.parametrize("changed", ["deep/nest.py", "deep/__init__.py", "__init__.py"])
def test_the_fingerprint_sees_a_change_in_a_nested_module(tmp_path, line, changed):
    package = tmp_path / "utils"
    files = {
        "__init__.py": "",
        "shallow.py": "def later():\n    import utils.deep.nest\n",
        "relative.py": "from .deep.nest import value\n",
        "deep/__init__.py": "",
        "deep/nest.py": "value = 1\n",
        "deep/apart.py": "",
    }
    for name, content in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(content)
    cell = {"source": [line]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CELLS, "a lesson", {"a-claim": cell})
        before = fingerprint("a lesson", package=package)
        (package / "deep/apart.py").write_text("# nobody imports it\n")
        assert fingerprint("a lesson", package=package) == before
        (package / changed).write_text("value = 2\n")
        assert fingerprint("a lesson", package=package) != before


def store() -> None:
    """Run again what claims.json does not know, and write it down."""
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}
    for name in CELLS:
        for seed in SEEDS:
            if not RECORD.is_file() or not recorded(name, seed):
                print(name, seed, flush=True)
                record.setdefault(name, {})[str(seed)] = {"of": fingerprint(name), **run_again(name, seed)}
    RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    store()
