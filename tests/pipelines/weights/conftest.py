"""Sound checkpoints and their imports to be damaged, and what a refusal has to look like."""

import shutil
import time
from pathlib import Path

import pytest

from vlmloom.pipelines.cli import main

AT_ONCE = 20.0
"""Seconds, on a busy machine, in which a refusal comes that builds nothing of the size that is asked for."""


@pytest.fixture(scope="session")
def sound(tmp_path_factory):
    """Checkpoints of several architectures, with multi-token modules, and their imports."""
    pytest.importorskip("transformers")
    from released import add_modules, save

    from vlmloom.pipelines.weights.importing import import_released

    folder = tmp_path_factory.mktemp("sound")
    for family in ("glm_ocr", "glm4v_moe", "glm_moe_dsa"):
        add_modules(folder / family, family, save(family, folder / family))
        import_released(folder / family, folder / f"{family}-ours", shard_bytes=60_000)
    return folder


@pytest.fixture
def released(sound, tmp_path):
    return Path(shutil.copytree(sound / "glm_ocr", tmp_path / "released"))


@pytest.fixture
def ours(sound, tmp_path):
    return Path(shutil.copytree(sound / "glm_ocr-ours", tmp_path / "ours"))


@pytest.fixture
def refused(tmp_path, capsys):
    """Run a verb that has to refuse; gives what it says, and sees that this is all that it leaves."""

    def run(verb, source, *more):
        before = sorted(tmp_path.rglob("*"))
        clock = time.perf_counter()
        status = main([verb, str(source), str(tmp_path / "out"), *map(str, more)])
        assert time.perf_counter() - clock < AT_ONCE
        out, err = capsys.readouterr()
        first, *rest = err.rstrip("\n").split("\n")
        assert status == 2 and out == "" and first.isprintable() and "Traceback" not in err
        assert all(line.startswith("  ") for line in rest), "one line, and a list below it"
        assert sorted(tmp_path.rglob("*")) == before, "nothing is written"
        assert str(tmp_path) in first, "it says where"
        return err

    return run
