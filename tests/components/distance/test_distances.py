"""What each distance sees, and what leaves it unmoved."""

import pytest
import torch

from vlmloom.components.distance.cosine import Cosine
from vlmloom.components.distance.relation import Relation
from vlmloom.components.distance.smooth_l1 import SmoothL1

LENGTHS = [5, 1, 7]


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(sum(LENGTHS), 8, generator=generator), torch.randn(
        sum(LENGTHS), 8, generator=generator
    )


def turned(features):
    rotation, _ = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))
    return features @ rotation


@pytest.mark.parametrize("distance", [Cosine(), SmoothL1(), Relation(), Relation(beta=None)])
def test_equal_features_are_at_no_distance_and_others_are(distance, features):
    student, teacher = features
    assert distance(teacher, teacher, LENGTHS).abs() < 1e-6
    assert distance(student, teacher, LENGTHS) > 0.1


def test_cosine_sees_the_direction_and_smooth_l1_the_amplitude(features):
    _, teacher = features
    assert Cosine()(3 * teacher, teacher, LENGTHS).abs() < 1e-6
    assert SmoothL1()(3 * teacher, teacher, LENGTHS) > 0.1


def test_relation_sees_which_places_are_alike_and_nothing_else(features):
    _, teacher = features
    for distance in (Relation(), Relation(beta=None)):
        assert distance(turned(teacher), teacher, LENGTHS) < 1e-5
        # Two places of one picture change roles: features are the same set, relations are not.
        assert distance(teacher[[1, 0, 2, 3, 4, *range(5, 13)]], teacher, LENGTHS) > 5e-4
    assert Cosine()(turned(teacher), teacher, LENGTHS) > 0.1


def test_relation_does_not_cross_pictures(features):
    student, teacher = features
    moved = student.clone()
    moved[5:] = turned(student[5:])
    torch.testing.assert_close(
        Relation()(moved, teacher, [5, 8]), Relation()(student, teacher, [5, 8]), atol=1e-5, rtol=1e-5
    )
    assert (Relation()(moved, teacher, [13]) - Relation()(student, teacher, [13])).abs() > 1e-3


def test_relation_by_squares_is_the_mean_over_pairs(features):
    student, teacher = (torch.nn.functional.normalize(side, dim=-1) for side in features)
    wanted = [
        (a @ a.t() - b @ b.t()).square().sum()
        for a, b in zip(student.split(LENGTHS), teacher.split(LENGTHS), strict=True)
    ]
    expected = torch.stack(wanted).sum() / sum(length**2 for length in LENGTHS)
    torch.testing.assert_close(Relation(beta=None)(*features, LENGTHS), expected)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Cosine(weight=-1), "distance/cosine: weight is -1; 0 or more would be right"),
        (lambda: SmoothL1(beta=0), "distance/smooth_l1: beta is 0; above 0 would be right"),
        (lambda: Relation(beta=-1), "distance/relation: beta is -1; above 0, or null, would be right"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(make, text):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == text
