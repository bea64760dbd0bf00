"""The HLS back end computes what the interpreter computes: compiled C++, compared with ``==``.

All graphs go into one program, because most of a compilation is headers; the mutation tests
reuse its stored outputs, so that they cost no compiler.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings

from nacsr.emit import vectors as vec
from nacsr.emit.cpp import ROWS, definition
from nacsr.emit.project import ports
from nacsr.fixed import Fixed, Overflow, Raw, Rounding
from nacsr.ir import OPS, Builder, Graph, parse, verify
from nacsr.ir import ops as table
from nacsr.ir.graph import Attr, Op
from nacsr.ir.rows import align
from nacsr.resources import folder
from nacsr.testing import MAKERS, Case, EmitterConformance, graphs, mismatches, words
from nacsr.tools import gxx
from nacsr.tools.headers import ap_types

HEAD = '#include <fstream>\n#include "nacsr_raw.h"\n'


Eval = Callable[[Op, Sequence[Op], Sequence[Raw]], Raw]
ALL_MODES = [(r, o) for r in Rounding for o in Overflow]


def after(name: str, change: Callable[[Raw], Raw]) -> tuple[str, Eval]:
    """The op's own result, changed."""
    true = OPS[name].eval
    return name, lambda op, args, raws: change(true(op, args, raws))


def swapped(name: str, *order: int) -> tuple[str, Eval]:
    """The op with its operands in another order."""
    true = OPS[name].eval
    return name, lambda op, args, raws: true(op, [args[k] for k in order], [raws[k] for k in order])


def offset_address(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    """A table in the order of values, not of bit patterns."""
    return op.array("table")[raws[0] - args[0].type.min_raw]


def unaligned(symbol: Callable[[Raw, Raw], Raw]) -> Eval:
    """Raw integers combined without moving the binary points together."""
    return lambda op, args, raws: symbol(*(table._spread(r, op) for r in raws))


def with_attrs(name: str, change: Callable[[Op], dict[str, Attr]]) -> tuple[str, Eval]:
    """The op with some attributes changed."""
    true = OPS[name].eval

    def mutant(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
        return true(replace(op, attrs={**op.attrs, **change(op)}), args, raws)

    return name, mutant


def without_bias(op: Op) -> dict[str, Attr]:
    return {"bias": np.zeros_like(op.array("bias"))}


def other_kind(op: Op) -> dict[str, Attr]:
    """The other end of a pool or a reduction; sums stay."""
    return {"kind": {"max": "min", "min": "max", "sum": "sum"}[str(op.attrs["kind"])]}


def flipped_window(op: Op) -> dict[str, Attr]:
    """A convolution in the strict sense."""
    return {"weight": np.ascontiguousarray(op.array("weight")[::-1])}


def column_major(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    return np.stack([x.reshape(op.shape, order="F") for x in raws[0]])


def last_for_zero(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    """-1 as numpy means it."""
    return raws[0].reshape(len(raws[0]), -1)[:, op.array("index")]


def concat_unaligned(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    events = max(len(r) for r in raws)
    wide = [np.broadcast_to(r, (events, *r.shape[1:])) for r in raws]
    return np.concatenate(wide, op.integer("axis") + 1)


def last_maximum(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    return raws[0].shape[1] - 1 - np.argmax(raws[0][:, ::-1], 1)


def shift_bits(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    """Moving the bits instead of the point."""
    return op.type.cast(raws[0], args[0].type)


def straight(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    """One slope on both sides."""
    return align(raws[0], args[0].type, op.type)


def unsigned_relu(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    """Dropping the sign bit without looking at it."""
    return raws[0] & np.int64(op.type.max_raw)


true_pack = OPS["pack"].eval


def packed_backwards(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    return true_pack(op, args[::-1], raws[::-1])


true_cast = Fixed.cast

MUTANTS: Mapping[str, tuple[str, Eval]] = {
    "const negated": after("const", np.negative),
    "cast one too high": after("cast", lambda r: r + 1),
    "add unaligned": ("add", unaligned(np.add)),
    "sub unaligned": ("sub", unaligned(np.subtract)),
    "sub swapped": swapped("sub", 1, 0),
    "neg is not": after("neg", lambda r: r - 1),
    "mul of absolutes": after("mul", np.abs),
    "abs forgotten": ("abs", lambda op, args, raws: raws[0]),
    "min is max": ("min", OPS["max"].eval),
    "max is min": ("max", OPS["min"].eval),
    "min unaligned": ("min", unaligned(np.minimum)),
    "shift moves bits": ("shift", shift_bits),
    "compare negated": after("compare", lambda r: 1 - r),
    "select swapped": swapped("select", 0, 2, 1),
    "lut in value order": ("lut", offset_address),
    "pack the other way round": ("pack", packed_backwards),
    "dense without bias": with_attrs("dense", without_bias),
    "dense outputs reversed": after("dense", lambda r: r[..., ::-1]),
    "dense places reversed": after("dense", lambda r: r[:, ::-1] if r.ndim > 2 else r),
    "conv without bias": with_attrs("conv", without_bias),
    "conv window flipped": with_attrs("conv", flipped_window),
    "conv pads at the other end": with_attrs(
        "conv", lambda op: {"padding": op.array("padding")[:, ::-1]}
    ),
    "conv places reversed": after("conv", lambda r: r[:, ::-1]),
    "conv channels reversed": after("conv", lambda r: r[..., ::-1]),
    "pool takes the other end": with_attrs("pool", other_kind),
    "pool sums one less": after("pool", lambda r: r - 1),
    "pool places reversed": after("pool", lambda r: r[:, ::-1]),
    "reduce takes the other end": with_attrs("reduce", other_kind),
    "reduce places reversed": after("reduce", lambda r: r[:, ::-1] if r.ndim > 1 else r),
    "reshape by columns": ("reshape", column_major),
    "take counts from the end": ("take", last_for_zero),
    "take one too far": with_attrs("take", lambda op: {"index": op.array("index") - 1}),
    "concat unaligned": ("concat", concat_unaligned),
    "concat swapped": after("concat", lambda r: r[:, ::-1]),
    "relu drops the sign": ("relu", unsigned_relu),
    "leaky_relu does not leak": after("leaky_relu", lambda r: np.maximum(r, 0)),
    "leaky_relu is straight": ("leaky_relu", straight),
    "stack reversed": after("stack", lambda r: r[:, ::-1]),
    "argmax takes the last": ("argmax", last_maximum),
}
ROUNDINGS = {f"{r} rounds as {o}": (r, o) for r in Rounding for o in Rounding if r != o}
OVERFLOWS = {f"{r} ends as {o}": (r, o) for r in Overflow for o in Overflow if r != o}
COMPARISONS = {
    f"{a} is {b}": (a, b)
    for a, b in (("lt", "le"), ("le", "lt"), ("gt", "ge"), ("ge", "gt"), ("eq", "ne"), ("ne", "lt"))
}


def other_modes(change: tuple[str, str]) -> Callable[[Fixed, Raw, Fixed], Raw]:
    """``Fixed.cast`` with one mode meaning another."""
    old, new = change

    def cast(self: Fixed, raw: Raw, source: Fixed) -> Raw:
        modes = [new if mode == old else mode for mode in (self.rounding, self.overflow)]
        return true_cast(self.with_modes(*modes), raw, source)

    return cast


def unit(case: Case, k: int) -> str:
    """One design in its namespace, and a function that runs it over a file of words."""
    inputs, outputs = ports(case.graph, "top")
    body = ["long long w;"]
    for p in inputs:
        body.append(f"{p.ctype} {p.identifier}[{p.words}];")
        read = f"in >> w; {p.identifier}[i] = nacsr::from_raw<{p.ctype} >(w);"
        body.append(f"for (int i = 0; i < {p.words}; ++i) {{ {read} }}")
    body += [f"{p.ctype} {p.identifier}[{p.words}];" for p in outputs]
    names = [p.identifier + ("" if p.shape else "[0]") for p in (*inputs, *outputs)]
    body.append(f"top({', '.join(names)});")
    for p in outputs:
        write = f"out << nacsr::to_raw({p.identifier}[i]) << ' ';"
        body.append(f"for (int i = 0; i < {p.words}; ++i) {write}")
    return "\n".join(
        [
            f"namespace g{k} {{",
            definition(case.graph, "top", inputs, outputs),
            "void run(std::istream &in, std::ostream &out, int events) {",
            "for (int e = 0; e < events; ++e) {",
            *body,
            "out << '\\n'; } }",
            "}",
        ]
    )


def compile_and_run(cases: Sequence[Case]) -> list[Mapping[str, Raw]]:
    """Compile all cases as one program and run each on its words."""
    with TemporaryDirectory() as scratch:
        root = Path(scratch)
        raw = (folder("hls_templates") / "project/nacsr_raw.h").read_text(encoding="utf-8")
        (root / "nacsr_raw.h").write_text(raw)
        main = ["int main() {"]
        for k, case in enumerate(cases):
            rows = vec.flatten(case.words, vec.input_layout(case.graph))
            (root / f"{k}.in").write_text(vec.show(rows))
            opened = f'std::ifstream in("{k}.in"); std::ofstream out("{k}.out");'
            main.append(f"{{ {opened} g{k}::run(in, out, {len(rows)}); }}")
        text = [HEAD, *(unit(case, k) for k, case in enumerate(cases)), *main, "}"]
        (root / "batch.cpp").write_text("\n".join(text))
        program = gxx.compile([root / "batch.cpp"], root / "batch", [root, ap_types()])
        subprocess.run([str(program)], cwd=root, check=True, timeout=300)
        layouts = [vec.output_layout(case.graph) for case in cases]
        return [vec.unflatten(vec.read(root / f"{k}.out", y), y) for k, y in enumerate(layouts)]


def run_batches(cases: Sequence[Case], size: int) -> list[Mapping[str, Raw]]:
    """Programs of ``size`` cases, two compilers at a time."""
    parts = [cases[start : start + size] for start in range(0, len(cases), size)]
    with ThreadPoolExecutor(2) as pool:
        return [found for part in pool.map(compile_and_run, parts) for found in part]


class TestHls(EmitterConformance):
    """A fast batch, and the proof that it would notice another meaning of any op."""

    count: ClassVar[int] = 30

    def run(self, cases: Sequence[Case]) -> list[Mapping[str, Raw]]:
        return run_batches(cases, 28)

    @pytest.mark.parametrize("name", [*MUTANTS, *ROUNDINGS, *OVERFLOWS, *COMPARISONS])
    def test_a_changed_meaning_is_noticed(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        if name in MUTANTS:
            op, mutant = MUTANTS[name]
            monkeypatch.setitem(OPS, op, replace(OPS[op], eval=mutant))
        elif name in COMPARISONS:
            kind, other = COMPARISONS[name]
            monkeypatch.setitem(table.COMPARE, kind, table.COMPARE[other])
        else:
            monkeypatch.setattr(Fixed, "cast", other_modes((ROUNDINGS | OVERFLOWS)[name]))
        assert any(mismatches(case, found) for case, found in self.results())


@pytest.mark.slow
class TestHlsLarge(EmitterConformance):
    count: ClassVar[int] = 400
    events: ClassVar[int] = 2000
    seed: ClassVar[int] = 2

    def run(self, cases: Sequence[Case]) -> list[Mapping[str, Raw]]:
        return run_batches(cases, 50)


def cast_case(rng: random.Random) -> Case:
    """A port cast to a type of each rounding and overflow mode, one bit and 63 bits included."""
    widest = 63 if rng.random() < 0.3 else 6
    width = rng.randint(1, widest)
    source = Fixed(width, rng.randint(-4, width + 4), rng.random() < 0.5)
    b = Builder()
    x = b.input("x", source)
    for mode in ALL_MODES:
        bits = rng.choice((1, 2, rng.randint(1, widest)))
        frac = source.frac + rng.choice((-width - 1, -width, 1 - width, -9, -3, -2, -1, 0, 1, 5))
        to = Fixed(bits, bits - frac, rng.random() < 0.5, *mode)
        b.output(" ".join(mode), b.op("cast", x, type=to))
    graph = b.build()
    if width > 6:
        return Case(graph, words(graph, 300, width))
    return Case(graph, {"x": np.arange(source.min_raw, source.max_raw + 1)})


def agree(cases: Sequence[Case]) -> bool:
    return not any(mismatches(c, f) for c, f in zip(cases, run_batches(cases, 12), strict=True))


def test_casts_between_any_types() -> None:
    rng = random.Random(3)
    assert agree([cast_case(rng) for _ in range(4)])


@pytest.mark.slow
def test_many_casts_between_any_types() -> None:
    rng = random.Random(4)
    assert agree([cast_case(rng) for _ in range(72)])


def test_every_op_can_be_drawn_and_emitted() -> None:
    assert set(MAKERS) == set(OPS) == set(ROWS)


@settings(max_examples=50, derandomize=True, deadline=None)
@given(graphs())
def test_drawn_graphs_are_valid_and_print(graph: Graph) -> None:
    assert parse(str(verify(graph))) == graph
    assert "void top(" in definition(graph, "top", *ports(graph, "top"))
