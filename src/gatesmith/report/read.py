"""Finds the result files of a folder; what can't be read, or comes from elsewhere, is named and not hidden."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatesmith.analysis.machine import this_machine
from gatesmith.analysis.results import RESULT_KEY, Result, gatesmith_version, load_result, read_json
from gatesmith.errors import InputError

SUMMARY = "summary.json"
"""The demo's own summary: plain figures under the names that issue and README use."""

OTHERS = ("manifest.json", "plan.json", "training.json")
"""JSON files that belong to other stages and are no results."""

KINDS = ("footprint", "profile", "hardware", "inspection")

LARGEST_FILE = 256 * 2**20
"""A larger file is no result of gatesmith; it is named, not read."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """One result and where it came from.

    Attributes:
        note: what a reader must know of its origin, such as another machine; empty for nothing.
    """

    file: str
    result: Result
    note: str = ""

    @property
    def machine(self) -> str:
        """Processor and cores that it was made on."""
        values = self.result.machine
        return f"{values.get('processor', 'unknown processor')}, {values.get('cores', '?')} cores"


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything that a folder holds.

    Attributes:
        results: in the order of their kinds, then of their file names.
        summary: the demo's summary; empty without one.
        problems: one sentence for each file that was left out.
    """

    folder: str
    results: tuple[Found, ...]
    summary: Mapping[str, Any]
    problems: tuple[str, ...]

    def of_kind(self, kind: str) -> tuple[Found, ...]:
        return tuple(found for found in self.results if found.result.kind == kind)


def read_results(folder: str | Path) -> Findings:
    """Read every JSON file of a folder, untrusted, and sort results from everything else.

    Raises:
        InputError: there is no such folder, or no result in it and nothing to report about.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; expected one with result files of gatesmith")
    results: list[Found] = []
    problems: list[str] = []
    summary: Mapping[str, Any] = {}
    for path in sorted(folder.glob("*.json"), key=lambda path: path.stem):
        if path.name in OTHERS:
            continue
        try:
            content = _content(path)
            if path.name == SUMMARY and RESULT_KEY not in content:
                summary = content
            else:
                results.append(Found(file=path.name, result=_known(path)))
        except InputError as error:
            problems.append(str(error))
    if not results and not summary and not problems:
        raise InputError(
            f"{folder} holds no result files; make some with `gatesmith footprint`, `profile` or `inspect`"
        )
    results.sort(key=lambda found: KINDS.index(found.result.kind))
    return Findings(
        folder=folder.name or str(folder),
        results=tuple(_with_origin(found) for found in results),
        summary=summary,
        problems=tuple(problems),
    )


def _content(path: Path) -> dict[str, Any]:
    if path.stat().st_size > LARGEST_FILE:
        raise InputError(f"{path.name} is larger than {LARGEST_FILE >> 20} MiB; expected a result file of gatesmith")
    return read_json(path)


def _known(path: Path) -> Result:
    result = load_result(path)
    if result.kind not in KINDS:
        raise InputError(f"{path.name} is a result of kind {result.kind!r}; this gatesmith knows {', '.join(KINDS)}")
    return result


def _with_origin(found: Found) -> Found:
    """Name a machine and a version that are not those of this page, so that nobody compares blindly."""
    notes: list[str] = []
    machine, version = found.machine, found.result.gatesmith
    if machine != this_machine().name:
        notes.append(f"made on another machine ({machine})")
    if version != gatesmith_version():
        notes.append(f"made by another version of gatesmith ({version})")
    return Found(file=found.file, result=found.result, note="; ".join(notes))
