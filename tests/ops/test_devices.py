"""The table of devices: what is chosen by default, and what the errors say."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gatesmith.errors import UnsupportedError
from gatesmith.ops import reference
from gatesmith.ops.call import Call, make_call
from gatesmith.ops.devices import DEVICES, Device, default_engine, engine_for
from gatesmith.spec import LSTMSpec
from gatesmith.weights import initialise


def call_of(dtype: str = "float32") -> Call:
    return make_call(initialise(LSTMSpec(3, 4)), np.zeros((2, 1, 3), dtype))


class FakeDevice(Device):
    """A row of the table whose engine says what a test wants."""

    def engine(self) -> Any:
        missing, feature = self.module.split("|")
        return SimpleNamespace(missing=lambda: missing or None, unsupported=lambda _: feature or None, name=self.name)


def with_devices(monkeypatch: pytest.MonkeyPatch, **modules: str) -> None:
    table = {"reference": DEVICES["reference"]}
    table |= {name: FakeDevice(name=name, summary="", module=module) for name, module in modules.items()}
    monkeypatch.setattr("gatesmith.ops.devices.DEVICES", table)


@pytest.mark.parametrize("name", DEVICES)
def test_every_row_names_a_module_with_the_interface(name: str) -> None:
    engine = DEVICES[name].engine()
    for function in ("missing", "unsupported", "forward"):
        assert callable(getattr(engine, function))
    missing = engine.missing()
    assert missing is None or isinstance(missing, str)


def test_an_unknown_device_names_those_that_are_there_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with_devices(monkeypatch, gpu="a graphics card|")
    with pytest.raises(
        UnsupportedError, match="device 'abacus' is unknown; the devices here are reference; gpu needs: a graphics card"
    ):
        engine_for("abacus", call_of())


def test_an_unavailable_device_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with_devices(monkeypatch, gpu="a graphics card|")
    with pytest.raises(UnsupportedError, match="device 'gpu' is not available: a graphics card; the devices here are"):
        engine_for("gpu", call_of())


def test_a_feature_that_a_device_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with_devices(monkeypatch, gpu="|peepholes")
    with pytest.raises(UnsupportedError, match="device 'gpu' can't run peepholes; use device='reference'"):
        engine_for("gpu", call_of())


@pytest.mark.parametrize(
    ("kernel", "dtype", "chosen"),
    [("|", "float32", "cpu"), ("|", "float64", None), ("no compiler|", "float32", None), ("|clips", "float32", None)],
)
def test_the_default_is_the_kernel_where_it_fits(
    kernel: str, dtype: str, chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_devices(monkeypatch, cpu=kernel)
    engine = default_engine(call_of(dtype))
    assert getattr(engine, "name", None) == chosen
    assert chosen or engine is reference


def test_rows_are_values() -> None:
    assert dataclasses.replace(DEVICES["reference"]) == DEVICES["reference"]
