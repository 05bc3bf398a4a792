"""Real tables from vega-datasets: the numbers behind charts and table cells."""

from __future__ import annotations

import csv
import json
from importlib import metadata, util
from pathlib import Path

import numpy as np

from vlmloom.components.contracts.sources import SourceMissing, Table, TableSource
from vlmloom.components.source.cache import Tick, prepared
from vlmloom.registry import register


@register("source/tables")
class Tables(TableSource):
    """Real tables with numeric columns (cars, stocks, weather, iris, ...) from vega-datasets.

    Args:
        rows: tables shorter than this are left out.

    Reference: https://github.com/vega/vega-datasets
    """

    package = "PyPI vega-datasets"
    licence = "BSD-3-Clause (the collection; each table's own origin is in its datasets.json)"

    def __init__(self, *, rows: int = 8) -> None:
        if rows < 2:
            raise ValueError(f"source/tables: rows is {rows}, but a table has at least 2")
        self.rows = rows
        self._tables: list[Table] | None = None

    def available(self) -> str | None:
        """None where vega-datasets is installed."""
        return None if util.find_spec("vega_datasets") else "source/tables: pip install vega-datasets"

    def prepare(self) -> None:
        """Read the numeric columns once."""
        self.load()

    def load(self) -> list[Table]:
        """Every table with a numeric column, ordered by name."""
        if self._tables is None:
            missing = self.available()
            if missing:
                raise SourceMissing(missing)
            settings = {"format": 2, "rows": self.rows, "version": metadata.version("vega-datasets")}
            folder = prepared("source-tables", settings, self._make)
            names = json.loads((folder / "tables.json").read_text(encoding="utf-8"))
            labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
            with np.load(folder / "columns.npz") as columns:
                self._tables = [
                    Table(name, {column: columns[f"{name}/{column}"] for column in found}, labels[name])
                    for name, found in names.items()
                ]
        return self._tables

    def _make(self, folder: Path, tick: Tick) -> None:
        columns: dict[str, np.ndarray] = {}
        names: dict[str, list[str]] = {}
        labels: dict[str, dict[str, list[str]]] = {}
        files = _files()
        for number, file in enumerate(files):
            tick(number + 1, len(files))
            records = _records(file)
            for column, values in _numeric(records).items():
                if len(values) >= self.rows:
                    names.setdefault(file.stem, []).append(column)
                    columns[f"{file.stem}/{column}"] = values
            if file.stem in names:
                labels[file.stem] = _labels(records, names[file.stem])
        with (folder / "columns.npz").open("wb") as stream:
            np.savez(stream, allow_pickle=False, **columns)
        (folder / "tables.json").write_text(json.dumps(names), encoding="utf-8")
        (folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_tables": None}


def _files() -> list[Path]:
    spec = util.find_spec("vega_datasets")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "_data"
    return sorted(path for path in folder.iterdir() if path.suffix in {".csv", ".json"})


def _records(file: Path) -> list[dict[str, object]]:
    if file.suffix == ".csv":
        with file.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))
    found = json.loads(file.read_text(encoding="utf-8"))
    return found if isinstance(found, list) and all(isinstance(row, dict) for row in found) else []


def _numeric(records: list[dict[str, object]]) -> dict[str, np.ndarray]:
    """The columns that hold a finite number in every row and more than one value."""
    columns = {}
    for name in records[0] if records else ():
        try:
            values = np.array([float(record[name]) for record in records])  # type: ignore[arg-type]
        except (TypeError, ValueError, KeyError):
            continue
        if np.isfinite(values).all() and np.ptp(values) > 0:
            columns[name] = values
    return columns


def _labels(records: list[dict[str, object]], numeric: list[str]) -> dict[str, list[str]]:
    """The other columns that hold a text in every row."""
    columns = {}
    for name in records[0]:
        values = [record.get(name) for record in records]
        if name not in numeric and all(isinstance(value, str) and value.strip() for value in values):
            columns[name] = [str(value).strip() for value in values]
    return columns
