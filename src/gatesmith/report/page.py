"""One self-contained HTML page from a folder of results: readable offline, by keyboard, on paper and on a phone."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from gatesmith.errors import MissingToolError
from gatesmith.files import write_atomically
from gatesmith.report.answers import Answer, answers
from gatesmith.report.figures import Figure
from gatesmith.report.read import Findings, Found, read_results
from gatesmith.report.sections import Section, sections

PARTS = Path(__file__).parent / "page"

SHOWN_UNITS, SHOWN_STEPS, SHOWN_SEQUENCES = 128, 1000, 16
"""At most so much of the gates goes into the page; the npz file beside it has the rest."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """A script of the page, and the hash by which the page's own policy lets it run."""

    text: str

    @property
    def hash(self) -> str:
        return "sha256-" + base64.b64encode(hashlib.sha256(self.text.encode()).digest()).decode()


def write_report(folder: str | Path, path: str | Path | None = None) -> Path:
    """Write the page about all result files of a folder.

    Args:
        folder: with the JSON and npz files that ``footprint``, ``profile``, ``inspect`` and ``demo`` leave.
        path: of the page; ``report.html`` in the folder if None.

    Returns:
        The path of the page.

    Raises:
        InputError: the folder is missing or holds no results.
        OutputError: the page can't be written.
        MissingToolError: plotly or jinja2 is not installed.
    """
    findings = read_results(folder)
    path = Path(folder) / "report.html" if path is None else Path(path)
    write_atomically(path, render(findings))
    return path


def render(findings: Findings) -> str:
    """The page as text. Whatever comes from a file is escaped, by the template or as JSON."""
    template, findings = _template(), _usable(findings)
    parts = sections(findings)
    figures = [figure for section in parts for figure in section.figures]
    data = _as_json({"figures": {figure.id: _drawn(figure) for figure in figures}, "gates": _explorers(findings)})
    scripts = [Script(text=_plotly()), Script(text=(PARTS / "page.js").read_text(encoding="utf-8"))]
    return template.render(
        title=_title(findings),
        findings=findings,
        answers=answers(findings),
        sections=parts,
        explorers=[name for name, _ in _inspections(findings)],
        style=(PARTS / "style.css").read_text(encoding="utf-8"),
        scripts=scripts,
        data=data,
        policy=" ".join(f"'{script.hash}'" for script in scripts),
    )


def _usable(findings: Findings) -> Findings:
    """Without the results that don't hold what their kind should, which become problems."""
    problems, usable = list(findings.problems), list[Found]()
    for found in findings.results:
        alone = replace(findings, results=(found,), summary={})
        try:
            for build in (sections, answers, _explorers):
                build(alone)
            usable.append(found)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            problems.append(
                f"{found.file} is no proper {found.result.kind} ({type(error).__name__}: {error}); make it again"
            )
    return replace(findings, results=tuple(usable), problems=tuple(problems))


def _title(findings: Findings) -> str:
    titles = [found.result.title for found in findings.results if found.result.title]
    return titles[0] if titles else findings.folder


def _drawn(figure: Figure) -> dict[str, Any]:
    return {"data": _plain(figure.data), "layout": _plain(figure.layout)}


def _plain(value: Any) -> Any:
    """Strings as Plotly shows them unchanged: it reads some HTML in every string but our own hover templates."""
    if isinstance(value, str):
        return value.replace("&", "&amp;").replace("<", "&lt;")
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {key: item if key == "hovertemplate" else _plain(item) for key, item in items}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[Any]", value)]
    return value


def _inspections(findings: Findings) -> list[tuple[str, Found]]:
    return [(f"gates-{at}", found) for at, found in enumerate(findings.of_kind("inspection")) if found.result.arrays]


def _explorers(findings: Findings) -> dict[str, Any]:
    """What the page's script needs to draw any gate of any sequence: float32 arrays as base64."""
    return {name: _explorer(found) for name, found in _inspections(findings)}


def _explorer(found: Found) -> dict[str, Any]:
    data, arrays = found.result.data, found.result.arrays
    signals = {name: array for name, array in arrays.items() if re.fullmatch(r"(float|fixed)_\d+_[ifgoch]", name)}
    cut = {
        name: np.ascontiguousarray(array[:SHOWN_STEPS, :SHOWN_SEQUENCES, :SHOWN_UNITS], "<f4")
        for name, array in signals.items()
        if array.ndim == 3
    }
    sequences = min((array.shape[1] for array in cut.values()), default=0)
    return {
        "lengths": [min(int(length), SHOWN_STEPS) for length in data["lengths"][:sequences]],
        "cells": [f"layer {cell['layer']}, {cell['direction']}" for cell in data["cells"]],
        "fixed": bool(data["fixed_cells"]),
        "arrays": {
            name: {"shape": list(array.shape), "data": base64.b64encode(array.tobytes()).decode()}
            for name, array in cut.items()
        },
    }


def _as_json(values: Mapping[str, Any]) -> str:
    """JSON that can stand inside a script element: no character of it can end the element."""
    text = json.dumps(values, separators=(",", ":"), default=asdict)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _plotly() -> str:
    """The plotting library's own text, about 5 MB, so that the page needs no network."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise MissingToolError("writing the report needs plotly; install gatesmith[report]") from None
    return str(get_plotlyjs())


@cache
def _template() -> Any:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise MissingToolError("writing the report needs jinja2; install gatesmith[report]") from None
    environment = Environment(
        loader=FileSystemLoader(PARTS), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html")


__all__ = ["Answer", "Section", "render", "write_report"]
