"""Architectures that a study gives its search to begin with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nacsr.archive import Archive
from nacsr.errors import NacsrError, SpecError, unknown
from nacsr.frontends.neural.space import Dense, Layer, Network, Pool
from nacsr.frontends.neural.space.encode import encode
from nacsr.frontends.neural.space.genes import sized
from nacsr.frontends.neural.space.layers import Shape
from nacsr.frontends.neural.stacks import DESCENTS
from nacsr.search.nsga2 import Genes
from nacsr.spec import DeepSetsSpec, MlpSpec, NetworkSpec, StackSpec

COMMON = ("activation", "batchnorm", "weight_bits", "activation_bits")
KEYS: Mapping[str, tuple[str, ...]] = {
    "mlp": ("widths", *COMMON),
    "deepsets": ("phi", "bottleneck", "pool", "rho", *COMMON),
}
"""Keys of an architecture in short, by kind; image networks are given by their layers."""
MALFORMED = (TypeError, ValueError, KeyError, AttributeError)
"""What a record of an architecture with values of a wrong type raises."""


def begun(spec: NetworkSpec, shape: Shape, outputs: int, population: int) -> list[Genes]:
    """The genes of the architectures that a search space starts from, each of them once.

    Args:
        spec: the space, with what it starts from.
        shape: of one event.
        outputs: of the networks.
        population: proposals a generation.

    Raises:
        SpecError: for an architecture that cannot be read, is for other events, or is not in the
            space; or for more of them than a generation has.
    """
    found: list[Genes] = []
    for i, given in enumerate(spec.start or ()):
        try:
            network = _network(given, spec, shape, outputs)
            _fits(network, shape, outputs)
            genes = encode(spec, network)
        except NacsrError as error:
            msg = f"families.network.start[{i}]: {error}"
            raise SpecError(msg) from None
        except MALFORMED as error:
            msg = (
                f"families.network.start[{i}]: is no network ({type(error).__name__}: {error}); "
                "write it as 'nacsr show RUN ID --json' has it, or as RUN:ID"
            )
            raise SpecError(msg) from None
        if genes not in found:
            found.append(genes)
    if len(found) > population:
        msg = (
            f"families.network.start: gives {len(found)} networks, a generation has {population}; "
            "give fewer, or choose a larger budget"
        )
        raise SpecError(msg)
    return found


def _network(
    given: str | Mapping[str, Any], spec: NetworkSpec, shape: Shape, outputs: int
) -> Network:
    if isinstance(given, str):
        return _of_run(given)
    if "layers" in given:
        return Network.from_dict({"input": shape, **given})
    return _in_short(given, spec, shape, outputs)


def _of_run(given: str) -> Network:
    run, colon, id_ = given.rpartition(":")
    if not colon:
        msg = f"{given!r} is no RUN:ID of a network; see nacsr front RUN"
        raise SpecError(msg)
    with Archive(Path(run)) as archive:
        candidate = archive.entry(id_).candidate
    if candidate.family != "network":
        msg = f"{given} is an {candidate.family}; give a network"
        raise SpecError(msg)
    if (kind := candidate.genotype.get("training")) in DESCENTS:
        msg = f"{given} is a network of another kind ({kind}); give one of the search"
        raise SpecError(msg)
    return Network.from_dict(candidate.genotype)


def _in_short(given: Mapping[str, Any], spec: NetworkSpec, shape: Shape, outputs: int) -> Network:
    """What is left out is the first choice that the search space lists."""
    keys = KEYS.get(spec.kind, ("layers",))
    for key in given:
        if key not in keys:
            raise SpecError(unknown("key", key, keys))
    match spec:
        case MlpSpec():
            hidden = list(_stack(given["widths"], given, spec))
        case DeepSetsSpec():
            ends = given.get("bottleneck", spec.bottleneck[0])
            phi = _stack((*given.get("phi", ()), ends), given, spec.phi)
            rho = _stack(given.get("rho", ()), given, spec.rho)
            hidden = [*phi, Pool(given.get("pool", spec.pools[0])), *rho]
        case _:
            msg = "an image network is given by its layers, as 'nacsr show RUN ID --json' has them"
            raise SpecError(msg)
    weights = given.get("weight_bits", spec.weight_bits[0])
    bits = given.get("activation_bits", spec.activation_bits[0])
    last = Dense(outputs, weight_bits=weights, bits=None)
    return Network(shape, (*(sized(layer, weights, bits) for layer in hidden), last), bits)


def _stack(widths: Sequence[int], given: Mapping[str, Any], spec: StackSpec) -> Iterator[Layer]:
    norm = given.get("batchnorm", spec.batchnorm[0])
    activation = given.get("activation", spec.activations[0])
    return (Dense(width, norm, activation) for width in widths)


def _fits(network: Network, shape: Shape, outputs: int) -> None:
    if tuple(network.input) != shape:
        msg = f"reads events of {list(network.input)}, those of the study are {list(shape)}"
        raise SpecError(msg)
    given = network.shapes[-1] if network.layers else network.input
    if given != (outputs,):
        msg = f"gives outputs of shape {list(given)}, the study needs {[outputs]}"
        raise SpecError(msg)
