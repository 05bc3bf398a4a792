"""Probes of frozen features. Each gives one score in [0, 1] a test picture.

Reference: DINO, arXiv 2104.14294 (weighted nearest neighbours); DINOv2, arXiv 2304.07193 (linear probes).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vlmloom.pipelines.evaluate_vision.features import Features
from vlmloom.pipelines.evaluate_vision.scenes import Crowds, Scenes, carry

Scorer = Callable[[Features, Scenes], np.ndarray]
"""Scores `[N]` of test pictures, by their features and the truth about them."""
Probe = Callable[[Features, Scenes], Scorer]
"""Fitted once to the features of known pictures."""
NEIGHBOURS, TEMPERATURE = 10, 0.07
BANK = 8192
"""Patches that patches are compared with; more are thinned out evenly."""
NEAR = 0.1
"""A place is found where it is at most so far off, in shares of the side."""


def vote(bank: Tensor, labels: Tensor, queries: Tensor, classes: int) -> Tensor:
    """The class `[Q]` that the nearest rows of a bank vote for, each by exp(cosine / temperature).

    Args:
        bank: `[N, D]`.
        labels: `[N]`, below `classes`.
        queries: `[Q, D]`.
        classes: how many there are.
    """
    bank, chosen = F.normalize(bank, dim=-1), []
    for part in F.normalize(queries, dim=-1).split(2048):
        cosines, nearest = (part @ bank.t()).topk(min(NEIGHBOURS, len(bank)))
        votes = torch.zeros(len(part), classes)
        chosen.append(votes.scatter_add_(1, labels[nearest], ((cosines - 1) / TEMPERATURE).exp()).argmax(1))
    return torch.cat(chosen)


def neighbours(train: Features, known: Scenes) -> Scorer:
    """Whether the nearest pictures name the thing."""
    labels = torch.from_numpy(known.things)

    def score(test: Features, truth: Scenes) -> np.ndarray:
        return vote(train.pooled, labels, test.pooled, int(labels.max()) + 1).numpy() == truth.things

    return score


def linear(train: Features, known: Scenes) -> Scorer:
    """Whether logistic regression on standardised features names the thing."""
    classify = regression(train.pooled, known.things)
    return lambda test, truth: classify(test.pooled) == truth.things


def regression(features: Tensor, labels: np.ndarray) -> Callable[[Tensor], np.ndarray]:
    """Logistic regression on standardised features `[N, E]`: what says the class of others."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(features.numpy(), labels)
    return lambda others: probe.predict(others.numpy())


def segmentation(train: Features, known: Scenes) -> Scorer:
    """Mean intersection over union of thing and ground, by the nearest patches, at the pixels of the picture.

    A patch that the thing covers by half or more is the thing's.
    """
    bank, labels = train.maps.flatten(0, 2), (_covered(train, known) >= 0.5).long().flatten()
    thin = slice(None, None, -(-len(bank) // BANK))

    def score(test: Features, truth: Scenes) -> np.ndarray:
        found = vote(bank[thin], labels[thin], test.maps.flatten(0, 2), 2)
        grid = found.reshape(-1, 1, *test.maps.shape[1:3]).float()
        return overlap(F.interpolate(grid, truth.masks.shape[1:]), torch.from_numpy(truth.masks)).numpy()

    return score


def overlap(found: Tensor, truth: Tensor) -> Tensor:
    """Mean over ground and thing of intersection over union, of each picture: `[N]`."""
    from torchmetrics.functional.segmentation import mean_iou

    return mean_iou(
        found.reshape(truth.shape).long(), truth.long(), num_classes=2, input_format="index"
    ).float()


def position(train: Features, known: Scenes) -> Scorer:
    """Whether ridge regression on the map of features tells the middle of the thing within `NEAR`."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-1, 5, 7)))
    probe.fit(_coarse(train), known.centres)
    return lambda test, truth: np.linalg.norm(probe.predict(_coarse(test)) - truth.centres, axis=1) <= NEAR


def correspondence(one: Features, known: Scenes) -> Scorer:
    """The share of a thing's patches whose nearest, in its other picture, is within `NEAR` (PCK).

    A thing that covers no patch by half is looked for by the one it covers most. Nothing is learned: the
    first pictures are those that the others are compared with, one by one.
    """

    def score(other: Features, truth: Scenes) -> np.ndarray:
        here, there = _places(one), _places(other)
        scores = []
        for index, cover in enumerate(_covered(one, known).flatten(1)):
            asked = cover >= min(0.5, float(cover.max()))
            queries = F.normalize(one.maps[index].flatten(0, 1)[asked], dim=-1)
            answers = F.normalize(other.maps[index].flatten(0, 1), dim=-1)
            found = there[(queries @ answers.t()).argmax(1).numpy()]
            right = carry(here[asked.numpy()], known, truth, index)
            scores.append((np.linalg.norm(found - right, axis=1) <= NEAR).mean())
        return np.array(scores)

    return score


def count(train: Features, known: Crowds) -> Callable[[Features, Crowds], np.ndarray]:
    """Whether logistic regression on standardised features tells how many things there are."""
    classify = regression(train.pooled, known.counts)
    return lambda test, truth: classify(test.pooled) == truth.counts


def all_ground(known: Scenes, truth: Scenes) -> float:
    """What `segmentation` gives an empty map of every picture."""
    masks = torch.from_numpy(truth.masks)
    return float(overlap(torch.zeros_like(masks), masks).mean())


def usual_middle(known: Scenes, truth: Scenes) -> float:
    """What `position` gives the mean of all known middles."""
    return float((np.linalg.norm(known.centres.mean(0) - truth.centres, axis=1) <= NEAR).mean())


def anywhere(known: Scenes, truth: Scenes) -> float:
    """What `correspondence` gives any place of the picture, looked for from the thing's middle."""
    fine = (np.argwhere(np.ones((64, 64))) + 0.5) / 64
    return float(np.mean([np.linalg.norm(fine - middle, axis=1) <= NEAR for middle in truth.centres]))


def _covered(features: Features, scenes: Scenes) -> Tensor:
    """How much of each patch `[N, 1, rows, columns]` the thing covers."""
    rows, columns = features.maps.shape[1:3]
    return F.adaptive_avg_pool2d(torch.from_numpy(scenes.masks)[:, None].float(), (rows, columns))


def _places(features: Features) -> np.ndarray:
    """The middles of patches `[rows * columns, 2]` in shares of the side."""
    rows, columns = features.maps.shape[1:3]
    return (np.argwhere(np.ones((rows, columns))) + 0.5) / (rows, columns)


def _coarse(features: Features) -> np.ndarray:
    """At most 4 x 4 places a picture, so that a finer grid has no more numbers to fit by."""
    rows, columns = (min(4, side) for side in features.maps.shape[1:3])
    return F.adaptive_avg_pool2d(features.maps.permute(0, 3, 1, 2), (rows, columns)).flatten(1).numpy()


GUESSES: dict[str, Callable[[Scenes, Scenes], float]] = {
    "segmentation": all_ground,
    "position": usual_middle,
    "correspondence": anywhere,
}
"""What the dense probes give an answer that knows nothing of the features; finer grids can gain more."""
PROBES: dict[str, Probe] = {
    "knn": neighbours,
    "linear": linear,
    "segmentation": segmentation,
    "position": position,
}
