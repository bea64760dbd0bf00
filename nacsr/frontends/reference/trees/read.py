"""Files of trained trees: xgboost's JSON, and ``nacsr-trees 1``, arrays of any trees as JSON or as
``.npz``. Nothing is unpickled.

In an ``.npz`` the nodes of all trees lie one after another in ``feature``, ``threshold``, ``left``,
``right`` and ``value``; ``tree_start`` says where each tree begins, ``tree_output`` what it adds
to, and children count from the tree's first node.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nacsr.errors import FileError, SpecError
from nacsr.fixed import Fixed
from nacsr.frontends.reference.trees import xgboosts
from nacsr.frontends.reference.trees.trained import Trained, built, checked

FORMAT = "nacsr-trees 1"
READ = (".json", ".npz")
"""How files of trees end."""
REFUSED = (".pkl", ".pickle", ".joblib", ".skops", ".ubj", ".model", ".bin")
"""How files end that hold trees as well, but are pickles, or binary."""
NODES = ("left", "right", "feature", "threshold", "value")
LEFT_IF = {"<": True, "<=": False}
COMPARED_AS = {"float32": True, "float64": False}


def is_file(source: str | Path) -> bool:
    """Whether a source names a file of trees, one that cannot be read included.

    >>> is_file("model.json"), is_file(Path("rf.joblib")), is_file("0.5*x0")
    (True, True, False)
    """
    return str(source).lower().endswith((*READ, *REFUSED))


def read(path: Path) -> Trained:
    """An ensemble out of a file: a model or a dump of xgboost as JSON, or ``nacsr-trees 1``.

    Raises:
        FileError: if it cannot be read.
        SpecError: naming what in it is not understood.
    """
    if str(path).lower().endswith(REFUSED):
        msg = (
            f"{path} is a pickle or binary, and is not read; where it was trained write "
            "nacsr.save_trees(model, 'model.json'), or save_model('model.json') of xgboost"
        )
        raise SpecError(msg)
    found = _npz(path) if path.suffix.lower() == ".npz" else _json(path)
    reader = _reader(found)
    if reader is None:
        msg = (
            f"{path} holds no trees that are known: expected nacsr.save_trees(model, ...), "
            "save_model('model.json') or dump_model(..., dump_format='json') of xgboost, or "
            f'"format": "{FORMAT}"'
        )
        raise SpecError(msg)
    try:
        return reader(found)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        msg = f"{path}: the trees are not well formed ({error!r}); export the model again"
        raise SpecError(msg) from None
    except SpecError as error:
        msg = f"{path}: {error}"
        raise SpecError(msg) from None


def _json(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read {path}: {error}; give a JSON file of trees"
        raise FileError(msg) from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"{path} is no JSON ({error}); save xgboost's models as .json, not .ubj or pickles"
        raise SpecError(msg) from None


def _npz(path: Path) -> Any:
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name].tolist() for name in file.files}
    except (OSError, EOFError, ValueError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        msg = f"cannot read {path}: {error}; write it with nacsr.save_trees, or np.savez of arrays"
        raise FileError(msg) from None
    starts = found.get("tree_start", [])
    ends = [*starts[1:], len(found.get("left", []))]
    trees = [
        {"output": output, **{key: found[key][a:b] for key in NODES if key in found}}
        for output, a, b in zip(found.get("tree_output", []), starts, ends, strict=False)
    ]
    return {**found, "trees": trees}


def _reader(found: Any) -> Callable[[Any], Trained] | None:
    if isinstance(found, list):
        return xgboosts.of_dump
    if isinstance(found, dict) and "learner" in found:
        return xgboosts.of_json
    return _arrays if isinstance(found, dict) and found.get("format") == FORMAT else None


def _arrays(found: Mapping[str, Any]) -> Trained:
    outputs = [str(name) for name in found["outputs"]]
    strict, single = LEFT_IF[found["left_if"]], COMPARED_AS[found["compared_as"]]
    roots = [(int(tree["output"]), built(*(tree[k] for k in NODES))) for tree in found["trees"]]
    types = None if found.get("types") is None else [Fixed.parse(t) for t in found["types"]]
    return checked(found["features"], outputs, found["base"], roots, strict, single, types)


# --- writing ---------------------------------------------------------------------------------


def write(trained: Trained, path: Path) -> None:
    """A file that ``read`` makes the same ensemble of.

    Raises:
        SpecError: if the path ends neither in .json nor in .npz.
        FileError: if it cannot be written.
    """
    if path.suffix not in READ:
        msg = f"cannot write trees to {path}; name a file that ends in {' or '.join(READ)}"
        raise SpecError(msg)
    flat = [(output, _flat(root)) for output, root in trained.roots]
    content: dict[str, Any] = {
        "format": FORMAT,
        "features": trained.features,
        "outputs": trained.outputs,
        "base": trained.base,
        "left_if": next(k for k, v in LEFT_IF.items() if v == trained.strict),
        "compared_as": next(k for k, v in COMPARED_AS.items() if v == trained.single),
    }
    if trained.types is not None:
        content["types"] = list(map(str, trained.types))
    try:
        if path.suffix == ".json":
            content["trees"] = [{"output": output, **nodes} for output, nodes in flat]
            path.write_text(json.dumps(content), encoding="utf-8")
        else:
            sizes = [len(nodes["left"]) for _, nodes in flat]
            content["tree_output"] = [output for output, _ in flat]
            content["tree_start"] = np.cumsum([0, *sizes[:-1]])
            content |= {key: np.concatenate([nodes[key] for _, nodes in flat]) for key in NODES}
            np.savez_compressed(path, **content)
    except OSError as error:
        msg = f"cannot write {path}: {error}; choose another place"
        raise FileError(msg) from None


def _flat(root: Any) -> dict[str, list[Any]]:
    """The arrays of a tree; a node comes before what is under it."""
    found: dict[str, list[Any]] = {key: [] for key in NODES}

    def put(node: Any) -> int:
        place = len(found["left"])
        leaf = isinstance(node, float)
        for key, value in zip(NODES, (-1, -1, 0, 0.0, node if leaf else 0.0), strict=True):
            found[key].append(value)
        if not leaf:
            found["feature"][place], found["threshold"][place] = node[:2]
            found["left"][place], found["right"][place] = put(node[2]), put(node[3])
        return place

    put(root)
    return found
