"""What happened before the door?"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any, ClassVar

from vlmloom.components.task.base import Item
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.video.clip import ClipTask, Point, Track, straight
from vlmloom.components.task.vocabulary import Entry
from vlmloom.components.task.world import Style, World
from vlmloom.registry import register

PLACES = {"door": "1F6AA", "house": "1F3E0", "tree": "1F333", "mailbox": "1F4EB"}
ACTORS = {
    "person": {"man": "1F6B6-200D-2642", "woman": "1F6B6-200D-2640"},
    "vehicle": {"car": "1F697", "bus": "1F68C", "bicycle": "1F6B2"},
    "animal": {"dog": "1F415", "cat": "1F408", "duck": "1F986"},
}
PARCEL, TRUCK = Entry("parcel", "parcel", "1F4E6"), Entry("delivery truck", "vehicle", "1F69A")
EVENTS = ("none", "person", "vehicle", "animal", "parcel", "delivery")
VERBS = {"person": "walks", "vehicle": "drives", "animal": "walks"}
WORDS = {
    "person": ("person", "man", "woman", "pedestrian", "someone", "somebody", "courier"),
    "vehicle": ("vehicle", "car", "bus", "bicycle", "bike", "truck", "van"),
    "animal": ("animal", "dog", "cat", "duck"),
}

QUESTION = (
    'summarise the event as JSON {{"title": ..., "description": ...}}. Title: 2 to 5 words, who (person, '
    "vehicle, animal) and where ({places}); with the word delivery where a person with a parcel and a "
    'delivery truck are seen; exactly "No activity" where nothing moves. Description: one or two short '
    "sentences in the present tense that say who is where."
)


@register("task/event_summary")
class EventSummary(ClipTask):
    """Summarise a clip of a home's camera as JSON with a title and a description, by the rules of glimpse-v1.

    A person, a vehicle or an animal comes to a place, or nobody does. A parcel in a person's hands is a
    delivery only where a delivery truck stands by.

    Args:
        world: what is shared by the tasks of a suite.
        frames: of the clip.
        rate: frames a second.
        lasting: how many frames the event takes; fewer are harder.

    Reference: https://huggingface.co/llmvision/glimpse-v1 (the rules of the title and of the description).
    """

    name = "event_summary"
    knob: ClassVar[str] = "lasting"

    def __init__(self, *, world: World, frames: int = 8, rate: int = 2, lasting: int = 6) -> None:
        super().__init__(world=world, frames=frames, rate=rate)
        if not 1 <= lasting <= frames:
            raise ValueError(f"task/event_summary: lasting is {lasting}; 1 to {frames} frames would be right")
        self.lasting = lasting

    @cached_property
    def _looks(self) -> list[tuple[Style, dict[str, Entry]]]:
        """Every style that shows all that is needed, and its things by name."""
        entries = [Entry(name, "place", code) for name, code in PLACES.items()]
        entries += [Entry(name, kind, code) for kind, row in ACTORS.items() for name, code in row.items()]
        entries += [PARCEL, TRUCK]
        whole = [style for style in self.world.looks(entries) if len(style.entries) == len(entries)]
        if not whole or whole[0].name != self.world.sprites.style:
            raise ValueError(
                f"task/event_summary: source of {self.world.sprites.style} has no person, parcel and door; "
                "source/openmoji would be right"
            )
        return [(style, {entry.name: entry for entry in style.entries}) for style in whole]

    def splits(self) -> list[str]:
        """See `SceneTask.splits`; a style that lacks one of its things is no shift."""
        return [split for split in super().splits() if split != "shift" or len(self._looks) > 1]

    def compose(self, draw: Draw, split: str) -> Item:
        """A place, and who comes to it."""
        style, things = draw.choice(self._looks[1:] if split == "shift" else self._looks[:1])
        place, event = draw.choice(list(PLACES)), draw.choice(EVENTS)
        side = self.world.side
        large, small = side * 7 // 16, side * 5 // 16
        right = draw.chance(0.5)
        spot = (side - large if right else 0, draw.below(side // 4 + 1))
        tracks = [Track(things[place], large, [spot] * self.frames)]
        kind = "person" if event in ("parcel", "delivery") else event
        actor = draw.choice(list(ACTORS[kind])) if event != "none" else ""
        if event == "delivery":
            corner = (0 if right else side - small, 0)
            tracks.append(Track(TRUCK, small, [corner] * self.frames, flip=right))
        if actor:
            path = self._path(draw, small, right)
            tracks.append(Track(things[actor], small, path, flip=right))
            if event in ("parcel", "delivery"):
                ahead = small // 2 if right else 0
                held = [at and (at[0] + ahead, at[1] + small // 3) for at in path]
                tracks.append(Track(PARCEL, small // 2, held))
        picture, truth = self.filmed(draw, style, tracks)
        answer, told = _summary(event, kind, actor, place)
        question = QUESTION.format(places=", ".join(PLACES))
        return Item(question, answer, truth, (picture,), source=style.name, truth={"event": told})

    def _path(self, draw: Draw, size: int, right: bool) -> list[Point | None]:
        """From the far side along the ground towards the place, and there for `lasting` frames."""
        side = self.world.side
        ground = side - size - draw.below(side // 16 + 1)
        near, far = side - size - draw.below(side // 4 + 1), draw.below(side // 8 + 1)
        start, end = (far, near) if right else (side - size - far, side - size - near)
        first = draw.below(self.frames - self.lasting + 1)
        path: list[Point | None] = [None] * self.frames
        path[first : first + self.lasting] = straight((start, ground), (end, ground), self.lasting)
        return path

    def judge(self) -> dict[str, Any]:
        """By the rules."""
        return {"use": "reward/event_summary"}


def _summary(event: str, kind: str, actor: str, place: str) -> tuple[str, dict[str, Any]]:
    """The gold answer, and what a title and a description must and must not say."""
    wrong = [word for other, words in WORDS.items() if other != kind for word in words]
    elsewhere = [other for other in PLACES if other != place]
    if event == "none":
        title, text = "No activity", f"Nothing moves at the {place}."
        return json.dumps({"title": title, "description": text}), {
            "title": "No activity",
            "describes": [[place]],
            "excludes": [*wrong, *elsewhere],
        }
    who = [word for word in WORDS[kind] if word == kind or kind == "person" or word == actor]
    if actor == "bicycle":
        who.append("bike")
    wrong += [word for word in WORDS[kind] if word not in who]
    title = f"Delivery at {place}" if event == "delivery" else f"{kind.capitalize()} at {place}"
    says = [["delivery"], [place]] if event == "delivery" else [who, [place]]
    if event == "delivery":
        wrong = [word for word in wrong if word not in ("truck", "van", "vehicle")]
        text = f"A person carries a parcel to the {place}, and a delivery truck is there."
    else:
        carries = " with a parcel" if event == "parcel" else ""
        text = f"A {actor}{carries} {VERBS[kind]} to the {place}."
        wrong.append("delivery")
    told = {"title": says, "describes": [who, [place]], "excludes": [*wrong, *elsewhere]}
    return json.dumps({"title": title, "description": text}), told
