"""`workshop.py replicate`: on scratch lessons whose claims are known to hold, to fail, or to raise."""

import json
from datetime import date
from importlib.metadata import version

import pytest

from tools import claims, replicate

SOLID = "claims['A against B'] = 'better', f'seed {base_seed}'"
SHAKY = "claims['C against D'] = 'better' if base_seed % 3_000 else 'worse', ''"
RAISING = "if base_seed == 12_000:\n    raise ZeroDivisionError('no')\nclaims['E against F'] = 'undecided', ''"
RUNS = "from pathlib import Path\nPath({folder!r}, f'ran-{{base_seed}}').open('a').write('x')"


def lesson(folder, *sources, number="07"):
    """A notebook whose cells note claims; its table is that of base_seed 0."""
    rows = [[claim, "better" if verdict == "better" else verdict, "", "20 of 20"] for claim, verdict in _shown(sources)]
    table = "\n".join(["| claim | verdict | … | held |", "|--|"] + ["| " + " | ".join(row) + " |" for row in rows])
    cells = [{"cell_type": "code", "id": "setup", "metadata": {"tags": ["setup"]}, "source": ["claims = {}"]}]
    first = {"tags": ["claim"]}
    for k, source in enumerate(["base_seed = 0", RUNS.format(folder=str(folder)), *sources]):
        cells.append({"cell_type": "code", "id": f"cell-{k}", "metadata": first, "source": [source]})
    output = {"output_type": "display_data", "metadata": {}, "data": {"text/markdown": table}}
    cells.append({"cell_type": "code", "id": "claims-table", "metadata": {}, "source": ["raise"], "outputs": [output]})
    cells.append({"cell_type": "markdown", "id": "prose", "metadata": {}, "source": ["text"]})
    path = folder / f"{number}-scratch.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def _shown(sources):
    names = {SOLID: ("A against B", "better"), SHAKY: ("C against D", "better"), RAISING: ("E against F", "undecided")}
    return [names[source] for source in sources]


@pytest.fixture
def repeat(tmp_path):
    """Call the command on the scratch folder."""

    def call(*arguments):
        places = {"folder": tmp_path, "record": tmp_path / "claims.json", "parts": tmp_path / "parts"}
        return replicate.main(["--workers", "1", *arguments], **places)

    return call


def ran(folder):
    return {int(path.name.removeprefix("ran-")): len(path.read_text()) for path in folder.glob("ran-*")}


def test_the_sets_are_the_twenty_that_were_fixed():
    assert replicate.SETS == [10_000 + 1_000 * k for k in range(20)]


def test_what_holds_is_stored_and_not_run_again(tmp_path, repeat, capsys):
    path = lesson(tmp_path, SOLID)
    assert repeat() == 0
    assert ran(tmp_path) == dict.fromkeys(replicate.SETS, 1)
    shown = capsys.readouterr()
    assert "20 of 20  better         A against B" in shown.out and "20 of 20 runs" in shown.err
    stored = replicate.load(tmp_path / "claims.json")["07-scratch"]
    assert stored["sets"]["13000"] == [["A against B", "better", "seed 13000"]]
    assert stored["made_with"] == claims.made_with() and replicate.is_current(path, {"07-scratch": stored})
    (tmp_path / "parts").rename(tmp_path / "elsewhere")
    assert repeat() == 0 and ran(tmp_path) == dict.fromkeys(replicate.SETS, 1)
    lesson(tmp_path, SOLID, SHAKY)
    assert not replicate.is_current(path, {"07-scratch": stored})


def test_a_verdict_that_holds_too_rarely_is_named(tmp_path, repeat, capsys):
    lesson(tmp_path, SOLID, SHAKY)
    assert repeat() == 1
    shown = capsys.readouterr().out
    assert "14 of 20  better         C against D  (6 worse)" in shown and "1 did not hold in 19 of 20 sets" in shown


def test_a_cell_that_raises_stops_nothing_and_is_named(tmp_path, repeat, capsys):
    lesson(tmp_path, RAISING, SOLID)
    assert repeat() == 1
    shown = capsys.readouterr().out
    assert "base_seed 12000: cell cell-2 failed: ZeroDivisionError: no" in shown
    assert "19 of 20  undecided      E against F" in shown and "20 of 20  better         A against B" in shown


PREDICTS = "from utils.predictions import predict, seen\npredict('replicated', 'Which seed?', [{first}, {other}])"
SEES = "claims['A against B'] = 'better', ''\nseen('replicated', min(base_seed, 10_001), 'Look.')"


@pytest.mark.parametrize("other", [10_001, 10_002])
def test_a_measured_answer_that_was_not_offered_is_named_and_stored(tmp_path, repeat, capsys, other, monkeypatch):
    monkeypatch.setattr("utils.predictions._page._questions", {})
    path = lesson(tmp_path, SOLID)
    notebook = json.loads(path.read_text())
    asks, sees = (
        {"cell_type": "code", "id": id, "metadata": {"tags": [tag]}, "source": [source]}
        for id, tag, source in (
            ("asks", "predict", PREDICTS.format(first=10_000, other=other)),
            ("sees", "claim", SEES),
        )
    )
    notebook["cells"][3:4] = [asks, sees]
    path.write_text(json.dumps(notebook))
    offered = other == 10_001
    assert repeat() == (0 if offered else 1)
    assert ("10001 is none of them" in capsys.readouterr().out) != offered
    stored = replicate.load(tmp_path / "claims.json")[path.stem]
    assert list(stored.get("failed", {})) == ([] if offered else [str(seed) for seed in replicate.SETS[1:]])
    assert repeat() == (0 if offered else 1)  # from the record


@pytest.mark.parametrize(("torch", "times"), [("9.9.0", 2), (version("torch").partition("+")[0] + "+cu999", 1)])
def test_another_torch_has_its_own_results_and_another_build_of_it_has_not(tmp_path, repeat, monkeypatch, torch, times):
    lesson(tmp_path, SOLID)
    assert repeat() == 0
    other = {**claims.made_with(), "torch": torch}
    monkeypatch.setattr(claims, "made_with", lambda: other)
    assert repeat() == 0 and ran(tmp_path) == dict.fromkeys(replicate.SETS, times)


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path, repeat):
    path = lesson(tmp_path, SOLID)
    replicate.run_all(
        [(path, seed) for seed in replicate.SETS[:7]], parts=tmp_path / "parts", workers=2
    )  # in processes of their own
    assert len(ran(tmp_path)) == 7 and not (tmp_path / "claims.json").exists()
    assert repeat() == 0 and ran(tmp_path) == dict.fromkeys(replicate.SETS, 1)


def test_what_is_edited_meanwhile_is_not_taken_for_what_was_run(tmp_path, repeat, monkeypatch):
    path, found = lesson(tmp_path, SOLID), replicate.run_all

    def edited_after_it(*arguments, **options):
        results = found(*arguments, **options)
        lesson(tmp_path, SOLID, SHAKY)
        return results

    monkeypatch.setattr(replicate, "run_all", edited_after_it)
    repeat()
    assert not replicate.is_current(path, replicate.load(tmp_path / "claims.json"))


def test_another_lessons_record_stays(tmp_path, repeat):
    lesson(tmp_path, SOLID)
    lesson(tmp_path, SHAKY, number="08")
    assert repeat("07") == 0
    before = replicate.load(tmp_path / "claims.json")["07-scratch"]
    assert repeat("8") == 1
    every = replicate.load(tmp_path / "claims.json")
    assert every["07-scratch"] == before and set(every) == {"07-scratch", "08-scratch"}


def test_a_claim_that_the_page_does_not_show_is_named(tmp_path, repeat, capsys):
    path = lesson(tmp_path, SOLID)
    text = path.read_text().replace("| A against B |", "| A against G |")
    path.write_text(text)
    assert repeat() == 1
    shown = capsys.readouterr().out
    assert "not in the lesson's table: A against B" in shown and " 0 of 20  better         A against G" in shown


def test_a_lesson_that_was_never_refreshed_is_run_all_the_same(tmp_path, repeat, capsys):
    path = lesson(tmp_path, SOLID)
    notebook = json.loads(path.read_text())
    notebook["cells"][-2]["outputs"] = []
    path.write_text(json.dumps(notebook))
    assert repeat() == 1 and "not in the lesson's table: A against B" in capsys.readouterr().out


@pytest.mark.parametrize(("sources", "seed", "code"), [([SOLID, SHAKY], 15_000, 1), ([SOLID, SHAKY], 16_000, 0)])
def test_one_set_is_not_stored(tmp_path, repeat, capsys, sources, seed, code):
    lesson(tmp_path, *sources)
    assert repeat("--seed", str(seed)) == code
    assert f"base_seed {seed}: {2 - code} of 2 verdicts held" in capsys.readouterr().out
    assert list(ran(tmp_path)) == [seed] and not (tmp_path / "claims.json").exists()


def test_the_week_of_the_date_chooses_the_set(tmp_path, repeat, monkeypatch):
    assert replicate.this_week(date(2026, 11, 23)) == replicate.this_week(date(2026, 11, 29)) == 202_648_000
    assert replicate.this_week(date(2026, 11, 30)) == 202_649_000
    monkeypatch.setattr(replicate, "this_week", lambda: 202_648_000)
    lesson(tmp_path, SOLID)
    assert repeat("--week") == 0 and list(ran(tmp_path)) == [202_648_000]


@pytest.mark.parametrize("words", [["9"], ["x"]])
def test_a_number_without_a_lesson_is_told(tmp_path, repeat, capsys, words):
    lesson(tmp_path, SOLID)
    assert repeat(*words) == 2 and "there are: 07" in capsys.readouterr().err


def test_a_lesson_without_claims_is_told(tmp_path, repeat, capsys):
    (tmp_path / "01-none.ipynb").write_text(json.dumps({"cells": []}))
    assert repeat("1") == 2 and "makes claims" in capsys.readouterr().err


def test_a_run_leaves_the_process_as_it_was(monkeypatch):
    import torch

    monkeypatch.setenv("MPLBACKEND", "svg")
    torch.manual_seed(3)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    cells = {
        "a": "import torch\nbase_seed = 0\ntorch.set_num_threads(1)\nclaims = {'x': (torch.rand(1).item(), base_seed)}"
    }
    found = claims.run(cells, 5)
    assert found["claims"][0][2] == "5" and found["failed"] == {}
    assert torch.equal(torch.random.get_rng_state(), before) and torch.get_num_threads() == threads
    assert __import__("os").environ["MPLBACKEND"] == "svg"
