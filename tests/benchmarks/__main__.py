"""How fast is the workshop on this machine? `python3 workshop.py bench` measures it, beside the usual way, in minutes.

The labs in JupyterLab and in the live deck (labs.py), from a new Python to the first figure, every notebook from
top to bottom, the sweep against a loop (sweeps.py), our foreach AdamW against torch's (foreach.py). Each part can be
named alone; `bench runs`, whether the proof is green every time (runs.py), and `bench hub`, how a class fares on a hub
(hub.py), only run when they are named. Everything goes to build/bench.json, and to the terminal as a table with the
goals. Close what else is running: times are those of the whole machine, ratios are taken within one run.
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

from tests.benchmarks import foreach as bench_foreach
from tests.benchmarks import hub as bench_hub
from tests.benchmarks import labs as bench_labs
from tests.benchmarks import runs as bench_runs
from tests.benchmarks import sweeps as bench_sweeps
from tools.refresh import NOTEBOOKS, execute, load

ROOT = Path(__file__).parents[2]
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
    "faster": ("≥ 5 ×", lambda times: times >= 5),
}
SLIDERS = {what for rows in bench_labs.ROWS.values() for what in rows}
LAB_NOTES = """\
The usual way is `interact` around a figure with Lab 1's three panels, in JupyterLab. Labs 2 and 3 have no such figure:
their sliders are held against its lr slider, their bursts against its burst, and the deck against JupyterLab.
No change leads back to a setting that was there before, but for κ. Of its five pictures Lab 1 draws the still parts
soon after it is shown, and a move sends the drawn one; the usual way draws all anew.
Received is all that one move brings to the page: picture, words, states of widgets; in Lab 3 its training as well.
Kernel times are CPU times; those of the usual way include that a picture is sent. Without a unit, times are in ms."""


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


def digits(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def judged(value: float, goal: str, decimals: int = 0) -> str:
    text, reached = LAB_GOALS[goal]
    return f"{value:.{decimals}f} {'✓' if reached(value) else '✗'} ({text})"


def lab_table(rows: list[dict]) -> str:
    """Every lab beside the usual way, with the goals."""
    table = []
    for row in rows:
        usual = row["lab"].startswith("interact")
        slider = row["what"] in SLIDERS
        burst, play = row["what"] == bench_labs.LAST, row["what"] == "play"
        median, p95 = digits(row["median"]), digits(row["p95"]) if row["p95"] and not (burst or play) else ""
        if usual or not (slider or burst or play):  # no goals
            cells = [f"{each} {row['unit'].replace('ms', '')}".strip() if each else "" for each in (median, p95)]
        elif slider:
            cells = [judged(row["median"], "median"), judged(row["p95"], "p95")]
        else:
            cells = [judged(row["median"], "burst" if burst else "play"), ""]
        if "faster" not in row:
            cells += ["", ""]
        elif slider or burst:
            cells += [judged(row["faster"], "faster", 1), row["than"]]
        else:
            cells += [digits(row["faster"]), row["than"]]
        table.append([row["lab"], row["what"], *cells])
    headers = ["lab", "what", "median (goal)", "p95 (goal)", "times as fast or small (goal)", "as the usual way's"]
    return tabulate(table, headers=headers, tablefmt="github", disable_numparse=True) + "\n\n" + LAB_NOTES


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    alone = {"runs": bench_runs.main, "hub": bench_hub.main}
    if arguments and arguments[0] in alone:
        return alone[arguments[0]](arguments[1:])
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
        goal = f" {'✓' if row['ratio'] >= row['goal'] else '✗'} (≥ {row['goal']} ×)" if row["goal"] else ""
        print(f"sweep against loop, {row['optimizer']}: {row['ratio']:.1f} × faster{goal}")
    for row in found.get("foreach", []):
        ours, loop = row["foreach by torch foreach"], row["loop by foreach"]
        where = f"{row['model']}, {row['device']}"
        print(f"foreach AdamW, {where}: {ours:.2f} × the time of torch's, {loop:.1f} × faster than our loop")
    print(f"\nstored in {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
