"""The Operon backend: what its nodes mean, what it is asked, and how it fails."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from nacsr.cost import operator_costs
from nacsr.errors import ToolError
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.engines import child, operon
from nacsr.frontends.symbolic.engines.request import Config, Sample
from nacsr.frontends.symbolic.language.expr import Call, Num, Var, evaluate
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.luts import LutFunc, lut_functions

LUTS = lut_functions()
COSTS = operator_costs(Fixed(16, 6), 200.0)
NAMES = ("x1", "mass", "x0")
CONFIG = Config(
    evaluations=20_000,
    rows=150,
    operators=("add", "sub", "mul", "max", "square"),
    functions=("sin", "tanh"),
    max_size=30,
    max_cycles=10,
    period_ns=4.375,
    precision=Fixed(16, 6),
    dsp_luts=100.0,
    population=100,
)


def events(rows: int = 300) -> tuple[np.ndarray, np.ndarray]:
    z = np.random.default_rng(4).normal(size=(rows, 3))
    return z, z[:, 0] * z[:, 2] + 0.25 * z[:, 1]


# Operon in a process of its own: trees of all symbols, and what it computes for them
TREES = """
import json, sys
import numpy as np
import pyoperon as op
from nacsr.frontends.symbolic.engines.operon_worker import meanings, nodes

z = np.random.default_rng(1).normal(size=(40, 3))
data = op.Dataset(np.asfortranarray(z))
columns = {v.Hash: v.Index for v in data.Variables}
inputs, problem = list(columns), op.Problem(data)
problem.InputHashes = inputs
chosen = 0
for name in sys.argv[1].split(","):
    chosen |= int(getattr(op.NodeType, name))
problem.ConfigurePrimitiveSet(chosen)
primitives = problem.PrimitiveSet
creator = op.BalancedTreeCreator(primitives, inputs, 0.0)
coefficients = op.NormalCoefficientInitializer()
coefficients.ParameterizeDistribution(0, 1)
table, rows, random = op.DispatchTable(), op.Range(0, 40), op.RandomGenerator(np.uint64(5))
found = []
for length in [3, 5, 8, 12, 20] * 60:
    tree = creator(random, length, 1, 10)
    coefficients(random, tree)
    values = op.Evaluate(table, tree, data, rows).reshape(-1)
    found.append([nodes(tree, columns, meanings(op)), [float(v) for v in values]])
json.dump(found, sys.stdout)
"""


def test_nodes_mean_what_operon_computes():
    """Random trees of every symbol, against Operon's own float32 values."""
    pytest.importorskip("pyoperon", reason="needs pip install nacsr[operon]")
    symbols = {**operon.OPERATORS, **operon.FUNCTIONS}
    words = ",".join((*symbols.values(), "Constant", "Variable"))
    done = subprocess.run(
        [sys.executable, "-c", TREES, words], capture_output=True, text=True, check=True
    )
    z = np.random.default_rng(1).normal(size=(40, 3))
    columns = dict(zip("abc", z.T, strict=True))
    back = {theirs: ours for ours, theirs in symbols.items()}
    seen, agree = set(), []
    for nodes, values in json.loads(done.stdout):
        if not np.isfinite(values).all() or np.abs(values).max() > 1e4:
            continue
        tree = operon.gathered(operon.expression(nodes, "abc", back))
        ours = evaluate(tree, columns, LUTS, exact=True)
        close = np.isclose(ours, values, rtol=2e-3, atol=2e-3).mean() > 0.8
        kinds = {kind for kind, *_ in nodes}
        assert close or "Tan" in kinds or len(nodes) > 8, nodes
        agree.append(close)
        seen |= kinds
    assert len(agree) > 150
    assert np.mean(agree) > 0.97  # chains of steep functions are far off in float32
    assert seen == {*symbols.values(), "Constant", "Variable"}


def test_arguments_are_in_operons_order():
    """Postfix, where the operand next to its operator is the first one."""
    nodes = [["Variable", 0, 2.0, 1], ["Constant", 0, 0.5, -1], ["Sub", 2, 1.0, -1]]
    found = operon.expression(nodes, ("a", "b"), {"Sub": "sub"})
    assert found == Call("sub", (Num(0.5), Call("mul", (Num(2.0), Var("b")))))


def test_constant_factors_are_gathered():
    parsed = parse("3*(0.5*a*(4*b)) + sin(2*(2*a)) - 1*b", ("a", "b"), LUTS)
    assert operon.gathered(parsed) == parse("6*(a*b) + sin(4*a) - b", ("a", "b"), LUTS)
    assert operon.gathered(Num(2.5)) == Num(2.5)


def test_search_finds_a_polynomial():
    pytest.importorskip("pyoperon", reason="needs pip install nacsr[operon]")
    z, y = events()
    best = operon.search(Sample(z, y, NAMES), CONFIG, COSTS, LUTS, seed=2**64 + 5)[-1]
    assert best.loss < 1e-6
    assert best.size <= 20


def test_max_is_the_larger_one():
    """Whatever this version of pyoperon means by Fmax."""
    pytest.importorskip("pyoperon", reason="needs pip install nacsr[operon]")
    z, _ = events()
    config = replace(CONFIG, operators=("max",), functions=())
    y = np.maximum(z[:, 0], z[:, 2])
    best = operon.search(Sample(z, y, NAMES), config, COSTS, LUTS, seed=1)[-1]
    assert best.loss < 1e-4


def test_options():
    given = operon.options(CONFIG, {"add": "Add", "sin": "Sin"}, 7)
    assert given["symbols"] == ["Add", "Sin"]
    assert (given["max_length"], given["evaluations"]) == (12, 20_000)
    json.dumps(given)


def test_what_operon_knows(caplog):
    own = LutFunc("wave", "sin", Fixed.parse("fixed<8,3,TRN,SAT>"), Fixed(8, 2))
    luts = {**LUTS, "wave": own}
    config = replace(CONFIG, operators=("add", "select"), functions=("wave", "gauss", "log_abs"))
    with caplog.at_level(logging.WARNING, "nacsr"):
        found = operon.known(config, luts)
    assert found == {"add": "Add", "wave": "Sin", "log_abs": "Logabs"}
    assert "Operon searches without select, gauss, which it does not have" in caplog.text
    for operators, functions in ((("select",), ("gauss",)), ((), ())):
        with pytest.raises(ToolError, match="Operon has none of the operators") as caught:
            operon.known(replace(config, operators=operators, functions=functions), LUTS)
        assert "\n" not in str(caught.value)


def test_rows_are_drawn_by_weight():
    z, y = events(40)
    weights = np.where(np.arange(40) < 10, 4.0, 0.0)
    rng = np.random.default_rng
    drawn = operon._rows(Sample(z, y, NAMES, weights), 30, rng(1))
    assert len(drawn) == 30
    assert drawn.max() < 10
    plain = operon._rows(Sample(z, y, NAMES), 30, rng(1))
    assert len(set(plain.tolist())) == 30


@pytest.mark.parametrize(
    ("ends", "says"),
    [
        ((-11, ""), "Operon failed (ended by signal 11); use other operators"),
        ((1, "Traceback\nValueError: bad symbol"), "Operon failed (ValueError: bad symbol)"),
        ((3, "ModuleNotFoundError: No module named 'pyoperon'"), "pip install nacsr[operon]"),
    ],
)
def test_failures_are_one_line(monkeypatch, ends, says):
    monkeypatch.setattr(child, "run", lambda *_, **__: ends)
    z, y = events()
    with pytest.raises(ToolError) as caught:
        operon.search(Sample(z, y, NAMES), CONFIG, COSTS, LUTS, seed=1)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_package(monkeypatch, tmp_path):
    (tmp_path / "pyoperon").mkdir()
    (tmp_path / "pyoperon" / "__init__.py").write_text("raise ImportError('no pyoperon here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    z, y = events()
    with pytest.raises(ToolError, match=r"pyoperon is not here \(ImportError: no pyoperon here\)"):
        operon.search(Sample(z, y, NAMES), CONFIG, COSTS, LUTS, seed=1)
