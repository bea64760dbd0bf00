"""The invariant mass of real muon pairs in fixed point, and whether a search finds its formula.

    python benchmarks/dimuon_mass.py [--seed 1 2 3] [--evaluations 20000]

The pairs are CMS Open Data of 2011 (record 545, CC-BY 4.0). First the three formulas of
examples/dimuon.py: relative errors against the mass of the unrounded quantities, for several
precisions and for words as a trigger has them, hardware at 200 MHz by our estimate, and the
emitted C++ and Verilog compared with the interpreter. Then the embedded engine regresses
M^2 / (2 pT1 pT2) on d_eta and d_phi: does it find cosh(d_eta) - cos(d_phi)?
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from symbolic_data import MUONS, muons

from nacsr.cost.schedule import period_ns
from nacsr.data.events import Events
from nacsr.data.words import Feature, Scaling
from nacsr.design import Design, Setting
from nacsr.fixed import Fixed
from nacsr.frontends.base import Problem
from nacsr.frontends.symbolic.engines.costs import dsp_luts, search_costs
from nacsr.frontends.symbolic.engines.registry import ENGINES
from nacsr.frontends.symbolic.engines.request import Config, Sample, Scored
from nacsr.frontends.symbolic.fitting.calibrate import terms
from nacsr.frontends.symbolic.language.expr import Call, Expr, Var
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.frontends.symbolic.language.show import to_text
from nacsr.frontends.symbolic.lowering.lower import lower
from nacsr.luts import LutFunc, lut_functions

TARGET, CLOCK_MHZ = "vu13p", 200.0
PRECISIONS = tuple(f"fixed<{width},7>" for width in (12, 13, 14, 15, 16))
WORDS: Mapping[str, str] = {"pt": "ufixed<11,4>", "eta": "fixed<10,3>", "phi": "fixed<10,3>"}
"""Words of a trigger: pT in eighths of a GeV to 256 GeV, eta and phi in steps of 1/128."""
EVENTS = {"hls": 7463, "rtl": 300}
NEAR = 0.1
"""How far a weight may be from plus or minus one."""


def example() -> ModuleType:
    """examples/dimuon.py."""
    file = Path(__file__).resolve().parents[1] / "examples" / "dimuon.py"
    spec = importlib.util.spec_from_file_location("dimuon_example", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def with_words(formula: str, precision: str, luts: Mapping[str, LutFunc]) -> Design:
    """A design whose inputs have the words of a trigger instead of the precision."""
    names = tuple(f"{kind}{n}" for n in (1, 2) for kind in WORDS)
    features = tuple(Feature(n, Fixed.parse(WORDS[n[:-1]]).with_modes("RND", "SAT")) for n in names)
    known = {**lut_functions(), **luts}
    zeros = (0,) * len(names)
    scaling = Scaling("external", zeros, zeros)
    expr = parse(formula, names, known)
    graph = lower({"y": expr}, features, scaling, Fixed.parse(precision), known)
    return Design(
        graph, Setting(features, ("y",), scaling, TARGET, CLOCK_MHZ), "dimuon", formula, "hls"
    )


def masses(pairs: NDArray[np.float64], true: NDArray[np.float64]) -> None:
    """A line for every formula, precision and kind of words."""
    code = example()
    print("against the mass of unrounded quantities; in brackets: of the words that arrive")
    print("formula      words           precision     median            p95              largest")
    chosen = []
    for title, formula in code.FORMULAS.items():
        for precision in PRECISIONS:
            for words in ("precision", "trigger"):
                if words == "trigger":
                    made = with_words(formula, precision, code.tables())
                else:
                    made = code.compiled(formula, precision=precision)
                found = code.UNIT * made.run(code.inputs(made, pairs))[:, 0]
                off = code.errors(found, true)
                own = code.errors(found, code.mass(code.rounded(made, pairs)))
                costs = [made.to(flow).cost() for flow in ("hls", "rtl")]
                print(
                    f"{title:12} {words:15} {precision:12} {off.median:6.2%} ({own.median:6.2%}) "
                    f"{off.p95:6.2%} ({own.p95:6.2%}) {off.largest:6.1%}  "
                    + "  ".join(
                        f"{c.stage}: {c.luts} LUT {c.dsps} DSP {c.brams} BRAM "
                        f"{c.latency_cycles} cycles"
                        for c in costs
                    )
                )
                if precision == code.PRECISION and words == "trigger":
                    chosen.append(made)
    for made in chosen:
        for flow in ("hls", "rtl"):
            print(f"{made.title}: {checked(made.to(flow), code, pairs[: EVENTS[flow]])}")


def checked(made: Design, code: ModuleType, pairs: NDArray[np.float64]) -> str:
    """The emitted project against the interpreter, on real pairs."""
    with tempfile.TemporaryDirectory() as scratch:
        words = made.words(code.inputs(made, pairs))
        found = made.verify(made.emit(Path(scratch) / "dimuon", words))
    return f"{found.mismatches} of {found.words} output words differ ({made.flow}, {found.tool})"


def weighted(expr: Expr, scale: float = 1.0) -> Iterator[tuple[float, Expr]]:
    """The terms of a sum and their weights, products of sums with a number opened."""
    for weight, term in terms(expr):
        if term is None:
            continue
        if term == expr:
            yield scale * weight, term
        else:
            yield from weighted(term, scale * weight)


WANTED: Mapping[Expr, float] = {
    Call("cosh", (Var("d_eta"),)): 1.0,
    Call("cos", (Var("d_phi"),)): -1.0,
}
"""The terms of the mass formula and their weights."""


def structure(expr: Expr) -> str | None:
    """Which terms of ``cosh(d_eta) - cos(d_phi)`` a sum has, with weights near +1 and -1.

    Returns:
        Those terms with their weights, or None if there is none of them.
    """
    totals = dict.fromkeys(WANTED, 0.0)
    for weight, term in weighted(expr):
        plain = _even(term)
        if plain in totals:
            totals[plain] += weight
    found = [
        f"{to_text(term)} with weight {total:+.3f}"
        for term, total in totals.items()
        if abs(total - WANTED[term]) <= NEAR
    ]
    return ", ".join(found) or None


def _even(term: Expr) -> Expr:
    """The term with the sign of its argument dropped: both functions are even."""
    match term:
        case Call(op, (Call("neg", (inner,)),)):
            return Call(op, (inner,))
    return term


def whole(expr: Expr) -> bool:
    """Whether it has both terms."""
    found = structure(expr)
    return found is not None and all(to_text(term) in found for term in WANTED)


def problem(pairs: NDArray[np.float64], true: NDArray[np.float64]) -> Problem:
    """M^2 / (2 pT1 pT2) from d_eta and d_phi, on their own scale."""
    code = example()
    pt1, eta1, phi1, pt2, eta2, phi2 = pairs.T
    word = Fixed.parse(code.PRECISION).with_modes("RND", "SAT")
    features = tuple(Feature(n, word) for n in ("d_eta", "d_phi"))
    words = np.stack([word.quantize(eta1 - eta2), word.quantize(phi1 - phi2)], axis=1)
    events = Events(words, true**2 / (2 * pt1 * pt2))
    return Problem(
        features=features,
        classes=("y",),
        scaling=Scaling("external", (0, 0), (0, 0)),
        train=events,
        validation=events,
        target=TARGET,
        clock_mhz=CLOCK_MHZ,
        precision=word.plain(),
        digest="",
        task="regression",
        luts={**lut_functions(), **code.tables()},
    )


def searched(given: Problem, seed: int, evaluations: int) -> list[Scored]:
    """The front of the embedded engine."""
    config = Config(
        evaluations=evaluations,
        rows=5_000,
        operators=("add", "sub", "mul", "square", "abs", "min", "max"),
        functions=("cosh", "cos", "sin", "gauss", "exp", "tanh"),
        precision=given.precision,
        period_ns=period_ns(CLOCK_MHZ),
        dsp_luts=dsp_luts(given),
        max_size=30,
    )
    sample = Sample(given.values(given.train), given.train.y, given.names)
    costs = search_costs(given, given.precision, config.table_bits)
    return ENGINES["embedded"](sample, config, costs, given.luts, seed)


def structures(given: Problem, seeds: list[int], evaluations: int) -> None:
    """What every seed finds: the smallest formula of the front that has both terms."""
    print(f"\nd_eta, d_phi -> M^2 / (2 pT1 pT2), {evaluations} evaluations a seed")
    hits = 0
    for seed in seeds:
        started = time.perf_counter()
        front = searched(given, seed, evaluations)
        seconds = time.perf_counter() - started
        both = [one for one in front if whole(one.expr)]
        hits += bool(both)
        shown = min(both, key=lambda one: one.size) if both else front[-1]
        print(
            f"seed {seed}, {seconds:.0f} s, {len(front)} formulas: {to_text(shown.expr, 4)}\n"
            f"  error {np.sqrt(shown.loss):.4f}, size {shown.size}, {shown.cycles} cycles; "
            f"it has {structure(shown.expr) or 'none of both terms'}"
        )
    print(f"cosh(d_eta) - cos(d_phi) found by {hits} of {len(seeds)} seeds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--evaluations", type=int, default=20_000)
    asked = parser.parse_args()
    if not MUONS.is_file():
        sys.exit("shared/data/cms is not beside the checkout; it has the pairs (see data.md)")
    pairs, true = muons()
    masses(pairs, true)
    structures(problem(pairs, true), asked.seed, asked.evaluations)


if __name__ == "__main__":
    main()
