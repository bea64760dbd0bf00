"""What every emitted project has, whichever back end wrote its sources.

A back end fills a ``Draft`` with sources and calls ``save`` to write it in one step: either the
whole project appears, with a manifest of digests, or nothing does. C++ projects get their
common parts (text IR, testbench, vectors, Makefile, headers, README) from ``complete``; others
call ``add_vectors`` first and ``add_manifest`` last.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from nacsr.data.words import Feature
from nacsr.emit import vectors as vec
from nacsr.emit.ports import Port, Top, ctype, ports
from nacsr.emit.templates import render
from nacsr.errors import EmitError, FileError, FixedError
from nacsr.fixed import Fixed, Raw
from nacsr.ir import Graph, evaluate, parse, verify
from nacsr.resources import folder
from nacsr.tools.gxx import FLAGS
from nacsr.tools.headers import ap_types_files

__all__ = ["Draft", "Port", "Project", "ProjectMeta", "Top", "ctype", "is_project", "load", "ports"]

FORMAT = "nacsr-project 1"
MANIFEST = "manifest.json"
GRAPH = "graph.ir"
INPUT, EXPECTED, OUTPUT = "tb/input.txt", "tb/expected.txt", "tb/output.txt"


@dataclass(frozen=True, slots=True)
class ProjectMeta:
    """What a project says about itself, besides its graph.

    Attributes:
        name: of the project; made a safe identifier for the top function and file names.
        part: device part number, such as ``xcvu9p-flga2577-2-e``.
        target: name of the target, a key of ``TARGETS``.
        clock_mhz: the clock that the design is meant for.
        flow: the back end, a key of ``FLOWS``.
        features: names and word types of what arrives.
        classes: meaning of the outputs.
        scaling: ``folded`` (raw words arrive) or ``external`` (standardised words arrive).
        title: formula or architecture, for people.
        versions: further packages that shaped the design.
        options: of the back end, by name.
        bounds: proven largest absolute error by output, if there is one.
        ranges: (low, high) that inputs are clipped to, by name; the bounds speak of these.

    Raises:
        EmitError: for a part or a clock that no tool can take.
    """

    name: str
    part: str
    target: str
    clock_mhz: float
    flow: str
    features: tuple[Feature, ...]
    classes: tuple[str, ...] = ()
    scaling: str = "folded"
    title: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str | int] = field(default_factory=dict)
    bounds: Mapping[str, float] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9-]+", self.part):  # it goes into Tcl scripts
            msg = f"a part must be letters, digits and '-', such as xcvu9p-..., not {self.part!r}"
            raise EmitError(msg)
        if not 0 < self.clock_mhz < math.inf:
            msg = f"clock_mhz must be above 0, not {self.clock_mhz}"
            raise EmitError(msg)

    @property
    def period_ns(self) -> float:
        """The clock period in nanoseconds, to the picosecond that the tools read."""
        return round(1000.0 / self.clock_mhz, 3)


@dataclass(slots=True)
class Draft:
    """A project in memory: nothing is on disk before ``save``.

    Attributes:
        graph: the design, verified.
        meta: what the project says about itself.
        files: content by relative path.
        templates: digest of every template used.

    Raises:
        GraphError: if the graph is not valid.
        EmitError: if it has a port without words.
    """

    graph: Graph
    meta: ProjectMeta
    files: dict[str, bytes] = field(default_factory=dict)
    templates: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        verify(self.graph)

    def add(self, path: str, content: str | bytes) -> None:
        """Put a file into the project."""
        self.files[path] = content.encode() if isinstance(content, str) else content

    def add_tree(self, root: Path) -> None:
        """Put every file below ``root`` into the project, at the same relative path."""
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            self.add(path.relative_to(root).as_posix(), path.read_bytes())

    def render(self, path: str, template: str, **values: object) -> None:
        """Render a template of ``hls_templates`` into a file; its digest goes to the manifest."""
        text = (folder("hls_templates") / template).read_text(encoding="utf-8")
        self.templates[template] = _digest(text.encode())
        self.add(path, render(text, meta=self.meta, **values))

    def complete(self, top: Top, words: Mapping[str, Raw]) -> None:
        """Add what every C++ project has: IR, testbench, vectors, Makefile, headers and README.

        Args:
            top: how to call the design.
            words: raw words of every input port, shape (events, *shape).

        Raises:
            GraphError: if the words do not fit the ports.
            ToolError: if the ap_types headers are missing.
        """
        self.add_vectors(words)
        for path, content in ap_types_files().items():
            self.add(f"ap_types/{path}", content)
        testbench = f"tb/{top.function}_tb.cpp"
        self.render("nacsr_raw.h", "project/nacsr_raw.h")
        self.render(testbench, "project/testbench.cpp.j2", top=top)
        sources = (*top.sources, testbench)
        values = {"top": top, "sources": sources, "graph": self.graph, "flags": " ".join(FLAGS)}
        self.render("Makefile", "project/Makefile.j2", **values)
        self.render("README.md", "project/README.md.j2", **values)
        self.add_manifest(top, sources, (*top.includes, "ap_types"), "c++")

    def add_vectors(self, words: Mapping[str, Raw]) -> None:
        """Add the text IR, input words, and the output words that it gives for them.

        Raises:
            GraphError: if the words do not fit the ports.
        """
        expected = evaluate(self.graph, words)
        self.add(GRAPH, f"{self.graph}\n")
        self.add(INPUT, vec.show(vec.flatten(words, vec.input_layout(self.graph))))
        self.add(EXPECTED, vec.show(vec.flatten(expected, vec.output_layout(self.graph))))

    def add_manifest(
        self,
        top: Top,
        sources: Sequence[str],
        includes: Sequence[str],
        language: str,
        **facts: int,
    ) -> None:
        """Add the manifest, with the digests of all files added so far.

        Args:
            top: the design's ports and name.
            sources: files of design and testbench, relative to the project.
            includes: folders of headers, relative to the project.
            language: of the sources; it decides how a project is verified.
            facts: what the back end promises besides, such as ``latency_cycles``.
        """
        meta = self.meta
        manifest = {
            "format": FORMAT,
            "name": meta.name,
            "title": meta.title,
            "flow": meta.flow,
            "graph": self.graph.digest,
            "target": meta.target,
            "part": meta.part,
            "clock_mhz": meta.clock_mhz,
            "scaling": meta.scaling,
            "options": dict(meta.options),
            "bounds": dict(meta.bounds),
            "ranges": {name: list(ends) for name, ends in meta.ranges.items()},
            "features": [{"name": f.name, "type": str(f.type)} for f in meta.features],
            "classes": list(meta.classes),
            "top": top.function,
            "language": language,
            **facts,
            "sources": list(sources),
            "includes": list(includes),
            "inputs": [_port(p) for p in top.inputs],
            "outputs": [_port(p) for p in top.outputs],
            "versions": {"nacsr": version("nacsr"), **meta.versions},
            "templates": dict(sorted(self.templates.items())),
            "files": {path: _digest(data) for path, data in sorted(self.files.items())},
        }
        self.add(MANIFEST, json.dumps(manifest, indent=1) + "\n")

    def save(self, out: Path) -> Path:
        """Write the project to ``out`` in one step and return ``out``.

        An earlier project there is replaced; any other folder is left alone.

        Raises:
            EmitError: if ``out`` is something else.
            FileError: if it cannot be written.
        """
        out = Path(out)
        if os.path.lexists(out) and not is_project(out):
            msg = f"{out} exists and is no nacsr project; choose another folder or remove it"
            raise EmitError(msg)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
                fresh = Path(scratch) / "new"
                for path, data in self.files.items():
                    (fresh / path).parent.mkdir(parents=True, exist_ok=True)
                    (fresh / path).write_bytes(data)
                if out.exists():
                    out.rename(Path(scratch) / "old")
                fresh.rename(out)
        except OSError as error:
            msg = f"cannot write the project {out}: {error.strerror}; choose a writable folder"
            raise FileError(msg) from None
        return out


@dataclass(frozen=True, slots=True)
class Project:
    """A project read back: its graph, how to compile it, and which files were edited since."""

    root: Path
    manifest: Mapping[str, Any]
    graph: Graph
    edited: tuple[str, ...]

    @property
    def language(self) -> str:
        """``c++``, or ``verilog``; it decides how the project is verified."""
        return str(self.manifest.get("language", "c++"))

    @property
    def sources(self) -> list[Path]:
        """The files of design and testbench."""
        return [self.root / s for s in self.manifest["sources"]]

    @property
    def meta(self) -> ProjectMeta:
        """What the project says about itself.

        Raises:
            EmitError: if its manifest does not say it.
        """
        m = self.manifest
        try:
            return ProjectMeta(
                name=str(m["name"]),
                part=str(m["part"]),
                target=str(m["target"]),
                clock_mhz=float(m["clock_mhz"]),
                flow=str(m["flow"]),
                features=tuple(Feature(f["name"], Fixed.parse(f["type"])) for f in m["features"]),
                classes=tuple(m["classes"]),
                scaling=str(m["scaling"]),
                title=str(m["title"]),
                options=dict(m.get("options", {})),
                bounds={str(k): float(v) for k, v in m.get("bounds", {}).items()},
                ranges={str(k): (float(a), float(b)) for k, (a, b) in m.get("ranges", {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError, FixedError) as error:
            msg = f"{self.root}: {MANIFEST} is not whole ({error!r}); emit the project again"
            raise EmitError(msg) from None

    @property
    def includes(self) -> list[Path]:
        """The folders of headers."""
        return [self.root / s for s in self.manifest["includes"]]


def is_project(root: Path) -> bool:
    """Whether a folder holds a nacsr project, of any version."""
    try:
        data = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and str(data.get("format", "")).startswith("nacsr-project ")


def load(root: Path) -> Project:
    """Read a project and check it against the digests of its manifest.

    Raises:
        EmitError: if it is no project, not whole, or its graph or vectors were changed:
            then there is nothing to compare with. Changed sources are listed in ``edited``.
    """
    manifest = _read_manifest(root)
    changed = [p for p, digest in manifest["files"].items() if _file_digest(root / p) != digest]
    for path in (GRAPH, INPUT, EXPECTED):
        if path in changed or path not in manifest["files"]:
            msg = f"{root}: {path} does not match its digest in {MANIFEST}; emit the project again"
            raise EmitError(msg)
    graph = verify(parse((root / GRAPH).read_text(encoding="utf-8")))
    if graph.digest != manifest["graph"]:
        msg = f"{root}: {GRAPH} is not the graph that {MANIFEST} names; emit the project again"
        raise EmitError(msg)
    return Project(root, manifest, graph, tuple(changed))


def _read_manifest(root: Path) -> dict[str, Any]:
    path = root / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}; is {root} a project that nacsr emitted?"
        raise EmitError(msg) from None
    except ValueError as error:
        msg = f"{path} is not whole: {error}; emit the project again"
        raise EmitError(msg) from None
    found = data.get("format") if isinstance(data, dict) else None
    if found != FORMAT:
        msg = f"{path}: expected format {FORMAT!r}, found {found!r}; emit the project again"
        raise EmitError(msg)
    if not _well_formed(data):
        msg = f"{path}: an entry is missing or of the wrong kind; emit the project again"
        raise EmitError(msg)
    return dict(data)


def _well_formed(data: Mapping[str, Any]) -> bool:
    """Whether the entries used here are there; paths must stay inside the project."""
    files, graph = data.get("files"), data.get("graph")
    lists = [data.get("sources"), data.get("includes")]
    if not isinstance(files, dict) or not isinstance(graph, str):
        return False
    paths: list[object] = list(files)
    for entry in lists:
        if not isinstance(entry, list) or not entry:
            return False
        paths += entry
    return all(isinstance(p, str) and _inside(p) for p in paths)


def _inside(path: str) -> bool:
    return not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts


def _port(p: Port) -> dict[str, Any]:
    return {
        "name": p.name,
        "identifier": p.identifier,
        "type": str(p.type),
        "ctype": p.ctype,
        "shape": list(p.shape),
    }


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _file_digest(path: Path) -> str:
    try:
        return _digest(path.read_bytes())
    except OSError:
        return ""
