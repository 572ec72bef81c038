"""An ECP5 netlist whose block RAMs and multipliers are models that a simulator can run, with buses for their pins."""

import json
from pathlib import Path
from typing import Any

from gatesmith.hardware.ecp5 import tops
from gatesmith.hardware.synthesize import YOSYS, _run  # pyright: ignore[reportPrivateUsage]

BLOCKS = Path(__file__).with_name("ecp5_blocks.sv")
INPUTS_RAM = {"CLKA": 1, "CEA": 1, "OCEA": 1, "WEA": 1, "ADA": 14, "DIA": 18}
RAM_PINS = {**INPUTS_RAM, **{name[:-1] + "B": width for name, width in INPUTS_RAM.items()}, "DOA": 18, "DOB": 18}
MULTIPLIER_PINS = {"CLK0": 1, "CE0": 1, "SIGNEDA": 1, "SIGNEDB": 1, "A": 18, "B": 18, "P": 36}
PLAIN = {"RSTA": "0", "RSTB": "0", "RST0": "0", "CSA0": "0", "CSB0": "0"}
"""Pins that the models leave out, and what they have to be tied to."""


def write_simulated(work: Path) -> Path:
    """Turn ``absorbed.json`` of a folder into Verilog over the models of :data:`BLOCKS`."""
    netlist = json.loads((work / "absorbed.json").read_text())
    for module in tops(netlist):
        nets = (bits for cell in module["cells"].values() for bits in cell["connections"].values())
        spare = 1 + max(bit for bits in nets for bit in bits if isinstance(bit, int))
        for cell in module["cells"].values():
            if cell["type"] == "DP16KD":
                spare = _replace(cell, "ecp5_ram", RAM_PINS, _ram_parameters(cell["parameters"]), spare)
            elif cell["type"] == "MULT18X18D":
                kept = {name: value for name, value in cell["parameters"].items() if name.startswith("REG_")}
                spare = _replace(cell, "ecp5_multiplier", MULTIPLIER_PINS, kept, spare)
    (work / "simulated.json").write_text(json.dumps(netlist))
    _run(YOSYS, ["-q", "-p", "read_json simulated.json; write_verilog -noattr simulated.v"], work, 600)
    return work / "simulated.v"


def _replace(cell: dict[str, Any], model: str, pins: dict[str, int], parameters: dict[str, Any], spare: int) -> int:
    """Change a cell to a model of it; returns the next number of a wire that is free."""
    given = cell["connections"]
    for pin, value in PLAIN.items():
        assert given.get(pin, [value]) == [value], f"{pin} of {cell['type']} is not tied to {value}"
    connections: dict[str, list[int | str]] = {}
    for pin, width in pins.items():
        bits = [given.get(name, [None])[0] for name in ([pin] if width == 1 else [f"{pin}{i}" for i in range(width)])]
        output = pin in ("P", "DOA", "DOB")
        for at, bit in enumerate(bits):
            if bit in (None, "x"):
                bits[at] = spare if output else "0"
                spare += output
        connections[pin] = bits
    cell["type"], cell["parameters"], cell["connections"] = model, parameters, connections
    cell["port_directions"] = {pin: "output" if pin in ("P", "DOA", "DOB") else "input" for pin in pins}
    return spare


def _ram_parameters(given: dict[str, Any]) -> dict[str, Any]:
    """Widths, register modes, and the contents as one number: 16 words of 18 bits in every 320 bits of INITVAL."""
    contents = 0
    for row in range(64):
        value = int(given.get(f"INITVAL_{row:02X}", "0") or "0", 2)
        for word in range(16):
            contents |= (value >> 20 * word & 0x3FFFF) << 18 * (16 * row + word)
    for side in "AB":
        width = int(given[f"DATA_WIDTH_{side}"], 2)
        assert width in (9, 18, 36), f"the model has no {width}-bit port"
        assert given.get(f"CLK{side}MUX", "x").strip() == f"CLK{side}"
    names = ("DATA_WIDTH_A", "DATA_WIDTH_B", "REGMODE_A", "REGMODE_B")
    return {**{name: given[name] for name in names}, "INIT": f"{contents:018432b}"}
