"""The rule of every IR op: a literal table from its name to what it uses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from nacsr.cost import networks, rules, schedule
from nacsr.cost.schedule import Stage
from nacsr.cost.use import WIRES, Use
from nacsr.ir import Op
from nacsr.ir.tensor import WIRING

Rule = Callable[[Op, tuple[Op, ...]], Use]


def elements(op: Op) -> int:
    """Number of scalars in a value."""
    return math.prod(op.shape)


def held_words(op: Op) -> int:
    """Different words of a value: what registers hold, were it to wait for a reader."""
    if op.name != "take":
        return elements(op)
    index = op.array("index")
    return int(np.unique(index[index >= 0]).size)


def _wires(_: Op, __: tuple[Op, ...]) -> Use:
    return WIRES


def _input(op: Op, _: tuple[Op, ...]) -> Use:
    """csynth registers the ports."""
    return Use(ffs=elements(op) * op.type.width)


def _cast(op: Op, args: tuple[Op, ...]) -> Use:
    source = args[0].type
    return _parallel(op, rules.cast_luts(source, op.type), schedule.cast_ns(source, op.type))


def sum_of(adders: tuple[int, ...], count: int) -> Use:
    """``count`` sums of several terms, one adder of the given width an addition.

    csynth builds ternary adders: every second addition is absorbed and costs its width only.
    The one stage is that of a single addition; the schedule balances the tree.
    """
    ordered = sorted(adders, reverse=True)
    absorbed, alone = ordered[: len(adders) // 2], ordered[len(adders) // 2 :]
    luts = sum(max(w, rules.NARROW_ADDER) for w in absorbed) + sum(map(rules.adder_luts, alone))
    width = max(adders, default=0)
    stages = (Stage(schedule.adder_ns(width)),) if adders else ()
    return Use(luts=count * luts, stages=stages, live=count * width)


def _adder(op: Op, _: tuple[Op, ...]) -> Use:
    width = op.type.width
    return _parallel(op, rules.adder_luts(width), schedule.adder_ns(width))


def _mul(op: Op, args: tuple[Op, ...]) -> Use:
    for constant, other in (args, args[::-1]):
        if constant.name == "const":
            return _constant_mul(op, constant, other)
    a, b = args[0].type.width, args[1].type.width
    luts, dsps = rules.multiplier(a, b)
    use = _parallel(op, luts, schedule.multiplier_ns(a, b), dsps)
    soft = 0 if dsps or min(a, b) == 1 else elements(op)
    return replace(use, soft=soft, soft_luts=soft * luts)


def _constant_mul(op: Op, constant: Op, other: Op) -> Use:
    """One product an element, each by the digits of its own constant."""
    width = other.type.width
    raws = np.broadcast_to(constant.array("value"), op.shape).ravel().tolist()
    costs = [rules.constant_multiplier(width, raw) for raw in raws]
    digits = rules.csd_digits(raws).tolist()
    soft = [luts for (luts, dsps), n in zip(costs, digits, strict=True) if n >= 3 and not dsps]
    delay = max((schedule.constant_multiplier_ns(width, raw) for raw in set(raws)), default=0.0)
    return Use(
        luts=sum(luts for luts, _ in costs),
        dsps=sum(dsps for _, dsps in costs),
        stages=(Stage(delay),),
        live=elements(op) * op.type.width,
        soft=len(soft),
        soft_luts=sum(soft),
    )


def _abs(op: Op, args: tuple[Op, ...]) -> Use:
    return _pick(op, args[0].type.width) if args[0].type.signed else WIRES


def _minmax(op: Op, args: tuple[Op, ...]) -> Use:
    """Beside a constant zero the sign is the condition, so only the mux remains."""
    zero = any(a.name == "const" and not a.array("value").any() for a in args)
    return _mux(op, args) if zero else _pick(op, op.type.width)


def _pick(op: Op, width: int) -> Use:
    """A subtraction or comparison, and a mux that it steers."""
    delay = schedule.adder_ns(width) + schedule.MUX_NS
    return _parallel(op, rules.comparator_luts(width) + width, delay)


def _compare(op: Op, args: tuple[Op, ...]) -> Use:
    width = max(a.type.width for a in args)
    return _parallel(op, rules.comparator_luts(width), schedule.adder_ns(width))


def _mux(op: Op, _: tuple[Op, ...]) -> Use:
    return _parallel(op, op.type.width, schedule.MUX_NS)


def _relu(op: Op, args: tuple[Op, ...]) -> Use:
    """The sign bit is the condition, so only the mux remains; a slope 2**-n is wires."""
    return _mux(op, args) if args[0].type.signed else WIRES


def _relu_hls4ml(op: Op, args: tuple[Op, ...]) -> Use:
    """hls4ml asks ``x > 0``, which csynth counts as a comparator, before the mux."""
    return _pick(op, args[0].type.width)


def _lut(op: Op, args: tuple[Op, ...]) -> Use:
    """A synchronous ROM for every lookup: the address is registered, the word comes after."""
    count = elements(op)
    luts, brams = rules.rom(1 << args[0].type.width, op.type.width)
    return Use(
        luts=count * luts,
        brams=count * brams,
        ffs=0 if brams else count * op.type.width,  # a BRAM has its own output register
        stages=(Stage(0.0, registered=True), Stage(schedule.ROM_NS)),
    )


def _lut_hls4ml(op: Op, args: tuple[Op, ...]) -> Use:
    """hls4ml calls a table as a function of its own: index, address and word are registered.

    Networks with a sigmoid take 3 cycles more than those without (VU13P reports).
    """
    return replace(_lut(op, args), stages=(Stage(0.0, registered=True),) * 3)


def _pool(op: Op, args: tuple[Op, ...]) -> Use:
    return _joined(op, args[0].type.width, int(op.array("window").prod()))


def _reduce(op: Op, args: tuple[Op, ...]) -> Use:
    return _joined(op, args[0].type.width, args[0].shape[op.integer("axis")])


def _joined(op: Op, width: int, count: int) -> Use:
    """For every element of ``op`` a tree over ``count`` words: of adders, or of comparisons."""
    if op.attrs["kind"] != "sum":
        return _picks(elements(op), count, width)
    joins = _joins(count)
    widths = [min(width + level, op.type.width) for level in range(1, len(joins) + 1)]
    adders = tuple(w for w, n in zip(widths, joins, strict=True) for _ in range(n))
    stages = tuple(Stage(schedule.adder_ns(w)) for w in widths)
    live = elements(op) * max(joins, default=0) * op.type.width
    return replace(sum_of(adders, elements(op)), stages=stages, live=live)


def _joins(count: int) -> list[int]:
    """How many pairs are joined in each level of a balanced tree.

    >>> _joins(5)
    [2, 1, 1]
    """
    levels = []
    while count > 1:
        levels.append(count // 2)
        count -= count // 2
    return levels


def _argmax(op: Op, args: tuple[Op, ...]) -> Use:
    return _picks(1, args[0].shape[0], args[0].type.width, op.type.width)


def _picks(trees: int, count: int, width: int, label: int = 0) -> Use:
    """Trees of comparisons, each with a mux for the word and one for a label that goes with it."""
    node = rules.comparator_luts(width) + width + label
    delay = schedule.adder_ns(width) + schedule.MUX_NS
    return Use(
        luts=trees * (count - 1) * node,
        stages=(Stage(delay),) * len(_joins(count)),
        live=trees * math.ceil(count / 2) * (width + label),
    )


def _parallel(op: Op, luts: int, delay: float, dsps: int = 0) -> Use:
    """The same operator for every element."""
    count = elements(op)
    return Use(
        luts=count * luts,
        dsps=count * dsps,
        stages=(Stage(delay),) if delay else (),
        live=count * op.type.width,
    )


HLS: Mapping[str, Rule] = {
    # add and sub are not here: simplify() merges them into trees, see sum_of()
    "input": _input,
    "const": _wires,
    "cast": _cast,
    "neg": _adder,
    "mul": _mul,
    "abs": _abs,
    "min": _minmax,
    "max": _minmax,
    "shift": _wires,
    "compare": _compare,
    "select": _mux,
    "lut": _lut,
    "dense": networks.dense,
    "conv": networks.conv,
    "relu": _relu,
    "leaky_relu": _relu,
    "pool": _pool,
    "reduce": _reduce,
    "argmax": _argmax,
    **dict.fromkeys(WIRING, _wires),
}

FLOWS: Mapping[str, Mapping[str, Rule]] = {
    "hls": HLS,
    "hls4ml": {
        **HLS,
        "lut": _lut_hls4ml,
        "relu": _relu_hls4ml,
        "leaky_relu": _relu_hls4ml,
    },
}
"""Back ends whose C-synthesis the rules speak of."""
