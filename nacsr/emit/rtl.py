"""The RTL back end: a graph unrolled to scalars, scheduled for a clock, as plain Verilog.

Everything is decided in the IR (products with constants as shared additions, casts as plain
ops), so the interpreter checks what is written before it is written; simulation checks it after.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from nacsr.emit import vectors as vec
from nacsr.emit.cpp_parts import comment
from nacsr.emit.names import identifier
from nacsr.emit.ports import Top, ports
from nacsr.emit.project import Draft, ProjectMeta
from nacsr.emit.rtl_pipeline import RESERVED, Pipeline, modules
from nacsr.errors import EmitError, GraphError
from nacsr.fixed import Raw
from nacsr.ir import Graph, evaluate
from nacsr.ir.passes import scalar as scalars
from nacsr.ir.passes.schedule import Schedule, schedule
from nacsr.tools import iverilog, verilator


def emit(graph: Graph, out: Path, meta: ProjectMeta, vectors: Mapping[str, Raw]) -> Path:
    """Write a Verilog project, pipelined for the clock of ``meta``.

    Args:
        graph: the design.
        out: the folder to create; an earlier project there is replaced.
        meta: name, target, clock, features and so on.
        vectors: raw words of every input port, shape (events, *shape), for the testbench.

    Returns:
        ``out``.

    Raises:
        GraphError: if the graph is not valid or the vectors do not fit its ports.
        EmitError: for a design too large to unroll or too wide in a step of it, or a folder that
            cannot be written; nothing is left.
    """
    draft = Draft(graph, meta)
    scalar, timing = prepare(graph, meta.period_ns)
    fill(draft, scalar, timing, vectors)
    return draft.save(out)


@lru_cache(maxsize=2)  # a design is costed and then emitted
def prepare(graph: Graph, period_ns: float) -> tuple[Graph, Schedule]:
    """The scalar design that computes a graph, and the stages of its values.

    Args:
        graph: the design, verified.
        period_ns: of the clock.

    Raises:
        EmitError: if it has more than ``scalars.LIMIT`` scalar operations, or a step needs more
            bits than there are: an exact sum of parts may be wider than the whole.
    """
    check(graph)
    try:
        found = scalars.unrolled(graph)
    except GraphError as error:
        msg = f"flow rtl cannot unroll this design: {error}. Flow hls can take it as it is"
        raise EmitError(msg) from None
    return found, schedule(found, period_ns)


def check(graph: Graph) -> None:
    """Refuse what is too large to unroll.

    Raises:
        EmitError: naming the largest op.
    """
    try:
        scalars.check(graph, "flow rtl")
    except GraphError as error:
        raise EmitError(str(error)) from None


def fill(draft: Draft, scalar: Graph, timing: Schedule, vectors: Mapping[str, Raw]) -> None:
    """Put a scheduled scalar design into a project.

    Args:
        draft: of the graph that the design computes.
        scalar: the design, with the same ports.
        timing: its stages.
        vectors: raw words of every input port.

    Raises:
        EmitError: if both do not compute the same words, or the design is not scalar.
    """
    graph, meta = draft.graph, draft.meta
    _same(graph, scalar, vectors)
    function = identifier(meta.name)
    inputs, outputs = ports(graph, function, RESERVED)
    pipeline = Pipeline(scalar, timing)
    texts = modules(pipeline, function, inputs, outputs, comment(meta.title or meta.name))
    for name, text in texts.items():
        draft.add(f"src/{name}.v", text)
    sources = tuple(f"src/{name}.v" for name in texts)
    top = Top(function, sources[0], sources, inputs, outputs, ("src",))
    testbench = f"tb/{function}_tb.v"
    draft.add_vectors(vectors)
    values = {"top": top, "testbench": testbench, "latency": timing.latency_cycles}
    draft.render(testbench, "rtl/testbench.v.j2", **values)
    draft.render(f"{function}.xdc", "rtl/constraints.xdc.j2")
    draft.render("build_vivado.tcl", "rtl/build_vivado.tcl.j2", **values)
    flags = {
        "iverilog_flags": " ".join(iverilog.FLAGS),
        "verilator_flags": shlex.join(verilator.SIMULATION),
    }
    draft.render("Makefile", "rtl/Makefile.j2", **values, **flags)
    draft.render("README.md", "rtl/README.md.j2", **values, operations=len(pipeline.values))
    facts = {"latency_cycles": timing.latency_cycles, "ii_cycles": 1}
    draft.add_manifest(top, (*sources, testbench), top.includes, "verilog", **facts)


def _same(graph: Graph, scalar: Graph, vectors: Mapping[str, Raw]) -> None:
    """Compare a design with what it was made of: ports, and every output word.

    Raises:
        EmitError: naming the port that differs.
    """
    for layout in (vec.input_layout, vec.output_layout):
        one, other = ([(n, t.plain(), s) for n, t, s in layout(g)] for g in (graph, scalar))
        if one != other:
            msg = f"unrolling changed the ports {one} to {other}; this is a fault of nacsr"
            raise EmitError(msg)
    expected, found = evaluate(graph, vectors), evaluate(scalar, vectors)
    for name, raw in expected.items():
        wrong = int((raw != found[name]).sum())
        if wrong:
            msg = f"unrolling changed {wrong} words of output {name!r}; this is a fault of nacsr"
            raise EmitError(msg)
