"""Networks trained per CPU-second: a generation at once against one after another in torch.

    python benchmarks/population.py [--networks 16] [--repeats 3] [--device cuda]

Both sides train the same random networks of a space on the same batches, from the same weights:
ours packed and compiled, theirs in torch with fused AdamW on one thread. Printed are CPU seconds
for a network and step (the least of the repeats, without compiling) and the ratio. That both
compute the same is tested (tests/unit/test_population.py).

With ``--device`` ours are padded on that device, and printed are networks a second of wall time,
each trained for that many steps, against the same torch on one thread of the CPU. What a fit costs
once (moving events, the first kernels) is in it; a first fit of one step is not. This was run on
no GPU yet; ``--device cpu`` runs the same code and says nothing of one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from nacsr.data.events import Events
from nacsr.frontends.neural.goal import Rows
from nacsr.frontends.neural.model import initial
from nacsr.frontends.neural.plan import TrainingError
from nacsr.frontends.neural.population.trainer import Learnt, Lesson, alone, device, fit
from nacsr.frontends.neural.space import Dense, Network, Pool
from nacsr.frontends.neural.space.genes import decode, genes
from nacsr.spec import ImageSpec

EVENTS, CLASSES = 50_000, 5
WIDTHS = (8, 16, 32, 64)


def mlp(rng: np.random.Generator) -> Network:
    """A random perceptron of the jets' space."""
    hidden = [_dense(rng) for _ in range(rng.integers(1, 4))]
    return Network((16,), (*hidden, Dense(CLASSES, bits=None)))


def deep_set(rng: np.random.Generator) -> Network:
    """A random deep set of 8 particles with 3 features."""
    phi, rho = ([_dense(rng) for _ in range(rng.integers(1, 3))] for _ in range(2))
    pool = Pool(str(rng.choice(["mean", "max"])))
    return Network((8, 3), (*phi, pool, *rho, Dense(CLASSES, bits=None)))


def image(rng: np.random.Generator) -> Network:
    """A random network of convolutions for images of 11 by 11 pixels, without attention."""
    spec = ImageSpec()
    values = {
        name: gene.options[rng.integers(len(gene.options))] for name, gene in genes(spec).items()
    }
    return decode(spec, values, (1, 11, 11), CLASSES)


def _dense(rng: np.random.Generator) -> Dense:
    act = str(rng.choice(["relu", "leaky_relu"]))
    return Dense(int(rng.choice(WIDTHS)), bool(rng.integers(2)), act)


def lesson(words: int, batch: int, steps: int) -> Lesson:
    """Synthetic events that can be learnt, and batches of them."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((EVENTS, words))
    y = (x[:, :CLASSES] + x[:, CLASSES : 2 * CLASSES] ** 2).argmax(1)
    rows = Rows.of(x, Events(np.zeros((EVENTS, 1), np.int64), y), CLASSES, "classification")
    order = rng.integers(0, EVENTS, (steps, batch))
    return Lesson(rows, order, np.full(steps, 1e-3), 0.0)


def seconds(
    work: Callable[[], object], repeats: int, clock: Callable[[], float] = time.process_time
) -> float:
    """The least time, of the CPU or another clock."""
    found = []
    for _ in range(repeats):
        begin = clock()
        work()
        found.append(clock() - begin)
    return min(found)


def compare(name: str, networks: Sequence[Network], batch: int, steps: int, repeats: int) -> None:
    """One line."""
    shown = lesson(int(np.prod(networks[0].input)), batch, steps)
    generator = torch.Generator().manual_seed(1)
    params = [initial(n, generator) for n in networks]
    fit(networks, params, lesson(int(np.prod(networks[0].input)), batch, 1))  # compiles
    ours = seconds(lambda: fit(networks, params, shown), repeats)
    pairs = list(zip(networks, params, strict=True))
    theirs = seconds(lambda: [alone(n, p, shown) for n, p in pairs], repeats)
    each = 1e6 / (len(networks) * steps)
    print(
        f"{name:9s}  batch {batch:5,d}  ours {ours * each:7.1f} us  torch {theirs * each:7.1f} us"
        f"  ratio {theirs / ours:5.1f}"
    )


def compare_rates(
    name: str, networks: Sequence[Network], batch: int, steps: int, repeats: int, there: str
) -> None:
    """One line, of wall time; a fit ends when its parameters are back on the CPU."""
    words = int(np.prod(networks[0].input))
    shown = lesson(words, batch, steps)
    generator = torch.Generator().manual_seed(1)
    params = [initial(n, generator) for n in networks]
    whole(fit(networks, params, lesson(words, batch, 1), device=there))
    pairs = list(zip(networks, params, strict=True))
    ours = seconds(
        lambda: whole(fit(networks, params, shown, device=there)), repeats, time.perf_counter
    )
    theirs = seconds(lambda: [alone(n, p, shown) for n, p in pairs], repeats, time.perf_counter)
    print(
        f"{name:9s}  batch {batch:5,d}  {steps:3d} steps  {there} {len(networks) / ours:7.1f} /s"
        f"  torch {len(networks) / theirs:7.1f} /s  ratio {theirs / ours:5.2f}"
    )


def whole(found: Sequence[Learnt | TrainingError]) -> None:
    """A training that ended early is no measurement of its time.

    Raises:
        TrainingError: the first there is.
    """
    for one in found:
        if isinstance(one, TrainingError):
            raise one


def gpu_or_cpu(name: str) -> str:
    """A device of torch that is there."""
    if name == "cuda" and device() is None:
        msg = "torch finds no GPU (a CPU build of torch finds none either); leave --device out"
        raise argparse.ArgumentTypeError(msg)
    return name


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", type=gpu_or_cpu, choices=("cuda", "cpu"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.device:
        what = torch.cuda.get_device_name() if asked.device == "cuda" else "the CPU"
        print(f"padded on {what}, {asked.networks} networks at once, torch {torch.__version__}")
    for name, draw, part in (("MLP", mlp, 1), ("deep sets", deep_set, 1), ("images", image, 5)):
        rng = np.random.default_rng(1)
        networks = [draw(rng) for _ in range(asked.networks)]
        for batch, steps in ((128, 200), (1024, 40), (4096, 10)):
            if not asked.device:
                compare(name, networks, batch, steps // part, asked.repeats)
            elif name != "images":  # which are packed, whatever the device
                compare_rates(name, networks, batch, steps, asked.repeats, asked.device)


if __name__ == "__main__":
    main()
