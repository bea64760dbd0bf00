"""Fractional bits of every term of an expression under an error budget.

The search starts from a plan in which all terms have about the same share of the budget, and
drops bits as long as all outputs stay inside it: the most saving for the least error first.
Nothing is lowered on the way, and a drop is followed through the terms that depend on it only,
so that hundreds of terms take a fraction of a second. What a table will take is guessed from
its argument's interval and slope.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping

from nacsr.errors import ExpressionError
from nacsr.fixed import MAX_WIDTH
from nacsr.frontends.symbolic.lowering import intervals as iv
from nacsr.frontends.symbolic.lowering.plan import Change, Plan
from nacsr.frontends.symbolic.lowering.terms import Terms
from nacsr.luts import LutFunc
from nacsr.luts.lut import MAX_DOMAIN_BITS

RAISES = 128  # bits that a start may rise before the budget is called out of reach
LEAST_SAVING = 1e-6  # above what the sum of all prices is rounded by
LEAST_SPENT = 1e-6  # of the budget: a drop that costs no error is not infinitely good
LEAST_WEIGHT, MOST_WEIGHT = 2.0**-40, 2.0**400  # of a term's error in that of an output
MOST_BITS = 300  # that a start may give: no float64 overflows on the way
CONSTANT_STEPS = 4  # bits of a constant that may go at once: its digits fall in jumps


def assign(
    terms: Terms, luts: Mapping[str, LutFunc], max_error: float, looser: Mapping[int, float]
) -> Plan:
    """The cheapest plan found whose proven error is at most ``max_error``.

    Args:
        terms: the expression.
        luts: the LUT functions by name.
        max_error: of every output.
        looser: see ``Plan``.

    Raises:
        ExpressionError: if no number of bits is enough.
    """
    fracs = _shares(terms, luts, max_error)
    for more in range(RAISES):
        plan = Plan(terms, luts, [f + more for f in fracs], looser)
        if plan.bound <= max_error:
            drop(plan, max_error, range(len(terms.terms)))
            return plan
    msg = (
        f"no number of bits proves an error of {max_error:g}: the bound stays at {plan.bound:g}"
        f"{_least_accurate(plan)}; allow a larger error or declare narrower input ranges"
    )
    raise ExpressionError(msg)


def _least_accurate(plan: Plan) -> str:
    """Which table is worst: those of wide arguments cannot be as accurate as one likes."""
    tables = [i for i, t in enumerate(plan.terms) if t.op == "table" and plan.luts[t.name].function]
    if not tables:
        return ""
    i = max(tables, key=lambda i: plan.expected(i).error)
    low, high = plan.terms[plan.terms[i].args[0]].real
    return (
        f", with {plan.terms[i].name} of {MAX_DOMAIN_BITS} bits over {low:.4g}..{high:.4g} off by "
        f"{plan.expected(i).error:.2g}"
    )


def _shares(terms: Terms, luts: Mapping[str, LutFunc], max_error: float) -> list[int]:
    """Bits that give every term about the same share of four budgets, to first order.

    Four: most terms end far from the worst case of all of them at once.
    """
    most = [0.0] * len(terms.terms)
    reals = [t.real for t in terms.terms]
    for output in set(terms.outputs.values()):
        weights = [0.0] * len(terms.terms)
        weights[output] = 1.0
        for i in range(output, -1, -1):
            most[i] = max(most[i], weights[i])
            term = terms.terms[i]
            for k, a in enumerate(term.args):
                slope = 1.0
                if term.op in ("mul", "square"):
                    slope = iv.size(reals[term.args[-1 - k]]) * (2 if term.op == "square" else 1)
                elif term.op == "table" and luts[term.name].function:
                    found = iv.slopes(luts[term.name].function, reals[a])
                    slope = iv.size(found) if iv.finite(found) else 1 / max_error
                weights[a] += weights[i] * slope
    share = 4 * max_error / len(most)
    bits = [math.log2(min(max(m, LEAST_WEIGHT), MOST_WEIGHT)) - math.log2(share) for m in most]
    return [min(max(math.ceil(b), -MOST_BITS), MOST_BITS) for b in bits]


def drop(plan: Plan, max_error: float, among: Iterable[int]) -> None:
    """Take bits off the terms of ``among``, the most saving for the least error first."""
    terms, gains = list(among), True
    while gains:
        gains = False
        queue = [(-math.inf, i) for i in terms]
        heapq.heapify(queue)
        while queue:
            _, i = heapq.heappop(queue)
            found = _best_drop(plan, i, max_error)
            if found is None:
                continue  # errors only grow: what does not fit now will not fit later
            gain, change = found
            if not queue or gain >= -queue[0][0]:
                plan.swap(change)
                gains = True
            heapq.heappush(queue, (-gain, i))


def _best_drop(plan: Plan, i: int, max_error: float) -> tuple[float, Change] | None:
    """The drop of a term that fits and saves most for the error spent, and how much that is."""
    term, value = plan.terms[i], plan.values[i]
    steps = CONSTANT_STEPS if term.op == "const" else 1
    start = plan.fracs[i] if term.op == "table" else value.frac
    cost, already = plan.cost, plan.spent
    best: tuple[float, Change] | None = None
    for frac in range(start - 1, max(start - steps, _least(plan, i)) - 1, -1):
        back = plan.change(i, frac)
        saving, spent = cost - plan.cost, plan.spent - already
        fits = plan.bound <= max_error
        change = plan.swap(back)
        if fits and saving > LEAST_SAVING:
            gain = saving / max(spent / max_error, LEAST_SPENT)
            if best is None or gain > best[0]:
                best = gain, change
    return best


def _least(plan: Plan, i: int) -> int:
    """Fewest fractional bits of a term: one bit in all, and three for the range of a table."""
    term = plan.terms[i]
    if term.op == "const":
        return -MAX_WIDTH
    if term.op == "table":
        low, high = term.real
        return 3 - math.frexp(max(high - low, 1e-12))[1]
    return 1 - iv.above(plan.values[i].fixed)
