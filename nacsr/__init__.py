"""nacsr."""
