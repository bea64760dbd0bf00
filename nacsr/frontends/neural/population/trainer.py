"""Training a whole generation: packed where the networks allow it, else one by one in torch.

All ways take the same batches in the same order and do the same arithmetic, up to the order of
sums. Packed or in torch, a network's result does not depend on what is trained beside it; padded,
for a GPU, its last bits may, see ``padded``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.neural.model import Parameters, free, run
from nacsr.frontends.neural.plan import FAULTS, Plan, TrainingError, snapper
from nacsr.frontends.neural.population.adamw import Descent
from nacsr.frontends.neural.space import Network

if TYPE_CHECKING:
    import torch

    from nacsr.frontends.neural.goal import Rows
    from nacsr.frontends.neural.population.kernels import Reals
    from nacsr.frontends.neural.population.program import Grids, Program

CHUNK = 16
"""Networks that share a batch while it is in the cache; more of them gain nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What every network of a generation is shown.

    Attributes:
        rows: events and the loss.
        order: which of them make each step's batch, shape (steps, batch).
        rates: learning rate of every step.
        decay: of weights, as of AdamW.
        l1: weight of the sum of all parameters' absolute values in the loss.
        sparse: whether parameters that are zero stay zero, as those of a pruned network.
    """

    rows: Rows
    order: NDArray[np.int64]
    rates: NDArray[np.float64]
    decay: float
    l1: float = 0.0
    sparse: bool = False


Learnt = list[tuple["torch.Tensor", ...]]


def device() -> str | None:
    """The GPU, if torch finds one, for ``fit``.

    Workers are spawned, not forked, so each begins CUDA for itself; they share the GPU. Which
    device trained is not recorded: a measurement is of parameters, bit-true, whoever found them.
    """
    import torch

    return "cuda" if torch.cuda.is_available() else None


def fit(
    networks: Sequence[Network],
    params: Sequence[Parameters],
    lesson: Lesson,
    plans: Sequence[Plan] = (),
    device: str | None = None,
) -> list[Learnt | TrainingError]:
    """Train networks with inputs of one shape.

    Args:
        networks: what to train.
        params: where each begins; left as they are.
        lesson: batches and rates.
        plans: types of quantisers, one plan a network; without them they train in float.
        device: of torch, on which perceptrons and deep sets train padded; None packs them on the
            CPU, as convolutions always are.

    Returns:
        For every network its parameters, or why it has none.
    """
    found: dict[int, Learnt | TrainingError] = {}
    for some, there in _groups(networks, device):
        mine = [plans[i] for i in some] if plans else []
        results = _together(
            [networks[i] for i in some], [params[i] for i in some], lesson, mine, there
        )
        found.update(zip(some, results, strict=True))
    for i, network in enumerate(networks):
        if i not in found:
            found[i] = alone(network, params[i], lesson, plans[i] if plans else None)
    return [found[i] for i in range(len(networks))]


def _groups(networks: Sequence[Network], device: str | None) -> list[tuple[list[int], str | None]]:
    """Who trains together, and on which device, None being packed; others train alone."""
    from nacsr.frontends.neural.population import pack, padded

    together = [i for i, n in enumerate(networks) if pack.packs(n)]
    forms: dict[tuple[bool, ...], list[int]] = {}
    for i in together if device is not None else ():
        if padded.pads(networks[i]):
            forms.setdefault(padded.form(networks[i]), []).append(i)
    there = {i for some in forms.values() for i in some}
    here = [i for i in together if i not in there]
    chunks = [here[begin : begin + CHUNK] for begin in range(0, len(here), CHUNK)]
    return [*((some, device) for some in forms.values()), *((some, None) for some in chunks)]


def _together(
    networks: Sequence[Network],
    params: Sequence[Parameters],
    lesson: Lesson,
    plans: Sequence[Plan],
    device: str | None,
) -> list[Learnt | TrainingError]:
    """At once; if that ends early, each by itself, so that only those fail that are at fault."""
    try:
        return _at_once(networks, params, lesson, plans, device)
    except FAULTS as error:
        if len(networks) == 1:
            return [TrainingError.of(error)]
    found: list[Learnt | TrainingError] = []
    for i in range(len(networks)):
        one = slice(i, i + 1)
        found += _together(networks[one], params[one], lesson, plans[one], device)
    return found


def _at_once(
    networks: Sequence[Network],
    params: Sequence[Parameters],
    lesson: Lesson,
    plans: Sequence[Plan],
    device: str | None,
) -> list[Learnt | TrainingError]:
    from nacsr.frontends.neural.population import pack, padded

    made = pack.program(networks, norms=not plans)
    grids = pack.grids(networks, plans) if plans else pack.no_grids(made)
    flat = [pack.flat(n, p) for n, p in zip(networks, params, strict=True)]
    values = np.concatenate(flat)
    losses = np.zeros((len(networks), len(lesson.order)))
    if device is None:
        _packed(made, grids, lesson, values, losses)
    else:
        padded.train(made, grids, lesson, values, losses, device)
    ends = np.cumsum([len(f) for f in flat])[:-1]
    return [
        _diverged(loss) or pack.split(network, mine, norms=not plans)
        for network, mine, loss in zip(networks, np.split(values, ends), losses, strict=True)
    ]


def _packed(
    made: Program, grids: Grids, lesson: Lesson, values: Reals, losses: NDArray[np.float64]
) -> None:
    import scipy.linalg.cython_blas  # noqa: F401  numba's BLAS, before its threads are limited
    from threadpoolctl import threadpool_limits

    from nacsr.frontends.neural.population import pack, steps

    rows = lesson.rows
    events = len(rows.x)
    weights = np.ones(events, np.float32) if rows.weights is None else rows.weights.numpy()
    with threadpool_limits(1):
        steps.train(
            made,
            grids,
            pack.room(made, lesson.order.shape[1]),
            goal_of(rows),
            rows.x.numpy(),
            rows.y.numpy().astype(np.float32).reshape(events, -1),
            weights,
            lesson.order,
            lesson.rates,
            lesson.decay,
            lesson.l1,
            lesson.sparse,
            values,
            np.zeros_like(values),
            np.zeros_like(values),
            losses,
        )


def goal_of(rows: Rows) -> int:
    """The number of the loss, see ``steps``."""
    from nacsr.frontends.neural.population import steps

    if rows.units is not None:
        return steps.SQUARES
    return steps.LOGISTIC if rows.outputs == 1 else steps.CROSS_ENTROPY


def _diverged(losses: NDArray[np.float64]) -> TrainingError | None:
    bad = np.flatnonzero(~np.isfinite(losses))
    return _error(float(losses[bad[0]]), int(bad[0]), len(losses)) if len(bad) else None


def _error(loss: float, step: int, steps: int) -> TrainingError:
    return TrainingError(f"training diverged: the loss is {loss} at step {step} of {steps}")


def alone(
    network: Network, params: Parameters, lesson: Lesson, plan: Plan | None = None
) -> Learnt | TrainingError:
    """Train one network in torch: the reference, and the way of networks with attention."""
    learnt = [tuple(t.clone().requires_grad_() for t in mine) for mine in params]
    snap = free if plan is None else snapper(plan)
    try:
        descend(
            [t for mine in learnt for t in mine], lambda x: run(network, learnt, x, snap), lesson
        )
    except FAULTS as error:
        return TrainingError.of(error)
    return [tuple(t.detach() for t in mine) for mine in learnt]


def descend(
    parameters: Iterable[torch.Tensor],
    forward: Callable[[torch.Tensor], torch.Tensor],
    lesson: Lesson,
) -> None:
    """Minimise the loss in place.

    Raises:
        TrainingError: if the loss becomes infinite or NaN.
    """
    import torch

    learnt = list(parameters)
    masks = [p.detach() != 0 for p in learnt] if lesson.sparse else []
    descent = Descent(learnt, masks, lesson.decay, lesson.l1)
    rows, count = lesson.rows, len(lesson.order)
    for step, (order, rate) in enumerate(zip(lesson.order, lesson.rates, strict=True)):
        index = torch.from_numpy(order)
        loss = rows.loss(forward(rows.x[index]), index)
        if not math.isfinite(loss.item()):
            raise _error(loss.item(), step, count)
        descent.step(loss, float(rate))
