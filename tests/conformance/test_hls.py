"""The HLS back end computes what the interpreter computes: compiled C++, compared with ``==``.

All graphs go into one program, because most of a compilation is headers; the mutation tests
reuse its stored outputs, so that they cost no compiler.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np
import pytest

from nacsr.emit import vectors as vec
from nacsr.emit.cpp import ROWS, definition
from nacsr.emit.project import ports
from nacsr.fixed import Fixed, Overflow, Raw, Rounding
from nacsr.ir import OPS
from nacsr.ir import ops as table
from nacsr.ir.graph import Op
from nacsr.resources import folder
from nacsr.testing import MAKERS, Case, EmitterConformance, mismatches
from nacsr.tools import gxx
from nacsr.tools.headers import ap_types

HEAD = '#include <fstream>\n#include "nacsr_raw.h"\n'


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


def run_batch(cases: Sequence[Case], flags: tuple[str, ...] = ()) -> list[Mapping[str, Raw]]:
    """Compile all cases as one program and run each on its words."""
    with TemporaryDirectory() as scratch:
        root = Path(scratch)
        (root / "nacsr_raw.h").write_text(
            (folder("hls_templates") / "project/nacsr_raw.h").read_text()
        )
        main = ["int main() {"]
        for k, case in enumerate(cases):
            words = vec.flatten(case.words, vec.input_layout(case.graph))
            (root / f"{k}.in").write_text(vec.show(words))
            opened = f'std::ifstream in("{k}.in"); std::ofstream out("{k}.out");'
            main.append(f"{{ {opened} g{k}::run(in, out, {len(words)}); }}")
        text = [HEAD, *(unit(case, k) for k, case in enumerate(cases)), *main, "}"]
        (root / "batch.cpp").write_text("\n".join(text))
        program = gxx.compile([root / "batch.cpp"], root / "batch", [root, ap_types()], flags)
        subprocess.run([str(program)], cwd=root, check=True, timeout=300)
        layouts = [vec.output_layout(case.graph) for case in cases]
        return [vec.unflatten(vec.read(root / f"{k}.out", y), y) for k, y in enumerate(layouts)]


class TestHls(EmitterConformance):
    def run(self, cases: Sequence[Case]) -> list[Mapping[str, Raw]]:
        return run_batch(cases)


@pytest.mark.slow
class TestHlsLarge(EmitterConformance):
    count: ClassVar[int] = 400
    events: ClassVar[int] = 2000
    seed: ClassVar[int] = 2

    def run(self, cases: Sequence[Case]) -> list[Mapping[str, Raw]]:
        found: list[Mapping[str, Raw]] = []
        for start in range(0, len(cases), 60):
            found += run_batch(cases[start : start + 60])
        return found
