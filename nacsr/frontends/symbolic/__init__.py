"""Expressions: read, searched, lowered."""
