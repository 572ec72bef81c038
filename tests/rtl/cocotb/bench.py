"""What the cocotb tests share: bus masters, a watcher of the protocol, and sequences to and from codes."""

import os

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)
from tests.rtl.cocotb.design import DESIGNS, BusDesign, Model

from gatesmith.fixed.model import CodeOutputs
from gatesmith.fixed.qformat import Codes
from gatesmith.hardware.memfile import cell_files, head_files
from gatesmith.hardware.registers import constant_offset, register

CHANNELS = {
    "m_axis_t": ("m_axis_tdata", "m_axis_tlast"),
    "s_axil_b": ("s_axil_bresp",),
    "s_axil_r": ("s_axil_rdata", "s_axil_rresp"),
}
"""Streams that the design drives, by the beginning of valid and ready, and what must stand still while they wait."""

MEMORIES = {"WeightFile": 0, "BiasFile": 1, "PeepholeFile": 2, "ProjWeightFile": 5, "ProjBiasFile": 6}
"""Numbers of a cell's memories in SELECT.MEMORY, by the parameter that names the file."""


class Bench:
    """The design under test with a master on every bus."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.design: BusDesign = DESIGNS[os.environ["GATESMITH_BUS_DESIGN"]]
        self.plan = self.design.plan()
        self.model = self.design.model()
        self.generator = np.random.default_rng(7)
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst, byte_size=8)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst, byte_size=8)
        cocotb.start_soon(self._watch())

    @classmethod
    async def started(cls, dut) -> "Bench":
        """A bench after a reset."""
        bench = cls(dut)
        dut.rst.value = 1
        await bench.clocks(5)
        dut.rst.value = 0
        await bench.clocks(2)
        return bench

    async def clocks(self, count: int) -> None:
        for _ in range(count):
            await RisingEdge(self.dut.clk)

    async def _watch(self) -> None:
        """Valid never falls before ready, and nothing changes meanwhile; a reset alone may end a wait."""
        waiting: dict[str, tuple[int, ...]] = {}
        while True:
            await RisingEdge(self.dut.clk)
            await ReadOnly()
            for prefix, payload in CHANNELS.items():
                valid = int(getattr(self.dut, f"{prefix}valid").value)
                now = tuple(int(getattr(self.dut, name).value) for name in payload) if valid else ()
                if prefix in waiting:
                    assert valid, f"{prefix}valid fell before {prefix}ready"
                    assert now == waiting[prefix], f"{payload} changed while {prefix}valid waited"
                ready = int(getattr(self.dut, f"{prefix}ready").value)
                if valid and not ready and not int(self.dut.rst.value):
                    waiting[prefix] = now
                else:
                    waiting.pop(prefix, None)

    # Registers

    async def write(self, name: str, value: int) -> AxiResp:
        answer = await self.master.write(register(name).offset, value.to_bytes(4, "little"))
        return AxiResp(answer.resp)

    async def set(self, name: str, value: int) -> None:
        """Write a register that has to take it."""
        assert await self.write(name, value) == AxiResp.OKAY, name

    async def read(self, offset: int) -> tuple[int, AxiResp]:
        answer = await self.master.read(offset, 4)
        return int.from_bytes(answer.data, "little"), AxiResp(answer.resp)

    async def get(self, name: str) -> int:
        """Read a register that has to answer."""
        value, response = await self.read(register(name).offset)
        assert response == AxiResp.OKAY, name
        return value

    async def constant(self, name: str) -> int:
        value, response = await self.read(constant_offset(name))
        assert response == AxiResp.OKAY, name
        return value

    async def idle(self) -> None:
        """Wait until states can be reached."""
        for _ in range(2000):
            if not await self.get("STATUS") & bit("STATUS", "BUSY"):
                return
        raise AssertionError("busy for ever")

    # States and weights

    async def select(self, cell: int, *, c: bool = False, memory: int = 0) -> None:
        low = register("SELECT").field("MEMORY").low
        await self.set("SELECT", cell | c * bit("SELECT", "C") | memory << low)

    async def write_states(self, h0: Codes, c0: Codes) -> None:
        """[cells, R] and [cells, H]."""
        for cell in range(len(h0)):
            for states, c in ((h0, False), (c0, True)):
                await self.select(cell, c=c)
                for code in states[cell]:
                    await self.set("STATE", int(code) & 0xFFFFFFFF)

    async def read_states(self) -> tuple[Codes, Codes]:
        """[cells, R] and [cells, H]."""
        found: list[list[list[int]]] = [[], []]
        sizes = self.design.spec.output_size, self.design.spec.hidden_size
        for cell in range(len(self.plan.cells)):
            for c in (False, True):
                await self.select(cell, c=c)
                words = [await self.get("STATE") for _ in range(sizes[c])]
                assert await self.get("STATUS") & bit("STATUS", "STATE_END")
                found[c].append([word - (word >> 31 << 32) for word in words])
        return np.array(found[0]), np.array(found[1])

    async def load(self, model: Model) -> None:
        """Every memory, its file's words in order, in pieces of 32 bits; memories that there are none of stay empty."""
        for cell, (plan, codes) in enumerate(zip(self.plan.cells, model.cells, strict=True)):
            files = cell_files(plan, [codes], self.design.multipliers, self.design.projection_multipliers)
            for name, memory in MEMORIES.items():
                await self._load(cell, memory, files.get(name, ""))
        if model.head:
            for memory, text in enumerate(head_files(self.plan.head, model.head).values(), start=3):
                await self._load(0, memory, text)

    async def _load(self, cell: int, memory: int, text: str) -> None:
        await self.select(cell, memory=memory)
        words = [int(line, 16) for line in text.split()]
        assert await self.get("WORDS") == len(words)
        pieces = await self.get("PIECES")
        for word in words:
            for piece in range(pieces):
                await self.set("LOAD", word >> (32 * piece) & 0xFFFFFFFF)
            assert word >> (32 * pieces) == 0
        assert await self.get("STATUS") & bit("STATUS", "LOAD_END")

    # Sequences

    def sequence(self, steps: int) -> Codes:
        """[steps, D] random codes."""
        form = self.plan.x_format
        return self.generator.integers(form.min_code, form.max_code + 1, size=(steps, self.design.spec.input_size))

    def states(self) -> tuple[Codes, Codes]:
        """Random h0 [cells, R] and c0 [cells, H]."""
        spec, cell = self.design.spec, self.plan.cells[0]
        return tuple(
            self.generator.integers(form.min_code, form.max_code + 1, size=(len(self.plan.cells), size))
            for form, size in ((cell.y_format, spec.output_size), (cell.c_format, spec.hidden_size))
        )

    @property
    def beats_per_step(self) -> int:
        return -(-self.design.spec.input_size // self.design.pipeline.in_elements)

    async def send(self, x: Codes, *, cut_beats: int = 0) -> None:
        """Whole bytes for each element, each step filled up to whole beats; the last beats may be missing."""
        per_beat = self.design.pipeline.in_elements
        width = -(-self.plan.x_format.width // 8)
        padded = np.zeros((len(x), self.beats_per_step * per_beat), np.int64)
        padded[:, : x.shape[1]] = x
        sent = padded.ravel()[: padded.size - cut_beats * per_beat]
        await self.source.send(AxiStreamFrame(b"".join(int(v).to_bytes(width, "little", signed=True) for v in sent)))

    async def receive(self) -> Codes:
        """[steps out, elements] of the next sequence."""
        return (await self.receive_elements()).reshape(-1, self.design.output_size)

    async def receive_elements(self) -> Codes:
        """Everything up to the next tlast."""
        data, width = bytes((await self.sink.recv()).tdata), self.design.element_bytes
        return np.array(
            [int.from_bytes(data[at : at + width], "little", signed=True) for at in range(0, len(data), width)]
        )

    async def check(self, model: Model, x: Codes, h0: Codes | None = None, c0: Codes | None = None) -> CodeOutputs:
        """Compare the next sequence out with the model's of x; returns what else the model says."""
        y, outputs = self.design.expected(model, x, h0, c0)
        np.testing.assert_array_equal(await self.receive(), y)
        return outputs

    def pause(self, source: float, sink: float) -> None:
        """Hesitate in this fraction of clocks."""
        for stream, share in ((self.source, source), (self.sink, sink)):
            stream.set_pause_generator(iter(lambda share=share: self.generator.random() < share, None))


def bit(name: str, field: str) -> int:
    """The mask of a field."""
    return register(name).field(field).mask
