"""Compile a formula from Python: run it bit-true, cost it, emit it, verify it.

python examples/expression.py
"""

import tempfile
from pathlib import Path

import numpy as np

import nacsr


def main() -> None:
    design = nacsr.compile(
        ["0.31*x0*sin(2*x1) + 0.5*x2^2 - 0.79", "tanh(x0) - 0.25*x2"],
        target="vu9p",
        clock_mhz=200,
        precision="fixed<16,6>",
    )
    x = np.random.default_rng(1).normal(size=(4, 3))
    print("inputs", *x.round(3), sep="\n  ")
    print("bit-true outputs", *design.run(x), sep="\n  ")
    cost = design.cost()
    print(f"estimate: {cost.luts} LUT, {cost.dsps} DSP, {cost.latency_cycles} cycles")
    with tempfile.TemporaryDirectory() as scratch:
        folder = design.emit(Path(scratch) / "formula")
        print("project:", ", ".join(sorted(p.name for p in folder.iterdir())))
        checked = design.verify(folder)
        print(f"{checked.mismatches} of {checked.words} output words differ ({checked.tool})")


if __name__ == "__main__":
    main()
