"""How a LUT function is computed: symmetry first, then one of several kinds of tables.

A ``Form`` appends ops to a graph: it may turn a periodic argument into a phase word, reflect the
word at zero and at a quarter of the period, and then ask its ``core`` for the value of what is
left.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, replace
from typing import Any, cast

from nacsr.errors import SpecError
from nacsr.fixed import Fixed, Overflow, Rounding, span
from nacsr.ir import Builder
from nacsr.luts.cores import CORES, TABLE, Core, Job, settle
from nacsr.luts.functions import FUNCTIONS, Function

MAX_PHASE_BITS = 24


@dataclass(frozen=True, slots=True)
class Form:
    """How a LUT function computes its value.

    Attributes:
        core: the kind of table.
        phase: bits of the phase word that a periodic function's argument becomes, 0 for none:
            the product with ``factor`` wraps at one period, which is dropping its high bits.
        factor: fractional bits of that factor, 1 / period rounded.
        mirror: whether the table covers one side of zero only.
        fold: whether it covers only a quarter of the period.
    """

    core: Core = TABLE
    phase: int = 0
    factor: int = 0
    mirror: bool = False
    fold: bool = False

    def __str__(self) -> str:
        kind = next(name for name, core in CORES.items() if isinstance(self.core, core))
        words = [" ".join([kind, *map(str, astuple(cast(Any, self.core)))])]
        words += [f"phase {self.phase}"] * (self.phase > 0)
        words += ["quarter period" if self.fold else "symmetric"] * self.mirror
        return ", ".join(words)

    @property
    def plain(self) -> bool:
        """Whether it is one table at the address itself."""
        return self == PLAIN

    def check(self, function: str, domain: Fixed) -> None:
        """Refuse what does not fit the function or the domain.

        Raises:
            SpecError: saying what to change.
        """
        real, nearest = FUNCTIONS[function], domain.rounding is not Rounding.TRN
        if self.phase and not real.period:
            wrong = "phase_bits is for periodic functions (sin, cos, tan)"
        elif not self.phase and self.factor:
            wrong = "factor_bits needs phase_bits"
        elif self.phase and not 1 <= self.phase <= MAX_PHASE_BITS:
            wrong = f"phase_bits must be 1..{MAX_PHASE_BITS}, not {self.phase}"
        elif self.phase and not (self.factor <= MAX_PHASE_BITS and self._turns(real)):
            wrong = f"factor_bits must be 3..{MAX_PHASE_BITS} with phase_bits, not {self.factor}"
        elif self.mirror and not real.parity:
            wrong = "symmetry is for even and odd functions"
        elif self.mirror and not (domain.signed or self.phase):
            wrong = f"symmetry needs a signed domain, not {domain}"
        elif self.mirror and not self.phase and nearest and domain.overflow is not Overflow.SAT_SYM:
            wrong = f"symmetry needs a domain with TRN, or one with SAT_SYM, not {domain}"
        elif (self.phase or domain.width) <= self.mirror + self.fold:
            wrong = "symmetry leaves no bit of the word; use more bits"
        elif self.fold and not (self.phase and self.mirror and real.fold):
            wrong = "a quarter period needs phase_bits and symmetry, and sin or cos"
        else:
            wrong = self.core.check(function, self.word(domain))
        if wrong:
            raise SpecError(wrong)

    def word(self, domain: Fixed) -> Fixed:
        """The type of the word that the core reads."""
        t = Fixed(self.phase, 0) if self.phase else domain.plain()
        cut = self.mirror + self.fold
        return Fixed(t.width - cut, t.integer - cut, False) if cut else t

    def lower(
        self, b: Builder, index: int, name: str, function: str, domain: Fixed, value: Fixed
    ) -> int:
        """The value, in type ``value``, of a word that lies within the domain.

        Args:
            b: where the ops go.
            index: the word.
            name: what tables call the function.
            function: a key of ``FUNCTIONS``.
            domain: type of the word.
            value: type of the result.
        """
        real = FUNCTIONS[function]
        centred = domain.rounding is Rounding.TRN or self.phase > 0
        job = Job(name, function, real, domain.plain(), centred, value.plain(), not self.plain)
        if self.phase:
            index, job = self._turn(b, index, job, real)
        negative = []
        for parity in [real.parity] * self.mirror + [real.fold] * self.fold:
            index, job, flipped = _reflect(b, index, job)
            if parity == "odd" and flipped is not None:
                negative.append(flipped)
        result = self.core.lower(b, b.cast(index, job.word), job)
        result = settle(b, result, job.value) if self.core != TABLE else result
        for condition in negative:
            result = b.op("select", condition, _opposite(b, result, real.centre), result)
        return settle(b, result, value)

    def _turns(self, function: Function) -> int:
        """1 / period on the grid of the factor."""
        return round(math.ldexp(1.0 / function.period, max(self.factor, 0)))

    def _turn(self, b: Builder, index: int, job: Job, function: Function) -> tuple[int, Job]:
        raw, period = self._turns(function), function.period
        turns = b.op("mul", index, b.const(raw, span(raw, raw, self.factor)))
        phase = Fixed(self.phase, 0)
        return b.cast(turns, phase), replace(job, word=phase, curve=lambda u: function(u * period))


PLAIN = Form()


def _reflect(b: Builder, index: int, job: Job) -> tuple[int, Job, int | None]:
    """The word without its top bit, reflected where that is set; and the top bit, if ever set.

    With centred words the reflection is the complement of all bits, whose bins mirror each other
    exactly; otherwise it is ``abs``, and the domain leaves out the word without an opposite.
    """
    t = job.word
    half = Fixed(t.width - 1, t.integer - 1, False)
    job = replace(job, word=half)
    index = b.cast(index, t)
    low, high = b.ranges[index]
    if low >= 0 and high <= half.max_raw:
        return b.cast(index, half), job, None
    top = b.op("shift", b.cast(index, Fixed(1, t.integer, False)), n=1 - t.integer)
    if not job.centred:
        return b.cast(b.op("abs", index), half), job, top
    rest = b.cast(index, half)
    other = b.cast(b.op("sub", b.const(half.max_raw, half), rest), half)
    return b.op("select", top, other, rest), job, top


def _opposite(b: Builder, index: int, centre: float) -> int:
    if not centre:
        return b.op("neg", index)
    twice = round(2 * centre)
    return b.op("sub", b.const(twice, span(twice, twice, 0)), index)
