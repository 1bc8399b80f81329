"""How often a verdict of the workshop came out the same: what `workshop.py replicate` measured and stored.

It runs every claim of a lesson again, on twenty sets of seeds that were fixed before anybody looked.
"""

import json
from collections import Counter
from pathlib import Path

from IPython.display import Markdown
from tabulate import tabulate

RECORD = Path(__file__).resolve().parent.parent / "tests" / "claims.json"


def counts(lesson: str, *, record: Path = RECORD) -> dict[str, Counter]:
    """How often each verdict came out: {claim: Counter({verdict: sets})}, for the lesson of this number, such as "02d".

    Empty if nothing is stored of it.
    """
    found = {}
    every = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    for name, stored in every.items():
        if name.partition("-")[0] == lesson:
            for claims in stored["sets"].values():
                for claim, verdict, _evidence in claims:
                    found.setdefault(claim, Counter())[verdict] += 1
            for tally in found.values():  # a set in which the claim's cell failed has no verdict of it
                missing = len(stored["sets"]) - tally.total()
                tally.update({"no result": missing} if missing else {})
    return found


def table(claims: list[list[str]], lesson: str, *, record: Path = RECORD) -> Markdown:
    """The claims of a lesson, [claim, verdict, evidence] each, with how often each verdict held on other seeds."""
    stored = counts(lesson, record=record)
    rows = []
    for claim, verdict, evidence in claims:
        tally = stored.get(claim, Counter())
        held = f"{tally[verdict]} of {tally.total()}" if tally else "not yet run"
        rows.append([claim, verdict, evidence, held])
    headers = ["claim", "verdict", "measured here (95 %)", "held on other seeds"]
    return Markdown(tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True))
