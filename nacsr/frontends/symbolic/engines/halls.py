"""Finished runs of PySR: where their halls of fame lie, and the engine that only scores them."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from nacsr.cost import OperatorCost
from nacsr.errors import DataError, ExpressionError
from nacsr.frontends.symbolic.engines import pricing
from nacsr.frontends.symbolic.engines.hall import BACKUPS, read_hall
from nacsr.frontends.symbolic.engines.request import Config, Sample, Scored
from nacsr.frontends.symbolic.language.custom import Custom
from nacsr.frontends.symbolic.language.expr import Expr
from nacsr.luts import LutFunc

NAME = "hall_of_fame.csv"
_OUTPUT = re.compile(r"hall_of_fame_output\d+\.csv")
_log = logging.getLogger("nacsr")


def read(
    path: str | Path,
    names: Sequence[str] | None,
    luts: Mapping[str, LutFunc],
    custom: Mapping[str, Custom] | None = None,
) -> tuple[Expr, ...]:
    """The formulas of a finished run, by rising complexity, each once.

    Formulas that use what nacsr does not have are left out with a warning.

    Args:
        path: a hall of fame in any form that ``read_hall`` knows, or the folder of a run
            (``outputs/<run_id>``).
        names: of the inputs in order, which formulas may use by name or as ``x0``, ``x1``..;
            None: as the formulas have them.
        luts: the functions that formulas may call.
        custom: the user's own operators that they may call.

    Raises:
        ExpressionError: if there is no hall of fame, or nothing in it can be read.
    """
    place = find(path)
    rows = read_hall(place, names, luts, custom=custom)
    for row in rows:
        if row.tree is None:
            _log.warning("%s; left out", row.reason)
    found = sorted((r for r in rows if r.tree is not None), key=lambda r: r.complexity)
    return tuple(dict.fromkeys(r.expr for r in found))


def find(path: str | Path) -> Path:
    """The hall of fame that a path means.

    Raises:
        ExpressionError: if it means none, or several.
    """
    path = Path(path)
    if path.suffix == ".pkl":
        msg = (
            f"{path}: is a pickle, which is never opened; give the {NAME} of the same run, "
            "which is beside it"
        )
        raise ExpressionError(msg)
    if not path.is_dir():
        return path
    # a run that was killed may have left the backup alone
    written = sorted({p.name.removesuffix(s) for p in path.iterdir() for s in ("", *BACKUPS)})
    if NAME in written:
        return path / NAME
    outputs = [name for name in written if _OUTPUT.fullmatch(name)]
    if len(outputs) == 1:
        return path / outputs[0]
    if outputs:
        msg = f"{path}: is a run with several outputs; give one of {', '.join(outputs)} in it"
        raise ExpressionError(msg)
    msg = f"{path}: no {NAME} is in this folder; give the folder of one run, outputs/<run_id>"
    raise ExpressionError(msg)


def search(
    sample: Sample,
    config: Config,
    costs: Mapping[str, OperatorCost],
    luts: Mapping[str, LutFunc],
    seed: int,
    folder: Path | None = None,
) -> list[Scored]:
    """``engine: hof``; see ``request.Engine``. Nothing is searched: the formulas of finished
    runs, ``config.guesses``, are scored on all rows and priced.
    """
    pricing.check(sample)
    if not config.guesses:
        msg = "engine: hof has no formulas to score; give halls: {class: outputs/<run_id>}"
        raise DataError(msg)
    scored = [pricing.score(e, sample, config, costs, luts) for e in config.guesses]
    lost = sum(not math.isfinite(s.loss) for s in scored)
    if lost:
        _log.warning(
            "engine: hof: %d of %d formulas exceed %s, or use what this study does not",
            lost,
            len(scored),
            config.precision,
        )
    return pricing.front(scored, config)
