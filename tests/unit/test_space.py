"""Architectures: shapes, titles, JSON, and every gene of every space."""

import json

import pytest

from nacsr.errors import SpecError
from nacsr.frontends.neural.space import Attention, Conv, Dense, Flatten, Network, Pool
from nacsr.frontends.neural.space.genes import check, decode, genes
from nacsr.spec import DeepSetsSpec, ImageSpec, MlpSpec, StackSpec

SHAPES = {MlpSpec: (16,), DeepSetsSpec: (8, 3), ImageSpec: (1, 11, 11)}
STACK = StackSpec(
    depth=(0, 2), widths=(4, 8), activations=("leaky_relu", "relu", "none"), mixed=True
)
SPACES = {
    "mlp": MlpSpec(depth=(1, 3), widths=(4, 8), activations=("relu", "tanh"), mixed=True),
    "shared": MlpSpec(depth=(1, 3), widths=(4, 8), activations=("relu", "tanh")),
    "deepsets": DeepSetsSpec(phi=STACK, rho=STACK, bottleneck=(2, 4), pools=("mean", "max", "sum")),
    "cnn": ImageSpec(
        blocks=2, block_types=("conv", "attention", "none"), activations=("relu", "none")
    ),
}


def built(name, values):
    return decode(SPACES[name], values, SHAPES[type(SPACES[name])], 5)


def first(name):
    """The choices that make most genes count."""
    found = {gene: g.options[-1] for gene, g in genes(SPACES[name]).items()}
    return found | {gene: "conv" for gene in ("block0", "block1") if gene in found}


@pytest.mark.parametrize("name", SPACES)
def test_every_choice_of_every_gene_is_another_network(name):
    start = first(name)
    for gene, choices in genes(SPACES[name]).items():
        if gene.endswith(("_hidden", "0_activation", "1_activation")) and gene in start:
            attention = "hidden" in gene or gene.count("_") == 1
            start_here = start | ({gene[:6]: "attention"} if attention else {})
        else:
            start_here = start
        keys = {built(name, start_here | {gene: option}).key for option in choices.options}
        assert len(keys) == len(choices.options), gene


@pytest.mark.parametrize("name", SPACES)
def test_genes_beyond_the_depth_leave_no_trace(name):
    start = first(name)
    depths = [gene for gene in start if gene.endswith("depth")]
    for depth in depths:
        low = start | {depth: genes(SPACES[name])[depth].options[0]}
        last = depth.replace("depth", f"width{max(genes(SPACES[name])[depth].options) - 1}")
        assert built(name, low).key == built(name, low | {last: 4}).key
        assert built(name, start).key != built(name, start | {last: 4}).key


def test_what_a_deep_set_is_made_of():
    values = first("deepsets") | {
        "phi_depth": 2, "phi_width0": 4, "phi_width1": 8, "bottleneck": 2, "pool": "max",
        "phi_activation2": "none", "phi_batchnorm2": False, "rho_depth": 0,
    }  # fmt: skip
    network = built("deepsets", values)
    assert [type(layer) for layer in network.layers] == [Dense, Dense, Dense, Pool, Dense]
    assert [layer.width for layer in network.layers if isinstance(layer, Dense)] == [4, 8, 2, 5]
    assert network.shapes == [(8, 4), (8, 8), (8, 2), (2,), (5,)]
    assert network.layers[2].activation == "none"
    assert not network.layers[2].norm
    assert network.layers[-1].bits is None


def test_what_an_image_network_is_made_of():
    values = first("cnn") | {"block0": "attention", "block0_hidden": 8, "block1": "none"}
    network = built("cnn", values)
    kinds = [type(layer) for layer in network.layers[:3]]
    assert kinds == [Conv, Attention, Flatten]
    assert network.layers[1].hidden == 8
    assert not network.lowers
    assert built("cnn", first("cnn")).lowers


def test_a_key_is_a_network():
    for name in SPACES:
        network = built(name, first(name))
        assert Network.from_dict(json.loads(network.key)) == network


@pytest.mark.parametrize(
    ("network", "title"),
    [
        (
            Network((16,), (Dense(32, False, "relu", 6), Dense(5, weight_bits=6, bits=None))),
            "MLP 16-32-5 relu w6 a8",
        ),
        (
            Network((16,), (Dense(8, True, "relu", 4, 10), Dense(5, False, "none", 4, None)), 10),
            "MLP 16-8-5 relu bn w4 a10",
        ),
        (
            Network(
                (8, 3),
                (
                    Dense(8, True, "relu"),
                    Dense(4),
                    Pool("mean"),
                    Dense(5, weight_bits=4, bits=None),
                ),
            ),
            "deep sets 8x3-8(relu,bn)-4 | mean | 5 w4..8 a8",
        ),
        (
            Network((1, 5, 5), (Conv(4, 3), Attention(2), Flatten(), Dense(2, bits=None))),
            "CNN 1x5x5-c4k3-attention2 | 2 none w8 a8",
        ),
    ],
)
def test_titles(network, title):
    assert network.title == title


@pytest.mark.parametrize(
    ("shape", "layers", "message"),
    [
        ((1, 3, 3), (Conv(8, 5),), r"layer 1 of 1: a 5x5 kernel needs room; .* \[1, 3, 3\]"),
        ((16,), (Dense(4), Conv(8, 3)), r"layer 2 of 2: a convolution needs an image"),
        ((16,), (Pool("mean"),), r"a pool needs a set \(particles, features\)"),
        ((8, 3), (Pool("median"),), "unknown pool 'median'.*mean, max, sum"),
        ((16,), (Dense(0),), "a size must be 1 or more, got 0"),
        ((16,), (Dense(4, activation="gelu"),), "unknown activation 'gelu'"),
        ((1, 3, 3), (Dense(4),), "a dense layer needs a Flatten before it"),
    ],
)
def test_layers_that_do_not_fit(shape, layers, message):
    with pytest.raises(SpecError, match=message):
        Network(shape, layers)


def test_an_impossible_space_is_refused():
    message = r"no network of kind cnn reads events of \[1, 2, 2\]: .*a 3x3 kernel needs room"
    with pytest.raises(SpecError, match=message):
        check(ImageSpec(), (1, 2, 2), 5)
    with pytest.raises(
        SpecError, match=r"kind deepsets reads events of \[16\]: .*particles, values\)"
    ):
        check(DeepSetsSpec(), (16,), 5)


def test_a_perceptron_reads_an_array_as_a_list():
    spec = MlpSpec(depth=(1,), widths=(4,))
    values = {name: gene.options[0] for name, gene in genes(spec).items()}
    network = decode(spec, values, (8, 3), 2)
    assert (network.input, network.shapes) == ((24,), [(4,), (2,)])
