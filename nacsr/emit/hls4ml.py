"""Networks as hls4ml projects, built layer by layer from the IR.

hls4ml is given every type (``Precision`` of each layer: result, accumulator, constants), so it
infers none, and its C++ computes the graph's integers. The graph it builds is compared with
ours before anything is written. The API (``ModelGraph.from_layer_list``) is internal to hls4ml:
its version is pinned, this module is the only one that knows it, and
``tests/conformance/test_hls4ml.py`` guards it.
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nacsr.emit.layers import Layer, Network, to_network
from nacsr.emit.names import identifier
from nacsr.emit.project import Draft, ProjectMeta, Top, ports
from nacsr.errors import EmitError
from nacsr.fixed import Fixed, Raw
from nacsr.ir import Graph

CLASSES: Mapping[str, str] = {
    "input": "InputLayer",
    "affine": "BatchNormalization",
    "dense": "Dense",
    "relu": "Activation",
    "cast": "Activation",
    "lut": "UnaryLUT",
}
ACTIVATIONS: Mapping[str, str] = {"relu": "relu", "cast": "linear", "lut": "unary_lut"}
SCRIPTS = ("build_prj.tcl", "build_opt.tcl", "project.tcl", "vivado_synth.tcl")
_HERE = "[file normalize $tcldir]"
_ARGV = f'-argv "{_HERE}/tb/input.txt {_HERE}/tb/output.txt {_HERE}/tb/expected.txt"'
EDITS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "build_prj.tcl": (  # our testbench, which finds its vectors by its arguments
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
}
"""What differs in hls4ml's scripts, because the testbench is ours."""

_INCLUDE = re.compile(r'^\s*#include "([^"]+)"', re.MULTILINE)
# global names in hls4ml's sources: w3, b3, layer3_t, config3, dense1_accum_t, ...
_TAKEN = re.compile(r"(w|b|s|table|layer|config)\d+(_\w*)?|\w+_t|\w+_config\d+|nnet|words")


def emit(graph: Graph, out: Path, meta: ProjectMeta, vectors: Mapping[str, Raw]) -> Path:
    """Write a network as an hls4ml project with our testbench, vectors and manifest.

    Args:
        graph: stem, dense, relu, lut and cast ops on vectors, see ``nacsr.emit.layers``.
        out: folder to write, in one step.
        meta: what the project says about itself.
        vectors: raw words of the input port, shape (events, features).

    Raises:
        EmitError: if an op is no layer (nothing is written), or ``out`` cannot be written.
        GraphError: if the graph or the vectors are not well formed.
    """
    versions = {**meta.versions, "hls4ml": version("hls4ml")}
    draft = Draft(graph, replace(meta, flow="hls4ml", versions=versions))
    network = to_network(graph)
    name = function_name(meta.name)
    with tempfile.TemporaryDirectory() as scratch:
        with quiet():
            model_graph(network, name, Path(scratch), meta).write()
        collect(draft, Path(scratch), name)
    inputs, outputs = ports(graph, name)
    top = Top(name, f"firmware/{name}.h", (f"firmware/{name}.cpp",), inputs, outputs)
    draft.complete(top, vectors)
    return draft.save(out)


def function_name(name: str) -> str:
    """The top function: an identifier that differs from every global name of hls4ml's sources.

    >>> function_name("Jet tagger"), function_name("w3")
    ('Jet_tagger', 'w3_net')
    """
    found = identifier(name)
    return f"{found}_net" if _TAKEN.fullmatch(found) else found


def type_text(type_: Fixed) -> str:
    """A type as hls4ml reads it, with its modes spelled out."""
    sign = "" if type_.signed else "u"
    return f"{sign}fixed<{type_.width},{type_.integer},{type_.rounding},{type_.overflow}>"


def precisions(layer: Layer) -> dict[str, Fixed]:
    """Every type of a layer by hls4ml's name for it."""
    types = {"result": layer.type}
    types |= {name: constant.type.plain() for name, constant in layer.constants.items()}
    if layer.kind == "dense":
        types["accum"] = layer.exact
    return types


def describe(layer: Layer, size: int) -> dict[str, Any]:
    """A layer that reads ``size`` elements, as an entry of hls4ml's layer list."""
    entry: dict[str, Any] = {"name": layer.name, "class_name": CLASSES[layer.kind]}
    if layer.kind == "input":
        return entry | {"input_shape": [layer.size]}
    entry |= {"inputs": [layer.source], "n_in": size}
    if layer.kind == "dense":
        entry["n_out"] = layer.size
    if layer.kind in ACTIVATIONS:
        entry["activation"] = ACTIVATIONS[layer.kind]
    return entry | {f"{name}_data": c.values for name, c in layer.constants.items()}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """hls4ml prints and warns about its own internals; what matters is checked here."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def model_graph(network: Network, name: str, folder: Path, meta: ProjectMeta) -> Any:
    """hls4ml's ``ModelGraph`` of a network, checked to have our layers and types.

    Raises:
        EmitError: if hls4ml changed a layer.
    """
    from hls4ml.model import ModelGraph
    from hls4ml.utils.config import create_config

    config = create_config(
        output_dir=str(folder),
        project_name=name,
        backend="Vitis",
        io_type="io_parallel",
        part=meta.part,
        clock_period=meta.period_ns,
        write_weights_txt=False,  # the constants that are verified are those that are synthesised
    )
    types = {x.name: {k: type_text(t) for k, t in precisions(x).items()} for x in network.layers}
    config |= {"InputData": None, "OutputPredictions": None}
    config["HLSConfig"] = {
        # hls4ml demands a fallback precision; no value uses it
        "Model": {"Precision": "fixed<16,6>", "ReuseFactor": 1, "Strategy": "Latency"},
        "LayerName": {layer: {"Precision": texts} for layer, texts in types.items()},
    }
    sizes = {layer.name: layer.size for layer in network.layers}
    entries = [describe(layer, sizes.get(layer.source, 0)) for layer in network.layers]
    outputs = [layer for _, layer in network.outputs]
    graph = ModelGraph.from_layer_list(config, entries, outputs=outputs)
    check(graph, network)
    return graph


def check(graph: Any, network: Network) -> None:
    """Compare every layer, every type and the outputs that hls4ml made with ours.

    Raises:
        EmitError: naming the first that differs.
    """
    nodes = {node.name: node for node in graph.get_layers()}
    _same("layers", list(nodes), [layer.name for layer in network.layers])
    _same("outputs", list(graph.outputs), [layer for _, layer in network.outputs])
    for layer in network.layers:
        for part, type_ in precisions(layer).items():
            node = nodes[layer.name]
            result = node.get_output_variable().type if part == "result" else None
            found = (result or node.get_attr(f"{part}_t")).precision
            wanted = graph.config.backend.convert_precision_string(type_text(type_))
            _same(f"{part} type of {layer.name}", found, wanted)


def _same(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        msg = f"hls4ml made the {what} {found}, expected {wanted}; install hls4ml==1.3.0"
        raise EmitError(msg)


def collect(draft: Draft, written: Path, name: str) -> None:
    """Take what the design needs of a written hls4ml project.

    Left behind: headers of other layers, the Python bridge, hls4ml's own testbench (it reads
    decimal numbers) and its ``ap_types``, which every project of ours carries already.
    """
    firmware = written / "firmware"
    for path in sorted(_sources(firmware, firmware / f"{name}.cpp")):
        draft.add(path.relative_to(written).as_posix(), path.read_bytes())
    for script in SCRIPTS:
        draft.add(script, edited(script, (written / script).read_text(encoding="utf-8")))


def edited(script: str, text: str) -> str:
    """A script of hls4ml's with ``EDITS`` applied.

    Raises:
        EmitError: if a line to edit is not there.
    """
    for old, new in EDITS.get(script, ()):
        if old not in text:
            msg = f"hls4ml's {script} has no {old.strip()!r}; install hls4ml==1.3.0"
            raise EmitError(msg)
        text = text.replace(old, new)
    return text


def _sources(firmware: Path, top: Path) -> set[Path]:
    """A source and every file of the firmware that it includes, directly or not."""
    found: set[Path] = set()
    todo = [top]
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found.add(path)
        for name in _INCLUDE.findall(path.read_text(encoding="utf-8")):
            todo += [p for p in (path.parent / name, firmware / name) if p.is_file()]
    return found
