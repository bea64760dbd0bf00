"""Halls of fame: every form that PySR and SymbolicRegression.jl have written, and lookalikes."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest

from nacsr.errors import ExpressionError
from nacsr.frontends.symbolic.engines import halls
from nacsr.frontends.symbolic.engines.hall import read_hall
from nacsr.frontends.symbolic.language.custom import custom_operators
from nacsr.frontends.symbolic.language.expr import Call, Num, Var, evaluate, variables
from nacsr.luts import lut_functions

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "symbolic"
HALLS = SHARED / "halls"
needs_halls = pytest.mark.skipif(not HALLS.exists(), reason="needs the shared halls of fame")

HALL = """Complexity,Loss,Equation
1,1.5,"-0.125"
3,0.75,"x0 * -0.5"
7,1.2f-5,"sin(x2 - 1.5f-1) + (x0 * x1)"
"""


def write(folder: Path, text: str, name: str = "hall_of_fame.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_rows(tmp_path):
    rows = read_hall(write(tmp_path, HALL))
    assert [r.complexity for r in rows] == [1, 3, 7]
    assert [r.loss for r in rows] == [1.5, 0.75, 1.2e-5]
    assert rows[0].expr == Num(-0.125)
    assert rows[1].expr == Call("mul", (Var("x0"), Num(-0.5)))
    shifted = Call("sub", (Var("x2"), Num(0.15)))
    product = Call("mul", (Var("x0"), Var("x1")))
    assert rows[2].expr == Call("add", (Call("sin", (shifted,)), product))
    assert rows[2].equation == "sin(x2 - 1.5f-1) + (x0 * x1)"


@pytest.mark.parametrize(
    "text",
    [
        "Complexity|MSE|Equation\n3|0.75|x0 * -0.5\n",
        "Complexity|Loss|Equation\n3|0.75|(x0 * -0.5)\n",
        "Complexity,MSE,Equation\n3,0.75,x0 * -0.5\n",
        '\ufeff"Complexity","Loss","Equation"\r\n3.0,7.5f-1,"x0 * -0.5"\r\n\r\n',
    ],
)
def test_old_forms(tmp_path, text):
    (row,) = read_hall(write(tmp_path, text))
    assert (row.complexity, row.loss) == (3, 0.75)
    assert row.expr == Call("mul", (Var("x0"), Num(-0.5)))


def test_features_by_number_and_by_name(tmp_path):
    names = ("pt", "eta", "mass")
    numbered = read_hall(write(tmp_path, HALL), names)
    assert variables(numbered[2].expr) == ("eta", "mass", "pt")
    named = read_hall(write(tmp_path, HALL.replace("x2", "mass")), names)
    assert named[2].expr == numbered[2].expr


def test_first_number(tmp_path):
    def found(equation: str, first: int | None = None) -> tuple[str, ...]:
        path = write(tmp_path, f'Complexity,Loss,Equation\n3,1.0,"{equation}"\n')
        return variables(read_hall(path, ("a", "b", "c"), first=first)[0].expr)

    assert found("x0 + x2") == ("a", "c")  # x0: counted from 0
    assert found("x1 + x3") == ("a", "c")  # x3 of three: counted from 1
    assert found("x1 + x2") == ("b", "c")  # either: as PySR counts
    assert found("x1 + x2", first=1) == ("a", "b")
    with pytest.raises(ExpressionError, match="unknown variable 'x3'"):
        found("x0 + x3")


def test_features_that_are_named_like_numbers(tmp_path):
    path = write(tmp_path, 'Complexity,Loss,Equation\n3,1.0,"x1 + x2"\n')
    assert variables(read_hall(path, ("x1", "x2"))[0].expr) == ("x1", "x2")


def test_one_unreadable_formula_keeps_its_reason(tmp_path):
    rows = read_hall(write(tmp_path, HALL + '9,0.5,"asin(x0) ^ x1"\n'))
    assert rows[1].expr == Call("mul", (Var("x0"), Num(-0.5)))
    with pytest.raises(ExpressionError, match=r"complexity 9: .*unknown function 'asin'"):
        _ = rows[3].expr


def test_nothing_readable(tmp_path):
    with pytest.raises(ExpressionError, match="unknown function 'asin'"):
        read_hall(write(tmp_path, 'Complexity,Loss,Equation\n9,0.5,"asin(x0)"\n'))


def test_formulas_are_never_evaluated(tmp_path):
    text = "Complexity,Loss,Equation\n9,0.5,\"__import__('os').system('false')\"\n"
    with pytest.raises(ExpressionError):
        read_hall(write(tmp_path, text))


@pytest.mark.parametrize("suffix", [".bak", ".bkup"])
@pytest.mark.parametrize("cut", ["", "Complexity,Loss,Equation\n", HALL[:-12], HALL[:60]])
def test_backup_of_a_truncated_file(tmp_path, suffix, cut):
    path = write(tmp_path, cut)
    write(tmp_path, HALL, "hall_of_fame.csv" + suffix)
    assert len(read_hall(path)) == 3
    path.unlink()
    assert len(read_hall(path)) == 3


def test_whole_file_is_preferred_to_its_backup(tmp_path):
    write(tmp_path, HALL + '8,1e-6,"x0"\n', "hall_of_fame.csv.bak")
    assert len(read_hall(write(tmp_path, HALL))) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HALL[:-12], "ends in the middle of a row, and no whole backup"),
        (HALL[:25], "hall_of_fame.csv: has no rows, and no whole backup"),
        ("", "hall_of_fame.csv: has no rows, and no whole backup"),
        (
            "compl,mse,individual\n2.0,0.04,5.1\n",
            "is no hall of fame of PySR: its header is 'compl",
        ),
        ("Complexity,Loss,Equation,Score\n1,1.0,x0,2\n", "is no hall of fame of PySR"),
        ("Complexity,Loss,Equation\nfour,1.0,x0\n1,1.0,x0\n", "line 2: expected complexity"),
        ("Complexity,Loss,Equation\n1.5,1.0,x0\n1,1.0,x0\n", "line 2: expected complexity"),
        ("Complexity,Loss,Equation\n1,1.0\n1,1.0,x0\n", "line 2: expected complexity"),
    ],
)
def test_refusals(tmp_path, text, expected):
    with pytest.raises(ExpressionError) as caught:
        read_hall(write(tmp_path, text))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(ExpressionError, match="there is no such file"):
        read_hall(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ExpressionError, match="cannot be read as text"):
        read_hall(tmp_path / "a.csv")


# ---- finished runs


NAMES = ("pt", "eta", "mass")


def test_formulas_of_a_run(tmp_path, caplog):
    """By complexity, each once, in the features' names; of a file or of its folder."""
    text = HALL + '9,0.4,"asin(x0)"\n8,0.5,"mass"\n2,0.9,"x0 * -0.5"\n'
    path = write(tmp_path, text)
    found = halls.read(path, NAMES, lut_functions())
    assert [variables(e) for e in found] == [(), ("pt",), ("eta", "mass", "pt"), ("mass",)]
    assert found == halls.read(tmp_path, NAMES, lut_functions())
    assert "unknown function 'asin'" in caplog.text
    assert "left out" in caplog.text


def test_functions_that_nacsr_gave_to_pysr(tmp_path):
    """Halls of ``engine: pysr`` call our tables under names of their own."""
    custom = custom_operators({"half": "0.5*a"}, lut_functions())
    equation = "nacsr_sin(nacsr_half(x0)) + nacsr_select(x1, x2, 1.0)"
    path = write(tmp_path, f'Complexity,Loss,Equation\n5,1.0,"{equation}"\n')
    (found,) = halls.read(path, NAMES, lut_functions(), custom)
    half = Call("mul", (Num(0.5), Var("pt")))
    choice = Call("select", (Var("eta"), Var("mass"), Num(1.0)))
    assert found == Call("add", (Call("sin", (half,)), choice))
    assert read_hall(path, NAMES, custom=custom)[0].equation == equation


@pytest.mark.parametrize("name", ["hall_of_fame_output1.csv", "hall_of_fame.csv.bak"])
def test_folder_of_a_run(tmp_path, name):
    """One output of a run that had one, or all that a killed run left."""
    write(tmp_path, HALL, name)
    assert len(halls.read(tmp_path, NAMES, lut_functions())) == 3


def test_several_outputs(tmp_path):
    for i in (1, 2):
        write(tmp_path, HALL, f"hall_of_fame_output{i}.csv")
        write(tmp_path, HALL, f"hall_of_fame_output{i}.csv.bak")
    with pytest.raises(ExpressionError) as caught:
        halls.read(tmp_path, NAMES, lut_functions())
    both = "give one of hall_of_fame_output1.csv, hall_of_fame_output2.csv in it"
    assert str(caught.value).endswith(both)
    assert len(halls.read(tmp_path / "hall_of_fame_output2.csv", NAMES, lut_functions())) == 3


PICKLE = pickle.dumps({"equations": "x0"})
LOOKALIKES = {
    "empty.csv": (b"", "has no rows"),
    "page.html": (b"<html>\n<body>Complexity,Loss,Equation</body>\n", "is no hall of fame of PySR"),
    "scores.csv": (b"Name,Loss,Epoch\nx0,0.5,3\n", "is no hall of fame of PySR"),
    "prose.csv": (b"Complexity,Loss,Equation\nsee, for instance, x0\n", "ends in the middle"),
    "image.csv": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "cannot be read as text"),
    "zeros.csv": (bytes(64), "is no hall of fame of PySR"),
    "checkpoint.csv": (PICKLE, "cannot be read as text"),
    "checkpoint.pkl": (PICKLE, "is a pickle, which is never opened"),
    "foreign.csv": (b'Complexity,Loss,Equation\n3,0.5,"rm -rf /"\n', "unknown variable 'rm'"),
}


@pytest.mark.parametrize("name", LOOKALIKES)
def test_lookalikes(tmp_path, name):
    content, says = LOOKALIKES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ExpressionError) as caught:
        halls.read(tmp_path / name, NAMES, lut_functions())
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_folder_without_a_run(tmp_path):
    with pytest.raises(ExpressionError, match=r"no hall_of_fame.csv is in this folder"):
        halls.read(tmp_path, NAMES, lut_functions())


# ---- halls of others


@needs_halls
@pytest.mark.parametrize(
    ("folder", "rows", "readable"),
    [
        ("dibyasha_esol", 15, 15),
        ("gvdr_rdpg", 7, 7),
        ("hsianktin_monkeypox", 5, 5),
        ("mis0butter_julia_learn", 9, 9),
        ("yuhangxie_pfv", 13, 8),
    ],
)
def test_real_halls(folder, rows, readable):
    found = read_hall(HALLS / folder / "hall_of_fame.csv")
    assert len(found) == rows
    assert sum(r.tree is not None for r in found) == readable
    assert all("asin" in r.reason or "exponent" in r.reason for r in found if r.tree is None)
    losses = [r.loss for r in found]
    assert losses == sorted(losses, reverse=True)


@needs_halls
def test_real_folders():
    """The folders of real runs, old forms among them, without names of the inputs."""
    found = {
        f.name: halls.read(f, None, lut_functions())
        for f in HALLS.glob("[a-z]*_[a-z]*/")
        if not f.name.startswith("negative")
    }
    assert {name: len(formulas) for name, formulas in found.items()} == {
        "dibyasha_esol": 15,
        "gvdr_rdpg": 7,
        "hsianktin_monkeypox": 5,
        "mis0butter_julia_learn": 9,
        "yuhangxie_pfv": 8,
    }


@needs_halls
def test_real_backup_and_negatives():
    folder = HALLS / "hsianktin_monkeypox"
    whole, backup = (read_hall(folder / f"hall_of_fame.csv{s}") for s in ("", ".bkup"))
    assert whole == backup
    for name in (
        "negative_juliareuter_flowingSR/hall_of_fame.csv",
        "symbolfit/dijet_candidates_reduced.csv",
    ):
        with pytest.raises(ExpressionError, match="is no hall of fame of PySR"):
            read_hall(HALLS / name)


@needs_halls
def test_real_julia_hall_counts_from_one():
    rows = read_hall(HALLS / "mis0butter_julia_learn" / "hall_of_fame.csv", ("a", "b", "c", "d"))
    assert variables(rows[1].expr) == ("d",)  # cos(x4)


@needs_halls
def test_real_hall_means_what_pysr_means_by_it():
    """Against sympy on PySR's own text: products, powers, constants and signs."""
    import sympy

    luts = lut_functions()
    rng = np.random.default_rng(0)
    for row in read_hall(HALLS / "dibyasha_esol" / "hall_of_fame.csv"):
        names = variables(row.expr)
        at = {n: rng.normal(size=5) for n in names}
        ours = evaluate(row.expr, at, luts, exact=True)
        theirs = sympy.sympify(row.equation, evaluate=False)
        for i in range(len(ours)):
            wanted = float(theirs.subs({n: float(at[n][i]) for n in names}).evalf(30))
            assert math.isclose(float(ours[i]), wanted, rel_tol=1e-12, abs_tol=1e-12)
