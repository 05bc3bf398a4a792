"""What a config.json leaves out is what transformers takes for it."""

import copy
import json

import pytest

pytest.importorskip("transformers")

from released import CONFIGS, classes, model_of

from vlmloom.assemblies.native.families import FAMILIES
from vlmloom.assemblies.native.families.settings import NEEDED, Setting

LAYERS = ("first_k_dense_replace", "text_config.first_k_dense_replace", "mlp_layer_types", "indexer_types")
"""Places that say of each layer what it is, and have rules of their own."""
BY_SHAPE = "num_key_value_heads"
"""Left out, it means 2 or 8 there, and null as many as queries; what the tensors do not fit is refused."""


def without(config, place):
    """Whether there was a value at a place; it is taken out."""
    *path, last = place.split(".")
    for key in path:
        config = config.get(key, {})
    return config.pop(last, None) is not None


@pytest.mark.parametrize("family", CONFIGS)
def test_a_value_that_is_left_out_is_theirs(family):
    known = FAMILIES[family]
    whole = json.loads(model_of(family).config.to_json_string(use_diff=False))
    rows = [row.places for row in known.settings if isinstance(row, Setting) and row.default is not NEEDED]
    compared = 0
    for places in (*rows, *((place,) for place in LAYERS)):
        left = copy.deepcopy(whole)
        if any([without(left, place) for place in places]) and not places[0].endswith(BY_SHAPE):
            theirs = classes(family)[0].from_dict(copy.deepcopy(left)).to_json_string(use_diff=False)
            assert known.assembly(left) == known.assembly(json.loads(theirs)), places
            compared += 1
    assert compared > 9
