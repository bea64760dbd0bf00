"""Bit operations: the paper's equations by hand, and the numbers that it prints."""

import math

import pytest

from nacsr.frontends.neural.space import Attention, Conv, Dense, Flatten, Network, Pool
from nacsr.frontends.neural.space.bops import attention, bops, published


def test_a_dense_layer_is_equation_a1():
    network = Network((16,), (Dense(8, weight_bits=4, bits=None),), input_bits=6)
    assert bops(network) == pytest.approx(16 * 8 * (6 * 4 + 6 + 4 + math.log2(16)))
    assert bops(network, [0.25]) == pytest.approx(16 * 8 * (6 + 6 + 4 + math.log2(16)))


def test_a_particle_counts_each_time():
    phi, rho = Dense(4, weight_bits=8, bits=6), Dense(5, weight_bits=8, bits=None)
    network = Network((8, 3), (phi, Pool("mean", 7), rho))
    each = 3 * 4 * (64 + 16 + math.log2(3))
    assert bops(network) == pytest.approx(8 * each + 4 * 5 * (7 * 8 + 7 + 8 + 2))


def test_a_convolution_counts_a_pixel_of_its_result_each_time():
    network = Network((2, 5, 5), (Conv(3, 3), Flatten(), Dense(2, bits=None)))
    image = 9 * 3 * 2 * 9 * (64 + 16 + math.log2(18))
    assert bops(network) == pytest.approx(image + 27 * 2 * (80 + math.log2(27)))


def test_attention_adds_its_six_products():
    network = Network((2, 3, 3), (Attention(4), Flatten(), Dense(2, bits=None)))
    assert bops(network) == pytest.approx(attention((2, 3, 3), 4) + 18 * 2 * (80 + math.log2(18)))
    assert attention((2, 3, 3), 8) > attention((2, 3, 3), 4)


BRAGG = {
    "tiny": ([(8, 3)], [32, 32, 32, 2], 800, 23_094),
    "small": ([(8, 3), (2, 1), (4, 1)], [64, 32, 16, 2], 881, 23_788),
    "medium": ([(8, 3), (16, 1), (4, 1)], [64, 64, 16, 2], 1_447, 26_402),
    "large": ([(8, 3), (64, 1), (32, 1)], [32, 64, 64, 2], 5_861, 92_438),
}
"""Convolutions, dense layers, mega-BOPs and parameters of Tables 1 and B1 of arXiv:2501.05515.

Table B1 prints kernels of 3 in the blocks of all but the first; the printed numbers of parameters
and of BOPs are those of kernels of 1.
"""
NORMS = {"tiny": 32 + 2, "small": 4 + 64 + 32 + 16 + 2, "medium": 16 + 4 + 16 + 2}
NORMS["large"] = 64 + 32 + 64 + 2


def bragg(name):
    convolutions, widths, *_ = BRAGG[name]
    layers = [*(Conv(c, k) for c, k in convolutions), Flatten(), *(Dense(w) for w in widths)]
    return Network((1, 11, 11), tuple(layers))


@pytest.mark.parametrize("name", BRAGG)
def test_the_count_that_the_paper_prints(name):
    assert published(bragg(name)) / 1e6 == pytest.approx(BRAGG[name][2], abs=1)


@pytest.mark.parametrize("name", BRAGG)
def test_the_parameters_that_the_paper_prints(name):
    network, shape, count = bragg(name), (1, 11, 11), 0
    for layer, after in zip(network.layers, network.shapes, strict=True):
        if isinstance(layer, Conv):
            count += layer.channels * (shape[0] * layer.kernel**2 + 1)
        elif isinstance(layer, Dense):
            count += layer.width * (shape[0] + 1)
        shape = after
    assert count + 2 * NORMS[name] == BRAGG[name][3]


def test_the_published_count_is_far_above_the_products_that_are_done():
    assert published(bragg("small")) > 100 * bops(bragg("small"))
