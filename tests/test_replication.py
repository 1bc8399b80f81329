"""What the lessons say of their own replication is what the record says."""

import json

import pytest

from utils import replication

SETS = {
    "10000": [["A against B", "better", "x"], ["C against D", "undecided", "x"]],
    "11000": [["A against B", "better", "y"], ["C against D", "worse", "y"]],
    "12000": [["A against B", "undecided", "z"]],  # a cell failed
}


@pytest.fixture
def record(tmp_path):
    path = tmp_path / "claims.json"
    path.write_text(json.dumps({"07-some-lesson": {"sets": SETS}, "08-other": {"sets": {}}}))
    return path


def test_verdicts_are_counted_over_the_sets(record):
    found = replication.counts("07", record=record)
    assert found["A against B"] == {"better": 2, "undecided": 1}
    assert found["C against D"] == {"undecided": 1, "worse": 1, "no result": 1}
    assert replication.counts("08", record=record) == replication.counts("7", record=record) == {}
    assert replication.counts("07", record=record.with_name("none")) == {}


def test_the_table_says_how_often_each_verdict_held(record):
    claims = [["A against B", "better", "−1"], ["C against D", "no difference", "0"], ["new", "better", "−2"]]
    rows = replication.table(claims, "07", record=record).data.splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[3] for row in cells] == ["2 of 3", "0 of 3", "not yet run"]
    assert [row[:3] for row in cells] == claims
