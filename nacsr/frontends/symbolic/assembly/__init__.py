"""Whole designs out of terms."""
