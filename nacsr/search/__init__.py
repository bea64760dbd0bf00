"""Generic search: knows no family."""
