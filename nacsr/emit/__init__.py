"""Back ends: a graph becomes a self-contained project that proves itself bit for bit."""

from nacsr.emit.flows import FLOWS, default_flow

__all__ = ["FLOWS", "default_flow"]
