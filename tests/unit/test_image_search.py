"""Image networks in the search: exact designs of convolutions, records of attention, failures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.data.events import Events
from nacsr.data.words import Feature, Scaling, derive_features, fit_scaling, standardise, to_words
from nacsr.design import Design, Setting
from nacsr.emit import default_flow
from nacsr.errors import GraphError, SpecError
from nacsr.fixed import Fixed
from nacsr.frontends.base import Job, Problem
from nacsr.frontends.judge import performance, rehearsed
from nacsr.frontends.neural import chain, model, qat
from nacsr.frontends.neural import jobs as work
from nacsr.frontends.neural.frontend import NeuralFrontend
from nacsr.frontends.neural.lowering.lower import from_brevitas
from nacsr.frontends.neural.plan import make_plan, rehearse
from nacsr.frontends.neural.population import trainer
from nacsr.frontends.neural.space import Attention, Conv, Dense, Flatten, Network
from nacsr.frontends.neural.space.bops import bops
from nacsr.frontends.neural.space.genes import check, decode, genes
from nacsr.frontends.stem import scores
from nacsr.measure import Measurement
from nacsr.records import Found, Outcome
from nacsr.spec import BUDGETS, ImageSpec, MlpSpec, StackSpec

SIDE = 6
SPEC = ImageSpec(
    projection=(1, 2),
    block_types=("attention", "conv", "none"),
    channels=(2, 3),
    hidden=(2,),
    head=StackSpec(depth=(1,), widths=(4,)),
    weight_bits=(5,),
    activation_bits=(6,),
    local=None,
)
BUDGET = replace(
    BUDGETS["quick"], population=6, generations=2, search_steps=10, finalists=2, final_steps=10
)
BLOB = Network(
    (1, SIDE, SIDE),
    (Conv(2, 3, False, "relu", 5, 6), Flatten(), Dense(3, False, "none", 5, None)),
    6,
)
LOOKING = replace(BLOB, layers=(BLOB.layers[0], Attention(2, "relu"), *BLOB.layers[1:]))


@pytest.fixture(scope="module")
def problem():
    """Blobs on small images: left, right and low."""
    rng = np.random.default_rng(0)
    at = rng.uniform(1, SIDE - 2, (500, 2))
    grid = np.arange(SIDE)
    down, across = (grid - at[:, k, None] for k in (0, 1))
    image = 20 * np.exp(-(down[:, :, None] ** 2) - across[:, None] ** 2)
    x = (image + rng.normal(size=image.shape)).reshape(500, -1)
    y = np.where(at[:, 0] > 3, 2, at[:, 1] > 2.5).astype(np.int64)
    features = derive_features(x[:300], [f"r{r}_c{c}" for r in grid for c in grid])
    words = to_words(x, features)
    return Problem(
        features=features,
        classes=("left", "right", "low"),
        scaling=fit_scaling(words[:300], features),
        train=Events(words[:300], y[:300]),
        validation=Events(words[300:], y[300:]),
        target="vu13p",
        clock_mhz=200.0,
        precision=Fixed(16, 6),
        digest="blobs",
        array=(1, SIDE, SIDE),
    )


def searched(problem, run=NeuralFrontend.run):
    """Every batch of a search, as (jobs, outcomes)."""
    front, batches = NeuralFrontend(problem, SPEC, BUDGET, 3), []
    while jobs := front.ask():
        outcomes = [run(job, problem) for job in jobs]
        front.tell(jobs, outcomes)
        batches.append((jobs, outcomes))
    return batches


@pytest.fixture(scope="module")
def batches(problem):
    return searched(problem)


def found_in(batches):
    return [f for _, outcomes in batches for o in outcomes for f in o.found]


def network_of(found):
    record = dict(found.candidate.genotype)
    record.pop("training")
    return Network.from_dict(record)


# --- one search -----------------------------------------------------------------------------


def test_networks_with_attention_are_recorded_without_a_design(batches):
    looking = [f for f in found_in(batches) if not network_of(f).lowers]
    assert looking
    for found in looking:
        assert found.graph is None
        assert found.candidate.genotype["training"] == "search, rung 0"  # they do not go on
        assert found.candidate.reason.startswith("attention cannot be compiled")
        methods = {m.metric: m.method for m in found.measurements}
        assert methods == {"accuracy": "training", "auc": "training", "bops": "analytic"}


def test_networks_of_convolutions_become_designs(problem, batches):
    jobs, outcomes = batches[-1]
    assert {job.kind for job in jobs} == {"final"}
    for outcome in outcomes:
        (found,) = outcome.found
        assert found.candidate.reason == ""  # it equals Brevitas bit for bit
        assert any(op.name == "conv" for op in found.graph.ops)
        assert default_flow(found.graph) == "hls4ml"
        values = {m.metric: m for m in found.measurements}
        assert values["accuracy"].method == "interpreter"
        assert values["luts"].value > 0
    lowered = [f for f in found_in(batches[:-1]) if network_of(f).lowers]
    assert lowered
    assert {f.candidate.reason for f in lowered} == {""}


def test_bit_operations_are_those_of_the_network(batches):
    for found in found_in(batches):
        (measured,) = [m for m in found.measurements if m.metric == "bops"]
        assert measured.value == bops(network_of(found))
        assert (measured.method, measured.stage) == ("analytic", "architecture")


def test_the_same_seed_finds_the_same_images(problem, batches):
    again = searched(problem)
    assert [f.measurements for f in found_in(again)] == [f.measurements for f in found_in(batches)]


@pytest.mark.slow
def test_what_is_emitted_of_an_image_network_is_the_network(problem, batches):
    graph = found_in(batches)[-1].graph
    setting = Setting(
        problem.features, problem.classes, problem.scaling, problem.target, problem.clock_mhz
    )
    for flow in ("hls4ml", "rtl"):
        assert Design(graph, setting, "image", "", flow).verify(events=40).mismatches == 0


# --- exactness ------------------------------------------------------------------------------

WORD = Fixed(10, 4)


def features_of(shape):
    count = int(np.prod(shape))
    return tuple(Feature(f"x{j}", WORD) for j in range(count))


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_torch_brevitas_and_the_design_agree(data):
    shape = data.draw(st.sampled_from([(1, 6, 6), (1, 5, 7), (2, 5, 6)]))
    spec = SPEC.model_copy(
        update={
            "block_types": ("conv", "none"),
            "activations": ("relu", "leaky_relu", "tanh", "sigmoid", "none"),
            "weight_bits": (2, 5, 8),
            "activation_bits": (4, 8),
        }
    )
    values = {
        name: data.draw(st.sampled_from(gene.options), name) for name, gene in genes(spec).items()
    }
    network = decode(spec, values, shape, data.draw(st.sampled_from([1, 3])))
    features = features_of(shape)
    scaling = Scaling("folded", tuple(range(len(features))), (1,) * len(features))
    words = np.random.default_rng(0).integers(WORD.min_raw, WORD.max_raw + 1, (400, len(features)))
    x = standardise(words, features, scaling)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    start = [
        tuple(t + 0.1 * torch.randn(t.shape, generator=generator) for t in mine)
        for mine in model.initial(network, generator)
    ]
    params = model.fold(network, start, torch.from_numpy(x).float())
    plan = make_plan(network, params, torch.from_numpy(x).float())
    graph = chain.lower(network, plan, params, features, scaling)
    out = graph.ops[graph.outputs[0][1]].type
    ours = out.to_float(scores(graph, features, words))
    module = qat.build(network, plan, params).eval()
    assert (ours == qat.outputs(module, x)).all()
    if not any(getattr(layer, "activation", "") in model.TABLES for layer in network.layers):
        assert (ours == rehearse(network, plan, params, x)).all()  # tables are float32's
        assert str(graph) == str(from_brevitas(module, features, scaling))


def test_attention_has_no_design():
    features = features_of(LOOKING.input)
    x = torch.randn(64, SIDE * SIDE, generator=torch.Generator().manual_seed(1))
    params = model.initial(LOOKING, torch.Generator().manual_seed(1))
    plan = make_plan(LOOKING, params, x)
    zeros = (0,) * len(features)
    with pytest.raises(GraphError, match="attention cannot be compiled"):
        chain.lower(LOOKING, plan, params, features, Scaling("external", zeros, zeros))


def test_a_rehearsal_without_attention_is_the_bit_true_run(problem):
    x = torch.from_numpy(problem.values(problem.train)).float()
    params = model.initial(BLOB, torch.Generator().manual_seed(1))
    plan = make_plan(BLOB, params, x)
    graph = chain.lower(BLOB, plan, params, problem.features, problem.scaling)
    values = rehearse(BLOB, plan, params, problem.values(problem.validation))
    exact = performance(graph, problem, problem.validation, "validation")
    played = rehearsed(values, problem, graph.digest)
    assert [replace(m, method="interpreter") for m in played] == list(exact)


def test_attention_of_a_regression_is_judged_in_the_units_of_its_target(problem):
    def shown(events):
        return Events(events.words, 1_000 + 10 * problem.values(events)[:, 14])

    told = replace(
        problem,
        task="regression",
        classes=("height",),
        train=shown(problem.train),
        validation=shown(problem.validation),
    )
    network = replace(LOOKING, layers=(*LOOKING.layers[:-1], replace(LOOKING.layers[-1], width=1)))
    (found,) = trained(told, [network], steps=300).found
    value = {m.metric: m.value for m in found.measurements}
    assert value["rmse"] < 0.8 * told.validation.y.std()


# --- failures -------------------------------------------------------------------------------


def trained(problem, networks, steps=6):
    """What the first rung finds of some networks."""
    records = [network.to_dict() for network in networks]
    payload = {"networks": records, "steps": steps, "rung": 0, "seed": 1}
    return NeuralFrontend.run(Job("network", "search", payload), problem)


def mlp(width):
    return Network((36,), (Dense(width, False, "relu"), Dense(3, bits=None)))


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("cannot allocate 9 GB")])
def test_of_a_packed_chunk_only_what_is_at_fault_fails(problem, monkeypatch, error):
    flat = replace(problem, array=())
    networks = [mlp(width) for width in (3, 4, 5)]
    whole, at_once = trained(flat, networks), trainer._at_once

    def fails(networks, *rest):
        if any(network.layers[0].width == 4 for network in networks):
            raise error
        return at_once(networks, *rest)

    monkeypatch.setattr(trainer, "_at_once", fails)
    outcome = trained(flat, networks)
    why = str(error) and f": {error}"
    assert outcome.found[1].candidate.reason == f"training ended with {type(error).__name__}{why}"
    assert outcome.found[1].measurements == ()
    for i in (0, 2):
        assert outcome.found[i] == whole.found[i]


@pytest.mark.parametrize(("place", "name", "at"), [(trainer, "run", 1), (work, "fold", 0)])
def test_of_image_networks_only_what_is_at_fault_fails(problem, monkeypatch, place, name, at):
    networks = [BLOB, LOOKING]
    whole, exact = trained(problem, networks), getattr(place, name)

    def fails(network, *rest):
        if network == networks[at]:
            raise MemoryError
        return exact(network, *rest)

    monkeypatch.setattr(place, name, fails)
    outcome = trained(problem, networks)
    assert outcome.found[at].candidate.reason == "training ended with MemoryError"
    assert outcome.found[1 - at] == whole.found[1 - at]


def test_a_network_that_fails_later_keeps_what_it_reached(problem, monkeypatch):
    """Its objectives, its record and its chance to be a finalist; it is not trained on."""
    told, kept = [], {}

    def run(job, _):
        if job.kind == "final":
            return Outcome()
        found = []
        for n, record in enumerate(job.payload["networks"]):
            network = Network.from_dict(record)
            candidate = work.searched(network, job)
            if job.payload["rung"] == 1 and n == 0:
                kept.setdefault(network.key, job.payload["begun"][0])
                found.append(Found(replace(candidate, reason="training diverged")))
                continue
            wrong = 0.5 - 0.1 * job.payload["rung"]
            values = {"accuracy": 1 - wrong, "luts": 100.0 - len(found), "dsps": 0.0}
            values["latency_cycles"] = 2.0
            measured = tuple(
                Measurement(name, v, "analytic", "csynth", "", "", "") for name, v in values.items()
            )
            found.append(Found(candidate, measured))
        return Outcome({"plans": [{} for _ in found]}, found=tuple(found))

    spec = MlpSpec(
        widths=(4, 8), weight_bits=(4, 6), activation_bits=(6,), local=None, lean=None, tables=None
    )
    front = NeuralFrontend(replace(problem, array=()), spec, BUDGET, 1)
    monkeypatch.setattr(front._nsga2, "tell", told.append)
    jobs = []
    while asked := front.ask():
        jobs += asked
        front.tell(asked, [run(job, problem) for job in asked])
    assert kept
    later = [j for j in jobs if j.payload.get("rung") == 2]
    assert all(key not in _keys(later) for key in kept)
    assert all(None not in points for points in told)
    for key, candidate in kept.items():
        assert front._tried[key].candidate == candidate
        assert front._tried[key].score.objectives[0] == -0.5


def _keys(jobs):
    return {Network.from_dict(n).key for job in jobs for n in job.payload["networks"]}


# --- spaces ---------------------------------------------------------------------------------


def test_a_space_of_attention_alone_is_refused():
    spec = ImageSpec(block_types=("attention",))
    with pytest.raises(SpecError, match=r"every network .* has attention.*add conv or none"):
        check(spec, (1, 11, 11), 2)
    check(ImageSpec(block_types=("attention",), blocks=0), (1, 11, 11), 2)


def test_kernels_shrink_to_what_is_left_of_the_image():
    spec = ImageSpec(blocks=2, block_types=("conv",), kernels=(1, 3))
    largest = {name: gene.options[-1] for name, gene in genes(spec).items()}
    network = decode(spec, largest, (1, 6, 8), 2)
    assert [n.kernel for n in network.layers if isinstance(n, Conv)] == [3, 3, 1, 1, 1]
    only = ImageSpec(blocks=2, block_types=("conv",), kernels=(3,))
    network = decode(only, largest, (1, 7, 7), 2)
    assert [n.kernel for n in network.layers if isinstance(n, Conv)] == [3, 3, 3]
