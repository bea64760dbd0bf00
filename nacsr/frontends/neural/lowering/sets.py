"""Deep sets in the IR, without torch: a network per particle, a pool over the set, a network.

Absent particles are told by a mask (one bit a particle) or by a count (the first ones are
there). Whatever the pool, an absent particle counts as zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nacsr.errors import GraphError, unknown
from nacsr.fixed import Fixed, Raw
from nacsr.frontends.neural.lowering.lower import Step, apply
from nacsr.ir import Builder

POOLS = ("sum", "mean", "max")
RECIPROCAL_BITS = 12
BIT = Fixed(1, 1, False)


def reciprocals(size: int, bits: int = RECIPROCAL_BITS) -> tuple[Raw, Fixed]:
    """``1/n`` for ``n`` of 0 to ``size`` particles, rounded to the nearest; an empty set's is 0.

    Returns:
        Raw integers of shape (size + 1,) and their type, which has one integer bit.
    """
    type_ = Fixed(bits, 1, False)
    counts = np.arange(1, size + 1)
    raw = (2 * (1 << type_.frac) + counts) // (2 * counts)
    return np.concatenate([[0], raw]).astype(np.int64), type_


def pool_set(
    builder: Builder,
    x: int,
    kind: str,
    *,
    mask: int | None = None,
    count: int | None = None,
    bits: int = RECIPROCAL_BITS,
) -> int:
    """Pool the particles of a (particles, channels) value into (channels,).

    Args:
        builder: of the graph.
        x: the IR value, of shape (particles, channels).
        kind: ``sum``, ``mean`` or ``max``.
        mask: IR value of shape (particles,) and type ufixed<1,1>, 1 where there is a particle.
        count: IR value of shape () and an unsigned integer type: the first ``count``
            particles are there. More than there is room for means all.
        bits: width of the reciprocals that a mean multiplies its sum by.

    Raises:
        GraphError: for both a mask and a count, shapes or types that do not fit, and a
            maximum of absent particles over values that can be negative.
    """
    if kind not in POOLS:
        raise GraphError(unknown("pool", kind, POOLS))
    shape = builder.ops[x].shape
    if len(shape) != 2:
        msg = f"a set is (particles, channels), not {list(shape)}"
        raise GraphError(msg)
    present = _present(builder, shape[0], mask, count)
    if present is not None:
        if kind == "max" and builder.ranges[x][0] < 0:
            msg = "absent particles count as zero: pool a maximum over values from a ReLU"
            raise GraphError(msg)
        index = np.broadcast_to(np.arange(shape[0])[:, None], shape)
        zero = builder.const(0, builder.type(x).plain())
        x = builder.op("select", builder.op("take", present, index=index), x, zero)
    if kind == "max":
        return builder.op("reduce", x, kind="max", axis=0)
    total = builder.op("reduce", x, kind="sum", axis=0)
    if kind == "sum":
        return total
    factors, type_ = reciprocals(shape[0], bits)
    if present is None:
        return builder.op("mul", total, builder.const(factors[-1], type_))
    if count is None:
        count = builder.op("reduce", present, kind="sum", axis=0)
    width = builder.type(count).width
    table = factors[np.minimum(np.arange(1 << width), shape[0])]
    factor = builder.op("lut", count, type=type_, function="reciprocal of a count", table=table)
    return builder.op("mul", total, factor)


def _present(builder: Builder, size: int, mask: int | None, count: int | None) -> int | None:
    """One bit a particle, or None if all are there."""
    if mask is not None and count is not None:
        msg = "a set has a mask or a count, not both"
        raise GraphError(msg)
    if mask is not None:
        op = builder.ops[mask]
        if op.shape != (size,) or op.type.plain() != BIT:
            msg = f"a mask of {size} particles is {BIT}[{size}], not {op.type}{list(op.shape)}"
            raise GraphError(msg)
        return mask
    if count is None:
        return None
    op = builder.ops[count]
    if op.shape != () or op.type.signed or op.type.frac:
        msg = f"a count is an unsigned integer such as ufixed<4,4>, not {op.type}{list(op.shape)}"
        raise GraphError(msg)
    places = builder.const(np.arange(size), count_type(size))
    return builder.op("compare", places, count, kind="lt")


def count_type(size: int) -> Fixed:
    """The narrowest type of a count of 0 to ``size`` particles."""
    bits = size.bit_length()
    return Fixed(bits, bits, False)


def deep_set(
    builder: Builder,
    x: int,
    phi: Sequence[Step],
    pool: str,
    rho: Sequence[Step],
    *,
    mask: int | None = None,
    count: int | None = None,
    bits: int = RECIPROCAL_BITS,
) -> int:
    """A whole deep set: ``rho(pool(phi(x)))``.

    Args:
        builder: of the graph.
        x: IR value of shape (particles, features).
        phi: steps for every particle.
        pool: ``sum``, ``mean`` or ``max``.
        rho: steps for the pooled channels.
        mask: as ``pool_set``.
        count: as ``pool_set``.
        bits: as ``pool_set``.

    Raises:
        GraphError: as ``pool_set``, or if the shapes of steps do not match.
    """
    each = apply(builder, x, phi)
    pooled = pool_set(builder, each, pool, mask=mask, count=count, bits=bits)
    return apply(builder, pooled, rho)
