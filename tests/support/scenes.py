"""What the tests of perception and video share: larger pictures, plans, and checks of their truth."""

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from vlmloom.components.task.mixture import world_of
from vlmloom.registry import build
from vlmloom.registry.errors import UserError

SPLITS = ("train", "validation", "test", "shift")

DIGEST = """
import json, sys
from scenes import digest
print(json.dumps({name: digest(name) for name in sys.argv[1:]}))
"""


@cache
def world():
    """Pictures of 128 px and all things; the other style where it is installed."""
    return world_of(drawn=128, side=128, things=64, colours=8, corrupt=True)


@cache
def task(name, **settings):
    return build({"use": f"task/{name}"} | settings, world=world())


@cache
def plans(name, split="train", count=200, **settings):
    return [task(name, **settings).plan(split, index) for index in range(count)]


def splits(name):
    return [split for split in task(name).splits() if split != "compositional"]


def digest(name):
    """Of questions, answers, truths, keys and a few pixels."""
    from hashlib import blake2b

    found = blake2b()
    for split in ("train", "test"):
        for index in (0, 7, 4321):
            sample = task(name).plan(split, index)
            keys = [picture.key for picture in sample.pictures]
            told = (sample.prompt[-1], sample.answer, sample.scene, sample.choices, sample.truth, keys)
            found.update(repr(told).encode())
            found.update(sample.pictures[0].render().tobytes())
    return found.hexdigest()


def digests_elsewhere(names, seed):
    """The digests that another process finds under another hash seed."""
    run = subprocess.run(
        [sys.executable, "-c", DIGEST, *names],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=Path(__file__).parent,
    )
    return json.loads(run.stdout)


def check_boxes(picture, things, frame=0, slack=2):
    """Beside its things a drawing is its backdrop, and every box is tight."""
    pixels = picture.render()[frame].astype(int)
    ground = picture.backdrop.canvas(picture.height, picture.width).astype(int)
    changed = np.abs(pixels - ground).max(axis=2) > 24
    inside = np.zeros_like(changed)
    for thing in things:
        x1, y1, x2, y2 = thing.box
        left, right = round(x1 * picture.width / 1000), round(x2 * picture.width / 1000)
        top, bottom = round(y1 * picture.height / 1000), round(y2 * picture.height / 1000)
        part = changed[top:bottom, left:right]
        rows, columns = np.nonzero(part)
        assert rows.min() <= slack and columns.min() <= slack, thing
        assert rows.max() >= part.shape[0] - 1 - slack and columns.max() >= part.shape[1] - 1 - slack, thing
        inside[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = True
    assert not (changed & ~inside).any()


def refused(name: str, settings: dict, line: str) -> None:
    """A task with such settings is refused, in these words."""
    with pytest.raises((UserError, ValueError), match=re.escape(line)):
        task(name, **settings)
