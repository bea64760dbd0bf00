"""What tests of the network search share: a small one, run whole, and what its jobs might give."""

from dataclasses import replace

from nacsr.frontends.neural import jobs as work
from nacsr.frontends.neural.frontend import NeuralFrontend
from nacsr.frontends.neural.space import Network
from nacsr.measure import Measurement
from nacsr.records import Candidate, Found, Outcome
from nacsr.spec import BUDGETS, MlpSpec

SPEC = MlpSpec(
    depth=(1, 2),
    widths=(4, 8),
    weight_bits=(4, 6),
    activation_bits=(6,),
    local=None,
    lean=None,
    tables=None,
)
BUDGET = replace(
    BUDGETS["quick"], population=6, generations=3, search_steps=20, finalists=3, final_steps=30
)


def search(problem, seed=1, known=None, spec=SPEC, run=NeuralFrontend.run, goals=None):
    """Batches of (jobs, outcomes); jobs in ``known`` are replayed, not run."""
    known = known or {}
    front = NeuralFrontend(problem, spec, BUDGET, seed, goals)
    batches = []
    while jobs := front.ask():
        outcomes = [known.get(job.key) or run(job, problem) for job in jobs]
        front.tell(jobs, outcomes)
        batches.append((jobs, outcomes))
    return batches


def networks(job):
    return job.payload["networks"]


def measured(**values):
    return [Measurement(name, v, "analytic", "csynth", "", "", "") for name, v in values.items()]


def outcome_of(job, *objectives):
    """What a search job would give; one for all networks, or one each; None: it failed."""
    if job.kind == "final":
        network = Network.from_dict(job.payload["network"])
        return Outcome(found=(Found(Candidate("network", network.to_dict(), 1, "")),))
    made = [Network.from_dict(n) for n in networks(job)]
    every = objectives * len(made) if len(objectives) == 1 else objectives
    found = []
    for network, one in zip(made, every, strict=True):
        candidate = work.searched(network, job)
        if one is None:
            found.append(Found(replace(candidate, reason="training diverged")))
            continue
        wrong, luts, cycles = one
        values = {"accuracy": 1 - wrong, "luts": luts, "dsps": 0.0, "latency_cycles": cycles}
        found.append(Found(candidate, tuple(measured(**values))))
    return Outcome({"plans": [{} for _ in made]}, found=tuple(found))
