"""The mass of a muon pair in fixed point, from the words a Level-1 trigger has, in three formulas.

    python examples/dimuon.py [cms_dimuon_2011.npz]

M = sqrt(2 pT1 pT2 (cosh(eta1 - eta2) - cos(phi1 - phi2))), for muons without mass. A word has 14
bits with steps of 1/128: pT in units of 16 GeV (steps of an eighth of a GeV), eta and phi in
radians. Without a file the pairs are made here; with one (arrays X, columns and mass) they are
real. Errors are relative to the mass of the unrounded quantities: the rounding of the words
counts, and so does every pair that leaves the range of a table or of the precision.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import nacsr
from nacsr.fixed import Fixed
from nacsr.luts import LutFunc
from nacsr.luts.cores import Leading
from nacsr.luts.forms import Form

UNIT = 16.0
"""GeV that a pT word calls one."""
PRECISION = "fixed<14,7>"
NAMES = ("pt1", "eta1", "phi1", "pt2", "eta2", "phi2")

ANGLES = "(cosh(eta1 - eta2) - cos(phi1 - phi2))"
FORMULAS: Mapping[str, str] = {
    "one root": f"sqrt(2*pt1*pt2*{ANGLES})",
    "two roots": f"sqrt(2*pt1*pt2)*sqrt{ANGLES}",
    "logarithms": f"exp(0.5*(log(pt1) + log(pt2) + log{ANGLES}) + 0.34657)",  # log(2) / 2
}
"""The same mass: with the fewest tables, but to 128 GeV only, where its square leaves the
precision; to pT1 pT2 = (90 GeV)^2, with one product less; with no product and no such limit."""


def tables() -> dict[str, LutFunc]:
    """Tables for muons within |eta| < 2.4 and masses of 16 to 870 GeV. Roots and logarithms keep
    the leading bits of their argument, so that their relative errors do not depend on its size."""
    parts = {
        "cosh": ("fixed<9,4,TRN,SAT>", "ufixed<13,7>", Form(mirror=True)),
        "cos": ("fixed<8,4,TRN,SAT>", "fixed<8,1>", Form(mirror=True)),
        "sqrt_abs": ("ufixed<13,6,TRN,SAT>", "ufixed<10,3>", Form(Leading(6))),
        "log_abs": ("ufixed<13,6,TRN,SAT>", "fixed<11,4>", Form(Leading(7))),
        "exp": ("ufixed<9,2,TRN,SAT>", "ufixed<12,6>", Form()),
    }
    return {
        name: LutFunc(name, name, Fixed.parse(domain), Fixed.parse(value), form=form)
        for name, (domain, value, form) in parts.items()
    }


def compiled(formula: str, flow: str = "hls", precision: str = PRECISION) -> nacsr.Design:
    """The design of a formula; its inputs are in the order of its features."""
    return nacsr.compile(formula, to=flow, precision=precision, luts=tables(), name="dimuon")


def inputs(design: nacsr.Design, muons: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of pairs (in the order of ``NAMES``, GeV and radians) as a design reads them."""
    units = np.array([UNIT if name.startswith("pt") else 1.0 for name in NAMES])
    return (muons / units)[:, [NAMES.index(f.name) for f in design.setting.features]]


def mass(muons: NDArray[np.float64]) -> NDArray[np.float64]:
    """The formula in floating point, in GeV."""
    pt1, eta1, phi1, pt2, eta2, phi2 = muons.T
    return np.sqrt(2 * pt1 * pt2 * (np.cosh(eta1 - eta2) - np.cos(phi1 - phi2)))


@dataclass(frozen=True, slots=True)
class Errors:
    """Relative errors of a mass: the median, the 95th percentile and the largest."""

    median: float
    p95: float
    largest: float


def errors(found: NDArray[np.float64], true: NDArray[np.float64]) -> Errors:
    """How far masses are from the true ones."""
    off = np.abs(found / true - 1)
    return Errors(float(np.median(off)), float(np.quantile(off, 0.95)), float(off.max()))


def generated(pairs: int, seed: int = 1) -> NDArray[np.float64]:
    """Pairs with falling pT above 5 GeV, |eta| < 2.4 and any phi; those of 20 to 120 GeV."""
    rng = np.random.default_rng(seed)
    columns = []
    for _ in range(2):
        columns.append(5 + rng.exponential(20, pairs))
        columns.append(rng.uniform(-2.4, 2.4, pairs))
        columns.append(rng.uniform(-np.pi, np.pi, pairs))
    muons = np.stack(columns, axis=1)
    return muons[(mass(muons) > 20) & (mass(muons) < 120)]


def read(file: str) -> NDArray[np.float64]:
    """Pairs of a file."""
    with np.load(file) as data:
        columns = data["columns"].tolist()
        return data["X"][:, [columns.index(n) for n in NAMES]].astype(np.float64)


def rounded(design: nacsr.Design, muons: NDArray[np.float64]) -> NDArray[np.float64]:
    """The pairs that the words of a design stand for, in GeV and radians."""
    words = design.words(inputs(design, muons))
    found = np.empty_like(muons)
    for feature, column in zip(design.setting.features, words.T, strict=True):
        unit = UNIT if feature.name.startswith("pt") else 1.0
        found[:, NAMES.index(feature.name)] = unit * feature.type.to_float(column)
    return found


def main() -> None:
    muons = read(sys.argv[1]) if len(sys.argv) > 1 else generated(10_000)
    print(f"{len(muons)} pairs, {'real' if len(sys.argv) > 1 else 'made here'}; words {PRECISION}")
    words = errors(mass(rounded(compiled(FORMULAS["one root"]), muons)), mass(muons))
    print(f"the words alone: median {words.median:.2%}, p95 {words.p95:.2%}")
    print("formula      flow  median     p95  largest   LUT  DSP  BRAM  cycles")
    for title, formula in FORMULAS.items():
        for flow in ("hls", "rtl"):
            design = compiled(formula, flow)
            off = errors(UNIT * design.run(inputs(design, muons))[:, 0], mass(muons))
            cost = design.cost()
            print(
                f"{title:12} {flow:4} {off.median:7.2%} {off.p95:7.2%} {off.largest:8.1%} "
                f"{cost.luts:5} {cost.dsps:4} {cost.brams:5} {cost.latency_cycles:7}"
            )


if __name__ == "__main__":
    main()
