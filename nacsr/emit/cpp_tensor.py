"""C++ of the ops on tensors: layers, pooling, reductions and wiring.

Everything is a loop over constant bounds and constant integer arrays, marked to be unrolled:
the design takes a new event every clock, and a compiler without that goal sees small code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nacsr.emit.cpp_parts import (
    Row,
    Site,
    affine,
    array,
    flat,
    from_raw,
    integers,
    loop,
    nest,
    result,
)
from nacsr.emit.vectors import size
from nacsr.ir.tensor import sources

AXES = (("r", "c"), ("a", "b"), ("y", "x"))
"""Endings of index variables: place of the window, place inside it, place in the image."""

JOINS = {
    "sum": "{a} = {a} + {b};",
    "max": "if ({b} > {a}) {a} = {b};",
    "min": "if ({b} < {a}) {a} = {b};",
}


# --- dense and convolution -------------------------------------------------------------


def _dense(site: Site) -> list[str]:
    inputs, outputs = site.op.array("weight").shape
    places = f"{site.name}_p"
    outer = [(places, size(site.op.shape[:-1]))] if len(site.op.shape) > 1 else []
    indices = [name for name, _ in outer]
    sizes = [count for _, count in outer]
    factor = site.arg(0, flat([*indices, "i"], [*sizes, inputs]))
    target = flat([*indices, "j"], [*sizes, outputs])
    inner = [("i", inputs)]
    return _sums(site, [*outer, ("j", outputs)], inner, [f"{_total(site)} += {factor} *"], target)


def _conv(site: Site) -> list[str]:
    """Zeros around the image are left out of the sums instead of being stored."""
    weight = site.op.array("weight")
    rank = weight.ndim - 2
    view = _View(site, weight.shape[:rank], site.op.array("padding")[:, 0].tolist())
    *_, channels, outputs = weight.shape
    inner = [*view.inner, ("i", channels)]
    body = [*view.coordinates, f"{view.guard}{_total(site)} += {view.element} *"]
    target = flat([*view.places, "j"], site.op.shape)
    return _sums(site, [*view.outer, ("j", outputs)], inner, body, target)


def _total(site: Site) -> str:
    return f"{site.name}_sum"


def _sums(
    site: Site,
    outer: Sequence[tuple[str, int]],
    inner: Sequence[tuple[str, int]],
    product: Sequence[str],
    target: str,
) -> list[str]:
    """One sum for every output: the bias, and for every input a product.

    The accumulator wraps inside its exact type: the sum is exact whatever the order.

    Args:
        site: a dense or conv op.
        outer: loops over the outputs, the last over ``j``, the output channel.
        inner: loops over the inputs of an output, in the order of the weights.
        product: statements whose last one lacks the weight to multiply with.
        target: place of the output.
    """
    op, name = site.op, site.name
    outputs = outer[-1][1]
    place = flat([*(i for i, _ in inner), "j"], [*(n for _, n in inner), outputs])
    weight = from_raw(op.fixed("weight_type"), f"{name}_weight[{place}]")
    start = from_raw(op.fixed("bias_type"), f"{name}_bias[j]")
    body = [f"{site.type} {_total(site)} = {start};"]
    body += nest(inner, [*product[:-1], f"{product[-1]} {weight};"])
    body.append(f"{name}[{target}] = {_total(site)};")
    return [
        *integers(f"{name}_weight", op.array("weight")),
        *integers(f"{name}_bias", op.array("bias")),
        *result(site),
        *nest(outer, body),
    ]


@dataclass(frozen=True, slots=True)
class _View:
    """A window that moves over an image of shape (length, channels) or (height, width, channels).

    Attributes:
        site: an op with a stride.
        window: its extent along each axis.
        before: zeros in front of each axis.
    """

    site: Site
    window: Sequence[int]
    before: Sequence[int]

    def _names(self, row: int) -> list[str]:
        return [f"{self.site.name}_{ending}" for ending in AXES[row][: len(self.window)]]

    @property
    def places(self) -> list[str]:
        """Index variables of the window's place."""
        return self._names(0)

    @property
    def outer(self) -> list[tuple[str, int]]:
        """Loops over the places."""
        return list(zip(self.places, self.site.op.shape[:-1], strict=True))

    @property
    def inner(self) -> list[tuple[str, int]]:
        """Loops inside the window."""
        return list(zip(self._names(1), self.window, strict=True))

    @property
    def coordinates(self) -> list[str]:
        """Where in the image an element of the window lies."""
        stride = self.site.op.array("stride").tolist()
        columns = zip(self._names(2), self.places, self._names(1), stride, self.before, strict=True)
        return [
            f"const int {name} = {affine(place, step)} + {offset}{f' - {zeros}' if zeros else ''};"
            for name, place, offset, step, zeros in columns
        ]

    @property
    def guard(self) -> str:
        """A condition that the element is no zero of the padding, if there is any."""
        padding = self.site.op.array("padding").tolist()
        inside = []
        columns = zip(self._names(2), self.site.args[0].shape, padding, strict=False)
        for name, count, (before, after) in columns:
            inside += [f"{name} >= 0"] if before else []
            inside += [f"{name} < {count}"] if after else []
        return f"if ({' && '.join(inside)}) " if inside else ""

    @property
    def element(self) -> str:
        """The element of channel ``i``."""
        return self.site.arg(0, flat([*self._names(2), "i"], self.site.args[0].shape))


# --- pooling, reductions, argmax -------------------------------------------------------


def _pool(site: Site) -> list[str]:
    window = site.op.array("window").tolist()
    view = _View(site, window, [0] * len(window))
    place = flat([index for index, _ in view.inner], window)
    collect = nest(view.inner, [*view.coordinates, f"{site.name}_part[{place}] = {view.element};"])
    outer = [*view.outer, ("i", site.op.shape[-1])]
    target = flat([*view.places, "i"], site.op.shape)
    return _folds(site, outer, math.prod(window), collect, target)


def _reduce(site: Site) -> list[str]:
    axis, shape = site.op.integer("axis"), site.args[0].shape
    before, count, after = size(shape[:axis]), shape[axis], size(shape[axis + 1 :])
    place = f"{site.name}_p"
    element = site.arg(0, flat([place, "j", "i"], [before, count, after]))
    collect = loop("j", count, [f"{site.name}_part[j] = {element};"])
    outer = [(index, n) for index, n in ((place, before), ("i", after)) if n > 1]
    return _folds(site, outer, count, collect, flat([place, "i"], [before, after]))


def _folds(
    site: Site,
    outer: Sequence[tuple[str, int]],
    count: int,
    collect: Sequence[str],
    target: str,
) -> list[str]:
    """For every output ``count`` parts are collected and joined two by two."""
    part = f"{site.name}_part"
    join = JOINS[str(site.op.attrs["kind"])]
    value = f"{site.name}[{target}]" if site.op.shape else site.name
    body = [
        *array(part, site.op.type, count),
        *collect,
        *tree(count, [join.format(a=f"{part}[j]", b=f"{part}[j + {{step}}]")]),
        f"{value} = {part}[0];",
    ]
    return [*result(site), *nest(outer, body)]


def tree(count: int, join: Sequence[str]) -> list[str]:
    """``count`` values joined two by two into the first: a balanced tree, earlier ones left.

    Args:
        count: how many.
        join: statements that join place ``j + {step}`` into place ``j``.
    """
    lines: list[str] = []
    step = 1
    while step < count:
        body = [line.replace("{step}", str(step)) for line in join]
        lines += loop("j", count - step, body, step=2 * step)
        step *= 2
    return lines


def _argmax(site: Site) -> list[str]:
    """The first of equal maxima wins."""
    count, top, at = size(site.args[0].shape), f"{site.name}_max", f"{site.name}_at"
    best = [f"if ({top}[j + {{step}}] > {top}[j]) {{"]
    best += [f"    {a}[j] = {a}[j + {{step}}];" for a in (top, at)]
    return [
        *array(top, site.args[0].type.plain(), count),
        *array(at, site.op.type, count),
        *loop("i", count, [f"{top}[i] = {site.arg(0)};", f"{at}[i] = {site.type}(i);"]),
        *tree(count, [*best, "}"]),
        f"const {site.type} {site.name} = {at}[0];",
    ]


# --- wiring ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring words of a result that come from evenly spaced words of one argument.

    Attributes:
        start: first place in the result.
        count: how many.
        arg: number of the argument, -1 for zeros.
        first: place of the first word in the argument.
        step: distance of the next ones.
    """

    start: int
    count: int
    arg: int
    first: int
    step: int


def runs(number: Sequence[int], place: Sequence[int]) -> Iterator[Run]:
    """The runs of a wiring op, from its flat sources.

    >>> [(r.start, r.count, r.first, r.step) for r in runs([0] * 5, [4, 2, 0, 7, 7])]
    [(0, 3, 4, -2), (3, 2, 7, 0)]
    """
    start = 0
    while start < len(place):
        arg = number[start] if place[start] >= 0 else -1
        stop, step = start + 1, 0
        while stop < len(place):
            other = number[stop] if place[stop] >= 0 else -1
            gap = place[stop] - place[stop - 1]
            if other != arg or (stop > start + 1 and gap != step):
                break
            stop, step = stop + 1, gap
        yield Run(start, stop - start, arg, place[start], step)
        start = stop


def _wiring(site: Site) -> list[str]:
    number, place = (part.ravel().tolist() for part in sources(site.op, site.args))
    if not site.op.shape:
        (run,) = runs(number, place)
        return [f"const {site.type} {site.name} = {_word(site, run, 0)};"]
    lines = result(site)
    for run in runs(number, place):
        if run.count <= 2:  # no shorter as a loop
            lines += [
                f"{site.name}[{run.start + k}] = {_word(site, run, k)};" for k in range(run.count)
            ]
        else:
            target = affine("i", 1, run.start)
            source = "0" if run.arg < 0 else site.arg(run.arg, affine("i", run.step, run.first))
            lines += loop("i", run.count, [f"{site.name}[{target}] = {source};"])
    return lines


def _word(site: Site, run: Run, k: int) -> str:
    return "0" if run.arg < 0 else site.arg(run.arg, str(run.first + k * run.step))


TENSOR_ROWS: Mapping[str, Row] = {
    "dense": _dense,
    "conv": _conv,
    "pool": _pool,
    "reduce": _reduce,
    "reshape": _wiring,
    "take": _wiring,
    "concat": _wiring,
    "stack": _wiring,
    "argmax": _argmax,
}
