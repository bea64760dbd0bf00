"""What the tests of networks as layers share: a tiny perceptron, its types, and its project."""

import numpy as np

from nacsr.data.words import Feature, Scaling
from nacsr.emit.project import ProjectMeta
from nacsr.fixed import Fixed
from nacsr.frontends.stem import vector_stem
from nacsr.ir import Builder, Graph

FEATURES = tuple(Feature(f"f{j}", Fixed(8, 4, signed=j > 0)) for j in range(3))
ACTIVATION = Fixed.parse("fixed<6,2,RND_CONV,SAT>")
WEIGHT = Fixed(4, 1)
META = ProjectMeta("tiny net", "xcvu9p-flga2577-2-e", "vu9p", 200.0, "hls4ml", FEATURES)


def dense(b: Builder, x: int, outputs: int = 2, weight_type: Fixed = WEIGHT) -> int:
    inputs = b.ops[x].shape[-1]
    weight = np.arange(inputs * outputs).reshape(inputs, outputs) % 7 - 3
    bias = np.arange(outputs) % 8 - 1
    return b.op(
        "dense", x, weight=weight, weight_type=weight_type, bias=bias, bias_type=Fixed(4, 2)
    )


def network(b: Builder) -> int:
    scaling = Scaling("folded", (3, -20, 127), (0, -2, 3))
    x = b.cast(vector_stem(b, FEATURES, scaling), ACTIVATION)
    hidden = b.cast(b.op("relu", dense(b, x, 4)), Fixed.parse("ufixed<4,2,RND_CONV,SAT>"))
    return dense(b, hidden)


def whole() -> Graph:
    b = Builder()
    b.output("y", b.cast(network(b), Fixed.parse("fixed<8,5,RND_CONV,SAT>")))
    return b.build()
