"""Reference designs in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nacsr.entry import Entry
from nacsr.frontends.reference.base import each
from nacsr.frontends.reference.trees.ladder import rules
from nacsr.report.rows import REFERENCE_FAMILIES


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
