"""How long ``import nacsr`` takes, beside ``import numpy`` and ``import torch`` in the same run.

    python benchmarks/import_time.py

Goal: under 0.5 s. Medians of whole processes, the bare interpreter subtracted.
"""

import statistics
import subprocess
import sys
import time

RUNS = 7
STATEMENTS = {
    "bare interpreter": "pass",
    "import nacsr": "import nacsr",
    "import nacsr; nacsr.Study": "import nacsr; nacsr.Study",
    "import numpy": "import numpy",
    "import torch": "import torch",
}


def seconds(statement: str) -> float:
    """Wall seconds of one process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    for statement in STATEMENTS.values():  # fill the file cache
        seconds(statement)
    medians = {
        name: statistics.median(seconds(code) for _ in range(RUNS))
        for name, code in STATEMENTS.items()
    }
    bare = medians.pop("bare interpreter")
    for name, median in medians.items():
        print(f"{name:28} {median - bare:6.3f} s")
    ratio = (medians["import nacsr"] - bare) / (medians["import torch"] - bare)
    print(f"import nacsr / import torch: {ratio:.3f}")


if __name__ == "__main__":
    main()
