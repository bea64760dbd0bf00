"""Expression designs for people: rounded formulas, LaTeX, what they use, pictures of tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nacsr.entry import Entry
from nacsr.errors import NacsrError, SpecError
from nacsr.fixed import Rounding
from nacsr.frontends.symbolic.genotype import formulas
from nacsr.frontends.symbolic.language.expr import Call, Expr, functions, size, variables
from nacsr.frontends.symbolic.language.show import to_latex, to_text
from nacsr.luts import LutFunc, lut_functions
from nacsr.measure import Measurement
from nacsr.spec import StudySpec

DIGITS = 3
PLOT = (150, 80)
"""Pixels of the picture of a table."""
LINE = 110
"""Characters of LaTeX after which a sum goes on in the next line."""


@dataclass(frozen=True, slots=True)
class Line:
    """The formula of one output.

    Attributes:
        output: the class, or what is predicted.
        text: the formula with constants to 3 digits.
        latex: the same in LaTeX, a line of an ``align*`` each.
        features: names of the features that it reads.
        functions: names of the LUT functions and fitted tables that are computed for it.
        nodes: size of its tree.
        auc, auc_error: area under the ROC curve of this class, where it was measured.
    """

    output: str
    text: str
    latex: tuple[str, ...]
    features: tuple[str, ...]
    functions: tuple[str, ...]
    nodes: int
    auc: float | None
    auc_error: float | None


@dataclass(frozen=True, slots=True)
class Formula:
    """A whole design: a formula an output, and the tables that were fitted for them."""

    id: str
    lines: tuple[Line, ...]
    tables: tuple[LutFunc, ...]
    events: str
    """Whose AUCs they are: ``test`` where those events were read, else ``validation``."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that any output reads, sorted."""
        return tuple(sorted({f for line in self.lines for f in line.features}))

    @property
    def functions(self) -> tuple[str, ...]:
        """Names of the functions that are computed for any output; fitted tables come last."""
        return _ordered({f for line in self.lines for f in line.functions}, self.tables)

    @property
    def nodes(self) -> int:
        """Nodes of all trees together."""
        return sum(line.nodes for line in self.lines)

    def latex(self) -> str:
        r"""An ``align*`` block, for a document that loads ``amsmath``."""
        lines = [text for line in self.lines for text in line.latex]
        return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "outputs": [asdict(line) for line in self.lines],
            "features": self.features,
            "functions": self.functions,
            "nodes": self.nodes,
            "events": self.events,
        }


def describe(entry: Entry, names: Sequence[str], luts: Mapping[str, LutFunc]) -> Formula:
    """An expression design in words.

    Args:
        entry: of an archive.
        names: of the features.
        luts: the LUT functions of its study.

    Raises:
        SpecError: if it is no expression design.
        ExpressionError: if a formula calls a function that is not in ``luts``.
    """
    candidate = entry.candidate
    if candidate.family != "expression" or "expressions" not in candidate.genotype:
        msg = f"{entry.id} has no formulas; choose an expression of 'nacsr front'"
        raise SpecError(msg)
    expressions, known = formulas(candidate.genotype, names, luts)
    tables = tuple(known[name] for name in candidate.genotype.get("tables", {}))
    tested = any(m.stage == "test" for m in entry.measurements)
    events = "test" if tested else "validation"
    return Formula(
        entry.id,
        tuple(
            _line(
                entry.find("auc", "interpreter", events, output),
                output,
                expr,
                _ordered(functions([expr], known), tables),
            )
            for output, expr in expressions.items()
        ),
        tables,
        events,
    )


def _ordered(names: Iterable[str], tables: Sequence[LutFunc]) -> tuple[str, ...]:
    """Functions sorted, then tables in their own order, which is that of their numbers."""
    place = {table.name: n for n, table in enumerate(tables)}
    return tuple(sorted(names, key=lambda name: (place.get(name, -1), name)))


def described(
    entries: Iterable[Entry], spec: StudySpec, names: Sequence[str]
) -> dict[str, Formula]:
    """Those entries of a study that have formulas, by id.

    Formulas that call functions of the user's own are left out where their folder is not.
    """
    family = spec.families.expression
    found = {}
    for entry in entries:
        try:
            folder = None if family is None else family.lut_folder
            luts = lut_functions(None if folder is None else Path(folder))
            found[entry.id] = describe(entry, names, luts)
        except NacsrError:  # its title and its genotype are shown anyway
            continue
    return found


def _line(area: Measurement | None, output: str, expr: Expr, called: tuple[str, ...]) -> Line:
    return Line(
        output,
        to_text(expr, DIGITS),
        tuple(_latex(output, expr)),
        variables(expr),
        called,
        size(expr),
        None if area is None else area.value,
        None if area is None else area.error,
    )


def _latex(output: str, expr: Expr) -> Iterator[str]:
    """Lines of an ``align*``: a sum breaks between two terms where it gets too long."""
    line, full = rf"\mathrm{{{escaped(output)}}} &=", False
    terms = list(_summands(expr))
    for place, (sign, term) in enumerate(terms):
        text = to_latex(term, DIGITS)
        if len(terms) > 1 and isinstance(term, Call) and term.op in ("cond", "select"):
            text = rf"\left({text}\right)"  # or the braces of its cases would seem to hold the rest
        if text.startswith("-"):
            sign, text = -sign, text[1:]
        if full:
            yield line
            line = r"&\quad"
        plus = " +" if place else ""
        line += f"{' -' if sign < 0 else plus} {text}"
        full = len(line) > LINE
    yield line


def _summands(expr: Expr, sign: int = 1) -> Iterator[tuple[int, Expr]]:
    """The terms of a sum in reading order, with their signs."""
    match expr:
        case Call("add" | "sub" as op, (left, right)):
            yield from _summands(left, sign)
            yield from _summands(right, sign if op == "add" else -sign)
        case Call("neg", (inner,)):
            yield from _summands(inner, -sign)
        case _:
            yield sign, expr


def escaped(text: str) -> str:
    r"""Text that LaTeX prints as it is, inside ``\mathrm``.

    >>> print(escaped("n_b 50%"))
    n\_b\ 50\%
    """
    plain = re.sub(r"[\\~^]", "-", text)  # these would need a package to be printed
    return re.sub(r"([_%&#${} ])", r"\\\1", plain)


def words(formula: Formula) -> Iterator[str]:
    """The design in lines of text, without the formulas themselves."""
    for line in formula.lines:
        nodes = f"{line.nodes} node{'' if line.nodes == 1 else 's'}"
        parts = [nodes, f"features {_listed(line.features)}"]
        if line.functions:
            parts.append(f"functions {_listed(line.functions)}")
        if line.auc is not None:
            error = "" if line.auc_error is None else f" ± {line.auc_error:.4f}"
            parts.append(f"AUC {line.auc:.4f}{error} ({formula.events})")
        yield f"{line.output}: {'; '.join(parts)}"
    for table in formula.tables:
        yield f"{table.name}: fitted table, {table_words(table)}"


def table_words(table: LutFunc) -> str:
    """Entries and types of a table."""
    return f"{len(table.values)} entries, {table.domain.plain()} to {table.value.plain()}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def table_svg(table: LutFunc) -> str:
    """A small step plot of a fitted table, as SVG to be put into a page.

    Drawn by hand: a design may have a hundred of them, which would take matplotlib seconds and
    the page megabytes. Every bin of the domain is a step; the ends of both axes are written.
    """
    width, height = PLOT
    values = table.value.to_float(np.array(table.values))
    low, high = float(values.min()), float(values.max())
    x = np.linspace(0, width, len(values) + 1)
    y = height * (high - values) / (high - low)  # a table is never constant
    steps = "".join(f"V{v:.1f}H{right:.1f}" for v, right in zip(y, x[1:], strict=True))
    bins = np.array([table.domain.min_raw, table.domain.max_raw + 1])
    # a bin begins at its word if bits are dropped, and lies around it if they are rounded
    half = 0.0 if table.domain.rounding == Rounding.TRN else 0.5
    begin, end = ((bins - half) * table.domain.lsb).tolist()
    labels = (
        (0, height + 11, "start", f"{begin:.3g}"),
        (width, height + 11, "end", f"{end:.3g}"),
        (width / 2, height + 11, "middle", "x"),
        (-3, 8, "end", f"{high:.3g}"),
        (-3, height, "end", f"{low:.3g}"),
        (width / 2, -4, "middle", f"{table.name}(x)"),
    )
    texts = "".join(
        f'<text x="{left:g}" y="{down:g}" text-anchor="{anchor}">{text}</text>'
        for left, down, anchor, text in labels
    )
    box = f'<rect width="{width}" height="{height}" fill="none" stroke="#bbb"/>'
    line = f'<path d="M0 {y[0]:.1f}{steps}" fill="none" stroke="#c1440e"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + 50}" height="{height + 30}" '
        f'viewBox="-46 -15 {width + 50} {height + 30}" font-family="sans-serif" font-size="10">'
        f"{box}{line}{texts}</svg>"
    )
