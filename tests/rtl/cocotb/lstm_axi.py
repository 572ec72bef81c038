"""Tests of `lstm_axi` that run inside the simulator; tests/rtl/test_lstm_axi.py builds it and reports each of them."""

import itertools
from dataclasses import replace

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly, Timer
from cocotbext.axi import AxiResp
from cocotbext.axi.axil_channels import AxiLiteARTransaction, AxiLiteAWTransaction, AxiLiteWTransaction
from tests.rtl.cocotb.bench import Bench, bit
from tests.rtl.cocotb.design import DESIGN_WORD, Model

from gatesmith.fixed.support import cells_in_turn
from gatesmith.hardware import registers
from gatesmith.hardware.datasheet import READ_CLOCKS, WRITE_CLOCKS
from gatesmith.hardware.instances import DIRECTION_CODES, module_parameters
from gatesmith.hardware.registers import CONSTANTS, REGISTERS, register

ENABLE, KEEP, START = (bit("CONTROL", name) for name in ("ENABLE", "KEEP", "START"))
RETRAINED = 2


def railed(bench: Bench) -> Model:
    """The largest weights that the formats hold, in every cell."""
    cells = tuple(
        replace(
            codes,
            w_ih=np.full_like(codes.w_ih, cell.w_ih_format.max_code),
            w_hh=np.full_like(codes.w_hh, cell.w_hh_format.max_code),
            b=np.full_like(codes.b, cell.b_format.max_code),
        )
        for cell, codes in zip(bench.plan.cells, bench.model.cells, strict=True)
    )
    return Model(cells=cells, head=bench.model.head)


@cocotb.test()
async def identity_and_constants_read_back(dut) -> None:
    bench = await Bench.started(dut)
    assert await bench.get("IDENTITY") == registers.IDENTITY_VALUE
    assert await bench.get("VERSION") == registers.VERSION_VALUE
    assert await bench.get("DESIGN") == DESIGN_WORD
    spec, pipeline = bench.design.spec, bench.design.pipeline
    for cell, plan in enumerate(bench.plan.cells):
        await bench.select(cell)
        assert await bench.get("SELECT") == cell
        projected = {"ProjMultipliers": bench.design.projection_multipliers} if plan.projection else {"ProjSize": 0}
        wanted = (
            module_parameters(plan, bench.design.multipliers)
            | projected
            | {
                "Cells": len(bench.plan.cells),
                "Layers": spec.num_layers,
                "Direction": DIRECTION_CODES[spec.direction],
                "MaxSteps": bench.design.max_steps,
                "LastOnly": int(bench.design.output != "sequence"),
                "InElements": pipeline.in_elements,
                "OutElements": pipeline.out_elements,
                "WritableWeights": 1,
                "Contexts": 1,
                "XFrac": plan.x_frac,
                "Head": int(bool(bench.design.classes)),
                "Peepholes": 7 if plan.peepholes else 0,
                "GateClip": 0,
                "CellClip": 0,
            }
        )
        found = {name: await bench.constant(name) for name, _ in CONSTANTS}
        assert {name: found[name] for name in wanted if name in found} == {
            name: value & 0xFFFFFFFF for name, value in wanted.items() if name in found
        }
        unasked = {"Classes"} | (set() if plan.projection else {name for name in found if name.startswith("Proj")})
        assert set(found) - set(wanted) <= unasked
        assert not bench.design.classes or found["Classes"] == bench.design.classes


@cocotb.test()
async def other_addresses_answer_an_error(dut) -> None:
    bench = await Bench.started(dut)
    readable = {one.offset for one in REGISTERS if one.access != "write"}
    readable |= {registers.CONSTANTS_OFFSET + 4 * at for at in range(len(CONSTANTS))}
    writable = {one.offset for one in REGISTERS if one.access != "read"}
    offsets = {*range(0, 0x400, 4), 0x7FC, 0x800, 0xFFC}
    for offset in sorted(offsets):
        _, response = await bench.read(offset)
        assert (response == AxiResp.OKAY) == (offset in readable), f"read of {offset:#x}"
    for offset in sorted(offsets - writable):
        answer = await bench.master.write(offset, b"\xff\xff\xff\xff")
        assert answer.resp == AxiResp.SLVERR, f"write of {offset:#x}"
    assert await bench.write("SELECT", len(bench.plan.cells)) == AxiResp.SLVERR
    assert await bench.get("SELECT") == 0
    assert await bench.get("CONTROL") == 0


@cocotb.test()
async def misaligned_and_partial_accesses_answer_an_error(dut) -> None:
    bench = await Bench.started(dut)
    control = register("CONTROL").offset
    assert (await bench.master.write(control, b"\x01")).resp == AxiResp.SLVERR
    writer, reader = bench.master.write_if, bench.master.read_if
    for at in (1, 2, 3):
        await writer.w_channel.send(AxiLiteWTransaction(wdata=1, wstrb=15))  # data before their address
        await bench.clocks(3)
        await writer.aw_channel.send(AxiLiteAWTransaction(awaddr=control + at, awprot=0))
        assert (await writer.b_channel.recv()).bresp == AxiResp.SLVERR
        await reader.ar_channel.send(AxiLiteARTransaction(araddr=control + at, arprot=0))
        answer = await reader.r_channel.recv()
        assert (answer.rresp, answer.rdata) == (AxiResp.SLVERR, 0)
    assert await bench.get("CONTROL") == 0
    await writer.aw_channel.send(AxiLiteAWTransaction(awaddr=control, awprot=0))  # address before its data
    await bench.clocks(3)
    await writer.w_channel.send(AxiLiteWTransaction(wdata=KEEP, wstrb=15))
    assert (await writer.b_channel.recv()).bresp == AxiResp.OKAY
    assert await bench.get("CONTROL") == KEEP


@cocotb.test()
async def answers_wait_until_they_are_taken(dut) -> None:
    bench = await Bench.started(dut)
    answers: list[object] = []
    for channel, valid, ask in (
        (bench.master.write_if.b_channel, dut.s_axil_bvalid, lambda: bench.write("CONTROL", KEEP)),
        (bench.master.read_if.r_channel, dut.s_axil_rvalid, lambda: bench.get("CONTROL")),
    ):
        channel.pause = True
        asked = cocotb.start_soon(ask())
        while not int(valid.value):
            await bench.clocks(1)
        for _ in range(20):
            await bench.clocks(1)
            assert int(valid.value), "an answer was withdrawn"
        channel.pause = False
        answers.append(await asked)
    assert answers == [AxiResp.OKAY, KEEP]


@cocotb.test()
async def sequences_pass_back_to_back(dut) -> None:
    """Whatever the streams hesitate; counters and flags tell what went through."""
    bench = await Bench.started(dut)
    steps = 0
    await bench.set("CONTROL", ENABLE)
    for source, sink in ((0, 0), (0.5, 0), (0, 0.7), (0.6, 0.4)):
        bench.pause(source, sink)
        sequences = [bench.sequence(length) for length in (3, 1, bench.design.max_steps, 1)]
        for x in sequences:
            await bench.send(x)
        for x in sequences:
            await bench.check(bench.model, x)
            steps += len(x)
    await bench.clocks(4)
    assert await bench.get("STEPS") == steps
    assert await bench.get("SEQUENCES") == 16
    assert await bench.get("FLAGS") == bit("FLAGS", "DONE")
    await bench.set("FLAGS", bit("FLAGS", "DONE"))
    assert await bench.get("FLAGS") == 0
    await bench.set("CONTROL", bit("CONTROL", "CLEAR_COUNTERS"))  # and disabled again
    await bench.idle()
    assert await bench.get("STEPS") == await bench.get("SEQUENCES") == 0
    before = await bench.get("CYCLES_LOW")
    await bench.clocks(50)
    assert await bench.get("CYCLES_LOW") == before  # it stands while idle


@cocotb.test()
async def start_lets_one_sequence_pass(dut) -> None:
    bench = await Bench.started(dut)
    first, second = bench.sequence(2), bench.sequence(3)
    await bench.send(first)
    await bench.send(second)
    await bench.clocks(100)
    assert bench.sink.empty(), "something came out before the start"
    assert await bench.get("STATUS") == 0
    await bench.set("CONTROL", START)
    await bench.check(bench.model, first)
    await bench.idle()
    await bench.clocks(200)
    assert bench.sink.empty()
    assert await bench.get("SEQUENCES") == 1
    await bench.set("CONTROL", START)
    await bench.check(bench.model, second)


@cocotb.test()
async def states_go_in_and_out(dut) -> None:
    bench = await Bench.started(dut)
    h0, c0 = bench.states()
    x = bench.sequence(4)
    await bench.write_states(h0, c0)
    await bench.set("CONTROL", START)
    await bench.send(x)
    model = await bench.check(bench.model, x, h0, c0)
    await bench.idle()
    h, c = await bench.read_states()
    np.testing.assert_array_equal(h, model.h_n[:, 0])
    np.testing.assert_array_equal(c, model.c_n[:, 0])
    assert await bench.get("STATUS") & bit("STATUS", "STATE_END")
    assert (await bench.read(register("STATE").offset))[1] == AxiResp.SLVERR  # beyond the last unit
    assert await bench.write("STATE", 1) == AxiResp.SLVERR
    await bench.set("CONTROL", START | KEEP)
    more = bench.sequence(2)
    await bench.send(more)
    if bench.design.spec.num_directions == 1:
        await bench.check(bench.model, more, h, c)


@cocotb.test()
async def nothing_is_written_while_busy(dut) -> None:
    bench = await Bench.started(dut)
    await bench.write_states(*(np.zeros_like(state) for state in bench.states()))
    x = bench.sequence(3)
    await bench.set("CONTROL", ENABLE)
    assert await bench.write("STATE", 0x7F) == AxiResp.SLVERR
    assert await bench.get("FLAGS") == bit("FLAGS", "BUSY_ERROR")
    await bench.set("FLAGS", bit("FLAGS", "DONE"))
    assert await bench.get("FLAGS") == bit("FLAGS", "BUSY_ERROR")  # only what was written is cleared
    await bench.set("FLAGS", bit("FLAGS", "BUSY_ERROR"))
    assert await bench.get("FLAGS") == 0
    await bench.send(x)
    assert await bench.write("LOAD", 0x7F) == AxiResp.SLVERR
    assert await bench.get("FLAGS") & bit("FLAGS", "BUSY_ERROR")
    assert (await bench.read(register("STATE").offset))[1] == AxiResp.SLVERR
    await bench.check(bench.model, x)


@cocotb.test()
async def weights_are_replaced(dut) -> None:
    """Of a running design, and back again: bit for bit the model of the weights that are loaded."""
    bench = await Bench.started(dut)
    x = bench.sequence(5)
    models = [bench.design.model(seed) for seed in (RETRAINED, 1)]
    for model in models:
        await bench.load(model)
        assert await bench.write("LOAD", 0) == AxiResp.SLVERR  # beyond the last word
        await bench.set("CONTROL", START)
        await bench.send(x)
        await bench.check(model, x)
        await bench.idle()
    first, second = (bench.design.expected(model, x)[0] for model in models)
    assert (first != second).any()


@cocotb.test()
async def soft_reset_in_the_middle_of_a_sequence(dut) -> None:
    """At many a clock: what waits at the output stays (the bench watches), and the next sequence is a new one."""
    bench = await Bench.started(dut)
    for after in (3, 20, 41, 90, 150, 211):
        await bench.set("CONTROL", ENABLE | KEEP)
        bench.pause(0, 0.5)
        await bench.send(bench.sequence(8))
        await bench.clocks(after)
        await bench.set("CONTROL", bit("CONTROL", "SOFT_RESET"))
        bench.pause(0, 0)
        await bench.clocks(20)
        await bench.idle()
        for name in ("CONTROL", "FLAGS", "STEPS", "SEQUENCES", "CYCLES_LOW", "STATUS", "SELECT"):
            assert await bench.get(name) == 0, name
        if int(dut.in_valid.value):  # the rest of the old sequence still waits at the door: let it pass as one
            await bench.set("CONTROL", START)
            await bench.receive_elements()
            await bench.idle()
        x = bench.sequence(3)
        await bench.set("CONTROL", START)
        await bench.send(x)
        # The old sequence has no tlast: what came of it before stands in front of the new one, in the same frame.
        y = await bench.receive_elements()
        wanted = bench.design.expected(bench.model, x)[0].ravel()
        np.testing.assert_array_equal(y[-len(wanted) :], wanted)


@cocotb.test()
async def a_wrong_length_loses_only_its_sequence(dut) -> None:
    bench = await Bench.started(dut)
    good = bench.sequence(3)
    if bench.beats_per_step == 1:
        return  # no length can be wrong
    await bench.set("CONTROL", ENABLE)
    await bench.send(bench.sequence(2), cut_beats=1)
    await bench.send(good)
    await bench.receive()
    await bench.check(bench.model, good)
    assert await bench.get("FLAGS") == bit("FLAGS", "DONE") | bit("FLAGS", "LENGTH_ERROR")
    await bench.set("FLAGS", bit("FLAGS", "LENGTH_ERROR"))
    assert await bench.get("FLAGS") == bit("FLAGS", "DONE")


@cocotb.test()
async def a_sequence_beyond_the_buffer_loses_only_itself(dut) -> None:
    bench = await Bench.started(dut)
    if bench.design.spec.num_directions == 1:
        return  # nothing is buffered
    good = bench.sequence(2)
    await bench.set("CONTROL", ENABLE)
    long = bench.sequence(bench.design.max_steps + 3)
    await bench.send(long)
    await bench.send(good)
    await bench.check(bench.model, long[: bench.design.max_steps])
    await bench.check(bench.model, good)
    assert await bench.get("FLAGS") == bit("FLAGS", "DONE") | bit("FLAGS", "OVERFLOW")


@cocotb.test()
async def saturation_is_told_for_each_cell(dut) -> None:
    bench = await Bench.started(dut)
    x = np.full((8, bench.design.spec.input_size), bench.plan.x_format.max_code)
    railed_model = railed(bench)
    h0, c0 = bench.states()
    await bench.load(railed_model)
    await bench.write_states(h0, c0)
    await bench.set("CONTROL", START)
    await bench.send(x)
    model = await bench.check(railed_model, x, h0, c0)
    await bench.idle()
    assert model.saturated.any(), "the test needs a saturation"
    flags = model.saturated[:, 0]  # [cells, 3]
    for group in cells_in_turn(bench.design.spec, bench.design.share):
        flags[group] = flags[group].any(axis=0)
    for cell, (z, c, h) in enumerate(flags):
        await bench.select(cell)
        word = z * bit("SATURATED", "Z") | c * bit("SATURATED", "C") | h * bit("SATURATED", "H")
        assert await bench.get("SATURATED") == word
    assert await bench.get("STATUS") & bit("STATUS", "SATURATED")
    for cell in range(len(bench.plan.cells)):
        await bench.select(cell)
        await bench.set("SATURATED", 7)
        assert await bench.get("SATURATED") == 0
    assert not await bench.get("STATUS") & bit("STATUS", "SATURATED")
    await bench.load(bench.model)


@cocotb.test()
async def clocks_are_counted_in_64_bits(dut) -> None:
    bench = await Bench.started(dut)
    await bench.set("CONTROL", ENABLE)
    bench.sink.pause = True  # busy for as long as nobody takes what comes out
    await bench.send(bench.sequence(6))
    await bench.clocks(100)
    await FallingEdge(dut.clk)
    dut.u_registers.cycles_q.value = 0xFFFFFFFF - 30
    dut.u_registers.cycles_high_q.value = 4
    seen: list[int] = []
    for _ in range(8):
        low = await bench.get("CYCLES_LOW")
        seen.append(await bench.get("CYCLES_HIGH") << 32 | low)
    assert seen == sorted(seen), "the halves don't belong together"
    assert seen[0] >> 32 == 4
    assert seen[-1] >> 32 == 5
    assert all(later - earlier < 100 for earlier, later in itertools.pairwise(seen))


@cocotb.test()
async def no_path_leads_from_an_input_to_an_output(dut) -> None:
    """Every input is turned over in the middle of a clock, at many a state; no output moves before the next edge."""
    bench = await Bench.started(dut)
    await bench.set("CONTROL", ENABLE)
    bench.pause(0.3, 0.5)
    for _ in range(3):
        await bench.send(bench.sequence(4))
    inputs = [
        getattr(dut, f"{bus}_{name}")
        for bus, names in {
            "s_axis": ("tdata", "tvalid", "tlast", "tid"),
            "m_axis": ("tready",),
            "s_axil": ("awaddr", "awvalid", "wdata", "wstrb", "wvalid", "bready", "araddr", "arvalid", "rready"),
        }.items()
        for name in names
    ]
    outputs = [
        getattr(dut, name)
        for name in (
            *("s_axis_tready", "m_axis_tdata", "m_axis_tvalid", "m_axis_tlast", "m_axis_tid"),
            *("s_axil_awready", "s_axil_wready"),
            *("s_axil_bresp", "s_axil_bvalid", "s_axil_arready", "s_axil_rdata", "s_axil_rresp", "s_axil_rvalid"),
        )
    ]
    moved = 0
    for turn in range(150):
        cocotb.start_soon(bench.master.read(4 * (turn % 16), 4))
        await FallingEdge(dut.clk)
        given = [int(signal.value) for signal in inputs]
        before = [int(signal.value) for signal in outputs]
        moved += sum(before)
        for signal, value in zip(inputs, given, strict=True):
            signal.value = ~value & ((1 << len(signal)) - 1)
        await Timer(1, "ns")
        await ReadOnly()
        assert [int(signal.value) for signal in outputs] == before
        await Timer(1, "ns")
        for signal, value in zip(inputs, given, strict=True):
            signal.value = value
    assert moved, "nothing was under way"


@cocotb.test()
async def answers_take_as_long_as_the_data_sheet_says(dut) -> None:
    bench = await Bench.started(dut)
    memory_stages = bench.design.pipeline.memory_stages
    for task, begun, answered, clocks in (
        (bench.get("STATUS"), dut.s_axil_arvalid, dut.s_axil_rvalid, READ_CLOCKS + memory_stages),
        (bench.set("CONTROL", 0), dut.s_axil_wvalid, dut.s_axil_bvalid, WRITE_CLOCKS),
    ):
        access = cocotb.start_soon(task)
        while not int(begun.value):
            await FallingEdge(dut.clk)
        waited = 0
        while not int(answered.value):
            await FallingEdge(dut.clk)
            waited += 1
        await access
        assert waited == clocks
