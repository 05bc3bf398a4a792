"""What is drawn is what is asked: figures to their numbers, mazes to their ways, codes that are read back."""

from collections import deque
from itertools import pairwise
from math import acos, degrees, hypot

import numpy as np
import pytest

from vlmloom.components.task.documents.multi_page import MultiPage
from vlmloom.components.task.documents.qr import QR
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.reasoning.clock import Clock
from vlmloom.components.task.reasoning.dial import RED, Dial
from vlmloom.components.task.reasoning.geometry import KINDS
from vlmloom.components.task.reasoning.maze import Maze
from vlmloom.components.task.reasoning.picture_arithmetic import PictureArithmetic
from vlmloom.components.task.suite import Nano


@pytest.fixture(scope="module")
def world():
    return Nano(shift=[]).world


def number(label):
    return float(label.rstrip("\N{DEGREE SIGN}"))


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_drawn_to_their_numbers(kind):
    draw = Draw("figures", kind.__name__)
    for _ in range(100):
        question, answer, corners, sides, angles = kind(draw)
        ring = [corners[-1], *corners, corners[0]]
        lengths = [hypot(x2 - x1, y2 - y1) for (x1, y1), (x2, y2) in pairwise(ring[1:])]
        labels = [answer if label == "?" else label for label in sides]
        scales = [float(label) / length for label, length in zip(labels, lengths, strict=True) if label]
        assert not scales or max(scales) < 1.01 * min(scales), (labels, lengths)
        for (before, corner, after), label in zip(
            zip(ring, ring[1:], ring[2:], strict=False), angles, strict=True
        ):
            one, other = ((end[0] - corner[0], end[1] - corner[1]) for end in (before, after))
            inner = degrees(acos((one[0] * other[0] + one[1] * other[1]) / hypot(*one) / hypot(*other)))
            told = {"right": "90", "?": answer, "": ""}.get(label, label)
            assert not told or abs(inner - number(told)) < 0.1, (angles, inner)
        if "larger angle" in question:
            assert float(answer) == 180 - number(angles[0])
        elif "area" in question or "perimeter" in question:
            shoelace = abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise(ring[1:]))) / 2
            measured = shoelace * scales[0] ** 2 if "area" in question else sum(lengths) * scales[0]
            assert measured == pytest.approx(float(answer), rel=0.02)


@pytest.mark.parametrize("split", ["train", "shift"])
def test_the_shortest_way_is_as_long_as_it_is_said_to_be(world, split):
    task = Maze(world=world)
    for index in range(30):
        sample = task.plan(split, index)
        (picture,) = sample.pictures
        frame = picture.render()[0].astype(int)
        kinds = [mark for mark in picture.what[2] if mark[0] in ("box", "circle")]
        (goal,) = [mark for mark in kinds if mark[0] == "box" and mark[2] == (220, 40, 40)]
        (start,) = [mark for mark in kinds if mark[0] == "circle"]
        side = round(goal[1][2] - goal[1][0]) + 6
        walls = next(mark[2] for mark in kinds if mark[0] == "box" and mark is not goal)
        rows, columns = picture.height // side, picture.width // side
        # Near a corner of the cell: neither a line, nor the circle, nor the square lies there.
        free = [
            [abs(frame[y * side + 2, x * side + 2] - walls).max() > 8 for x in range(columns)]
            for y in range(rows)
        ]
        at = (int(start[1][1] // side), int(start[1][0] // side))
        end = (int(goal[1][1] // side), int(goal[1][0] // side))
        assert str(steps(free, at, end)) == sample.answer


def steps(free, start, end):
    far, queue = {start: 0}, deque([start])
    while queue:
        y, x = queue.popleft()
        for to in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
            if free[to[0]][to[1]] and to not in far:
                far[to] = far[y, x] + 1
                queue.append(to)
    return far[end]


@pytest.mark.parametrize("split", ["train", "validation", "test", "shift"])
def test_codes_in_pictures_are_read_back(world, split):
    import zxingcpp

    task = QR(world=world)
    for index in range(25):
        sample = task.plan(split, index)
        found = zxingcpp.read_barcodes(sample.pictures[0].render()[0])
        assert [one.text for one in found] == [sample.answer], sample.prompt[-1]


def test_hands_point_to_the_time(world):
    task = Clock(world=world)
    for index in range(40):
        sample = task.plan("train", index)
        hour, minute = map(int, sample.answer.split(":"))
        marks = sample.pictures[0].what[2]
        # The last two lines are the hands, from behind the centre to their tips.
        hands = [mark[1] for mark in marks if mark[0] == "line"][-2:]
        for (tail, tip), turn in zip(hands, ((hour % 12 + minute / 60) / 12, minute / 60), strict=True):
            angle = np.degrees(np.arctan2(tip[0] - tail[0], tail[1] - tip[1])) % 360
            assert abs((angle - 360 * turn + 180) % 360 - 180) < 0.5, (sample.answer, angle)


def test_instruments_end_on_a_mark_of_their_scale(world):
    task = Dial(world=world)
    for index in range(120):
        sample = task.plan("train", index)
        marks = sample.pictures[0].what[2]
        figures = [
            (float(mark[2]), mark[1]) for mark in marks if mark[0] == "text" and mark[2].lstrip("-").isdigit()
        ]
        (low, first), (high, last) = figures[0], figures[-1]
        part = (float(sample.answer) - low) / (high - low)
        bars = [mark[1] for mark in marks if mark[0] == "box" and mark[2] == RED]
        if not bars:
            ((tail, tip),) = (mark[1] for mark in marks if mark[0] == "line" and mark[2] == RED)
            angle = np.degrees(np.arctan2(tip[1] - tail[1], tip[0] - tail[0]))
            assert abs((angle - 135 - 270 * part + 180) % 360 - 180) < 0.5
        elif "ruler" in sample.prompt[-1] or "bar" in sample.prompt[-1]:
            assert bars[0][2] == pytest.approx(first[0] + part * (last[0] - first[0]), abs=0.6)
        else:
            assert bars[0][1] == pytest.approx(first[1] + part * (last[1] - first[1]), abs=0.6)


def test_sums_are_right(world):
    task = PictureArithmetic(world=world)
    for index in range(100):
        sample = task.plan("test", index)
        written = [thing.text for thing in sample.scene.things]
        text = written[0].removesuffix(" = ?") if len(written) == 1 else " ".join(written)
        if len(written) > 1:
            # Below each other a number comes before its sign.
            text = " ".join(
                [
                    written[0],
                    *(f"{sign} {one}" for one, sign in zip(written[1::2], written[2::2], strict=True)),
                ]
            )
        text = text.replace("\N{MINUS SIGN}", "-").replace("\N{MULTIPLICATION SIGN}", "*")
        assert set(text) <= set("0123456789+-* ") and str(eval(text)) == sample.answer


def test_an_answer_of_several_pages_stands_on_one_of_them(world):
    task = MultiPage(world=world)
    for index in range(20):
        sample = task.plan("test", index)
        field = sample.prompt[-1].split("'")[1]
        pages = {
            frame: " ".join(thing.text for thing in sample.scene.things if thing.frame == frame)
            for frame in range(len(sample.pictures))
        }
        holding = [frame for frame, text in pages.items() if f"{field}: {sample.answer}" in text]
        assert len(holding) == 1 and len(sample.pictures) == 4
        name = sample.prompt[-1].split(" for ")[1].split("?")[0]
        if "telephone" in name:
            lines = [thing.text for thing in sample.scene.things if thing.frame == 3]
            name = lines[lines.index(name.split()[-1]) - 1]
        assert f"name: {name}" in pages[holding[0]]
