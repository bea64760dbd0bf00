"""Builder: append ops, get types inferred and common subexpressions shared."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nacsr.errors import FixedError, GraphError
from nacsr.fixed import Fixed, span
from nacsr.ir.graph import Graph, Op, Shape, freeze, whole
from nacsr.ir.ops import FREE_TYPE, OPS
from nacsr.ir.rows import Range


class Builder:
    """Builds a Graph op by op; every method returns the index of the new (or shared) value.

    >>> b = Builder()
    >>> x = b.input("x", Fixed(8, 4))
    >>> b.output("y", b.op("mul", x, x))
    >>> print(b.build())
    nacsr-ir 1
    %0 = input() {"name": "x"} : fixed<8,4>
    %1 = mul(%0, %0) : fixed<16,8>
    return y=%1
    """

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.ranges: list[Range] = []
        self._outputs: list[tuple[str, int]] = []
        self._known: dict[Hashable, int] = {}

    def input(self, name: str, type: Fixed, shape: tuple[int, ...] = ()) -> int:
        """An input port; its words may be any of its type."""
        return self.op("input", type=type, shape=shape, name=name)

    def const(self, value: ArrayLike, type: Fixed) -> int:
        """A constant given as raw integers of ``type``, a scalar or an array."""
        return self.op("const", type=type, value=whole(value))

    def cast(self, arg: int, type: Fixed) -> int:
        """``arg`` converted to ``type``; nothing is added when it has that format already."""
        same = self.ops[arg].type.plain() == type.plain()
        if same and self.ranges[arg][0] >= type.lowest:  # SAT_SYM clips even its own format
            return arg
        return self.op("cast", arg, type=type)

    def op(
        self,
        name: str,
        /,
        *args: int,
        type: Fixed | None = None,
        shape: tuple[int, ...] = (),
        **attrs: Any,
    ) -> int:
        """Append one op; equal ops are one value.

        Raises:
            GraphError: naming the op, if its arguments, type or attributes do not fit.
        """
        index = len(self.ops)
        if (type is not None) != (name in FREE_TYPE):
            msg = f"%{index} {name}: a type must be given for {', '.join(sorted(FREE_TYPE))} only"
            raise GraphError(msg)
        draft = Op(name, args, type or Fixed(1, 1), shape, freeze(attrs))
        op = infer(draft, self.ops, index)
        key = _identity(op)
        if key in self._known:
            return self._known[key]
        self.ops.append(op)
        operands = [self.ops[a] for a in args]
        self.ranges.append(OPS[name].bound(op, operands, [self.ranges[a] for a in args]))
        self._known[key] = index
        return index

    def slice(self, arg: int, *parts: slice | int) -> int:
        """``arg[parts]`` as numpy would.

        Raises:
            GraphError: for an index beyond the shape.
        """
        try:
            return self.op("take", arg, index=self._places(arg)[parts])
        except IndexError as error:
            msg = f"cannot slice {list(self.ops[arg].shape)}: {error}"
            raise GraphError(msg) from None

    def transpose(self, arg: int, perm: Sequence[int]) -> int:
        """``arg`` with its axes in the order ``perm``."""
        return self.op("take", arg, index=self._places(arg).transpose(perm))

    def broadcast(self, arg: int, shape: Shape) -> int:
        """``arg`` repeated to a shape, by numpy's rules.

        Raises:
            GraphError: if the shapes do not match.
        """
        try:
            return self.op("take", arg, index=np.broadcast_to(self._places(arg), shape))
        except ValueError:
            msg = f"cannot broadcast {list(self.ops[arg].shape)} to {list(shape)}"
            raise GraphError(msg) from None

    def element(self, arg: int, place: int) -> int:
        """One scalar of a tensor, by its flat index; a scalar is its own element."""
        return arg if not self.ops[arg].shape else self.op("take", arg, index=np.int64(place))

    def narrow(self, arg: int) -> int:
        """``arg`` in the fewest bits that its range needs: a cast that drops nothing."""
        return self.cast(arg, span(*self.ranges[arg], self.ops[arg].type.frac))

    def _places(self, arg: int) -> NDArray[np.int64]:
        shape = self.ops[arg].shape
        return np.arange(math.prod(shape)).reshape(shape)

    def type(self, index: int) -> Fixed:
        """The type of a value."""
        return self.ops[index].type

    def output(self, name: str, index: int) -> None:
        """Name a value as an output port."""
        self._outputs.append((name, index))

    def build(self, ports: bool = False) -> Graph:
        """The graph of everything that an output needs, and of all input ports if ``ports``."""
        needed = {i for _, i in self._outputs}
        if ports:
            needed |= {i for i, op in enumerate(self.ops) if op.name == "input"}
        for i in range(len(self.ops) - 1, -1, -1):
            if i in needed:
                needed.update(self.ops[i].args)
        keep = [i for i in range(len(self.ops)) if i in needed]
        place = {old: new for new, old in enumerate(keep)}
        ops = []
        for i in keep:
            op = self.ops[i]
            ops.append(Op(op.name, tuple(place[a] for a in op.args), op.type, op.shape, op.attrs))
        return Graph(tuple(ops), tuple((n, place[i]) for n, i in self._outputs))


def _identity(op: Op) -> Hashable:
    """What two ops share that compute the same value."""
    attrs = [
        (k, (v.shape, v.tobytes()) if isinstance(v, np.ndarray) else v) for k, v in op.attrs.items()
    ]
    return op.name, op.args, op.type, op.shape, tuple(attrs)


def infer(draft: Op, earlier: list[Op] | tuple[Op, ...], index: int) -> Op:
    """The op with its inferred type and shape.

    Raises:
        GraphError: ``%12 mul: ...`` with the position, the op and what is wrong.
    """
    where = f"%{index} {draft.name}"
    row = OPS.get(draft.name)
    if row is None:
        msg = f"{where}: unknown op; known: {', '.join(OPS)}"
        raise GraphError(msg)
    if any(not 0 <= a < min(index, len(earlier)) for a in draft.args):
        msg = f"{where}: an argument must be an earlier value, got {list(draft.args)}"
        raise GraphError(msg)
    if len(draft.args) != row.arity and (row.arity >= 0 or not draft.args):
        wanted = row.arity if row.arity >= 0 else "one or more"
        msg = f"{where}: takes {wanted} argument(s), not {len(draft.args)}"
        raise GraphError(msg)
    if tuple(sorted(draft.attrs)) != row.attrs:
        msg = f"{where}: attributes must be {list(row.attrs)}, not {sorted(draft.attrs)}"
        raise GraphError(msg)
    try:
        type_, shape = row.infer(draft, [earlier[a] for a in draft.args])
    except FixedError as error:
        msg = f"{where}: {error}; cast an operand to a narrower type first"
        raise GraphError(msg) from None
    except (GraphError, TypeError) as error:
        msg = f"{where}: {error}"
        raise GraphError(msg) from None
    if 0 in shape or any(n < 0 for n in shape):
        msg = f"{where}: shape {list(shape)} has no element; every axis needs one at least"
        raise GraphError(msg)
    return Op(draft.name, draft.args, type_, shape, draft.attrs)
