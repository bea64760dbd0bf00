"""A torch module into the IR: torch.fx lists its calls, each is lowered and run side by side.

Next to every IR value goes what torch computes for a few random words, in float64: shapes and
the scales of Brevitas' tensors are read from it, and at the end the outputs are compared.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nacsr.errors import FixedError, GraphError
from nacsr.fixed import Fixed, Raw
from nacsr.frontends.neural.lowering import functions, layers
from nacsr.frontends.neural.lowering.calls import (
    EVENTS,
    holds_view,
    is_leaf,
    lower_function,
    lower_layer,
    rule_name,
)
from nacsr.frontends.neural.lowering.layout import View, arrange, axes_of, each
from nacsr.frontends.neural.lowering.lower import OUTPUT_PORT
from nacsr.frontends.neural.lowering.quantisers import quantiser
from nacsr.frontends.neural.lowering.sets import BIT, count_type
from nacsr.ir import Builder
from nacsr.ir.graph import Shape

if TYPE_CHECKING:
    from torch import fx, nn

IN_PLACE = frozenset({"iadd", "imul", "isub", "itruediv"})


@dataclass(frozen=True, slots=True)
class Port:
    """An argument of forward() besides the first: a mask or a count of particles."""

    name: str
    type: Fixed
    shape: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A module's calls, in order.

    Attributes:
        module: a copy of the user's module, in eval mode and float64.
        nodes: torch.fx nodes.
        ports: arguments after the first.
    """

    module: nn.Module
    nodes: tuple[fx.Node, ...]
    ports: tuple[Port, ...]

    @classmethod
    def of(cls, module: nn.Module) -> Program:
        """Trace a module; the module itself is left as it is.

        Raises:
            GraphError: if its forward() depends on data, or it has none.
        """
        from torch import nn

        if type(module).forward is nn.Module.forward:
            msg = (
                f"cannot read {type(module).__name__} as a network: it has no forward(); give an "
                "nn.Sequential or a module with a forward()"
            )
            raise GraphError(msg)
        exact: nn.Module = copy.deepcopy(module).eval().double()
        exact = nn.Sequential(exact) if is_leaf(exact) else exact
        nodes = tuple(_trace(exact).nodes)
        later = [n for n in nodes if n.op == "placeholder"][1:]
        return cls(exact, nodes, tuple(p for n in later if (p := _port(exact, n)) is not None))

    def first_quantiser(self) -> Fixed | None:
        """The type of the quantiser that reads the module's input, if there is one."""
        node = next(n for n in self.nodes if n.op == "placeholder")
        while len(node.users) == 1:
            node = next(iter(node.users))
            if node.op == "call_module":
                layer, where = self._layer(node)
                straight = rule_name(layer, ("QuantIdentity", "QuantReLU")) is not None
                for proxy in ("input_quant", "act_quant") if straight else ("input_quant",):
                    found = getattr(layer, proxy, None)
                    if found is not None and (type_ := quantiser(where, found)) is not None:
                        return type_
                if rule_name(layer, layers.MOVES) is None:
                    return None
            elif function_name(node) not in functions.MOVES:
                return None
        return None

    def vector_size(self) -> int | None:
        """How many values the first dense layer reads, if it is the first layer with weights."""
        for node in self.nodes:
            if node.op == "call_module":
                layer, _ = self._layer(node)
                if hasattr(layer, "in_features"):
                    return int(layer.in_features)
                if hasattr(layer, "in_channels"):
                    return None
        return None

    def _layer(self, node: fx.Node) -> tuple[Any, str]:
        layer = self.module.get_submodule(str(node.target))
        return layer, f"layer {node.target} ({type(layer).__name__})"

    def run(
        self, builder: Builder, x: View, values: Any, more: Mapping[str, tuple[View, Any]]
    ) -> list[tuple[str, View, Any]]:
        """Lower all calls.

        Args:
            builder: the graph grows in it.
            x: the module's first argument.
            values: float64 values of it for ``EVENTS`` events, as torch takes them.
            more: the same for every one of ``ports``, by name.

        Returns:
            Name, value and torch's values of every output.

        Raises:
            GraphError: naming the layer or function that cannot be lowered, and the remedy.
        """
        import torch

        state = _State(builder)
        given = {"": (x, values), **more}
        with torch.no_grad():
            for k, node in enumerate(self.nodes):
                if node.op == "placeholder":
                    first = not state.views
                    state.views[node], state.seen[node] = (
                        given[""] if first else given.get(str(node.target), (None, None))
                    )
                elif node.op == "get_attr":
                    found = _attribute(self.module, str(node.target))
                    state.views[node], state.seen[node] = found, found
                elif node.op == "output":
                    return _outputs(state, node)
                else:
                    self._call(state, node, self.nodes[k + 1 :])
        msg = "the module returns nothing"
        raise GraphError(msg)

    def _call(self, state: _State, node: fx.Node, later: Sequence[fx.Node]) -> None:
        """Lower one call, then let torch do it."""
        if node.op == "call_module":
            layer, where = self._layer(node)
            target: Callable[..., Any] = layer
        else:
            layer, where = None, _function_where(node, self.module)
            target = _function(node)
        try:
            _need_sole_reader(node, layer, later)
            args, kwargs = state.taken(state.views, node)
            seen_args, seen_kwargs = state.taken(state.seen, node)
            lowered = NotImplemented
            if any(holds_view(a) for a in (*args, *kwargs.values())):
                if layer is not None:
                    call = layers.Call(state.builder, where, layer, seen_args[0])
                    lowered = lower_layer(call, args, kwargs)
                else:
                    lowered = lower_function(
                        state.builder, function_name(node), target, args, kwargs
                    )
            state.seen[node] = target(*seen_args, **seen_kwargs)
            state.views[node] = state.seen[node] if lowered is NotImplemented else lowered
        except (GraphError, FixedError) as error:
            text = str(error)
            raise GraphError(text if text.startswith(where) else f"{where}: {text}") from None
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            line = (str(error).strip() or type(error).__name__).splitlines()[0]
            msg = f"{where}: torch cannot run it: {line}"
            raise GraphError(msg) from None
        _need_shape(where, lowered, state.seen[node])


@dataclass(slots=True, eq=False)
class _State:
    """What is known of every node so far: in the IR, and in torch."""

    builder: Builder
    views: dict[fx.Node, Any] = field(default_factory=dict)
    seen: dict[fx.Node, Any] = field(default_factory=dict)

    def taken(self, values: Mapping[fx.Node, Any], node: fx.Node) -> tuple[Any, Any]:
        """Positional and named arguments of a node."""
        from torch.fx import map_arg

        return (
            map_arg(node.args, lambda n: values[n]),
            map_arg(node.kwargs, lambda n: values[n]),
        )


# --- tracing ---------------------------------------------------------------------------


def _trace(module: nn.Module) -> fx.Graph:
    from torch import fx

    class Tracer(fx.Tracer):
        """Stops at the layers of torch, Brevitas and nacsr."""

        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return is_leaf(m)

    try:
        return Tracer().trace(module)
    except Exception as error:  # forward() is the user's: it may raise anything
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        msg = (
            f"cannot read {type(module).__name__}: its forward() is not a fixed sequence of calls "
            f"({line}); use layers, operators and slices only, without if or loops on data"
        )
        raise GraphError(msg) from None


def _port(module: nn.Module, node: fx.Node) -> Port | None:
    """The mask or count that an argument is; None if it is left at its default."""
    for user in node.users:
        if user.op != "call_module":
            continue
        layer: Any = module.get_submodule(str(user.target))
        if type(layer).__name__ != "MaskedPool":
            continue
        if node is user.kwargs.get("mask") or node in user.args[1:2]:
            return Port(str(node.target), BIT, (layer.size,))
        if node is user.kwargs.get("count") or node in user.args[2:3]:
            return Port(str(node.target), count_type(layer.size), ())
    if node.args and node.args[0] is None:
        return None
    msg = (
        f"argument {str(node.target)!r} of forward() is neither a mask nor a count of a "
        "MaskedPool; give the module one tensor, and slice it"
    )
    raise GraphError(msg)


def _attribute(module: Any, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name)
    return module


def function_name(node: fx.Node) -> str:
    target = node.target
    return target if isinstance(target, str) else str(getattr(target, "__name__", target))


def _function_where(node: fx.Node, module: nn.Module) -> str:
    stack = node.meta.get("nn_module_stack")
    owner = next(reversed(stack.values()))[1] if stack else type(module)
    return f"{function_name(node)}() in {getattr(owner, '__name__', owner)}.forward"


def _function(node: fx.Node) -> Callable[..., Any]:
    name = node.target
    if not isinstance(name, str):
        return name
    return lambda self, *args, **kwargs: getattr(self, name)(*args, **kwargs)


def _need_sole_reader(node: fx.Node, layer: Any, later: Sequence[fx.Node]) -> None:
    """In-place work changes what later calls read: then the order of effects would matter."""
    name = function_name(node)
    in_place = (
        getattr(layer, "inplace", False)
        or node.kwargs.get("inplace")
        or (layer is None and (name in IN_PLACE or name.endswith("_")))
    )
    argument = node.args[0] if node.args else None
    if in_place and any(n in later for n in getattr(argument, "users", ())):
        msg = "works in place on a value that is read again later; do not work in place here"
        raise GraphError(msg)


# --- after lowering ---------------------------------------------------------------------


def _need_shape(where: str, lowered: Any, seen: Any) -> None:
    """What was lowered has torch's shape: a fault of a rule would show here first."""
    if isinstance(lowered, View) and tuple(seen.shape[1:]) != lowered.shape:
        msg = f"{where}: nacsr has shape {list(lowered.shape)}, torch {list(seen.shape[1:])}"
        raise GraphError(msg)


def _outputs(state: _State, node: fx.Node) -> list[tuple[str, View, Any]]:
    (views,), _ = state.taken(state.views, node)
    (seen,), _ = state.taken(state.seen, node)
    if isinstance(views, View):
        views, seen = {OUTPUT_PORT: views}, {OUTPUT_PORT: seen}
    elif isinstance(views, tuple | list):
        names = [f"{OUTPUT_PORT}{k}" for k in range(len(views))]
        views, seen = dict(zip(names, views, strict=True)), dict(zip(names, seen, strict=True))
    if not isinstance(views, dict) or not all(isinstance(v, View) for v in views.values()):
        msg = "forward() must return a tensor that is computed, or a tuple or dict of them"
        raise GraphError(msg)
    return [(str(k), views[k], seen[k]) for k in views]


def output_value(builder: Builder, name: str, view: View) -> tuple[int, tuple[int, ...]]:
    """The IR value of an output and its axes: vectors in torch's order, others as they lie.

    Raises:
        GraphError: if it has no exact fixed-point result.
    """
    if view.pending is not None:
        msg = f"output {name} is {view.pending.what}: put a QuantIdentity after it, to round it"
        raise GraphError(msg)
    rank = view.places.ndim
    now = axes_of(view) if rank > 1 else None
    axes = tuple(range(rank)) if now is None else now
    return arrange(builder, each(builder, view, lambda v: v), axes), axes


def sample(type: Fixed, shape: Shape, events: int = EVENTS, seed: int = 1) -> Raw:
    """Random words of a type, its ends among them."""
    rng = np.random.default_rng(seed)
    words = rng.integers(type.min_raw, type.max_raw + 1, (events, *shape))
    if math.prod(words.shape) >= 2:
        words.flat[0], words.flat[-1] = type.min_raw, type.max_raw
    return words
