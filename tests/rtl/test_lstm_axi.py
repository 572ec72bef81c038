"""The bus wrapper under cocotb and cocotbext-axi: one simulation of each design, one result for each test in it."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.rtl.cocotb.design import DESIGN_WORD, DESIGNS
from tests.rtl.cocotb.toolchain import environment

from gatesmith.hardware import registers
from gatesmith.hardware.export import source_files
from gatesmith.hardware.registers import CONSTANTS, REGISTERS
from gatesmith.hardware.verilator import literal

ROOT = Path(__file__).resolve().parents[2]
TESTS = re.findall(r"@cocotb\.test\(\)\nasync def (\w+)", (ROOT / "tests/rtl/cocotb/lstm_axi.py").read_text())
Verdicts = Mapping[str, str]


@pytest.fixture(scope="module", params=sorted(DESIGNS))
def verdicts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """What went wrong in each cocotb test, empty where nothing did."""
    runner_module = pytest.importorskip("cocotb_tools.runner")
    folder = tmp_path_factory.mktemp(request.param)
    exported = DESIGNS[request.param].export(folder / "export")
    runner = runner_module.get_runner("verilator")
    parameters = {**exported.stack, "Design": DESIGN_WORD, "WritableWeights": 1}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(folder).items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")
        runner.build(
            sources=source_files(),
            hdl_toplevel="lstm_axi",
            parameters={name: literal(value) for name, value in parameters.items()},
            build_dir=folder / "build",
            build_args=["-Wno-fatal", "--x-initial", "unique"],
            log_file=folder / "build.log",
        )
        results = runner.test(
            hdl_toplevel="lstm_axi",
            test_module="tests.rtl.cocotb.lstm_axi",
            build_dir=folder / "build",
            test_dir=exported.folder,
            results_xml=str(folder / "results.xml"),
            extra_env={"GATESMITH_BUS_DESIGN": request.param},
            log_file=folder / "test.log",
        )
    return {
        case.attrib["name"]: "".join(ElementTree.tostring(child, "unicode") for child in case)
        for case in ElementTree.parse(results).iter("testcase")
    }


@pytest.mark.parametrize("name", TESTS)
def test_in_the_simulator(verdicts: Verdicts, name: str) -> None:
    assert verdicts[name] == ""


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
