"""Passes: small steps from a graph to a graph, see ``base``.

Orders that work. HLS: ``STANDARD``. RTL: ``STANDARD``, then ``LowerLayers``, ``ExpandCasts``,
``Unroll``, ``Fold``, ``Algebra``, ``ConstMul`` (always, where no DSP is to be spent),
``MergeCasts`` and ``Narrow``. hls4ml reads layers: ``Fold``, ``MergeCasts`` and
``FoldAffine(always=True)``, no more.
"""

from collections.abc import Mapping

from nacsr.ir.passes.affine import FoldAffine
from nacsr.ir.passes.algebra import Algebra
from nacsr.ir.passes.base import Pass, Rule, rewrite, run
from nacsr.ir.passes.casts import MergeCasts
from nacsr.ir.passes.csd import ConstMul
from nacsr.ir.passes.expand import ExpandCasts
from nacsr.ir.passes.fold import Fold
from nacsr.ir.passes.layers import LowerLayers
from nacsr.ir.passes.narrow import Narrow
from nacsr.ir.passes.unroll import Unroll

PASSES: Mapping[str, type[Pass]] = {
    "fold": Fold,
    "algebra": Algebra,
    "fold_affine": FoldAffine,
    "const_mul": ConstMul,
    "merge_casts": MergeCasts,
    "expand_casts": ExpandCasts,
    "narrow": Narrow,
    "lower_layers": LowerLayers,
    "unroll": Unroll,
}
"""Every pass by its name."""

STANDARD: tuple[Pass, ...] = (Fold(), MergeCasts(), Algebra(), FoldAffine(), Narrow())
"""What is good for every back end that reads plain ops. Casts go first: they hide products."""

__all__ = [
    "PASSES",
    "STANDARD",
    "Algebra",
    "ConstMul",
    "ExpandCasts",
    "Fold",
    "FoldAffine",
    "LowerLayers",
    "MergeCasts",
    "Narrow",
    "Pass",
    "Rule",
    "Unroll",
    "rewrite",
    "run",
]
