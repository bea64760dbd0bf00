"""Weights and tables fitted to events."""
