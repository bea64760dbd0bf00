"""Verilog expressions of scalar ops: ``ROWS`` holds one text function an op.

All arithmetic is on bit vectors of one width, extended by hand, so nothing depends on Verilog's
rules for signs and widths; only products, whose operands keep their own widths, are signed
expressions (synthesis finds the multiplier in them).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from nacsr.fixed import Fixed, hull
from nacsr.ir.graph import Op
from nacsr.ir.passes.schedule import SERIAL_BITS
from nacsr.ir.passes.thresholds import LUT_INPUTS, threshold

COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
CONDITION = Fixed(1, 1, False)
FIRST, REST = LUT_INPUTS, LUT_INPUTS - 1
"""Bits that the first LUT of a comparison with a constant takes, and each further one."""


@dataclass(slots=True)
class Word:
    """One scalar of the design and where it can be read.

    Attributes:
        name: its wire (or input register).
        type: of its bits.
        cycle: the stage that ``name`` belongs to.
        ready: the first stage in which it may be read: later than ``cycle`` for ops that have
            registers inside.
        raw: the raw integer of a constant: it needs no wire.
        first: number of the first register that follows ``name`` in the top module.
        reach: how many stages after ``cycle`` it is read at last; -1 if it is never read.
        root: the word that this one shows with its binary point elsewhere.
        taps: how many stages after ``cycle`` it is read, each.
    """

    name: str
    type: Fixed
    cycle: int = 0
    ready: int = 0
    raw: int | None = None
    first: int = 1
    reach: int = -1
    root: Word | None = None
    taps: set[int] = field(default_factory=set)

    def shifted(self, n: int) -> Word:
        """The same bits, worth ``2**n`` times as much."""
        t = Fixed(self.type.width, self.type.integer + n, self.type.signed)
        root = self.root or self
        return Word(self.name, t, self.cycle, self.ready, self.raw, self.first, root=root)

    @property
    def registers(self) -> int:
        """Bits of the registers that follow it, a table's own included."""
        own = self.first - 1 if self.reach >= 0 else 0
        return self.type.width * (max(self.reach - self.first + 1, 0) + own)

    def read(self, stage: int) -> str:
        """The wire or register that holds the word in a stage; it is remembered as read there."""
        root, stages = self.root or self, stage - self.cycle
        root.reach = max(root.reach, stages)
        root.taps.add(stages)
        return self.delayed(stages)

    def delayed(self, stages: int) -> str:
        """The word behind so many registers."""
        return f"{self.name}_d{stages}" if stages else self.name


@dataclass(frozen=True, slots=True)
class Operand:
    """What an op reads: a word in a stage, by the type that the graph gives it.

    Wiring may join types, so the word's own type can be narrower; both hold the same number.
    """

    text: str
    word: Word
    type: Fixed

    def bits(self, to: Fixed) -> str:
        """The bits that ``to`` has of the number: extended, padded or cut at either end."""
        source, width = self.word.type, to.width
        drop = source.frac - to.frac
        if self.word.raw is not None:
            raw = self.word.raw << -drop if drop < 0 else self.word.raw >> drop
            return f"{width}'h{raw & ((1 << width) - 1):x}"
        low, high = max(drop, 0), min(drop + width, source.width)
        zeros = min(max(-drop, 0), width)
        taken = max(high - low, 0)
        fill = width - zeros - taken
        parts = [self._fill(fill)] if fill else []
        if taken:
            parts.append(self.text if taken == source.width else _part(self.text, low, high))
        if zeros:
            parts.append(f"{zeros}'d0")
        return parts[0] if len(parts) == 1 else f"{{{', '.join(parts)}}}"

    def _fill(self, count: int) -> str:
        if not self.word.type.signed:
            return f"{count}'d0"
        return self.negative if count == 1 else f"{{{count}{{{self.negative}}}}}"

    @property
    def whole(self) -> str:
        """All bits of the type that the graph gives."""
        return self.bits(self.type)

    @property
    def negative(self) -> str:
        """The sign bit."""
        if self.word.raw is not None:
            return f"1'b{int(self.word.raw < 0)}"
        top = self.word.type.width - 1
        return _part(self.text, top, top + 1) if self.word.type.signed else "1'b0"


def _part(text: str, low: int, high: int) -> str:
    return f"{text}[{low}]" if high == low + 1 else f"{text}[{high - 1}:{low}]"


# --- ops ---------------------------------------------------------------------------------


def _operator(symbol: str) -> Callable[[Op, Sequence[Operand]], str]:
    return lambda op, args: f"{args[0].bits(op.type)} {symbol} {args[1].bits(op.type)}"


def _factor(arg: Operand, signed: bool) -> str:
    if not signed:
        return arg.whole
    return f"$signed({arg.whole})" if arg.type.signed else f"$signed({{1'b0, {arg.whole}}})"


def _mul(op: Op, args: Sequence[Operand]) -> str:
    return " * ".join(_factor(a, op.type.signed) for a in args)


def _abs(op: Op, args: Sequence[Operand]) -> str:
    x = args[0]
    return f"{x.negative} ? -{x.whole} : {x.whole}" if x.type.signed else x.whole


def _relu(op: Op, args: Sequence[Operand]) -> str:
    x = args[0]
    kept = x.bits(op.type)
    return f"{x.negative} ? {op.type.width}'d0 : {kept}" if x.type.signed else kept


def _test(symbol: str, a: Operand, b: Operand, common: Fixed) -> str:
    left, right = a.bits(common), b.bits(common)
    if common.signed:
        left, right = f"$signed({left})", f"$signed({right})"
    return f"{left} {symbol} {right}"


def _extreme(symbol: str) -> Callable[[Op, Sequence[Operand]], str]:
    def expression(op: Op, args: Sequence[Operand]) -> str:
        a, b = args
        return f"({_test(symbol, a, b, op.type)}) ? {a.bits(op.type)} : {b.bits(op.type)}"

    return expression


def _compare(op: Op, args: Sequence[Operand]) -> str:
    a, b = args
    kind = str(op.attrs["kind"])
    first = threshold(kind, (a.type, b.type), [_constant(x) for x in args])
    if first is not None and 0 < first.bits(args[first.place].type) <= SERIAL_BITS:
        text = _reached(args[first.place], first.word)
        return text if first.holds else f"!({text})"
    return _test(COMPARE[kind], a, b, hull(a.type, b.type))


def _constant(x: Operand) -> int | None:
    """The raw word of a constant operand, in the type that the graph gives it."""
    if x.word.raw is None:
        return None
    down = x.word.type.frac - x.type.frac
    return x.word.raw >> down if down >= 0 else x.word.raw << -down


def _reached(x: Operand, word: int) -> str:
    """``x >= word`` on the bits that decide, five at a time behind the lowest six: a LUT each, in
    which the answer of the bits below stands for one bit more.

    A carry chain, which synthesis makes of a plain ``>=``, takes two to four times as many LUTs.
    """
    width, signed = x.type.width, x.type.signed
    bits = word + (1 << width - 1 if signed else 0)  # the sign's bit turned: then all is unsigned
    high = (bits & -bits).bit_length() - 1
    text = ""
    while high < width:
        left = width - high
        count = left if left <= FIRST else (left - FIRST - 1) % REST + 2 if not text else REST
        low, high = high, high + count
        parts = [_bits(x, low, high - 1), f"~{x.negative}"] if signed and high == width else None
        if parts is None:
            parts = [_bits(x, low, high)]
        else:
            parts = parts[::-1] if count > 1 else parts[1:]
        parts += [f"({text})"] if text else []
        least = bits >> low & (1 << count) - 1
        least = least << 1 | 1 if text else least
        joined = parts[0] if len(parts) == 1 else f"{{{', '.join(parts)}}}"
        text = f"{joined} >= {count + bool(text)}'h{least:x}"
    return text


def _bits(x: Operand, low: int, high: int) -> str:
    frac = x.type.frac - low
    return x.bits(Fixed(high - low, high - low - frac, False)) if high > low else ""


def _select(op: Op, args: Sequence[Operand]) -> str:
    condition, a, b = args
    return f"{condition.bits(CONDITION)} ? {a.bits(op.type)} : {b.bits(op.type)}"


ROWS: Mapping[str, Callable[[Op, Sequence[Operand]], str]] = {
    "cast": lambda op, args: args[0].bits(op.type),
    "add": _operator("+"),
    "sub": _operator("-"),
    "neg": lambda op, args: f"-{args[0].bits(op.type)}",
    "mul": _mul,
    "abs": _abs,
    "min": _extreme("<"),
    "max": _extreme(">"),
    "compare": _compare,
    "select": _select,
    "relu": _relu,
    "lut": lambda op, args: args[0].whole,
    "pack": lambda op, args: f"{{{', '.join(a.whole for a in args)}}}",
}
"""The right-hand side of each op's value; of a table, its address."""
