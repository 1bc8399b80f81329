"""Is the proof green every time? `python -m tests.benchmarks runs` runs README's test command again and again.

The first runs have the machine to themselves, beside the others busy loops take processors away. Every run is stored
as it ends, in build/runs: its output, pytest's report and a line in runs.json; `--resume` goes on where a call with
the same plan and commit was cut off. The exit code is 1 if a run was red.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[2]
PROOF = (sys.executable, "-m", "tools.proof", "--")  # what `workshop.py test` runs; pytest's own arguments follow
# It asks now and then whether the process that started it is still there, so that it never outlives a kill.
LOOP = "import os, sys\nwhile os.getppid() == int(sys.argv[1]):\n    for _ in range(10**6): pass"


@contextlib.contextmanager
def busy(loops: int) -> Iterator[list[subprocess.Popen]]:
    """So many processes that compute without a pause, until the block ends."""
    running = [subprocess.Popen([sys.executable, "-c", LOOP, str(os.getpid())]) for _ in range(loops)]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.wait()


def result(report: Path) -> dict:
    """Counts of tests and the names of those that failed, from pytest's JUnit report; none if there is no report."""
    if not report.is_file():
        return {"passed": None, "failed": None, "skipped": None, "red": []}
    counts, red = {"passed": 0, "failed": 0, "skipped": 0}, []
    for case in ElementTree.parse(report).iter("testcase"):
        parts = {part.tag for part in case}
        outcome = "failed" if parts & {"failure", "error"} else "skipped" if "skipped" in parts else "passed"
        counts[outcome] += 1
        if outcome == "failed":
            red.append(f"{case.get('classname')}::{case.get('name')}")
    return counts | {"red": list(dict.fromkeys(red))}  # a test that fails and then fails to clean up is there twice


def run(number: int, loops: int, *, folder: Path, command: Sequence[str]) -> dict:
    """One row of the table: the command's `exit` code, `seconds` of the wall's clock and what pytest reports."""
    log, report = folder / f"{number:02}.log", folder / f"{number:02}.xml"
    report.unlink(missing_ok=True)
    with busy(loops), log.open("w", encoding="utf-8") as output:
        begin = time.perf_counter()
        exit_code = subprocess.call(
            [*command, f"--junitxml={report}"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        seconds = time.perf_counter() - begin
    return {"run": number, "loops": loops, "exit": exit_code, "seconds": round(seconds, 1), **result(report)}


def line(row: dict) -> list:
    """The row's cells as a reader wants them."""
    counts = ["?" if row[name] is None else row[name] for name in ("passed", "failed", "skipped")]
    wrong = ", ".join(row["red"]) or (f"exit code {row['exit']}" if row["exit"] else "")
    return [row["run"], row["loops"], *counts, f"{row['seconds']:.0f}", wrong]


def commit() -> str:
    """The commit that is checked out, with "-dirty" if a file differs from it."""
    command = ["git", "describe", "--always", "--abbrev=12", "--dirty"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip() or "no commit"


def main(arguments: list[str] | None = None, *, command: Sequence[str] = PROOF) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks runs", description=__doc__.partition("\n")[0])
    parser.add_argument("--quiet", type=int, default=5, help="runs that have the machine to themselves (5)")
    parser.add_argument("--loaded", type=int, default=5, help="runs beside busy loops (5)")
    parser.add_argument("--loops", type=int, default=2, help="how many busy loops (2)")
    parser.add_argument("--resume", action="store_true", help="keep the runs of this commit that are stored")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "runs", help="where logs and results go")
    options = parser.parse_args(arguments)
    folder, stored = options.folder.resolve(), options.folder / "runs.json"
    folder.mkdir(parents=True, exist_ok=True)
    plan = [0] * options.quiet + [options.loops] * options.loaded
    now, rows = commit(), []
    if options.resume and stored.is_file():
        found = json.loads(stored.read_text(encoding="utf-8"))
        same = found["commit"] == now and [row["loops"] for row in found["rows"]] == plan[: len(found["rows"])]
        rows = found["rows"] if same and not now.endswith("-dirty") else []
    print(f"{now}, {os.cpu_count()} cores: {len(plan)} runs, {len(rows)} of them stored", flush=True)
    for number, loops in list(enumerate(plan, 1))[len(rows) :]:
        rows.append(run(number, loops, folder=folder, command=command))
        stored.write_text(json.dumps({"commit": now, "rows": rows}, indent=2) + "\n", encoding="utf-8")
        print(*line(rows[-1]), sep="  ", flush=True)
    headers = ["run", "loops beside it", "passed", "failed", "skipped", "seconds", "what failed"]
    print("\n" + tabulate(map(line, rows), headers, tablefmt="github", disable_numparse=True))
    green = sum(row["exit"] == 0 for row in rows)
    print(f"\n{green} of {len(rows)} runs were green; their logs are in {folder}")
    return int(green < len(rows))


if __name__ == "__main__":
    sys.exit(main())
