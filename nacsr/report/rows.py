"""The front as rows of plain values: every view (table, page, picture, JSON) shows these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nacsr.archive import HARDWARE, Archive, Entry
from nacsr.compiler import Setting
from nacsr.cost import share, within
from nacsr.emit import default_flow
from nacsr.measure import Measurement
from nacsr.targets import target as find_target

CAVEAT = (
    "LUTs at csynth stage overstate what a placed design needs, expressions (3-5x) more than "
    "networks (about 2x): ranking both families by them favours networks."
)


@dataclass(frozen=True, slots=True)
class Row:
    """One design of a front.

    Numbers are None where nothing measured them. ``accuracy_stage`` says which events the
    accuracy was read on; ``hardware`` which method, stage, part and clock the resources
    speak of; ``bands`` the known half-widths of the resource numbers.
    """

    id: str
    family: str
    title: str
    flow: str
    accuracy: float | None
    accuracy_error: float | None
    accuracy_stage: str
    auc: Mapping[str, float]
    auc_error: Mapping[str, float]
    luts: float | None
    dsps: float | None
    ffs: float | None
    brams: float | None
    latency_cycles: float | None
    ii_cycles: float | None
    bands: Mapping[str, float]
    percent: Mapping[str, float]
    hardware: str
    scaling: str
    mismatches: int | None
    verified: str
    digest: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def rows(
    front: Sequence[Entry], setting: Setting, method: str = "analytic", stage: str = "csynth"
) -> list[Row]:
    """Rows for the designs of a front, in its order."""
    return [_row(entry, setting, method, stage) for entry in front]


def setting_of(archive: Archive) -> Setting:
    """Ports, device and clock of a run."""
    return Setting.from_json(archive.meta("setting") or "{}")


def beyond(
    archive: Archive, setting: Setting, limits: Mapping[str, float], method: str, stage: str
) -> dict[str, str]:
    """Designs that no front may hold because they break a limit: id -> which, in words."""
    found = {}
    for entry in archive.entries(designs_only=True):
        known = {n: m.value for n in HARDWARE if (m := entry.find(n, method, stage)) is not None}
        broken = within(known, find_target(setting.target), limits)
        if broken:
            found[entry.id] = f"{entry.candidate.title}: {'; '.join(broken)}"
    return found


def _row(entry: Entry, setting: Setting, method: str, stage: str) -> Row:
    accuracy, events = _accuracy(entry)
    hardware = {name: entry.find(name, method, stage) for name in HARDWARE}
    known = {n: m for n, m in hardware.items() if m is not None}
    aucs = {c: entry.find("auc", "interpreter", events, c) for c in setting.classes}
    check = entry.find("mismatches", "g++", "csim")
    graph = entry.graph
    return Row(
        id=entry.id,
        family=entry.candidate.family,
        title=entry.candidate.title,
        flow=default_flow(graph),
        accuracy=None if accuracy is None else accuracy.value,
        accuracy_error=None if accuracy is None else accuracy.error,
        accuracy_stage=events,
        auc={c: m.value for c, m in aucs.items() if m is not None},
        auc_error={c: m.error for c, m in aucs.items() if m is not None and m.error is not None},
        bands={n: m.error for n, m in known.items() if m.error is not None},
        percent=share({n: m.value for n, m in known.items()}, find_target(setting.target)),
        hardware=_provenance(known),
        scaling=setting.scaling,
        mismatches=None if check is None else int(check.value),
        verified="" if check is None else f"{check.target}, {check.tool}",
        digest=graph.digest,
        **{name: None if m is None else m.value for name, m in hardware.items()},
    )


def _accuracy(entry: Entry) -> tuple[Measurement | None, str]:
    """The accuracy on test events, or on validation events before the end of a study."""
    for stage in ("test", "validation"):
        found = entry.find("accuracy", "interpreter", stage)
        if found is not None:
            return found, stage
    return None, "validation"


def _provenance(known: Mapping[str, Measurement]) -> str:
    said = {f"{m.method}, {m.stage}, {m.tool}, {m.target}" for m in known.values()}
    return "; ".join(sorted(said))
