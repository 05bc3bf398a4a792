"""Every test here gets a catalogue of its own, and a sound model to break."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vlmloom.registry.catalog import catalog

TOYS = Path(__file__).with_name("toys.py")

SOUND = f"""\
plugins: [{TOYS}]
use: model/pair
tower: {{use: tower/plain, width: 8}}
bridge: {{use: bridge/linear, out_width: 6}}
decoder:
  use: decoder/stack
  width: 6
  depth: 4
  layers:
    "*": {{ffn: {{use: block/dense, hidden: 12}}}}
    "0:1": {{ffn: {{hidden: 3}}}}
"""


@pytest.fixture(autouse=True)
def own_catalogue() -> Iterator[None]:
    catalog.cache_clear()
    yield
    catalog.cache_clear()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write files into an empty working directory that holds `sound.yaml`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sound.yaml").write_text(SOUND)

    def put(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return put
