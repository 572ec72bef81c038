"""The table of devices, and one call that runs the operator on any of them."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np

from gatesmith.errors import UnsupportedError
from gatesmith.ops.call import Array, Call, Gradients, Outputs


class Tape(Protocol):
    """What a forward run leaves for backward; opaque to everyone but the device that made it."""

    @property
    def call(self) -> Call: ...


class Engine(Protocol):
    """What the module of a device offers. One that can't train lacks the last two functions."""

    def missing(self) -> str | None:
        """Why this device can't run here, as the rest of a sentence; None where it can."""
        ...

    def unsupported(self, call: Call) -> str | None:
        """The feature of this call that the device can't run; None where it runs all of it."""
        ...

    def forward(self, call: Call, **options: Any) -> Outputs: ...

    def forward_for_training(self, call: Call, **options: Any) -> tuple[Outputs, Tape]: ...

    def backward(self, tape: Tape, dy: Array, dh_n: Array, dc_n: Array) -> Gradients: ...


@dataclass(frozen=True, kw_only=True)
class Device:
    """One row of the table. The module is imported when it is first used, so a device costs nothing until then."""

    name: str
    summary: str
    module: str

    def engine(self) -> Engine:
        return cast("Engine", import_module(self.module))


DEVICES = {
    device.name: device
    for device in (
        Device(name="reference", summary="NumPy float64, the truth", module="gatesmith.ops.reference"),
        Device(name="cpu", summary="compiled float32 kernel", module="gatesmith.ops.cpu"),
        Device(name="cuda", summary="Triton kernels on an NVIDIA GPU", module="gatesmith.ops.cuda"),
        Device(name="fixed", summary="bit-exact fixed-point model of the hardware", module="gatesmith.fixed.device"),
        Device(name="rtl", summary="generated SystemVerilog under Verilator", module="gatesmith.hardware.device"),
    )
}


def engine_for(name: str, call: Call) -> Engine:
    """The engine that runs ``call`` on the device ``name``.

    Raises:
        UnsupportedError: no such device, it can't run here, or it can't run a feature of this spec; the message
            names the devices that are there and what is missing.
    """
    if name not in DEVICES:
        raise UnsupportedError(f"device {name!r} is unknown; {_available()}")
    engine = DEVICES[name].engine()
    missing = engine.missing()
    if missing:
        raise UnsupportedError(f"device {name!r} is not available: {missing}; {_available()}")
    feature = engine.unsupported(call)
    if feature:
        raise UnsupportedError(f"device {name!r} can't run {feature}; use device='reference'")
    return engine


def default_engine(call: Call) -> Engine:
    """The compiled kernel where x is float32 and the kernel is there and runs this spec, else the reference."""
    if call.x.dtype == np.float32:
        kernel = DEVICES["cpu"].engine()
        if kernel.missing() is None and kernel.unsupported(call) is None:
            return kernel
    return DEVICES["reference"].engine()


def _available() -> str:
    lines = {name: device.engine().missing() for name, device in DEVICES.items()}
    there = ", ".join(name for name, missing in lines.items() if missing is None)
    rest = "".join(f"; {name} needs: {missing}" for name, missing in lines.items() if missing)
    return f"the devices here are {there}{rest}"
