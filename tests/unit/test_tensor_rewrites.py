"""Every rewriting of wires, tensor constants and layers really happens: what one pass leaves."""

from __future__ import annotations

import numpy as np
import pytest

from nacsr.fixed import Fixed
from nacsr.ir import Builder
from nacsr.ir.passes import Algebra, ConstMul, FoldAffine, LowerLayers
from tests.unit.pass_graphs import Build, c, graph_of, left

# --- wires -----------------------------------------------------------------------------


def cuts(b: Builder, x: int) -> int:
    return b.op("stack", *(b.element(x, k) for k in range(3)))


def take(b: Builder, x: int, index: list[int]) -> int:
    return b.op("take", x, index=index)


def mixed(b: Builder, x: int) -> int:
    return b.op("stack", b.op("abs", b.element(x, 0)), b.element(x, 1))


EVERY = {"take": 3, "abs": 1, "stack": 1}

WIRING: list[tuple[str, Build, dict[str, int]]] = [
    ("stack of all elements", cuts, {}),
    ("element of a stack", lambda b, x: b.element(cuts(b, x), 1), {"take": 1}),
    ("x[1:][1:]", lambda b, x: b.slice(b.slice(x, slice(1, 3)), slice(1, 2)), {"take": 1}),
    ("reshape there and back", lambda b, x: reshape(b, reshape(b, x, 3, 1), 3), {}),
    ("two reshapes", lambda b, x: reshape(b, reshape(b, x, 3, 1), 1, 3), {"reshape": 1}),
    ("transpose twice", lambda b, x: b.transpose(b.transpose(x, [0]), [0]), {}),
    (
        "halves put together",
        lambda b, x: b.op("concat", b.slice(x, slice(0, 1)), b.slice(x, slice(1, 3)), axis=0),
        {},
    ),
    (
        "a part of a concat",
        lambda b, x: b.slice(b.op("concat", b.op("abs", x), x, axis=0), slice(3, 6)),
        {},
    ),
    (
        "a sum over one",
        lambda b, x: b.op("reduce", reshape(b, x, 3, 1), axis=1, kind="sum"),
        {},
    ),
    ("zeros in a take of a take", lambda b, x: take(b, take(b, x, [2, 0]), [-1, 0]), {"take": 1}),
    ("zeros in a take of a stack", lambda b, x: take(b, mixed(b, x), [-1, 0]), EVERY),
    ("nothing but zeros", lambda b, x: take(b, mixed(b, x), [-1, -1]), EVERY),
    ("parts of two arguments", lambda b, x: take(b, mixed(b, x), [1, 0]), EVERY),
    ("one concat", lambda b, x: b.op("concat", x, axis=0), {}),
]


def reshape(b: Builder, x: int, *shape: int) -> int:
    return b.op("reshape", x, to=list(shape))


@pytest.mark.parametrize(("build", "expected"), [w[1:] for w in WIRING], ids=[w[0] for w in WIRING])
def test_wiring(build: Build, expected: dict[str, int]) -> None:
    assert left(Algebra(), graph_of(build, shape=(3,))) == expected


def test_tensor_constants_become_additions_too() -> None:
    same = graph_of(lambda b, x: b.op("mul", x, c(b, [6, 6])), shape=(2,))
    assert left(ConstMul(), same) == {"shift": 1, "sub": 1}
    mixed = graph_of(lambda b, x: b.op("mul", x, c(b, [[6, -3]])), shape=(1, 2))
    ops = left(ConstMul(), mixed)
    assert (ops["mul"], ops["stack"], ops["reshape"], ops["sub"]) == (0, 1, 1, 2)


# --- layers ----------------------------------------------------------------------------


def layer(b: Builder, x: int, weight: object, bias: object) -> int:
    types = {"weight_type": Fixed(4, 2), "bias_type": Fixed(4, 2)}
    return b.op("dense", x, weight=weight, bias=bias, **types)


def convolution(b: Builder, x: int, padding: int = 0, stride: int = 1) -> int:
    return b.op(
        "conv",
        x,
        weight=[[[1, -2]], [[3, 0]]],
        weight_type=Fixed(4, 2),
        bias=[1, 2],
        bias_type=Fixed(4, 2),
        stride=[stride],
        padding=[[padding, padding]],
    )


WEIGHT, BIAS = [[1, 2], [3, -4]], [1, 2]
FOLDED: list[tuple[str, Build, tuple[int, ...]]] = [
    ("shift after", lambda b, x: b.op("shift", layer(b, x, WEIGHT, BIAS), n=-3), (3, 2)),
    ("neg after", lambda b, x: b.op("neg", layer(b, x, WEIGHT, BIAS)), (3, 2)),
    ("scale after", lambda b, x: b.op("mul", layer(b, x, WEIGHT, BIAS), c(b, [4, -2])), (2,)),
    ("offset after", lambda b, x: b.op("sub", layer(b, x, WEIGHT, BIAS), c(b, [5, 9])), (2,)),
    ("c - layer", lambda b, x: b.op("sub", c(b, [5, 9]), layer(b, x, WEIGHT, BIAS)), (2,)),
    ("scale before", lambda b, x: layer(b, b.op("mul", x, c(b, [4, -2])), WEIGHT, BIAS), (2,)),
    ("offset before", lambda b, x: layer(b, b.op("add", x, c(b, [5, 9])), WEIGHT, BIAS), (2,)),
    ("c - x before", lambda b, x: layer(b, b.op("sub", c(b, [5, 9]), x), WEIGHT, BIAS), (2,)),
    (
        "batch norm",
        lambda b, x: b.op(
            "add", b.op("mul", layer(b, x, WEIGHT, BIAS), c(b, [8, 2])), c(b, [3, 7])
        ),
        (2,),
    ),
    ("conv", lambda b, x: b.op("mul", convolution(b, x, 1), c(b, [[4, 2]] * 6)), (5, 1)),
    ("conv, scale before", lambda b, x: convolution(b, b.op("mul", x, c(b, 4)), 1), (5, 1)),
    ("conv, offset before", lambda b, x: convolution(b, b.op("add", x, c(b, 3))), (5, 1)),
]


@pytest.mark.parametrize(("build", "shape"), [f[1:] for f in FOLDED], ids=[f[0] for f in FOLDED])
def test_scales_and_offsets_fold_into_the_layer(build: Build, shape: tuple[int, ...]) -> None:
    ops = left(FoldAffine(), graph_of(build, shape=shape))
    assert ops.total() == ops["dense"] + ops["conv"] == 1


def test_padding_gets_no_offset() -> None:
    graph = graph_of(lambda b, x: convolution(b, b.op("add", x, c(b, 3)), 1), shape=(5, 1))
    assert left(FoldAffine(), graph) == {"add": 1, "conv": 1}


def test_what_depends_on_the_place_stays() -> None:
    scale = [[8, 2], [8, 4]]
    graph = graph_of(lambda b, x: b.op("mul", layer(b, x, WEIGHT, BIAS), c(b, scale)), shape=(2, 2))
    assert left(FoldAffine(always=True), graph) == {"dense": 1, "mul": 1}


def test_a_layer_that_is_read_twice_stays() -> None:
    def build(b: Builder, x: int) -> int:
        made = layer(b, x, WEIGHT, BIAS)
        return b.op("max", made, b.op("mul", made, c(b, [4, 2])))

    assert left(FoldAffine(), graph_of(build, shape=(2,))) == {"dense": 1, "mul": 1, "max": 1}


def test_scales_that_make_every_weight_dearer_fold_on_request_only() -> None:
    weight = [[5, 7]] * 8  # two digits each

    def build(b: Builder, x: int) -> int:
        return b.op("mul", layer(b, x, weight, BIAS), c(b, [11, 13]))

    graph = graph_of(build, shape=(8,))
    assert left(FoldAffine(), graph) == {"dense": 1, "mul": 1}
    assert left(FoldAffine(always=True), graph) == {"dense": 1}


def test_a_scale_beyond_63_bits_stays() -> None:
    wide = Fixed(40, 20)

    def build(b: Builder, x: int) -> int:
        scaled = b.op("mul", layer(b, x, WEIGHT, BIAS), c(b, [2**30 + 1] * 2, wide))
        return b.op("cast", scaled, type=Fixed(20, 10))

    graph = graph_of(build, Fixed(16, 8), (2,))
    assert left(FoldAffine(always=True), graph).total() <= 2


def image(b: Builder, x: int, padding: object) -> int:
    return b.op(
        "conv",
        x,
        weight=np.arange(-9, 9).reshape(3, 3, 1, 2),
        weight_type=Fixed(6, 2),
        bias=[3, -3],
        bias_type=Fixed(4, 2),
        stride=[2, 1],
        padding=padding,
    )


@pytest.mark.parametrize(
    ("build", "shape", "expected"),
    [
        (lambda b, x: image(b, x, [[1, 1], [0, 2]]), (5, 4, 1), {"take": 1, "dense": 1}),
        (convolution, (5, 1), {"take": 1, "dense": 1}),
        (
            lambda b, x: b.op("pool", x, kind="max", window=[2, 2], stride=[2, 1]),
            (4, 3, 2),
            {"take": 1, "reduce": 1},
        ),
        (
            lambda b, x: b.op("pool", x, kind="sum", window=[2], stride=[2]),
            (4, 1),
            {"reshape": 1, "reduce": 1},  # windows that do not overlap need no wires
        ),
        (lambda b, x: b.op("leaky_relu", x, n=3), (2,), {"shift": 1, "max": 1}),
        (lambda b, x: b.op("relu", x), (2,), {"relu": 1}),
        (lambda b, x: b.op("argmax", x), (3,), {"argmax": 1}),
    ],
)
def test_layers_become_plain(
    build: Build, shape: tuple[int, ...], expected: dict[str, int]
) -> None:
    assert left(LowerLayers(), graph_of(build, shape=shape)) == expected
