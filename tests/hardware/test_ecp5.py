"""Registers move into ECP5 blocks where that changes nothing, and stay where it would."""

from typing import Any

from gatesmith.hardware.ecp5 import absorb_registers

CLOCK, ENABLE = 2, 3


def register(data: int, output: int, **parameters: str) -> dict[str, Any]:
    """A plain flip-flop from wire ``data`` to wire ``output``."""
    connections: dict[str, list[int | str]] = {"CLK": [CLOCK], "DI": [data], "Q": [output], "LSR": ["0"]}
    if parameters.get("CEMUX") == "CE":
        connections["CE"] = [ENABLE]
    return {
        "type": "TRELLIS_FF",
        "parameters": {"CEMUX": "1 ", "CLKMUX": "CLK", "LSRMUX": "LSR", "REGSET": "RESET", **parameters},
        "port_directions": {name: "output" if name == "Q" else "input" for name in connections},
        "connections": connections,
    }


def ram(output: int) -> dict[str, Any]:
    """A block RAM that reads one bit on port A."""
    return {
        "type": "DP16KD",
        "parameters": {"DATA_WIDTH_A": "1001", "DATA_WIDTH_B": "1001", "REGMODE_A": "NOREG", "REGMODE_B": "NOREG"},
        "port_directions": {"CLKA": "input", "CLKB": "input", "DOA0": "output"},
        "connections": {"CLKA": [CLOCK], "CLKB": [CLOCK], "DOA0": [output]},
    }


def multiplier(left: int, right: int, product: int) -> dict[str, Any]:
    return {
        "type": "MULT18X18D",
        "parameters": {"REG_OUTPUT_CLK": "NONE", "REG_PIPELINE_CLK": "NONE"},
        "port_directions": {"A0": "input", "B0": "input", "P0": "output"},
        "connections": {"A0": [left], "B0": [right], "P0": [product]},
    }


def netlist(*outputs: int, **cells: dict[str, Any]) -> dict[str, Any]:
    ports = {f"out{bit}": {"direction": "output", "bits": [bit]} for bit in outputs}
    return {"modules": {"top": {"attributes": {"top": "1"}, "ports": ports, "cells": cells}}}


def cells(design: dict[str, Any]) -> dict[str, Any]:
    return design["modules"]["top"]["cells"]


def test_a_register_behind_a_ram_becomes_its_output_register() -> None:
    design = netlist(11, memory=ram(10), q=register(10, 11))
    assert absorb_registers(design) == {"ram outputs": 1}
    memory = cells(design)["memory"]
    assert memory["parameters"]["REGMODE_A"] == "OUTREG"
    assert memory["connections"]["DOA0"] == [11]
    assert memory["connections"]["OCEA"] == ["1"]
    assert "q" not in cells(design)


def test_its_enable_becomes_the_output_enable() -> None:
    design = netlist(11, memory=ram(10), q=register(10, 11, CEMUX="CE"))
    assert absorb_registers(design) == {"ram outputs": 1}
    assert cells(design)["memory"]["connections"]["OCEA"] == [ENABLE]


def test_registers_that_are_not_plain_stay() -> None:
    reset, set_high = register(10, 11), register(10, 11, REGSET="SET")
    reset["connections"]["LSR"] = [4]
    falling = register(10, 11, CLKMUX="INV")
    for stays in (reset, set_high, falling):
        assert absorb_registers(netlist(11, memory=ram(10), q=stays)) == {}


def test_a_wire_with_another_reader_keeps_its_register() -> None:
    assert absorb_registers(netlist(10, 11, memory=ram(10), q=register(10, 11))) == {}
    assert absorb_registers(netlist(11, 12, memory=ram(10), q=register(10, 11), other=register(10, 12))) == {}


def test_all_registers_around_a_multiplier_move() -> None:
    design = netlist(
        16,
        a=register(10, 11),
        b=register(12, 13),
        product=multiplier(11, 13, 14),
        first=register(14, 15),
        second=register(15, 16),
    )
    assert absorb_registers(design) == {"multiplier outputs": 2, "multiplier inputs": 2}
    assert list(cells(design)) == ["product"]
    parameters = cells(design)["product"]["parameters"]
    for rank in ("REG_INPUTA_CLK", "REG_INPUTB_CLK", "REG_PIPELINE_CLK", "REG_OUTPUT_CLK"):
        assert parameters[rank] == "CLK0"
    assert cells(design)["product"]["connections"]["P0"] == [16]
    assert cells(design)["product"]["connections"]["CLK0"] == [CLOCK]


def test_a_multiplier_has_no_enable() -> None:
    design = netlist(15, product=multiplier(11, 13, 14), q=register(14, 15, CEMUX="CE"))
    assert absorb_registers(design) == {}
