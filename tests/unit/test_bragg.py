"""The Bragg example is a study that can be run, the benchmark compares what it says it does."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from test_bops import bragg as table

from nacsr.data.bragg import centre_of_mass
from nacsr.data.dataset import load
from nacsr.frontends.neural.space import Conv, Dense
from nacsr.frontends.neural.space.bops import published
from nacsr.frontends.neural.space.encode import encode
from nacsr.metrics import mean_distance
from nacsr.prepare import prepare
from nacsr.spec import load_spec
from nacsr.study import Study

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ("jets.yaml", "deepsets.yaml", "bragg.yaml")


@pytest.fixture(scope="module")
def benchmark():
    """benchmarks/bragg.py as a module."""
    spec = importlib.util.spec_from_file_location("bragg", ROOT / "benchmarks" / "bragg.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "bragg", module)  # for its dataclass
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_can_be_searched(name, tmp_path):
    study = Study(load_spec(ROOT / "examples" / name), tmp_path)
    assert study.expected_jobs()["network"] > 0


def test_the_small_network_is_the_published_one(benchmark):
    theirs = table("small")
    assert published(benchmark.SMALL) == published(theirs)
    assert [layer.channels for layer in benchmark.SMALL.layers if isinstance(layer, Conv)] == [
        layer.channels for layer in theirs.layers if isinstance(layer, Conv)
    ]
    norms = [layer for layer in benchmark.SMALL.layers if getattr(layer, "norm", False)]
    widths = sum(n.width if isinstance(n, Dense) else n.channels for n in norms)
    assert widths == 4 + 64 + 32 + 16  # of Table B1 only that of the outputs, which does nothing


def test_the_search_begins_with_the_small_network(benchmark):
    genes = encode(benchmark.SPACE, benchmark.SMALL)
    assert (genes["weight_bits"], genes["activation_bits"]) == (8, 8)
    assert encode(benchmark.SPACE, benchmark.WIDER) == {**genes, "activation_bits": 12}


def test_the_centre_of_mass_is_that_of_the_patches(benchmark, tmp_path):
    spec = benchmark.study(500, 1)
    dataset = load(spec.dataset)
    prepared = prepare(spec, dataset, tmp_path)
    row = benchmark.baseline(prepared.problem.train, prepared)
    targets = {y.tobytes() for y in prepared.problem.train.y}
    mine = np.array([y.tobytes() in targets for y in dataset.y])
    images = dataset.x[mine].reshape(-1, 1, 11, 11)
    value, error = mean_distance(centre_of_mass(images), dataset.y[mine])
    assert (row.distance, row.error) == pytest.approx((value, error))


def test_what_is_nearer_is_so_beyond_twice_its_error(benchmark):
    far = benchmark.Row("far", 0.25, 0.003)
    assert benchmark.Row("near", 0.10, 0.004).beats(far, 2)
    assert not benchmark.Row("near", 0.121, 0.004).beats(far, 2)  # twice 0.121 is within errors
    assert not far.beats(far)
