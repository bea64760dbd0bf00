"""Reference families: what a physicist would try first, as designs like any other."""
