"""Real FPGAs and what they have, and whether a design fits: predicted from its parameters, and after synthesis."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from gatesmith.analysis import hardware_footprint
from gatesmith.errors import ExportError, InputError
from gatesmith.hardware.timing import timing


@dataclass(frozen=True, kw_only=True)
class Device:
    """One part of a family.

    Attributes:
        target: the family, as in ``gatesmith.hardware.synthesize.TARGETS``.
        luts, ffs, dsps, brams: how many look-up tables, flip-flops, multipliers and block RAMs it has.
        bram_bits: of one block.
    """

    name: str
    target: str
    luts: int
    ffs: int
    dsps: int
    brams: int
    bram_bits: int


def _ecp5(name: str, luts: int, dsps: int, brams: int) -> Device:
    return Device(name=name, target="ecp5", luts=luts, ffs=luts, dsps=dsps, brams=brams, bram_bits=18432)


def _xilinx7(name: str, luts: int, dsps: int, brams: int) -> Device:
    """Block RAMs of 36 Kbit count as the two halves that they are."""
    return Device(name=name, target="xc7", luts=luts, ffs=2 * luts, dsps=dsps, brams=2 * brams, bram_bits=18432)


def _ice40(name: str, luts: int, dsps: int, brams: int) -> Device:
    return Device(name=name, target="ice40", luts=luts, ffs=luts, dsps=dsps, brams=brams, bram_bits=4096)


def _gowin(name: str, luts: int, dsps: int, brams: int) -> Device:
    """A quarter of the look-up tables have no flip-flop beside them."""
    return Device(name=name, target="gowin", luts=luts, ffs=luts * 3 // 4, dsps=dsps, brams=brams, bram_bits=18432)


def _nexus(name: str, luts: int, dsps: int, brams: int) -> Device:
    return Device(name=name, target="nexus", luts=luts, ffs=luts, dsps=dsps, brams=brams, bram_bits=18432)


DEVICES = {
    device.name: device
    for device in (
        # Lattice FPGA-DS-02012. Of 25F, 45F and 85F, Lattice Diamond's map reports say the same: LUTS_avail, EBR_avail,
        # DSP_MULT_avail (halves of 18 x 18); of 85F nextpnr too. The 12F is a 25F (prjtrellis-db: one tile grid of
        # 3036 x 8 tables, 14 x 4 blocks, 7 x 4 multipliers) that is sold as half of its tables and 576 Kbit in blocks.
        _ecp5("lfe5u-12f", 12144, 28, 32),
        _ecp5("lfe5u-25f", 24288, 28, 56),
        _ecp5("lfe5u-45f", 43848, 72, 108),
        _ecp5("lfe5u-85f", 83640, 156, 208),
        # Xilinx DS180, DS190; “Available” in Vivado's report_utilization says the same. LUTs of the xc7a100t: 15,850
        # slices of four (DS180, UG474, Digilent's Nexys reference)
        _xilinx7("xc7a35t", 20800, 90, 50),
        _xilinx7("xc7a100t", 63400, 240, 135),
        _xilinx7("xc7a200t", 134600, 740, 365),
        _xilinx7("xc7z020", 53200, 220, 140),
        # Lattice FPGA-DS-02029 (hx1k: 64 Kbit, hx8k: 128 Kbit of blocks of 4 Kbit), FPGA-DS-02008; of the up5k's block
        # RAMs, Lattice Radiant's map report says the same
        _ice40("ice40hx1k", 1280, 0, 16),
        _ice40("ice40hx8k", 7680, 0, 32),
        _ice40("ice40up5k", 5280, 8, 30),
        # Gowin DS117 (GW1NR), DS102 (GW2A); Sipeed's tables of its boards, and Gowin's report of the GW2A-18, say so
        _gowin("gw1nr-9", 8640, 20, 26),
        _gowin("gw2a-18", 20736, 48, 46),
        _gowin("gw2ar-18", 20736, 48, 46),
        # Lattice FPGA-DS-02049, FPGA-DS-02078; tables and blocks as in Lattice Radiant's map report of Certus-NX, all
        # as in the tile grids of prjoxide-db: 4032 x 8 tables, 21 x 4 blocks, 14 DSP blocks of four 18 x 18
        _nexus("lifcl-40", 32256, 56, 84),
        _nexus("lfd2nx-40", 32256, 56, 84),
    )
}
WORDS = {"luts": "look-up tables", "ffs": "flip-flops", "dsps": "multipliers", "brams": "block RAMs"}
HALVES = {"RAMB36E1": 2}
"""Cells that take more than one of what a device counts."""


def device_named(name: str) -> Device:
    """The device of that name, in either case.

    Raises:
        InputError: it is not in the table.
    """
    device = DEVICES.get(name.lower())
    if device is None:
        raise InputError(f"the device {name!r} is unknown; expected one of {', '.join(DEVICES)}")
    return device


def require_predicted_fit(device: Device, engines: Mapping[str, Mapping[str, int]]) -> None:
    """Refuse a design of which the parameters alone tell that it is too large.

    Block RAMs are predicted exactly for ECP5, and from below by their bits elsewhere; of the multipliers those of the
    lanes alone are counted.

    Raises:
        ExportError: it needs more than the device has; the sentence says how much.
    """
    clocks = [timing(one).cycles_per_step for one in engines.values()]
    footprint = hardware_footprint(engines, predicted_cycles=clocks)
    if device.target == "ecp5":
        blocks = footprint.predicted_blocks
    else:
        in_blocks = (memory for memory in footprint.memories if memory.kind == "block RAM")
        blocks = ceil(sum(memory.bits for memory in in_blocks) / device.bram_bits)
    needed = {"brams": blocks}
    if device.target != "ice40":  # whose products are built from look-up tables
        lanes = [timing(one) for one in engines.values()]
        needed["dsps"] = sum(one.lanes * one.columns_per_cycle for one in lanes)
        needed["dsps"] += sum(one.get("ProjMultipliers", 0) for one in engines.values())
    _require(device, needed, "at least ")


def require_fit(device: Device, found: Mapping[str, Any]) -> None:
    """Refuse a design that synthesis found too large; ``found`` is ``Synthesis.to_dict()``.

    Raises:
        ExportError: it needs more than the device has; the sentence says how much.
    """
    needed = {what: int(found[what]) for what in WORDS}
    kinds: Mapping[str, int] = found["cells"]
    needed["brams"] += sum((halves - 1) * kinds.get(kind, 0) for kind, halves in HALVES.items())
    _require(device, needed, "")


def _require(device: Device, needed: Mapping[str, int], bound: str) -> None:
    lacking = [what for what in needed if needed[what] > getattr(device, what)]
    if lacking:
        needs = " and ".join(f"{bound}{needed[what]:,} {WORDS[what]}" for what in lacking)
        has = " and ".join(f"{getattr(device, what):,}" for what in lacking)
        raise ExportError(
            f"the design needs {needs}, the device {device.name} has {has};"
            " choose a larger device, fewer multipliers or narrower weights"
        )
