"""Which items a training sees: its seed's own stretch of the stream, the same for every design."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from vlmloom.pipelines.loading import build_experiment, compose_experiment

TINY = Path(__file__).parents[1] / "tiny.yaml"


@pytest.fixture(scope="module")
def data():
    experiment, _ = build_experiment(compose_experiment(TINY))
    experiment.data.connect(experiment.assembly)
    return experiment.data


def seen(data, seed: int, packs: int = 3) -> list[tuple[str, int]]:
    stage = SimpleNamespace(view="question", pack_tokens=None, resolution=None)
    batches = iter(data.loader(stage, seed=seed))
    return [(tag.task, tag.index) for _ in range(packs) for tag in next(batches).tags]


def test_a_seed_has_items_of_its_own(data):
    assert seen(data, 0) == seen(data, 0)
    assert not {index for _, index in seen(data, 0)} & {index for _, index in seen(data, 1)}


def test_a_training_takes_the_items_of_its_experiment_s_seed(tmp_path, monkeypatch):
    from rich.console import Console

    from vlmloom.pipelines.run import train

    experiment, resolved = build_experiment(compose_experiment(TINY, sets=["seed=3", "budget.samples=10"]))
    asked = []
    loader = experiment.data.loader
    monkeypatch.setattr(experiment.data, "loader", lambda *a, **k: asked.append(k["seed"]) or loader(*a, **k))
    train(experiment, tmp_path, resolved=resolved, console=Console(quiet=True))
    assert asked == [3, 3]
