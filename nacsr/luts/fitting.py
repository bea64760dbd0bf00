"""``fit``: the cheapest form of a function whose true maximum error is within a bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nacsr.errors import FixedError, GraphError, SpecError, unknown
from nacsr.fixed import MAX_WIDTH, Fixed, Raw, span
from nacsr.ir import Graph, evaluate
from nacsr.luts.candidates import Family, Wanted, families
from nacsr.luts.forms import Form
from nacsr.luts.functions import FUNCTIONS
from nacsr.luts.lut import (
    MAX_ADDRESS_BITS,
    MAX_DOMAIN_BITS,
    LutFunc,
    form_graph,
    largest_error,
)
from nacsr.luts.price import price_of

Price = Callable[[Graph], float]

FEW = 256  # words at which a candidate is tried before all of them are
EFFORTS = 4  # halvings of the error that sizes are estimated for, where the first ones fail
TRIALS = 3  # numbers of fractional bits of the result that are tried
STEPS = (0.5, 0.75, 0.9)  # how the error is lowered while a table size allows it


def fit(
    function: str | LutFunc,
    low: float,
    high: float,
    *,
    max_error: float | None = None,
    entries: int | None = None,
    input: Fixed | None = None,
    output_frac: int | None = None,
    price: Price = price_of,
    name: str | None = None,
    about: str | None = None,
) -> LutFunc:
    """The cheapest implementation of a function on an interval within an error.

    Plain tables, lines, bipartite tables and the forms of exp and of functions with a pole
    compete, each with and without symmetry and, for periodic functions, a phase word. The error
    of the winner is its ``max_error()``, enumerated; see there. Beyond the interval the
    result may be anything; beyond the domain, which may be smaller where the function is flat,
    it saturates.

    Args:
        function: a key of ``FUNCTIONS``, or a LUT function that shall be made anew.
        low: smallest argument.
        high: largest argument.
        max_error: largest absolute error. Without it, the error is lowered in steps of 10 %
            as long as ``entries`` allows.
        entries: limit on the entries of all tables together, 2**12 at most.
        input: type of the words that arrive. If it has 16 bits or fewer, the error is that of
            its words only, so that a table of all of them is off by its rounding alone; if it
            is wider or not given, it is that of all real numbers.
        output_frac: fractional bits of the result; by default they are chosen.
        price: what a graph from port x to port y costs; less is better.
        name: of the result; by default that of the function.
        about: a line for people.

    Raises:
        SpecError: if a constant would do, or nothing within the entries reaches the error (the
            message says what does), or the arguments make no sense.

    >>> f = fit("tanh", -8, 8, max_error=0.02)
    >>> f.entries, f.max_error(-8, 8) <= 0.02
    (256, True)
    """
    if isinstance(function, LutFunc):
        name, about = name or function.name, function.about if about is None else about
        function = function.function
    if function not in FUNCTIONS:
        raise SpecError(unknown("function", function, FUNCTIONS))
    limit = 1 << MAX_ADDRESS_BITS
    _check(function, max_error, entries, limit)
    ask = _ask(function, low, high, input, entries or limit, output_frac)
    chosen = _sharpest(ask, price) if max_error is None else _cheapest(ask, max_error, price)
    domain, value, form = chosen
    if about is None:
        about = f"{function} on [{ask.low:g}, {ask.high:g}]"
    ends = ask.low, ask.high
    return LutFunc(name or function, function, domain, value, about, form, (), input, ends)


def _check(function: str, max_error: float | None, entries: int | None, limit: int) -> None:
    wrong = ""
    if max_error is None and entries is None:
        wrong = "give max_error or entries"
    elif max_error is not None and not 0 < max_error < math.inf:
        wrong = f"max_error must be positive, not {max_error}"
    elif entries is not None and not 4 <= entries <= limit:
        wrong = f"entries must be 4..{limit}, not {entries}"
    if wrong:
        msg = f"fit of {function}: {wrong}"
        raise SpecError(msg)


@dataclass(frozen=True, slots=True)
class _Ask:
    """What is asked, but for the error.

    Attributes:
        function: a key of ``FUNCTIONS``.
        low: smallest argument that can arrive.
        high: largest one.
        input: type of the arguments.
        entries: limit.
        output_frac: fractional bits of the result, if given.
        bottom: smallest value of the function.
        top: largest one.
    """

    function: str
    low: float
    high: float
    input: Fixed | None
    entries: int
    output_frac: int | None
    bottom: float
    top: float

    def __str__(self) -> str:
        return f"fit of {self.function} on [{self.low:g}, {self.high:g}]"


def _ask(
    function: str,
    low: float,
    high: float,
    input: Fixed | None,
    entries: int,
    output_frac: int | None,
) -> _Ask:
    """Clip the interval to the words, find the range of the function.

    Raises:
        SpecError: for an interval that is empty, not finite, or has a pole.
    """
    where, real = f"fit of {function} on [{low:g}, {high:g}]", FUNCTIONS[function]
    if input is not None:
        low, high = max(low, input.min), min(high, input.max)
    held = math.isfinite(low) and math.isfinite(high) and low < high
    if held and input is not None:
        first, last = math.ceil(low / input.lsb), math.floor(high / input.lsb)
        held = first <= last
    if not held:
        msg = f"{where}: give a finite interval that the words of {input or 'the input'} reach"
        raise SpecError(msg)
    if input is not None and input.width <= MAX_DOMAIN_BITS:
        points = input.to_float(np.arange(first, last + 1))
        poles = points[~np.isfinite(real(points))]
    else:
        points = np.concatenate([[low, high], real.turns_in(low, high)])
        poles = real.poles_in(low, high)
    if poles.size:
        msg = f"{where}: infinite at {poles[0]:g}; choose an interval without it"
        raise SpecError(msg)
    reached = real(points)
    bottom, top = float(reached.min()), float(reached.max())
    return _Ask(function, low, high, input, entries, output_frac, bottom, top)


Choice = tuple[Fixed, Fixed, Form]
"""Domain, value type and form."""


@lru_cache(maxsize=512)
def _cheapest(ask: _Ask, error: float, price: Price, efforts: int = EFFORTS) -> Choice:
    """The cheapest choice within an error.

    Raises:
        SpecError: if a constant would do, or nothing reaches the error.
    """
    if (ask.top - ask.bottom) / 2 <= error:
        msg = (
            f"{ask}: it varies by {ask.top - ask.bottom:.3g}, so a table within {error:g} would "
            f"be a constant; write {(ask.top + ask.bottom) / 2:.6g} or ask for a smaller max_error"
        )
        raise SpecError(msg)
    search = _Search(ask, error, price)
    whole = math.floor(math.log2(error))
    for aim in (error, *(2.0**n for n in range(whole, whole - efforts, -1))):
        # sizes are estimates: where they do not reach, those for smaller errors may
        for family in families(Wanted(ask.function, ask.low, ask.high, aim, ask.input)):
            search.walk(family, _values(ask, aim))
        if search.best is not None:
            return search.best
    nearest = search.nearest()
    msg = (
        f"{ask}: no form with at most {ask.entries} entries is within {error:g}; "
        + ("none fits" if nearest == math.inf else f"the best is off by {nearest:.3g}")
        + "; allow that, more entries or a narrower interval"
    )
    raise SpecError(msg)


class _Search:
    """The cheapest choice so far, and those that are not accurate enough."""

    def __init__(self, ask: _Ask, error: float, price: Price) -> None:
        self.ask, self.error, self.price = ask, error, price
        self.best: Choice | None = None
        self._cost = math.inf
        self._missed: dict[Choice, float] = {}

    def walk(self, family: Family, values: Sequence[Fixed]) -> None:
        """Try a family, the cheaper ones first, with results of every type."""
        if not family or not values:
            return
        ends = {(domain, values[0], form) for domain, form in (family[0], family[-1])}
        if all(self._priced(choice) >= self._cost for choice in ends):
            return  # the rest is dearer
        for value in values:
            for domain, form in family:
                if self._try((domain, value, form)):
                    break

    def _try(self, choice: Choice) -> bool:
        cost = math.inf if choice in self._missed else self._priced(choice)
        if cost >= self._cost:
            return False
        found = _error(self.ask, choice, self.error)
        if found > self.error:
            self._missed[choice] = found
            return False
        self.best, self._cost = choice, cost
        return True

    def _priced(self, choice: Choice) -> float:
        """Cost from the words that arrive; infinite where the form does not fit."""
        domain, value, form = choice
        try:
            form.check(self.ask.function, domain)
            graph = form_graph(self.ask.function, domain, value, form, self.ask.input)
        except (SpecError, FixedError, GraphError):
            return math.inf
        entries = sum(op.array("table").size for op in graph.ops if op.name == "lut")
        return self.price(graph) if entries <= self.ask.entries else math.inf

    def nearest(self) -> float:
        """The smallest true error of what was tried; what is known of them are lower bounds."""
        best = math.inf
        for choice, least in sorted(self._missed.items(), key=lambda m: m[1]):
            if least >= best:
                break
            best = min(best, _error(self.ask, choice, math.inf))
        return best


@lru_cache(maxsize=64)
def _sharpest(ask: _Ask, price: Price) -> Choice:
    """The choice whose error can hardly be lowered within the entries.

    Raises:
        SpecError: if no table of so few entries is better than a constant.
    """
    error = (ask.top - ask.bottom) / 4
    best = _cheapest(ask, error, price)
    for step in STEPS:
        while True:
            reached = _error(ask, best, math.inf)
            try:
                best = _cheapest(ask, reached * step, price, 0)
            except SpecError:
                break
    return best


def _values(ask: _Ask, error: float) -> list[Fixed]:
    """Types of the result: the coarsest that may do, and finer ones."""
    least = math.ceil(-math.log2(error)) - 1  # half a step is the error of rounding
    fracs = [least + n for n in range(TRIALS)] if ask.output_frac is None else [ask.output_frac]
    found = []
    for frac in fracs:
        low, high = (round(math.ldexp(end, frac)) for end in (ask.bottom, ask.top))
        if max(abs(low), abs(high)).bit_length() >= MAX_WIDTH:
            break  # nothing finer fits a word either
        if high > 0 and high & (high - 1) == 0 and ask.output_frac is None:
            high -= 1  # a step off at the top saves a bit everywhere
        if high > low:
            found.append(span(low, high, frac))
    return found


def _error(ask: _Ask, choice: Choice, bound: float) -> float:
    """The true maximum error; or, where a few words are beyond the bound already, theirs."""
    domain, value, form = choice
    graph = form_graph(ask.function, domain, value, form)

    def values(words: Raw) -> Raw:
        return evaluate(graph, {"x": words})["y"]

    real, ends = FUNCTIONS[ask.function], (ask.low, ask.high, ask.input)
    few = largest_error(real, domain, value, values, *ends, FEW)
    return few if few > bound else largest_error(real, domain, value, values, *ends)
