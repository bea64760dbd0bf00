"""The command line: thin, every command calls one function of the library."""

from nacsr.cli.app import main

__all__ = ["main"]
