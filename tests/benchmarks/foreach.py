"""How fast are the AdamWs of notebook 03? `python -m tests.benchmarks.foreach [--json PATH]` says.

The classes are taken out of the notebook. In each round every optimizer takes one step, one right after the other, so
that whatever else the machine does slows all of them; ratios are taken within a round, and their medians are printed.
Wanted: ours with lists at most 1.10 × torch's foreach, and at least 2 × faster than our loop on 200 small tensors.
"""

import argparse
import contextlib
import io
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn, optim

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "03-custom-optimizer.ipynb"
MODELS = {  # name → shapes of the parameters
    "200 tensors of 64": [(64,)] * 200,
    "200 tensors of 32 × 32": [(32, 32)] * 200,
    "2 tensors of 1000 × 1000": [(1000, 1000)] * 2,
}


def cells(*tags: str) -> list[tuple[str, str]]:
    """(id, source) of the notebook's code cells that bear one of these tags, in order."""
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    chosen = [cell for cell in found if set(tags) & set(cell["metadata"].get("tags", []))]
    return [(cell["id"], "".join(cell["source"])) for cell in chosen if cell["cell_type"] == "code"]


def ladder() -> dict:
    """The namespace of notebook 03 after its set-up and the cells of the ladder."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    namespace = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()):
        for id, source in cells("setup", "ladder"):
            exec(compile(source, f"<{id}>", "exec"), namespace)
    return namespace


def ready(make: Callable, shapes: list[tuple], device: str) -> optim.Optimizer:
    """An optimizer whose parameters have gradients and whose first steps, which make the state, are behind it."""
    draw = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(shape, generator=draw).to(device)) for shape in shapes]
    for p in params:
        p.grad = torch.randn(p.shape, generator=draw).to(device)
    optimizer = make(params)
    for _ in range(3):
        optimizer.step()
    return optimizer


def measure(ways: dict[str, Callable], shapes: list[tuple], *, rounds: int, device: str = "cpu") -> list[dict]:
    """One dict per round: seconds of one step for each way of `ways` (name → params → optimizer)."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    optimizers = {name: ready(make, shapes, device) for name, make in ways.items()}
    times = []
    for _ in range(rounds):
        times.append({})
        for name, optimizer in optimizers.items():
            wait()
            start = time.perf_counter()
            optimizer.step()
            wait()
            times[-1][name] = time.perf_counter() - start
    return times


def ratio(times: list[dict], way: str, other: str) -> float:
    """The median over rounds of the time of `way` by the time of `other`."""
    return median(row[way] / row[other] for row in times)


def all_ways(namespace: dict) -> dict[str, Callable[[list[Tensor]], optim.Optimizer]]:
    return {
        "ours, loop": namespace["CustomAdamW"],
        "ours, foreach": namespace["ForeachAdamW"],
        "torch, loop": partial(optim.AdamW, foreach=False),
        "torch, foreach": partial(optim.AdamW, foreach=True),
        "torch, fused": partial(optim.AdamW, fused=True),
    }


def main(arguments: list[str] | None = None) -> list[dict]:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.foreach", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the ratios there as well")
    options = parser.parse_args(arguments)
    ways = all_ways(ladder())
    torch.set_num_threads(1)
    report = []
    for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
        for model, shapes in MODELS.items():
            times = measure(ways, shapes, rounds=options.rounds, device=device)
            row = {
                "model": model,
                "device": device,
                "milliseconds": {name: round(1e3 * median(t[name] for t in times), 4) for name in ways},
                "foreach by torch foreach": round(ratio(times, "ours, foreach", "torch, foreach"), 3),
                "loop by foreach": round(ratio(times, "ours, loop", "ours, foreach"), 3),
            }
            report.append(row)
            print(f"{model}, {device}: " + ", ".join(f"{name} {ms:.3g} ms" for name, ms in row["milliseconds"].items()))
            print(f"  ours, foreach / torch, foreach: {row['foreach by torch foreach']:.2f}")
            print(f"  ours, loop / ours, foreach: {row['loop by foreach']:.2f}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return report


if __name__ == "__main__":
    main()
