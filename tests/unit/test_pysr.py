"""The PySR backend, without Julia: the contract with the real PySR, and what we make of a hall.

A stand-in for ``juliacall`` lets the real ``PySRRegressor.fit`` run up to Julia. It records the
one ``Options`` call, and writes the hall of fame that Julia would have written. PySR's own
search runs only in the test that is marked ``julia``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nacsr.cost import operator_costs
from nacsr.errors import DataError, ToolError
from nacsr.fixed import Fixed, Rounding
from nacsr.frontends.symbolic import pysr
from nacsr.frontends.symbolic.engine import search
from nacsr.frontends.symbolic.expr import Call, Num, Var, evaluate
from nacsr.frontends.symbolic.request import Config, Sample
from nacsr.luts import LutFunc, lut_functions

LUTS = lut_functions()
COSTS = operator_costs(Fixed(16, 6), 200.0)
CONFIG = Config(
    evaluations=3_000,
    rows=50,
    operators=("add", "sub", "mul", "max", "square"),
    functions=("sin", "tanh"),
    max_size=12,
    max_cycles=8,
    period_ns=4.375,
    precision=Fixed(16, 6),
    dsp_luts=100.0,
)
NAMES = ("x1", "mass", "x0")  # names that PySR's own numbering must not be mixed up with

FAKE_JULIA = '''
"""What PySR touches of Julia up to the search, and a search that writes a fixed hall."""
import json, os, pathlib, re
from unittest.mock import MagicMock

class AnyValue: ...
class VectorValue: ...
class JuliaError(Exception): ...

def convert(type, value):
    return value

class Function:
    def __init__(self, name):
        self.name = name

RECORD = {"sources": []}

def seval(source):
    RECORD["sources"].append(source)
    named = re.search(r"function (\\w+)\\(", source)
    return Function(named[1] if named else source)

def options(**given):
    RECORD["options"] = {k: repr(v) if isinstance(v, MagicMock) else v for k, v in given.items()}
    return MagicMock()

def search(x, y, *, options, run_id, **given):
    RECORD["search"] = {k: v for k, v in given.items() if isinstance(v, int | str | list)}
    RECORD["shapes"] = [list(x.shape), list(y.shape)]
    run = pathlib.Path(RECORD["options"]["output_directory"]) / run_id
    run.mkdir(parents=True, exist_ok=True)
    (run / "hall_of_fame.csv").write_text(os.environ["FAKE_HALL"])
    pathlib.Path(os.environ["FAKE_RECORD"]).write_text(json.dumps(RECORD, default=str))
    return MagicMock()

Main = MagicMock()
Main.VERSION.major, Main.VERSION.minor, Main.VERSION.patch = 1, 11, 0
Main.VERSION.__str__ = lambda self: "1.11.0"
Main.seval = seval
Main.isa = lambda value, kind: isinstance(value, Function)
Main.Base.nameof = lambda function: function.name
Main.Base.include_string = lambda module, source, name: source
Main.Symbol = str
Main.copy = lambda array: array
Main.take_b = lambda buffer: b""
Main.SymbolicRegression.OperatorEnum = lambda ops: [[f.name for f in arity] for arity in ops]
Main.SymbolicRegression.Options = options
Main.SymbolicRegression.equation_search._jl_call_nogil = search
Main.PythonCall.PyArray = lambda array: array
'''

HALL = """Complexity,Loss,Equation
1,9.9,"x1"
3,9.9,"x1 * 0.5"
4,9.9,"nacsr_sin(x0 * x2)"
9,9.9,"nacsr_sin(x0 * x2) + (x1 * 2.5f-1)"
11,9.9,"x1 * 1.0e6"
12,9.9,"square(square(square(square(x1))))"
"""


@pytest.fixture
def fake_julia(tmp_path, monkeypatch):
    """A stand-in for juliacall on the path of child processes; the file it records to."""
    package = tmp_path / "fake" / "juliacall"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(FAKE_JULIA)
    record = tmp_path / "record.json"
    path = os.pathsep.join([str(package.parent), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path.rstrip(os.pathsep))
    monkeypatch.setenv("FAKE_HALL", HALL)
    monkeypatch.setenv("FAKE_RECORD", str(record))
    return record


def events(rows: int = 80) -> tuple[np.ndarray, np.ndarray]:
    z = np.random.default_rng(4).normal(size=(rows, 3))
    return z, np.sin(z[:, 0] * z[:, 2]) + 0.25 * z[:, 1]


def test_contract_with_the_real_pysr(fake_julia):
    """The real ``fit`` validates every option and reaches one ``Options`` call with them."""
    z, y = events()
    front = pysr.search(Sample(z, y, NAMES), CONFIG, COSTS, LUTS, seed=2**40 + 7)
    record = json.loads(fake_julia.read_text())
    given = record["options"]
    assert given["operators"] == [
        ["square", "nacsr_sin", "nacsr_tanh"],
        ["+", "-", "*", "max"],
    ]
    assert given["maxsize"] == 12
    assert given["max_evals"] == 3_000
    assert given["deterministic"] is True
    assert isinstance(given["seed"], int)
    assert given["optimizer_algorithm"] == "NelderMead"
    assert given["batching"] is False
    assert given["complexity_of_operators"].startswith("Dict((+) => 1, (-) => 1, (*) => ")
    assert "(nacsr_tanh) => 1" in given["complexity_of_operators"]
    assert given["nested_constraints"].count("(nacsr_sin) => 0") == 2
    assert given["elementwise_loss"] is None  # Julia's default: mean squared error
    assert record["search"]["parallelism"] == "serial"
    assert record["search"]["niterations"] == pysr.ITERATIONS
    assert record["search"]["variable_names"] == ["x0", "x1", "x2"]
    assert record["shapes"] == [[3, 50], [50]]
    for name in ("sin", "tanh"):
        assert record["sources"].count(pysr.julia_table(LUTS[name])) == 1

    # and what comes back is rescored on all rows, in our own names, on our own tables
    best = front[-1]
    product = Call("mul", (Var("x1"), Var("x0")))
    scaled = Call("mul", (Var("mass"), Num(0.25)))
    assert best.expr == Call("add", (Call("sin", (product,)), scaled))
    columns = {name: z[:, j] for j, name in enumerate(NAMES)}
    assert best.loss == float(np.mean((evaluate(best.expr, columns, LUTS) - y) ** 2)) < 1e-3
    assert [s.loss for s in front] == sorted((s.loss for s in front), reverse=True)
    assert all(s.loss < 9 for s in front)  # PySR's own numbers are not taken over
    assert all(Num(1e6) not in getattr(s.expr, "args", ()) for s in front)  # beyond the reach


def test_nothing_fits(monkeypatch):
    def run(arguments, timeout_s, fetch):
        folder = Path(arguments[-1]) / "run"
        folder.mkdir()
        (folder / "hall_of_fame.csv").write_text('Complexity,Loss,Equation\n3,1.0,"x1 * 1.0e6"\n')
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(pysr, "_python", run)
    z, y = events()
    with pytest.raises(DataError, match="no expression that PySR found fits"):
        pysr.search(Sample(z, y, NAMES), CONFIG, COSTS, LUTS, seed=1)


def test_failure_inside_pysr_is_one_line(fake_julia, monkeypatch):
    monkeypatch.setenv("FAKE_RECORD", "/no/such/folder/record.json")
    z, y = events()
    with pytest.raises(ToolError, match=r"PySR failed \(FileNotFoundError.*engine: embedded"):
        pysr.search(Sample(z, y, NAMES), CONFIG, COSTS, LUTS, seed=1)


def test_julia_version(fake_julia):
    assert pysr.julia() == "1.11.0"


def test_without_julia(monkeypatch, tmp_path):
    (tmp_path / "juliacall.py").write_text("raise Exception('could not find Julia')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    z, y = events()
    for ask in (pysr.julia, lambda: pysr.search(Sample(z, y, NAMES), CONFIG, COSTS, LUTS, seed=1)):
        with pytest.raises(ToolError) as caught:
            ask()
        message = str(caught.value)
        assert message.startswith("Julia was not found (Exception: could not find Julia); PySR")
        assert message.endswith("use engine: embedded here")
        assert "\n" not in message


def test_pysr_stays_out_of_the_main_process():
    script = (
        "import sys; from nacsr.frontends.symbolic import pysr; "
        "sys.exit(any(m in sys.modules for m in ('pysr', 'juliacall', 'sympy', 'sklearn')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_options_without_functions_and_small_sizes():
    config = replace(CONFIG, operators=("add", "mul"), functions=(), max_size=3)
    given = pysr.options(config, COSTS, LUTS, seed=0)
    assert given["operators"] == {2: ["+", "*"]}
    assert given["nested_constraints"] is None
    assert given["maxsize"] == 7  # PySR's least
    json.dumps(given)


# ---- tables as Julia text


def read_table(text: str) -> tuple[list[int], float, str, int, int, float]:
    """Entries, factor, rounding, ends and LSB out of the Julia text."""
    found = re.fullmatch(
        r"begin; const nacsr_f_table = parse\.\(Int64, split\(\"([-\d ]+)\"\)\); "
        r"function nacsr_f\(x::T\) where \{T\}; isfinite\(x\) \|\| return T\(NaN\); "
        r"v = Float64\(x\) \* (\S+); "
        r"return T\(nacsr_f_table\[Int\(clamp\((.+), (\S+), (\S+)\)\) - \((\S+)\) \+ 1\]"
        r" \* (\S+)\); end; end",
        text,
    )
    assert found is not None
    low, high = float(found[4]), float(found[5])
    assert low == int(found[6])
    entries = [int(n) for n in found[1].split()]
    return entries, float(found[2]), found[3], int(low), int(high), float(found[7])


ROUNDED = {
    "floor(v)": np.floor,
    "trunc(v)": np.trunc,
    "floor(v + 0.5)": lambda v: np.floor(v + 0.5),
    "ceil(v - 0.5)": lambda v: np.ceil(v - 0.5),
    "copysign(ceil(abs(v) - 0.5), v)": lambda v: np.copysign(np.ceil(abs(v) - 0.5), v),
    "copysign(floor(abs(v) + 0.5), v)": lambda v: np.copysign(np.floor(abs(v) + 0.5), v),
    "round(v)": np.rint,  # both round ties to even
}


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize(
    "domain", ["fixed<7,3,TRN,SAT>", "ufixed<6,2,TRN,SAT>", "fixed<6,9,TRN,SAT_SYM>"]
)
def test_julia_table_is_the_same_table(rounding, domain):
    """Read back from the Julia text and looked up as it says: the very values of the firmware."""
    type_ = Fixed.parse(domain).with_modes(rounding, Fixed.parse(domain).overflow)
    lut = LutFunc("f", "sigmoid", type_, Fixed(12, 2))
    entries, factor, text, low, high, lsb = read_table(pysr.julia_table(lut))
    x = np.concatenate([np.arange(-1200, 1200) * type_.lsb / 8, [1e30, -1e30]])
    place = np.clip(ROUNDED[text](x * factor), low, high).astype(int) - low
    assert len(entries) == high - low + 1
    assert (np.array(entries)[place] * lsb == lut.numpy(x)).all()


# ---- prices


def test_price_by_hand():
    add, sub, mul = COSTS["add"], COSTS["sub"], COSTS["mul"]
    x, y = Var("x"), Var("y")
    cycles, luts, dsps = pysr.price(Call("mul", (x, y)), COSTS, 4.375)
    assert (luts, dsps) == (2 * sub.luts + mul.luts, mul.dsps)
    assert cycles == -(-(sub.delay_ns + mul.delay_ns) // 4.375)
    shared = Call("mul", (x, y))  # equal subtrees are one circuit
    assert pysr.price(Call("add", (shared, shared)), COSTS, 4.375)[1:] == (luts + add.luts, dsps)
    wires = Call("mul", (x, Num(-0.25)))
    assert pysr.price(wires, COSTS, 4.375) == (1, sub.luts, 0)
    assert pysr.price(Num(3.0), COSTS, 4.375) == (1, 0, 0)
    table = Call("tanh", (x,))  # a table takes a period of its own
    assert pysr.price(table, COSTS, 4.375) == (2, sub.luts + COSTS["lut"].luts, 0)


def test_price_is_that_of_the_embedded_engine():
    """Both engines' formulas compete on one front, so both must be priced alike."""
    z, y = events(200)
    config = replace(CONFIG, evaluations=1_500, rows=200, max_size=20)
    front = search(Sample(z, y, NAMES), config, COSTS, LUTS, seed=1)
    assert len(front) > 5
    for s in front:
        assert pysr.price(s.expr, COSTS, config.period_ns) == (s.cycles, s.luts, s.dsps)


@pytest.mark.julia
def test_end_to_end():
    """PySR itself finds a product of two inputs."""
    try:
        pysr.julia()
    except ToolError as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 3))
    y = z[:, 0] * z[:, 2]
    once, again = (pysr.search(Sample(z, y, NAMES), CONFIG, COSTS, LUTS, seed=1) for _ in range(2))
    assert once == again
    assert once[-1].loss < 0.01
