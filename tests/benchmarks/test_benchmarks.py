"""The benchmark runs, on a few key presses, and what it has measured stays so: Lab 1 far ahead of the usual way."""

import contextlib
import json
from unittest.mock import patch

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from tests.benchmarks import __main__ as bench
from tests.benchmarks import labs as bench_labs
from tests.benchmarks.labs import FIRST, LAB, LAST, MOVES, ROWS, USUAL, moved, opened, shown
from tests.support.jupyter_page import NotebookPage

KILOBYTES = 12  # of a move of lr; 6.5 are usual, of the usual way 200 and of a background 130


def test_kernel_rows_of_the_labs_and_the_usual_way(capsys):
    rows = [each for found in bench_labs.in_the_kernel(2) for each in found]
    places = ("Lab 1, kernel", "Lab 2, kernel", "Lab 3, kernel", "interact, kernel")
    expected = [(place, what) for place in places for what in ("computing", "drawing")]
    assert [(row["lab"], row["what"]) for row in rows] == expected
    assert all(row["n"] == 2 and 0 < row["median"] <= row["p95"] and row["unit"] == "ms" for row in rows)
    bench_labs.beside_the_usual(rows)
    assert [row.get("than") for row in rows] == ["computing", "drawing", *[None] * 6]


@pytest.mark.parametrize("name", bench_labs.KERNEL)
def test_a_move_of_a_slider_draws_no_figure(name, monkeypatch):
    """It sends the browser a few lines: that is what makes the labs so much faster than the usual way, which draws."""
    make, _, control, choose = bench_labs.KERNEL[name]
    lab = make()
    drawn = []
    draw = FigureCanvasAgg.draw
    monkeypatch.setattr(FigureCanvasAgg, "draw", lambda canvas: drawn.append(canvas) or draw(canvas))
    alts = []
    for value in choose(lab.controls[control])[:5]:
        lab.set(**{control: value})
        alts.append(lab.plot.frame["alt"])
    assert len(set(alts)) == 5
    assert drawn == []
    lab.still()
    assert drawn  # so a figure would have been noticed


# ---- the table


def row(lab, what, median, unit="ms"):
    return {"lab": lab, "what": what, "median": median, "p95": 2 * median, "unit": unit, "n": 9}


ROWS_FOUND = [
    row("interact, kernel", "drawing", 300.0),
    row("Lab 1, kernel", "drawing", 2.0),
    row("Lab 1, JupyterLab", "lr slider", 40.0),
    row("Lab 1, JupyterLab", "lr slider, received", 5.0, "kB"),
    row("Lab 1, JupyterLab", "κ slider", 61.0),
    row("Lab 1, JupyterLab", LAST, 50.0),
    row("Lab 1, JupyterLab", "play", 23.0, "pictures/s"),
    row("interact, JupyterLab", "lr slider", 400.0),
    row("interact, JupyterLab", "lr slider, received", 200.0, "kB"),
    row("interact, JupyterLab", "κ slider", 244.0),
    row("interact, JupyterLab", LAST, 900.0),
    row("Lab 3, JupyterLab", "lr slider", 50.0),
    row("Lab 3, JupyterLab", "lr slider, received", 300.0, "kB"),
    row("Lab 3, JupyterLab", "result of the training", 700.0),
    row("Lab 1, live deck", "κ slider", 24.4),
    row("Lab 2, live deck", "start of all four", 100.0),
    row("Lab 2, live deck", LAST, 90.0),
]
JUDGED = """\
interact, kernel | drawing | 300 | 600 | |
Lab 1, kernel | drawing | 2 | 4 | 150 | drawing
Lab 1, JupyterLab | lr slider | 40 ✓ (≤ 60) | 80 ✓ (≤ 120) | 10.0 ✓ (≥ 5 ×) | lr slider
Lab 1, JupyterLab | lr slider, received | 5 kB | 10 kB | 40 | lr slider, received
Lab 1, JupyterLab | κ slider | 61 ✗ (≤ 60) | 122 ✗ (≤ 120) | 4.0 ✗ (≥ 5 ×) | κ slider
Lab 1, JupyterLab | the last of 20 presses | 50 ✓ (≤ 200) | | 18.0 ✓ (≥ 5 ×) | the last of 20 presses
Lab 1, JupyterLab | play | 23 ✗ (≥ 24) | | |
interact, JupyterLab | lr slider | 400 | 800 | |
interact, JupyterLab | lr slider, received | 200 kB | 400 kB | |
interact, JupyterLab | κ slider | 244 | 488 | |
interact, JupyterLab | the last of 20 presses | 900 | | |
Lab 3, JupyterLab | lr slider | 50 ✓ (≤ 60) | 100 ✓ (≤ 120) | 8.0 ✓ (≥ 5 ×) | lr slider
Lab 3, JupyterLab | lr slider, received | 300 kB | 600 kB | |
Lab 3, JupyterLab | result of the training | 700 | 1400 | |
Lab 1, live deck | κ slider | 24 ✓ (≤ 60) | 49 ✓ (≤ 120) | 10.0 ✓ (≥ 5 ×) | κ slider
Lab 2, live deck | start of all four | 100 ✗ (≤ 60) | 200 ✗ (≤ 120) | 4.0 ✗ (≥ 5 ×) | lr slider
Lab 2, live deck | the last of 20 presses | 90 ✓ (≤ 200) | | 10.0 ✓ (≥ 5 ×) | the last of 20 presses"""


def test_every_row_is_judged_against_the_goals_and_its_own_kind(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench_labs, "main", lambda: bench_labs.beside_the_usual([dict(each) for each in ROWS_FOUND]))
    stored = tmp_path / "new" / "bench.json"
    assert bench.main(["labs", "--json", str(stored)]) == 0
    said = capsys.readouterr().out
    table = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in said.splitlines() if line.startswith("|")
    ]
    assert table[2:] == [[cell.strip() for cell in line.split("|")] for line in JUDGED.splitlines()]
    assert "Labs 2 and 3 have no such figure" in said
    found = json.loads(stored.read_text(encoding="utf-8"))
    assert found["labs"][2] == ROWS_FOUND[2] | {"faster": 10, "than": "lr slider"} and found["machine"]["cores"]


def test_a_part_that_there_is_not(capsys):
    with pytest.raises(SystemExit):
        bench.main(["lab"])
    assert "no part lab" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["eta_min slider", "κ slider"])
def test_no_press_leads_beyond_an_end_of_the_slider(what):
    label, keys = (ROWS[LAB] | ROWS[bench_labs.DESIGN])[what]
    make, *_ = bench_labs.KERNEL["Lab 1" if what == "κ slider" else "Lab 3"]
    control = make().controls["kappa" if what == "κ slider" else label.replace(",", "")]
    at, moves, seen = control.index, 0, []
    for key in keys:
        if isinstance(key, str):
            at += 1 if key == "ArrowRight" else -1
            moves += 1
        seen.append((moves - len(seen), at))  # the first number changes with every press of the other slider
        assert 0 <= at < len(control.options)
    assert moves - FIRST >= MOVES
    assert what == "κ slider" or len(set(seen)) == len(seen)  # always a setting that was not there before


# ---- in the browser

TRAINING = """<div role="slider" aria-label="lr" tabindex="0">lr</div>
<svg class="workshop-plot" aria-label="lr 1. Its training: step 10 of 200."></svg>
<script>
  const say = (ms, text) =>
    setTimeout(() => document.querySelector("svg").setAttribute("aria-label", text), ms);
  addEventListener("keydown", () => {
    say(30, "lr 1. Its training: step 20 of 200.");
    say(150, "lr 2. Its training: step 0 of 200.");
    say(180, "lr 2. Its training: step 10 of 200.");
  });
</script>"""


def test_a_training_that_goes_on_is_no_answer(browser):
    with contextlib.closing(browser.new_page()) as page:
        page.set_content(TRAINING)
        page.evaluate(bench_labs.WATCH, bench_labs.PLOT)
        assert moved(NotebookPage(page), "lr", "ArrowRight") > 145


@pytest.fixture(scope="module")
def rows(browser, jupyter):
    """The benchmark's own, of a few presses in JupyterLab: (lab, what) → row."""
    found = []  # the usual way is slow: one slider of it
    sliders = ROWS | {USUAL: {"lr slider": ROWS[USUAL]["lr slider"]}}
    with patch.object(bench_labs, "ROWS", sliders), opened(browser, jupyter, USUAL, LAB) as notebook:
        for sources in (USUAL, LAB):
            page = shown(notebook, sources)
            found += bench_labs.measure(page, "JupyterLab", sources, changes=2, rounds=1, pictures=10)
    return {(row["lab"].partition(",")[0], row["what"]): row for row in bench_labs.beside_the_usual(found)}


def test_rows_are_complete_and_plausible(rows):
    ours, usual = (
        [f"{what}{more}" for what in each for more in ("", ", received")] for each in (ROWS[LAB], ["lr slider"])
    )
    expected = [("Lab 1", what) for what in (*ours, LAST, "play")] + [("interact", what) for what in (*usual, LAST)]
    assert sorted(rows) == sorted(expected)
    for (lab, what), row in rows.items():
        assert row["n"] == (1 if what in (LAST, "play") else FIRST if "received" in what else 2)
        assert row["p95"] is None or row["median"] <= row["p95"]
        if what == "play":
            assert 2 < row["median"] <= 61
        elif row["unit"] == "ms":
            assert 8 < row["median"]  # half a frame of the screen is too quick for any answer
        else:
            assert row["unit"] == "kB" and row["median"] > 3
        assert ("faster" in row) == (lab == "Lab 1" and what in (*usual, LAST))
    assert rows["Lab 1", "κ slider, received"]["median"] > 60  # a background is among it
    assert rows["interact", "lr slider, received"]["median"] > 60
    assert bench.lab_table(list(rows.values())).count("\n|") > len(rows)


def test_a_move_of_lr_stays_a_small_message(rows):
    assert rows["Lab 1", "lr slider, received"]["median"] < KILOBYTES
