"""A search as large as the paper's: 2,500 deep sets on 155 k jets of 8 particles (pT, eta, phi).

    python benchmarks/paper_search.py [JETS.npz] [--out DIR] [--workers 2] [--generations 50]
        [--population 50] [--finalists 8]

The space is that of Weitz et al., arXiv:2501.05515 (preset ``deepsets_jets``), the population 50,
as there; generations are trained by successive halving, from 1 epoch to 15 in three rungs. The
jets are generated ones (Pythia 8), not the public set: their accuracies are not to be compared.
Then the finalists are trained with Brevitas, emitted and verified as in any study, and one lean
network is made; there is no local search.

It goes on where it was stopped when it is run again. CPU time is that of all processes of all its
runs in that folder, compiling included, and is kept beside the archive.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

from nacsr.data.dataset import load
from nacsr.entry import Entry
from nacsr.frontends.neural.lessons import batch_size
from nacsr.records import Job, Outcome
from nacsr.spec import Budget, DatasetSpec, StudySpec
from nacsr.study import Silent, Study

JETS = Path(__file__).resolve().parents[2] / "shared/data/jets/jets_pythia8.npz"
PARTICLES, TRAIN = 8, 0.6
EPOCHS, RUNGS = 15, 3
PACKAGES = ("nacsr", "torch", "numba", "brevitas", "numpy", "pymoo")
CLOCK = os.sysconf("SC_CLK_TCK")


class Clock(Silent):
    """Keeps the CPU seconds of a run, and of those before it in the same folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._runs: list[float] = json.loads(path.read_text()) if path.is_file() else []
        self._runs.append(0.0)
        self.trained: set[str] = set()

    @property
    def seconds(self) -> float:
        """Of all runs."""
        return sum(self._runs)

    def asked(self, family: str, phase: str, jobs: int) -> None:
        """A batch begins."""
        print(f"{self.seconds / 60:7.1f} CPU-min  {phase}, {jobs} jobs", flush=True)

    def done(self, job: Job, outcome: Outcome, *, replayed: bool) -> None:
        """A job ended."""
        if job.kind == "search":
            self.trained |= {json.dumps(n, sort_keys=True) for n in job.payload["networks"]}
        if not replayed:
            pids = [os.getpid(), *(p.pid for p in multiprocessing.active_children())]
            self._runs[-1] = max(self._runs[-1], sum(map(cpu_seconds, pids)))
            self._path.write_text(json.dumps(self._runs))


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of the children that it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0.0
    return sum(int(f) for f in fields[11:15]) / CLOCK


def budget(events: int, asked: argparse.Namespace) -> Budget:
    """Halving from one epoch to fifteen."""
    train = int(events * TRAIN)
    steps = EPOCHS * (train // batch_size(train))
    return Budget(
        evaluations=1,
        restarts=1,
        rows=1,
        taggers=1,
        population=asked.population,
        generations=asked.generations,
        search_steps=steps,
        finalists=asked.finalists,
        final_steps=2 * steps,
        picks=0,
        trials=0,
        rungs=RUNGS,
        factor=EPOCHS ** (1 / (RUNGS - 1)),
    )


def show(entry: Entry) -> str:
    """One design of the front."""
    value = {(m.metric, m.stage): m for m in entry.measurements if not m.label}
    test = value["accuracy", "test"]
    luts, dsps, cycles = (value[n, "csynth"].value for n in ("luts", "dsps", "latency_cycles"))
    bops = value.get(("bops", "architecture"))
    counted = f"{bops.value:,.0f}" if bops else "-"  # of lean and table networks none are
    return (
        f"{entry.id}  {test.value:.4f} ± {test.error:.4f}  {luts:10,.0f}  {dsps:6,.0f}  "
        f"{cycles:4.0f}  {counted:>12}  {entry.candidate.title}"
    )


def main() -> None:
    """Search, and print the front and what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jets", type=Path, nargs="?", default=JETS)
    parser.add_argument("--out", type=Path, default=Path("runs/paper_search"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--population", type=int, default=50)
    parser.add_argument("--generations", type=int, default=50)
    parser.add_argument("--finalists", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    begin = time.time()
    source = DatasetSpec(source=str(asked.jets), data="constituents", particles=PARTICLES)
    spec = StudySpec.model_validate(
        {
            "name": "paper search",
            "seed": asked.seed,
            "dataset": source,
            "families": {
                "expression": None,
                "linear": None,
                "tables": None,
                "trees": None,
                "network": "deepsets_jets",
            },
        }
    )
    jets = load(source)
    work = budget(len(jets.y), asked)
    print(f"{platform.machine()}, {asked.workers} workers, Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
    print(
        f"{len(jets.y):,} jets of {PARTICLES} x 3, {work.generations} generations of "
        f"{work.population}, {RUNGS} rungs, {work.search_steps} steps in the last"
    )
    asked.out.mkdir(parents=True, exist_ok=True)
    clock = Clock(asked.out / "cpu.json")
    front = Study(spec, asked.out, dataset=jets, budget=work).run(asked.workers, clock)
    print("id            test accuracy       LUT     DSP  cycles          BOP  architecture")
    for entry in front:
        print(show(entry))
    print(
        f"{len(clock.trained):,} different networks of {work.population * work.generations:,} "
        f"proposals; {clock.seconds / 3600:.2f} CPU-hours, "
        f"{(time.time() - begin) / 3600:.2f} hours since this start"
    )


if __name__ == "__main__":
    main()
