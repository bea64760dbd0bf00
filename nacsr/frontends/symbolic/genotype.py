"""Formulas with the tables that were fitted for them, as a candidate's genotype holds them."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from nacsr.errors import FixedError, SpecError
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.fitting.shapes import TABLE
from nacsr.frontends.symbolic.language.expr import Call, Expr, Num
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.frontends.symbolic.language.show import to_text
from nacsr.luts import LutFunc

Tables = Mapping[str, LutFunc]


def record(expressions: Mapping[str, Expr], tables: Tables) -> dict[str, Any]:
    """JSON-able: formulas by output as text, and the entries of every table of their own."""
    texts = {name: to_text(expr) for name, expr in expressions.items()}
    return {"expressions": texts} | ({"tables": rows(tables)} if tables else {})


def rows(tables: Tables) -> dict[str, Any]:
    """JSON-able: types and entries of tables by name."""
    return {
        name: {"domain": str(t.domain), "value": str(t.value), "values": list(t.values)}
        for name, t in tables.items()
    }


def read_tables(found: Mapping[str, Any]) -> dict[str, LutFunc]:
    """The inverse of ``rows``.

    Raises:
        SpecError: if an entry is not a table.
    """
    tables = {}
    for name, row in found.items():
        try:
            domain, value = Fixed.parse(row["domain"]), Fixed.parse(row["value"])
            values = tuple(map(operator.index, row["values"]))
        except (KeyError, TypeError, FixedError) as error:
            msg = f"table {name!r} is damaged ({error}); expected domain, value and values"
            raise SpecError(msg) from None
        tables[name] = LutFunc(name, "", domain, value, values=values)
    return tables


def formulas(
    genotype: Mapping[str, Any], names: Sequence[str], luts: Tables
) -> tuple[dict[str, Expr], dict[str, LutFunc]]:
    """The formulas of a genotype by output, and all functions that they may call.

    Raises:
        ExpressionError: if a formula cannot be read.
        SpecError: if a table cannot, or there are no formulas.
    """
    texts, tables = genotype.get("expressions"), genotype.get("tables", {})
    if not isinstance(texts, Mapping) or not isinstance(tables, Mapping):
        msg = "a recorded design lacks its expressions or tables; restore a copy of its archive"
        raise SpecError(msg)
    known = {**luts, **read_tables(tables)}
    return {c: parse(text, names, known) for c, text in texts.items()}, known


def opened(expr: Expr, tables: Tables) -> Expr:
    """The expression with its fitted tables to be fitted anew, wherever they started."""
    if not isinstance(expr, Call):
        return expr
    args = tuple(opened(a, tables) for a in expr.args)
    if expr.op not in tables:
        return Call(expr.op, args)
    match args[0]:
        case Call("add" | "sub", (inner, Num())):
            return Call(TABLE, (inner,))
    return Call(TABLE, args)
