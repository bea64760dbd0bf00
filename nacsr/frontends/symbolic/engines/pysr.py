"""The PySR backend: the same search as the embedded engine's, by PySR in its own process.

PySR's search itself was not executed in nacsr's CI, which has no Julia. What is tested there:
that the real ``PySRRegressor.fit`` accepts every option and hands it to one
``SymbolicRegression.Options`` call, with a stand-in for ``juliacall``; and everything that
happens to the hall of fame, while PySR runs and afterwards. The end-to-end test is marked
``julia``.

PySR has one integer complexity beside the loss: the critical path in clock cycles, or the cycles
summed over operators, which is the latency-aware training of Tsoi et al.; its hall of fame is
then priced by critical path and area like the embedded engine's front.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nacsr.cost import OperatorCost
from nacsr.errors import ExpressionError, SpecError, ToolError
from nacsr.frontends.symbolic.engines import child, julia_code, pricing
from nacsr.frontends.symbolic.engines.hall import HallRow, read_hall
from nacsr.frontends.symbolic.engines.halls import NAME
from nacsr.frontends.symbolic.engines.pysr_options import options, threads
from nacsr.frontends.symbolic.engines.pysr_worker import NO_JULIA, UNKNOWN
from nacsr.frontends.symbolic.engines.request import Config, Sample, Scored
from nacsr.frontends.symbolic.language.custom import Custom
from nacsr.frontends.symbolic.language.expr import Expr, Var, substitute
from nacsr.luts import LutFunc

WORKER = "nacsr.frontends.symbolic.engines.pysr_worker"
PROBE_S = 300.0

_log = logging.getLogger("nacsr")


def julia() -> str:
    """Version of the Julia that PySR would use, found without downloading anything.

    Raises:
        ToolError: if there is none.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from juliacall import Main; print(Main.VERSION)"],
            env={**os.environ, "PYTHON_JULIAPKG_OFFLINE": "yes"},
            capture_output=True,
            text=True,
            timeout=PROBE_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        msg = f"Julia did not start within {PROBE_S:.0f} s; use engine: embedded"
        raise ToolError(msg) from None
    if done.returncode:
        raise ToolError(_no_julia(done.stderr))
    return child.last_line(done.stdout)


def _no_julia(output: str) -> str:
    return (
        f"Julia was not found ({child.last_line(output)}); PySR fetches it by itself when a study "
        "with engine: pysr starts where there is internet; use engine: embedded here"
    )


def search(
    sample: Sample,
    config: Config,
    costs: Mapping[str, OperatorCost],
    luts: Mapping[str, LutFunc],
    seed: int,
    folder: Path | None = None,
) -> list[Scored]:
    """PySR; see ``request.Engine``. Evaluations are of whole expressions, as PySR counts.

    It runs serially and seeded, on ``config.rows`` rows drawn by the seed; the loss is the mean
    squared error with the rows' weights. ``folder`` keeps PySR's own files, ``hall_of_fame.csv``
    among them, and a search that finds a hall there starts from its formulas. If PySR crashes or
    is interrupted, the best formulas so far are the answer, with a warning.
    """
    pricing.check(sample)
    rows = np.sort(np.random.default_rng(seed).permutation(len(sample.y))[: config.rows])
    with tempfile.TemporaryDirectory(prefix="nacsr-pysr-") as place:
        hall = _Hall((folder or Path(place) / "run").resolve(), sample.names, luts, config.custom)
        hall.refresh()
        guesses = _guesses((*config.guesses, *hall.formulas()), sample.names, config, luts)
        request = {
            "options": options(config, costs, luts, seed, guesses),
            "functions": julia_code.defined(config),
            "weighted": sample.weights is not None,
            "run": str(hall.run),
        }
        _run(Path(place), request, sample.take(rows), hall, config)
    scored = (pricing.score(e, sample, config, costs, luts) for e in hall.formulas())
    return pricing.front(scored, config)


def _run(
    work: Path, request: Mapping[str, object], sample: Sample, hall: _Hall, config: Config
) -> None:
    """One PySR process; it returns when there is a hall, whole or not."""
    (work / "request.json").write_text(json.dumps(request), encoding="utf-8")
    weights = np.ones_like(sample.y) if sample.weights is None else sample.weights
    np.savez(work / "data.npz", z=sample.z, y=sample.y, weights=weights)
    environment = {"PYTHON_JULIACALL_THREADS": threads(config)}
    try:
        status, output = child.run(
            ["-m", WORKER, str(work)], work, environment=environment, watch=hall.refresh
        )
    except KeyboardInterrupt:
        hall.refresh()
        if not hall.rows:
            raise
        _log.warning("PySR was interrupted; its best %d formulas so far go on", len(hall.rows))
        return
    hall.refresh()
    if status == NO_JULIA:
        raise ToolError(_no_julia(output))
    if status == UNKNOWN:
        msg = f"families.expression.pysr: {child.last_line(output)}"
        raise SpecError(msg)
    reason = child.last_line(output) if status >= 0 else f"ended by signal {-status}"
    if not hall.rows:
        msg = f"PySR failed ({reason}); mend that, or use engine: embedded"
        raise ToolError(msg)
    if status:
        count = len(hall.rows)
        _log.warning("PySR failed (%s); its best %d formulas so far go on", reason, count)


class _Hall:
    """The hall of fame that PySR writes as it goes, as last read whole."""

    def __init__(
        self,
        run: Path,
        names: Sequence[str],
        luts: Mapping[str, LutFunc],
        custom: Mapping[str, Custom],
    ) -> None:
        self.run, self.luts, self.custom = run, luts, custom
        self.rows: tuple[HallRow, ...] = ()
        self.names = {f"x{j}": Var(name) for j, name in enumerate(names)}

    def refresh(self) -> None:
        """Read it, if there is one; it may be in the middle of being written."""
        try:
            found = read_hall(self.run / NAME, tuple(self.names), self.luts, 0, self.custom)
        except ExpressionError:
            return
        if found != self.rows:
            self.rows = found
            best = min(row.loss for row in found)
            _log.info("PySR: %d formulas, smallest loss %.4g", len(found), best)

    def formulas(self) -> tuple[Expr, ...]:
        """Every formula that can be read, in the names of the inputs."""
        trees = [row.tree for row in self.rows if row.tree is not None]
        return tuple(dict.fromkeys(substitute(tree, self.names) for tree in trees))


def _guesses(
    formulas: Sequence[Expr], names: Sequence[str], config: Config, luts: Mapping[str, LutFunc]
) -> list[str]:
    """Formulas to start from, as PySR reads them; those that it could not read are left out."""
    if config.extra.get("select_k_features"):
        usable: list[str] = []  # PySR knows only the inputs that it selects itself
    else:
        texts = [julia_code.formula(e, names, config, luts) for e in dict.fromkeys(formulas)]
        usable = [t for t in texts if t is not None]
    if len(usable) < len(formulas):
        left = len(formulas) - len(usable)
        _log.warning("PySR: %d formulas to start from use what this search has not", left)
    return usable
