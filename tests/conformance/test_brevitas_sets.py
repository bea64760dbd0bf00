"""Deep sets, absent particles and means over any number of them, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from brevitas.nn import (
    QuantConv1d,
    QuantLinear,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nacsr.errors import GraphError
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.frontends.neural.lowering.arithmetic import quotient
from nacsr.frontends.neural.lowering.lower import Affine, Relu, read_module
from nacsr.frontends.neural.lowering.modules import MaskedPool
from nacsr.frontends.neural.lowering.sets import count_type, deep_set, pool_set, reciprocals
from nacsr.frontends.stem import bind
from nacsr.ir import Builder, evaluate
from tests.conformance.brevitas_nets import (
    EVENTS,
    Net,
    W,
    act,
    assert_equal_bits,
    calibrated,
    names,
    relu,
)

REDUCTIONS = {
    "sum": lambda h: h.sum(1),
    "mean": lambda h: h.mean(dim=1),
    "max": lambda h: h.amax(1),
}


@pytest.mark.parametrize("particles", [8, 10])
@pytest.mark.parametrize("pool", REDUCTIONS)
def test_deep_set(pool, particles):
    torch.manual_seed(4)
    module = Net(
        lambda m, x: m.rho(m.mid(REDUCTIONS[pool](m.phi(m.q(x))))),
        q=act(),
        phi=nn.Sequential(QuantLinear(3, 6, **W), relu(), QuantLinear(6, 5, **W), relu()),
        mid=act(8),
        rho=nn.Sequential(QuantLinear(5, 6, **W), relu(), QuantLinear(6, 3, **W)),
    )
    graph = assert_equal_bits(calibrated(module, (particles, 3)), (particles, 3))
    assert graph.ops[0].shape == (particles, 3)
    assert "take" not in names(graph)


def test_deep_set_of_convolutions():
    """The same network as torch users write it: channels first, kernels of one."""
    phi = nn.Sequential(act(), QuantConv1d(3, 6, 1, **W), relu())
    module = Net(lambda m, x: m.rho(m.mid(m.phi(x).mean(-1))), phi=phi, mid=act(8))
    module.rho = QuantLinear(6, 3, **W)
    graph = assert_equal_bits(calibrated(module, (3, 8)), (3, 8))
    assert graph.ops[0].shape == (8, 3)
    assert "take" not in names(graph)


class Jets(nn.Module):
    """A deep set with absent particles."""

    def __init__(self, kind, by):
        super().__init__()
        self.by = by
        self.q, self.mid = act(), act(8)
        self.phi = nn.Sequential(QuantLinear(3, 6, **W), relu())
        self.pool = MaskedPool(kind, 6, bits=9)
        self.rho = QuantLinear(6, 3, **W)

    def forward(self, x, there):
        h = self.phi(self.q(x))
        h = self.pool(h, there) if self.by == "mask" else self.pool(h, count=there)
        return self.rho(self.mid(h))


def steps_of(graph):
    """The steps before and after the pool, and the type of the words."""
    found = {True: [], False: []}
    pooled = next(i for i, op in enumerate(graph.ops) if op.name == "reduce" and op.shape)
    for i, op in enumerate(graph.ops):
        if op.name == "dense":
            step = Affine(
                op.array("weight"), op.fixed("weight_type"), op.array("bias"), op.fixed("bias_type")
            )
        elif op.name == "cast":
            step = op.type
        elif op.name == "relu":
            step = Relu()
        else:
            continue
        found[i < pooled].append(step)
    return found[True], found[False]


@pytest.mark.parametrize("kind", ["sum", "mean", "max"])
@pytest.mark.parametrize("by", ["mask", "count"])
def test_absent_particles(kind, by):
    torch.manual_seed(5)
    there = (torch.rand(64, 6) > 0.4) if by == "mask" else torch.randint(0, 7, (64,))
    module = calibrated(Jets(kind, by), (6, 3), there)
    network = read_module(module, None, (6, 3))
    graph = network.graph
    rng = np.random.default_rng(6)
    t = network.input_type
    raw = {"x": rng.integers(t.min_raw, t.max_raw + 1, (EVENTS, 6, 3))}
    if by == "mask":
        raw["there"] = rng.integers(0, 2, (EVENTS, 6))
        raw["there"][0] = 0
        there = torch.from_numpy(raw["there"])
    else:
        raw["there"] = rng.integers(0, 8, EVENTS)  # 7 particles are more than there is room for
        raw["there"][:8] = np.arange(8)
        there = torch.from_numpy(raw["there"])
    with torch.no_grad():
        wanted = module.double()(torch.from_numpy(t.to_float(raw["x"])), there).numpy()
    out = graph.ops[graph.outputs[0][1]].type
    assert (out.to_float(evaluate(graph, raw)["scores"]) == wanted).all()

    features = [f.name for f in network.features]
    assert features[:18] == [f"x{k}" for k in range(18)]
    assert features[18:] == (["there"] if by == "count" else [f"there{k}" for k in range(6)])
    columns = [raw[n].reshape(EVENTS, -1) for n in ("x", "there")]
    assert (bind(graph, network.features, np.hstack(columns))["there"] == raw["there"]).all()

    # the helper without torch builds the very same design
    b = Builder()
    x = b.input("x", t.plain(), (6, 3))
    port = b.input("there", *((Fixed(1, 1, False), (6,)) if by == "mask" else (count_type(6),)))
    phi, rho = steps_of(graph)
    b.output("scores", deep_set(b, x, phi, kind, rho, **{by: port}, bits=9))
    own = b.build(ports=True)
    assert (evaluate(own, raw)["scores"] == evaluate(graph, raw)["scores"]).all()
    assert own.digest == graph.digest


def test_a_mask_that_is_computed():
    module = Net(
        lambda m, x: m.rho(m.mid(m.pool(m.phi(x), x[..., 0] > 0))),
        phi=nn.Sequential(QuantLinear(3, 4, **W), relu()),
        pool=MaskedPool("mean", 5),
        mid=act(8),
        rho=QuantLinear(4, 3, **W),
    )
    whole = calibrated(nn.Sequential(act(), module), (5, 3))
    assert_equal_bits(whole, (5, 3))


def test_reciprocals():
    raw, t = reciprocals(6, 8)
    assert raw.tolist() == [0, 128, 64, 43, 32, 26, 21]
    assert str(t) == "ufixed<8,1>"


def test_sets_that_are_refused():
    b = Builder()
    x, y = b.input("x", Fixed(6, 3), (4, 2)), b.input("y", Fixed(6, 3), (4,))
    mask, count = b.input("m", Fixed(1, 1, False), (4,)), b.input("n", Fixed(4, 2, False))
    for message, args, more in (
        ("not both", (x, "sum"), {"mask": mask, "count": count}),
        ("unsigned integer such as", (x, "sum"), {"count": count}),
        ("a mask of 4 particles is", (x, "sum"), {"mask": y}),
        (r"particles, channels\), not \[4\]", (y, "sum"), {}),
        ("unknown pool 'median'", (x, "median"), {}),
        ("values from a ReLU", (x, "max"), {"mask": mask}),
    ):
        with pytest.raises(GraphError, match=message):
            pool_set(b, *args, **more)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(2, 13),
    st.integers(-6, 6),
    st.booleans(),
    st.integers(1, 12),
    st.integers(-6, 6),
    st.integers(3, 200),
    st.sampled_from(list(Rounding)),
    st.sampled_from(list(Overflow)),
)
def test_quotients_are_rounded_as_if_exact(
    width, integer, signed, wide, point, count, rounding, overflow
):
    """Every word of the sum, against exact division in integers."""
    source = Fixed(width, integer, signed)
    to = Fixed(wide, point, True, rounding, overflow)
    b = Builder()
    b.output("y", quotient(b, b.input("x", source), count, to))
    words = np.arange(source.min_raw, source.max_raw + 1)
    found = evaluate(b.build(), {"x": words})["y"]
    shift = max(to.frac - source.frac, 0) + 2
    drop = max(source.frac - to.frac, 0)
    quarter, rest = np.divmod(words << (shift), count << drop)
    sticky = (quarter << 1) | (rest != 0)  # three bits below the step and whether more follow
    exact = to.cast(sticky, Fixed(60, 60 - to.frac - 3, True))
    assert (found == exact).all()
