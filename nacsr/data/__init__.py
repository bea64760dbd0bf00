"""Datasets, and the hardware words that a chip receives."""
