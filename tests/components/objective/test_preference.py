"""Bradley-Terry against its formula, written out."""

import math

import pytest
import torch
from torch import nn

from vlmloom.components.contracts.packed import Packed
from vlmloom.components.objective.preference import Preference


class Values(nn.Module):
    """A reward whose values are its parameters."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.tensor(values))

    def forward(self, batch):
        return self.values, {}


def pairs(*gaps: float) -> Packed:
    batch = Packed.texts([[1]] * 2 * len(gaps), gap=torch.tensor(gaps))
    batch.normaliser = float(max(len(gaps), 1))
    return batch


@pytest.mark.parametrize(("margin", "centre"), [(0.0, 0.0), (0.7, 0.0), (0.0, 0.1), (0.5, 0.2)])
def test_the_loss_is_the_formula(margin, centre):
    values, gaps = [(1.5, 0.2), (-0.3, 0.4)], (1.0, 0.25)
    model = Values(*(value for pair in values for value in pair))
    loss, parts = Preference(margin=margin, centre=centre)(model, pairs(*gaps))
    wanted = 0.0
    for (chosen, rejected), gap in zip(values, gaps, strict=True):
        wanted -= math.log(1 / (1 + math.exp(-(chosen - rejected - margin * gap))))
        wanted += centre * (chosen + rejected) ** 2
    assert float(loss) == pytest.approx(wanted / 2, rel=1e-5)
    assert float(parts["accuracy"]) == 0.5 and float(parts["ahead"]) == pytest.approx(0.3)


def test_only_centring_moves_both_values_of_a_pair_together():
    for centre in (0.0, 0.1):
        model = Values(3.0, 2.0)
        Preference(centre=centre)(model, pairs(1.0))[0].backward()
        assert (float(model.values.grad.sum()) == pytest.approx(0.0, abs=1e-6)) == (not centre)


def test_a_pack_without_pairs_has_a_loss_of_zero():
    model = Values()
    loss, parts = Preference()(model, pairs())
    assert float(loss) == 0 and float(parts["accuracy"]) == 0


@pytest.mark.parametrize("name", ["margin", "centre"])
def test_terms_are_not_negative(name):
    with pytest.raises(ValueError, match=f"{name} is -1; 0 or more"):
        Preference(**{name: -1})
