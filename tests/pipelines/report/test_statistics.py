import numpy as np
import pytest
from scipy import stats

from vlmloom.pipelines.report import statistics
from vlmloom.pipelines.report.record import Answer


def scores(values, category=None, scene=None, designs=("a",)):
    values = np.asarray(values, dtype=float)
    items = values.shape[-1]
    category = np.zeros(items, dtype=int) if category is None else np.asarray(category)
    scene = np.arange(items) if scene is None else np.asarray(scene)
    names = tuple(f"c{index}" for index in range(category.max() + 1))
    seeds = tuple(range(values.shape[1]))
    return statistics.Scores(designs, seeds, names, values, category, scene, len(values))


def estimate(found, row=0, categories=(0,), seed=None):
    result = found.estimate(row, list(categories), seed)
    assert result is not None
    return result


def width(result):
    return result.high - result.low


def clustered(rng, clusters, size, spread):
    """Right or wrong answers whose chance varies from scene to scene; the mean chance is one half."""
    chance = np.clip(0.5 + rng.normal(0, spread, clusters), 0, 1)
    return (rng.random((clusters, size)) < chance[:, None]).astype(float).reshape(1, 1, -1)


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    scene = np.repeat(np.arange(40), 4)
    covered, naive = 0, 0
    trials = 1000
    for trial in range(trials):
        values = clustered(rng, 40, 4, 0.3)
        by_scene = estimate(statistics.bootstrap(scores(values, scene=scene), 300, seed=trial))
        covered += by_scene.low <= 0.5 <= by_scene.high
        if trial < 400:
            by_item = estimate(statistics.bootstrap(scores(values), 300, seed=trial))
            naive += by_item.low <= 0.5 <= by_item.high
    # Three standard errors of a share of 0.95 in 1,000 trials are 0.02.
    assert 0.93 <= covered / trials <= 0.97
    assert naive / 400 < 0.91, "items of one scene are not independent: leaving that out must show"


def test_interval_agrees_with_scipy():
    rng = np.random.default_rng(5)
    values = clustered(rng, 150, 3, 0.25)
    found = estimate(statistics.bootstrap(scores(values, scene=np.repeat(np.arange(150), 3)), 4000))
    by_scene = values.reshape(150, 3).mean(1)
    known = stats.bootstrap((by_scene,), np.mean, n_resamples=4000, method="percentile", rng=rng)
    assert found.value == pytest.approx(by_scene.mean())
    assert found.low == pytest.approx(known.confidence_interval.low, abs=0.006)
    assert found.high == pytest.approx(known.confidence_interval.high, abs=0.006)


def test_scenes_of_unequal_size_are_weighted_by_their_items():
    values = [[[1, 1, 1, 1, 1, 1, 0, 0]]]
    found = estimate(statistics.bootstrap(scores(values, scene=[0, 0, 0, 0, 0, 0, 1, 2])))
    assert found.value == 0.75
    assert (found.low, found.high) == (0.0, 1.0)


def test_paired_difference_is_narrower_than_an_unpaired_one():
    rng = np.random.default_rng(0)
    difficulty = rng.random(300)
    pair = np.stack([difficulty < 0.6, difficulty < 0.5]).astype(float)
    pair[:, ::17] = rng.random((2, 18)) < 0.5
    plain = scores(pair[:, None], designs=("a", "b"))
    found = statistics.bootstrap(statistics.with_differences(plain, [(0, 1)]))
    unpaired = np.hypot(width(estimate(found, 0)), width(estimate(found, 1)))
    paired = estimate(found, 2)
    assert paired.value == pytest.approx(pair[0].mean() - pair[1].mean())
    assert width(paired) < 0.6 * unpaired
    known = stats.bootstrap((pair[0] - pair[1],), np.mean, method="percentile", rng=rng).confidence_interval
    assert paired.low == pytest.approx(known.low, abs=0.01)
    assert paired.high == pytest.approx(known.high, abs=0.01)


def test_a_scene_shared_by_categories_is_drawn_for_all_of_them():
    rng = np.random.default_rng(1)
    right = (rng.random(80) < 0.5).astype(float)
    both = np.concatenate([right, right])[None, None]
    category = np.repeat([0, 1], 80)
    shared = statistics.bootstrap(scores(both, category, np.tile(np.arange(80), 2)))
    apart = statistics.bootstrap(scores(both, category, np.arange(160)))
    assert np.allclose(shared.draws[..., 0], shared.draws[..., 1])
    assert width(estimate(shared, categories=(0, 1))) > 1.2 * width(estimate(apart, categories=(0, 1)))


def test_mean_over_categories_does_not_weigh_by_items():
    values = [[[1.0] * 90 + [0.0] * 5 + [1.0] * 5]]
    found = statistics.bootstrap(scores(values, [0] * 90 + [1] * 10))
    assert estimate(found, categories=(0, 1)).value == 0.75


def test_mean_over_seeds_and_every_seed_alone():
    rng = np.random.default_rng(2)
    values = (rng.random((1, 3, 200)) < np.array([0.4, 0.5, 0.6])[:, None]).astype(float)
    found = statistics.bootstrap(scores(values))
    mean = estimate(found)
    assert mean.value == pytest.approx(values.mean())
    assert mean.points == pytest.approx(dict(enumerate(values.mean(-1)[0].tolist())))
    assert estimate(found, seed=1).value == pytest.approx(values[0, 1].mean())
    assert (mean.seed_low, mean.seed_high) == (None, None)


def test_interval_over_seeds_only_from_five():
    points = [0.5, 0.6, 0.55, 0.58, 0.52]
    assert statistics.seed_interval(points[:4]) == (None, None)
    known = stats.t.interval(0.95, 4, np.mean(points), stats.sem(points))
    assert statistics.seed_interval(points) == pytest.approx(known)


def test_missing_seed_takes_no_part_in_a_difference():
    values = np.ones((2, 2, 30))
    values[1, 0] = 0
    values[1, 1] = np.nan
    found = statistics.bootstrap(statistics.with_differences(scores(values, designs=("a", "b")), [(0, 1)]))
    difference = estimate(found, 2)
    assert difference.points == {0: 1.0}
    assert found.estimate(1, [0], seed=1) is None


@pytest.mark.parametrize(("value", "floor"), [(1.0, 0.0), (0.0, 0.0), (0.0, -1.0)])
def test_equal_scores_everywhere_are_no_certainty(value, floor):
    low, high = statistics.interval(value, np.full(100, value), clusters=50, floor=floor)
    squared = stats.norm.ppf(0.975) ** 2
    reach = squared / (50 + squared)
    assert low == pytest.approx(max(floor, value - reach))
    assert high == pytest.approx(min(1.0, value + reach))


def test_same_seed_same_interval():
    values = clustered(np.random.default_rng(0), 60, 1, 0.2)
    first, second, other = (estimate(statistics.bootstrap(scores(values), seed=seed)) for seed in (1, 1, 2))
    assert (first.low, first.high) == (second.low, second.high)
    assert abs(first.low - other.low) < 0.05


def answer(design="a", item=0, category="count", correct=1.0, scene=None, seed=0):
    return Answer(design, seed, "test", category, item, scene or f"scene-{item}", correct)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (
            [answer(correct=float("nan"))],
            "answer of a, seed 0, test/count item 0: correct is nan; it must be from 0",
        ),
        ([answer(correct=1.5)], "correct is 1.5; it must be from 0 to 1"),
        ([answer(), answer()], "answers: a, seed 0, test/count item 0 was answered twice"),
        ([answer(category="cuont")], "answers: category 'cuont' is not listed; listed are count"),
        ([answer(design="c")], "answers: design 'c' is not listed; listed are a, b"),
        (
            [answer(), answer("b", scene="other")],
            "answers: a and b share no item of count, seed 0; designs are compared",
        ),
    ],
)
def test_answers_that_do_not_fit_together_are_refused(answers, message):
    with pytest.raises(ValueError) as caught:
        statistics.collect(answers, ["a", "b"], ["count"])
    print(caught.value)
    assert message in str(caught.value)
