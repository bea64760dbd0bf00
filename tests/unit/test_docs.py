"""Every example of the documents runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import nacsr
from nacsr.cli.app import app
from nacsr.synthesis import available

DOCS = Path(__file__).resolve().parents[2] / "docs"
COST = (DOCS / "cost.md").read_text(encoding="utf-8")
TREES = (DOCS / "trees.md").read_text(encoding="utf-8")


def needs_yosys(text: str) -> None:
    if "synth" in text and (why := available("yosys")):
        pytest.skip(why)


@pytest.mark.parametrize("line", re.findall(r"^    \$ nacsr (.+)$", COST, re.M))
def test_a_command_of_the_document(line: str) -> None:
    needs_yosys(line)
    done = CliRunner().invoke(app, shlex.split(line))
    assert done.exit_code == 0, done.output
    assert "luts" in done.output


def test_its_python_runs() -> None:
    (code,) = re.findall(r"```python\n(.+?)```", COST, re.S)
    if available("yosys"):
        code = "\n".join(line for line in code.splitlines() if "synthesise" not in line)
    names: dict[str, object] = {}
    exec(compile(code, "docs/cost.md", "exec"), names)
    assert "design" in names


def test_trained_trees_compile_as_the_document_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.+?)```", TREES, re.S)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/trees.md", "exec"), names)
    best = names["scores"].argmax(1)
    assert (np.array(names["design"].setting.classes)[best] == names["y"]).mean() > 0.9
    (line,) = re.findall(r"^    \$ nacsr (.+)$", TREES, re.M)
    done = CliRunner().invoke(app, shlex.split(line))
    assert done.exit_code == 0, done.output
    assert "Proven: light is within" in done.output
    assert nacsr.compile("tagger").graph.digest == names["design"].graph.digest
    (content,) = re.findall(r"```json\n(.+?)```", TREES, re.S)
    Path("mine.json").write_text(content)
    assert nacsr.compile("mine.json").run([[0.0, 0.25], [0.0, 0.5]]).tolist() == [[-1.0], [2.5]]
