"""Our own designs of both families, as benchmarks of RTL cost compare them: one list for all.

Formulas at several precisions, with products, tables and choices; networks trained for a moment
on the jets that come with nacsr (of signed powers of two, of tables), a user's Brevitas networks
as in examples/, quantised perceptrons with random weights; random graphs of ``nacsr.testing``.
"""

from __future__ import annotations

import importlib.util
import math
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np

import nacsr
from nacsr.data.dataset import load
from nacsr.data.words import Feature, Scaling
from nacsr.design import Design, Setting
from nacsr.fixed import Fixed
from nacsr.frontends.neural.descents import Task
from nacsr.frontends.neural.lean import descent as lean_descent
from nacsr.frontends.neural.lean.lower import lower as lower_lean
from nacsr.frontends.neural.lean.stage import Schedule as LeanSchedule
from nacsr.frontends.neural.lean.state import stack_of
from nacsr.frontends.neural.population.steps import CROSS_ENTROPY
from nacsr.frontends.neural.space import Dense, Network
from nacsr.frontends.neural.tables import descent as tables_descent
from nacsr.frontends.neural.tables.lower import lower as lower_tables
from nacsr.frontends.neural.tables.stage import Schedule as TablesSchedule
from nacsr.ir import Builder, Graph
from nacsr.prepare import Prepared, prepare
from nacsr.spec import StudySpec
from nacsr.testing import random_graph

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
TARGET, CLOCK_MHZ = "vu13p", 200.0
EVENTS = 1000
"""With which activation quantisers of Brevitas networks are set."""

FORMULAS: Mapping[str, tuple[str | list[str], str]] = {
    "sum of products": ("x0*x1 + x2*x3 - x4*x5", "fixed<12,6>"),
    "quadratic": ("0.31*x0^2 - 0.72*x1^2 + 0.11*x0*x1 + 0.5*x2 - 0.79", "fixed<16,6>"),
    "cubic": ("x0^3 - 0.37*x0^2*x1 + x1^3", "fixed<14,6>"),
    "narrow products": ("x0*x1*x2 + 0.5*x0*x2", "fixed<8,4>"),
    "linear": ("0.37*x0 - 1.21*x1 + 0.093*x2 + 2.7*x3 - 0.55*x4 + x5", "fixed<16,6>"),
    "choices": ("max(x0, x1) - min(x2, abs(x3)) + max(0.5*x0, x3 - 1)", "fixed<16,6>"),
    "one sine": ("sin(1.3*x0 - x1) + 0.2*x2", "fixed<12,6>"),
    "two outputs": (["0.31*x0*sin(2*x1) + 0.5*x2^2 - 0.79", "tanh(x0) - 0.25*x2"], "fixed<16,6>"),
    "bells": ("gauss(x0)*x1 + gauss(x2 - 0.4)*x3 + exp(-0.5*abs(x1))", "fixed<16,6>"),
    "wide": ("x0*x1*sin(x2) - 0.41*x3^2", "fixed<18,8>"),
    "jet tagger": (
        [
            "0.4*x0*sin(x1 - 0.3) + 0.21*x2 - tanh(x3)",
            "gauss(x1 + 0.2*x4) - 0.37*x0 + 0.11*x2*x3",
            "exp(-abs(x2)) + 0.52*x4^2 - 0.3",
        ],
        "fixed<14,6>",
    ),
}
PERCEPTRONS = (((16, 8, 5), 4, 6), ((16, 16, 8, 5), 4, 5), ((16, 32, 5), 6, 8), ((12, 12, 1), 8, 8))
"""Widths, bits of weights, bits of activations."""
LEAN = ((16,), (32, 16))
TABLES = ((8,), (16,))
"""Hidden widths; two designs of every descent are taken."""
GRAPHS = (3, 8, 21, 30)
"""Seeds of random graphs."""


@dataclass(frozen=True, slots=True)
class Named:
    """A design of the list.

    Attributes:
        name: unique.
        family: ``formula``, ``network`` or ``random``.
        design: to be emitted as RTL.
    """

    name: str
    family: str
    design: Design


@lru_cache(maxsize=1)  # descents are trained once a process
def designs() -> tuple[Named, ...]:
    """The whole list, the same in every process; about a minute, most of it training."""
    makers: list[tuple[str, Callable[[], Iterator[tuple[str, Design]]]]] = [
        ("formula", formulas),
        ("network", perceptrons),
        ("network", brevitas),
        ("network", lean),
        ("network", tables),
        ("random", graphs),
    ]
    found = [Named(name, family, d.to("rtl")) for family, make in makers for name, d in make()]
    names = [n.name for n in found]
    if len(set(names)) != len(names):
        msg = f"two designs of one name: {names}"
        raise ValueError(msg)
    return tuple(found)


def formulas() -> Iterator[tuple[str, Design]]:
    """Expressions, and the three of a muon pair's mass."""
    for name, (source, precision) in FORMULAS.items():
        yield name, nacsr.compile(source, precision=precision, to="rtl", clock_mhz=CLOCK_MHZ)
    dimuon = example("dimuon")
    for name, formula in dimuon.FORMULAS.items():
        yield f"dimuon, {name}", dimuon.compiled(formula, "rtl")


def perceptrons() -> Iterator[tuple[str, Design]]:
    """Random weights; activations saturate, as those of quantised networks do."""
    for widths, weight_bits, bits in PERCEPTRONS:
        name = f"mlp {'-'.join(map(str, widths))}, {weight_bits}-bit weights"
        yield name, placed(perceptron(widths, weight_bits, bits), name)


def perceptron(widths: tuple[int, ...], weight_bits: int, bits: int, seed: int = 1) -> Graph:
    """Dense layers with ReLUs between them, weights normal with a width of a third of the range."""
    rng = np.random.default_rng(seed)
    b = Builder()
    x = b.input("x", Fixed(bits, 3), (widths[0],))
    weight_type = Fixed(weight_bits, 1)
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        raw = np.rint(rng.normal(0, weight_type.max_raw / 3, (inputs, outputs)))
        weight = np.clip(raw, weight_type.min_raw, weight_type.max_raw).astype(np.int64)
        bias_type = Fixed(bits, 1)
        bias = rng.integers(bias_type.min_raw, bias_type.max_raw, outputs)
        x = b.op("dense", x, weight=weight, weight_type=weight_type, bias=bias, bias_type=bias_type)
        if layer < len(widths) - 2:
            x = b.cast(b.op("relu", x), Fixed.parse(f"ufixed<{bits},3,RND_CONV,SAT>"))
    b.output("y", x)
    return b.build()


def brevitas() -> Iterator[tuple[str, Design]]:
    """A user's perceptron with 6-bit weights, and a deep set of eight particles."""
    import torch

    torch.manual_seed(1)
    mlp = example("mlp_brevitas")
    hidden = mlp.qnn.QuantReLU(
        act_quant=mlp.Uint8ActPerTensorFixedPoint, bit_width=8, return_quant_tensor=True
    )
    words = mlp.qnn.QuantIdentity(
        act_quant=mlp.Int8ActPerTensorFixedPoint, bit_width=8, return_quant_tensor=True
    )
    model = torch.nn.Sequential(words, mlp.linear(16, 16), hidden, mlp.linear(16, 5)).train()
    model(torch.randn(EVENTS, 16))
    yield "brevitas mlp 16-16-5, 6-bit weights", nacsr.compile(model.eval(), to="rtl")
    sets = example("deepsets_brevitas")
    model = sets.DeepSet()
    shape = sets.PARTICLES, sets.FEATURES
    model(torch.randn(EVENTS, *shape), torch.randint(0, sets.PARTICLES + 1, (EVENTS,)))
    yield "brevitas deep set", nacsr.compile(model.eval(), input_shape=shape, to="rtl")


def lean() -> Iterator[tuple[str, Design]]:
    """Networks of signed powers of two."""
    prepared, task = jets()
    schedule = LeanSchedule(first=600, between=60, share=0.1, polish=100, rung=0.5, least=400.0)
    for widths in LEAN:
        stack = stack_of(network(widths))
        states = list(lean_descent.descend(stack, task, schedule))
        for which in (len(states) // 3, 2 * len(states) // 3):
            lower = partial(lower_lean, stack, states[which])
            yield _lowered(f"lean {_shape(widths)}, rung {which}", lower, prepared)


def tables() -> Iterator[tuple[str, Design]]:
    """Networks of learned tables."""
    prepared, task = jets()
    schedule = TablesSchedule(first=600, between=60, share=0.1, polish=100, rung=0.5, least=100.0)
    for widths in TABLES:
        states = list(tables_descent.descend(network(widths), task, schedule))
        for which in (len(states) // 3, 2 * len(states) // 3):
            lower = partial(lower_tables, states[which])
            yield _lowered(f"tables {_shape(widths)}, rung {which}", lower, prepared)


def graphs() -> Iterator[tuple[str, Design]]:
    """Graphs of random ops."""
    for seed in GRAPHS:
        name = f"random graph {seed}"
        yield name, placed(random_graph(random.Random(seed), 12), name)


def network(widths: tuple[int, ...]) -> Network:
    """Of jets: sixteen features, five classes."""
    return Network((16,), (*(Dense(n, activation="relu") for n in widths), Dense(5)))


@lru_cache(maxsize=1)
def jets() -> tuple[Prepared, Task]:
    """The jets that come with nacsr, and what is to be learnt of them."""
    spec = StudySpec.from_mapping({"dataset": "jets", "seed": 1, "precision": "fixed<16,6>"})
    with tempfile.TemporaryDirectory() as scratch:
        prepared = prepare(spec, load(spec.dataset), Path(scratch))
    problem = prepared.problem
    x = problem.values(problem.train).astype(np.float32)
    task = Task(
        x=x,
        y=problem.train.y.astype(np.float32)[:, None],
        weights=np.ones(len(x), np.float32),
        goal=CROSS_ENTROPY,
        ends=(x.min(0).astype(np.float64), x.max(0).astype(np.float64)),
        centre=np.zeros(x.shape[1]),
        signed=np.ones(x.shape[1], np.bool_),
        batch=256,
        seed=1,
    )
    return prepared, task


def placed(graph: Graph, name: str) -> Design:
    """A graph as a design whose inputs are its own words."""
    ports = [(name, graph.ops[i]) for name, i in graph.inputs]
    arrays = [(f"{n}_{k}", op) for n, op in ports if op.shape for k in range(math.prod(op.shape))]
    scalars = [(name, op) for name, op in ports if not op.shape]
    features = tuple(Feature(name, op.type.plain()) for name, op in (*arrays, *scalars))
    outputs = tuple(n for n, _ in graph.outputs)
    zeros = (0,) * len(features)
    scaling = Scaling("external", zeros, zeros)
    setting = Setting(features, outputs, scaling, TARGET, CLOCK_MHZ)
    return Design(graph, setting, "trigger", name, "rtl")


def example(name: str) -> ModuleType:
    """A script of examples/, as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    if spec is None or spec.loader is None:
        msg = f"no script {name} in {EXAMPLES}"
        raise ImportError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _shape(widths: tuple[int, ...]) -> str:
    return "-".join(map(str, (16, *widths, 5)))


def _lowered(name: str, lower: Callable[..., Graph], prepared: Prepared) -> tuple[str, Design]:
    problem = prepared.problem
    graph = lower(problem.features, problem.scaling, problem.outputs)
    setting = Setting(problem.features, problem.classes, problem.scaling, TARGET, CLOCK_MHZ)
    return name, Design(graph, setting, "trigger", name, "rtl")
