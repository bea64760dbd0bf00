"""The generic search: seeded, resumable by replay, discrete genes, failures ranked last."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacsr.errors import SpecError
from nacsr.search.goals import Score
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
    product = genes["width"] * genes["bits"]
    return Score((1 / product + penalty, product + penalty))


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
        near = [abs(g["g0"] - 3) for g in asked]
        search.tell([Score(pair) for pair in zip(totals, near, strict=True)])
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
    search.tell([Score((1.0, 2.0)), Score((2.0, 1.0))])
    assert search.ask() == []
    assert search.ask() == []


@pytest.mark.parametrize("options", [(), (1, 1)])
def test_a_gene_needs_different_choices(options):
    with pytest.raises(SpecError, match="different choices"):
        Gene(options)


def survivors(told, generations=6, **options):
    search = Nsga2(GENES, 2, 10, 1, **options)
    for _ in range(generations):
        search.tell([told(genes) for genes in search.ask()])
    return [search._decode(one.X) for one in search._algorithm.pop]


def test_who_is_within_the_limits_ranks_before_all_who_are_not():
    """The cheapest are beyond a limit, and are bred out whatever their objectives."""

    def told(genes):
        return Score(cost(genes).objectives, excess=max(4 - genes["width"] / 8, 0.0))

    assert {genes["width"] for genes in survivors(told)} <= {32, 64}


def test_of_those_beyond_the_limits_the_nearest_survive_and_failures_last():
    def told(genes):
        failed = genes["norm"]
        return None if failed else Score(cost(genes).objectives, excess=float(genes["width"]))

    left = survivors(told)
    assert {genes["width"] for genes in left} == {8, 16}
    assert not any(genes["norm"] for genes in left)


@given(st.lists(st.floats(0, 1e9), min_size=2, max_size=5))
def test_a_larger_excess_is_a_larger_violation_and_a_failure_the_largest(excesses):
    search = Nsga2({"a": Gene(tuple(range(9)))}, 1, 5, 1)
    asked = search.ask()
    told = [Score((0.0,), e) for e in excesses][: len(asked)]
    search.tell([*told, *[None] * (len(asked) - len(told))])
    violations = {g["a"]: one.CV[0] for g, one in zip(asked, search._asked, strict=True)}
    seen = [violations[g["a"]] for g in asked]
    for i, one in enumerate(told):
        assert (seen[i] > 0) == (one.excess > 0)
        assert seen[i] < 1
        for j, other in enumerate(told):
            assert one.excess >= other.excess or seen[i] <= seen[j]
    assert all(v == 1 for v in seen[len(told) :])


START = [
    {"width": 64, "bits": 8, "activation": "tanh", "norm": True, "fixed": 7},
    {"width": 8, "bits": 4, "activation": "relu", "norm": True, "fixed": 7},
]


def test_what_is_given_joins_the_first_generation():
    first = Nsga2(GENES, 2, 10, 1, START).ask()
    assert len(first) == 10
    assert all(one in first for one in START)
    assert first == Nsga2(GENES, 2, 10, 1, START).ask()


def test_given_proposals_are_bred_from():
    """Of 8**10 points the neighbours of a good one are better than what breeding draws finds."""
    genes = {f"g{i}": Gene(tuple(range(8)), ordered=True) for i in range(10)}
    best = []
    for start in ([], [dict.fromkeys(genes, 0)]):
        search = Nsga2(genes, 1, 10, 1, start)
        children = []
        for generation in range(3):
            totals = [float(sum(g.values())) for g in search.ask()]
            children += totals if generation else []
            search.tell([Score((total,)) for total in totals])
        best.append(min(children))
    assert best[1] < best[0] / 2


def test_more_may_be_given_than_a_small_space_draws():
    genes = {"a": Gene((1, 2, 3)), "b": Gene((False,))}
    start = [{"a": a, "b": False} for a in (3, 1)]
    first = Nsga2(genes, 1, 2, 1, start).ask()
    assert sorted(g["a"] for g in first) == [1, 3]
