"""Run the claims of the lessons on other seeds: `python -m tools.replicate [NUMBER ...] [--week | --seed N]`.

Twenty sets, with base_seed = 10_000 + 1_000 k, fixed before anybody looked. What is stored already, for the code as it
is, is not run again, and a run that was stopped goes on where it was. The results go to tests/claims.json, and the
lessons show from there how often each verdict held: refresh them afterwards. `--week` runs one set that the date
chooses, `--seed` one of your own; neither goes into that file.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from multiprocessing import get_context
from pathlib import Path

from tools import claims
from tools.notebooks import NOTEBOOKS, UnknownLesson, find_all
from utils.internals.files import replace_whole

ROOT = Path(__file__).resolve().parent.parent
RECORD, PARTS = ROOT / "tests" / "claims.json", ROOT / "build" / "replicate"
SETS = [10_000 + 1_000 * k for k in range(20)]
ENOUGH = 19  # of the twenty
WEEKLY_SHARE = 0.9  # of one set's claims: at 19 of 20 each, more than one in ten fails by bad luck alone once in years


def this_week(today: date | None = None) -> int:
    """The base seed that the ISO week of the date chooses."""
    year, week, _day = (today or date.today()).isocalendar()
    return (100 * year + week) * 1_000


def load(record: Path = RECORD) -> dict:
    """What is stored: {lesson: {"code": fingerprint, "made_with": {…}, "sets": {base seed: claims}}}.

    Beside them "failed", {base seed: {id of a cell: what it raised}}, if a cell did.
    """
    return json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}


def is_current(lesson: Path, record: dict) -> bool:
    """Whether all sets are stored, for the lesson's code as it is now; with which packages is another question."""
    stored = record.get(lesson.stem, {})
    return (
        stored.get("code") == claims.fingerprint(claims.cells_of(lesson))
        and list(map(int, stored.get("sets", ()))) == SETS
    )


def _made_here(stored: dict) -> bool:
    """Whether the packages had the versions that are installed here; build and processor may be others."""
    here, there = claims.made_with(), stored["made_with"]
    return all(there[name].partition("+")[0] == here[name].partition("+")[0] for name in claims.PACKAGES)


def run_all(jobs: list[tuple[Path, int]], *, parts: Path = PARTS, workers: int | None = None) -> dict:
    """{(lesson, seed): what `claims.run` gave}, in parallel; each result is kept in `parts` as soon as it is there."""
    results, waiting, begun = {}, [], time.monotonic()
    codes = {lesson: claims.fingerprint(claims.cells_of(lesson)) for lesson in {lesson for lesson, _seed in jobs}}
    for lesson, seed in jobs:
        decides = f"{codes[lesson]} {claims.made_with()} {sys.version}"  # another torch or Python has its own results
        part = parts / f"{lesson.stem}-{hashlib.sha256(decides.encode()).hexdigest()[:16]}-{seed}.json"
        if part.is_file():
            results[lesson, seed] = json.loads(part.read_text(encoding="utf-8"))
        else:
            waiting.append((lesson, seed, part))
    workers = min(workers or os.cpu_count() or 1, max(len(waiting), 1))
    for done, (job, found) in enumerate(_found(waiting, workers), 1):
        lesson, seed, part = job
        results[lesson, seed] = found
        part.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(json.dumps(found, ensure_ascii=False).encode(), part)
        _show_progress(done, len(waiting), time.monotonic() - begun)
    return results


def _found(waiting: list[tuple], workers: int) -> Iterator[tuple[tuple, dict]]:
    """Each job with its result, as soon as there is one; a single worker is this process itself."""
    if workers == 1:
        yield from ((job, claims.run(claims.cells_of(job[0]), job[1])) for job in waiting)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(claims.run, claims.cells_of(job[0]), job[1]): job for job in waiting}
        yield from ((futures[future], future.result()) for future in as_completed(futures))


def _show_progress(done: int, of: int, seconds: float) -> None:
    left = seconds / done * (of - done)
    bar = "█" * (30 * done // of) + "·" * (30 - 30 * done // of)
    end = "\r" if sys.stderr.isatty() and done < of else "\n"
    print(f"{bar} {done} of {of} runs, about {left / 60:.0f} min left", end=end, file=sys.stderr, flush=True)


def store(lesson: Path, results: dict[int, dict], code: str, *, record: Path = RECORD) -> None:
    """Put the lesson's sets, which this code gave, into the record, one set a line; other lessons stay as they are."""
    every = load(record)
    sets = {str(seed): results[seed]["claims"] for seed in SETS}
    failed = {str(seed): results[seed]["failed"] for seed in SETS if results[seed]["failed"]}
    every[lesson.stem] = {"code": code, "made_with": claims.made_with(), "sets": sets}
    every[lesson.stem] |= {"failed": failed} if failed else {}
    blocks = []
    for name, stored in sorted(every.items()):
        lines = [f'   "{seed}": {json.dumps(found, ensure_ascii=False)}' for seed, found in stored["sets"].items()]
        head = f'  "code": {json.dumps(stored["code"])},\n  "made_with": {json.dumps(stored["made_with"])},\n'
        if "failed" in stored:
            head += f'  "failed": {json.dumps(stored["failed"], ensure_ascii=False)},\n'
        blocks.append(f' "{name}": {{\n{head}  "sets": {{\n' + ",\n".join(lines) + "\n  }\n }")
    replace_whole(("{\n" + ",\n".join(blocks) + "\n}\n").encode(), record)


def report(lesson: Path, results: dict[int, dict]) -> list[str]:
    """Print how often each verdict came out; return the claims whose printed verdict held in too few of the sets."""
    shown = [row[:2] for row in claims.printed(lesson)]
    tallies, weak = {}, []
    for found in results.values():
        for claim, verdict, *_ in found["claims"]:
            tallies.setdefault(claim, Counter())[verdict] += 1
    print(f"\n{lesson.stem}: {len(results)} sets of seeds")
    for claim, verdict in shown:
        tally = tallies.pop(claim, Counter())
        needed = ENOUGH * len(results) / len(SETS)
        weak += [claim] if tally[verdict] < needed else []
        others = ", ".join(f"{n} {word}" for word, n in tally.most_common() if word != verdict)
        print(f"  {tally[verdict]:2} of {len(results)}  {verdict:13}  {claim}" + (f"  ({others})" if others else ""))
    for claim in tallies:
        weak.append(claim)
        print(f"  not in the lesson's table: {claim}")
    for seed, found in results.items():
        for id, reason in found["failed"].items():
            weak.append(id)
            print(f"  base_seed {seed}: cell {id} failed: {reason}")
    return weak


def main(
    arguments: list[str] | None = None, *, folder: Path = NOTEBOOKS, record: Path = RECORD, parts: Path = PARTS
) -> int:
    """0 if every verdict held in 19 of 20 sets; with --week or --seed, if nine tenths of that set's verdicts held."""
    parser = argparse.ArgumentParser(prog="workshop.py replicate", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("number", nargs="*", help="of a lesson, such as 2b or 05a; none: every lesson with claims")
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--week", action="store_true", help="one set, which the week of the date chooses; not recorded")
    one.add_argument("--seed", type=int, metavar="N", help="one set, with this base_seed; not recorded")
    parser.add_argument("--workers", type=int, help="how many runs at once (one per processor)")
    options = parser.parse_args(arguments)
    try:
        lessons = [lesson for lesson in find_all(options.number, folder) if claims.cells_of(lesson)]
    except UnknownLesson as trouble:
        print(f"workshop: {trouble}", file=sys.stderr)
        return 2
    if not lessons:
        print("workshop: none of these lessons makes claims that other seeds could change", file=sys.stderr)
        return 2
    if options.week or options.seed is not None:
        return _one_set(lessons, this_week() if options.week else options.seed, options.workers, parts)
    known = load(record)
    stored = {lesson: is_current(lesson, known) and _made_here(known[lesson.stem]) for lesson in lessons}
    code = {lesson: claims.fingerprint(claims.cells_of(lesson)) for lesson in lessons}  # now: it may change meanwhile
    jobs = [(lesson, seed) for lesson in lessons if not stored[lesson] for seed in SETS]
    results, weak = run_all(jobs, parts=parts, workers=options.workers), []
    for lesson in lessons:
        if stored[lesson]:
            sets, failed = known[lesson.stem]["sets"], known[lesson.stem].get("failed", {})
            found = {int(seed): {"claims": each, "failed": failed.get(seed, {})} for seed, each in sets.items()}
        else:
            found = {seed: results[lesson, seed] for seed in SETS}
            store(lesson, found, code[lesson], record=record)
        weak += report(lesson, found)
    if weak:
        print(
            f"\n{len(weak)} did not hold in {ENOUGH} of {len(SETS)} sets: narrow them, give them more seeds, or say so"
        )
    return 1 if weak else 0


def _one_set(lessons: list[Path], seed: int, workers: int | None, parts: Path) -> int:
    results = run_all([(lesson, seed) for lesson in lessons], parts=parts, workers=workers)
    held = total = 0
    for lesson in lessons:
        found = results[lesson, seed]
        report(lesson, {seed: found})
        rows = [row[:2] for row in claims.printed(lesson)]
        held += sum(row in [claim[:2] for claim in found["claims"]] for row in rows)
        total += len(rows)
    print(f"\nbase_seed {seed}: {held} of {total} verdicts held")
    return 0 if held >= WEEKLY_SHARE * total else 1


if __name__ == "__main__":
    sys.exit(main())
