"""Architectures to start from: genes that stand for them, and what is refused."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacsr.archive import Archive
from nacsr.errors import SpecError
from nacsr.frontends.neural.space import Network
from nacsr.frontends.neural.space.encode import encode
from nacsr.frontends.neural.space.genes import decode, genes
from nacsr.frontends.neural.start import begun
from nacsr.records import Candidate, Found, Outcome
from nacsr.spec import DeepSetsSpec, ImageSpec, MlpSpec, StackSpec, StudySpec

STACK = StackSpec(depth=(0, 2), widths=(4, 8), activations=("relu", "none"), mixed=True)
SPACES = {
    "mlp": (MlpSpec(depth=(0, 1, 3), widths=(4, 8), activations=("relu", "tanh")), (16,)),
    "mixed": (MlpSpec(depth=(1, 3), widths=(4, 8), mixed=True), (16,)),
    "deepsets": (DeepSetsSpec(phi=STACK, rho=STACK, pools=("mean", "max", "sum")), (8, 3)),
    "cnn": (ImageSpec(blocks=3, block_types=("conv", "attention", "none")), (1, 15, 15)),
}


@pytest.mark.parametrize("name", SPACES)
@given(data=st.data())
def test_genes_of_a_network_give_that_network(name, data):
    spec, shape = SPACES[name]
    drawn = {g: data.draw(st.sampled_from(gene.options)) for g, gene in genes(spec).items()}
    network = decode(spec, drawn, shape, 5)
    found = encode(spec, Network.from_dict(json.loads(network.key)))
    assert list(found) == list(genes(spec))
    assert all(found[g] in gene.options for g, gene in genes(spec).items())
    assert decode(spec, found, shape, 5) == network


def refusal(given, name="mlp", population=9, outputs=5, **changes):
    spec, shape = SPACES[name]
    spec = spec.model_copy(update={"start": given, **changes})
    with pytest.raises(SpecError) as caught:
        begun(spec, shape, outputs, population)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix("families.network.start")


def titles(given, name="mlp", **changes):
    spec, shape = SPACES[name]
    spec = spec.model_copy(update={"start": given, **changes})
    return [decode(spec, g, shape, 5).title for g in begun(spec, shape, 5, 9)]


def test_what_is_left_out_is_the_first_that_the_space_lists():
    bits = {"weight_bits": (8, 4), "activation_bits": (10, 6)}
    assert titles(({"widths": (8,)},), **bits) == ["MLP 16-8-5 relu w8 a10"]
    whole = {"widths": (8, 4, 4), "activation": "tanh", "batchnorm": True, "weight_bits": 4}
    assert titles((whole,), **bits) == ["MLP 16-8-4-4-5 tanh bn w4 a10"]
    assert titles(({"widths": ()},)) == ["MLP 16-5 w4 a6"]
    sets = {"phi": (8, 4), "bottleneck": 16, "pool": "max", "activation": "none"}
    assert titles((sets,), "deepsets") == ["deep sets 8x3-8-4-16 | max | 5 none w4 a6"]


def test_networks_as_an_archive_records_them():
    spec, shape = SPACES["cnn"]
    drawn = {name: gene.options[-1] for name, gene in genes(spec).items()}
    network = decode(spec, drawn | {"block1": "conv"}, shape, 5)
    record = {**network.to_dict(), "training": "brevitas"}
    assert titles((record,), "cnn") == [network.title]
    del record["input"]
    assert titles((record,), "cnn") == [network.title]


def test_the_same_network_twice_begins_once():
    assert len(titles(({"widths": (8,)}, {"widths": (8,), "weight_bits": 4}))) == 1


def dense(*widths, bits=6, weight_bits=4):
    layers = [{"layer": "dense", "width": w, "activation": "relu", "bits": bits} for w in widths]
    layers += [{"layer": "dense", "width": 5, "bits": None}]
    return {"layers": [one | {"weight_bits": weight_bits} for one in layers], "input_bits": 6}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"widths": (8, 8)}, "[0]: depth 2 is not in the search space, which has 0, 1, 3; add it"),
        ({"widths": (5,)}, "[0]: width0 5 is not in the search space, which has 4, 8; add it"),
        ({"widths": (8,), "activation": "none"}, "[0]: activation none is not in the search space"),
        ({"widths": (8,), "weight_bits": 5}, "[0]: weight_bits 5 is not in the search space, whi"),
        ({"width": (8,)}, "[0]: unknown key 'width', did you mean 'widths'? Choose from: widths,"),
        ({"widths": "abc"}, "[0]: is no network (TypeError"),
        ({"weight_bits": 4}, "[0]: is no network (KeyError: 'widths'); write it as 'nacsr show"),
        ({"layers": 4}, "[0]: is no network (TypeError"),
        ({"layers": ()}, "[0]: gives outputs of shape [16], the study needs [5]"),
        ({"layers": ({"layer": "dens"},)}, "[0]: unknown layer 'dens', did you mean 'dense'?"),
        ({"layers": ({"layer": "dense", "width": 5, "size": 1},)}, "[0]: layer dense: got an unex"),
        ({"layers": ({"layer": "pool", "kind": "max"},)}, "[0]: layer 1 of 1: a pool needs a set"),
        ({"layers": ({"layer": "dense", "width": 3},)}, "[0]: gives outputs of shape [3], the st"),
        ({**dense(8), "input": (3,)}, "[0]: reads events of [3], those of the study are [16]"),
        (dense(8, bits=8), "[0]: layer 1 is Dense(width=8"),
        ("runs/none:12ab", "[0]: runs/none: no archive here; give the folder"),
        ("12ab", "[0]: '12ab' is no RUN:ID of a network; see nacsr front RUN"),
    ],
)
def test_what_cannot_begin_is_refused_by_its_place(given, expected):
    assert refusal((given,)).startswith(expected)


def test_layers_that_a_kind_does_not_have():
    pooled = {"layers": ({"layer": "pool", "kind": "max"}, {"layer": "dense", "width": 5})}
    assert refusal((pooled,), "deepsets").startswith("[0]: deep sets have a dense layer and a pool")
    flat = {"layers": ({"layer": "flatten"}, {"layer": "dense", "width": 5})}
    assert "have a convolution and a flatten layer" in refusal((flat,), "cnn")
    assert "is given by its layers" in refusal(({},), "cnn")
    assert "has a layer flatten where the search space has dense" in refusal((flat,), "mlp")


def test_more_blocks_than_the_space_has():
    spec, shape = SPACES["cnn"]
    drawn = {name: gene.options[-1] for name, gene in genes(spec).items()}
    blocks = {f"block{b}": "attention" for b in range(3)}
    record = decode(spec, drawn | blocks, shape, 5).to_dict()
    assert "[0]: it has 3 blocks, the search space has 2" in refusal((record,), "cnn", blocks=2)


def test_more_than_a_generation_are_refused():
    given = ({"widths": (8,)}, {"widths": (4,)})
    assert refusal(given, population=1).startswith(": gives 2 networks, a generation has 1;")


def test_networks_of_an_earlier_run(tmp_path: Path):
    spec, shape = SPACES["mlp"]
    drawn = {name: gene.options[-1] for name, gene in genes(spec).items()}
    network = decode(spec, drawn, shape, 5)
    genotype = {**network.to_dict(), "training": "search, rung 0"}
    made = Candidate("network", genotype, 1, network.title)
    lean = Candidate("network", {**genotype, "training": "lean"}, 1, "lean 32-16-5")
    formula = Candidate("expression", {}, 1, "y = 0")
    with Archive(tmp_path, create=True) as archive:
        found = [Found(c) for c in (made, formula, lean)]
        archive.record("job", Outcome(found=tuple(found)))
    assert titles((f"{tmp_path}:{made.id[:6]}",)) == [network.title]
    assert "another kind (lean); give one of the search" in refusal((f"{tmp_path}:{lean.id}",))
    assert "is an expression; give a network" in refusal((f"{tmp_path}:{formula.id}",))
    assert "no candidate is called 'zz'" in refusal((f"{tmp_path}:zz",))


def test_a_study_keeps_what_it_starts_from():
    start = [{"widths": [64, 32]}, {"layers": [{"layer": "dense", "width": 5}]}, "runs/a:12"]
    document = {"dataset": "jets", "families": {"network": {"start": start}}}
    spec = StudySpec.from_mapping(document)
    assert len(spec.families.network.start) == 3
    assert StudySpec.from_mapping(json.loads(json.dumps(spec.model_dump(mode="json")))) == spec


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ([], "families.network.start: give at least one choice"),
        ([64], r"families.network.start\[0\]: expected text or keys and values, got 64"),
        ({"widths": [4]}, "families.network.start: expected a list, got {'widths'"),
    ],
)
def test_what_is_no_start_at_all(start, expected):
    document = {"dataset": "jets", "families": {"network": {"start": start}}}
    with pytest.raises(SpecError, match=expected):
        StudySpec.from_mapping(document)
