"""The process that PySR lives in: ``python -m nacsr.frontends.symbolic.pysr_worker FOLDER``.

It reads ``request.json`` and ``data.npz`` of the folder and runs one search, which writes
``run/hall_of_fame.csv`` there. Nothing else of nacsr is imported: Julia brings its own signal
handlers and libraries, and wants to be loaded first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

NO_JULIA = 3
"""Exit status when PySR cannot find Julia."""


def main(folder: Path) -> None:
    """Run the search that the folder describes."""
    try:  # first of all: it loads Julia's libraries, which must come before numpy's
        from pysr import PySRRegressor
    except Exception as error:  # juliapkg raises bare ones
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(NO_JULIA)
    import numpy as np
    import sympy

    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    options = request["options"]
    options["operators"] = {int(arity): ops for arity, ops in options["operators"].items()}
    mappings = {name: sympy.Function(name) for name in request["functions"]}
    with np.load(folder / "data.npz", allow_pickle=False) as data:
        model = PySRRegressor(
            **options,
            extra_sympy_mappings=mappings,
            output_directory=str(folder),
            run_id="run",
        )
        model.fit(data["z"], data["y"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
