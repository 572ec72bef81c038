"""The frozen plan of formats between real numbers and integers: of every cell, and of a classifier's head."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar, cast

from gatesmith.errors import FormatError
from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.linear import LinearPlan
from gatesmith.fixed.qformat import QFormat
from gatesmith.fixed.support import clip_code, effective_peepholes
from gatesmith.spec import LSTMSpec


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The formats of every cell of an LSTM, in the order of :meth:`LSTMSpec.cells`, and of a classifier's head.

    All directions of a layer share their h format, so that the layer's output has one format.
    """

    cells: tuple[CellPlan, ...]
    head: LinearPlan | None = None

    def __post_init__(self) -> None:
        if not self.cells:
            raise FormatError("the plan has no cells; expected one for each layer and direction")

    def require(self, spec: LSTMSpec) -> None:
        """Check that the plan belongs to ``spec``.

        Raises:
            FormatError: the number of cells or a size differs, directions of one layer differ in h's format, or the
                head has a clip.
        """
        cells = spec.cells()
        if len(cells) != len(self.cells):
            raise FormatError(f"the plan has {len(self.cells)} cells; expected {len(cells)} for {spec}")
        for (layer, _, name), cell in zip(cells, self.cells, strict=True):
            sizes, expected = (cell.input_size, cell.hidden_size), (spec.layer_input_size(layer), spec.hidden_size)
            if sizes != expected:
                raise FormatError(f"the plan of cell {name} has (D, H) = {sizes}; expected {expected}")
            _require_variant(name, cell, spec)
            first = self.cells[layer * spec.num_directions]
            if cell.y_format != first.y_format or cell.x_format != first.x_format:
                raise FormatError(
                    f"the plan of cell {name} has x in {cell.x_format} and h in {cell.y_format}; expected"
                    f" {first.x_format} and {first.y_format}, the same for both directions of a layer"
                )

        if self.head:
            features, form = spec.num_directions * spec.output_size, self.y_format
            if self.head.input_size != features or self.head.x_format != form:
                raise FormatError(
                    f"the plan of the head reads {self.head.input_size} features in {self.head.x_format}; expected"
                    f" {features} in {form}"
                )
            if self.head.y_clip:
                raise FormatError(
                    f"the plan of the head has y_clip {self.head.y_clip}; expected 0: scores have no clip"
                )

    @property
    def x_format(self) -> QFormat:
        """Of the first layer's input."""
        return self.cells[0].x_format

    @property
    def y_format(self) -> QFormat:
        """Of the last layer's output."""
        return self.cells[-1].y_format

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; :meth:`from_dict` reads them back."""
        cells = {"cells": [asdict(cell) for cell in self.cells]}
        return cells | ({"head": asdict(self.head)} if self.head else {})

    @classmethod
    def from_dict(cls, values: object) -> "Plan":
        """Build a plan from plain, untrusted values.

        Raises:
            FormatError: a field is missing, unknown or impossible.
        """
        given = _object("the plan", values)
        if set(given) - {"head"} != {"cells"} or not isinstance(given["cells"], list):
            raise FormatError(f"the plan has the fields {', '.join(sorted(given)) or 'none'}; expected a list 'cells'")
        cells = cast("list[object]", given["cells"])
        return cls(
            cells=tuple(_cell_from(f"cell {at} of the plan", cell) for at, cell in enumerate(cells)),
            head=_plan_from(LinearPlan, "the head of the plan", given["head"]) if "head" in given else None,
        )

    def to_json(self) -> str:
        """Indented JSON, the same text for equal plans."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Read what :meth:`to_json` wrote; the text is untrusted.

        Raises:
            FormatError: as :meth:`from_dict`, or the text is no JSON.
        """
        try:
            values: object = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"the plan is not valid JSON ({error}); expected an object") from None
        return cls.from_dict(values)


def _require_variant(name: str, cell: CellPlan, spec: LSTMSpec) -> None:
    projection = cell.projection
    for what, given, expected in (
        ("proj_size", projection.output_size if projection else 0, spec.proj_size),
        ("proj_clip", projection.y_clip if projection else 0, clip_code(spec.proj_clip, cell.y_format)),
        ("peepholes of", cell.peepholes, effective_peepholes(spec)),
        ("z_clip", cell.z_clip, clip_code(spec.gate_clip, cell.z_format)),
        ("c_clip", cell.c_clip, clip_code(spec.cell_clip, cell.c_format)),
    ):
        if given != expected:
            raise FormatError(f"the plan of cell {name} has {what} {given!r}; expected {expected!r} for {spec}")


P = TypeVar("P", CellPlan, LinearPlan)


def _cell_from(what: str, values: object) -> CellPlan:
    given = _object(what, values)
    if given.get("projection") is not None:
        given["projection"] = _plan_from(LinearPlan, f"the projection of {what}", given["projection"])
    return _plan_from(CellPlan, what, given)


def _plan_from(kind: type[P], what: str, values: object) -> P:
    given = _object(what, values)
    known = [field.name for field in fields(kind)]
    for name in given:
        if name not in known:
            raise FormatError(f"{what} has an unknown field {name!r}; expected {', '.join(known)}")
    for name in known:
        if name not in given:
            raise FormatError(f"{what} lacks {name!r}; expected all of {', '.join(known)}")
    return kind(**given)


def _object(what: str, values: object) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise FormatError(f"{what} is a {type(values).__name__}; expected an object with named fields")
    return {str(name): value for name, value in cast("Mapping[object, Any]", values).items()}
