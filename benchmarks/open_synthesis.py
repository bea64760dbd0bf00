"""The estimate of RTL beside Yosys, for our own designs of both families.

    python benchmarks/open_synthesis.py [--limit 600] [--only NAME] [--json FILE]

Every design of ``open_designs`` is emitted as Verilog, simulated and synthesised
(``nacsr synth --tool yosys``); what ``nacsr cost --to rtl`` says before is printed beside it.
Ratios are Yosys / estimate. Results are cached, so a second run takes a minute.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from open_designs import Named, designs

from nacsr.errors import NacsrError
from nacsr.synthesis import synthesise

METRICS = ("luts", "ffs", "dsps", "latency_cycles")


@dataclass(frozen=True, slots=True)
class Row:
    """A design: the estimate and the measurement of each metric, seconds of the tool."""

    name: str
    family: str
    estimated: dict[str, float]
    measured: dict[str, float]
    seconds: float

    def ratio(self, metric: str) -> float:
        """Measurement / estimate, 1 where both are nothing."""
        one, other = self.measured[metric], self.estimated[metric]
        return one / other if other else 1.0 if not one else float("inf")


def measured(named: Named, limit_s: float) -> Row:
    """A design through both.

    Raises:
        NacsrError: if it cannot be synthesised.
    """
    cost = named.design.cost()
    found = synthesise(named.design, "yosys", limit_s=limit_s)
    values = {m.metric: m.value for m in found.measurements}
    if values["mismatches"]:
        print(f"{named.name}: {values['mismatches']:.0f} output words differ")
    return Row(
        named.name,
        named.family,
        {m: float(getattr(cost, m)) for m in METRICS},
        {m: values[m] for m in METRICS},
        found.seconds,
    )


def show(row: Row) -> None:
    """A line of the table."""
    print(f"{row.name:38s}", end="")
    for metric in ("luts", "ffs"):
        one, other = row.estimated[metric], row.measured[metric]
        print(f" {one:7,.0f} {other:7,.0f} {row.ratio(metric):5.2f}", end=" ")
    print(f" {row.estimated['dsps']:4.0f} {row.measured['dsps']:4.0f}", end=" ")
    print(f" {row.measured['latency_cycles']:6.0f} {row.seconds:7.1f}", flush=True)


def summary(rows: Sequence[Row]) -> None:
    """Medians and ranges by family, and the half-width that nine of ten stay within."""
    for family in (*dict.fromkeys(row.family for row in rows), "all"):
        chosen = [row for row in rows if family in (row.family, "all")]
        for metric in ("luts", "ffs"):
            ratios = sorted(row.ratio(metric) for row in chosen)
            off = sorted(abs(r - 1) for r in ratios)
            within = off[min(int(0.9 * len(off)), len(off) - 1)]
            print(
                f"{family:8s} {metric:5s} n={len(ratios):2d} "
                f"median {statistics.median(ratios):.3f}, {ratios[0]:.2f}..{ratios[-1]:.2f}, "
                f"nine of ten within {within:.0%}"
            )


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=float, default=600.0, help="seconds a design")
    parser.add_argument("--only", default="", help="designs whose name has this in it")
    parser.add_argument("--json", type=Path, help="write the rows there")
    given = parser.parse_args(arguments)
    print(f"{'':38s}     LUT              |     FF               |  DSP     | cycles       s")
    print(f"{'design':38s}  estim.   yosys ratio   estim.   yosys ratio  est. rule")
    rows = []
    for named in designs():
        if given.only not in named.name:
            continue
        try:
            rows.append(measured(named, given.limit))
        except NacsrError as error:
            print(f"{named.name}: {error}")
            continue
        show(rows[-1])
    summary(rows)
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
