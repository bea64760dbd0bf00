"""A scalar graph as logic of da4ml, op by op: what it would build, bit for bit, and its cost.

da4ml keeps values as intervals of exact decimals and its constants in at most 32 fraction bits
(Sun et al., "da4ml: Distributed Arithmetic for Real-time Neural Networks on FPGAs").
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import EmitError
from nacsr.fixed import Fixed
from nacsr.ir.graph import Graph, Op
from nacsr.ir.ops import OPS
from nacsr.ir.tensor import WIRING, sources

if TYPE_CHECKING:
    from da4ml.types import CombLogic

DIGITS = 200
"""Of decimals: sums of 63-bit words, wherever their point is, stay exact."""
WIDEST = 52
"""Bits of its words: da4ml's logic keeps their ends in float64."""
POINT = 32
"""da4ml sees at most so many fraction bits of a constant, or zeros at its end."""
TWO_VARIABLES = (
    "no da cost: the design multiplies two variables, and da4ml's cost speaks of shift-add logic "
    "only; ask for the analytic cost"
)
TABLE_BITS = 31
"""Of a table's words: da4ml keeps them in int32."""

Values = list[Any]
"""Elements of a value: da4ml's ``FixedVariable`` each."""


def traced(graph: Graph) -> CombLogic:
    """The logic that computes a graph's outputs.

    Args:
        graph: scalar ops and wiring, as ``nacsr.ir.passes.scalar`` makes them.

    Returns:
        Logic whose inputs and outputs are the elements of the ports, in order, as numbers.

    Raises:
        EmitError: for an op, or a word, of which da4ml's cost does not speak.
    """
    from da4ml.trace import FixedVariableArray, HWConfig, comb_trace

    hardware = HWConfig(1, -1, -1)  # costs in bits of adders
    places: list[Values] = []
    given: Values = []
    _check_widths(graph)
    with decimal.localcontext(prec=DIGITS):
        for index, op in enumerate(graph.ops):
            args = [places[a] for a in op.args]
            if op.name == "input":
                bits = [np.full(op.shape or (1,), n) for n in _bits(op.type)]
                found = FixedVariableArray.from_kif(*bits, hardware)._vars.ravel().tolist()
                given += found
            elif op.name == "const":
                found = _constants(index, op, op.array("value"), hardware)
            elif op.name in WIRING:
                found = _wires(op, args, [graph.ops[a] for a in op.args], hardware)
            else:
                found = _elements(graph, index, args)
            places.append(found)
        results = [value for _, index in graph.outputs for value in places[index]]
        return comb_trace(given, results)


def _check_widths(graph: Graph) -> None:
    for index, op in enumerate(graph.ops):
        if op.type.width > WIDEST:
            msg = (
                f"no da cost: %{index} {op.name} has words of {op.type}, da4ml's have {WIDEST} "
                "bits; cast to a narrower type first"
            )
            raise EmitError(msg)


def _bits(type_: Fixed) -> tuple[int, int, int]:
    """Sign, integer and fraction bits as da4ml counts them: the sign is no integer bit."""
    return int(type_.signed), type_.integer - type_.signed, type_.frac


def _constants(index: int, op: Op, words: NDArray[np.int64], hardware: Any) -> Values:
    from da4ml.trace.fixed_variable import FixedVariable

    found = []
    for word in words.ravel().tolist():
        exact = decimal.Decimal(word) * decimal.Decimal(2) ** -op.type.frac
        if word and not -POINT < op.type.frac - ((word & -word).bit_length() - 1) <= POINT:
            msg = f"no da cost: %{index} {op.name} has more than {POINT} bits behind its point"
            raise EmitError(msg)
        found.append(FixedVariable.from_const(exact, hardware))
    return found


def _wires(op: Op, args: Sequence[Values], given: Sequence[Op], hardware: Any) -> Values:
    from da4ml.trace.fixed_variable import FixedVariable

    number, place = sources(op, given)
    pairs = zip(number.ravel().tolist(), place.ravel().tolist(), strict=True)
    return [args[k][p] if p >= 0 else FixedVariable.from_const(0.0, hardware) for k, p in pairs]


def _elements(graph: Graph, index: int, args: Sequence[Values]) -> Values:
    """A scalar op, or the cast of a whole port."""
    op = graph.ops[index]
    given = [graph.ops[a] for a in op.args]
    if op.name == "cast":
        return [_element(index, op, given, [value]) for value in args[0]]
    if op.name not in RULES or op.shape or any(a.shape for a in given):
        msg = f"no da cost: %{index} {op.name} is no scalar of {', '.join(RULES)}"
        raise EmitError(msg)
    if op.name == "lut" and op.type.width > TABLE_BITS:
        msg = f"no da cost: %{index} lut has words of {op.type}, da4ml's have {TABLE_BITS} bits"
        raise EmitError(msg)
    return [_element(index, op, given, [a[0] for a in args])]


def _element(index: int, op: Op, given: list[Op], values: Values) -> Any:
    """An op on single elements.

    da4ml knows of constants that the graph does not: it keeps count of zeros at a word's end.
    What it makes of ops on constants alone is not always right, so that the IR's own rule does it.
    """
    hardware = values[0].hwconf
    if all(_known(value) for value in values):
        words = [np.array([_word(v, a)]) for v, a in zip(values, given, strict=True)]
        return _constants(index, op, OPS[op.name].eval(op, given, words), hardware)[0]
    found = RULES[op.name](op, given, values)
    # a constant that was negated keeps its sign apart, which choices do not expect
    return type(found).from_const(found.low, hardware) if _known(found) else found


def _known(value: Any) -> bool:
    """Whether da4ml takes a value for a constant."""
    known: bool = value.low == value.high
    return known


def _word(value: Any, op: Op) -> int:
    """The raw integer of a constant that stands for an op's result."""
    return int(value.low * decimal.Decimal(2) ** op.type.frac)


# --- rules -----------------------------------------------------------------------------------

Rule = Callable[[Op, list[Op], Values], Any]
"""Never of constants alone."""


def _mul(_: Op, __: list[Op], values: Values) -> Any:
    a, b = values
    if not _known(a) and not _known(b):
        raise EmitError(TWO_VARIABLES)
    return a * b


def _cast(op: Op, _: list[Op], args: Values) -> Any:
    return _wrapped(args[0], op.type)


def _wrapped(value: Any, to: Fixed) -> Any:
    """A cast; in an unsigned word da4ml's own takes copies of a sign bit for zeros."""
    _, integers, _ = value.kif
    if value.low < 0 and not to.signed and to.integer > integers + 1:
        value = _beside(_plain(value), value.msb() * decimal.Decimal(2) ** to.integer)
    return value.quantize(*_bits(to), str(to.overflow), str(to.rounding))


def _plain(value: Any) -> Any:
    """The value itself: da4ml leaves a negation to its readers, but bits side by side take none."""
    return value.quantize(*value.kif, _force_factor_clear=True) if value._factor < 0 else value


def _beside(value: Any, other: Any) -> Any:
    """A sum of bits of different worth: wires, which da4ml knows only as an adder with a price."""
    return (value + other)._with(renew_id=False, cost=0.0)


def _lut(op: Op, args: list[Op], values: Values) -> Any:
    """da4ml's table begins at the lowest value that its argument may have."""
    value, source = values[0], args[0].type
    scale = decimal.Decimal(2) ** source.frac
    low, high, step = (int(n * scale) for n in (value.low, value.high, value.step))
    words = np.arange(low, high + 1, step) & ((1 << source.width) - 1)
    return value.lookup(op.type.to_float(op.array("table")[words]))


def _pack(op: Op, args: list[Op], values: Values) -> Any:
    """Words side by side, those that are constant last."""
    total: Any = None
    constant, below = 0, op.type.width
    for a, value in zip(args, values, strict=True):
        width = a.type.width
        below -= width
        if _known(value):
            constant += (_word(value, a) & ((1 << width) - 1)) << below
            continue
        whole = value * decimal.Decimal(2) ** a.type.frac
        whole = _plain(_wrapped(whole, Fixed(width, width, False)))
        bits = whole * decimal.Decimal(2) ** below
        total = bits if total is None else _beside(total, bits)
    if total.opr == "cadd":  # da4ml adds both constants at once, at the price of the first
        return total + constant
    return _beside(total, constant) if constant else total


def _min(_: Op, __: list[Op], values: Values) -> Any:
    a, b = _zero_last(*values)
    return -_negated(a).max_of(_negated(b)) if _loses_sign(a, b) else a.min_of(b)


def _max(_: Op, __: list[Op], values: Values) -> Any:
    a, b = _zero_last(*values)
    return -_negated(a).min_of(_negated(b)) if _loses_sign(a, b) else a.max_of(b)


def _zero_last(a: Any, b: Any) -> tuple[Any, Any]:
    """A zero and a word cut from another: da4ml makes a relu of them, or a choice as in _select."""
    return (b, a) if _known(a) and not a.low and b.opr == "wrap" else (a, b)


def _abs(_: Op, __: list[Op], values: Values) -> Any:
    value = values[0]
    if value.opr != "wrap" or value.low >= 0:
        return abs(value)
    # the sign is a bit of its own, as in _select
    ends = 0.0, float(max(-value.low, value.high)), float(value.step)
    return (~value.msb()).msb_mux(value, -value, ends)


def _select(_: Op, __: list[Op], values: Values) -> Any:
    key, a, b = values
    if _known(key):
        return a if key.low else b
    if key.opr == "wrap" and key._factor > 0:
        # da4ml would look at the top of the word that the bit was cut from, and its interpreter
        # (0.6.0) mistakes the top of an unsigned word; an inverted bit is cut from none, and free
        key, a, b = ~key, b, a
    return -key.msb_mux(_negated(a), _negated(b)) if _loses_sign(a, b) else key.msb_mux(a, b)


def _loses_sign(a: Any, b: Any) -> bool:
    """Whether da4ml's choice (0.6.0) would forget to negate one: it is a constant's."""
    return (_known(a) and b._factor < 0) or (_known(b) and a._factor < 0)


def _negated(value: Any) -> Any:
    return type(value).from_const(-value.low, value.hwconf) if _known(value) else -value


_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a._eq(b),
    "ne": lambda a, b: a._ne(b),
}

RULES: Mapping[str, Rule] = {
    "cast": _cast,
    "add": lambda _, __, v: v[0] + v[1],
    "sub": lambda _, __, v: v[0] - v[1],
    "neg": lambda _, __, v: -v[0],
    "mul": _mul,
    "abs": _abs,
    "min": _min,
    "max": _max,
    "shift": lambda op, _, v: v[0] * decimal.Decimal(2) ** op.integer("n"),
    "compare": lambda op, _, v: _COMPARE[str(op.attrs["kind"])](v[0], v[1]),
    "select": _select,
    "relu": lambda _, __, v: v[0].relu(),
    "lut": _lut,
    "pack": _pack,
}
"""What da4ml makes of every scalar op."""
