"""The embedded symbolic regression engine: numpy, seeded, counted in evaluations."""

from nacsr.frontends.symbolic.engines.embedded.search import search

__all__ = ["search"]
