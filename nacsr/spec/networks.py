"""What the network search may choose from; every list is a choice."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from nacsr.errors import unknown
from nacsr.spec.base import Positive, Section, some
from nacsr.spec.reading import read_yaml, tuples

Bits = Annotated[int, Field(ge=2, le=16)]
Activation = Literal["relu", "leaky_relu", "tanh", "sigmoid", "none"]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Choices(Section):
    """A section whose lists each hold one choice at least."""

    @field_validator("*")
    @classmethod
    def _choices(cls, value: Any) -> Any:
        return some(value) if isinstance(value, tuple) else value


class StackSpec(Choices):
    """Dense layers one after the other.

    Attributes:
        depth: hidden layers, before the last one, whose size is given.
        widths: neurons of a hidden layer.
        batchnorm: whether BatchNorm follows a layer in the float training.
        activations: of a layer.
        mixed: whether every layer chooses its own normalisation and activation.
    """

    depth: tuple[Count, ...] = (1, 2, 3)
    widths: tuple[Positive, ...] = (8, 16, 32, 64)
    batchnorm: tuple[bool, ...] = (False, True)
    activations: tuple[Activation, ...] = ("relu",)
    mixed: bool = False


class LocalSpec(Section):
    """What is done to the chosen few after the search; a stage whose count is 0 is left out.

    Attributes:
        picks: networks of the front, from the most accurate to the smallest; by the budget.
        trials: hyperparameters that are tried for each by TPE; by the budget.
        bits: widths at which each is trained too, the same for all weights and values.
        mixed_tolerance: share of the metric that mixed widths may lose; null for no such widths.
        rounds: of pruning.
        share: of the weights that are left, taken out in a round.
        criteria: ``magnitude``, the smallest of each layer; ``cost``, what saves most area for the
            loss that it costs.
        every: rounds from one pruned network that may become a design to the next.
        pruning_tolerance: share of the metric after whose loss pruning ends.
        designs: how many of all these are trained on with Brevitas.
    """

    picks: Count | None = None
    trials: Count | None = None
    bits: tuple[Bits, ...] = ()
    mixed_tolerance: Share | None = 0.01
    rounds: Count = 20
    share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    criteria: tuple[Literal["magnitude", "cost"], ...] = ("cost",)
    every: Positive = 2
    pruning_tolerance: Share = 0.1
    designs: Count = 4


class _DescentSpec(Section):
    """Networks that are made smaller round by round, with training in between.

    Attributes:
        stacks: widths of the hidden layers to begin with; one descent each.
        phi: how many of them stand before the pool of deep sets, at most.
        share: of the hardware, dropped in a round.
        between: a round has the search's steps divided by this.
    """

    stacks: tuple[tuple[Positive, ...], ...]
    phi: Positive = 2
    share: Annotated[float, Field(gt=0, lt=1)] = 0.05
    between: Positive = 8

    @field_validator("stacks")
    @classmethod
    def _stacks(cls, value: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        if len(set(value)) < len(value):
            msg = "gives a stack twice, which would be the same networks again"
            raise ValueError(msg)
        return some(value)


class LeanSpec(_DescentSpec):
    """Networks whose weights are sums of a few signed powers of two and whose values have bits of
    their own. What costs least loss for each adder bit is dropped; a design is kept wherever the
    adders have shrunk by a third. Attributes as of every descent.
    """

    stacks: tuple[tuple[Positive, ...], ...] = ((16, 16),)


class TablesSpec(_DescentSpec):
    """Networks whose every edge is a learned table of one input (as Kolmogorov-Arnold networks
    are). What costs least loss for each LUT is dropped: tables, and bits of what they read and
    give; a design is kept wherever the LUTs have shrunk by three tenths. Attributes as of every
    descent, and:

    Attributes:
        smooth: how strongly tables are drawn to straight lines: few events would be learnt by
            heart.
    """

    stacks: tuple[tuple[Positive, ...], ...] = ((12,),)
    phi: Positive = 1
    share: Annotated[float, Field(gt=0, lt=1)] = 0.04
    smooth: Annotated[float, Field(ge=0, le=5)] = 0.3


class _Quantised(Choices):
    """Bits of a whole network, where the search begins, and what follows it.

    Attributes:
        weight_bits: of every weight.
        activation_bits: of every input and activation.
        local: what follows the search; null for nothing.
        start: architectures in the first generation: ``RUN:ID`` of a network, ``{layers: ...}`` as
            an archive records it, or in short ``{widths: [64, 32]}`` or ``{phi: [32], bottleneck:
            16, pool: mean, rho: [16]}`` with ``activation``, ``batchnorm``, ``weight_bits`` and
            ``activation_bits``, each by default the first that the space lists.
    """

    weight_bits: tuple[Bits, ...] = (4, 6, 8)
    activation_bits: tuple[Bits, ...] = (6, 8, 10)
    local: LocalSpec | None = LocalSpec()
    start: tuple[str | dict[str, Any], ...] | None = None


class MlpSpec(_Quantised, StackSpec):
    """Perceptrons: hidden layers and the outputs; ``lean`` ones and ``tables`` besides, or null."""

    kind: Literal["mlp"] = "mlp"
    lean: LeanSpec | None = LeanSpec()
    tables: TablesSpec | None = TablesSpec()


class DeepSetsSpec(_Quantised):
    """Deep sets: ``phi`` on every particle, a pool over them, ``rho`` on what it gives.

    Attributes:
        phi: layers before the bottleneck; its activations and norms follow that one too.
        bottleneck: outputs of ``phi``.
        pools: how particles become one.
        rho: layers before the outputs.
        lean, tables: such networks besides, pooled by the first of ``pools``; null for none.
    """

    kind: Literal["deepsets"] = "deepsets"
    phi: StackSpec = StackSpec(depth=(0, 1, 2))
    bottleneck: tuple[Positive, ...] = (8, 16, 32)
    pools: tuple[Literal["mean", "max", "sum"], ...] = ("mean", "max")
    rho: StackSpec = StackSpec(depth=(0, 1, 2))
    lean: LeanSpec | None = LeanSpec()
    tables: TablesSpec | None = TablesSpec()

    @field_validator("lean", "tables")
    @classmethod
    def _before_the_pool(cls, value: _DescentSpec | None) -> _DescentSpec | None:
        if value and not all(value.stacks):
            msg = "stacks: every one needs a layer before the pool, such as [12]"
            raise ValueError(msg)
        return value


class ImageSpec(_Quantised):
    """Image networks: a projection, blocks, and dense layers.

    Attributes:
        projection: channels of the first convolution, whose kernel is 3.
        blocks: how many blocks follow.
        block_types: ``conv`` (two convolutions), ``attention``, or ``none``.
        channels, kernels: of a convolution.
        hidden: channels inside an attention.
        batchnorm, activations: of a convolution.
        head: dense layers before the outputs.
    """

    kind: Literal["cnn"] = "cnn"
    projection: tuple[Positive, ...] = (4, 8, 16)
    blocks: Count = 2
    block_types: tuple[Literal["conv", "attention", "none"], ...] = ("conv", "none")
    channels: tuple[Positive, ...] = (2, 4, 8, 16)
    kernels: tuple[Positive, ...] = (1, 3)
    hidden: tuple[Positive, ...] = (4, 8, 16)
    batchnorm: tuple[bool, ...] = (False, True)
    activations: tuple[Activation, ...] = ("relu",)
    head: StackSpec = StackSpec(depth=(1, 2))


NetworkSpec = Annotated[MlpSpec | DeepSetsSpec | ImageSpec, Field(discriminator="kind")]

PRESETS = ("mlp_jets", "deepsets_jets", "bragg_cnn")


def preset(value: Any) -> Any:
    """A search space as a study gives it: ``preset`` names one to begin with, whose keys the
    others replace; without a ``kind`` it is perceptrons.
    """
    if isinstance(value, str):
        value = {"preset": value}
    if not isinstance(value, Mapping):
        return value
    given = dict(value)
    name = given.pop("preset", None)
    if name is None:
        return {"kind": "mlp", **given}
    if name not in PRESETS:
        raise ValueError(unknown("preset", str(name), PRESETS))
    text = (files("nacsr.spec") / "presets" / f"{name}.yaml").read_text("utf-8")
    begin = tuples(read_yaml(text, name))
    return {**begin, **given} if isinstance(begin, Mapping) else given
