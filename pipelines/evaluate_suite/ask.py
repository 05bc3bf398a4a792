"""Put the items of a suite to a target: what is known already is kept, what failed is asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from vlmloom.components.contracts.sample import Episode, Reward, Sample, Scene
from vlmloom.components.contracts.suite import Suite
from vlmloom.components.sandbox import browsers
from vlmloom.components.task.boxed import unboxed
from vlmloom.components.task.draw import Draw
from vlmloom.pipelines.evaluate_suite.record import Item, Kept, Reply
from vlmloom.pipelines.evaluate_suite.target import Policy, Target
from vlmloom.pipelines.scoring.limited import Limited, Limits
from vlmloom.pipelines.scoring.line import Line
from vlmloom.pipelines.scoring.scorer import Scorer
from vlmloom.registry.errors import named, one_line

Tick = Callable[[int, int, int], None]
"""Told (done, total, failed)."""


@dataclass(frozen=True)
class Questions:
    """Which items are asked.

    Attributes:
        suite: with its sources prepared.
        split: of the suite.
        items: of each category.
        tries: how often an episode whose surroundings fail is begun.
        limits: the time that judging an answer may take.
    """

    suite: Suite
    split: str
    items: int
    tries: int = 2
    limits: Limits = field(default_factory=Limits)

    def places(self) -> list[tuple[str, str, int]]:
        """Every item, the categories interleaved, so that a batch holds some of each."""
        names = self.suite.splits().get(self.split, [])
        return [(self.split, name, index) for index in range(self.items) for name in names]


def ask(target: Target, questions: Questions, kept: Kept, tick: Tick | None = None) -> list[Item]:
    """Ask what is not known yet, and keep each item as soon as it is.

    An answer whose judge failed is judged again and not asked for again. Items of a category of several steps
    are left out for an oracle that nobody has written a script for.

    Returns:
        The items in the order of `Questions.places`.
    """
    places = questions.places()
    done = failed = 0
    stopped = browsers.stopped()

    def keep(item: Item, new: bool = True) -> None:
        nonlocal done, failed, stopped
        done, failed = done + 1, failed + (item.value is None)
        if new:
            now = browsers.stopped()
            kept.add(replace(item, stopped=now - stopped))
            stopped = now
        if tick is not None:
            tick(done, len(places), failed)

    with kept.open(), Limited(Scorer(questions.suite), questions.limits) as judge:
        single, several = [], []
        for place in places:
            item = kept.items.get(place)
            if item is not None and item.value is not None:
                keep(item, new=False)
                continue
            task = questions.suite.tasks[place[1]]
            if item is not None and item.fault == "judge" and task.steps == 1 and item.response is not None:
                sample = task.plan(place[0], place[2])
                keep(_judged(judge, sample, _again(item)))
            elif task.steps > 1:
                several.append(place)
            else:
                single.append(place)
        for item in _answers(target, questions, single, judge):
            keep(item)
        for item in _episodes(target, questions, several):
            keep(item)
    return [kept.items[place] for place in places if place in kept.items]


def _answers(
    target: Target, questions: Questions, places: Sequence[tuple[str, str, int]], judge: Limited
) -> Iterator[Item]:
    waiting = iter(places)
    while batch := list(islice(waiting, target.batch)):
        samples: list[Sample] = []
        for split, name, index in batch:
            try:
                samples.append(questions.suite.tasks[name].plan(split, index))
            except Exception as fault:
                yield _failed(split, name, index, fault)
        for place, reply in target.replies(samples):
            yield _judged(judge, samples[place], reply)


def _judged(judge: Limited, sample: Sample, reply: Reply) -> Item:
    found = _item(sample, reply)
    if reply.text is None:
        return replace(found, fault="target", error=reply.error)
    (reward,) = judge.rewards(Line([reply.text], sample.task, split=sample.split, index=sample.index))
    return _rewarded(found, reward, well_formed(sample, reply.text, reward))


def _rewarded(item: Item, reward: Reward, formed: bool) -> Item:
    parts = {name: float(value) for name, value in reward.parts.items() if value == value}
    if reward.error is not None or reward.value is None:
        # A policy may give a failed judgement a value for training; here it stays unknown.
        return replace(item, fault="judge", error=reward.error or "the judge gave no value", parts=parts)
    if not 0.0 <= reward.value <= 1.0:
        return replace(item, fault="judge", error=f"the judge gave {reward.value}, no value from 0 to 1")
    return replace(item, value=float(reward.value), reason=reward.reason, parts=parts, well_formed=formed)


def well_formed(sample: Sample, response: str, reward: Reward) -> bool:
    """Whether an answer has the form that was asked for: as the verifier says, else one of the choices."""
    if "format" in reward.parts:
        return reward.parts["format"] > 0
    if sample.choices:
        plain = {" ".join(choice.lower().split()).strip(" .") for choice in sample.choices}
        return reward.value == 1 or " ".join(unboxed(response).lower().split()).strip(" .") in plain
    return bool(response.strip())


def _episodes(target: Target, questions: Questions, places: Sequence[tuple[str, str, int]]) -> Iterator[Item]:
    """Several episodes side by side, a step of each at a time; where one ends, the next begins."""
    waiting, active = iter(places), list[_Run]()
    try:
        while True:
            active += [_Run(questions, *place) for place in islice(waiting, browsers.allowed() - len(active))]
            if not active:
                return
            # One by one: what an episode holds is given back before the next one asks for it.
            going = [run for run in active if run.going(target)]
            ended, active = [run for run in active if run.ended], going
            yield from (run.item for run in ended if run.item is not None)
            for place, reply in target.replies([run.question for run in going]):
                going[place].act(reply)
    finally:
        for run in active:
            run.close()


class _Run:
    """One episode from its beginning to an `item`; None where an oracle has no script."""

    def __init__(self, questions: Questions, split: str, name: str, index: int) -> None:
        self.task, self.split, self.index = questions.suite.tasks[name], split, index
        self.left, self.begun = questions.tries, 0
        self.item: Item | None = None
        self._begin()

    def _begin(self) -> None:
        self.acts: list[str] = []
        self.replies: list[Reply] = []
        self.episode: Episode | None = None
        self.question = Sample(self.task.name, self.split, self.index, [], "", Scene(""))
        self.ended = False
        self.left, self.begun = self.left - 1, self.begun + 1
        self._try(self._open)

    def _open(self) -> None:
        self.episode = self.task.open(self.split, self.index)
        self.question = replace(
            self.question, scene=Scene(f"{self.task.name}#{self.split}#{self.index}"), answer=""
        )

    def _try(self, do: Callable[[], Any]) -> bool:
        """Whether it went well: what surrounds an episode may fail, and it is then begun anew, some times."""
        try:
            do()
            return True
        except Exception as fault:
            self.close()
            if self.left > 0:
                self._begin()
                return False
            self.ended = True
            self.item = replace(
                _item(self.question, self._sum()),
                fault="task",
                error=named(fault),
            )
            return False

    def going(self, target: Target) -> bool:
        """Whether there is a next question, which is then `question`."""
        while not self.ended:
            if self._try(lambda: self._next(target)):
                break
        if self.ended:
            self.close()
        return not self.ended

    def _next(self, target: Target) -> None:
        episode = self.episode
        assert episode is not None
        if not episode.done and len(self.acts) < self.task.steps:
            act = self._lead(target, episode)
            prompt = [] if act is None else episode.observe().prompt
            # Looking at it may have ended it, where what it runs in is gone.
            if not episode.done:
                if act is None:
                    self.ended = True
                else:
                    self.question = replace(self.question, prompt=prompt, answer=act)
                return
        found = replace(_item(self.question, self._sum()), steps=len(self.acts))
        self.item = _rewarded(found, episode.score(), all(act.strip() for act in self.acts))
        self.ended = True

    def _lead(self, target: Target, episode: Episode) -> str | None:
        """What a policy is told to do next, nothing where it is none; None where no script is written."""
        if target.scripted:
            return episode.scripted()
        if isinstance(target, Policy) and target.name == "random":
            return episode.guess(Draw("guess", self.task.name, self.split, self.index, len(self.acts)).bits())
        return ""

    def act(self, reply: Reply) -> None:
        """Take the target's act."""
        self.replies.append(reply)
        if reply.text is None:
            self.ended = True
            self.item = replace(_item(self.question, self._sum()), fault="target", error=reply.error)
            return
        self.acts.append(reply.text)
        episode, text = self.episode, reply.text
        assert episode is not None
        self._try(lambda: episode.act(text))

    def _sum(self) -> Reply:
        def total(name: str) -> Any:
            values = [value for reply in self.replies if (value := getattr(reply, name)) is not None]
            return sum(values) if values else None

        return Reply(
            "\n".join(self.acts),
            total("seconds") or 0.0,
            total("tokens_in"),
            total("tokens_out"),
            total("flops"),
            max([self.begun, *(reply.tries for reply in self.replies)]),
            any(reply.cut for reply in self.replies),
        )

    def close(self) -> None:
        """Let go of what the episode holds."""
        if self.episode is not None:
            try:
                self.episode.close()
            except Exception as fault:
                self.question = replace(self.question, truth={"close": one_line(fault)})


def _item(sample: Sample, reply: Reply) -> Item:
    return Item(
        sample.split,
        sample.task,
        sample.index,
        scene=sample.scene.key,
        response=reply.text,
        gold=sample.answer,
        seconds=reply.seconds,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        flops=reply.flops,
        tries=reply.tries,
        cut=reply.cut,
    )


def _again(item: Item) -> Reply:
    return Reply(
        item.response, item.seconds, item.tokens_in, item.tokens_out, item.flops, item.tries, item.cut
    )


def _failed(split: str, name: str, index: int, fault: Exception) -> Item:
    return Item(split, name, index, fault="task", error=named(fault))
