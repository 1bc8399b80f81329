"""How fast is the workshop on this machine? `python3 workshop.py bench` measures it, beside the usual way, in minutes.

The labs in JupyterLab and in the live deck (bench_labs.py), from a new Python to the first figure, every notebook from
top to bottom, the sweep against a loop (bench_sweeps.py), our foreach AdamW against torch's (bench_foreach.py).
Everything goes to build/bench.json, and to the terminal as a table with the goals. Close what else is running: times
are those of the whole machine, ratios are taken within one run.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil
import torch
from tabulate import tabulate

from tests import bench_foreach, bench_labs, bench_sweeps
from utils.refresh import NOTEBOOKS, execute, load

ROOT = Path(__file__).parents[1]
FIRST_FIGURE = """
from utils import plots, surfaces
plots.plt.style.use("utils.workshop")
plots.picture(plots.surface_contours(surfaces.ravine(), title="The first figure"))
"""
# What a lab should reach on two cores: (what it is called, is it reached?)
LAB_GOALS = {
    "median": ("≤ 60", lambda ms: ms <= 60),
    "p95": ("≤ 120", lambda ms: ms <= 120),
    "burst": ("≤ 200", lambda ms: ms <= 200),
    "play": ("≥ 24", lambda pictures: pictures >= 24),
}


def first_figure(rounds: int = 5) -> float:
    """Seconds from starting Python to the first finished figure; median."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", FIRST_FIGURE], check=True, cwd=ROOT)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def notebooks() -> dict[str, float]:
    """Seconds from top to bottom in a fresh kernel, one notebook after the other; nothing is stored."""
    seconds = {}
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = load(path)
        begin = time.perf_counter()
        execute(notebook, path, cell_seconds=120)
        seconds[path.stem] = time.perf_counter() - begin
        print(f"{path.stem}: {seconds[path.stem]:.1f} s", flush=True)
    return seconds


def machine() -> dict:
    memory = psutil.virtual_memory().total / 1e9
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "memory GB": round(memory),
        "load before": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def judged(value: float, goal: str) -> str:
    text, reached = LAB_GOALS[goal]
    return f"{value:.0f} {'✓' if reached(value) else '✗'} ({text})"


def lab_table(rows: list[dict]) -> str:
    """Every lab beside the usual way, with the goals."""
    usual = {row["what"]: row["median"] for row in rows if row["lab"].startswith("interact")}
    slow = usual.get("lr slider")
    table = []
    for row in rows:
        ours = not row["lab"].startswith("interact")
        if "kernel" in row["lab"]:
            cells = [f"{row['median']:.1f} {row['unit']}", f"{row['p95']:.1f} {row['unit']}", ""]
        elif row["what"] == "play":
            cells = [judged(row["median"], "play"), "", ""]
        elif row["what"] == "the last of 20 presses":
            cells = [judged(row["median"], "burst") if ours else f"{row['median']:.0f}", "", ""]
        elif row["what"] == "result of the training":
            cells = [f"{row['median']:.0f}", f"{row['p95']:.0f}", ""]
        elif ours:
            times_faster = f"{slow / row['median']:.1f} ×" if slow else ""
            cells = [judged(row["median"], "median"), judged(row["p95"], "p95"), times_faster]
        else:
            cells = [f"{row['median']:.0f}", f"{row['p95']:.0f}", "1"]
        table.append([row["lab"], row["what"], *cells])
    headers = ["lab", "ms from key press to picture", "median (goal)", "p95 (goal)", "faster than interact (goal 5 ×)"]
    return tabulate(table, headers=headers, tablefmt="github")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="workshop.py bench", description=__doc__.partition("\n")[0])
    parts = {"labs": bench_labs.main, "start": first_figure, "notebooks": notebooks}
    parts |= {"sweeps": bench_sweeps.main, "foreach": lambda: bench_foreach.main([])}
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(parts)}; all if none is named")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json", help="where the results go")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(parts):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    found = {"date": datetime.date.today().isoformat(), "machine": machine()}
    for name in options.parts or parts:
        print(f"\n{name}", flush=True)
        found[name] = parts[name]()
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{found['date']}, {found['machine']}\n")
    if "labs" in found:
        print(lab_table(found["labs"]), end="\n\n")
    if "start" in found:
        print(f"from a new Python to the first figure: {found['start']:.1f} s")
    for name, seconds in found.get("notebooks", {}).items():
        print(f"{name}: {seconds:.1f} s from top to bottom")
    for row in found.get("sweeps", []):
        print(f"sweep against loop, {row['optimizer']}: {row['ratio']:.1f} × faster")
    for row in found.get("foreach", []):
        ours, loop = row["foreach by torch foreach"], row["loop by foreach"]
        where = f"{row['model']}, {row['device']}"
        print(f"foreach AdamW, {where}: {ours:.2f} × the time of torch's, {loop:.1f} × faster than our loop")
    print(f"\nstored in {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
