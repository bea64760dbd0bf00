"""Make the shipped jet set (nacsr/data/jets.npz) from the full one.

Takes 2,000 jets a class, chosen by a seed and shuffled. Mantissas are rounded so that the file
compresses: features keep 15 explicit bits (relative error 2**-16, finer than a 16-bit word),
constituents keep 10 (as float16, but with the range of float32).

    python benchmarks/make_jets.py ../shared/data/jets/jets_pythia8.npz nacsr/data/jets.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SEED = 2024
PER_CLASS = 2_000
CONSTITUENTS = 8
FEATURE_BITS = 15
CONSTITUENT_BITS = 10
PROVENANCE = (
    "10,000 of 155,484 jets generated for nacsr with Pythia 8.317 + FastJet 3.5 "
    "(pp at 13 TeV, pT-hat 990-1010 GeV, anti-kT R = 0.8, no detector, MPI or ISR): "
    "a resemblance of the public LHC jet set, not that set"
)


def keep_bits(values: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """Round float32 values to ``bits`` explicit mantissa bits, ties away from zero."""
    drop = np.uint32(23 - bits)
    raw = values.view(np.uint32) + (np.uint32(1) << (drop - np.uint32(1)))
    return ((raw >> drop) << drop).view(np.float32)


def choose(labels: NDArray[np.int8], seed: int) -> NDArray[np.intp]:
    """Row indices: ``PER_CLASS`` of every class, shuffled."""
    rng = np.random.default_rng(seed)
    rows = [
        rng.choice(np.flatnonzero(labels == c), PER_CLASS, replace=False) for c in np.unique(labels)
    ]
    return rng.permutation(np.concatenate(rows))


def main() -> None:
    """Read the full file, write the shipped one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    paths = parser.parse_args()
    with np.load(paths.source, allow_pickle=False) as full:
        rows = choose(full["labels"], SEED)
        constituents = np.ascontiguousarray(full["constituents"][rows, :CONSTITUENTS])
        np.savez_compressed(
            paths.out,
            features=keep_bits(full["features"][rows], FEATURE_BITS),
            constituents=keep_bits(constituents, CONSTITUENT_BITS),
            labels=full["labels"][rows],
            feature_names=full["feature_names"],
            class_names=full["class_names"],
            constituent_names=full["constituent_names"],
            provenance=np.array(PROVENANCE),
        )
    print(f"{paths.out}: {len(rows)} jets, {paths.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
