"""Moves plain registers of a synthesised ECP5 netlist into its block RAMs and multipliers, which Yosys does not.

A DP16KD without its output register takes 5.7 ns from clock to data, a MULT18X18D without registers 3.9 ns from input
to output; with them, both leave most of a 5 ns clock to the logic. Function and latency stay the same: a register moves
only where it is plain (rising edge, no reset, starting at zero; no enable, but before the output of a RAM, which has an
enable of its own) and the block's pin is its only neighbour.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

Bit = int | str
Pin = tuple[str, str]
"""Cell and port."""

RAM, MULTIPLIER, REGISTER = "DP16KD", "MULT18X18D", "TRELLIS_FF"
PORT_BITS = 18
PRODUCT_BITS = 36


def absorb_registers(netlist: dict[str, Any]) -> dict[str, int]:
    """Change a Yosys JSON netlist in place; returns how many single-bit registers moved, by the kind of place."""
    moved: dict[str, int] = defaultdict(int)
    for module in tops(netlist):
        _Netlist(module, moved).absorb()
    return dict(moved)


def tops(netlist: dict[str, Any]) -> list[dict[str, Any]]:
    """The modules of a Yosys JSON netlist that are marked as the top: one, where it has been synthesised."""
    return [module for module in netlist["modules"].values() if int(module.get("attributes", {}).get("top", "0"), 2)]


class _Netlist:
    """One module with its wires' drivers and readers at hand."""

    def __init__(self, module: dict[str, Any], moved: dict[str, int]) -> None:
        self.cells: dict[str, dict[str, Any]] = module["cells"]
        self.moved = moved
        self.external = {bit for port in module["ports"].values() for bit in port["bits"]}
        self.drivers: dict[Bit, str] = {}
        self.readers: dict[Bit, set[Pin]] = defaultdict(set)
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                for bit in bits:
                    if isinstance(bit, int):
                        if cell["port_directions"][port] == "output":
                            self.drivers[bit] = name
                        else:
                            self.readers[bit].add((name, port))

    def absorb(self) -> None:
        for name in [n for n, cell in self.cells.items() if cell["type"] == RAM]:
            self._absorb_ram(self.cells[name])
        for name in [n for n, cell in self.cells.items() if cell["type"] == MULTIPLIER]:
            self._absorb_multiplier(name, self.cells[name])
        self._drop_unread()

    def _absorb_ram(self, ram: dict[str, Any]) -> None:
        parameters = ram["parameters"]
        wide = _number(parameters.get("DATA_WIDTH_B", "0")) == 2 * PORT_BITS  # one read port over both sides
        sides = [("AB", "B")] if wide else [("A", "A"), ("B", "B")]
        for ports, clocked in sides:
            if any(parameters.get(f"REGMODE_{side}", "NOREG").strip() != "NOREG" for side in ports):
                continue
            pins = [f"DO{side}{i}" for side in ports for i in range(PORT_BITS)]
            registers = self._registers_behind(ram, pins)
            enables = {_enable(self.cells[register]) for _, register in registers}
            if len(enables) == 1 and _net(self.cells[registers[0][1]], "CLK") == _net(ram, f"CLK{clocked}"):
                self._take_outputs(ram, registers, "ram outputs")
                for side in ports:
                    parameters[f"REGMODE_{side}"] = "OUTREG"
                self._connect(ram, f"OCE{clocked}", *enables)

    def _absorb_multiplier(self, name: str, multiplier: dict[str, Any]) -> None:
        clocks: set[Bit] = set()
        products = [f"P{i}" for i in range(PRODUCT_BITS)]
        for rank in ("OUTPUT", "PIPELINE"):
            registers = self._registers_behind(multiplier, products)
            if not registers or any(_enable(self.cells[register]) != "1" for _, register in registers):
                break
            clock = _net(self.cells[registers[0][1]], "CLK")
            if clocks - {clock}:
                break
            clocks.add(clock)
            self._take_outputs(multiplier, registers, "multiplier outputs")
            multiplier["parameters"][f"REG_{rank}_CLK"] = "CLK0"
        for side in "AB":
            pins = [f"{side}{i}" for i in range(PORT_BITS)]
            sources = self._registers_before(multiplier, pins)
            used = {_net(self.cells[source], "CLK") for _, source in sources} | clocks
            if not sources or len(used) != 1:
                continue
            clocks = used
            for pin, source in sources:
                before, after = _net(self.cells[source], "DI"), _net(multiplier, pin)
                multiplier["connections"][pin] = [before]
                self.readers[before].add((name, pin))
                # The same register may feed several pins (a sign bit does): read again only if no other pin needs it.
                self.readers[after].discard((name, pin))
                self.moved["multiplier inputs"] += 1
            multiplier["parameters"][f"REG_INPUT{side}_CLK"] = "CLK0"
        if clocks:
            self._connect(multiplier, "CLK0", *clocks)
            self._connect(multiplier, "CE0", "1")
            self._connect(multiplier, "RST0", "0")

    def _registers_behind(self, block: dict[str, Any], pins: Iterable[str]) -> list[tuple[str, str]]:
        """(pin, register) of every pin that is read, where each is read by one plain register alone; else nothing."""
        found: list[tuple[str, str]] = []
        for pin in pins:
            bit = _net(block, pin)
            if not isinstance(bit, int) or (not self.readers[bit] and bit not in self.external):
                continue
            if len(self.readers[bit]) != 1 or bit in self.external:
                return []
            ((register, port),) = self.readers[bit]
            if port != "DI" or not _is_plain(self.cells[register]):
                return []
            found.append((pin, register))
        return found if len({_net(self.cells[register], "CLK") for _, register in found}) == 1 else []

    def _registers_before(self, block: dict[str, Any], pins: Iterable[str]) -> list[tuple[str, str]]:
        """(pin, register) of every pin that isn't constant, where each is driven by a plain register; else nothing."""
        found: list[tuple[str, str]] = []
        for pin in pins:
            if isinstance(_net(block, pin), int):
                driver = self.drivers.get(_net(block, pin))
                if driver not in self.cells or not _is_plain(self.cells[driver]) or _enable(self.cells[driver]) != "1":
                    return []
                found.append((pin, driver))
        return found

    def _take_outputs(self, block: dict[str, Any], registers: list[tuple[str, str]], kind: str) -> None:
        for pin, register in registers:
            bit = _net(self.cells[register], "Q")
            block["connections"][pin] = [bit]
            del self.cells[register]
            self.moved[kind] += 1

    def _connect(self, cell: dict[str, Any], port: str, *bits: Bit) -> None:
        cell["connections"][port] = list(bits)
        cell["port_directions"][port] = "input"

    def _drop_unread(self) -> None:
        """Registers that only fed a block and have moved into it."""
        for name in [n for n, cell in self.cells.items() if cell["type"] == REGISTER]:
            bit = _net(self.cells[name], "Q")
            if isinstance(bit, int) and bit not in self.external and not self.readers[bit]:
                del self.cells[name]


def _net(cell: dict[str, Any], port: str) -> Bit:
    bits = cell["connections"].get(port) or ["x"]
    return bits[0]


def _is_plain(cell: dict[str, Any]) -> bool:
    if cell["type"] != REGISTER:
        return False
    values = _parameters(cell)
    never_reset = values.get("LSRMUX", "LSR") == "0" or _net(cell, "LSR") in ("0", "x")
    rising = values.get("CLKMUX", "CLK") in ("CLK", "1")
    enabled_high = values.get("CEMUX", "1") in ("1", "CE")
    return enabled_high and never_reset and rising and values.get("REGSET", "RESET") == "RESET"


def _enable(register: dict[str, Any]) -> Bit:
    """The wire that enables a register, or "1"."""
    net = _net(register, "CE") if _parameters(register).get("CEMUX", "1") == "CE" else "1"
    return "1" if net == "x" else net


def _parameters(cell: dict[str, Any]) -> dict[str, str]:
    return {name: str(value).strip() for name, value in cell["parameters"].items()}  # Yosys pads what looks binary


def _number(text: object) -> int:
    return int(str(text).strip() or "0", 2)
