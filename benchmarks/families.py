"""What one engine takes on each FPGA family: `python -m benchmarks.families [TARGET …]`, as Markdown.

The netlists of all of them are simulated by `python -m pytest -m nightly tests/rtl/test_netlist.py`, at smaller sizes.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.rtl_table import Shape, export_shape
from gatesmith.hardware.synthesize import TARGETS, synthesize

SHAPE = Shape(input_size=12, hidden_size=32, multipliers=16, pipeline="deep")


def main() -> None:
    """Map onto every family that is named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=list(TARGETS), metavar="TARGET")
    print(f"D = {SHAPE.input_size}, H = {SHAPE.hidden_size}, P = {SHAPE.multipliers}\n")
    print("| target | LUTs | flip-flops | carry cells | multipliers | block RAMs | cells |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="gatesmith-") as scratch:
        folder = Path(scratch, "export")
        export_shape(SHAPE, folder)
        for target in parser.parse_args().targets:
            found = synthesize(folder, target=target)
            kinds = (*TARGETS[target].brams, *TARGETS[target].dsps)
            blocks = ", ".join(f"{n} {name}" for name, n in sorted(found.cells.items()) if name.startswith(kinds))
            counts = (found.luts, found.ffs, found.carries, found.dsps, found.brams)
            print(f"| {target} | {' | '.join(f'{n:,}' for n in counts)} | {blocks} |", flush=True)


if __name__ == "__main__":
    main()
