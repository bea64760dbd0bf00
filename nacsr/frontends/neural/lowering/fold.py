"""BatchNorm folded into the layer before it, in floating point, before quantisation."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from nacsr.errors import GraphError
from nacsr.frontends.neural.lowering.calls import is_leaf
from nacsr.frontends.neural.lowering.trace import Program

if TYPE_CHECKING:
    from torch import nn

NORMS = ("BatchNorm1d", "BatchNorm2d")


def fold_batchnorm(module: nn.Module) -> nn.Module:
    """A copy of a module whose BatchNorms are folded into the layers before them.

    Weight and bias of a layer take the factor and offset that its BatchNorm has in eval mode
    (Brevitas' ``merge_bn_in``), and the BatchNorm becomes an Identity. The layer's quantisers
    then round other numbers: train on, or at least look at the accuracy again. A layer
    without a bias gets one, which needs a ``bias_quant`` to be lowered.

    Raises:
        GraphError: naming a BatchNorm that does not follow a QuantLinear or QuantConv which
            nothing else reads, or a layer that rounds its output before the BatchNorm.
    """
    from torch import nn

    folded = copy.deepcopy(module)
    folded = nn.Sequential(folded) if is_leaf(folded) else folded
    program = Program.of(module)
    calls = [n for n in program.nodes if n.op == "call_module"]
    uses = [str(n.target) for n in calls]
    for node in calls:
        path = str(node.target)
        norm: Any = folded.get_submodule(path)
        if type(norm).__name__ not in NORMS:
            continue
        where = f"layer {path} ({type(norm).__name__})"
        before: Any = node.args[0]
        layer: Any = None
        if getattr(before, "op", "") == "call_module":
            layer = folded.get_submodule(str(before.target))
        if not hasattr(layer, "merge_bn_in"):
            msg = f"{where} cannot be folded: it must follow a QuantLinear or QuantConv directly"
            raise GraphError(msg)
        if len(before.users) > 1 or uses.count(str(before.target)) > 1 or uses.count(path) > 1:
            msg = f"{where} cannot be folded: it or the layer before it is used more than once"
            raise GraphError(msg)
        _need_exact(where, layer, norm)
        layer.merge_bn_in(norm)
        parent, _, name = path.rpartition(".")
        setattr(folded.get_submodule(parent), name, nn.Identity())
    return folded


def _need_exact(where: str, layer: Any, norm: Any) -> None:
    if layer.output_quant.is_quant_enabled:
        msg = f"{where} cannot be folded: the layer before it rounds its output; drop output_quant"
        raise GraphError(msg)
    if norm.running_mean is None or norm.weight is None:
        msg = f"{where} cannot be folded: it needs affine=True and track_running_stats=True"
        raise GraphError(msg)
