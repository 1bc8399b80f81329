"""A lesson's claims stand in its table as they were judged, once each."""

from utils import replication
from utils.claims import Claims
from utils.comparison import compare

BETTER, SAME = compare([1, 2, 4], [4, 5, 8], margin=1), compare([1, 2], [1, 2], margin=1)


def rows(table):
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.data.splitlines()[2:]]


def test_what_is_judged_is_printed_and_listed(capsys):
    claims = Claims("none")
    claims.judge("A against B", BETTER, unit="points")
    claims.judge("C against D", SAME)
    claims.exact("E is F", True, "to 1e-12")
    claims.exact("G is H", False, "by 1")
    assert capsys.readouterr().out == f"A against B: better, {BETTER}, points\nC against D: no difference, {SAME}\n"
    assert [claims.verdict(claim) for claim in claims] == ["better", "no difference", "exact", "refuted"]
    assert rows(claims.table()) == [
        ["A against B", "better", f"{BETTER}, points", "not yet run"],
        ["C against D", "no difference", str(SAME), "not yet run"],
        ["E is F", "exact", "to 1e-12", "not yet run"],
        ["G is H", "refuted", "by 1", "not yet run"],
    ]


def test_the_table_is_that_of_the_lesson(monkeypatch):
    monkeypatch.setattr(replication, "table", lambda rows, lesson: (rows, lesson))
    claims = Claims("02d")
    claims.judge("A against B", SAME)
    assert claims.table() == ([["A against B", "no difference", str(SAME)]], "02d")


def test_a_cell_that_runs_again_replaces_its_rows():
    claims = Claims("none")
    for found in (BETTER, SAME):
        claims.judge("A against B", found)
        claims.judge("C against D", found)
    assert [*claims.items()] == [(claim, ("no difference", str(SAME))) for claim in ("A against B", "C against D")]
