"""Several verifiers as one. What one of them cannot judge, the whole cannot."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence

from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.registry import name_of, register


class Combined(Verifier):
    """Asks every part about the whole group; `parts` of a reward holds the value of each, by name.

    An error of a part is an error of the whole, also where the part's own policy gave a value for it: the
    policy that holds is this one's.
    """

    def __init__(self, *, parts: dict[str, Verifier], on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        if not parts:
            name = name_of(self)
            raise ValueError(f"{name}: parts is empty; `name: verifier` would be right")
        self.verifiers = parts

    @property
    def together(self) -> bool:
        """Whether a part judges at once."""
        return any(part.together for part in self.verifiers.values())

    @abstractmethod
    def combine(self, values: Mapping[str, float]) -> float:
        """The value of the whole."""

    def judge(self, sample: Sample, responses: Sequence[str]) -> list[Reward]:
        """Judge a group by every part."""
        judged = {name: part.judge(sample, responses) for name, part in self.verifiers.items()}
        return [
            self._whole({name: group[at] for name, group in judged.items()}) for at in range(len(responses))
        ]

    def _whole(self, rewards: Mapping[str, Reward]) -> Reward:
        values: dict[str, float] = {}
        for name, reward in rewards.items():
            if reward.error is not None or reward.value is None:
                return self.failed(f"{name}: {reward.error or 'no value'}")
            values[name] = reward.value
        parts = {
            f"{name}.{key}": one for name, reward in rewards.items() for key, one in reward.parts.items()
        }
        reason = "; ".join(f"{name}: {reward.reason}" for name, reward in rewards.items() if reward.reason)
        return Reward(self.combine(values), values | parts, reason)


@register("reward/all")
class All(Combined):
    """Full marks where every part gives them, none otherwise.

    Args:
        parts: name -> verifier.
        on_error: see `Verifier`.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> from vlmloom.components.reward.edit import Edit
    >>> from vlmloom.components.reward.exact import Exact
    >>> sample = Sample("t", "test", 0, [], "a cat", Scene(""))
    >>> All(parts={"words": Exact(), "letters": Edit()}).judge(sample, ["cat"])[0].value
    0.0
    """

    def combine(self, values: Mapping[str, float]) -> float:
        """1 or 0."""
        return float(all(value >= 1 for value in values.values()))


@register("reward/mean")
class Mean(Combined):
    """The weighted mean of the parts.

    Args:
        parts: name -> verifier.
        weights: name -> weight; 1 where it is not given.
        on_error: see `Verifier`.
    """

    def __init__(
        self,
        *,
        parts: dict[str, Verifier],
        weights: dict[str, float] | None = None,
        on_error: OnError = "skip",
    ) -> None:
        super().__init__(parts=parts, on_error=on_error)
        self.weights = weighted("reward/mean", parts, weights)

    def combine(self, values: Mapping[str, float]) -> float:
        """The mean."""
        total = sum(self.weights.values())
        return sum(self.weights[name] * value for name, value in values.items()) / total


@register("reward/product")
class Product(Combined):
    """The product of the parts: one that is 0 makes the whole 0.

    Args:
        parts: name -> verifier.
        on_error: see `Verifier`.
    """

    def combine(self, values: Mapping[str, float]) -> float:
        """The product."""
        return math.prod(values.values())


@register("reward/first")
class First(Combined):
    """The first part that is satisfied decides, e.g. a rule before a judge; else the last one does.

    A part is asked only about the answers that none before it decided. Its value counts by its weight.

    Args:
        parts: name -> verifier, in their order.
        weights: name -> weight, at most 1; 1 where it is not given.
        enough: the value from which a part is satisfied.
        on_error: see `Verifier`.
    """

    def __init__(
        self,
        *,
        parts: dict[str, Verifier],
        weights: dict[str, float] | None = None,
        enough: float = 1.0,
        on_error: OnError = "skip",
    ) -> None:
        super().__init__(parts=parts, on_error=on_error)
        self.weights = weighted("reward/first", parts, weights, most=1.0)
        self.enough = enough

    def judge(self, sample: Sample, responses: Sequence[str]) -> list[Reward]:
        """Judge a group, part after part."""
        asked: list[dict[str, Reward]] = [{} for _ in responses]
        open_ = list(range(len(responses)))
        for name, part in self.verifiers.items():
            judged = part.judge(sample, [responses[at] for at in open_]) if open_ else []
            for at, reward in zip(open_, judged, strict=True):
                asked[at][name] = reward
            open_ = [
                at
                for at, reward in zip(open_, judged, strict=True)
                if reward.error is None and reward.value is not None and reward.value < self.enough
            ]
        return [self._whole(rewards) for rewards in asked]

    def combine(self, values: Mapping[str, float]) -> float:
        """The value of the part that was asked last."""
        name, value = list(values.items())[-1]
        return self.weights[name] * value


def weighted(
    where: str, parts: Mapping[str, Verifier], weights: Mapping[str, float] | None, most: float = math.inf
) -> dict[str, float]:
    """A weight for every part.

    Raises:
        ValueError: a weight is of no part, or no weight.
    """
    for name, weight in (weights or {}).items():
        if name not in parts:
            raise ValueError(f"{where}: weights has {name!r}; parts are {', '.join(parts)}")
        if not 0 < weight <= most or math.isinf(weight):
            limit = "" if math.isinf(most) else f" and at most {most:g}"
            raise ValueError(f"{where}: the weight of {name} is {weight}; above 0{limit} would be right")
    return {name: (weights or {}).get(name, 1.0) for name in parts}
