"""Does a design fit: the chip's capacity and a study's budget."""

from __future__ import annotations

from collections.abc import Mapping

from nacsr.cost.estimate import Cost
from nacsr.targets import RESOURCES, Target


def _value(design: Cost | Mapping[str, float], metric: str) -> float | None:
    if isinstance(design, Cost):
        found: float = getattr(design, metric)
        return found
    return design.get(metric)


def share(design: Cost | Mapping[str, float], target: Target) -> dict[str, float]:
    """Percent of the chip, for every resource that is known of the design."""
    known = {m: _value(design, m) for m in RESOURCES}
    return {m: 100.0 * v / getattr(target, m) for m, v in known.items() if v is not None}


def within(
    design: Cost | Mapping[str, float],
    target: Target,
    limits: Mapping[str, float | None] | None = None,
) -> list[str]:
    """Every limit that a design breaks, in words; an empty list if it fits.

    Args:
        design: an estimate, or metrics by name; unknown metrics break nothing.
        target: its capacities always count.
        limits: largest allowed value by metric, such as ``{"latency_cycles": 20}``; None
            means no limit.

    >>> from nacsr.targets import target
    >>> within({"luts": 2e6, "dsps": 3}, target("vu9p"), {"dsps": 2})
    ['luts 2000000 > 1182240 of xcvu9p-flga2577-2-e', 'dsps 3 > 2 allowed']
    """
    checks: list[tuple[str, float | None, str]]
    checks = [(m, target.capacity(m), f"of {target.part}") for m in RESOURCES]
    checks += [(m, limit, "allowed") for m, limit in (limits or {}).items()]
    broken = []
    for metric, limit, whose in checks:
        value = _value(design, metric)
        if limit is not None and value is not None and value > limit:
            broken.append(f"{metric} {value:.0f} > {limit:.0f} {whose}")
    return broken
