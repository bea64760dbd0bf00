"""Networks as hls4ml projects, built layer by layer from the IR.

``layers`` reads the graph, ``hls4ml_model`` builds and checks hls4ml's model of it, and this
module takes what hls4ml writes of it into a project of ours. ``tests/conformance/test_hls4ml.py``
proves the bits.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nacsr.emit.hls import vivado_script
from nacsr.emit.hls4ml_model import (
    Hls4mlOptions,
    class_name,
    model_graph,
    precisions,
    prepared,
    quiet,
    reuse_of,
    strategy_of,
)
from nacsr.emit.layers import to_network
from nacsr.emit.names import identifier
from nacsr.emit.network import Network
from nacsr.emit.project import Draft, ProjectMeta, Top, ctype, ports
from nacsr.errors import EmitError
from nacsr.fixed import Raw
from nacsr.ir import Graph

__all__ = ["Hls4mlOptions", "emit", "function_name"]

LAYERS = "layers.json"
SCRIPTS = ("build_prj.tcl", "build_opt.tcl", "project.tcl", "vivado_synth.tcl")
_HERE = "[file normalize $tcldir]"
_ARGV = f'-argv "{_HERE}/tb/input.txt {_HERE}/tb/output.txt {_HERE}/tb/expected.txt"'
_OPTIONS = "source [file join $tcldir build_opt.tcl]\n"
EDITS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "build_prj.tcl": (  # our testbench, which finds its vectors by its arguments; steps to choose
        (_OPTIONS, f"{_OPTIONS}if {{[info exists steps]}} {{ array set opt $steps }}\n"),
        ("${project_name}_test.cpp", "tb/${project_name}_tb.cpp"),
        ('-cflags "-std=c++0x', f'-cflags "-std=c++14 -I{_HERE}'),
        ("add_files -tb tb_data\n", ""),
        ("    csim_design\n", f"    csim_design {_ARGV}\n"),
        ("-trace_level all -setup\n", f"-trace_level all -setup {_ARGV}\n"),
    ),
    "build_opt.tcl": (  # validation compares logs that only hls4ml's testbench writes
        ("cosim      1", "cosim      0"),
        ("validation 1", "validation 0"),
    ),
    "firmware/nnet_utils/nnet_sepconv1d_latency.h": (  # its guard is that of the 2-d header
        ("NNET_SEPARABLE_CONV2D_LATENCY_H_", "NNET_SEPARABLE_CONV1D_LATENCY_H_"),
    ),
}
"""What differs in hls4ml's files: its scripts, because the testbench is ours, and one mistake."""

_INCLUDE = re.compile(r'^\s*#include "([^"]+)"', re.MULTILINE)
# global names in hls4ml's sources: w3, b3, layer3_t, config3, dense1_accum_t, ...
_TAKEN = re.compile(
    r"(w|b|s|table|layer|config)\d+(_\w*)?|\w+_t|\w+_config\d+|nnet|hls|nacsr|words"
)


def emit(
    graph: Graph,
    out: Path,
    meta: ProjectMeta,
    vectors: Mapping[str, Raw],
    options: Hls4mlOptions | None = None,
) -> Path:
    """Write a network as an hls4ml project with our testbench, vectors and manifest.

    Args:
        graph: a network of layers, see ``nacsr.emit.layers``.
        out: folder to write, in one step.
        meta: what the project says about itself.
        vectors: raw words of the input port, shape (events, *shape).
        options: how hls4ml builds the layers; recorded in ``layers.json``.

    Raises:
        EmitError: if an op is no layer or hls4ml cannot build it under these options (nothing is
            written), or ``out`` cannot be written.
        GraphError: if the graph or the vectors are not well formed.
    """
    options = options or Hls4mlOptions()
    versions = {**meta.versions, "hls4ml": version("hls4ml")}
    draft = Draft(graph, replace(meta, flow="hls4ml", versions=versions))
    network = prepared(to_network(graph), options)
    name = function_name(meta.name)
    with tempfile.TemporaryDirectory() as scratch:
        with quiet():
            model = model_graph(network, name, Path(scratch), meta, options)
            model.write()
        collect(draft, Path(scratch), name)
    draft.add(LAYERS, json.dumps(_summary(network, options), indent=1) + "\n")
    top = _top(graph, network, name)
    if options.streams:
        top = _streamed(draft, top, model)
    vivado_script(draft, top, "build_prj.tcl", f"{name}_prj/solution1/syn/verilog")
    draft.complete(top, vectors)
    return draft.save(out)


def _summary(network: Network, options: Hls4mlOptions) -> dict[str, Any]:
    """The options, and what they made of every layer."""
    layers = [
        {
            "name": layer.name,
            "class": class_name(layer),
            "reads": list(layer.sources),
            "shape": list(layer.shape),
            "types": {part: str(t) for part, t in precisions(layer).items()},
            "strategy": strategy_of(layer, options),
            "reuse_factor": reuse_of(layer, options),
        }
        for layer in network.layers
    ]
    return {"options": asdict(options), "layers": layers}


def _top(graph: Graph, network: Network, name: str) -> Top:
    """How to call the design: hls4ml's arrays have the layers' types, a scalar has one word."""
    inputs, outputs = ports(graph, name)
    inputs = tuple(replace(p, shape=p.shape or (1,)) for p in inputs)
    types = {port: network[layer].type for port, layer in network.outputs}
    outputs = tuple(replace(p, shape=p.shape or (1,), ctype=ctype(types[p.name])) for p in outputs)
    return Top(name, f"firmware/{name}.h", (f"firmware/{name}.cpp",), inputs, outputs)


def _streamed(draft: Draft, top: Top, model: Any) -> Top:
    """The same, called with arrays that a header of ours turns into streams."""
    variables = (*model.get_input_variables(), *model.get_output_variables())
    packs = [variable.type.name for variable in variables]
    header = f"tb/{top.function}_arrays.h"
    template = "project/stream_arrays.h.j2"
    draft.render(header, template, top=top, design=top.header, packs=packs)
    return replace(top, header=header)


def function_name(name: str) -> str:
    """The top function: an identifier that differs from every global name of hls4ml's sources.

    >>> function_name("Jet tagger"), function_name("w3")
    ('Jet_tagger', 'w3_net')
    """
    found = identifier(name)
    return f"{found}_net" if _TAKEN.fullmatch(found) else found


def collect(draft: Draft, written: Path, name: str) -> None:
    """Take what the design needs of a written hls4ml project.

    Left behind: headers of other layers, the Python bridge, hls4ml's own testbench (it reads
    decimal numbers) and its ``ap_types``, which every project of ours carries already.
    """
    firmware = written / "firmware"
    sources = sorted(_sources(firmware, firmware / f"{name}.cpp"))
    for path in (*sources, *(written / script for script in SCRIPTS)):
        file = path.relative_to(written).as_posix()
        draft.add(file, edited(file, path.read_text(encoding="utf-8")))


def edited(file: str, text: str) -> str:
    """A file of hls4ml's with ``EDITS`` applied.

    Raises:
        EmitError: if a line to edit is not there.
    """
    for old, new in EDITS.get(file, ()):
        if old not in text:
            msg = f"hls4ml's {file} has no {old.strip()!r}; install hls4ml==1.3.0"
            raise EmitError(msg)
        text = text.replace(old, new)
    return text


def _sources(firmware: Path, top: Path) -> set[Path]:
    """A source and every file of the firmware that it includes, directly or not."""
    found: set[Path] = set()
    unread = [top]
    while unread:
        path = unread.pop()
        if path in found:
            continue
        found.add(path)
        for name in _INCLUDE.findall(path.read_text(encoding="utf-8")):
            unread += [p for p in (path.parent / name, firmware / name) if p.is_file()]
    return found
