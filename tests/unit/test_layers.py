"""Imports point one way, heavy packages load on use."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import nacsr

ROOT = Path(nacsr.__file__).parent

# a room may import any room of a lower number, and itself
FLOORS = {
    "errors": 0,
    "fixed": 1,
    "resources": 1,
    "data": 1,
    "targets": 1,
    "measure": 2,
    "metrics": 2,
    "spec": 3,
    "luts": 3,
    "ir": 3,
    "tools": 3,
    "records": 4,
    "search": 4,
    "archive": 5,
    "entry": 5,
    "cost": 5,
    "emit": 6,
    "frontends": 6,
    "testing": 7,
    "design": 8,
    "compiler": 8,
    "teacher": 8,
    "prepare": 8,
    "workers": 8,
    "synthesis": 8,
    "fronts": 6,
    "finish": 9,
    "sweep": 9,
    "checkpoint": 9,
    "study": 10,
    "campaign": 10,
    "report": 10,
    "cli": 11,
}
# who on one floor may see whom
SAME_FLOOR = {
    ("compiler", "design"),
    ("teacher", "compiler"),
    ("prepare", "teacher"),
    ("synthesis", "design"),
    ("synthesis", "compiler"),
    ("data", "fixed"),
    ("luts", "ir"),
    ("archive", "entry"),
    ("campaign", "study"),
    ("report", "study"),
    ("report", "campaign"),
}


def imports(path: Path) -> set[str]:
    """Rooms of nacsr that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("nacsr."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "nacsr":
            found |= {a.name for a in node.names if a.name in FLOORS}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("nacsr.")}
    return found


def test_imports_point_one_way() -> None:
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        room = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):
            continue
        for other in imports(path) - {room}:
            below = FLOORS[other] < FLOORS[room]
            if not below and (room, other) not in SAME_FLOOR:
                wrong.append(f"{path.relative_to(ROOT)} imports {other}")
    assert not wrong, wrong


def test_frontends_know_no_back_end_and_back_ends_no_frontend() -> None:
    for path in (ROOT / "frontends").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            module = getattr(node, "module", None) or ""
            assert module not in ("nacsr.emit.hls", "nacsr.emit.hls4ml"), path
    for path in (ROOT / "emit").rglob("*.py"):
        assert "frontends" not in imports(path), path


def test_modules_fit_on_a_few_screens() -> None:
    long = {
        str(p.relative_to(ROOT)): n
        for p in ROOT.rglob("*.py")
        if (n := len(p.read_text().splitlines())) > 450
    }
    assert not long


def test_import_leaves_heavy_packages_out() -> None:
    code = (
        "import sys, nacsr, nacsr.cli.app, nacsr.study\n"
        "heavy = {'torch', 'sympy', 'pysr', 'hls4ml', 'brevitas', 'pymoo', 'optuna'}\n"
        "heavy |= {'matplotlib', 'plotly', 'jinja2', 'numba', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_everything_that_the_package_promises_is_there() -> None:
    for name in nacsr.__all__:
        assert getattr(nacsr, name) is not None, name
    assert nacsr.targets.target("vu13p").part == "xcvu13p-flga2577-2-e"
    assert nacsr.compile is sys.modules["nacsr.compiler"].compile
