"""Synthesis of a design by a program: every number is measured, and says by what."""
