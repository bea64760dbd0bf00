"""Products that HLS draws into the sums behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nacsr.cost.simplify import Node
from nacsr.cost.use import Use
from nacsr.ir import Graph


def drawn_into_sums(
    graph: Graph, nodes: Sequence[Node], uses: Sequence[Use], read: Sequence[int], latency: int
) -> list[Use]:
    """The uses with soft multipliers in DSP blocks, where only one sum reads the product.

    HLS makes a product and the addition behind it one DSP block, however narrow it is. In reports
    of 2 to 10 bits it did so with no product of a design without a register, with those that are
    added after the first cycle of a design with one, and with all where there were more.

    Args:
        graph: the design.
        nodes: what ``simplify`` made of it.
        uses: of every op.
        read: the cycle in which the last reader of every op begins.
        latency: cycles of the whole design.
    """
    readers, summed = [0] * len(nodes), [False] * len(nodes)
    for _, i in graph.outputs:
        readers[i] += 1
    for node in nodes:
        for a in node.args if node.spent else ():
            readers[a] += 1
            summed[a] = bool(node.adders)
    return [
        replace(use, luts=use.luts - use.soft_luts, dsps=use.dsps + use.soft)
        if use.soft and summed[i] and readers[i] == 1 and (read[i] > 0 or latency > 1)
        else use
        for i, use in enumerate(uses)
    ]
