"""Accuracies, paired differences and their intervals.

The estimate is the mean over seeds of the mean over items. Its interval is a bootstrap over scenes (items of
one scene are drawn together, since they are not independent), with one draw of scenes shared by all designs
and seeds, so that a difference is paired on the items that both designs answered. It covers the choice of
test scenes; the spread over trainings is shown by every seed's own value, and by an interval from five seeds.

Letters: V rows of values (designs, then differences), S seeds, I items, C categories, K scenes, R resamples.

Reference: percentile bootstrap with Hesterberg's correction for few clusters, arXiv 1411.5279, section 5.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from vlmloom.pipelines.report.record import Answer, check_answer

CONFIDENCE = 0.95
RESAMPLES = 2000
SEEDS_FOR_INTERVAL = 5


@dataclass(frozen=True)
class Scores:
    """The answers of one split as an array.

    Attributes:
        values: `[V, S, I]`, NaN where a design has not answered.
        category: `[I]` index into `categories`.
        scene: `[I]` number of the scene.
        plain: how many of the V rows are designs; the rest are differences.
        shares: whether values are shares, from 0 to 1; else they may be any number.
    """

    designs: tuple[str, ...]
    seeds: tuple[int, ...]
    categories: tuple[str, ...]
    values: np.ndarray
    category: np.ndarray
    scene: np.ndarray
    plain: int
    shares: bool = True

    def scenes(self) -> np.ndarray:
        """How many scenes each category has, `[C]`."""
        pairs = np.unique(np.stack([self.category, self.scene]), axis=1)
        return np.bincount(pairs[0], minlength=len(self.categories))

    def items(self) -> np.ndarray:
        """How many items were answered, `[V, S, C]`."""
        return _by_category(~np.isnan(self.values), self.category, len(self.categories))


@dataclass(frozen=True)
class Estimate:
    """A value with its interval.

    Attributes:
        points: seed -> its own value.
        seed_low: lower end of the interval over seeds, None below five seeds.
        seed_high: its upper end.
    """

    value: float
    low: float
    high: float
    points: dict[int, float]
    seed_low: float | None = None
    seed_high: float | None = None


def collect(answers: Iterable[Answer], designs: Sequence[str], categories: Sequence[str]) -> Scores:
    """Arrange the answers of one split; categories without answers are left out.

    Raises:
        ValueError: a score outside [0, 1], a category that is not listed, an item answered twice, or two
            designs that answered different items under one seed.
    """
    rows = list(answers)
    for answer in rows:
        check_answer(answer)
    present = {answer.category for answer in rows}
    unlisted = sorted(present - set(categories))
    if unlisted:
        raise ValueError(
            f"answers: category {unlisted[0]!r} is not listed; listed are {', '.join(categories)}"
        )
    kept = tuple(name for name in categories if name in present)
    seeds = tuple(sorted({answer.seed for answer in rows}))
    keys = sorted({(answer.category, answer.item, answer.scene) for answer in rows})
    item_of = {key: index for index, key in enumerate(keys)}
    scene_of = {scene: index for index, scene in enumerate(sorted({key[2] for key in keys}))}
    design_of = {name: index for index, name in enumerate(designs)}
    seed_of = {seed: index for index, seed in enumerate(seeds)}
    values = np.full((len(designs), len(seeds), len(keys)), np.nan)
    for answer in rows:
        if answer.design not in design_of:
            raise ValueError(
                f"answers: design {answer.design!r} is not listed; listed are {', '.join(designs)}"
            )
        place = (
            design_of[answer.design],
            seed_of[answer.seed],
            item_of[answer.category, answer.item, answer.scene],
        )
        if not np.isnan(values[place]):
            raise ValueError(
                f"answers: {answer.design}, seed {answer.seed}, {answer.split}/{answer.category} "
                f"item {answer.item} was answered twice"
            )
        values[place] = answer.correct
    scores = Scores(
        tuple(designs),
        seeds,
        kept,
        values,
        np.array([kept.index(key[0]) for key in keys], dtype=np.int64),
        np.array([scene_of[key[2]] for key in keys], dtype=np.int64),
        len(designs),
    )
    _check_pairing(scores)
    return scores


def _by_category(answered: np.ndarray, category: np.ndarray, count: int) -> np.ndarray:
    """How many of `[..., I]` are set in each category, `[..., C]`."""
    return np.stack([answered[..., category == index].sum(axis=-1) for index in range(count)], axis=-1)


def _check_pairing(scores: Scores) -> None:
    answered, items = ~np.isnan(scores.values), scores.items()
    for first, second in combinations(range(len(scores.designs)), 2):
        shared = _by_category(answered[first] & answered[second], scores.category, len(scores.categories))
        apart = (items[first] > 0) & (items[second] > 0) & (shared == 0)
        if apart.any():
            seed, category = np.argwhere(apart)[0]
            raise ValueError(
                f"answers: {scores.designs[first]} and {scores.designs[second]} share no item of "
                f"{scores.categories[category]}, seed {scores.seeds[seed]}; "
                "designs are compared on the same items"
            )


def with_differences(scores: Scores, pairs: Sequence[tuple[int, int]]) -> Scores:
    """Append one row of values per pair: first minus second, item by item, where both answered."""
    rows = [scores.values[first] - scores.values[second] for first, second in pairs]
    names = tuple(f"{scores.designs[first]} - {scores.designs[second]}" for first, second in pairs)
    values = np.concatenate([scores.values, np.stack(rows)]) if rows else scores.values
    return Scores(
        scores.designs + names,
        scores.seeds,
        scores.categories,
        values,
        scores.category,
        scores.scene,
        scores.plain,
        scores.shares,
    )


@dataclass(frozen=True)
class Bootstrap:
    """Values and their resamples.

    Attributes:
        point: `[V, S, C]`, NaN where nothing was answered.
        draws: `[R, V, S, C]`.
        scenes: `[C]`.
        plain: how many of the V rows are accuracies; the rest are differences.
        shares: as of `Scores`.
    """

    seeds: tuple[int, ...]
    plain: int
    point: np.ndarray
    draws: np.ndarray
    scenes: np.ndarray
    shares: bool = True

    def estimate(self, row: int, categories: Sequence[int], seed: int | None = None) -> Estimate | None:
        """The mean over categories (unweighted) and over the seeds that have all of them.

        Args:
            row: index into V.
            categories: indices into C.
            seed: take this seed alone.

        Returns:
            None where no seed has an answer in every one of the categories.
        """
        if not len(categories):
            return None
        point = self.point[row][:, categories].mean(axis=-1)
        usable = [
            index
            for index, name in enumerate(self.seeds)
            if not np.isnan(point[index]) and (seed is None or name == seed)
        ]
        if not usable:
            return None
        draws = self.draws[:, row][:, usable][:, :, categories].mean(axis=(1, 2), dtype=np.float64)
        value = float(point[usable].mean())
        clusters = int(self.scenes[list(categories)].sum()) - len(categories) + 1
        floor = (0.0 if row < self.plain else -1.0) if self.shares else None
        low, high = interval(value, draws, clusters, floor=floor)
        points = {self.seeds[index]: float(point[index]) for index in usable}
        return Estimate(value, low, high, points, *seed_interval(list(points.values())))


def bootstrap(scores: Scores, resamples: int = RESAMPLES, seed: int = 0) -> Bootstrap:
    """Resample scenes, jointly for all rows and seeds.

    Scenes are drawn within groups of categories that share scenes, so that the number of scenes of a group is
    what it was; a scene that serves several categories is drawn for all of them at once.
    """
    rng = np.random.default_rng(seed)
    count = len(scores.categories)
    shape = (*scores.values.shape[:2], count)
    point = np.full(shape, np.nan)
    draws = np.full((resamples, *shape), np.nan, dtype=np.float32)
    answered = ~np.isnan(scores.values)
    filled = np.where(answered, scores.values, 0.0)
    for group in _groups(scores.category, scores.scene, count):
        members = np.isin(scores.category, group)
        scenes, cluster = np.unique(scores.scene[members], return_inverse=True)
        weights = rng.multinomial(len(scenes), np.full(len(scenes), 1 / len(scenes)), size=resamples)
        weights = weights.astype(np.float64)
        for category in group:
            inside = scores.category[members] == category
            sums, counts = (
                _by_cluster(array[..., members][..., inside], cluster[inside], len(scenes))
                for array in (filled, answered.astype(float))
            )
            with np.errstate(invalid="ignore", divide="ignore"):
                point[..., category] = (sums.sum(0) / counts.sum(0)).reshape(shape[:2])
                drawn = (weights @ sums) / (weights @ counts)
            draws[..., category] = drawn.reshape(resamples, *shape[:2])
    return Bootstrap(scores.seeds, scores.plain, point, draws, scores.scenes(), scores.shares)


def _by_cluster(values: np.ndarray, cluster: np.ndarray, clusters: int) -> np.ndarray:
    """`[V, S, i]` summed over the items of each scene, as `[K, V*S]`."""
    sums = np.zeros((clusters, values.shape[0] * values.shape[1]))
    np.add.at(sums, cluster, values.reshape(-1, values.shape[-1]).T)
    return sums


def _groups(category: np.ndarray, scene: np.ndarray, count: int) -> list[list[int]]:
    """Categories that share scenes, directly or by way of others."""
    root = list(range(count))
    first: dict[int, int] = {}
    for index, key in np.unique(np.stack([category, scene]), axis=1).T.tolist():
        other = root[first.setdefault(key, index)]
        mine = root[index]
        root = [other if entry == mine else entry for entry in root]
    return [[index for index in range(count) if root[index] == group] for group in sorted(set(root))]


def interval(
    value: float,
    draws: np.ndarray,
    clusters: int,
    floor: float | None = 0.0,
    confidence: float = CONFIDENCE,
) -> tuple[float, float]:
    """The percentile interval of resamples `[R]` over so many clusters.

    Where all scenes score alike, resampling says nothing about what was not seen: the interval is then
    Wilson's for 0 of `clusters` exceptions, cut at `floor` (-1 for a difference) and 1. Values that are no
    shares (`floor` None) have no such interval; theirs is then the value alone.
    """
    tail = (1 - confidence) / 2
    draws = draws[~np.isnan(draws)]
    if clusters < 2 or not len(draws) or np.ptp(draws) < 1e-7:
        if floor is None:
            return value, value
        squared = stats.norm.ppf(tail) ** 2
        reach = float(squared / (clusters + squared))
        return max(floor, value - reach), min(1.0, value + reach)
    # A percentile interval is too narrow by about sqrt(1 - 1/n) and by normal instead of t quantiles.
    wide = stats.norm.cdf(stats.t.ppf(tail, clusters - 1) * np.sqrt(clusters / (clusters - 1)))
    low, high = np.quantile(draws, [wide, 1 - wide])
    return min(float(low), value), max(float(high), value)


def seed_interval(
    points: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float] | tuple[None, None]:
    """Student's interval over the seeds' own values; nothing below five seeds."""
    count = len(points)
    if count < SEEDS_FOR_INTERVAL:
        return None, None
    reach = float(stats.t.ppf((1 + confidence) / 2, count - 1) * np.std(points, ddof=1) / np.sqrt(count))
    mean = float(np.mean(points))
    return mean - reach, mean + reach
