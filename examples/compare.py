"""Compare all families on your own arrays: a small study from Python.

python examples/compare.py
"""

import tempfile

import numpy as np

import nacsr
from nacsr.spec import DatasetSpec, ExpressionSpec, FamiliesSpec, LeanSpec, MlpSpec, TablesSpec


def events(n: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Two classes apart by a product of features: easy for a formula, less so for a cut."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(n, 3))
    return x, (x[:, 0] * x[:, 1] + 0.3 * x[:, 2] + 0.3 * rng.normal(size=n) > 0).astype(int)


def main() -> None:
    x, y = events()
    dataset = nacsr.from_arrays(x, y, features=["a", "b", "c"], classes=["noise", "signal"])
    spec = nacsr.StudySpec(
        name="compare",
        dataset=DatasetSpec(source="arrays"),
        budget="quick",
        verify="bits",  # "open", the default, synthesises the front with yosys as well
        families=FamiliesSpec(
            expression=ExpressionSpec(functions=()),
            network=MlpSpec(
                depth=(1, 2),
                widths=(4, 8),
                weight_bits=(4, 6),
                lean=LeanSpec(stacks=((8,),), share=0.2),
                tables=TablesSpec(stacks=((4,),), share=0.2),
            ),
        ),
    )
    with tempfile.TemporaryDirectory() as scratch:
        study = nacsr.Study(spec, scratch, dataset=dataset)
        for entry in study.run():
            accuracy = entry.find("accuracy", "interpreter", "test")
            luts = entry.find("luts", "analytic", "csynth")
            print(
                f"{entry.candidate.family:10} {accuracy.value:.3f} ± {accuracy.error:.3f} "
                f"{luts.value:6.0f} LUT  {entry.candidate.title[:70]}"
            )


if __name__ == "__main__":
    main()
