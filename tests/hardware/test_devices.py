"""Devices: a design that can't fit is refused in one sentence, from its parameters and from what synthesis found."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatesmith.errors import ExportError, InputError
from gatesmith.fixed import calibrate
from gatesmith.hardware.devices import DEVICES, device_named, require_fit, require_predicted_fit
from gatesmith.hardware.export import export
from gatesmith.hardware.synthesize import TARGETS
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec

X = np.random.default_rng(0).normal(size=(4, 2, 4))
FOUND = {"luts": 1000, "ffs": 2000, "dsps": 20, "brams": 30, "cells": {"DP16KD": 30}}


def test_every_device_belongs_to_a_family() -> None:
    assert {device.target for device in DEVICES.values()} <= set(TARGETS)
    assert device_named("LFE5U-25F") is DEVICES["lfe5u-25f"]
    with pytest.raises(InputError, match="the device 'virtex' is unknown; expected one of lfe5u-12f, "):
        device_named("virtex")


def test_synthesis_is_held_against_the_device() -> None:
    device = DEVICES["lfe5u-25f"]
    require_fit(device, FOUND)
    with pytest.raises(ExportError, match="the design needs 96 block RAMs, the device lfe5u-25f has 56; choose"):
        require_fit(device, {**FOUND, "brams": 96})
    with pytest.raises(
        ExportError, match="needs 132 multipliers and 96 block RAMs, the device lfe5u-25f has 28 and 56"
    ):
        require_fit(device, {**FOUND, "brams": 96, "dsps": 132})


def test_large_blocks_count_as_two() -> None:
    device = DEVICES["xc7a35t"]
    cells = {"RAMB36E1": 45, "RAMB18E1": 10}
    require_fit(device, {**FOUND, "brams": 55, "cells": cells})
    with pytest.raises(ExportError, match="needs 101 block RAMs, the device xc7a35t has 100"):
        require_fit(device, {**FOUND, "brams": 56, "cells": {"RAMB36E1": 45, "RAMB18E1": 11}})


@pytest.mark.parametrize(
    ("hidden", "multipliers", "device", "message"),
    [
        (128, 16, "lfe5u-12f", r"needs at least \d+ block RAMs, the device lfe5u-12f has 32"),
        (16, 64, "LFE5U-25F", "needs at least 64 multipliers, the device lfe5u-25f has 28"),
        (128, 16, "ice40hx8k", r"needs at least \d+ block RAMs, the device ice40hx8k has 32"),
        (128, 16, "gw1nr-9", r"needs at least \d+ block RAMs, the device gw1nr-9 has 26"),
        (16, 64, "lifcl-40", "needs at least 64 multipliers, the device lifcl-40 has 56"),
    ],
)
def test_refused_before_anything_is_written(
    tmp_path: Path, hidden: int, multipliers: int, device: str, message: str
) -> None:
    lstm = LSTM(LSTMSpec(4, hidden))
    options: dict[str, Any] = {"multipliers": multipliers, "device": device}
    with pytest.raises(ExportError, match=message):
        export(lstm, calibrate(lstm, X), tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


def test_what_fits_is_written(tmp_path: Path) -> None:
    lstm = LSTM(LSTMSpec(4, 8))
    exported = export(lstm, calibrate(lstm, X), tmp_path / "out", multipliers=4, device="lfe5u-25f")
    require_predicted_fit(DEVICES["lfe5u-25f"], exported.engines)
