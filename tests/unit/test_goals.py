"""Named objectives and limits: what a search minimises, and who ranks behind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacsr.measure import METRICS, OBJECTIVES, Measurement, minimised, usual_objectives
from nacsr.search.goals import Goals, Score, beyond
from nacsr.targets import target


def measured(**values):
    return [Measurement(name, v, "analytic", "csynth", "", "", "") for name, v in values.items()]


def test_luts_and_dsps_are_one_area_where_a_dsp_costs_its_share_of_the_device():
    device = target("vu13p")
    goals = Goals(usual_objectives("classification"), "vu13p")
    found = goals.score(measured(accuracy=0.75, luts=100.0, dsps=2.0, latency_cycles=4.0))
    assert goals.axes == ("accuracy", "area", "latency_cycles")
    assert found == Score((-0.75, 100 + 2 * device.luts / device.dsps, 4.0))


def test_the_first_objective_of_a_regression_is_its_error():
    goals = Goals(usual_objectives("regression"), "vu13p")
    given = measured(rmse=2.5, median_error=0.1, luts=100.0, dsps=0.0, latency_cycles=4.0)
    assert goals.score(given) == Score((2.5, 100.0, 4.0))


@pytest.mark.parametrize(
    ("objectives", "axes", "values"),
    [
        (("accuracy", "luts"), ("accuracy", "luts"), (-0.75, 100.0)),
        (("dsps", "accuracy"), ("dsps", "accuracy"), (2.0, -0.75)),
        (("bops", "accuracy"), ("bops", "accuracy"), (5e4, -0.75)),
        (("ii_cycles", "ffs", "brams"), ("ii_cycles", "ffs", "brams"), (1.0, 30.0, 7.0)),
    ],
)
def test_objectives_come_in_the_order_of_the_study(objectives, axes, values):
    goals = Goals(objectives, "vu9p")
    given = measured(
        accuracy=0.75, luts=100.0, dsps=2.0, ffs=30.0, brams=7.0, ii_cycles=1.0, bops=5e4
    )
    assert (goals.axes, goals.score(given)) == (axes, Score(values))


def test_the_area_stands_where_the_first_of_both_was():
    assert Goals(("dsps", "accuracy", "luts"), "vu9p").axes == ("area", "accuracy")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_can_be_searched_for_and_less_of_it_is_better(name):
    better, worse = (0.9, 0.8) if METRICS[name].maximise else (1.0, 2.0)
    scores = [Goals((name,), "vu9p").score(measured(**{name: v})) for v in (better, worse)]
    assert scores[0].objectives < scores[1].objectives
    assert minimised(name, better) < minimised(name, worse)


def test_what_was_not_measured_has_no_score():
    assert Goals(("accuracy", "bops"), "vu9p").score(measured(accuracy=0.5)) is None
    assert Goals(("accuracy", "luts", "dsps"), "vu9p").score(measured(accuracy=0.5, luts=1)) is None
    assert Goals(("accuracy",), "vu9p", {"luts": 5.0}).score(measured(accuracy=0.5)).excess == 0


def test_the_value_of_one_class_is_not_that_of_the_design():
    one = Measurement("accuracy", 0.1, "interpreter", "validation", "", "", "", label="top")
    assert Goals(("accuracy",), "vu9p").score([*measured(accuracy=0.5), one]) == Score((-0.5,))


def test_the_excess_is_relative_and_summed():
    goals = Goals(("accuracy",), "vu9p", {"luts": 100.0, "latency_cycles": 4.0, "dsps": 0.0})
    within = measured(accuracy=0.5, luts=100.0, latency_cycles=4.0, dsps=0.0)
    above = measured(accuracy=0.5, luts=150.0, latency_cycles=5.0, dsps=3.0)
    assert goals.score(within) == Score((-0.5,), 0.0)
    assert goals.score(above) == Score((-0.5,), 0.5 + 0.25 + 3.0)


@given(st.floats(0, 1e12), st.floats(0, 1e12))
def test_there_is_an_excess_exactly_beyond_the_limit(value, top):
    assert (beyond(value, top) > 0) == (value > top)
