"""Genotypes: canonical keys, JSON, titles, and what the space refuses."""

import json

import pytest

from nacsr.errors import SpecError
from nacsr.frontends.neural.space import Mlp, decode, genes
from nacsr.spec import NetworkSpec

VALUES = {
    "depth": 1,
    "width0": 16,
    "width1": 32,
    "width2": 8,
    "activation": "relu",
    "batchnorm": True,
    "weight_bits": 6,
    "activation_bits": 8,
}


def test_unused_width_genes_leave_no_trace():
    other = VALUES | {"width1": 64, "width2": 64}
    assert decode(VALUES).key == decode(other).key
    assert decode(VALUES).widths == (16,)
    assert decode(VALUES | {"depth": 2}).key != decode(other | {"depth": 2}).key


@pytest.mark.parametrize("change", [{"weight_bits": 4}, {"batchnorm": False}, {"width0": 8}])
def test_used_genes_change_the_key(change):
    assert decode(VALUES).key != decode(VALUES | change).key


def test_json_round_trip():
    mlp = decode(VALUES)
    assert Mlp.from_dict(json.loads(mlp.key)) == mlp


def test_title():
    assert Mlp((32, 16), "relu", False, 6, 8).title(16, 5) == "MLP 16-32-16-5 relu w6 a8"
    assert Mlp((8,), "relu", True, 4, 10).title(16, 5) == "MLP 16-8-5 relu bn w4 a10"


def test_genes_are_the_sorted_choices_of_the_spec():
    found = genes(NetworkSpec(depth=(3, 1), widths=(64, 8)))
    assert found["depth"].options == (1, 3)
    assert [name for name in found if name.startswith("width")] == ["width0", "width1", "width2"]
    assert found["width2"].options == (8, 64)


def test_an_activation_that_is_not_exact_is_refused():
    with pytest.raises(SpecError, match=r"'tanh' is not offered.*choose from relu"):
        genes(NetworkSpec(activations=("relu", "tanh")))
