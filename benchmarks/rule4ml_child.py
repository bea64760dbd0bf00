"""rule4ml's predictions, for ``cost_rule4ml.py``: runs in an environment of rule4ml (GPL), alone.

Reads a list of networks as JSON from standard input, ``{"name", "sizes", "last", "precision",
"reuse", "strategy", "hls4ml", "vivado"}`` each, and writes a list of predictions, with the CPU
seconds of each, as one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

BOARD = "alveo-u250"
"""The die of the VU13P; rule4ml knows no VU13P and no VU9P."""


def network(design: dict[str, Any]) -> Any:
    """The same layers in keras."""
    import keras

    first, *rest = design["sizes"]
    value = inputs = keras.layers.Input(shape=(first,))
    for k, size in enumerate(rest):
        last = k == len(rest) - 1
        value = keras.layers.Dense(size, activation=design["last"] if last else "relu")(value)
    model = keras.Model(inputs, value, name=design["name"])
    model.build((None, first))
    return model


def predicted(tool: Any, design: dict[str, Any]) -> dict[str, float]:
    """Its row, and the CPU seconds that it took."""
    model = network(design)
    names = ("strategy", "precision")
    config = {n: design[n] for n in names} | {"reuse_factor": design["reuse"]}
    begin = time.process_time()
    frame = tool.predict(
        model,
        hls_configs=[{"board": BOARD, "model": config}],
        hls4ml_versions=[design["hls4ml"]],
        vivado_versions=[design["vivado"]],
    )
    seconds = time.process_time() - begin
    (row,) = frame.to_dict("records")
    found = {n: float(row[n]) for n in ("LUT", "FF", "DSP", "BRAM", "CYCLES")}
    return found | {"seconds": seconds}


def main() -> None:
    """All designs of standard input."""
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries say goes to standard error
    from rule4ml.models.wrappers import MultiModelWrapper

    tool = MultiModelWrapper()
    tool.load_default_models()
    designs = json.load(sys.stdin)
    predicted(tool, designs[0])  # the first call compiles
    print(json.dumps([predicted(tool, design) for design in designs]), file=out, flush=True)


if __name__ == "__main__":
    main()
