"""What the README shows is there: its Python runs, its commands and options exist."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import nacsr
from nacsr.cli.app import app
from nacsr.frontends.neural.start import begun

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    start = TEXT.index("    import nacsr\n")
    block = TEXT[start : TEXT.index("\n\n`nacsr.Study", start)]
    names: dict[str, object] = {}
    exec(compile(textwrap.dedent(block), "README.md", "exec"), names)
    assert isinstance(names["design"], nacsr.Design)


COMMANDS = re.findall(r"^    nacsr ((?:\w+)(?: \| \w+)*)(.*)$", TEXT, re.MULTILINE)


def test_the_readme_lists_every_command() -> None:
    listed = {name for names, _ in COMMANDS for name in names.split(" | ")}
    known = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    assert listed == known


@pytest.mark.parametrize(("names", "rest"), COMMANDS)
def test_every_command_has_the_options_that_the_readme_shows(names: str, rest: str) -> None:
    for name in names.split(" | "):
        done = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
        assert done.exit_code == 0
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in done.output


def test_the_main_study_is_the_one_shown() -> None:
    assert "nacsr run examples/jets.yaml" in TEXT
    assert (ROOT / "examples" / "jets.yaml").is_file()


SHELL = re.findall(r"^    \$ nacsr (.*)\n((?:    [^$\n].*\n)+)", TEXT, re.MULTILINE)


def test_the_commands_print_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(SHELL) >= 3
    for command, shown in SHELL:
        done = CliRunner().invoke(app, shlex.split(command))
        if "no Verilog simulator" in str(done.exception):
            continue  # the same command, where none is installed
        assert done.exit_code == 0, done.exception
        tool = re.compile(r"(iverilog|Verilator|verilator) [\d.]+")  # any version will do
        printed = tool.sub("a simulator", done.output).splitlines()
        assert printed == tool.sub("a simulator", textwrap.dedent(shown)).splitlines()


def test_the_keys_of_a_network_search_are_those_of_a_study() -> None:
    start = TEXT.index("    objectives: [accuracy, bops")
    block = textwrap.dedent(TEXT[start : TEXT.index("\n\n`start`", start)])
    document = yaml.safe_load("dataset: jets\n" + block)
    spec = nacsr.load_spec(ROOT / "examples" / "jets.yaml")
    found = type(spec).from_mapping(document)
    assert found.families.network is not None
    short = found.families.network.model_copy(update={"start": found.families.network.start[:1]})
    assert len(begun(short, (16,), 5, 24)) == 1
