"""The embedded symbolic regression engine: numpy, seeded, counted in evaluations."""

from nacsr.frontends.symbolic.engine.search import Config, Scored, search

__all__ = ["Config", "Scored", "search"]
