"""Complexities: the published figures, those of our tables, and the command that prints them."""

from __future__ import annotations

import ast
import csv
import json
from pathlib import Path

import pytest

from nacsr.cost import operator_costs
from nacsr.errors import SpecError
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.engines.complexities import (
    MATH_CYCLES,
    complexities,
    function_cost,
    math_cycles,
    pysr_text,
    table,
    with_custom,
)
from nacsr.frontends.symbolic.language.custom import custom_operators
from nacsr.frontends.symbolic.language.expr import OPERATORS
from nacsr.luts import lut_functions
from tests.unit.test_cli import call

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "symbolic"
FIGURES = SHARED / "operator_cycles_vu9p.csv"
LUTS = lut_functions()
PUBLISHED = {"log_abs": 4, "sin": 8, "tan": 48, "cosh": 8, "sinh": 9, "exp": 3}
AT = Fixed(16, 6)


def given(kind: str, implementation: str = "lut", functions=tuple(PUBLISHED)) -> dict[str, int]:
    return complexities(kind, ("add", "sub", "mul"), functions, AT, 200.0, "vu9p", implementation)


@pytest.mark.parametrize("kind", ["auto", "cycles<16,6>"])
def test_published_figures(kind):
    """Those of latency-aware training at <16,6>."""
    assert given(kind, "math") == {"add": 1, "sub": 1, "mul": 1, **PUBLISHED}


def test_published_figures_of_a_wider_type():
    found = given("cycles<18,8>", "math")
    assert found == {
        "add": 1, "sub": 1, "mul": 1, "log_abs": 4, "sin": 9, "tan": 54, "cosh": 9, "sinh": 10,
        "exp": 3,
    }  # fmt: skip


@pytest.mark.skipif(not FIGURES.exists(), reason="needs the shared csynth figures")
def test_every_measured_figure():
    """Against the published CSV, at all of its types."""
    signs = {"+": "add", "-": "sub", "*": "mul", "/": "div"}
    checked = 0
    with FIGURES.open() as lines:
        for row in csv.DictReader(lines):
            name = signs.get(row["operator"], row["operator"])
            if name not in (*MATH_CYCLES, *OPERATORS, "cos"):
                continue
            at = Fixed(int(row["W"]), int(row["I"]))
            assert math_cycles(name, at, LUTS) == int(row["cycles_csynth_min1"]), row
            checked += 1
    assert checked > 250


def test_ones():
    assert set(given("ones", "math").values()) == {1}


def test_tables_cost_what_their_graphs_do():
    found = given("auto", functions=("sin", "exp", "gauss"))
    costs = operator_costs(AT, 200.0)
    assert {n: found[n] for n in ("add", "sub", "mul")} == {
        n: costs[n].cycles for n in ("add", "sub", "mul")
    }
    for name in ("sin", "exp", "gauss"):
        assert found[name] == function_cost(LUTS[name], AT, 200.0, "vu9p").cycles
    slow, fast = (
        complexities("auto", ("mul",), ("sin",), AT, mhz, "vu9p") for mhz in (100.0, 500.0)
    )
    assert sum(slow.values()) < sum(fast.values())


def test_types_between_and_beyond_the_measured_ones():
    assert math_cycles("exp", Fixed(16, 6), LUTS) == 3
    assert math_cycles("tanh", Fixed(32, 12), LUTS) == 60  # the widest of the nearest
    assert math_cycles("tanh", Fixed(8, 4), LUTS) == 38
    assert math_cycles("gauss", Fixed(16, 6), LUTS) == 4
    assert (
        math_cycles("div", Fixed(16, 6), LUTS) == math_cycles("inverse", Fixed(16, 6), LUTS) == 29
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "twos"}, "complexities must be ones, auto, or cycles<16,6>, not 'twos'"),
        ({"kind": "cycles<a>"}, "cannot read"),
        ({"implementation": "hls"}, "unknown implementation 'hls'"),
        ({"operators": ("plus",)}, "unknown operator 'plus'"),
        ({"functions": ("sine",)}, "unknown function 'sine', did you mean 'sin'"),
        ({"functions": ("erf",), "implementation": "math"}, "cycles of 'erf' were not measured"),
    ],
)
def test_refusals(changes, says):
    arguments = {
        "kind": "auto", "operators": ("add",), "functions": ("sin",), "precision": AT,
        "clock_mhz": 200.0, "target": "vu9p", "implementation": "lut",
    }  # fmt: skip
    with pytest.raises(SpecError, match=f"^(?s:.*){says.split('<')[0]}"):
        complexities(**(arguments | changes))


def test_text_for_pysr_is_python():
    """It can be pasted: PySR's names, definitions of what it has not, and no nesting."""
    operators, functions = ("add", "select", "abs"), ("sin", "gauss")
    text = pysr_text({"add": 1, "select": 1, "abs": 1, "sin": 8, "gauss": 4}, operators, functions)
    call = ast.parse(f"f({text})", mode="eval").body
    words = {k.arg: k.value for k in call.keywords}
    assert ast.literal_eval(words["operators"]) == {
        1: ["abs", "sin", "gauss(x) = exp(-x*x)"],
        2: ["+"],
        3: ["select(a, b, c) = ifelse(a > zero(a), b, c)"],
    }
    complexity = ast.literal_eval(words["complexity_of_operators"])
    assert complexity == {"+": 1, "select": 1, "abs": 1, "sin": 8, "gauss": 4}
    assert [k.value for k in words["extra_sympy_mappings"].keys] == ["select", "gauss"]
    assert "dict.fromkeys(('sin', 'gauss'), 0)" in ast.unparse(words["nested_constraints"])


def listed(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of nacsr complexities."""
    return call(capsys, "complexities", *arguments)


@pytest.mark.parametrize("precision", ["16,6", "fixed<16,6>"])
def test_command(capsys, precision):
    words = ["--precision", precision, "--impl", "math", "--target", "vu9p"]
    code, out, _ = listed(capsys, *words, "--functions", ",".join(PUBLISHED))
    assert code == 0
    for name, cycles in {"mul": 1, **PUBLISHED}.items():
        row = next(line for line in out.splitlines() if f" {name} " in line and "│" in line)
        assert row.split("│")[2].strip() == str(cycles)
    assert "complexity_of_operators={'+': 1, '-': 1, '*': 1," in out
    assert "'sinh': 9, 'exp': 3}," in out


def test_command_for_scripts(capsys):
    code, out, _ = listed(capsys, "--json", "--functions", "sin", "--operators", "add,select")
    rows = {r["operator"]: r for r in json.loads(out)}
    assert code == 0
    assert list(rows) == ["add", "select", "sin"]
    cost = table(("add",), (), AT, 200.0, "vu9p")["add"]
    assert rows["add"]["luts"] == cost.luts
    assert rows["add"]["delay_ns"] == round(cost.delay_ns, 3)
    code, out, _ = listed(capsys, "--json", "--impl", "math")
    everything = {r["operator"]: r for r in json.loads(out)}
    assert everything["sin"] == {
        "operator": "sin", "cycles": 8, "delay_ns": None, "luts": None, "dsps": None,
    }  # fmt: skip
    assert "erf" not in everything  # not measured


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--precision", "16"], "cannot read '16'"),
        (["--functions", "sine"], "did you mean 'sin'"),
        (["--impl", "hls"], "unknown implementation"),
        (["--operators", "", "--functions", ""], "neither operators nor functions"),
        (["--target", "vu9"], "vu9p"),
    ],
)
def test_command_refuses(capsys, words, says):
    code, _, err = listed(capsys, *words)
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def test_users_operators_are_as_complex_as_what_they_are_made_of() -> None:
    own = custom_operators({"wave": "sin(2*a) + abs(b)", "deep": "wave(a, a)*wave(a, 1)"}, LUTS)
    given = {"add": 2, "mul": 3, "sin": 5}
    found = with_custom(given, own)
    assert found == {"add": 2, "mul": 3, "sin": 5, "wave": 5 + 3 + 2 + 1, "deep": 2 * 11 + 3}
    assert with_custom({**given, "wave": 7}, own)["wave"] == 7
    assert with_custom({}, own) == {}
