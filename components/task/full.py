"""Every category that is there, by family."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from vlmloom.components.contracts.sources import FontSource, PhotoSource, SpriteSource, TableSource
from vlmloom.components.contracts.suite import FAMILIES
from vlmloom.components.contracts.task import Task
from vlmloom.components.task.boxed import Boxed
from vlmloom.components.task.mixture import Mixture, world_of
from vlmloom.components.task.world import World
from vlmloom.registry import register
from vlmloom.registry.errors import UserError


@register("suite/full")
class Full(Mixture):
    """All tasks of the families that are asked for, at the size of real models.

    Tasks are found through the registry by the folder that they stand in, so that a new one appears by
    itself, and every question says what form its answer has. One whose source or package is missing is left
    out, and `availability` says what it lacks.

    Args:
        families: of perception, documents, reasoning, video and agentic; None takes all five.
        tasks: name -> task, beside those of the families or in place of one of them, each with its own
            settings. Each is built with `world=` of this suite.
        without: names of tasks to leave out.
        visual: of the families' tasks, those with pictures alone, or those without; None takes both.
        answers: `plain` asks for the bare answer; `boxed` for `<think>..</think>` and then one answer between
            `<|begin_of_box|>` and `<|end_of_box|>`, and judges that form first.
        languages: in which perception is asked, of en, zh, es and de. Tasks that can be asked in others are
            there once a language, called e.g. `name_zh`.
        weights: name -> share in the mixture; 1 where it is not given.
        sprites: the cut-outs that are trained on; None is `source/openmoji` at `side`.
        shift: cut-outs in other styles; None is `source/noto_emoji` and `source/tuxpaint`, where installed.
        tables: None is `source/tables`.
        photos: None is `source/photos`.
        fonts: None is `source/fonts`.
        things: how many things are in use, at most 64.
        colours: how many colours are in use, at most 8.
        seed: another seed is another set of scenes.
        held_out: one pair in so many is shown in the compositional split only.
        photo_share: the share of scenes with a photograph as backdrop.
        square_share: the share of square pictures.
        side: the shorter side of a composited picture in pixels.
        items: how many different training items there are, met again in every round; None never repeats one.
    """

    def __init__(
        self,
        *,
        families: Sequence[str] | None = None,
        tasks: dict[str, Callable[..., Task]] | None = None,
        without: Sequence[str] = (),
        visual: bool | None = None,
        answers: Literal["plain", "boxed"] = "plain",
        languages: Sequence[str] = ("en",),
        weights: dict[str, float] | None = None,
        sprites: SpriteSource | None = None,
        shift: Sequence[SpriteSource] | None = None,
        tables: TableSource | None = None,
        photos: PhotoSource | None = None,
        fonts: FontSource | None = None,
        things: int = 64,
        colours: int = 8,
        seed: int = 0,
        held_out: int = 8,
        photo_share: float = 0.1,
        square_share: float = 0.75,
        side: int = 128,
        items: int | None = None,
    ) -> None:
        asked = FAMILIES if families is None else tuple(families)
        for family in asked:
            if family not in FAMILIES:
                raise ValueError(f"suite/full: families has {family!r}; families are {', '.join(FAMILIES)}")
        if not languages:
            raise ValueError("suite/full: languages is empty; [en] would be right")
        world = world_of(
            sprites=sprites,
            shift=shift,
            tables=tables,
            photos=photos,
            fonts=fonts,
            drawn=side,
            things=things,
            colours=colours,
            seed=seed,
            held_out=held_out,
            photo_share=photo_share,
            square_share=square_share,
            side=side,
            corrupt=True,
            forms=True,
        )
        templates = dict(_found(asked, languages)) | (tasks or {})
        for name in without:
            if name not in templates:
                raise ValueError(f"suite/full: without has {name!r}, but tasks are {', '.join(templates)}")
        built: dict[str, Task] = {}
        lacks: dict[str, str] = {}
        for name, template in templates.items():
            if name in without:
                continue
            if visual is not None and name not in (tasks or {}) and _visual(template) != visual:
                continue
            task = _ready(template, world)
            if isinstance(task, str):
                lacks[f"task/{name}"] = task
                continue
            task.name = name
            built[name] = Boxed(task) if answers == "boxed" else task
        super().__init__(world, built, weights, items, lacks)


def _found(families: Sequence[str], languages: Sequence[str]) -> Iterator[tuple[str, Callable[..., Task]]]:
    """Name and class of every task in the folders of the families, in their order; once a language."""
    from vlmloom.registry import catalog, resolve

    entries = [entry for entry in catalog().list("task") if entry.family in families]
    for entry in sorted(entries, key=lambda entry: (families.index(entry.family), entry.name)):
        task: Any = resolve(entry.name)
        name, arguments = entry.name.partition("/")[2], inspect.signature(task).parameters
        needed = [key for key, value in arguments.items() if value.default is value.empty and key != "world"]
        if needed:
            # What a task cannot do without is the user's to name, under `tasks`.
            continue
        if "language" not in arguments:
            yield name, task
            continue
        for language in languages:
            yield (name if language == "en" else f"{name}_{language}"), _In(task, language)


def _visual(template: Callable[..., Task]) -> bool:
    task: Any = template.task if isinstance(template, _In) else template
    return bool(task.visual)


class _In:
    """A task in a language, to be built; a class, so that a suite can be pickled."""

    def __init__(self, task: Callable[..., Task], language: str) -> None:
        self.task, self.language = task, language

    def __call__(self, world: World) -> Task:
        return self.task(world=world, language=self.language)


def _ready(template: Callable[..., Task], world: World) -> Task | str:
    """The task, or one line that says what it lacks."""
    try:
        task = template(world=world)
        lacking = [line for source in task.sources() if (line := source.available()) is not None]
    except UserError as error:
        # `SourceMissing` and its like; a setting that is wrong is a ValueError, and is raised.
        return str(error)
    return lacking[0] if lacking else task
