"""The engines by name."""

from __future__ import annotations

from collections.abc import Mapping

from nacsr.frontends.symbolic.engines import embedded, halls, operon, pysr
from nacsr.frontends.symbolic.engines.request import Engine

ENGINES: Mapping[str, Engine] = {
    "embedded": embedded.search,
    "pysr": pysr.search,
    "operon": operon.search,
    "hof": halls.search,
}
