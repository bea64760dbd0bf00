"""Reference designs in words: what they are, and where they win."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nacsr.entry import Entry
from nacsr.frontends.reference.base import each
from nacsr.frontends.reference.trees.ladder import rules
from nacsr.measure import minimised
from nacsr.report.rows import REFERENCE_FAMILIES, Row
from nacsr.report.table import count

SHOWN = 3
"""Winners that a sentence names; it counts the others."""


def winners(rows: Sequence[Row]) -> list[str]:
    """A sentence on the references of a front that no network or formula of it reaches in as few
    LUTs, by validation; none where no reference is on it."""
    references = [r for r in rows if r.family in REFERENCE_FAMILIES]
    searched = [r for r in rows if r.family not in REFERENCE_FAMILIES]
    winning = [r for r in references if not any(_reaches(s, r) for s in searched)]
    if not references:
        return []
    if not winning:
        said = "No reference wins on this front: a network or formula of at most its LUTs is as"
        return [f"{said} good as each of the {len(references)} that are on it."]
    winning.sort(key=lambda r: minimised(r.quality, _known(r)))
    named = "; ".join(map(_named, winning[:SHOWN]))
    more = f"; and {len(winning) - SHOWN} more" if len(winning) > SHOWN else ""
    one = len(winning) == 1
    return [
        f"{'A reference wins' if one else 'References win'}: {named}{more}. No network or formula "
        f"on this front is as good by validation in as few LUTs as {'it' if one else 'each'}."
    ]


def _reaches(one: Row, other: Row) -> bool:
    better = minimised(one.quality, _known(one)) <= minimised(other.quality, _known(other))
    return better and (one.luts or 0.0) <= (other.luts or 0.0)


def _known(row: Row) -> float:
    """By validation, which a front has of all its designs."""
    return 0.0 if row.validation is None else row.validation


def _named(row: Row) -> str:
    events = "validation" if row.test is None else "test"
    value, error = getattr(row, events), getattr(row, f"{events}_error")
    shown = f"{value:.4g}" if error is None else f"{value:.4g} ± {error:.2g}"
    cycles = "" if row.latency_cycles is None else f" and {row.latency_cycles:g} cycles"
    return f"{row.title}, {events} {row.quality} {shown} in {count(row.luts)} LUT{cycles}"


def described(entry: Entry) -> list[str]:
    """What a reference design is, a line each; [] of other families, and of failed ones."""
    genotype = entry.candidate.genotype
    if entry.candidate.family not in REFERENCE_FAMILIES or entry.graph_text is None:
        return []
    if "weights" in genotype:
        return list(_sums(genotype))
    if "tables" in genotype:
        return list(_tables(genotype))
    return rules(dict(genotype), [name for name, _ in entry.graph.outputs])


def _sums(genotype: Mapping[str, Any]) -> Iterator[str]:
    """The formula of every output."""
    sums, offsets = genotype["weights"], genotype["offsets"]
    fracs = each(genotype["frac"], len(offsets))
    for (output, weights), offset, frac in zip(sums.items(), offsets, fracs, strict=True):
        terms = [f"{w * 2.0**-frac:+.6g}*{name}" for name, w in weights.items() if w]
        yield f"{output} = {' '.join([*terms, f'{offset * 2.0**-frac:+.6g}'])}"
    read = {name for weights in sums.values() for name, w in weights.items() if w}
    cuts = genotype["cuts"].items()
    yield from (f"where {name} is {_cut(name, cut)}" for name, cut in cuts if name in read)


def _tables(genotype: Mapping[str, Any]) -> Iterator[str]:
    """What addresses every table, and how large its entries are."""
    fracs = each(genotype["frac"], len(genotype["offsets"]))
    for number, table in enumerate(genotype["tables"]):
        cuts = " and ".join(_cut(name, cut) for name, cut in table["cuts"].items())
        pairs = zip(table["values"], fracs, strict=True)
        spans = [max(column) * 2.0**-frac for column, frac in pairs]
        entries = ", ".join(f"{top:g}" for top in spans)
        yield f"t{number}: {cuts}; entries of each output from 0 to {entries}"
    pairs = zip(genotype["offsets"], fracs, strict=True)
    offsets = ", ".join(f"{n * 2.0**-frac:g}" for n, frac in pairs)
    yield f"each output is the sum of its tables and {offsets}"


def _cut(name: str, cut: Sequence[int]) -> str:
    """A cut in words."""
    drop, start, bits = cut
    if bits == 1:
        return f"{name}'s word from {(start + 1) << drop} on"
    where = f" - {start}" if start > 0 else f" + {-start}" if start else ""
    return f"clip((word of {name} >> {drop}){where}, 0, {(1 << bits) - 1})"
