"""Every example of the documents runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nacsr.cli.app import app
from nacsr.synthesis import available

COST = (Path(__file__).resolve().parents[2] / "docs" / "cost.md").read_text(encoding="utf-8")


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
