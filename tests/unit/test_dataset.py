"""Datasets: what loads, what is refused and how, and the split."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from nacsr.data.dataset import Dataset, from_arrays, load
from nacsr.data.split import Split, split
from nacsr.errors import DataError
from nacsr.spec import DatasetSpec, SplitSpec

FULL = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "jets" / "jets_pythia8.npz"
ROWS = 40


def arrays(rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 3)), np.arange(rows) % 2


def write_csv(path: Path, header: str = "pt,eta,mass,label", edit: dict[int, str] | None = None):
    """A table of 40 good rows, some of them replaced."""
    x, y = arrays()
    lines = [
        ",".join([*map(repr, map(float, row)), "sig" if c else "bkg"])
        for row, c in zip(x, y, strict=True)
    ]
    for row, text in (edit or {}).items():
        lines[row - 1] = text
    path.write_text("\n".join([header, *lines]) + "\n")
    return DatasetSpec(source=str(path))


def refusal(spec: DatasetSpec, base: Path | None = None) -> str:
    with pytest.raises(DataError) as caught:
        load(spec, base)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ---- what loads


def test_shipped_jets():
    jets = load(DatasetSpec(source="jets"))
    assert jets.x.shape == (10_000, 16)
    assert jets.x.dtype == np.float64
    assert np.bincount(jets.y).tolist() == [2_000] * 5
    assert jets.classes == ("g", "q", "w", "z", "t")
    assert "mass_mmdt" in jets.features
    assert all(type(name) is str for name in (*jets.features, *jets.classes))
    assert "not that set" in jets.about
    assert len(set(jets.y[:100])) == 5  # shuffled


@pytest.mark.skipif(not FULL.exists(), reason="needs the shared jet file")
def test_shipped_rows_come_from_the_full_file():
    jets, full = load(DatasetSpec(source="jets")), load(DatasetSpec(source=str(FULL)))
    assert full.x.shape == (155_484, 16)
    assert (full.features, full.classes) == (jets.features, jets.classes)
    multiplicity = jets.features.index("multiplicity")
    assert set(jets.x[:, multiplicity]) <= set(full.x[:, multiplicity])
    mass = jets.features.index("mass_mmdt")
    low = np.sort(full.x[:, mass])
    at = np.clip(np.searchsorted(low, jets.x[:, mass]), 1, len(low) - 1)
    away = np.minimum(abs(low[at] - jets.x[:, mass]), abs(low[at - 1] - jets.x[:, mass]))
    assert (away <= jets.x[:, mass] * 2.0**-16).all()


def test_csv_by_relative_path(tmp_path):
    write_csv(tmp_path / "a.csv")
    data = load(DatasetSpec(source="a.csv"), tmp_path)
    x, y = arrays()
    assert data.name == "a"
    assert data.features == ("pt", "eta", "mass")
    assert data.classes == ("bkg", "sig")
    assert (data.x == x).all()  # repr of a float reads back exactly
    assert (data.y == y).all()


def test_csv_label_by_name_and_selected_features(tmp_path):
    write_csv(tmp_path / "a.csv", "id,eta,mass,label", {1: "first,0.5,0.25,sig"})
    spec = DatasetSpec(source="a.csv", label="label", features=("mass", "eta"))
    data = load(spec, tmp_path)  # the text in the column that is not selected does not matter
    assert data.features == ("mass", "eta")
    assert data.x[0].tolist() == [0.25, 0.5]


def test_integer_labels_sort_as_numbers(tmp_path):
    rows = [f"{i},{i * i},{(2, 10)[i % 2]}" for i in range(ROWS)]
    (tmp_path / "a.csv").write_text("a,b,y\n" + "\n".join(rows))
    assert load(DatasetSpec(source="a.csv"), tmp_path).classes == ("2", "10")


def test_npz_with_short_keys(tmp_path):
    x, y = arrays()
    np.savez(tmp_path / "a.npz", X=x.astype(np.float32), y=y.astype(float))
    data = load(DatasetSpec(source="a.npz"), tmp_path)
    assert data.features == ("x0", "x1", "x2")
    assert data.classes == ("0", "1")
    assert (data.x == x.astype(np.float32)).all()


def test_npz_text_labels_follow_class_names(tmp_path):
    x, y = arrays()
    names = np.array(["sig", "bkg"])
    np.savez(tmp_path / "a.npz", features=x, truth=names[y], class_names=names)
    data = load(DatasetSpec(source="a.npz", label="truth"), tmp_path)
    assert data.classes == ("sig", "bkg")
    assert (data.y == y).all()


def test_arrays_are_copied_and_digest_follows_contents():
    x, y = arrays()
    data, same = from_arrays(x, y), from_arrays(x.tolist(), y.tolist())
    assert data.digest == same.digest
    assert data.digest != from_arrays(x, y, features=["a", "b", "c"]).digest
    x[0, 0] += 1.0
    assert data.x[0, 0] == same.x[0, 0]
    assert data.digest != from_arrays(x, y).digest


def test_feature_names_fit_into_formulas(tmp_path):
    write_csv(tmp_path / "a.csv", "pT [GeV],2nd,Δη,label")
    assert load(DatasetSpec(source="a.csv"), tmp_path).features == ("pT_GeV", "x2nd", "Δη")
    chosen = DatasetSpec(source="a.csv", features=("pT [GeV]",))  # chosen as the file names it
    assert load(chosen, tmp_path).features == ("pT_GeV",)


def test_large_csv_in_seconds(tmp_path):
    rng = np.random.default_rng(1)
    rows = [",".join(map(str, r)) for r in rng.normal(size=(20_000, 16)).round(6).tolist()]
    text = "\n".join(f"{row},{i % 5}" for i, row in enumerate(rows))
    (tmp_path / "a.csv").write_text(",".join(f"f{j}" for j in range(16)) + ",y\n" + text)
    start = time.process_time()
    assert load(DatasetSpec(source="a.csv"), tmp_path).x.shape == (20_000, 16)
    assert time.process_time() - start < 3  # a tenth of a second a thousand rows is far too slow


# ---- what is refused


def test_missing_file_names_the_nearest(tmp_path):
    write_csv(tmp_path / "events.csv")
    assert "did you mean 'events.csv'" in refusal(DatasetSpec(source="evnts.csv"), tmp_path)
    assert "there is no folder" in refusal(DatasetSpec(source="no/events.csv"), tmp_path)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "jetz",
            "unknown dataset 'jetz', did you mean 'jets'? Choose from: jets, bragg, or give a path",
        ),
        ("events.h5", "expected a .npz or .csv file"),
    ],
)
def test_unknown_source(source, expected):
    assert expected in refusal(DatasetSpec(source=source))


@pytest.mark.parametrize(
    ("row", "text", "expected"),
    [
        (7, "1.0,abc,2.0,sig", "row 7, column 'eta': expected a number, got 'abc'"),
        (7, "1.0,,2.0,sig", "row 7, column 'eta': expected a number, got ''"),
        (9, "1.0,nan,2.0,sig", "row 9, column 'eta' is nan"),
        (9, "1.0,2.0,inf,sig", "row 9, column 'mass' is inf"),
        (3, "1.0,2.0,sig", "row 3 has 3 cells, the header 4"),
        (5, "1.0,2.0,3.0, ", "row 5, column 'label': the label is empty"),
        (5, "1.0,2.0,3.0,other", "class 'other' has 1 events"),
    ],
)
def test_csv_rows(tmp_path, row, text, expected):
    assert expected in refusal(write_csv(tmp_path / "a.csv", edit={row: text}))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("pt,pt,mass,label", "two features are named 'pt'"),
        ("pt,,mass,label", "column 2 has no name"),
        ("p t,p-t,mass,label", "features 'p t' and 'p-t' are both 'p_t' in formulas"),
        ("pt,[],mass,label", "feature name '[]' has no letters or digits"),
        ("pt,eta,label,label", "two columns are named 'label'"),
    ],
)
def test_csv_headers(tmp_path, header, expected):
    assert expected in refusal(write_csv(tmp_path / "a.csv", header))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "has no events"),
        (b"a,b,y\n", "has no events"),
        (b"a;b;y\n1;2;0\n", "separated by semicolons"),
        (b"a,b,y\n\xff\xfe,2,0\n", "is not a UTF-8 text table"),
        (b"a,b,y\n" + b"1,2,0\n3,4,0\n" * 20, "every event is of class '0'"),
    ],
)
def test_csv_contents(tmp_path, content, expected):
    (tmp_path / "a.csv").write_bytes(content)
    assert expected in refusal(DatasetSpec(source="a.csv"), tmp_path)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"label": "lable"}, "no label column 'lable'; did you mean 'label'?"),
        ({"features": ("pt", "masss")}, "no feature named 'masss'; did you mean 'mass'?"),
        ({"features": ("pt", "pt")}, "names 'pt' twice"),
        ({"features": ()}, "selects none"),
        ({"features": ("pt", "label")}, "'label' is the label"),
    ],
)
def test_csv_choices(tmp_path, choice, expected):
    write_csv(tmp_path / "a.csv")
    assert expected in refusal(DatasetSpec(source="a.csv", **choice), tmp_path)


def damaged(**arrays_: object) -> dict[str, object]:
    x, y = arrays()
    return {"features": x, "labels": y} | arrays_


X, Y = arrays()


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ({"features": X}, "no label array 'labels' or 'y'"),
        ({"labels": Y, "feature": X}, "no feature array 'features' or 'X' or 'x'; did you mean"),
        (damaged(features=X[:, 0]), "(events, channels, rows, columns), not [40]"),
        (damaged(labels=Y[:-1]), "labels must be one an event, shape [40], not [39]"),
        (damaged(labels=np.eye(2)[Y]), "use argmax(1) on one-hot labels"),
        (damaged(labels=Y + 0.5), "label 0.5 is no class"),
        (damaged(features=X.astype(str)), "row 1, column 'x0': expected a number"),
        (damaged(features=X.astype(object)), "holds Python objects, which are never loaded"),
        (damaged(features=X * [1, 0, 1]), "feature 'x1' is 0 in every event; leave it out with"),
        (damaged(features=np.where(X > X.max() - 1e-9, np.nan, X)), "is nan, the first of 1"),
        (damaged(features=X[:0], labels=Y[:0]), "has no events"),
        (damaged(features=X[:, :0]), "has no features"),
        (
            damaged(feature_names=np.array(["a", "b"])),
            "2 feature names for 3 columns; give one each",
        ),
        (damaged(feature_names=np.array(["a", "b", "a"])), "two features are named 'a'"),
        (damaged(feature_names=np.array([1, 2, 3])), "feature_names must be a list of text"),
        (damaged(class_names=np.array(["a"])), "labels are 0..1, but 1 class names need 0..0"),
        (damaged(class_names=np.array(["a", "b", "c"])), "class 'c' has 0 events"),
        (damaged(class_names=np.array(["a", "a"])), "class names must differ"),
        (damaged(class_names=np.array(["a", "b;c"])), "class name 'b;c' cannot name an output"),
        (damaged(class_names=np.array(["a", ""])), "class name '' cannot name an output"),
        (damaged(labels=np.zeros(ROWS, dtype=int)), "every event is of class '0'"),
        (damaged(labels=np.arange(ROWS)), "class '0' has 1 events, of 40 classes"),
    ],
)
def test_npz_contents(tmp_path, contents, expected):
    np.savez(tmp_path / "a.npz", **contents)
    assert expected in refusal(DatasetSpec(source="a.npz"), tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.95, 0.999])
def test_truncated_npz(tmp_path, share):
    np.savez(tmp_path / "a.npz", **damaged())
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: int(len(whole) * share)])
    assert "is not a whole .npz archive" in refusal(DatasetSpec(source="a.npz"), tmp_path)


def test_damaged_bytes_inside_npz(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", **damaged())
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    whole[200:260] = bytes(60)
    (tmp_path / "a.npz").write_bytes(whole)
    assert "is not a whole .npz archive" in refusal(DatasetSpec(source="a.npz"), tmp_path)


def test_bare_array_named_npz(tmp_path):
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, X)
    assert "write it with numpy.savez" in refusal(DatasetSpec(source="a.npz"), tmp_path)


def test_pickle_named_npz_is_never_loaded(tmp_path):
    import pickle

    (tmp_path / "a.npz").write_bytes(pickle.dumps({"features": X.tolist()}))
    assert "never loaded" in refusal(DatasetSpec(source="a.npz"), tmp_path)


def test_arrays_refuse_text_in_objects():
    x = X.astype(object)
    x[4, 2] = "fast"
    with pytest.raises(DataError, match=r"row 5, column 'x2': expected a number, got 'fast'"):
        from_arrays(x, Y)
    with pytest.raises(DataError, match=r"rows of features differ in length"):
        from_arrays([[1.0], [1.0, 2.0]], [0, 1])


# ---- the split


def blobs(counts: list[int]) -> Dataset:
    y = np.repeat(np.arange(len(counts)), counts)
    return from_arrays(np.random.default_rng(2).normal(size=(len(y), 2)), y)


def parts_of(made: Split) -> list[np.ndarray]:
    return [made.train, made.validation, made.test]


def test_split_is_a_partition_with_the_same_shares():
    data = blobs([1000, 500, 100])
    parts = parts_of(split(data, SplitSpec(train=0.5, validation=0.3, test=0.2), seed=3))
    assert sorted(np.concatenate(parts)) == list(range(1600))
    counts = [np.bincount(data.y[p]).tolist() for p in parts]
    assert counts == [[500, 250, 50], [300, 150, 30], [200, 100, 20]]
    assert len(set(data.y[parts[0][:50]])) > 1  # no blocks of one class


def test_split_reproduces_and_depends_on_the_seed():
    data = blobs([50, 50])
    one, two, other = (split(data, SplitSpec(), seed) for seed in (1, 1, 2))
    assert one.digest == two.digest != other.digest
    assert all((a == b).all() for a, b in zip(parts_of(one), parts_of(two), strict=True))


@pytest.mark.parametrize("shares", [(0.98, 0.01, 0.01), (0.01, 0.01, 0.98), (0.01, 0.98, 0.01)])
def test_every_part_has_every_class(shares):
    data = blobs([10, 11, 300])
    train, validation, test = shares
    made = split(data, SplitSpec(train=train, validation=validation, test=test), seed=0)
    assert all(len(set(data.y[p])) == 3 for p in parts_of(made))


def test_negative_seed():
    with pytest.raises(DataError, match="seed -1"):
        split(blobs([10, 10]), SplitSpec(), seed=-1)
