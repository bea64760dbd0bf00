"""The local search: the chosen few trained better, with narrower words and fewer weights."""
