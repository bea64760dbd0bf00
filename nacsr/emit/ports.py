"""The ports of an emitted design: safe names, types, and how a testbench reaches them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nacsr.emit import vectors as vec
from nacsr.emit.names import identifiers
from nacsr.fixed import Fixed
from nacsr.ir import Graph
from nacsr.ir.graph import Shape


@dataclass(frozen=True, slots=True)
class Port:
    """An argument of the top function.

    Attributes:
        name: in the graph.
        identifier: in C++ or Verilog.
        type: of every word.
        shape: of one event, () for a scalar.
        ctype: C++ type of every word.
    """

    name: str
    identifier: str
    type: Fixed
    shape: Shape
    ctype: str

    @property
    def words(self) -> int:
        """Words an event."""
        return vec.size(self.shape)


@dataclass(frozen=True, slots=True)
class Top:
    """How the testbench reaches the design: inputs first, then outputs, arrays flat.

    Attributes:
        function: name of the top function.
        header: the file that declares it, relative to the project.
        sources: C++ files to compile besides the testbench, relative to the project.
        inputs: arguments read.
        outputs: arguments written (scalars by reference).
        includes: folders of headers besides ``ap_types``, relative to the project.
    """

    function: str
    header: str
    sources: tuple[str, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    includes: tuple[str, ...] = (".",)


def ctype(t: Fixed) -> str:
    """The C++ type of a ``Fixed``.

    >>> ctype(Fixed(8, 3)), ctype(Fixed.parse("ufixed<8,0,RND,SAT>"))
    ('ap_fixed<8,3>', 'ap_ufixed<8,0,AP_RND,AP_SAT>')
    """
    modes = "" if t == t.plain() else f",AP_{t.rounding},AP_{t.overflow}"
    return f"ap_{'' if t.signed else 'u'}fixed<{t.width},{t.integer}{modes}>"


def ports(
    graph: Graph, function: str, taken: Sequence[str] = ()
) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """The input and output ports of a graph, with safe names that differ from the function's
    and from those that are ``taken``."""
    layouts = vec.input_layout(graph), vec.output_layout(graph)
    names = identifiers([n for part in layouts for n, _, _ in part], taken=[function, *taken])
    made = [
        Port(n, c, t, shape, ctype(t))
        for (n, t, shape), c in zip([p for part in layouts for p in part], names, strict=True)
    ]
    return tuple(made[: len(layouts[0])]), tuple(made[len(layouts[0]) :])
