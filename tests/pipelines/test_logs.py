"""Logs survive an interruption."""

import csv

from vlmloom.pipelines.logs import ContinuedCSV


def rows(folder):
    with (folder / "csv" / "0-first" / "metrics.csv").open(newline="") as file:
        return [(int(row["step"]), row["loss"], row.get("late")) for row in csv.DictReader(file)]


def test_rows_of_an_interrupted_run_are_kept_up_to_where_it_goes_on(tmp_path):
    first = ContinuedCSV(tmp_path, name="csv", version="0-first")
    for step in range(5):
        first.log_metrics({"loss": 9.0 - step}, step)
    assert len(rows(tmp_path)) == 5, "a killed process flushes nothing"
    again = ContinuedCSV(tmp_path, name="csv", version="0-first")
    again.log_hyperparams({})  # As the Trainer does, and Lightning deletes the file at that.
    for step in range(3, 6):
        again.log_metrics({"loss": 9.0 - step, "late": step}, step)
    assert rows(tmp_path) == [
        (0, "9.0", ""), (1, "8.0", ""), (2, "7.0", ""), (3, "6.0", "3"), (4, "5.0", "4"), (5, "4.0", "5"),
    ]  # fmt: skip
    with (tmp_path / "csv" / "0-first" / "metrics.csv").open("ab") as file:
        file.write(b"torn,")
    last = ContinuedCSV(tmp_path, name="csv", version="0-first")
    last.log_metrics({"loss": 0.0, "late": 6}, 6)
    assert [step for step, *_ in rows(tmp_path)] == list(range(7))
