"""The process that PySR lives in: this module as a program, whose argument is a folder.

It reads ``request.json`` and ``data.npz`` of the folder and runs one search, which writes
``hall_of_fame.csv`` where the request says. Julia brings its own signal handlers and libraries,
and wants to be loaded first.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path

from nacsr.errors import unknown
from nacsr.frontends.symbolic.engines.child import follow_parent

NO_JULIA = 3
"""Exit status when PySR cannot find Julia."""
UNKNOWN = 4
"""Exit status when PySR has no keyword argument of some name."""


def main(folder: Path) -> None:
    """Run the search that the folder describes."""
    follow_parent()
    try:  # first of all: it loads Julia's libraries, which must come before numpy's
        from pysr import PySRRegressor
    except Exception as error:  # juliapkg raises bare ones
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(NO_JULIA)
    import numpy as np
    import sympy

    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    options = request["options"]
    known = [k for k in inspect.signature(PySRRegressor).parameters if k != "kwargs"]
    for key in options:
        if key not in known:
            message = unknown("keyword argument of PySRRegressor", key, known)
            sys.stderr.write(message.split(" Choose from")[0] + "\n")
            sys.exit(UNKNOWN)
    options["operators"] = {int(arity): ops for arity, ops in options["operators"].items()}
    limits = options.get("constraints") or {}
    options["constraints"] = {
        name: tuple(n) if isinstance(n, list) else n for name, n in limits.items()
    } or None
    mappings = {name: sympy.Function(name) for name in request["functions"]}
    run = Path(request["run"])
    with np.load(folder / "data.npz", allow_pickle=False) as data:
        model = PySRRegressor(
            **options,
            extra_sympy_mappings=mappings,
            output_directory=str(run.parent),
            run_id=run.name,
        )
        weights = data["weights"] if request["weighted"] else None
        model.fit(data["z"], data["y"], weights=weights)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
