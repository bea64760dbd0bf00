"""da4ml's cost of our own networks, its fast approximation, and what yosys makes of their RTL.

    python benchmarks/da_yosys.py [--no-yosys] [--largest 13000]

Networks of ``da_designs`` and of ``open_designs``; designs that multiply two variables have no da
cost and are left out, as are those of a cost above ``--largest`` (yosys takes minutes there).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import da_designs
import numpy as np

from nacsr.cost.da import da_cost
from nacsr.cost.da_fast import da_fast
from nacsr.design import Design
from nacsr.errors import EmitError

FITTED = "The fast approximation was fitted to random matrices; all of these were held out."


@dataclass(frozen=True, slots=True)
class Line:
    """A design: da4ml's cost, the approximation and its CPU milliseconds, LUT and FF by yosys."""

    family: str
    name: str
    cost: float
    fast: float
    fast_ms: float
    luts: float
    ffs: float


def designs() -> Iterator[tuple[str, str, Design]]:
    """Family, name and design of all."""
    import open_designs  # trains for a minute

    for named in da_designs.designs():
        yield named.family, named.name, open_designs.placed(named.graph, named.name)
    for other in open_designs.designs():
        if other.family == "random":
            continue  # graphs of any ops have hardly any logic
        kind = other.name.split()[0] if other.family == "network" else other.family
        yield kind, other.name, other.design


def measured(family: str, name: str, design: Design, largest: float, yosys: bool) -> Line | None:
    """A line; None for a design without a da cost, or beyond the largest."""
    try:
        cost = da_cost(design.graph).luts
    except EmitError as error:
        print(f"{family:<9}{name:<44}{error}")
        return None
    begin = time.process_time()
    fast = da_fast(design.graph)
    milliseconds = 1e3 * (time.process_time() - begin)
    luts = ffs = np.nan
    if yosys and cost <= largest:
        from nacsr.synthesis import synthesise

        found = {m.metric: m.value for m in synthesise(design, "yosys").measurements}
        luts, ffs = found["luts"], found["ffs"]
    return Line(family, name, cost, fast, milliseconds, luts, ffs)


def show(line: Line) -> str:
    """As printed."""
    text = f"{line.family:<9}{line.name:<44}{line.cost:>9,.1f}{line.fast:>9,.0f}"
    text += f"{line.fast / line.cost:>7.2f}{line.fast_ms:>7.1f}"
    if np.isnan(line.luts):
        return text
    return text + f"{line.luts:>9,.0f}{line.luts / line.cost:>7.2f}{line.ffs:>8,.0f}"


def summary(title: str, ratios: Sequence[float]) -> str:
    """Median, range and mean distance from 1."""
    x = np.array(ratios)
    away = np.abs(x - 1).mean()
    return (
        f"{title}: n = {x.size}, median {np.median(x):.3f}, {x.min():.3f}..{x.max():.3f}, "
        f"mean |ratio - 1| {away:.1%}"
    )


def main() -> None:
    """Print every design and the ratios of each family."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--no-yosys", action="store_true")
    parser.add_argument("--largest", type=float, default=13_000.0)
    asked = parser.parse_args()
    head = f"{'da4ml':>9}{'fast':>9}{'/da':>7}{'ms':>7}{'yosys':>9}{'/da':>7}{'FF':>8}"
    print(f"{'family':<9}{'design':<44}{head}")
    lines = []
    for family, name, design in designs():
        line = measured(family, name, design, asked.largest, not asked.no_yosys)
        if line is not None:
            print(show(line), flush=True)
            lines.append(line)
    print(f"\n{FITTED}")
    families = list(dict.fromkeys(line.family for line in lines))
    for family in (*families, "all"):
        mine = [line for line in lines if family in (line.family, "all")]
        print(summary(f"fast / da, {family}", [line.fast / line.cost for line in mine]))
    for family in (*families, "all"):
        seen = [line for line in lines if family in (line.family, "all")]
        seen = [line for line in seen if not np.isnan(line.luts)]
        if seen:
            print(summary(f"yosys / da, {family}", [line.luts / line.cost for line in seen]))


if __name__ == "__main__":
    main()
