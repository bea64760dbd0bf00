"""The HLS back end: a graph as a self-contained Vitis HLS project in plain C++.

No vendor library is called: tables are constant arrays, so the project compiles with any
g++ and the bits can be compared without a licence.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nacsr.emit.cpp import ROWS, declaration, definition
from nacsr.emit.cpp_parts import comment
from nacsr.emit.names import identifier
from nacsr.emit.project import Draft, ProjectMeta, Top, ports
from nacsr.errors import EmitError
from nacsr.fixed import Raw
from nacsr.ir import Graph

VERILOG = "vitis/solution/syn/verilog"
"""Where Vitis HLS writes the Verilog of our script's solution."""


def emit(graph: Graph, out: Path, meta: ProjectMeta, vectors: Mapping[str, Raw]) -> Path:
    """Write a Vitis HLS project.

    Args:
        graph: the design.
        out: the folder to create; an earlier project there is replaced.
        meta: name, target, features and so on.
        vectors: raw words of every input port, shape (events, *shape), for the testbench.

    Returns:
        ``out``.

    Raises:
        GraphError: if the graph is not valid or the vectors do not fit its ports.
        EmitError: for an op without a row, or a folder that cannot be written; nothing is left.
        ToolError: if the ap_types headers are missing.
    """
    check(graph)
    draft = Draft(graph, meta)
    function = identifier(meta.name)
    inputs, outputs = ports(graph, function)
    top = Top(function, f"{function}.h", (f"{function}.cpp",), inputs, outputs)
    draft.render(
        top.header,
        "expression/design.h.j2",
        about=comment(meta.name),
        graph=graph,
        guard=f"NACSR_{function.upper()}_H",
        declaration=declaration(function, inputs, outputs),
    )
    draft.render(
        top.sources[0],
        "expression/design.cpp.j2",
        about=comment(meta.name),
        graph=graph,
        top=top,
        definition=definition(graph, function, inputs, outputs),
    )
    first = "build_vitis.tcl"
    draft.render(first, f"expression/{first}.j2", top=top)
    vivado_script(draft, top, first, VERILOG)
    draft.complete(top, vectors)
    return draft.save(out)


def vivado_script(draft: Draft, top: Top, first: str, verilog: str) -> None:
    """Add the script for Vivado, which reads what Vitis HLS wrote.

    Args:
        draft: the project.
        top: its design.
        first: the script for Vitis HLS.
        verilog: folder that Vitis HLS writes its Verilog to.
    """
    script = "build_vivado.tcl"
    draft.render(script, f"expression/{script}.j2", top=top, first=first, verilog=verilog)


def check(graph: Graph) -> None:
    """Refuse what this back end cannot express.

    Raises:
        EmitError: naming the op.
    """
    for index, op in enumerate(graph.ops):
        if op.name not in ROWS:
            msg = f"%{index} {op.name}: flow hls has no C++ for it; it can {', '.join(ROWS)}"
            raise EmitError(msg)
