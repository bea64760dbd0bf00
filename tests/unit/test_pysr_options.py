"""What PySR is told: keyword arguments, and tables and the critical path as Julia text."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from nacsr.errors import SpecError
from nacsr.fixed import Fixed, Rounding
from nacsr.frontends.symbolic.engines import julia_code, pricing, pysr_options
from nacsr.frontends.symbolic.engines.request import Config
from nacsr.frontends.symbolic.language.expr import Call, Expr, Num
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.luts import LutFunc
from tests.unit.test_pysr import CONFIG, COSTS, LUTS

# ---- options


def test_options_without_functions_and_small_sizes():
    config = replace(CONFIG, operators=("add", "mul"), functions=(), max_cycles=3)
    given = pysr_options.options(config, COSTS, LUTS, seed=0)
    assert given["operators"] == {2: ["+", "*"]}
    assert given["nested_constraints"] is None
    assert given["maxsize"] == 7  # PySR's least
    json.dumps(given)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"extra": {"random_state": 1}}, "random_state is set by nacsr; give the study's seed"),
        ({"extra": {"maxsize": 9}}, "maxsize is set by nacsr; give max_size"),
        ({"extra": {"parallelism": "multiprocessing"}}, "does not carry tables"),
        ({"extra": {"parsimony": {1, 2}}}, "give numbers, texts, lists and mappings only"),
        ({"extra": {"constraints": {"sine": 3}}}, "unknown operator 'sine', did you mean 'sin'"),
        ({"nesting": {"exp": {"sin": 0}}}, "nesting: unknown operator 'exp'"),
        ({"complexities": {"add": 1}}, "no complexity is given for 'square'"),
        ({"operators": (), "functions": ()}, "neither operators nor functions"),
        ({"operators": ("div",)}, "unknown operator 'div'"),
    ],
)
def test_refused_options(changes, says):
    with pytest.raises(SpecError) as caught:
        pysr_options.options(replace(CONFIG, **changes), COSTS, LUTS, seed=0)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_guesses_are_in_the_searchs_own_operators():
    def said(text: str, **changes: object) -> str | None:
        expr = parse(text, ("pt", "mass", "eta"), LUTS)
        return julia_code.formula(expr, ("pt", "mass"), replace(CONFIG, **changes), LUTS)

    assert said("max(pt, -0.5)*square(mass)") == "(max(x0, (-0.5)) * square(x1))"
    assert said("-sin(pt/4)") == "((-1.0) * nacsr_sin((x0 * 0.25)))"
    assert said("pt^3 - mass", operators=("add", "mul")) == ("((x0 * (x0 * x0)) + ((-1.0) * x1))")
    assert said("exp(pt)") is None  # not of this search
    assert said("min(pt, mass)") is None
    assert said("pt + eta") is None  # not among its inputs
    assert said("pt/(mass - mass)") is None


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
    entries, factor, text, low, high, lsb = read_table(julia_code.table(lut))
    x = np.concatenate([np.arange(-1200, 1200) * type_.lsb / 8, [1e30, -1e30]])
    place = np.clip(ROUNDED[text](x * factor), low, high).astype(int) - low
    assert len(entries) == high - low + 1
    assert (np.array(entries)[place] * lsb == lut.numpy(x)).all()


# ---- the critical path as Julia text


def julia_cycles(text: str, expr: Expr, config: Config) -> int:
    """What the Julia text computes for an expression: its numbers, in the steps that it takes."""
    before = json.loads(re.search(r"nacsr_before = (.+)", text)[1])
    pairs = re.findall(r"\(([\d.]+), ([\d.]+)\)", re.search(r"nacsr_delays = (.+)", text)[1])
    start = float(re.search(r"leaf.constant \? -1.0 : ([\d.]+)", text)[1])
    period = float(re.search(r"rem\(ready, ([\d.]+)\)", text)[1])
    symbols = julia_code.by_arity(config)

    def ready(node: Expr) -> float:
        if not isinstance(node, Call):
            return -1.0 if isinstance(node, Num) else start
        operands = [ready(a) for a in node.args]
        if all(t < 0 for t in operands):
            return -1.0
        place = before[len(node.args) - 1] + symbols[len(node.args)].index(node.op)
        delay = float(pairs[place][1 if any(t < 0 for t in operands) else 0])
        now = max(operands)
        used = now % period
        if used > 0 and used + delay > period + 1e-9:
            now += period - used
        return now + delay

    return max(1, int(np.ceil(ready(expr) / period - 1e-9)))


@pytest.mark.parametrize(
    "formula",
    [
        "x0",
        "0.3",
        "x0*x1",
        "0.3*x0 + sin(x1*x0) - 1.7",
        "tanh(max(x0, sin(x1)))*(x0 - 2*x1)*(x0 - 2*x1)",
        "select(x0, sin(x1), (0.3 + 0.4)*x0) + square(x1*x0*x1)",
    ],
)
def test_critical_path_is_that_of_the_front(formula):
    config = replace(CONFIG, operators=(*CONFIG.operators, "select"))
    text = julia_code.critical_path(config, COSTS, 9)
    expr = parse(formula, ("x0", "x1"), LUTS)
    assert text.count("function") == 2
    assert "cycles > 8 || count_nodes(tree) > 12 ? 9 : cycles" in text
    cycles, _, _ = pricing.price(expr, COSTS, config.period_ns)
    assert julia_cycles(text, expr, config) == cycles
