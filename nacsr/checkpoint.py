"""The trained module of a design: its parameters are in the archive, without pickles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nacsr.archive import Archive
from nacsr.compiler import run_and_id, setting_of
from nacsr.errors import ArchiveError

if TYPE_CHECKING:
    from torch import nn


def load_module(source: str) -> nn.Sequential:
    """The Brevitas network of a design that a study found, with its weights, in eval mode.

    It takes standardised values, shape (events, features), as it was trained on:
    ``(word - offset) * 2**-shift``. That it is the design is checked: lowered again, it gives the
    stored graph.

    Args:
        source: ``RUN:ID``, such as ``runs/jets:5d3b15f681af``.

    Raises:
        ArchiveError: if there is no such design, it is no network, its parameters were not kept, or
            they are not those of its graph.
    """
    from nacsr.frontends.neural import jobs, qat
    from nacsr.frontends.neural.lowering.lower import from_brevitas
    from nacsr.frontends.neural.space import Network
    from nacsr.frontends.neural.stacks import DESCENTS

    named = run_and_id(source)
    if named is None:
        msg = f"{source!r} names no design; give RUN:ID, such as runs/jets:5d3b15f681af"
        raise ArchiveError(msg)
    with Archive(named[0]) as archive:
        entry, origin, where = (
            archive.entry(named[1]),
            archive.origin(named[1]),
            setting_of(archive),
        )
    if entry.candidate.family != jobs.FAMILY:
        msg = f"{source} is a formula, which has no module; nacsr.compile({source!r}) gives it"
        raise ArchiveError(msg)
    if (kind := entry.candidate.genotype.get("training")) in DESCENTS:
        msg = f"{source} is a network without a module ({kind}); nacsr.compile({source!r}) gives it"
        raise ArchiveError(msg)
    graph = entry.graph
    if origin is None or "plan" not in origin.result:
        msg = f"{source}: the run keeps no parameters of this design; run the study again"
        raise ArchiveError(msg)
    network = Network.from_dict(entry.candidate.genotype)
    params = jobs.learnt(0, network, origin.arrays)
    module = qat.build(network, jobs.read_plan(origin.result["plan"]), params).eval()
    if from_brevitas(module, where.features, where.scaling).digest != graph.digest:
        msg = f"{source}: the parameters are not those of the design; run the study again"
        raise ArchiveError(msg)
    return module
