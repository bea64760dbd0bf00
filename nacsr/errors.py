"""Every error that nacsr raises on purpose.

A message is one line: what is wrong, where, what was expected, what to do next.
The CLI prints it to stderr and exits with code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NacsrError(Exception):
    """Base of all errors that a user can cause and mend."""


class FixedError(NacsrError):
    """A fixed-point type or a value that does not fit one."""


class GraphError(NacsrError):
    """An IR graph, or its text form, that is not well formed."""


class ExpressionError(NacsrError):
    """A formula that cannot be read or lowered."""


class DataError(NacsrError):
    """A dataset that cannot be used as it is."""


class SpecError(NacsrError):
    """A study file or an option with a wrong or unknown value."""


class EmitError(NacsrError):
    """A graph that a back end cannot express, or a project that is not whole."""


class ToolError(NacsrError):
    """An external program that is missing or failed."""


class ReportError(NacsrError):
    """A report of a vendor tool that cannot be read as one, or is of another design."""


class CompileError(ToolError):
    """Emitted sources that the compiler refuses: a fault of the design, not of the machine."""


class FileError(NacsrError):
    """A file or folder that cannot be read or written."""


class ArchiveError(NacsrError):
    """An archive that cannot be read or written."""


def unknown(kind: str, name: object, choices: Iterable[str]) -> str:
    """The message for an unknown name: it lists the choices and guesses the one meant.

    >>> unknown("target", "vu9", ["vu9p", "vu13p"])
    "unknown target 'vu9', did you mean 'vu9p'? Choose from: vu9p, vu13p"
    """
    names = list(choices)
    close = difflib.get_close_matches(str(name), names, n=1)
    guess = f", did you mean {close[0]!r}?" if close else "."
    return f"unknown {kind} {name!r}{guess} Choose from: {', '.join(names)}"
