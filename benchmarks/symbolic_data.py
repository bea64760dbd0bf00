"""The data of the symbolic benchmarks: jets, MAGIC and muon pairs, split by seed into words.

All of it lies in ``shared/data`` beside the checkout; where it came from is said there.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nacsr.data.dataset import Dataset, load
from nacsr.data.events import Events
from nacsr.data.split import split
from nacsr.data.words import Feature, derive_features, to_words
from nacsr.spec import DatasetSpec

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
JETS = SHARED / "jets" / "jets_pythia8.npz"
MAGIC = SHARED / "magic04.npz"
MUONS = SHARED / "cms" / "cms_dimuon_2011.npz"

MAGIC_NAMES = tuple("length width size conc conc1 asym m3long m3trans alpha dist".split())
MUON_NAMES = ("pt1", "eta1", "phi1", "pt2", "eta2", "phi2")


@dataclass(frozen=True, slots=True)
class Shares:
    """Four fifths to fit on; the rest is the test part of a study of the same seed, but for
    the one event a class that ``split`` sets aside for validation."""

    train: float = 0.8
    validation: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Events to classify, as hardware words.

    Attributes:
        name: of the data.
        features: name and word of every input.
        classes: one name a class index.
        train: events to fit on.
        test: events to judge by.
        seed: of the split.
    """

    name: str
    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    train: Events
    test: Events
    seed: int

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(f.name for f in self.features)

    def values(self, events: Events) -> NDArray[np.float64]:
        """What the words mean, shape (events, features)."""
        return events.words * np.array([f.type.lsb for f in self.features])

    def only(self, names: Sequence[str]) -> Task:
        """The same events with some of the features, in the order of the data."""
        kept = [j for j, n in enumerate(self.names) if n in names]
        features = tuple(self.features[j] for j in kept)
        train, test = (Events(e.words[:, kept], e.y) for e in (self.train, self.test))
        return Task(self.name, features, self.classes, train, test, self.seed)


def jets(seed: int) -> Task:
    """155,484 generated jets: 16 features, five classes; the words of a study by default."""
    return _task(load(DatasetSpec(source=str(JETS))), seed)


def magic(seed: int) -> Task:
    """Gamma rays against hadrons: ten features."""
    with np.load(MAGIC) as file:  # its array of names is an object, which is never unpickled
        x, y = file["X"].astype(np.float64), file["y"].astype(np.int64)
    digest = f"{zlib.crc32(x.tobytes()):08x}"
    return _task(Dataset("magic", x, y, MAGIC_NAMES, ("hadron", "gamma"), digest, "UCI 159"), seed)


def _task(data: Dataset, seed: int) -> Task:
    parts = split(data, Shares(), seed)
    fit = np.concatenate([parts.train, parts.validation])
    features = derive_features(data.x[fit], data.features)
    train, test = (Events(to_words(data.x[r], features), data.y[r]) for r in (fit, parts.test))
    return Task(data.name, features, data.classes, train, test, seed)


def muons(file: Path = MUONS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Muon pairs of real collisions (CMS 2011, CC-BY 4.0).

    Returns:
        pT [GeV], eta and phi [rad] of both muons as in ``MUON_NAMES``, shape (pairs, 6), and
        the mass [GeV] that the file gives, computed from unrounded quantities.
    """
    with np.load(file) as data:
        columns = [str(n) for n in data["columns"]]
        x = data["X"][:, [columns.index(n) for n in MUON_NAMES]].astype(np.float64)
        return x, data["mass"].astype(np.float64)
