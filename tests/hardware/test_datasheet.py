"""The data sheet: what it says of a design is what the design is; every link leads somewhere; nothing is fetched."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.hardware.waves import FOLDER, drawn
from tests.rtl.cocotb.design import DESIGNS, SINGLE, STACK

from gatesmith.hardware.datasheet import WRITE_CLOCKS
from gatesmith.hardware.registers import CONSTANTS, REGISTERS
from gatesmith.hardware.timing import timing

VOID = {"meta", "link", "img", "br", "rect", "path", "use", "line", "stop"}


class Page(HTMLParser):
    """Collects what a browser would follow, and checks that every element ends."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.names: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "xlink:href", "src"):
                self.links.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module", params=sorted(DESIGNS))
def text(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    exported = DESIGNS[request.param].export(tmp_path_factory.mktemp("sheet") / "out")
    return (exported.folder / "datasheet.html").read_text()


def test_it_is_whole_and_needs_no_network(text: str) -> None:
    page = Page(text)
    assert not page.open
    assert "@{" not in text
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert not page.names & {"script", "link", "img", "iframe"}
    assert "url(http" not in text


def test_it_names_every_register_and_constant(text: str) -> None:
    for one in REGISTERS:
        assert f'<th scope="row">0x{one.offset:03x}</th><td>{one.name}</td>' in text
        assert all(f"<td>{field.name}</td>" in text for field in one.fields)
    assert all(f"<td>{name}</td>" in text for name, _ in CONSTANTS)


def test_its_numbers_are_those_of_the_design(tmp_path: Path) -> None:
    exported = SINGLE.export(tmp_path / "out")
    text = (exported.folder / "datasheet.html").read_text()
    cell, parameters = exported.plan.cells[0], exported.cells[0].parameters
    cycles = timing(parameters).cycles_per_step
    assert f"a time step every {cycles} clocks" in text
    assert f'<td>{cell.h_format}</td><td class="number">{cell.h_width}</td>' in text
    assert "layer 0, forward" in text
    assert "up to" not in text  # nothing is buffered in one direction
    assert "ROM" in text
    assert "To load weights" not in text
    assert "a read 11 clocks after its address" in text


def test_it_describes_every_layer_and_the_head(tmp_path: Path) -> None:
    exported = STACK.export(tmp_path / "out")
    text = (exported.folder / "datasheet.html").read_text()
    head = exported.plan.head
    assert head
    assert f'<th scope="row">scores</th><td>{head.y_format}</td><td class="number">{head.y_width}</td>' in text
    for part in ("layer 1, reverse", "last step", "Formats of l0, l0_reverse", "a sequence of more than 8 steps"):
        assert part in text


def test_the_waves_are_those_of_their_sources() -> None:
    """And tell the truth about the bus: when a write is answered."""
    sources = sorted(FOLDER.glob("*.json"))
    assert len(sources) == 4
    for source in sources:
        assert source.with_suffix(".svg").read_text() == drawn(source.read_text(), source.stem)
    write = (FOLDER / "register_write.json").read_text()
    taken = re.search(r'"s_axil_awvalid", "wave": "(\d+)', write)
    answered = re.search(r'"s_axil_bvalid", "wave": "([\d.]+)', write)
    assert taken
    assert answered
    assert answered[1].index("1") - taken[1].index("1") == WRITE_CLOCKS
