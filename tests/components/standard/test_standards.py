"""What each standardisation makes equal, and what it leaves in proportion."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vlmloom.components.standard.channel import Channel
from vlmloom.components.standard.phi_s import PhiS, hadamard_of
from vlmloom.components.standard.place import Place

WIDTH = 12


@pytest.fixture
def features():
    """Channels of scales from .01 to 100, correlated, off zero."""
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(WIDTH, WIDTH, generator=generator)
    scales = torch.logspace(-2, 2, WIDTH)
    return torch.randn(4000, WIDTH, generator=generator) @ mix * scales + 5 * scales


def fitted(standard, features, pieces=7):
    for part in features.tensor_split(pieces):
        standard.observe(part)
    return standard


@pytest.mark.parametrize("kind", [Channel, PhiS])
def test_channels_get_mean_zero_and_variance_one(kind, features):
    out = fitted(kind(width=WIDTH, rows=4000), features)(features)
    torch.testing.assert_close(out.mean(0), torch.zeros(WIDTH), atol=2e-3, rtol=0)
    torch.testing.assert_close(out.var(0, unbiased=False), torch.ones(WIDTH), atol=5e-3, rtol=0)


def test_phi_s_keeps_proportions_of_distances_and_channel_does_not(features):
    def proportions(out):
        gaps = (out[:50, None] - out[None, 50:100]).norm(dim=-1) / (
            features[:50, None] - features[50:100]
        ).norm(dim=-1)
        return float(gaps.std() / gaps.mean())

    assert proportions(fitted(PhiS(width=WIDTH, rows=4000), features)(features)) < 1e-3
    assert proportions(fitted(Channel(width=WIDTH, rows=4000), features)(features)) > 0.3


def test_a_new_basis_of_phi_s_keeps_to_the_old_one(features):
    standard, cosines = PhiS(width=WIDTH, rows=4000), []
    for part in features.tensor_split(40):
        before = standard(features[-500:]) if standard.made else None
        standard.observe(part)
        if before is not None:
            cosines.append(F.cosine_similarity(before, standard(features[-500:])).mean())
    assert min(cosines) > 0.9


def test_place_norms_each_place_by_itself(features):
    out = Place(width=WIDTH)(features)
    torch.testing.assert_close(out.mean(1), torch.zeros(4000), atol=1e-4, rtol=0)
    torch.testing.assert_close(out.var(1, unbiased=False), torch.ones(4000), atol=1e-3, rtol=0)


@pytest.mark.parametrize("kind", [Channel, PhiS])
def test_the_scale_stands_still_once_the_rows_are_there_and_survives_a_reload(kind, features):
    standard = fitted(kind(width=WIDTH, rows=1000), features[:1000])
    before = standard(features[:10])
    standard.observe(100 * features)
    assert torch.equal(standard(features[:10]), before)
    other = kind(width=WIDTH, rows=1000)
    other.load_state_dict(standard.state_dict())
    assert torch.equal(other(features[:10]), before)


@pytest.mark.parametrize("kind", [Channel, PhiS])
def test_a_reload_half_way_goes_on_as_if_it_had_not_stopped(kind, features):
    whole = fitted(kind(width=WIDTH, rows=4000), features, 8)
    first = fitted(kind(width=WIDTH, rows=4000), features[:2000], 4)
    second = kind(width=WIDTH, rows=4000)
    second.load_state_dict(first.state_dict())
    fitted(second, features[2000:], 4)
    assert torch.equal(second(features), whole(features))


def test_a_channel_without_variance_stays_finite():
    features = torch.cat([torch.randn(100, 3), torch.full((100, 1), 7.0)], dim=1)
    assert fitted(Channel(width=4, rows=100), features)(features).isfinite().all()
    constant = torch.ones(100, 4)
    assert fitted(PhiS(width=4, rows=100), constant)(constant).isfinite().all()


@pytest.mark.parametrize("order", [1, 2, 12, 20, 28, 36, 64, 192, 384, 768, 1024, 1152, 1280])
def test_hadamard_rows_stand_at_right_angles(order):
    matrix = hadamard_of(order)
    assert set(np.unique(matrix)) <= {-1.0, 1.0}
    assert np.array_equal(matrix @ matrix.T, order * np.eye(order))


def test_an_order_without_a_matrix_is_refused_in_one_line():
    with pytest.raises(ValueError) as caught:
        PhiS(width=30)
    assert str(caught.value) == (
        "standard/phi_s: knows no Hadamard matrix of order 30, the teacher's width; "
        "standard/channel or standard/place would be right"
    )
