"""The bus wrapper under cocotb and cocotbext-axi: one simulation of each design, one result for each test in it."""

import contextlib
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tests.rtl.cocotb.design import DESIGN_WORD, DESIGNS
from tests.rtl.cocotb.toolchain import Runner, environment
from tests.rtl.faults import plant

from gatesmith.hardware import registers
from gatesmith.hardware.export import source_files
from gatesmith.hardware.handover import PARAMETER
from gatesmith.hardware.registers import CONSTANTS, REGISTERS
from gatesmith.hardware.verilator import literal

ROOT = Path(__file__).resolve().parents[2]
TESTS = re.findall(r"@cocotb\.test\(\)\nasync def (\w+)", (ROOT / "tests/rtl/cocotb/lstm_axi.py").read_text())
Verdicts = Mapping[str, str]
BAD = ("failure", "error", "skipped")
"""What may stand in a result beside its properties and output."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all designs are built, so that Verilator's own sources are compiled once."""
    if " " in sys.prefix:
        pytest.skip(f"cocotb builds by make, which can't say a path with a space: {sys.prefix}")
    return tmp_path_factory.mktemp("buses")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.nightly if DESIGNS[name].share != "none" else ())
        for name in sorted(DESIGNS)
    ],
)
def verdicts(request: pytest.FixtureRequest, folder: Path) -> Verdicts:
    return simulated(request.param, source_files(), folder)


def simulated(name: str, sources: Sequence[Path], folder: Path, options: Sequence[str] = ()) -> Verdicts:
    """What went wrong in each cocotb test of a design, empty where nothing did.

    Its files are then in ``folder / name``; ``options`` are Verilator's.
    """
    exported = DESIGNS[name].export(folder / name)
    runner = Runner()
    parameters = {**exported.stack, "Design": DESIGN_WORD, "WritableWeights": 1}
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment(folder).items():
            patch.setenv(variable, value)
        patch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")
        runner.build(
            sources=sources,
            hdl_toplevel="lstm_axi",
            parameters={parameter: literal(value) for parameter, value in parameters.items()},
            build_dir=folder / "build",
            build_args=["-Wno-fatal", "--x-initial", "unique", *options],
            log_file=folder / "build.log",
        )
        with contextlib.suppress(SystemExit):  # its way to say that a test failed: the results tell which
            runner.test(
                hdl_toplevel="lstm_axi",
                test_module="tests.rtl.cocotb.lstm_axi",
                build_dir=folder / "build",
                test_dir=exported.folder,
                results_xml=str(exported.folder / "results.xml"),
                extra_env={"GATESMITH_BUS_DESIGN": name},
                log_file=folder / "test.log",
            )
    return {
        case.attrib["name"]: "".join(ElementTree.tostring(child, "unicode") for child in case if child.tag in BAD)
        for case in ElementTree.parse(exported.folder / "results.xml").iter("testcase")
    }


@pytest.mark.parametrize("name", TESTS)
def test_in_the_simulator(verdicts: Verdicts, name: str) -> None:
    assert verdicts[name] == ""


FAULTS = {
    "an answer is withdrawn": ("axi_lite_slave.sv", "if (s_axil_bready) begin", "begin"),
    "an unmapped address is answered": ("lstm_registers.sv", "wrong_q <= error_d || !mapped_q;", "wrong_q <= 1'b0;"),
    "nothing is loaded": ("rom.sv", "write_q[p] <= write_i &&", "write_q[p] <= 1'b0 &&"),
    "a start lets everything pass": (
        "sequence_gate.sv",
        "open_o <= enable_i || (started_o && under_way);",
        "open_o <= 1'b1;",
    ),
    "states are reached while busy": ("lstm_axi.sv", "idle_q <= quiet &&", "idle_q <= 1'b1 ||"),
}


@pytest.mark.nightly
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault: str, tmp_path: Path) -> None:
    sources = plant(FAULTS[fault], tmp_path / "rtl")
    assert any(simulated("single", sources, tmp_path).values())


def test_every_parameter_of_the_model_is_handed_on() -> None:
    def parameters(module: str) -> dict[str, str]:
        text = (ROOT / f"rtl/{module}.sv").read_text()
        return {match["name"]: match["value"] for match in PARAMETER.finditer(text)}

    model, wrapper = parameters("lstm_stack"), parameters("lstm_axi")
    assert wrapper == model | {"Design": "'0"}
    instance = (ROOT / "rtl/lstm_axi.sv").read_text().split("lstm_stack #(")[1]
    assert all(f".{name}({name})" in instance for name in model)


def test_the_table_is_that_of_the_source() -> None:
    """Every address, and nothing else; the bits are held in the simulator."""
    text = (ROOT / "rtl/lstm_registers.sv").read_text()
    found = {name: int(value, 16) for name, value in re.findall(r"logic \[11:0\] ([A-Z_]+) = 12'h([0-9a-f]+);", text)}
    assert found == {one.name: one.offset for one in REGISTERS} | {"CONSTANTS": registers.CONSTANTS_OFFSET}
    values = dict(re.findall(r"logic \[31:0\] ([A-Z]+_VALUE) = 32'h([0-9a-f]+);", text))
    assert int(values["IDENTITY_VALUE"], 16) == registers.IDENTITY_VALUE
    assert int(values["VERSION_VALUE"], 16) == registers.VERSION_VALUE


def test_the_table_is_that_of_the_readme() -> None:
    text = (ROOT / "rtl/README.md").read_text()
    for one in REGISTERS:
        assert f"| `0x{one.offset:03x}` | `{one.name}` | {one.access} | {one.meaning} |" in text
        for field in one.fields:
            assert f"| {field.bits} | `{field.name}` | {field.meaning} |" in text
    for at, (name, meaning) in enumerate(CONSTANTS):
        assert f"| `0x{registers.CONSTANTS_OFFSET + 4 * at:03x}` | `{name}` | {meaning} |" in text
