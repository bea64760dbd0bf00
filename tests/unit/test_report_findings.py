"""What a front says about its families: sentences that must be true of the numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacsr.archive import Archive
from nacsr.data.words import Feature, Scaling
from nacsr.design import Setting
from nacsr.fixed import Fixed
from nacsr.frontends.reference.registry import REFERENCES
from nacsr.ir import Builder, Graph
from nacsr.measure import ESTIMATED, OPEN, VERILOG, Basis, Measurement
from nacsr.records import Candidate, Found, Outcome
from nacsr.report.findings import Standing, absent, argued, winners
from nacsr.report.page import SYMBOLS
from nacsr.report.picture import COLOURS, MARKERS
from nacsr.report.rows import REFERENCE_FAMILIES, SEARCHED_FAMILIES, rows
from nacsr.spec import FamiliesSpec, StudySpec

WORD = Fixed(8, 4)
SCALING = Scaling("external", (0,), (0,))
SETTING = Setting((Feature("x", WORD),), ("a", "b"), SCALING, "vu13p", 200.0)
RESOURCES = ("dsps", "ffs", "brams", "latency_cycles", "ii_cycles")
LUTS, FFS = ("accuracy", "luts"), ("accuracy", "ffs")


def graph() -> Graph:
    builder = Builder()
    x = builder.input("x", WORD)
    builder.output("y", builder.op("add", x, builder.const(1, WORD)))
    return builder.build()


GRAPH = graph()


def design(
    family: str,
    accuracy: float | None,
    luts: float | None,
    error: float | None = 0.01,
    basis: Basis = ESTIMATED,
    **others: float,
) -> Found:
    """One with numbers by one method and stage, zero where none is given."""
    numbers = dict.fromkeys(RESOURCES, 0.0) | others
    numbers |= {} if luts is None else {"luts": luts}
    made = [Measurement(n, v, *basis, "t", SETTING.place, "d") for n, v in numbers.items()]
    if accuracy is not None:
        of = "interpreter", "validation", "t", "data", "d"
        made.append(Measurement("accuracy", accuracy, *of, error))
    about = {"of": [accuracy, luts, str(basis), *others.values()]}
    return Found(Candidate(family, about, 1, family), tuple(made), GRAPH)


def said(
    folder: Path,
    *designs: Found,
    objectives: tuple[str, ...] = LUTS,
    first: Basis = ESTIMATED,
    instead: tuple[Basis, ...] = (),
    **changes: object,
) -> list[str]:
    """What is said of the front of these designs."""
    spec = StudySpec.from_mapping({"dataset": "jets", **changes})
    with Archive(folder, create=True) as archive:
        archive.set_meta("setting", SETTING.to_json())
        archive.record("k", Outcome(found=designs))
        shown = rows(
            archive.front(objectives, *first, instead=instead),
            SETTING,
            (first, *instead),
            objectives,
        )
        return winners(archive, spec, shown, objectives)


def test_a_clear_win_names_the_nearest_design_of_at_most_its_luts(tmp_path: Path) -> None:
    sums, formula = design("tables", 0.75, 90), design("expression", 0.7, 80)
    large = design("network", 0.8, 900, dsps=7)
    (line,) = said(tmp_path, sums, formula, large)
    assert line == (
        f"A reference wins by validation accuracy: tables {sums.candidate.id} with 0.75 ± 0.01 in "
        "90 LUT, beyond the error better than every network or formula of at most as many LUTs; "
        f"the nearest of these is expression {formula.candidate.id} with 0.7 ± 0.01 in 80 LUT."
    )


def test_the_smallest_design_says_what_the_next_one_is(tmp_path: Path) -> None:
    sums, large = design("tables", 0.75, 90), design("network", 0.8, 900, dsps=7)
    (line,) = said(tmp_path, sums, large)
    assert line == (
        f"A reference wins where no network or formula is as small: tables {sums.candidate.id} "
        "with 0.75 ± 0.01 in 90 LUT by validation accuracy; the smallest of them is network "
        f"{large.candidate.id} with 0.8 ± 0.01 in 900 LUT and 7 DSP."
    )


def test_a_win_within_the_error_is_told_as_one(tmp_path: Path) -> None:
    sums, formula = design("tables", 0.70, 90), design("expression", 0.705, 100)
    (line,) = said(tmp_path, sums, formula)
    assert line == (
        "A reference is as good by validation accuracy, within the error, as a network or formula "
        f"of more LUTs: tables {sums.candidate.id} with 0.7 ± 0.01 in 90 LUT, expression "
        f"{formula.candidate.id} with 0.705 ± 0.01 in 100 LUT."
    )


@pytest.mark.parametrize("accuracy", [0.6999, 0.7, 0.71])
def test_a_difference_within_the_error_is_no_win(tmp_path: Path, accuracy: float) -> None:
    """Even over a design that is off the front for it."""
    sums = design("tables", 0.7, 90)
    slow = design("expression", accuracy, 90, latency_cycles=5.0)
    (line,) = said(tmp_path, sums, slow, objectives=(*LUTS, "latency_cycles"))
    assert line.startswith("No reference wins on this front: for each a network or formula of at")


def test_nothing_is_said_where_nothing_can_be_compared(tmp_path: Path) -> None:
    tables, trees = design("tables", 0.7, 90), design("trees", 0.6, 80)
    formula = design("expression", 0.6, 70)
    unknown = [design("network", 0.9, None), design("network", None, 9)]
    unread = design("network", 0.6, 70, error=None)
    for number, found in enumerate(
        ([tables, trees], [formula], [tables, *unknown], [tables, unread], [])
    ):
        assert said(tmp_path / str(number), *found) == []
    assert said(tmp_path / "luts", tables, formula, objectives=("luts",)) == []
    assert said(tmp_path / "accuracy", tables, formula, objectives=("accuracy",)) == []


def test_the_argument_is_by_the_objectives(tmp_path: Path) -> None:
    slow, formula = design("tables", 0.7, 90, ffs=50), design("expression", 0.6, 70, ffs=60)
    (line,) = said(tmp_path, slow, formula, objectives=FFS)
    assert "no network or formula is as small: " in line
    assert "in 50 FF by validation accuracy; the smallest" in line
    cycles = ("accuracy", "latency_cycles", "luts")
    (line,) = said(tmp_path, slow, formula, objectives=cycles)
    assert "in 90 LUT, beyond the error better than every network" in line


def test_numbers_of_two_methods_are_never_compared(tmp_path: Path) -> None:
    small = design("tables", 0.75, 90, basis=OPEN)
    large = design("network", 0.7, 80, basis=VERILOG)
    mixed = {"first": OPEN, "instead": (VERILOG,)}
    assert said(tmp_path / "apart", small, large, **mixed) == []
    fair = design("network", 0.6, 70, basis=OPEN)
    (line,) = said(tmp_path / "both", small, large, fair, **mixed)
    assert line.startswith("Of those by yosys/vsynth: A reference wins by validation accuracy: ")
    assert fair.candidate.id in line


def test_a_reference_that_another_one_replaces_is_not_named(tmp_path: Path) -> None:
    best, more = design("tables", 0.75, 90), design("trees", 0.74, 95, latency_cycles=1.0)
    worse = design("linear", 0.75, 99, ffs=-1.0)
    formula = design("expression", 0.6, 80)
    objectives = ("accuracy", "luts", "ffs")
    (line,) = said(tmp_path / "a", best, more, worse, formula, objectives=objectives)
    assert best.candidate.id in line
    assert worse.candidate.id not in line
    smaller, guess = design("trees", 0.70, 85), design("linear", 0.3, 2)
    (line,) = said(tmp_path / "b", best, worse, smaller, guess, formula, objectives=objectives)
    assert line.endswith(f" Likewise: trees {smaller.candidate.id}.")


stands = st.builds(
    Standing,
    name=st.uuids().map(str),
    quality=st.integers(0, 9).map(lambda n: n / 10),
    error=st.sampled_from([0.0, 0.05, 0.3]),
    cost=st.integers(1, 9).map(float),
    said=st.just("so"),
)


@given(st.lists(stands, max_size=4), st.lists(stands, max_size=4))
def test_whoever_is_named_a_winner_is_one(references, others):
    lines = argued(references, others, *LUTS)
    text = " ".join(lines)
    for one in references if others else ():
        rest = [r for r in references if r is not one]
        small = [o for o in others if o.cost <= one.cost]
        if any(o.as_good_as(one) for o in small):
            assert one.name not in text
        elif small and not any(r.quality <= one.quality and r.cost <= one.cost for r in rest):
            assert one.name in text
    assert bool(lines) == bool(references and others)


def test_families_that_are_not_there_say_why(tmp_path: Path) -> None:
    spec = StudySpec.from_mapping({"dataset": "jets"})
    with Archive(tmp_path, create=True) as archive:
        archive.set_meta("setting", SETTING.to_json())
        lost = Found(Candidate("trees", {}, 1, "trees", reason="no memory"))
        archive.record("k", Outcome(found=(design("linear", 0.7, 9), lost)))
        shown = rows(archive.front(LUTS), SETTING, ranked_by=LUTS)
        lines = absent(archive, spec, shown, LUTS)
        bare = absent(archive, spec, [], ("accuracy", "bops"))
    assert [line.split(" is on")[0] for line in lines] == [
        "No expression design",
        "No network design",
        "No tables design",
        "No trees design",
    ]
    assert "none of the 1 candidates became a design, most often because no memory" in lines[3]
    assert sum("it has no bops, an objective, which only networks have" in b for b in bare) == 3


def test_every_family_is_drawn() -> None:
    families = set(FamiliesSpec.model_fields)
    assert families == {*REFERENCE_FAMILIES, *SEARCHED_FAMILIES}
    assert families == set(COLOURS) == set(MARKERS)
    assert len(set(COLOURS.values())) == len(set(MARKERS.values())) == len(families)
    assert set(MARKERS.values()) <= set(SYMBOLS)
    assert set(FamiliesSpec().references) == set(REFERENCES)
