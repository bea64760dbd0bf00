"""The engines by name."""

from __future__ import annotations

from collections.abc import Mapping

from nacsr.frontends.symbolic import engine, halls, operon, pysr
from nacsr.frontends.symbolic.request import Engine

ENGINES: Mapping[str, Engine] = {
    "embedded": engine.search,
    "pysr": pysr.search,
    "operon": operon.search,
    "hof": halls.search,
}
