"""Lean networks: every weight and every value has a bit width of its own, learned with it."""
