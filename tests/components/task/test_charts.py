"""Charts and tables: their numbers, their series, what is written in them, and what of ARC stays apart."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from vlmloom.components.contracts.sources import Table
from vlmloom.components.task.documents.chart_table import ChartTable
from vlmloom.components.task.documents.chart_trend import TRENDS, ChartTrend
from vlmloom.components.task.documents.chart_value import ChartValue
from vlmloom.components.task.documents.chart_year import ChartYear, told
from vlmloom.components.task.documents.key_value import KeyValue, _crossed
from vlmloom.components.task.documents.table_html import TableHTML
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.reasoning.arc import ARCGrid
from vlmloom.components.task.reasoning.compare_pictures import ComparePictures
from vlmloom.components.task.series import SeriesOf, split_up
from vlmloom.components.task.suite import Nano
from vlmloom.components.task.years import YearsOf
from vlmloom.registry import build


@pytest.fixture(scope="module")
def world():
    return Nano(shift=[]).world


def charted(picture):
    """Kind, labels and columns of a chart."""
    kind, _, _, labels, values, _ = picture.what
    return kind, labels, dict(values)


class Two:
    """A table whose rows only a group tells apart, and one of places, which are no series."""

    def load(self):
        years = np.array([2001.0, 2002.0, 2003.0] * 2)
        grown = Table(
            "grown", {"year": years, "tons": np.arange(6.0) * 1111.11}, {"field": ["a"] * 3 + ["b"] * 3}
        )
        spots = Table("spots", {"latitude": np.arange(4.0)}, {"name": list("wxyz")})
        return [grown, spots]


def test_series_are_rows_that_a_label_tells_apart():
    found = SeriesOf(Two(), least=3).all
    assert [(one.table, one.group, one.label, one.labels, one.ordered) for one in found] == [
        ("grown", "a", "year", ("2001", "2002", "2003"), True),
        ("grown", "b", "year", ("2001", "2002", "2003"), True),
    ]
    assert found[1].values == {"tons": (3330.0, 4440.0, 5560.0)}
    (split,) = {split for split, _ in split_up(found[:1])}
    assert SeriesOf(Two(), least=3).window(Draw("w"), split, 4) is None
    cut = SeriesOf(Two(), least=3).window(Draw("w"), split, 2)
    assert cut.labels in (("2001", "2002"), ("2002", "2003")) and len(cut.values["tons"]) == 2


@pytest.mark.parametrize("kind", [SeriesOf, YearsOf])
def test_no_number_of_a_table_is_in_two_splits_and_all_are_in_one(kind):
    series = kind(build({"use": "source/tables"}))
    cells = {
        split: {
            (one.table, one.group, column, label)
            for table in series.tables(split).values()
            for one in table
            for column in one.values
            for label in one.labels
        }
        for split in ("train", "validation", "test")
    }
    assert series.tables("shift") is series.tables("test")
    assert sum(map(len, cells.values())) == len(set().union(*cells.values()))
    assert sum(map(len, cells.values())) == sum(len(one.labels) * len(one.values) for one in series.all)
    assert len(cells["train"]) > len(cells["test"]) > 0.15 * len(cells["train"])


@pytest.mark.parametrize("task", [ChartValue, ChartYear, ChartTable, ChartTrend, ComparePictures])
def test_no_number_of_a_chart_in_test_is_shown_in_training(world, task):
    shown, made = [], task(world=world)
    for split in ("train", "test", "shift"):
        pictures = [picture for index in range(150) for picture in made.plan(split, index).pictures]
        shown.append(
            {
                (picture.what[1], column, *cell)
                for picture in pictures
                for column, values in charted(picture)[2].items()
                for cell in zip(charted(picture)[1], values, strict=True)
            }
        )
    assert not shown[0] & (shown[1] | shown[2]) and shown[1] & shown[2]


def test_the_answer_is_the_number_that_is_drawn(world):
    task = ChartValue(world=world)
    for index in range(80):
        sample = task.plan("train", index)
        kind, labels, columns = charted(sample.pictures[0])
        label = next(label for label in sorted(labels, key=len, reverse=True) if label in sample.prompt[-1])
        name = next(name for name in sorted(columns, key=len, reverse=True) if name in sample.prompt[-1])
        value = columns[name][labels.index(label)]
        if kind == "pie":
            value = 100 * value / sum(columns[name])
        else:
            assert value >= 0.3 * max(max(column) for column in columns.values())
        assert float(sample.answer) == pytest.approx(value, rel=0.01)
        assert (
            task.check(sample, str(value * 1.03)).value == 1
            and task.check(sample, str(value * 1.2)).value == 0
        )


def test_every_trend_is_as_frequent_as_the_others_and_is_seen(world):
    task, counts = ChartTrend(world=world), dict.fromkeys(TRENDS, 0)
    for index in range(160):
        sample = task.plan("test", index)
        kind, _, columns = charted(sample.pictures[0])
        (values,) = columns.values()
        ways = "".join("+" if after > before else "-" for before, after in pairwise(values))
        form = re.sub(r"(.)\1+", r"\1", ways)
        assert {"+": "rises", "-": "falls", "+-": "rises, then falls", "-+": "falls, then rises"}[
            form
        ] == sample.answer
        assert min(abs(np.diff(values))) >= 0.05 * np.ptp(values)
        assert kind != "bar" or min(abs(np.diff(values))) >= 0.05 * max(values)
        counts[sample.answer] += 1
    assert max(counts.values()) < 0.38 * 160


def test_a_chart_as_a_table_has_every_number(world):
    task = ChartTable(world=world)
    for index in range(30):
        sample = task.plan("shift", index)
        _, labels, columns = charted(sample.pictures[0])
        found = json.loads(sample.answer)
        assert list(found) == list(labels)
        for row, label in enumerate(labels):
            assert found[label] == {name: column[row] for name, column in columns.items()}
        found[labels[0]] = dict.fromkeys(found[labels[0]], -1)
        assert 0 < task.check(sample, json.dumps(found)).value < 1


def test_the_right_picture_is_right_by_far(world):
    task = ComparePictures(world=world)
    for index in range(40):
        sample = task.plan("test", index)
        values = [next(iter(charted(picture)[2].values())) for picture in sample.pictures]
        smallest = "smallest" in sample.prompt[-1]
        best = [min(one) if smallest else max(one) for one in values]
        first, second = sorted(best, reverse=not smallest)[:2]
        assert sample.choices[best.index(first)] == sample.answer
        assert max(first, second) >= 1.15 * min(first, second)


class Cells(HTMLParser):
    """Counts what the cells of a table cover."""

    def __init__(self, text):
        super().__init__()
        self.covered, self.texts = 0, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "td":
            found = dict(attrs)
            self.covered += int(found.get("colspan", 1)) * int(found.get("rowspan", 1))

    def handle_data(self, data):
        self.texts.append(data)


def test_tables_are_whole_and_say_what_is_drawn(world):
    task, spanning = TableHTML(world=world), 0
    for index in range(60):
        sample = task.plan("train", index)
        cells = Cells(sample.answer)
        assert cells.texts == [thing.text for thing in sample.scene.things]
        rows = sample.answer.count("<tr>")
        assert cells.covered % rows == 0, "every cell of the grid is covered once"
        spanning += "span" in sample.answer
    assert 15 < spanning < 45


@pytest.mark.parametrize(("begins", "crossed"), [(130, False), (100, True), (12, True)])
def test_a_value_that_runs_into_its_label_is_seen(begins, crossed):
    assert _crossed([("Occupation:", (24, 84, 110, 99)), ("actor", (begins, 86, 316, 99))]) == crossed
    assert not _crossed([("actor", (begins, 60, 316, 75)), ("Occupation:", (24, 84, 110, 99))])


def test_fields_are_printed_on_the_sheet(world):
    task = KeyValue(world=world)
    for index in range(40):
        sample = task.plan("train", index)
        written = " ".join(thing.text for thing in sample.scene.things)
        record = json.loads(sample.answer)
        schema = json.loads(sample.prompt[-1].split("schema: ")[1])["properties"]
        assert list(schema) == list(record)
        for key, value in record.items():
            if key == "goods":
                for line in value:
                    assert f"{line['quantity']} x {line['item']}" in written
                    assert f"{line['amount']:.2f}" in written
            else:
                assert (value if isinstance(value, str) else f"{value:.2f}") in written


def test_tasks_of_arc_are_in_one_split_and_come_turned_and_recoloured(world):
    task = ARCGrid(world=world)
    names = {
        split: {task.plan(split, i).truth["arc"] for i in range(80)}
        for split in ("train", "validation", "test")
    }
    assert not (names["train"] & names["test"] or names["validation"] & names["test"])
    assert all(len(found) > 30 for found in names.values())
    samples = [task.plan("train", index) for index in range(400)]
    first = max({s.truth["arc"] for s in samples}, key=[s.truth["arc"] for s in samples].count)
    alike = [sample for sample in samples if sample.truth["arc"] == first]
    assert len({sample.answer for sample in alike}) == len(alike) > 1


class Days:
    """A table of days in two groups, one of years, and one whose numbers are no years."""

    def load(self):
        days = [f"{month} 1 {year}" for year in (2001, 2002, 2003) for month in ("Jan", "Feb")] * 2
        price = np.array([1.0, 3.0, 10.0, 20.0, 5.0, 5.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0])
        stocks = Table("stocks", {"price": price}, {"date": days, "symbol": ["A"] * 6 + ["B"] * 6})
        wheat = Table(
            "wheat", {"year": np.array([1565.0, 1570.0, 1575.0]), "wheat": np.array([4.0, 5.0, 4.5])}
        )
        other = Table("other", {"year": np.array([70.0, 71.0, 72.0]), "size": np.arange(3.0)})
        return [stocks, wheat, other]


def test_series_by_years_are_means_where_years_repeat():
    found = [(one.table, one.group, one.labels, one.values) for one in YearsOf(Days(), least=3).all]
    assert found == [
        ("stocks", "A", ("2001", "2002", "2003"), {"mean price": (2.0, 15.0, 5.0)}),
        ("stocks", "B", ("2001", "2002", "2003"), {"mean price": (2.0, 3.0, 4.0)}),
        ("wheat", "", ("1565", "1570", "1575"), {"wheat": (4.0, 5.0, 4.5)}),
    ]


def test_a_year_is_right_exactly_and_a_value_within_five_in_a_hundred(world):
    task, years, values = ChartYear(world=world), 0, 0
    for index in range(120):
        sample = task.plan("test", index)
        question, (_, labels, columns) = sample.prompt[-1], charted(sample.pictures[0])
        (numbers,) = columns.values()
        if sample.truth["year"]:
            steps = np.diff(numbers, prepend=numbers[0])
            much = numbers if "est?" in question else steps
            best = np.argmin(much) if "lowest" in question or "fallen" in question else np.argmax(much)
            assert labels[best] == sample.answer, question
            year = int(sample.answer)
            for off in (-10, -1, 1, 10):
                # All of them are within 5 % of the year.
                assert task.check(sample, str(year + off)).value == 0
            assert [task.check(sample, text).value for text in (f" {year}.", f"{year}.4")] == [1, 0]
            years += 1
        else:
            year = next(label for label in labels if f"in {label}?" in question)
            value = numbers[labels.index(year)]
            assert float(sample.answer) == pytest.approx(value)
            near = [value * share for share in (0.97, 1.03, 0.92, 1.08)]
            assert [task.check(sample, f"{one:.6f}").value for one in near] == [1, 1, 0, 0]
            values += 1
    assert years > 40 and values > 25


def test_a_value_that_looks_like_a_year_is_a_value(world):
    task = ChartYear(world=world)
    samples = (task.plan("train", index) for index in range(1500))
    sample = next(s for s in samples if not s.truth["year"] and re.fullmatch("[12][0-9]{3}", s.answer))
    assert task.check(sample, str(int(sample.answer) + 20)).value == 1


def test_an_extreme_that_is_hard_to_tell_is_not_asked_for():
    assert told("highest", (10.0, 20.0, 19.8)) is None and told("highest", (10.0, 20.0, 19.0)) == 1
    assert told("rises", (3.0, 2.0, 1.0)) is None and told("falls", (3.0, 2.0, 0.0)) == 2
    assert told("rises", (1.0, 2.0, 3.0)) is None
