"""The compiler's front door: a formula, a hall of fame, a Brevitas network or a design of a
study goes in, a ``Design`` comes out, which runs, is costed, emitted and verified."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nacsr.archive import Archive
from nacsr.cost import Cost, estimate
from nacsr.data.words import Feature, Scaling, to_words
from nacsr.emit import FLOWS, default_flow
from nacsr.emit.project import ProjectMeta
from nacsr.emit.verify import Verification, verify
from nacsr.errors import DataError, ExpressionError, SpecError, unknown
from nacsr.fixed import Fixed, Overflow, Raw, Rounding
from nacsr.frontends.stem import bind
from nacsr.frontends.symbolic.expr import Expr, variables
from nacsr.frontends.symbolic.hall import read_hall
from nacsr.frontends.symbolic.lower import lower
from nacsr.frontends.symbolic.parse import names_in, parse
from nacsr.frontends.symbolic.show import to_text
from nacsr.ir import Graph, evaluate
from nacsr.luts import lut_functions
from nacsr.targets import target as find_target

if TYPE_CHECKING:
    from torch.nn import Module

RANDOM_WORDS = 1_000
"""Random events that verify a design which comes without data."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a design lives: its ports, its device and its clock.

    Attributes:
        features: the words that arrive.
        classes: names of the outputs.
        scaling: ``folded`` or ``external``, see ``Scaling``.
        target: name of the device.
        clock_mhz: clock frequency.
    """

    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    scaling: str
    target: str
    clock_mhz: float

    def to_json(self) -> str:
        """As the archive keeps it."""
        features = [[f.name, str(f.type)] for f in self.features]
        return json.dumps(
            {
                "features": features,
                "classes": self.classes,
                "scaling": self.scaling,
                "target": self.target,
                "clock_mhz": self.clock_mhz,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Setting:
        """The inverse of ``to_json``."""
        read = json.loads(text)
        features = tuple(Feature(n, Fixed.parse(t)) for n, t in read["features"])
        return cls(
            features, tuple(read["classes"]), read["scaling"], read["target"], read["clock_mhz"]
        )


@dataclass(frozen=True, slots=True)
class Design:
    """A lowered model for a flow.

    Attributes:
        graph: the IR.
        setting: ports, device, clock.
        name: identifier of the emitted project.
        title: formula or architecture, for people.
        flow: the back end, a key of ``nacsr.emit.FLOWS``.
    """

    graph: Graph
    setting: Setting
    name: str
    title: str
    flow: str

    def words(self, x: ArrayLike) -> Raw:
        """Raw words of shape (events, features): integers are words already, floats are
        physical values that are quantised as the front end would.

        Raises:
            DataError: for another number of columns, or words outside their type.
        """
        given = np.asarray(x)
        if given.ndim != 2 or given.shape[1] != len(self.setting.features):
            names = ", ".join(f.name for f in self.setting.features)
            wanted = f"(events, {len(self.setting.features)})"
            msg = f"expected shape {wanted} for {names}; got {list(given.shape)}"
            raise DataError(msg)
        if given.dtype.kind in "iu":
            return given.astype(np.int64)
        return to_words(given.astype(np.float64), self.setting.features)

    def run(self, x: ArrayLike) -> NDArray[np.float64]:
        """Bit-true outputs for many events.

        Args:
            x: shape (events, features): integer words, or floats (see ``words``).

        Returns:
            Output values, shape (events, outputs); exact multiples of the output's LSB.
        """
        words = self.words(x)
        outputs = evaluate(self.graph, bind(self.graph, self.setting.features, words))
        columns = [
            self.graph.ops[i].type.to_float(outputs[n]).reshape(len(words), -1)
            for n, i in self.graph.outputs
        ]
        return np.concatenate(columns, axis=1)

    def cost(self) -> Cost:
        """Analytic cost at the setting's device and clock."""
        return estimate(self.graph, self.setting.target, self.setting.clock_mhz, self.flow)

    def emit(self, out: Path | str, words: Raw | None = None, seed: int = 0) -> Path:
        """Write the self-contained project.

        Args:
            out: folder to make.
            words: raw words for the testbench, shape (events, features); random ones if None.
            seed: of the random ones.

        Raises:
            EmitError: if the flow cannot express the graph, or the folder cannot be written.
        """
        if words is None:
            words = self.random_words(RANDOM_WORDS, seed)
        device = find_target(self.setting.target)
        meta = ProjectMeta(
            name=self.name,
            title=self.title,
            flow=self.flow,
            target=device.name,
            part=device.part,
            clock_mhz=self.setting.clock_mhz,
            features=self.setting.features,
            classes=self.setting.classes,
            scaling=self.setting.scaling,
        )
        vectors = bind(self.graph, self.setting.features, words)
        return FLOWS[self.flow].emit(self.graph, Path(out), meta, vectors)

    def verify(self, folder: Path | str | None = None, events: int | None = None) -> Verification:
        """Compile the emitted C++ with g++ and compare every output word with the interpreter.

        Args:
            folder: an emitted project of this design; a temporary one if None.
            events: random events instead of the shipped vectors.
        """
        if folder is not None:
            return verify(Path(folder), events)
        with tempfile.TemporaryDirectory(prefix="nacsr_") as scratch:
            return verify(self.emit(Path(scratch) / self.name), events)

    def random_words(self, events: int, seed: int) -> Raw:
        """Words spread over the whole range of every feature, shape (events, features)."""
        rng = np.random.default_rng(seed)
        types = [f.type for f in self.setting.features]
        columns = [rng.integers(t.min_raw, t.max_raw, events, endpoint=True) for t in types]
        return np.stack(columns, axis=1)


Source = str | Path | Sequence[str] | Mapping[str, str]


def compile(
    source: Source | Module,
    *,
    to: str | None = None,
    target: str = "vu13p",
    clock_mhz: float = 200.0,
    precision: str = "fixed<16,6>",
    input_type: str | None = None,
    row: int | None = None,
    name: str = "design",
) -> Design:
    """Compile one source to a design.

    Args:
        source: an expression, several (a list, or a mapping from output names), the path of a
            PySR ``hall_of_fame*.csv``, ``RUN:ID`` of a study, or a Brevitas ``Sequential``.
        to: back end, a key of ``nacsr.emit.FLOWS``; by default hls4ml for networks, hls
            otherwise.
        target: device.
        clock_mhz: clock frequency.
        precision: working precision of expressions, and type of their input words.
        input_type: type of a network's input words; its input quantiser's by default.
        row: complexity of the row of a hall of fame; its most accurate row by default.
        name: identifier of the emitted project.

    Raises:
        NacsrError: naming what cannot be compiled, and why.

    Inputs of expressions and modules are taken as they are (external scaling).
    """
    find_target(target)
    if to is not None and to not in FLOWS:
        raise SpecError(unknown("back end", to, FLOWS))
    if isinstance(source, str | Path) and (found := _run_and_id(str(source))):
        return from_run(*found, to=to, name=name)
    if isinstance(source, str | Path | Sequence | Mapping):
        expressions = _read(source, row)
        graph, features = _lower_expressions(expressions, Fixed.parse(precision))
        title = "; ".join(to_text(e, digits=3) for e in expressions.values())
        classes = tuple(expressions)
    else:
        graph, features = _lower_module(source, input_type)
        sizes = [op.array("weight").shape for op in graph.ops if op.name == "dense"]
        title = "network " + "-".join(str(n) for n in [sizes[0][0], *(b for _, b in sizes)])
        classes = tuple(f"y{i}" for i in range(sizes[-1][1]))
    setting = Setting(features, classes, "external", target, clock_mhz)
    return Design(graph, setting, name, title, to or default_flow(graph))


def from_run(run: Path, id_: str, *, to: str | None = None, name: str = "design") -> Design:
    """A design of a study, for its own device and clock.

    Raises:
        ArchiveError: if the run or the id is not there, or never became a design.
    """
    with Archive(run) as archive:
        entry, setting = archive.entry(id_), archive.meta("setting")
        graph = entry.graph
    where = Setting.from_json(setting or "{}")
    return Design(graph, where, name, entry.candidate.title, to or default_flow(graph))


def _run_and_id(source: str) -> tuple[Path, str] | None:
    match = re.fullmatch(r"(.+):([0-9a-f]{2,12})", source)
    if match is None or not Path(match[1]).is_dir():
        return None
    return Path(match[1]), match[2]


def _read(source: Source, row: int | None) -> dict[str, Expr]:
    """Expressions by output name."""
    luts = lut_functions()
    if isinstance(source, Path) or (isinstance(source, str) and _is_hall(source)):
        rows = read_hall(Path(source))
        chosen = [r for r in rows if row is None or r.complexity == row]
        if not chosen:
            had = ", ".join(str(r.complexity) for r in rows)
            msg = f"{source}: no row of complexity {row}; it has {had}"
            raise ExpressionError(msg)
        return {"y": min(chosen, key=lambda r: r.loss).expr}
    if isinstance(source, str):
        texts: Mapping[str, str] = {"y": source}
    elif isinstance(source, Mapping):
        texts = source
    else:
        texts = {f"y{i}": text for i, text in enumerate(source)}
    if not texts:
        msg = "no expression given; write one such as 'x0*x1 + 0.5'"
        raise ExpressionError(msg)
    return {out: parse(text, names_in(text), luts) for out, text in texts.items()}


def _is_hall(source: str) -> bool:
    return re.search(r"\.(csv|bak|bkup)$", source) is not None


def _lower_expressions(
    expressions: Mapping[str, Expr], precision: Fixed
) -> tuple[Graph, tuple[Feature, ...]]:
    names = {name for expr in expressions.values() for name in variables(expr)}
    if not names:
        msg = "the expression has no variable, so there is nothing to compile; use one such as x0"
        raise ExpressionError(msg)
    word = precision.with_modes(Rounding.RND, Overflow.SAT)
    features = tuple(Feature(n, word) for n in sorted(names, key=_natural))
    zeros = (0,) * len(features)
    scaling = Scaling("external", zeros, zeros)
    return lower(expressions, features, scaling, precision, lut_functions()), features


def _lower_module(module: Module, input_type: str | None) -> tuple[Graph, tuple[Feature, ...]]:
    from nacsr.frontends.neural.lower import external_inputs, from_brevitas, read_brevitas

    first = read_brevitas(module)[0]
    if input_type is not None:
        word = Fixed.parse(input_type)
    elif isinstance(first, Fixed):
        word = first
    else:
        msg = "the module does not quantise its input; give input_type such as fixed<16,6>"
        raise SpecError(msg)
    features, scaling = external_inputs(module, word)
    return from_brevitas(module, features, scaling), features


def _natural(name: str) -> list[Any]:
    """Sort key that puts x2 before x10."""
    return [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)]
