"""Plants a fault in a copy of the SystemVerilog, to show that a check bites."""

from pathlib import Path

from gatesmith.hardware.export import source_files

Fault = tuple[str, str, str]
"""Name of the file, the text that is right, and the wrong one in its place."""


def plant(fault: Fault, folder: Path) -> list[Path]:
    """Copies of all sources in a new ``folder``, one with the fault; the right text must stand there once."""
    name, right, wrong = fault
    folder.mkdir()
    copies: list[Path] = []
    for source in source_files():
        text = source.read_text()
        if source.name == name:
            assert text.count(right) == 1, f"{name} no longer holds {right!r}"
            text = text.replace(right, wrong)
        copies.append(folder / source.name)
        copies[-1].write_text(text)
    return copies
