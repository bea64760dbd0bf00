"""Open synthesis: LUTs and FFs by Yosys, products and tables by rule, cycles by simulation.

The Verilog that is simulated is the Verilog that is synthesised, with its registers at the
ports. There is no maximum clock: no open tool knows the delays of these devices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from nacsr.cost.rtl import DSP_BITS, product, table
from nacsr.emit.rtl_simulate import simulator
from nacsr.emit.verify import verify
from nacsr.errors import CompileError
from nacsr.measure import Measurement
from nacsr.synthesis.base import Job, Result, Tool
from nacsr.tools import yosys

METHOD = "yosys"
LUT_BAND, FF_BAND, RULE_BAND = 0.14, 0.02, 0.032
"""Relative: of shift-add designs against Vivado (n = 8), the same of flip-flops, and the mean
error of soft multipliers by rule (n = 110). No report speaks of tables by rule."""
EXTRA = 200
"""Random events that are simulated behind the project's own, corners first."""
RULES = (
    f"by rule: products from {DSP_BITS[0]} x {DSP_BITS[1]} bits on are DSPs, tiled 27 x 18, "
    f"smaller ones W x N LUTs; tables of more than {yosys.LOGIC_WORDS} words a LUT for each 64 "
    "of a bit"
)


@dataclass(frozen=True, slots=True)
class Boxes:
    """What products and tables take by rule.

    Attributes:
        products: how many there are.
        soft: how many of them are LUTs.
        tables: how many there are.
        luts, dsps: of all.
    """

    products: int
    soft: int
    tables: int
    luts: int
    dsps: int

    @classmethod
    def of(cls, netlist: yosys.Netlist) -> Boxes:
        """Those that were taken out of a netlist."""
        found = [product(a.width, b.width, (a.signed, b.signed)) for a, b in netlist.products]
        luts = sum(n for n, _ in found) + sum(table(bits) for bits in netlist.tables)
        soft = sum(1 for _, dsps in found if not dsps)
        return cls(len(found), soft, len(netlist.tables), luts, sum(n for _, n in found))


def flags(_: str) -> str:
    """What Yosys is told, besides the names of files."""
    told = f"synth_xilinx {' '.join(yosys.FLAGS)}, adders as written, abc {yosys.ABC}"
    return f"{told}, script {yosys.revision()}"


def version() -> str:
    """Yosys and the simulator, such as ``Yosys 0.23, iverilog 11.0``.

    Raises:
        ToolError: if one of both is missing.
    """
    return f"{yosys.version()}, {simulator().version()}"


def run(job: Job) -> Result:
    """Simulate a Verilog project and synthesise it; see ``nacsr.synthesis.base.Synthesiser``.

    Raises:
        ToolError: if a tool is missing, fails, or does not end in time.
        CompileError: if the Verilog cannot be read.
        EmitError: if the simulation does not keep what the project promises.
    """
    project = job.project
    seen = job.seen or verify(project.root, extra=EXTRA, limit_s=job.left_s())
    sources = [s for s in project.manifest["sources"] if Path(s).parts[0] != "tb"]
    top = str(project.manifest["top"])
    netlist = yosys.synthesise(project.root, sources, top, job.left_s())
    if not netlist.cells:
        msg = f"{yosys.version()} found no cell in {top}; is the design a constant?"
        raise CompileError(msg)
    measured = [
        *_mapped(job, netlist),
        # labelled: a study compares the same design on its own events
        replace(
            job.measurement("mismatches", seen.mismatches, "simulation", seen.tool, stage="rtlsim"),
            label="synth",
        ),
    ]
    told = f"{seen.events} events simulated"
    for metric in ("latency_cycles", "ii_cycles"):
        cycles = getattr(seen, metric)
        if cycles is not None:
            measured.append(
                job.measurement(metric, cycles, METHOD, seen.tool, error=0.0, flags=told)
            )
    return Result(tuple(measured), _notes(netlist, seen.mismatches, seen.first))


def _mapped(job: Job, netlist: yosys.Netlist) -> list[Measurement]:
    """What is counted in a netlist, and what rules say about the products in it."""
    made, tool, told = Boxes.of(netlist), yosys.version(), flags(job.stage)
    what = f"{made.soft} products and {made.tables} tables"
    by_rule = f"; {made.luts} LUT of {what} {RULES}" if made.luts else ""
    dsps = f"{made.products - made.soft} of {made.products} products, {RULES}"
    band = LUT_BAND * netlist.luts + RULE_BAND * made.luts
    return [
        job.measurement(
            "luts", netlist.luts + made.luts, METHOD, tool, error=band, flags=told + by_rule
        ),
        job.measurement("dsps", made.dsps, METHOD, tool, flags=dsps),
        job.measurement("ffs", netlist.ffs, METHOD, tool, error=FF_BAND * netlist.ffs, flags=told),
        job.measurement("brams", 0, METHOD, tool, flags="-nobram: tables are LUTs"),
    ]


def _notes(netlist: yosys.Netlist, mismatches: int, first: str) -> tuple[str, ...]:
    made = Boxes.of(netlist)
    notes = []
    if made.products or made.tables:
        notes.append(
            f"{made.products} products and {made.tables} tables {RULES}: {made.luts} of the LUTs, "
            f"{made.dsps} DSPs; a vendor's tool may move registers and sums into the DSPs"
        )
    if mismatches:
        notes.append(f"{mismatches} output words differ from the interpreter: {first}")
    return tuple(notes)


YOSYS = Tool(
    about="Yosys and a Verilog simulator: LUT, FF, cycles measured; DSPs by rule; no fmax",
    flows=("rtl",),
    stages=("vsynth",),
    version=version,
    flags=flags,
    run=run,
)
