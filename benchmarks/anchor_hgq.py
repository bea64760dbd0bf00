"""The anchor: HGQ2 and da4ml trained on the same rows as ours, in a virtual environment of its own.

    python -m venv hgq && hgq/bin/pip install HGQ2==0.2.0 da4ml==0.6.0 keras jax
    python benchmarks/small_networks.py --rows rows.npz --budget 0
    hgq/bin/python benchmarks/anchor_hgq.py rows.npz anchor.jsonl [--epochs 2400]

A perceptron of 64-32-32 neurons whose every weight and value has a bit width of its own, learned
with it (Sun et al., arXiv:2405.00645; the recipe is that of HGQ2's examples): the weight of the
hardware in the loss grows from epoch to epoch, and the networks on the validation front of
accuracy and effective bit operations are kept. A tenth of the epochs is a smoke test of about
two CPU-minutes.

Every kept network becomes logic by da4ml (distributed arithmetic), and its integers must equal
what Keras says on every row. A line of JSON each: accuracy of validation and test events; LUTs,
which are da4ml's cost, from words as they arrive in the file (``lut_words``) and from inputs in
the network's own types (``lut``: whatever standardises them rounds them); clock cycles and
register bits of a pipeline; CPU seconds of the whole run so far; versions.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
one_thread = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {one_thread}"

import keras
import numpy as np
from da4ml.converter import trace_model
from da4ml.trace import FixedVariableArray, HWConfig, comb_trace, to_pipeline
from hgq.config import QuantizerConfigScope
from hgq.layers import QDense, QEinsumDenseBatchnorm
from hgq.utils import trace_minmax
from hgq.utils.sugar import BetaScheduler, Dataset, FreeEBOPs, ParetoFront, PieceWiseSchedule
from keras.callbacks import LearningRateScheduler

HIDDEN, CLASSES = (64, 32, 32), 5
BATCH, RATE, RESTARTS = 1024, 5e-3, 12
BETA = (5e-7, 1e-3)
"""Weight of the effective bit operations in the loss, first and last."""
WORD = (1, 4, 6)
"""Sign, integer and fraction bits of the words in the file."""
HARDWARE, SOLVER = HWConfig(1, -1, -1), {"hard_dc": 2}
CUTOFF = 5
"""Levels of da4ml's latency between two registers."""
PACKAGES = ("HGQ2", "da4ml", "keras", "jax")


def network() -> keras.Model:
    """The recipe's quantisers.

    A bias has fraction bits that are learned (kif); by default it has bits and as many of them
    before the point as its range needs, so that tracing the range changes the function.
    """
    with (
        QuantizerConfigScope(place="weight", default_q_type="kif", overflow_mode="SAT_SYM", f0=3),
        QuantizerConfigScope(place="bias", default_q_type="kif", overflow_mode="WRAP", f0=3),
        QuantizerConfigScope(place="datalane", default_q_type="kif", i0=1, f0=3),
    ):
        found = inputs = keras.Input((16,))
        for width in HIDDEN:
            dense = QEinsumDenseBatchnorm("bc,cC->bC", width, bias_axes="C", activation="relu")
            found = dense(found)
        return keras.Model(inputs, QDense(CLASSES)(found))


def restarts(epochs: int) -> Callable[[int], float]:
    """Learning rates that fall by a cosine, and begin anew."""
    length = max(epochs // RESTARTS, 1)
    return lambda epoch: RATE * 0.5 * (1 + math.cos(math.pi * (epoch % length) / length)) + 1e-6


def trained(
    model: keras.Model, rows: dict[str, np.ndarray], epochs: int, place: Path
) -> list[Path]:
    """Train, and keep the weights on the validation front of (accuracy, effective bit operations).

    Returns:
        files of weights.
    """
    model.compile(
        optimizer=keras.optimizers.Adam(RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=8,
    )
    shown = Dataset(rows["x_train"], rows["y_train"], BATCH, "cpu:0", drop_last=True, shuffle=True)
    judged = Dataset(rows["x_val"], rows["y_val"], len(rows["x_val"]), "cpu:0")
    ramp = PieceWiseSchedule([(0, BETA[0], "log"), (epochs, BETA[1], "constant")])
    front = ParetoFront(
        place,
        ["val_accuracy", "ebops"],
        [1, -1],
        fname_format="{epoch}.weights.h5",
        enable_if=lambda logs: logs["val_accuracy"] > 0.5,
    )
    callbacks = [FreeEBOPs(), LearningRateScheduler(restarts(epochs)), BetaScheduler(ramp), front]
    model.fit(shown, epochs=epochs, validation_data=judged, callbacks=callbacks, verbose=0)
    order = np.argsort([record[1] for record in front.record])
    return [front.paths[n] for n in order]


def spread(paths: list[Path], most: int) -> list[Path]:
    """At most so many, evenly."""
    if len(paths) <= most:
        return paths
    return [paths[n] for n in np.unique(np.linspace(0, len(paths) - 1, most).round().astype(int))]


def logic(model: keras.Model, words: bool) -> object:
    """A network as da4ml's combinational logic, of words or of inputs in its own types."""
    if words:
        k, i, f = (np.full(16, v) for v in WORD)
    else:
        shape = (1, 16)
        quantiser = model.layers[1].iq.quantizer
        own = (quantiser.bw_mapper.bw_to_x(v, shape) for v in quantiser.kif)
        k, i, f = (np.asarray(v)[0].astype(int) for v in own)
    inputs = FixedVariableArray.from_kif(k, i, f, HARDWARE, 0, SOLVER)
    return comb_trace(*trace_model(model, HARDWARE, SOLVER, inputs=inputs))


def measured(model: keras.Model, rows: dict[str, np.ndarray]) -> dict[str, object]:
    """Accuracy and hardware of a network.

    Raises:
        RuntimeError: if da4ml's integers differ from Keras's on a row.
    """
    trace_minmax(model, np.concatenate([rows["x_train"], rows["x_val"]]), batch_size=8192)
    of_words, own = logic(model, words=True), logic(model, words=False)
    found: dict[str, object] = {}
    for name, part in (("train", "train"), ("validation", "val"), ("test", "test")):
        x = rows[f"x_{part}"]
        scores = np.asarray(model.predict(x, batch_size=8192, verbose=0), np.float64)
        wrong = (of_words.predict(x.astype(np.float64), n_threads=1) != scores).any(1).sum()
        if wrong:
            msg = f"da4ml and Keras differ on {wrong} of {len(x)} {name} rows"
            raise RuntimeError(msg)
        found[name] = float((scores.argmax(1) == rows[f"y_{part}"]).mean())
    pipeline = to_pipeline(own, CUTOFF, verbose=False)
    hardware = {"lut": own.cost, "lut_words": of_words.cost}
    return found | hardware | {"cycles": len(pipeline[0]), "ff": pipeline.reg_bits}


def lines(asked: argparse.Namespace) -> Iterator[dict[str, object]]:
    """What each kept network is, from the smallest."""
    with np.load(asked.rows, allow_pickle=False) as file:
        rows = {name: file[name] for name in file.files}
    keras.utils.set_random_seed(asked.seed)
    model = network()
    versions = {name: version(name) for name in PACKAGES}
    with tempfile.TemporaryDirectory() as place:
        paths = spread(trained(model, rows, asked.epochs, Path(place)), asked.designs)
        training = time.process_time()
        print(f"trained in {training:.0f} CPU-s, {len(paths)} networks", file=sys.stderr)
        for path in paths:
            model.load_weights(path)
            yield measured(model, rows) | {
                "epoch": int(path.name.partition(".")[0]),
                "epochs": asked.epochs,
                "seed": asked.seed,
                "training_cpu_s": round(training, 1),
                "cpu_s": round(time.process_time(), 1),
                "versions": versions,
            }


def main() -> None:
    """Train the anchor and write its points."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=Path, help="what small_networks.py wrote")
    parser.add_argument("out", type=Path, help="lines of JSON")
    parser.add_argument("--epochs", type=int, default=2400)
    parser.add_argument("--designs", type=int, default=24, help="networks traced, at most")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with asked.out.open("w") as out:
        for line in lines(asked):
            print(json.dumps(line), file=out, flush=True)
            print(f"{line['test']:.4f} {line['lut']:8,.0f} LUT {line['cycles']} cycles")


if __name__ == "__main__":
    main()
