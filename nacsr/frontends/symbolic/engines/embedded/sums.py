"""Sums whose earliest terms are added first: the shallowest adder tree for given terms."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from nacsr.frontends.symbolic.engines.embedded.hardware import chain
from nacsr.frontends.symbolic.language.expr import Call, Expr


def earliest_first(parts: Sequence[tuple[float, Expr]], delay: float, period: float) -> Expr:
    """The sum of ``parts``, each given with the time it is ready; all times in ns."""
    queue = [(ready, n, part) for n, (ready, part) in enumerate(parts)]
    heapq.heapify(queue)
    while len(queue) > 1:
        first, second = heapq.heappop(queue), heapq.heappop(queue)
        ready = chain(max(first[0], second[0]), delay, period)
        heapq.heappush(queue, (ready, first[1], Call("add", (first[2], second[2]))))
    return queue[0][2]
