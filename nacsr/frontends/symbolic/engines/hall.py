"""Reading halls of fame: the CSV files that PySR and SymbolicRegression.jl write.

Forms: ``hall_of_fame*.csv`` with the header ``Complexity,Loss,Equation`` (or ``MSE`` for
``Loss``), older ones with ``|`` between columns, and the backups ``.bak`` and ``.bkup``.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nacsr.errors import ExpressionError
from nacsr.frontends.symbolic.language.custom import Custom
from nacsr.frontends.symbolic.language.expr import Expr, Var, substitute
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.luts import LutFunc, lut_functions

HEADERS = (("Complexity", "Loss", "Equation"), ("Complexity", "MSE", "Equation"))
BACKUPS = (".bak", ".bkup")
PREFIX = "nacsr_"
"""Of functions that nacsr defines for PySR, so that a table of sin is not Base.sin."""
_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*(?!\w|\s*\()")  # a name that is not called
_INDEXED = re.compile(r"x(\d+)")
_NO_ROWS, _CUT = "has no rows", "ends in the middle of a row"
_PREFIXED = re.compile(rf"(?<!\w){PREFIX}(?=\w+\s*\()")


class _TruncatedError(Exception):
    """The file is not whole, as its text says; a backup may be."""


@dataclass(frozen=True, slots=True)
class HallRow:
    """One formula of a hall of fame.

    Attributes:
        complexity: PySR's complexity, by the weights of that search.
        loss: its loss there.
        equation: the text as written.
        tree: the formula, or None if it cannot be read.
        reason: why it cannot, or "".
    """

    complexity: int
    loss: float
    equation: str
    tree: Expr | None
    reason: str = ""

    @property
    def expr(self) -> Expr:
        """The formula.

        Raises:
            ExpressionError: if it uses what nacsr does not have.
        """
        if self.tree is None:
            raise ExpressionError(self.reason)
        return self.tree


def read_hall(
    path: str | Path,
    features: Sequence[str] | None = None,
    luts: Mapping[str, LutFunc] | None = None,
    first: int | None = None,
    custom: Mapping[str, Custom] | None = None,
) -> tuple[HallRow, ...]:
    """The rows of a hall of fame, in the file's order.

    A file that is missing, has no rows or ends in the middle of one is replaced by its backup
    beside it, if that is whole. One formula that cannot be read does not spoil the others: its
    row carries the reason.

    Args:
        path: the file.
        features: names of the inputs in order. Formulas may use them, or ``x`` and a number,
            which is then replaced by the name. None: variables keep the names they have.
        luts: functions that formulas may use, the shipped ones by default.
        first: the number of the first input: 0 as PySR writes, 1 as SymbolicRegression.jl
            does when called from Julia. None: 0 if any formula has ``x0``; else 1 if one has
            ``x<n>`` for ``n`` features, which would be past the end; else 0.
        custom: the user's own operators that formulas may call.

    Raises:
        ExpressionError: if there is no such file, it is no hall of fame, or no formula of it
            can be read.
    """
    path = Path(path)
    functions = lut_functions() if luts is None else luts
    places = [p for p in (path, *(path.with_name(path.name + b) for b in BACKUPS)) if p.is_file()]
    if not places:
        msg = f"{path}: there is no such file; give the hall_of_fame.csv of a PySR run"
        raise ExpressionError(msg)
    lacks = []
    for place in places:
        try:
            text = place.read_text(encoding="utf-8-sig")
            return parse_hall(text, str(place), features, functions, first, custom)
        except _TruncatedError as error:
            lacks.append(f"{place}: {error}")
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{place}: cannot be read as text ({error}); give the hall_of_fame.csv of PySR"
            raise ExpressionError(msg) from None
    msg = f"{lacks[0]}, and no whole backup (.bak) is beside it; give that of another run"
    raise ExpressionError(msg)


def parse_hall(
    text: str,
    where: str,
    features: Sequence[str] | None,
    luts: Mapping[str, LutFunc],
    first: int | None,
    custom: Mapping[str, Custom] | None = None,
) -> tuple[HallRow, ...]:
    """The rows of a hall of fame given as text; see ``read_hall``."""
    rows = _records(text, where)
    equations = [equation for _, _, equation in rows]
    if features is None:
        known = sorted({name for e in equations for name in _NAME.findall(e)})
        names: Mapping[str, Expr] = {name: Var(name) for name in known}
    else:
        names = _numbered(equations, features, first)
    found = tuple(
        _row(f"{where}, complexity {complexity}", complexity, loss, equation, names, luts, custom)
        for complexity, loss, equation in rows
    )
    if all(row.tree is None for row in found):
        raise ExpressionError(found[0].reason)
    return found


def _row(
    where: str,
    complexity: int,
    loss: float,
    equation: str,
    names: Mapping[str, Expr],
    luts: Mapping[str, LutFunc],
    custom: Mapping[str, Custom] | None,
) -> HallRow:
    plain = _PREFIXED.sub("", equation)
    try:
        tree = substitute(parse(plain, tuple(names), luts, custom), names)
    except ExpressionError as error:
        return HallRow(complexity, loss, equation, None, f"{where}: {error}")
    return HallRow(complexity, loss, equation, tree)


def _numbered(
    equations: Sequence[str], features: Sequence[str], first: int | None
) -> dict[str, Expr]:
    """What every variable means: features by their names, and by number."""
    used = {int(n) for e in equations for n in _INDEXED.findall(" ".join(_NAME.findall(e)))}
    if first is None:
        first = 1 if 0 not in used and len(features) in used else 0
    numbered: dict[str, Expr] = {f"x{first + j}": Var(name) for j, name in enumerate(features)}
    unclear = [n for n in features if n in numbered and numbered[n] != Var(n)]
    if unclear:
        msg = (
            f"{unclear[0]!r} could be that feature or PySR's own number for another; rename the "
            "features, or number them from the same first"
        )
        raise ExpressionError(msg)
    return {**numbered, **{name: Var(name) for name in features}}


def _records(text: str, where: str) -> list[tuple[int, float, str]]:
    """Complexity, loss and equation of every row.

    Raises:
        ExpressionError: if the header or a row is not a hall of fame's.
        _TruncatedError: if there is no row, or the last one is not whole.
    """
    if not text.strip():
        raise _TruncatedError(_NO_ROWS)
    header = text.splitlines()[0]
    mark = "|" if "|" in header else ","
    # formulas hold no newline and no quote, so a row is a line
    lines = [line for line in text.splitlines()[1:] if line.strip()]
    if tuple(h.strip().strip('"') for h in header.split(mark)) not in HEADERS:
        msg = (
            f"{where}: is no hall of fame of PySR: its header is {header[:60]!r}, expected "
            "Complexity,Loss,Equation"
        )
        raise ExpressionError(msg)
    rows = []
    for number, line in enumerate(lines, 2):
        try:
            rows.append(_record(line, mark))
        except (csv.Error, ValueError):
            if number == len(lines) + 1:
                raise _TruncatedError(_CUT) from None
            msg = f"{where}, line {number}: expected complexity, loss and equation: {line[:60]!r}"
            raise ExpressionError(msg) from None
    if not rows:
        raise _TruncatedError(_NO_ROWS)
    return rows


def _record(line: str, mark: str) -> tuple[int, float, str]:
    complexity, loss, equation = next(csv.reader(io.StringIO(line), delimiter=mark, strict=True))
    nodes = julia_float(complexity)
    if not nodes.is_integer() or math.isnan(nodes) or not equation.strip():
        raise ValueError(line)
    return int(nodes), julia_float(loss), equation.strip()


def julia_float(text: str) -> float:
    """The number of a Julia literal: ``1.2f-5`` is a Float32.

    >>> julia_float("1.2f-5")
    1.2e-05
    """
    return float(re.sub(r"(?<=[\d.])f(?=[-+\d])", "e", text.strip()))
