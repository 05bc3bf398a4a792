"""What the probes found, with intervals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vlmloom.pipelines.report.statistics import Scores, bootstrap


def rows(
    scores: Mapping[str, Mapping[str, np.ndarray]], things: np.ndarray, seed: int
) -> list[dict[str, object]]:
    """One row `{tower, probe, pictures, value, low, high}` a tower and probe.

    Intervals are a bootstrap over things, each with all its pictures, drawn alike for all towers.

    Args:
        scores: probe -> tower -> `[N]` scores in [0, 1] of the same pictures.
        things: `[N]`, which thing each of them shows.
        seed: of the resamples.
    """
    found: list[dict[str, object]] = []
    for probe, by_tower in scores.items():
        towers = tuple(by_tower)
        values = np.stack([by_tower[tower] for tower in towers]).astype(float)[:, None]
        pictures = values.shape[-1]
        drawn = bootstrap(
            Scores(
                designs=towers,
                seeds=(seed,),
                categories=(probe,),
                values=values,
                category=np.zeros(pictures, int),
                scene=things,
                plain=len(towers),
            ),
            seed=seed,
        )
        for index, tower in enumerate(towers):
            estimate = drawn.estimate(index, [0])
            assert estimate is not None
            place = {"tower": tower, "probe": probe, "pictures": pictures}
            found.append(place | {"value": estimate.value, "low": estimate.low, "high": estimate.high})
    return found
