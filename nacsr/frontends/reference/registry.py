"""The reference families by name: a row each."""

from __future__ import annotations

from collections.abc import Mapping

from nacsr.frontends.reference.base import Propose

REFERENCES: Mapping[str, Propose] = {}
