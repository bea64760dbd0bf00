"""Formulas as trees: reading, writing, evaluating."""
