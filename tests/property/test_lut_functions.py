"""Random functions, intervals, errors and input types: what fit promises is kept."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nacsr.errors import SpecError
from nacsr.fixed import Fixed
from nacsr.ir import Builder, evaluate, verify
from nacsr.luts import FUNCTIONS, Bipartite, Form, Linear, LutFunc, fit

INPUTS = st.one_of(
    st.none(),
    st.builds(Fixed, st.integers(4, 12), st.integers(2, 5), st.booleans()),
    st.builds(Fixed, st.integers(17, 24), st.integers(3, 6), st.just(True)),
)


def attempt(make: Callable[[], LutFunc]) -> tuple[LutFunc | None, str]:
    """What is made, or why not."""
    try:
        return make(), ""
    except SpecError as error:
        return None, str(error)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    function=st.sampled_from(sorted(FUNCTIONS)),
    low=st.floats(-6, 4),
    width=st.floats(0.5, 8),
    bits=st.floats(2, 9),
    input=INPUTS,
)
def test_the_error_is_kept_or_the_fit_refused(function, low, width, bits, input):
    high = low + width
    reach = np.abs(FUNCTIONS[function](np.linspace(low, high, 99)))
    bound = float(max(np.median(reach), 0.1)) * 2.0**-bits
    f, message = attempt(lambda: fit(function, low, high, max_error=bound, input=input))
    if f is None:
        assert "\n" not in message
        assert function in message
        return
    low, high = (low, high) if input is None else (max(low, input.min), min(high, input.max))
    stated = f.max_error(low, high)
    assert stated <= bound
    assert f.entries <= 4096
    source = input or Fixed(26, 6)
    raw = source.quantize(np.random.default_rng(0).uniform(low, high, 3000))
    raw = raw[(source.to_float(raw) >= low) & (source.to_float(raw) <= high)]
    assume(raw.size)
    b = Builder()
    b.output("y", f.lower(b, b.input("x", source.plain())))
    got = f.value.to_float(evaluate(verify(b.build()), {"x": raw})["y"])
    x = source.to_float(raw)
    assert (got == f.numpy(x)).all()
    assert np.abs(got - f.exact(x)).max() <= stated + 1e-12


@settings(max_examples=60, deadline=None)
@given(
    function=st.sampled_from(["tanh", "gauss", "sin", "cos", "softplus", "erf"]),
    width=st.integers(6, 12),
    integer=st.integers(1, 5),
    frac=st.integers(1, 12),
    rounding=st.sampled_from(["TRN", "RND", "RND_ZERO"]),
    core=st.one_of(
        st.builds(Linear, st.integers(1, 6)),
        st.builds(Bipartite, st.integers(1, 4), st.integers(1, 4)),
    ),
    mirror=st.booleans(),
    source=st.builds(Fixed, st.integers(1, 14), st.integers(-2, 7), st.booleans()),
)
def test_any_form_that_is_accepted_is_its_table(
    function, width, integer, frac, rounding, core, mirror, source
):
    domain = Fixed(width, integer).with_modes(rounding, "SAT_SYM" if mirror else "SAT")
    f, message = attempt(
        lambda: LutFunc("f", function, domain, Fixed(frac + 3, 3), form=Form(core, mirror=mirror))
    )
    if f is None:
        assert any(words in message for words in ("split", "even and odd", "a constant"))
        return
    b = Builder()
    b.output("y", f.lower(b, b.input("x", source)))
    raw = np.arange(source.min_raw, source.max_raw + 1, dtype=np.int64)
    got = evaluate(verify(b.build()), {"x": raw})["y"]
    assert (f.value.to_float(got) == f.numpy(source.to_float(raw))).all()


def test_a_bound_is_not_met_by_halving_it_afterwards():
    """The enumerated error is tight: the same form does not keep half of it."""
    f = fit("tanh", -4, 4, max_error=0.02)
    x = np.linspace(-4, 4, 400_001)
    found = float(np.abs(f.numpy(x) - np.tanh(x)).max())
    bound = f.max_error(-4, 4)
    assert 0.99 * bound <= found <= bound  # a fine grid misses the very worst place, and no more
    assert math.isfinite(found)
