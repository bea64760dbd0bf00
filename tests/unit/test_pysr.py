"""The PySR backend, without Julia: the contract with the real PySR, and what we make of a hall.

A stand-in for ``juliacall`` lets the real ``PySRRegressor.fit`` run up to Julia. It records the
one ``Options`` call, and writes the hall of fame that Julia would have written. PySR's own
search runs only in the test that is marked ``julia``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nacsr.cost import operator_costs
from nacsr.errors import DataError, SpecError, ToolError
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.engines import child, julia_code, pysr, pysr_options
from nacsr.frontends.symbolic.engines.complexities import complexities, pysr_text
from nacsr.frontends.symbolic.engines.request import Config, Sample
from nacsr.frontends.symbolic.language.custom import custom_operators
from nacsr.frontends.symbolic.language.expr import Call, Num, Var
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.frontends.symbolic.lowering.chip import Chip
from nacsr.luts import lut_functions
from tests.unit.test_engines import linear_loss

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

STAND_IN_JULIA = '''
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

    def __repr__(self):
        return self.name

RECORD = {"sources": []}

def seval(source):
    RECORD["sources"].append(source)
    named = re.findall(r"(?:function |; |^)(\\w+)\\([^)]*\\)(?: where \\{T\\}| =|\\n)", source)
    return Function(named[-1] if named else source)

def options(**given):
    RECORD["options"] = {k: repr(v) if isinstance(v, MagicMock) else v for k, v in given.items()}
    return MagicMock()

def search(x, y, *, options, run_id, **given):
    RECORD["search"] = {k: v for k, v in given.items() if isinstance(v, int | str | list)}
    RECORD["shapes"] = [list(x.shape), list(y.shape)]
    weights = given["weights"]
    RECORD["weights"] = None if weights is None else [float(w) for w in weights]
    RECORD["threads"] = os.environ["PYTHON_JULIACALL_THREADS"]
    run = pathlib.Path(RECORD["options"]["output_directory"]) / run_id
    run.mkdir(parents=True, exist_ok=True)
    (run / "hall_of_fame.csv").write_text(os.environ["STAND_IN_HALL"])
    pathlib.Path(os.environ["STAND_IN_RECORD"]).write_text(json.dumps(RECORD, default=str))
    if os.environ.get("STAND_IN_CRASH"):
        raise RuntimeError("out of memory")
    return MagicMock()

Main = MagicMock()
Main.VERSION.major, Main.VERSION.minor, Main.VERSION.patch = 1, 11, 0
Main.VERSION.__str__ = lambda self: "1.11.0"
Main.seval = seval
Main.isa = lambda value, kind: isinstance(value, Function)
Main.Base.nameof = lambda function: function.name
Main.Base.include_string = lambda module, source, name: source
Main.Symbol = str
Main.Array = list
Main.Dict.__getitem__ = lambda self, kinds: dict
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
def stand_in(tmp_path, monkeypatch):
    """A stand-in for juliacall on the path of child processes; the file it records to."""
    package = tmp_path / "stand_in" / "juliacall"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(STAND_IN_JULIA)
    record = tmp_path / "record.json"
    path = os.pathsep.join([str(package.parent), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path.rstrip(os.pathsep))
    monkeypatch.setenv("STAND_IN_HALL", HALL)
    monkeypatch.setenv("STAND_IN_RECORD", str(record))
    return record


def events(rows: int = 80) -> tuple[np.ndarray, np.ndarray]:
    z = np.random.default_rng(4).normal(size=(rows, 3))
    return z, np.sin(z[:, 0] * z[:, 2]) + 0.25 * z[:, 1]


def test_contract_with_the_real_pysr(stand_in):
    """The real ``fit`` validates every option and reaches one ``Options`` call with them."""
    z, y = events()
    front = pysr.search(Sample(z, y, NAMES), CONFIG, COSTS, LUTS, seed=2**40 + 7)
    record = json.loads(stand_in.read_text())
    given = record["options"]
    assert given["operators"] == [
        ["square", "nacsr_sin", "nacsr_tanh"],
        ["+", "-", "*", "max"],
    ]
    assert given["complexity_mapping"] == "nacsr_cycles"
    assert given["complexity_of_operators"] is None
    assert (given["maxsize"], given["maxdepth"]) == (8, 12)  # in cycles; levels
    assert given["max_evals"] == 3_000
    assert given["deterministic"] is True
    assert isinstance(given["seed"], int)
    assert given["optimizer_algorithm"] == "NelderMead"
    assert given["batching"] is False
    assert given["constraints"] == {"1": [-1] * 3, "2": [[-1, -1]] * 4}  # none
    assert given["nested_constraints"].count("(nacsr_sin) => 0") == 2
    assert given["elementwise_loss"] is None  # Julia's default: mean squared error
    assert record["search"]["parallelism"] == "serial"
    assert record["search"]["niterations"] == pysr_options.ITERATIONS
    assert record["search"]["variable_names"] == ["x0", "x1", "x2"]
    assert record["shapes"] == [[3, 50], [50]]
    assert record["weights"] is None
    assert record["threads"] == "1"
    for name in ("sin", "tanh"):
        assert record["sources"].count(julia_code.table(LUTS[name])) == 1

    # and what comes back is rescored on all rows, in our own names, on our own tables
    best = front[-1]
    product = Call("mul", (Var("x1"), Var("x0")))
    scaled = Call("mul", (Var("mass"), Num(0.25)))
    assert best.expr == Call("add", (Call("sin", (product,)), scaled))
    columns = {name: z[:, j] for j, name in enumerate(NAMES)}
    values = Chip(columns, LUTS, CONFIG.precision).output(best.expr)
    assert best.loss == pytest.approx(linear_loss(values, Sample(z, y, NAMES)))
    assert best.loss < 1e-3
    assert [s.loss for s in front] == sorted((s.loss for s in front), reverse=True)
    assert all(s.loss < 9 for s in front)  # PySR's own numbers are not taken over
    assert all(Num(1e6) not in getattr(s.expr, "args", ()) for s in front)  # beyond the reach


def test_contract_of_everything_else(stand_in, tmp_path):
    """Weights, guesses, own operators, arity 3, constraints, nesting, sums, threads, a folder."""
    z, y = events()
    folder = tmp_path / "outputs" / "g"
    folder.mkdir(parents=True)
    (folder / "hall_of_fame.csv").write_text(HALL.replace("x1 * 0.5", "x0 + x1"))
    config = replace(
        CONFIG,
        operators=("add", "mul", "greater", "cond", "select"),
        functions=("sin",),
        custom=custom_operators({"ratio": "select(a, tanh(a)*0.5, b)"}, LUTS),
        complexities={"add": 1, "mul": 2, "greater": 1, "cond": 1, "select": 3, "sin": 5},
        guesses=(parse("square(mass) - sin(x0)/4", NAMES, LUTS), parse("exp(x1)", NAMES, LUTS)),
        nesting={"sin": {"mul": 1}},
        extra={"constraints": {"mul": [-1, 3], "sin": 7}, "procs": 2, "parsimony": 0.01},
    )
    weights = np.linspace(0.5, 1.5, len(y))
    pysr.search(Sample(z, y, NAMES, weights), config, COSTS, LUTS, seed=1, folder=folder)
    record = json.loads(stand_in.read_text())
    given = record["options"]
    assert given["operators"] == [
        ["nacsr_sin"],
        ["+", "*", "greater", "cond", "nacsr_ratio"],
        ["nacsr_select"],
    ]
    own = next(t for t in record["sources"] if "nacsr_ratio(" in t)
    assert own.startswith("begin; begin; const nacsr_tanh_table = ")
    assert own.endswith(
        "; nacsr_select(a, b, c) = ifelse(a > zero(a), b, c); nacsr_ratio(a::T, b::T) where {T}"
        " = nacsr_select(a, (nacsr_tanh(a) * T(0.5)), b); end"
    )
    assert given["complexity_mapping"] is None
    assert given["complexity_of_operators"].startswith("Dict((nacsr_sin) => 5, (+) => 1, (*) => 2")
    assert "(nacsr_ratio) => 6, " in given["complexity_of_operators"]  # select + tanh + mul
    assert given["maxsize"] == 12
    assert given["nested_constraints"] == "Dict((nacsr_sin) => Dict((*) => 1, ), )"
    assert given["constraints"]["1"] == [7]
    assert given["constraints"]["2"] == [[-1, -1], [-1, 3], [-1, -1], [-1, -1], [-1, -1]]
    assert given["parsimony"] == 0.01
    assert given["deterministic"] is False
    assert record["search"]["parallelism"] == "multithreading"
    assert record["threads"] == "2"
    assert len(set(record["weights"])) == 50
    assert given["output_directory"] == str(tmp_path / "outputs")
    first, *others = record["search"]["guesses"][0]
    assert first == "((x1 * x1) + ((-1.0) * (nacsr_sin(x2) * 0.25)))"
    assert "(x0 + x1)" in others  # of the hall that was there
    assert not any("exp" in g or "square" in g for g in others)
    assert (folder / "hall_of_fame.csv").read_text() == HALL


def test_contract_of_what_the_command_prints(stand_in, monkeypatch, tmp_path):
    """``nacsr complexities`` prints arguments that the real PySR takes."""
    operators = ("add", "mul", "select")
    given = complexities("auto", operators, tuple(LUTS), Fixed(16, 6), 200.0, "vu9p")
    text = pysr_text(given, operators, tuple(LUTS)).replace("\n", "\n    ")
    script = (
        "import numpy as np\nfrom pysr import PySRRegressor\nimport sympy\n"
        f"model = PySRRegressor(\n    {text}\n"
        f"    output_directory={str(tmp_path)!r}, run_id='run', progress=False,\n)\n"
        "model.fit(np.ones((9, 2)), np.ones(9))\n"
    )
    monkeypatch.setenv("STAND_IN_HALL", 'Complexity,Loss,Equation\n1,0.5,"x0"\n')
    monkeypatch.setenv("PYTHON_JULIACALL_THREADS", "1")
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    found = json.loads(stand_in.read_text())["options"]
    assert found["operators"] == [[*LUTS], ["+", "*"], ["select"]]
    assert f"(sin) => {given['sin']}, " in found["complexity_of_operators"]


def test_unknown_keyword_is_one_line(stand_in):
    z, y = events()
    config = replace(CONFIG, extra={"populatoins": 3})
    with pytest.raises(SpecError) as caught:
        pysr.search(Sample(z, y, NAMES), config, COSTS, LUTS, seed=1)
    assert str(caught.value) == (
        "families.expression.pysr: unknown keyword argument of PySRRegressor 'populatoins', did "
        "you mean 'populations'?"
    )


def test_failure_inside_pysr_is_one_line(stand_in, monkeypatch):
    monkeypatch.setenv("STAND_IN_HALL", "")
    monkeypatch.setenv("STAND_IN_CRASH", "yes")
    z, y = events()
    with pytest.raises(ToolError, match=r"PySR failed \(RuntimeError: out of.*engine: embedded"):
        pysr.search(Sample(z, y, NAMES), CONFIG, COSTS, LUTS, seed=1)


def test_julia_version(stand_in):
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
        "import sys; from nacsr.frontends.symbolic import engines; "
        "sys.exit(any(m in sys.modules for m in ('pysr', 'juliacall', 'sympy', 'pyoperon')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


# ---- while PySR runs, and when it does not end well


def pretend(monkeypatch, *halls: str, ends: object) -> None:
    """A PySR that writes one hall after the other, and then ends like this."""

    def run(arguments, folder, environment, watch):
        run_folder = Path(json.loads((folder / "request.json").read_text())["run"])
        run_folder.mkdir(parents=True, exist_ok=True)
        for hall in halls:
            (run_folder / "hall_of_fame.csv").write_text(hall)
            watch()
        if isinstance(ends, BaseException):
            raise ends
        return ends

    monkeypatch.setattr(child, "run", run)


CUT = HALL[:-20]


@pytest.mark.parametrize(
    ("ends", "says"),
    [
        ((-9, ""), "PySR failed (ended by signal 9); its best 6 formulas so far go on"),
        ((1, "x\nOutOfMemoryError()"), "PySR failed (OutOfMemoryError())"),
        (KeyboardInterrupt(), "PySR was interrupted; its best 6 formulas so far go on"),
    ],
)
def test_the_best_so_far_goes_on(monkeypatch, caplog, ends, says):
    """Also where the last hall was cut off in the middle of a row."""
    pretend(monkeypatch, HALL, CUT, ends=ends)
    z, y = events()
    with caplog.at_level("INFO", "nacsr"):
        front = pysr.search(Sample(z, y, NAMES), CONFIG, COSTS, LUTS, seed=1)
    assert front[-1].loss < 1e-3
    assert "PySR: 6 formulas, smallest loss 9.9" in caplog.text
    assert says in caplog.text


@pytest.mark.parametrize(
    ("ends", "kind"),
    [((-11, ""), ToolError), ((0, ""), ToolError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_nothing_was_found_before_the_end(monkeypatch, ends, kind):
    pretend(monkeypatch, ends=ends)
    z, y = events()
    with pytest.raises(kind):
        pysr.search(Sample(z, y, NAMES), CONFIG, COSTS, LUTS, seed=1)


def test_nothing_fits(monkeypatch):
    pretend(monkeypatch, 'Complexity,Loss,Equation\n3,1.0,"x1 * 1.0e6"\n', ends=(0, ""))
    z, y = events()
    with pytest.raises(DataError, match="no expression that was found stays finite and fits"):
        pysr.search(Sample(z, y, NAMES), CONFIG, COSTS, LUTS, seed=1)


def test_a_process_ends_with_the_wait_for_it(tmp_path):
    script = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
    note = tmp_path / "pid"

    def watch() -> None:
        if note.exists() and note.read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        child.run(["-c", script, str(note)], tmp_path, watch=watch, poll_s=0.05)
    assert gone(int(note.read_text()))


def test_a_process_ends_with_the_one_that_started_it(tmp_path):
    """Also where that one is killed, and can end nothing itself."""
    note = tmp_path / "pid"
    inner = (
        "import os, sys, time; from nacsr.frontends.symbolic.engines.child import follow_parent; "
        "follow_parent(); open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
    )
    outer = (
        "import os, pathlib, sys, subprocess, time\n"
        "subprocess.Popen([sys.executable, '-c', *sys.argv[1:]])\n"
        "while not (p := pathlib.Path(sys.argv[2])).exists() or not p.read_text():\n"
        "    time.sleep(0.05)\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", outer, inner, str(note)], check=True)
    deadline = time.monotonic() + 20
    while gone(int(note.read_text())) is False and time.monotonic() < deadline:
        time.sleep(0.1)
    assert gone(int(note.read_text()))


def gone(process: int) -> bool:
    """Whether a process has ended, waited for or not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


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
