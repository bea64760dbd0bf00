"""python -m nacsr."""

from nacsr.cli import main

main()
