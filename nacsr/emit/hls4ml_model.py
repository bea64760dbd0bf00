"""hls4ml's model of a network: every layer with every type, checked after hls4ml's own passes.

hls4ml is given every type (``Precision`` of each layer: result, accumulator, constants), so it
infers none, and its C++ computes the graph's integers. The API (``ModelGraph.from_layer_list``)
is internal to hls4ml: its version is pinned, and this module is the only one that knows it.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nacsr.emit.hls4ml_streams import for_streams
from nacsr.emit.network import MERGES, Layer, Network, Window
from nacsr.emit.project import ProjectMeta
from nacsr.errors import EmitError
from nacsr.fixed import Fixed

IO_TYPES = ("io_parallel", "io_stream")
STRATEGIES = ("latency", "resource")
UNROLLED = 4096
"""Most products that hls4ml's scripts let Vitis unroll (``maximum_size`` of ``project.tcl``)."""

CLASSES: Mapping[str, str] = {
    "input": "InputLayer",
    "affine": "BatchNormalization",
    "dense": "Dense",
    "conv": "Conv{rank}D",
    "sum": "DepthwiseConv{rank}D",
    "maxpool": "MaxPooling{rank}D",
    "pad": "ZeroPadding{rank}D",
    "relu": "Activation",
    "leaky_relu": "LeakyReLU",
    "lut": "UnaryLUT",
    "cast": "Activation",
    "concat": "Concatenate",
    "reshape": "Reshape",
    **dict.fromkeys(MERGES, "Merge"),
}
ACTIVATIONS: Mapping[str, str] = {
    "relu": "relu",
    "cast": "linear",
    "lut": "unary_lut",
    "leaky_relu": "leakyrelu",
}
MERGE_OPS: Mapping[str, str] = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "min": "minimum",
    "max": "maximum",
}
REPACK = "repack_"
"""Prefix of what hls4ml makes of a reshape between streams."""
COPY = "clone_"
"""Prefix of what hls4ml inserts for a stream that several layers read."""
_COPIED = re.compile(r"_cpy\d+$")
AXES: Mapping[int, tuple[str, ...]] = {1: ("width",), 2: ("height", "width")}
SIDES: Mapping[str, tuple[str, str]] = {"width": ("left", "right"), "height": ("top", "bottom")}


@dataclass(frozen=True, slots=True)
class Hls4mlOptions:
    """How hls4ml builds the layers; the bits are the same for all.

    Attributes:
        io_type: ``io_parallel`` (all words at once) or ``io_stream`` (one pixel after another).
        strategy: ``latency`` (unrolled) or ``resource`` (multipliers are shared).
        reuse_factor: products a multiplier computes one after another. With ``resource`` each
            layer takes the largest number up to this one that its sizes allow.

    Raises:
        EmitError: for any other value.
    """

    io_type: str = "io_parallel"
    strategy: str = "latency"
    reuse_factor: int = 1

    def __post_init__(self) -> None:
        for name, known in (("io_type", IO_TYPES), ("strategy", STRATEGIES)):
            if getattr(self, name) not in known:
                msg = f"{name} must be {' or '.join(known)}, not {getattr(self, name)!r}"
                raise EmitError(msg)
        if self.reuse_factor < 1:
            msg = f"reuse_factor must be 1 or more, not {self.reuse_factor}"
            raise EmitError(msg)

    @classmethod
    def read(cls, options: Mapping[str, object]) -> Hls4mlOptions:
        """Options out of a manifest.

        Raises:
            EmitError: for a key or a value that is none.
        """
        io_type, strategy = options.get("io_type"), options.get("strategy")
        reuse = options.get("reuse_factor")
        if len(options) != 3 or not (isinstance(io_type, str) and isinstance(strategy, str)):
            reuse = None
        if not isinstance(reuse, int):
            msg = f"cannot read the hls4ml options {dict(options)}; emit the project again"
            raise EmitError(msg)
        return cls(str(io_type), str(strategy), reuse)

    @property
    def streams(self) -> bool:
        """Whether words travel through streams."""
        return self.io_type == "io_stream"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """hls4ml prints and warns about its own internals; what matters is checked here."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


# --- what hls4ml cannot do ---------------------------------------------------------------------


def prepared(network: Network, options: Hls4mlOptions) -> Network:
    """The network as hls4ml builds it exactly under these options.

    Raises:
        EmitError: if it cannot, naming the layer and what to choose instead.
    """
    for layer in network.layers:
        products = math.prod(products_of(layer))
        if options.strategy == "latency" and products > UNROLLED:
            msg = (
                f"layer {layer.name} has {products} products, hls4ml unrolls {UNROLLED} at most; "
                "choose the strategy resource, or a smaller layer"
            )
            raise EmitError(msg)
    return for_streams(network) if options.streams else network


# --- layers ------------------------------------------------------------------------------------


def products_of(layer: Layer) -> tuple[int, int]:
    """Inputs and outputs of the product of a layer with weights; (1, 1) for any other."""
    if layer.kind not in ("dense", "conv"):
        return 1, 1
    weight = layer.constants["weight"].raw
    return weight.size // weight.shape[-1], weight.shape[-1]


def reuse_of(layer: Layer, options: Hls4mlOptions) -> int:
    """Reuse factor of a layer: with ``resource``, the largest one that hls4ml computes exactly.

    Up to the number of inputs it must divide that number; above, a dense layer takes multiples
    of it, but ``nnet_conv2d_resource.h`` says of itself that it is not correct there.
    """
    if options.strategy == "latency" or layer.kind not in ("dense", "conv"):
        return options.reuse_factor
    inputs, outputs = products_of(layer)
    found = _divisor(inputs, options.reuse_factor)
    if found == inputs and layer.kind == "dense":
        found *= _divisor(outputs, options.reuse_factor // inputs)
    return found


def _divisor(number: int, limit: int) -> int:
    return max(d for d in range(1, min(number, limit) + 1) if number % d == 0)


def strategy_of(layer: Layer, options: Hls4mlOptions) -> str:
    """Strategy of a layer: hls4ml has depthwise convolutions with ``latency`` only."""
    return "latency" if layer.kind == "sum" else options.strategy


def precisions(layer: Layer) -> dict[str, Fixed]:
    """Every type of a layer by hls4ml's name for it."""
    types = {"result": layer.type}
    types |= {name: constant.type.plain() for name, constant in layer.constants.items()}
    if layer.kind in ("dense", "conv", "sum", "maxpool"):
        types["accum"] = layer.exact
    return types


def type_text(type_: Fixed) -> str:
    """A type as hls4ml reads it, with its modes spelled out."""
    sign = "" if type_.signed else "u"
    return f"{sign}fixed<{type_.width},{type_.integer},{type_.rounding},{type_.overflow}>"


def class_name(layer: Layer) -> str:
    """hls4ml's class of a layer."""
    return CLASSES[layer.kind].format(rank=len(layer.shape) - 1)


def describe(layer: Layer, network: Network) -> dict[str, Any]:
    """A layer as an entry of hls4ml's layer list."""
    entry: dict[str, Any] = {"name": layer.name, "class_name": class_name(layer)}
    if layer.kind == "input":
        return entry | {"input_shape": list(layer.shape)}
    source = network[layer.sources[0]]
    entry |= {"inputs": list(layer.sources), "n_in": source.size}
    if layer.kind != "leaky_relu":
        entry |= {f"{name}_data": c.values for name, c in layer.constants.items()}
    if layer.kind in ACTIVATIONS:
        entry["activation"] = ACTIVATIONS[layer.kind]
    if layer.kind in MERGE_OPS:
        entry["op"] = MERGE_OPS[layer.kind]
    return entry | DETAILS.get(layer.kind, _nothing)(layer, source)


def _nothing(layer: Layer, source: Layer) -> dict[str, Any]:
    return {}


def _affine(layer: Layer, source: Layer) -> dict[str, Any]:
    count = layer.constants["scale"].raw.size
    return {"n_filt": -1 if count == layer.size else count}


def _leaky_relu(layer: Layer, source: Layer) -> dict[str, Any]:
    return {"activ_param": float(layer.constants["param"].values)}


def _concat(layer: Layer, source: Layer) -> dict[str, Any]:
    return {"axis": layer.axis + 1, "op": f"concatenate{len(layer.shape)}d"}


def _spatial(layer: Layer, source: Layer) -> dict[str, Any]:
    """Geometry of a layer with a window."""
    window = layer.window or Window((), (), ())
    found: dict[str, Any] = {"data_format": "channels_last", "n_chan": source.shape[-1]}
    found["n_filt"] = layer.shape[-1]
    for k, axis in enumerate(AXES[len(window.size)]):
        found |= {f"in_{axis}": source.shape[k], f"out_{axis}": layer.shape[k]}
        found |= {f"filt_{axis}": window.size[k], f"pool_{axis}": window.size[k]}
        found[f"stride_{axis}"] = window.stride[k]
        for side, zeros in zip(SIDES[axis], window.padding[k], strict=True):
            found[f"pad_{side}"] = zeros
    return found


def _pool(layer: Layer, source: Layer) -> dict[str, Any]:
    sizes = {"n_in": source.shape[0], "n_out": layer.shape[0]} if len(layer.shape) == 2 else {}
    return _spatial(layer, source) | sizes


def _sum(layer: Layer, source: Layer) -> dict[str, Any]:
    data = layer.constants["weight"].values
    return _spatial(layer, source) | {"depthwise_data": data, "depth_multiplier": 1}


DETAILS: Mapping[str, Callable[[Layer, Layer], dict[str, Any]]] = {
    "affine": _affine,
    "dense": lambda layer, source: {"n_out": layer.size},
    "conv": _spatial,
    "sum": _sum,
    "maxpool": _pool,
    "pad": _spatial,
    "leaky_relu": _leaky_relu,
    "concat": _concat,
    "reshape": lambda layer, source: {"target_shape": list(layer.shape)},
}
"""(layer, the layer it reads) -> what an entry says besides names and constants."""


# --- the model ---------------------------------------------------------------------------------


def model_graph(
    network: Network, name: str, folder: Path, meta: ProjectMeta, options: Hls4mlOptions
) -> Any:
    """hls4ml's ``ModelGraph`` of a ``prepared`` network, checked to have our layers and types.

    Raises:
        EmitError: if hls4ml cannot build it, or changed a layer.
    """
    from hls4ml.model import ModelGraph
    from hls4ml.utils.config import create_config

    config = create_config(
        output_dir=str(folder),
        project_name=name,
        backend="Vitis",
        io_type=options.io_type,
        part=meta.part,
        clock_period=meta.period_ns,
        write_weights_txt=False,  # the constants that are verified are those that are synthesised
    )
    config |= {"InputData": None, "OutputPredictions": None}
    config["HLSConfig"] = {
        "Model": {
            "Precision": "fixed<16,6>",  # hls4ml demands a fallback; no value uses it
            "ReuseFactor": options.reuse_factor,
            "Strategy": options.strategy,
        },
        "LayerName": {
            name: layer_config(x, options)
            for x in network.layers
            for name in (x.name, REPACK + x.name)
        },
    }
    entries = [describe(layer, network) for layer in network.layers]
    outputs = [layer for _, layer in network.outputs]
    try:
        graph = ModelGraph.from_layer_list(config, entries, outputs=outputs)
    except Exception as error:  # hls4ml raises bare exceptions
        first = next(iter(str(error).splitlines()), repr(error))
        msg = f"hls4ml cannot build this network: {first}; emit with hls or rtl instead"
        raise EmitError(msg) from error
    check(graph, network, options)
    return graph


def layer_config(layer: Layer, options: Hls4mlOptions) -> dict[str, Any]:
    """A layer's part of hls4ml's configuration."""
    return {
        "Precision": {part: type_text(t) for part, t in precisions(layer).items()},
        "ReuseFactor": reuse_of(layer, options),
        "Strategy": strategy_of(layer, options),
    }


def check(graph: Any, network: Network, options: Hls4mlOptions) -> None:
    """Compare every layer, every type and the outputs that hls4ml made with ours.

    Raises:
        EmitError: naming the first that differs.
    """
    nodes: dict[str, Any] = {}
    for node in graph.get_layers():
        if node.name.startswith(COPY):
            _check_copy(node)
        else:
            nodes[_plain(node.name)] = node
    _same("layers", list(nodes), [layer.name for layer in network.layers])
    _same("outputs", [_plain(n) for n in graph.outputs], [layer for _, layer in network.outputs])
    for layer in network.layers:
        _check_layer(graph, nodes[layer.name], layer, options)


def _plain(name: str) -> str:
    """Our name of the layer whose result hls4ml has under a name of its own."""
    return _COPIED.sub("", name).removeprefix(REPACK)


def _check_layer(graph: Any, node: Any, layer: Layer, options: Hls4mlOptions) -> None:
    for part, type_ in precisions(layer).items():
        result = node.get_output_variable().type if part == "result" else None
        found = (result or node.get_attr(f"{part}_t")).precision
        wanted = graph.config.backend.convert_precision_string(type_text(type_))
        _same(f"{part} type of {layer.name}", found, wanted)
    _same(f"shape of {layer.name}", tuple(node.get_output_variable().shape), layer.shape)
    if layer.sources:
        _same(f"sources of {layer.name}", [_plain(n) for n in node.inputs], list(layer.sources))
    if layer.kind in ("dense", "conv", "sum"):
        _same(f"strategy of {layer.name}", node.get_attr("strategy"), strategy_of(layer, options))
        reuse = reuse_of(layer, options)
        _same(f"reuse factor of {layer.name}", node.get_attr("reuse_factor"), reuse)


def _check_copy(node: Any) -> None:
    """A copy must have the type of what it copies."""
    wanted = node.get_input_variable().type.precision
    for variable in node.get_variables():
        _same(f"type of {node.name}", variable.type.precision, wanted)


def _same(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        msg = f"hls4ml made the {what} {found}, expected {wanted}; install hls4ml==1.3.0"
        raise EmitError(msg)
