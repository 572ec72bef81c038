"""The register map of the control bus, in one table: the data sheet, the tests and drivers read it from here.

rtl/lstm_registers.sv has the same addresses and bits; a test compares.
"""

from dataclasses import dataclass
from typing import Literal

Access = Literal["read", "read, write", "read, write 1 to clear", "write"]

IDENTITY_VALUE = 0x4C53544D
VERSION_VALUE = 0x00010000
WINDOW_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Field:
    """Some bits of a register."""

    name: str
    low: int
    width: int = 1
    meaning: str

    @property
    def bits(self) -> str:
        """As a data sheet writes them, such as ``9:0``."""
        return str(self.low) if self.width == 1 else f"{self.low + self.width - 1}:{self.low}"

    @property
    def mask(self) -> int:
        return ((1 << self.width) - 1) << self.low


@dataclass(frozen=True, kw_only=True)
class Register:
    """One 32-bit word on the bus; bits that no field names read as zero and ignore writes."""

    name: str
    offset: int
    access: Access
    meaning: str
    fields: tuple[Field, ...] = ()

    def field(self, name: str) -> Field:
        """The field of that name."""
        return next(field for field in self.fields if field.name == name)


REGISTERS = (
    Register(name="IDENTITY", offset=0x000, access="read", meaning=f"0x{IDENTITY_VALUE:08x}, “LSTM” in ASCII"),
    Register(
        name="VERSION",
        offset=0x004,
        access="read",
        meaning=f"of this map: 0x{VERSION_VALUE:08x}",
        fields=(
            Field(name="MAJOR", low=16, width=16, meaning="changes where a driver must change"),
            Field(name="MINOR", low=0, width=16, meaning="changes where registers are added"),
        ),
    ),
    Register(
        name="DESIGN",
        offset=0x008,
        access="read",
        meaning="parameter Design: the first 32 bits of the SHA-256 of the manifest's “stack” as compact JSON, sorted",
    ),
    Register(
        name="CONTROL",
        offset=0x00C,
        access="read, write",
        meaning="what the core does",
        fields=(
            Field(name="ENABLE", low=0, meaning="sequences pass as they come; cleared, the one under way is finished"),
            Field(name="KEEP", low=1, meaning="sequences go on from the last states instead of h0 and c0"),
            Field(name="START", low=8, meaning="write 1: one sequence passes; reads 1 until that begins"),
            Field(name="CLEAR_COUNTERS", low=9, meaning="write 1: CYCLES, STEPS and SEQUENCES become 0"),
            Field(name="SOFT_RESET", low=10, meaning="write 1: everything but the bus, memories and states is reset"),
        ),
    ),
    Register(
        name="STATUS",
        offset=0x010,
        access="read",
        meaning="what the core is at",
        fields=(
            Field(name="BUSY", low=0, meaning="enabled, started, or a sequence is under way; states can't be reached"),
            Field(name="SATURATED", low=1, meaning="a flag of SATURATED is set, of any cell"),
            Field(name="STATE_END", low=2, meaning="STATE has been through all units of the selected cell"),
            Field(name="LOAD_END", low=3, meaning="LOAD has been through the selected memory"),
        ),
    ),
    Register(
        name="FLAGS",
        offset=0x014,
        access="read, write 1 to clear",
        meaning="what has happened",
        fields=(
            Field(name="DONE", low=0, meaning="the last beat of a sequence was taken from m_axis"),
            Field(name="LENGTH_ERROR", low=1, meaning="tlast came inside a step"),
            Field(name="OVERFLOW", low=2, meaning="a sequence was longer than MaxSteps and was cut"),
            Field(
                name="BUSY_ERROR", low=3, meaning="a state, weight or bias was written while busy, and was not taken"
            ),
            Field(name="HEAD_SATURATED", low=4, meaning="a score of a classifier's head was saturated"),
        ),
    ),
    Register(
        name="SATURATED",
        offset=0x018,
        access="read, write 1 to clear",
        meaning="what was saturated in the selected cell",
        fields=(
            Field(name="H", low=0, meaning="an element of h, or of its projection"),
            Field(name="C", low=1, meaning="an element of c"),
            Field(name="Z", low=2, meaning="a pre-activation"),
        ),
    ),
    Register(
        name="CYCLES_LOW",
        offset=0x01C,
        access="read",
        meaning="clocks in which a sequence was under way, bits 31:0; reading it holds CYCLES_HIGH still",
    ),
    Register(name="CYCLES_HIGH", offset=0x020, access="read", meaning="bits 63:32, as CYCLES_LOW was read last"),
    Register(name="STEPS", offset=0x024, access="read", meaning="time steps that have begun, modulo 2^32"),
    Register(name="SEQUENCES", offset=0x028, access="read", meaning="sequences that have left, modulo 2^32"),
    Register(
        name="SELECT",
        offset=0x02C,
        access="read, write",
        meaning="the cell that SATURATED, STATE, LOAD and the constants are of; writing it begins at unit and word 0",
        fields=(
            Field(name="CELL", low=0, width=8, meaning="layer 0 forward, layer 0 reverse, layer 1 forward, …"),
            Field(name="C", low=8, meaning="STATE is c instead of h"),
            Field(
                name="MEMORY",
                low=9,
                width=3,
                meaning="where LOAD goes: 0 weights, 1 biases, 2 peephole weights; 3 weights, 4 biases of the head;"
                " 5 weights, 6 biases of the projection",
            ),
            Field(
                name="CONTEXT", low=16, width=16, meaning="whose STATE it is, of sequences that take turns: their tid"
            ),
        ),
    ),
    Register(
        name="STATE",
        offset=0x030,
        access="read, write",
        meaning="writes h0 or c0 of the unit at hand, reads its last h or c, and goes on to the next unit",
    ),
    Register(
        name="LOAD",
        offset=0x034,
        access="write",
        meaning="the next 32 bits of the memory: words in order, of each the lowest bits first",
    ),
    Register(name="WORDS", offset=0x038, access="read", meaning="how many words the selected memory has, 0 for none"),
    Register(name="PIECES", offset=0x03C, access="read", meaning="how many writes of LOAD make one of its words"),
)
"""Every address beside these and the constants answers SLVERR."""

CONSTANTS_OFFSET = 0x200
CONSTANTS = (
    ("InputSize", "D of the selected cell"),
    ("HiddenSize", "H"),
    ("Cells", "layers times directions"),
    ("Layers", "L"),
    ("Direction", "0 forward, 1 reverse, 2 both"),
    ("Multipliers", "P of each cell"),
    ("MaxSteps", "longest sequence, where a direction is reverse"),
    ("LastOnly", "1: only the last step of a sequence comes out"),
    ("InElements", "elements per beat of s_axis"),
    ("OutElements", "elements per beat of m_axis"),
    ("WritableWeights", "1: LOAD is allowed"),
    ("XWidth", "bits of x"),
    ("XFrac", "its fraction"),
    ("HWidth", "bits of h"),
    ("HFrac", "its fraction"),
    ("WeightWidth", "bits of a weight"),
    ("BiasWidth", "bits of a bias"),
    ("AccWidth", "bits of a sum"),
    ("AccFrac", "its fraction, and that of biases"),
    ("ZWidth", "bits of a pre-activation"),
    ("ZFrac", "its fraction"),
    ("ActWidth", "bits of a gate"),
    ("ActFrac", "its fraction"),
    ("CellWidth", "bits of c"),
    ("CellFrac", "its fraction"),
    ("TableBits", "2^TableBits segments in a table of activations"),
    ("SlopeWidth", "bits of a slope in it"),
    ("Peepholes", "gates that see c: 1 for i, 2 for f, 4 for o, added up"),
    ("GateClip", "1: the pre-activations are clipped by the tables"),
    ("CellClip", "bound of c as a code, 0 for none"),
    ("Head", "0: h comes out, 1: scores of a classifier's head, 2: a class"),
    ("Classes", "of the head"),
    ("ProjSize", "elements of the projection of h, 0 for none"),
    ("ProjMultipliers", "its products per clock"),
    ("ProjWidth", "bits of the projection, which takes the place of h"),
    ("ProjFrac", "its fraction"),
    ("ProjWeightWidth", "bits of its weights"),
    ("ProjBiasWidth", "bits of its biases"),
    ("ProjAccWidth", "bits of its sums"),
    ("ProjAccFrac", "their fraction, and that of its biases"),
    ("ProjClip", "bound of the projection as a code, 0 for none"),
    ("Contexts", "sequences that take turns, told apart by tid"),
)
"""Name and meaning of each constant of the selected cell, in the order of their addresses; names are parameters."""


def register(name: str) -> Register:
    """The register of that name."""
    return next(register for register in REGISTERS if register.name == name)


def constant_offset(name: str) -> int:
    """The address of a constant."""
    return CONSTANTS_OFFSET + 4 * [constant for constant, _ in CONSTANTS].index(name)
