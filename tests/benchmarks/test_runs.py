"""The proof run again and again: what is counted, stored and told, with a proof of three tests."""

import json
import os
import subprocess
import sys

import psutil
import pytest

from tests.benchmarks import __main__ as bench
from tests.benchmarks import runs

# Passes in the first run of a folder only, and notes the busy loops beside it.
PROOF = """
import pathlib, psutil, pytest
here = pathlib.Path(__file__).parent
beside = [each for each in psutil.Process().parent().children() if "getppid" in " ".join(each.cmdline())]
(here / "beside").open("a").write(f"{len(beside)} ")
again = (here / "beside").read_text().split()[1:]
def test_green(): pass
def test_wanting(): pytest.skip("no browser")
def test_once(): assert not again
@pytest.fixture
def helper(): assert not again
def test_helped(helper): pass
"""


@pytest.fixture
def proof(tmp_path, monkeypatch):
    """A proof in a folder of its own, without pytest's plugins, and where its runs are stored."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (tmp_path / "test_tiny.py").write_text(PROOF)
    alone = [f"--rootdir={tmp_path}", "-c", os.devnull, "-p", "no:cacheprovider"]
    return [sys.executable, "-m", "pytest", *alone, str(tmp_path)], tmp_path / "runs"


def call(proof, *arguments):
    command, folder = proof
    code = runs.main(["--folder", str(folder), *arguments], command=command)
    return code, json.loads((folder / "runs.json").read_text())["rows"]


def test_a_green_and_a_red_run(proof, capsys):
    code, rows = call(proof, "--quiet", "1", "--loaded", "1", "--loops", "2")
    said = capsys.readouterr().out
    assert code == 1
    assert [row["loops"] for row in rows] == [0, 2]
    assert (proof[1].parent / "beside").read_text().split() == ["0", "2"]
    assert [(row["exit"], row["passed"], row["failed"], row["skipped"]) for row in rows] == [(0, 3, 0, 1), (1, 1, 2, 1)]
    assert rows[0]["red"] == [] and rows[1]["red"] == ["test_tiny::test_once", "test_tiny::test_helped"]
    assert "assert not" in (proof[1] / "02.log").read_text() and "1 of 2 runs were green" in said
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in said.splitlines() if line[:1] == "|"]
    assert [line[:5] + line[6:] for line in table[2:]] == [
        ["1", "0", "3", "0", "1", ""],
        ["2", "2", "1", "2", "1", "test_tiny::test_once, test_tiny::test_helped"],
    ]


@pytest.mark.parametrize(
    ("commit", "plan", "left"),
    [
        ("0123", ["--quiet", "2", "--loaded", "1"], [3]),
        ("0123", ["--quiet", "1", "--loaded", "2"], [1, 2, 3]),
        ("0124", ["--quiet", "2", "--loaded", "1"], [1, 2, 3]),
        ("0123-dirty", ["--quiet", "2", "--loaded", "1"], [1, 2, 3]),
    ],
)
def test_what_is_stored_is_not_run_again(monkeypatch, tmp_path, commit, plan, left):
    """Two of three runs are stored; those of another plan, another commit or nobody knows which count for nothing."""
    asked = []

    def run(number, loops, **_):
        asked.append(number)
        if asked == [1, 2, 3] and not again:
            raise KeyboardInterrupt
        return {"run": number, "loops": loops, "exit": 0, "seconds": 1.0, **runs.result(tmp_path / "none")}

    monkeypatch.setattr(runs, "run", run)
    again = False
    monkeypatch.setattr(runs, "commit", lambda: "0123-dirty" if commit == "0123-dirty" else "0123")
    with pytest.raises(KeyboardInterrupt):
        call((None, tmp_path), "--quiet", "2", "--loaded", "1")
    asked.clear()
    again = True
    monkeypatch.setattr(runs, "commit", lambda: commit)
    code, rows = call((None, tmp_path), *plan, "--resume")
    assert code == 0 and asked == left and [row["run"] for row in rows] == [1, 2, 3]


def test_a_run_without_a_report_is_red(tmp_path, capsys):
    (tmp_path / "01.xml").write_text('<testsuites><testcase name="of an earlier call"/></testsuites>')
    code, rows = call(([sys.executable, "-c", "raise SystemExit(3)"], tmp_path), "--quiet", "1", "--loaded", "0")
    assert code == 1 and rows[0]["passed"] is None
    assert "exit code 3" in capsys.readouterr().out


def test_busy_loops_compute_and_end_with_the_block():
    with runs.busy(2) as loops:
        processes = [psutil.Process(loop.pid) for loop in loops]
        while not all(each.cpu_times().user > 0.1 for each in processes):
            assert all(loop.poll() is None for loop in loops)
    assert all(loop.returncode is not None for loop in loops)


def test_a_busy_loop_ends_when_nobody_is_left_to_end_it():
    assert subprocess.run([sys.executable, "-c", runs.LOOP, "0"], timeout=60).returncode == 0


def test_they_run_only_when_they_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "main", lambda arguments: arguments)
    assert bench.main(["runs", "--quiet", "1"]) == ["--quiet", "1"]
    monkeypatch.setattr(runs, "main", lambda _: pytest.fail("it takes an hour"))
    for module in (bench.bench_labs, bench.bench_sweeps, bench.bench_foreach):
        monkeypatch.setattr(module, "main", lambda *_: [])
    monkeypatch.setattr(bench, "first_figure", lambda: 1.0)
    monkeypatch.setattr(bench, "notebooks", dict)
    assert bench.main(["--json", str(tmp_path / "bench.json")]) == 0
