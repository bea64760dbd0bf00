"""The Verilog modules of a scheduled scalar graph: pipeline stages and tables.

Verilog-2001 without vendor attributes, clean under ``verilator -Wall``. A new event may enter
every clock cycle: there is no state but the registers between the stages.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from nacsr.emit.cpp_parts import comment
from nacsr.emit.ports import Port
from nacsr.emit.verilog import ROWS, Operand, Word
from nacsr.errors import EmitError
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.ir import Graph
from nacsr.ir.graph import Op
from nacsr.ir.passes.schedule import Schedule
from nacsr.ir.tensor import WIRING, sources

RESERVED = ("clk", "in_valid", "out_valid", "valid")
"""Names of the top module that no port may have."""
VIEWS = WIRING | {"shift"}
"""Ops whose words are those of their arguments: a shift moves the binary point only."""
SOURCELESS = VIEWS | {"input", "const"}
"""Ops that are no logic."""
HEAD = "`timescale 1ns / 1ps\n`default_nettype none\n"
TAIL = "`default_nettype wire\n"
INDENT = "    "
SHIFT_REGISTER = (3, 32)
"""The fewest registers in a row that become a LUT, and the most that one LUT holds."""


def check(graph: Graph) -> None:
    """Refuse what has no Verilog.

    Raises:
        EmitError: naming the op.
    """
    for index, op in enumerate(graph.ops):
        if op.name in SOURCELESS:
            continue
        where = f"%{index} {op.name}"
        if op.name not in ROWS:
            msg = f"{where}: there is no Verilog for it, only for {', '.join(ROWS)}; unroll first"
            raise EmitError(msg)
        modes = op.type.rounding, op.type.overflow
        if op.name == "cast" and modes != (Rounding.TRN, Overflow.WRAP):
            msg = f"{where}: rounds or saturates ({op.type}); expand casts to plain ops first"
            raise EmitError(msg)


@dataclass(frozen=True, slots=True)
class Value:
    """A computed word: its op, and the right-hand side of its wire."""

    op: Op
    word: Word
    text: str


@dataclass(slots=True)
class Pipeline:
    """The words of a graph, and the text of every one that is computed.

    Attributes:
        words: the scalars of every value, flat; those of wiring are the words that it joins.
        values: what is computed, in order.
        outputs: the words of every output port, as its output registers hold them.

    Raises:
        EmitError: for an op without Verilog, or if the schedule reads a value too early.
    """

    graph: Graph
    schedule: Schedule
    words: list[list[Word]] = field(default_factory=list, init=False)
    values: list[Value] = field(default_factory=list, init=False)
    outputs: list[list[Operand]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        check(self.graph)
        for index, op in enumerate(self.graph.ops):
            self.words.append(self._words(index, op))
            if op.name not in SOURCELESS:
                self._compute(index, op)
        end = self.schedule.stages
        for _, index in self.graph.outputs:
            type_ = self.graph.ops[index].type
            self.outputs.append([self._read(w, end, type_) for w in self.words[index]])

    def _words(self, index: int, op: Op) -> list[Word]:
        if op.name == "const":
            return [Word("", op.type, raw=raw) for raw in op.array("value").ravel().tolist()]
        if op.name == "shift":
            return [w.shifted(op.integer("n")) for w in self.words[op.args[0]]]
        if op.name in WIRING:
            return self._joined(op)
        places = [f"v{index}_{k}" for k in range(math.prod(op.shape))]
        names = places if op.shape else [f"v{index}"]
        if op.name == "input":
            return [Word(name, op.type) for name in names]
        cycle, ready = self.schedule.cycle[index], self.schedule.ready(index)
        if cycle >= self.schedule.stages:
            msg = f"%{index} {op.name}: begins behind the last stage; schedule the graph again"
            raise EmitError(msg)
        first = 2 if op.name == "lut" and ready > cycle else 1  # the table has its own register
        return [Word(name, op.type, cycle, ready, first=first) for name in names]

    def _joined(self, op: Op) -> list[Word]:
        number, place = sources(op, [self.graph.ops[a] for a in op.args])
        zero = Word("", op.type, raw=0)
        pairs = zip(number.ravel().tolist(), place.ravel().tolist(), strict=True)
        return [self.words[op.args[n]][k] if k >= 0 else zero for n, k in pairs]

    def _compute(self, index: int, op: Op) -> None:
        """The texts of an op's words: element by element, scalars are read by all."""
        cycle = self.schedule.cycle[index]
        for k, word in enumerate(self.words[index]):
            args = []
            for a in op.args:
                arg = self.graph.ops[a]
                args.append(self._read(self.words[a][k if arg.shape else 0], cycle, arg.type))
            self.values.append(Value(op, word, ROWS[op.name](op, args)))

    def _read(self, word: Word, stage: int, type_: Fixed) -> Operand:
        if word.raw is not None:
            return Operand("", word, type_)
        if stage < word.ready:
            msg = f"{word.name} is there in stage {word.ready}, but stage {stage} reads it; "
            raise EmitError(msg + "schedule the graph again")
        return Operand(word.read(stage), word, type_)

    def registers(self) -> list[int]:
        """Flip-flops that hold the words of every op, those of input ports and tables included."""
        found = []
        for op, words in zip(self.graph.ops, self.words, strict=True):
            own = 0 if op.name in VIEWS else sum(w.registers for w in words if w.raw is None)
            ports = sum(w.type.width for w in words if w.reach >= 0) if op.name == "input" else 0
            found.append(own + ports)
        return found

    def kept(self) -> list[tuple[int, int]]:
        """What logic synthesis makes of the registers behind every op, for each bit of it: flip-
        flops, and LUTs that are shift registers, where several follow each other unread."""
        found = []
        for op, words in zip(self.graph.ops, self.words, strict=True):
            own = [] if op.name in VIEWS else [w for w in words if w.raw is None and w.taps]
            runs = [run for w in own for run in _runs(w, op.name == "input")]
            shifts = [math.ceil(n / SHIFT_REGISTER[1]) for n in runs if n >= SHIFT_REGISTER[0]]
            found.append((sum(n for n in runs if n < SHIFT_REGISTER[0]), sum(shifts)))
        return found

    def live(self) -> Iterator[Word]:
        """Every word that is read and is no constant."""
        for index, op in enumerate(self.graph.ops):
            if op.name not in VIEWS:
                yield from (w for w in self.words[index] if w.raw is None and w.reach >= 0)


def _runs(word: Word, port: bool) -> list[int]:
    """Registers between one place where a word is read and the next."""
    places = [-1 if port else 0, *sorted(word.taps)]
    return [after - before for before, after in pairwise(places) if after > before]


# --- text --------------------------------------------------------------------------------


def modules(
    pipeline: Pipeline, top: str, inputs: Sequence[Port], outputs: Sequence[Port], about: str
) -> dict[str, str]:
    """The text of the top module and of each table's, by module name.

    Args:
        pipeline: the words of the design.
        top: name of the top module; table modules are named after it.
        inputs: ports of the graph; a tensor is one vector, element 0 in its low bits.
        outputs: ports of the graph.
        about: a line for people.
    """
    tables = Tables(top)
    values: dict[int, list[str]] = defaultdict(list)
    for value in pipeline.values:
        if value.word.reach >= 0:
            values[value.word.cycle] += _assignment(value, tables)
    registers: dict[int, list[Register]] = defaultdict(list)
    for word in pipeline.live():
        for k in range(word.first, word.reach + 1):
            change = Register(word.delayed(k), word.type, word.delayed(k - 1))
            registers[word.cycle + k - 1].append(change)
    stages = pipeline.schedule.stages
    body = ["// input registers", *_clocked(_arrivals(pipeline, inputs)), ""]
    for stage in range(stages):
        kind = "output" if stage == stages - 1 else "pipeline"
        body += [f"// stage {stage}", *values[stage], ""]
        body += [f"// {kind} registers", *_clocked(registers[stage]), ""]
    body += [*_valid(stages), "", *_departures(pipeline, outputs)]
    lines = [
        f"// {about}",
        "// An event may enter every cycle; its result leaves "
        f"{pipeline.schedule.latency_cycles} cycles later.",
        *_ports(top, inputs, outputs),
        *(line and INDENT + line for line in body),
        "endmodule",
    ]
    return {top: _file(lines), **tables.texts}


@dataclass(frozen=True, slots=True)
class Register:
    """A register and what it holds after the next clock edge."""

    name: str
    type: Fixed
    next: str


def _file(lines: Sequence[str]) -> str:
    return "\n".join([HEAD, *lines, "", TAIL])


def _vector(width: int) -> str:
    return f"[{width - 1}:0]"


def _kind(t: Fixed) -> str:
    return ("signed " if t.signed else "") + _vector(t.width)


def _ports(top: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> list[str]:
    """The head of the top module."""
    rows = [("input wire clk", ""), ("input wire in_valid", "")]
    rows += [_port("input", p) for p in inputs]
    rows += [("output wire out_valid", "")]
    rows += [_port("output", p) for p in outputs]
    commas = [","] * (len(rows) - 1) + [""]
    lines = [f"{INDENT}{d}{c}{a}" for (d, a), c in zip(rows, commas, strict=True)]
    return [f"module {top} (", *lines, ");", f"{INDENT}// verilator lint_off UNUSEDSIGNAL", ""]


def _port(direction: str, p: Port) -> tuple[str, str]:
    kind = _vector(p.words * p.type.width) if p.shape else _kind(p.type)
    words = f" x {p.words}" if p.shape else ""
    return f"{direction} wire {kind} {p.identifier}", f"  // {p.type}{words}"


def _slice(p: Port, k: int) -> str:
    if not p.shape:
        return p.identifier
    low = k * p.type.width
    return f"{p.identifier}[{low + p.type.width - 1}:{low}]"


def _arrivals(pipeline: Pipeline, inputs: Sequence[Port]) -> list[Register]:
    found = []
    for port, (_, index) in zip(inputs, pipeline.graph.inputs, strict=True):
        for k, word in enumerate(pipeline.words[index]):
            if word.reach >= 0:
                found.append(Register(word.name, word.type, _slice(port, k)))
    return found


def _clocked(registers: Sequence[Register]) -> list[str]:
    if not registers:
        return ["// none"]
    lines = [f"reg {_kind(r.type)} {r.name};" for r in registers]
    lines.append("always @(posedge clk) begin")
    lines += [f"{INDENT}{r.name} <= {r.next};" for r in registers]
    return [*lines, "end"]


def _assignment(value: Value, tables: Tables) -> list[str]:
    op, word, text = value.op, value.word, value.text
    note = f"  // {op.name} {op.type.plain()}"
    if op.name != "lut":
        return [f"wire {_kind(word.type)} {word.name} = {text};{note}"]
    registered = word.first > 1
    result, clock = word.delayed(int(registered)), ".clk(clk), " if registered else ""
    module = tables.module(op, registered)
    note = f"  // {comment(str(op.attrs['function']))} {op.type.plain()}"
    return [
        f"wire {_kind(word.type)} {result};{note}",
        f"{module} {word.name}_table ({clock}.address({text}), .word({result}));",
    ]


def _valid(stages: int) -> list[str]:
    """The valid bit takes the way of the words."""
    return [
        f"reg {_vector(stages + 1)} valid;",
        f"initial valid = {stages + 1}'d0;",
        f"always @(posedge clk) valid <= {{valid[{stages - 1}:0], in_valid}};",
        f"assign out_valid = valid[{stages}];",
    ]


def _departures(pipeline: Pipeline, outputs: Sequence[Port]) -> list[str]:
    lines = []
    for port, words in zip(outputs, pipeline.outputs, strict=True):
        parts = [w.bits(port.type) for w in reversed(words)]
        joined = parts[0] if len(parts) == 1 else f"{{{', '.join(parts)}}}"
        lines.append(f"assign {port.identifier} = {joined};")
    return lines


@dataclass(slots=True)
class Tables:
    """The modules of tables; equal tables are one module.

    Attributes:
        top: the start of their names.
        texts: their text by name.
    """

    top: str
    texts: dict[str, str] = field(default_factory=dict)
    _names: dict[tuple[bytes, int, bool], str] = field(default_factory=dict)

    def module(self, op: Op, registered: bool) -> str:
        """The module of a ``lut`` op."""
        table = op.array("table")
        key = (table.tobytes(), op.type.width, registered)
        if key not in self._names:
            name = self._names[key] = f"{self.top}_table{len(self._names)}"
            self.texts[name] = _rom(name, table.tolist(), op.type.width, registered)
        return self._names[key]


def _rom(name: str, table: Sequence[int], width: int, registered: bool) -> str:
    """A table as a memory that is never written, read at once or with the clock."""
    address = max((len(table) - 1).bit_length(), 1)
    mask = (1 << width) - 1
    words = [f"rom[{k}] = {width}'h{word & mask:x};" for k, word in enumerate(table)]
    rows = [" ".join(words[k : k + 4]) for k in range(0, len(words), 4)]
    clock, kind = ("    input wire clk,\n", "reg") if registered else ("", "wire")
    read = "always @(posedge clk) word <=" if registered else "assign word ="
    return _file(
        [
            f"module {name} (",
            f"{clock}    input wire {_vector(address)} address,",
            f"    output {kind} {_vector(width)} word",
            ");",
            f"{INDENT}reg {_vector(width)} rom [0:{len(table) - 1}];",
            f"{INDENT}initial begin",
            *(INDENT * 2 + row for row in rows),
            f"{INDENT}end",
            f"{INDENT}{read} rom[address];",
            "endmodule",
        ]
    )
