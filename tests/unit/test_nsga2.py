"""The generic search: seeded, resumable by replay, discrete genes, failures ranked last."""

import pytest

from nacsr.errors import SpecError
from nacsr.search.nsga2 import Gene, Nsga2

GENES = {
    "width": Gene((8, 16, 32, 64), ordered=True),
    "bits": Gene((4, 6, 8), ordered=True),
    "activation": Gene(("relu", "tanh")),
    "norm": Gene((False, True)),
    "fixed": Gene((7,), ordered=True),
}


def cost(genes):
    """Two objectives in conflict; tanh and norm are only worse."""
    penalty = (genes["activation"] == "tanh") + genes["norm"]
    return (
        1 / (genes["width"] * genes["bits"]) + penalty,
        genes["width"] * genes["bits"] + penalty,
    )


def run(seed, generations, told=cost):
    search = Nsga2(GENES, 2, 10, seed)
    history = []
    for _ in range(generations):
        asked = search.ask()
        history.append(asked)
        search.tell([told(genes) for genes in asked])
    return history


def test_same_seed_same_proposals():
    assert run(3, 5) == run(3, 5)


def test_other_seed_other_proposals():
    assert run(3, 2) != run(4, 2)


def test_replay_of_recorded_results_goes_on_where_it_stopped():
    whole = run(5, 6)
    recorded = [[cost(genes) for genes in asked] for asked in whole[:3]]
    search = Nsga2(GENES, 2, 10, 5)
    for results in recorded:
        search.ask()
        search.tell(results)
    assert search.ask() == whole[3]


def test_values_come_from_the_choices_and_keep_their_python_types():
    for genes in (g for asked in run(1, 4) for g in asked):
        assert list(genes) == list(GENES)
        for name, value in genes.items():
            assert value in GENES[name].options
            assert type(value) is type(GENES[name].options[0])


def test_proposals_do_not_repeat_within_a_generation_or_its_survivors():
    for asked in run(2, 5):
        assert len({tuple(genes.items()) for genes in asked}) == len(asked)


def test_breeding_finds_a_corner_faster_than_chance():
    genes = {f"g{i}": Gene(tuple(range(8)), ordered=True) for i in range(6)}
    search = Nsga2(genes, 2, 20, 1)
    best = []
    for _ in range(15):
        asked = search.ask()
        totals = [sum(g.values()) for g in asked]
        best.append(min(totals))
        search.tell([(t, abs(g["g0"] - 3)) for t, g in zip(totals, asked, strict=True)])
    assert min(best[10:]) < best[0] / 2  # of 8**6 points 300 were seen


def test_failures_are_bred_out_however_good_their_neighbours_are():
    def told(genes):
        return None if genes["activation"] == "tanh" else cost(genes)

    search = Nsga2(GENES, 2, 10, 1)
    for _ in range(6):
        asked = search.ask()
        search.tell([told(genes) for genes in asked])
    survivors = search._algorithm.pop
    assert len(survivors) == 10
    assert all(GENES["activation"].options[int(s.X["activation"])] == "relu" for s in survivors)


def test_a_generation_of_failures_only_does_not_stop_the_search():
    history = run(1, 3, told=lambda genes: None)
    assert [len(asked) for asked in history] == [10, 10, 10]


def test_an_exhausted_space_proposes_nothing():
    search = Nsga2({"a": Gene((1, 2)), "b": Gene((False,))}, 2, 10, 1)
    seen = search.ask()
    assert sorted(g["a"] for g in seen) == [1, 2]
    search.tell([(1.0, 2.0), (2.0, 1.0)])
    assert search.ask() == []
    assert search.ask() == []


@pytest.mark.parametrize("options", [(), (1, 1)])
def test_a_gene_needs_different_choices(options):
    with pytest.raises(SpecError, match="different choices"):
        Gene(options)
