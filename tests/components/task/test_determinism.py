"""The same seed gives the same items: in another process, under another hash seed, asked in another order."""

import json
import os
import subprocess
import sys

import pytest

DIGESTS = """
import json, sys
from hashlib import blake2b
from pathlib import Path
from vlmloom.components.media import kept
from vlmloom.components.task.full import Full

# What is slow to draw is drawn here too, and not read where the other process has kept it.
kept.cache_root = lambda: Path(sys.argv[4])

order, indices, drawn = int(sys.argv[1]), json.loads(sys.argv[2]), set(json.loads(sys.argv[3]))

def told(sample, drawn):
    shown = [part if isinstance(part, str) else part.key for part in sample.prompt]
    truth = sorted(sample.truth.items())
    text = repr((shown, sample.answer, sample.scene, sample.choices, sample.caption, truth))
    pixels = [picture.render().tobytes() for picture in sample.pictures] if drawn else []
    return blake2b(b"".join([text.encode(), *pixels])).hexdigest()

suite = Full()
suite.prepare()
splits = suite.splits()
places = [(split, name, index) for split in splits for name in splits[split] for index in indices]
found = {}
for split, name, index in places[::order]:
    task = suite.tasks[name]
    sample = task.plan(split, index)
    rendered = {split, f"{split} {name}"} & drawn and index == indices[0] and task.steps == 1
    found[f"{split} {name} {index}"] = told(sample, rendered)
print(json.dumps(found))
"""
RENDERED = ("chart_value", "formula", "molecule", "plot_to_code", "svg_drawing", "design2code")
"""Drawn by matplotlib, RDKit, resvg and Chromium; the last where there is one."""
SPLITS = {"train", "validation", "test", "shift", "compositional", "corrupt"}


def digests(indices, drawn, folder):
    """Item -> digest of all that is known of it, as two processes find it, each in its own order."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", DIGESTS, order, json.dumps(indices), json.dumps(drawn), folder / order],
            env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for order, seed in (("1", "1"), ("-1", "2"))
    ]
    found = [json.loads(process.communicate(timeout=900)[0]) for process in processes]
    renders = [{path.name for path in (folder / order).glob("renders/*/*")} for order in ("1", "-1")]
    assert renders[0] == renders[1] and len(renders[0]) >= 4
    return found


def check(one, other):
    assert {place for place in one.keys() | other.keys() if one.get(place) != other.get(place)} == set()
    assert {place.split()[0] for place in one} <= SPLITS
    tasks = {split: {place.split()[1] for place in one if place.startswith(f"{split} ")} for split in SPLITS}
    assert len(tasks["train"]) > 40 and tasks["train"] == tasks["validation"] == tasks["test"]
    assert tasks["shift"] and tasks["corrupt"] <= tasks["test"] and len(tasks["corrupt"]) > 15
    assert len(set(one.values())) > 0.98 * len(one)


def test_items_are_the_same_in_another_process_under_another_hash_seed(tmp_path):
    check(*digests([0, 77, 123456], ["corrupt", *(f"test {name}" for name in RENDERED)], tmp_path))


@pytest.mark.slow
def test_many_items_and_their_pixels_are_the_same(tmp_path):
    check(*digests([5, *range(100, 110), 999, 1_000_000], sorted(SPLITS), tmp_path))
