"""A scalar graph as logic of da4ml, op by op: what it would build, bit for bit, and its cost.

da4ml keeps values as intervals of exact decimals and its constants in at most 32 fraction bits
(Sun et al., "da4ml: Distributed Arithmetic for Real-time Neural Networks on FPGAs").
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nacsr.errors import EmitError
from nacsr.ir.graph import Graph, Op
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
                bits = [np.full(op.shape or (1,), n) for n in _bits(op)]
                found = FixedVariableArray.from_kif(*bits, hardware)._vars.ravel().tolist()
                given += found
            elif op.name == "const":
                found = _constants(index, op, hardware)
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


def _bits(op: Op) -> tuple[int, int, int]:
    """Sign, integer and fraction bits as da4ml counts them: the sign is no integer bit."""
    return int(op.type.signed), op.type.integer - op.type.signed, op.type.frac


def _constants(index: int, op: Op, hardware: Any) -> Values:
    from da4ml.trace.fixed_variable import FixedVariable

    found = []
    for word in op.array("value").ravel().tolist():
        exact = decimal.Decimal(word) * decimal.Decimal(2) ** -op.type.frac
        if word and not -POINT < op.type.frac - ((word & -word).bit_length() - 1) <= POINT:
            msg = f"no da cost: %{index} const has more than {POINT} bits behind its point"
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
        return [_cast(op, given, [value]) for value in args[0]]
    rule = RULES.get(op.name)
    if rule is None or op.shape or any(a.shape for a in given):
        msg = f"no da cost: %{index} {op.name} is no scalar of {', '.join(RULES)}"
        raise EmitError(msg)
    scalars = [a[0] for a in args]
    if op.name == "mul" and all(v.low != v.high for v in scalars):
        raise EmitError(TWO_VARIABLES)
    if op.name == "lut" and op.type.width > TABLE_BITS:
        msg = f"no da cost: %{index} lut has words of {op.type}, da4ml's have {TABLE_BITS} bits"
        raise EmitError(msg)
    return [rule(op, given, scalars)]


# --- rules -----------------------------------------------------------------------------------

Rule = Callable[[Op, list[Op], Values], Any]


def _cast(op: Op, _: list[Op], args: Values) -> Any:
    _, integers, _ = args[0].kif
    if args[0].low < 0 and not op.type.signed and op.type.integer > integers + 1:
        # da4ml would take the copies of the sign bit for zeros
        msg = f"no da cost: a negative word is wrapped to {op.type}; cast it to a signed type"
        raise EmitError(msg)
    return args[0].quantize(*_bits(op), str(op.type.overflow), str(op.type.rounding))


def _lut(op: Op, args: list[Op], values: Values) -> Any:
    """da4ml's table begins at the lowest value that its argument may have."""
    value, source = values[0], args[0].type
    scale = decimal.Decimal(2) ** source.frac
    low, high, step = (int(n * scale) for n in (value.low, value.high, value.step))
    if low == high:
        step = 1
    words = np.arange(low, high + 1, step) & ((1 << source.width) - 1)
    entries = op.type.to_float(op.array("table")[words])
    return value.lookup(entries) if low != high else _constant_like(value, entries[0])


def _constant_like(value: Any, number: float) -> Any:
    return type(value).from_const(number, value.hwconf)


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
    "mul": lambda _, __, v: v[0] * v[1],
    "abs": lambda _, __, v: abs(v[0]),
    "min": lambda _, __, v: v[0].min_of(v[1]),
    "max": lambda _, __, v: v[0].max_of(v[1]),
    "shift": lambda op, _, v: v[0] * decimal.Decimal(2) ** op.integer("n"),
    "compare": lambda op, _, v: _COMPARE[str(op.attrs["kind"])](v[0], v[1]),
    "select": lambda _, __, v: v[0].msb_mux(v[1], v[2]),
    "relu": lambda _, __, v: v[0].relu(),
    "lut": _lut,
}
"""What da4ml makes of every scalar op."""
