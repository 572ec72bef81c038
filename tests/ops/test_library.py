"""The structures that Python passes are those of csrc/gatesmith.h, field by field."""

import re
from pathlib import Path

import numpy as np
import pytest

from gatesmith.ops.library import ALIGNMENT_BYTES, CCell, CRun, CSpec, address, aligned, library, library_path

HEADER = (Path(__file__).parents[2] / "csrc" / "gatesmith.h").read_text()


@pytest.mark.parametrize(("structure", "name"), [(CSpec, "spec"), (CCell, "cell"), (CRun, "run")])
def test_fields_are_those_of_the_header(structure: type, name: str) -> None:
    body = next(part for part in HEADER.split("typedef struct {") if f"}} gatesmith_{name};" in part).split("}")[0]
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
    declared = [
        variable.split("*")[-1].split()[-1].split("[")[0]
        for line in body.split(";")
        if line.strip()
        for variable in line.split(",")
    ]
    assert [field for field, *_ in structure._fields_] == declared  # type: ignore[attr-defined]


def test_the_library_is_built() -> None:
    path = library_path()
    assert path is not None
    assert path.parent.name == "_lib"
    assert library().gatesmith_target() in (b"avx512", b"avx2", b"portable")


@pytest.mark.parametrize("size", [1, 64, 1000])
def test_memory_is_aligned(size: int) -> None:
    memory = aligned(size)
    assert memory.size == size
    assert address(memory) % ALIGNMENT_BYTES == 0


def test_address_of_any_array() -> None:
    array = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    read_only = array.copy()
    read_only.flags.writeable = False
    for given in (
        array,
        array[1:, ::2, ::-1],
        array.T,
        read_only,
        np.empty((0, 3), np.float32),
        np.asfortranarray(array),
    ):
        assert address(given) == given.ctypes.data
