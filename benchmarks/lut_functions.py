"""Errors and cost of LUT functions: the published jet taggers, and every implementation of sin.

    python benchmarks/lut_functions.py ../shared/data/symbolic/jets_golden.json

prints, for 100,000 standard-normal events of the five formulas at <16,6>, the largest error
against float64 and the estimated hardware; then what each kind of form takes for an error.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from nacsr.cost import estimate
from nacsr.data.words import Feature, Scaling
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.language.expr import Call, Expr
from nacsr.frontends.symbolic.language.expr import evaluate as value_of
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.frontends.symbolic.lowering.lower import lower
from nacsr.ir import evaluate
from nacsr.luts import LutFunc, fit, lut_functions
from nacsr.luts.price import price_of

EVENTS = 100_000
WORD = Fixed.parse("fixed<16,6,RND,SAT>")
TABLES = (("fixed<8,4,TRN,SAT>", "fixed<9,1>"), ("fixed<12,6,TRN,SAT>", "fixed<12,2>"))
INTERVALS = (("sin", -8, 8), ("tanh", -8, 8), ("exp", -8, 0), ("log_abs", 0.01, 8))


def formulas(file: Path) -> dict[str, Expr]:
    """The five taggers; their operator sc(x) is sin(x) * cos(x)."""
    data, luts = json.loads(file.read_text()), lut_functions()
    names = [f"x{j}" for j in range(16)]
    known = {**luts, "sc": replace(luts["sin"], name="sc")}

    def expand(e: Expr) -> Expr:
        if not isinstance(e, Call):
            return e
        args = tuple([expand(a) for a in e.args])
        if e.op == "sc":
            return Call("mul", (Call("sin", args), Call("cos", args)))
        return Call(e.op, args)

    texts = zip(data["classes"], data["expr"], strict=True)
    return {c: expand(parse(text, names, known)) for c, text in texts}


def jets(trees: dict[str, Expr], title: str, luts: dict[str, LutFunc]) -> None:
    """One line: entries of a sine, largest error of every output, and the estimate."""
    features = [Feature(f"x{j}", WORD) for j in range(16)]
    graph = lower(trees, features, Scaling("external", (0,) * 16, (0,) * 16), WORD, luts)
    values = np.random.default_rng(0).normal(size=(EVENTS, 16))
    words = {f.name: WORD.quantize(values[:, j]) for j, f in enumerate(features)}
    columns = {name: WORD.to_float(raw) for name, raw in words.items()}
    found = evaluate(graph, {name: words[name] for name, _ in graph.inputs})
    errors = [
        float(np.abs(graph.ops[i].type.to_float(found[port]) - real).max())
        for port, i in graph.outputs
        for real in [value_of(trees[port], columns, luts, exact=True)]
    ]
    cost = estimate(graph, "vu13p", 200.0)
    print(
        f"{title:34} {luts['sin'].entries:5} entries  error {max(errors):.4f} "
        f"({' '.join(f'{e:.4f}' for e in errors)})  {cost.luts} LUT {cost.dsps} DSP "
        f"{cost.brams} BRAM {cost.latency_cycles} cycles"
    )


def main() -> None:
    luts = dict(lut_functions())
    if len(sys.argv) > 1:
        trees = formulas(Path(sys.argv[1]))
        jets(trees, "shipped", luts)
        for domain, value in (
            ("fixed<8,4,TRN,SAT>", "fixed<9,1>"),
            ("fixed<12,6,TRN,SAT>", "12,2"),
        ):
            types = Fixed.parse(domain), Fixed.parse(value)
            plain = {n: luts[n].with_types(*types) for n in ("sin", "cos")}
            jets(trees, f"one table, {domain}", {**luts, **plain})
    print()
    for function, low, high in (
        ("sin", -8, 8),
        ("tanh", -8, 8),
        ("exp", -8, 0),
        ("log_abs", 0.01, 8),
    ):
        for error in (2e-2, 5e-3, 1e-3):
            started = time.perf_counter()
            f = fit(function, low, high, max_error=error, input=WORD)
            seconds = time.perf_counter() - started
            print(
                f"{function:8} [{low}, {high}] within {error:<6}: {f.form!s:32} {f.entries:5} "
                f"entries  true {f.max_error(low, high):.6f}  price {price_of(f.graph(WORD)):.0f}  "
                f"{seconds:.2f} s"
            )


if __name__ == "__main__":
    main()
