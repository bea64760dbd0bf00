"""Functions that are no tables of ours: calls of ``hls_math`` and of the stock table function.

``math`` is ``hls::sin`` and its like on ``ap_fixed`` words; ``stock`` is the octant table of
hftsoi/symbolic_regression, an hls4ml of 2023 with ``nnet::sin_lut``. Resources were read off the
csynth reports of that repository (Vivado HLS 2020.1, xcvu9p, 5 ns): 17 calls a design, six integer
bits. Cycles of ``hls_math`` are figures of hftsoi/hls4sr-configs and AdrianAlan/hls4sr-configs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nacsr.cost.bands import REFERENCE_MHZ
from nacsr.cost.schedule import ROM_NS, Stage
from nacsr.cost.use import Use
from nacsr.errors import SpecError, unknown
from nacsr.fixed import Fixed
from nacsr.ir import Graph, Op

IMPLEMENTATIONS: Mapping[str, str] = {
    "table": "our tables or the user's, as the graph has them",
    "math": "calls of hls_math on whole words",
    "stock": "calls of the stock table function on whole words",
}

_WIDEST = 18
MATH_CYCLES: Mapping[str, Mapping[int, tuple[int, ...]]] = {
    "exp": {6: (2, 2, 2, 3, 3, 3, 3, 3, 5), 8: (2, 2, 2, 3, 3, 3, 3), 10: (2, 2, 2, 3, 3)},
    "log_abs": {6: (4,) * 9, 8: (4,) * 7, 10: (4,) * 5},
    "sqrt_abs": {6: (4, 5, 5, 5, 6, 6, 6, 7, 7), 8: (5, 5, 5, 6, 6, 7, 7), 10: (4, 5, 6, 6, 7)},
    "sin": {6: (6, 7, 7, 7, 7, 8, 8, 8, 9), 8: (7, 7, 7, 8, 8, 8, 9), 10: (7, 8, 8, 8, 9)},
    "tan": {
        6: (35, 35, 38, 40, 43, 45, 48, 50, 53),
        8: (46, 46, 46, 46, 49, 52, 54),
        10: (57, 57, 57, 57, 57),
    },
    "cosh": {6: (7, 7, 8, 8, 8, 8, 8, 9, 9), 8: (8, 8, 8, 8, 8, 9, 9), 10: (8, 8, 8, 9, 9)},
    "sinh": {6: (7, 7, 8, 9, 8, 8, 9, 10, 10), 8: (8, 9, 8, 8, 9, 10, 10), 10: (8, 8, 9, 10, 10)},
    "tanh": {
        6: (38, 40, 43, 45, 47, 49, 51, 54, 56),
        8: (45, 47, 49, 51, 53, 56, 58),
        10: (51, 53, 55, 58, 60),
    },
}
"""Cycles of ``hls_math`` functions at 5 ns by integer bits, for every width up to 18."""

COSTED = ("sin", "cos")
"""Functions whose resources are in reports."""


@dataclass(frozen=True, slots=True)
class Call:
    """What one call takes, its cycles at 5 ns."""

    luts: int
    dsps: int
    ffs: int
    brams: int
    cycles: int


def math_cycles(function: str, word: Fixed) -> int:
    """Clock cycles of an ``hls_math`` function at 5 ns, of a key of ``MATH_CYCLES`` or ``cos``.

    Of the measured types the nearest counts: first in integer bits, then in width. ``cos`` takes
    those of ``sin``, as it did wherever it was measured.

    Raises:
        SpecError: for a function that was not measured.
    """
    name = "sin" if function == "cos" else function
    if name not in MATH_CYCLES:
        raise SpecError(unknown("hls_math function", function, (*MATH_CYCLES, "cos")))
    rows = MATH_CYCLES[name]
    row = rows[min(rows, key=lambda i: (abs(i - word.integer), -i))]
    place = word.width - (_WIDEST + 1 - len(row))
    return row[min(max(place, 0), len(row) - 1)]


def math_call(word: Fixed, both: bool = False) -> Call:
    """A sine or cosine of ``hls_math``; ``both`` if the design has sines and cosines.

    LUTs and FFs of the five widths in the reports follow the polynomials within 1 % and 2 %. With
    both outputs kept, calls were 6 % larger at 12 bits, 42 % at 14 and 47 % at 16.
    """
    w = word.width
    dearer = float(np.interp(w, (12, 14, 16), (1.065, 1.42, 1.47))) if both else 1.0
    luts = (14.91 * w - 92.3) * w + 995.0 if w >= 4 else 14.91 * 16 - 92.3 * 4 + 995.0
    ffs = (30.75 * w + 60.0) * (1.08 if both else 1.0)
    return Call(round(dearer * luts), 2, round(ffs), 0, math_cycles("sin", word))


def stock_call(word: Fixed) -> Call:
    """A sine or cosine of the stock table function: mostly comparisons of double precision.

    From 10 bits its two tables of 512 words are block RAM.
    """
    widths, luts = (8, 9, 10, 12, 14, 16), (1072, 1279, 1333, 1357, 1373, 1400)
    ffs = (494, 691, 694, 704, 714, 724)
    found = (round(float(np.interp(word.width, widths, row))) for row in (luts, ffs))
    return Call(next(found), 1, next(found), 2 if word.width >= 10 else 0, 3)


def whole_words(graph: Graph) -> Graph:
    """The graph whose calls read whole words of their results' type instead of table addresses.

    A result has one integer bit besides its sign, as HLS sees that of ``hls::sin``.
    """
    readers = graph.users()
    ops = list(graph.ops)
    for op in graph.ops:
        if op.name != "lut":
            continue
        address = op.args[0]
        if all(graph.ops[i].name == "lut" for i in readers[address]) and ops[address].args:
            ops[address] = replace(ops[address], type=op.type.plain())
    for i, op in enumerate(graph.ops):
        if op.name == "lut":
            two = 2 << max(op.type.frac, 0)
            ends = np.clip(np.array([-two, two - 1]), op.type.min_raw, op.type.max_raw)
            ops[i] = replace(op, attrs={**op.attrs, "table": ends})
    return Graph(tuple(ops), graph.outputs)


def calls(graph: Graph, implementation: str, clock_mhz: float) -> dict[int, Use]:
    """For every ``lut`` op what its function takes; of two of one argument only one is built.

    Raises:
        SpecError: for a function without reports.
    """
    found: dict[int, Use] = {}
    luts = [(i, op) for i, op in enumerate(graph.ops) if op.name == "lut"]
    both = {op.attrs["function"] for _, op in luts} >= {"sin", "cos"}
    built: set[tuple[int, ...]] = set()
    for i, op in luts:
        function = str(op.attrs["function"])
        if function not in COSTED:
            msg = (
                f"no report says what {function!r} takes as {implementation}: known are "
                f"{', '.join(COSTED)}; leave functions at table"
            )
            raise SpecError(msg)
        shared = implementation == "math" and op.args in built
        built.add(op.args)
        call = math_call(op.type, both) if implementation == "math" else stock_call(op.type)
        found[i] = _use(call, op, shared, clock_mhz)
    return found


def _use(call: Call, op: Op, shared: bool, clock_mhz: float) -> Use:
    """A pipelined function of a fixed time: at another clock it has more or fewer stages."""
    count = 0 if shared else math.prod(op.shape)
    cycles = max(math.ceil(call.cycles * clock_mhz / REFERENCE_MHZ - 1e-9), 1)
    first = Stage(ROM_NS, registered=True)  # logic as long as a table, before and behind registers
    return Use(
        luts=count * call.luts,
        dsps=count * call.dsps,
        ffs=count * call.ffs,
        brams=count * call.brams,
        stages=(first, *(Stage(0.0, registered=True),) * (cycles - 1), Stage(ROM_NS)),
    )
