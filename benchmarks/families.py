"""What one engine takes on each FPGA family: `python -m benchmarks.families [TARGET …]`, as Markdown.

The netlists of all of them are simulated by `python -m pytest -m nightly tests/rtl/test_netlist.py`, at smaller sizes.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from gatesmith.fixed import calibrate
from gatesmith.hardware.export import export
from gatesmith.hardware.synthesize import TARGETS, synthesize
from gatesmith.ops import LSTM
from gatesmith.spec import LSTMSpec

INPUTS, HIDDEN, MULTIPLIERS = 12, 32, 16


def main() -> None:
    """Map onto every family that is named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=list(TARGETS), metavar="TARGET")
    lstm = LSTM(LSTMSpec(INPUTS, HIDDEN), seed=0)
    plan = calibrate(lstm, np.random.default_rng(0).normal(size=(20, 8, INPUTS)), np.full(8, 20))
    print(f"D = {INPUTS}, H = {HIDDEN}, P = {MULTIPLIERS}\n")
    print("| target | LUTs | flip-flops | carry cells | multipliers | block RAMs | cells |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="gatesmith-") as scratch:
        folder = Path(scratch, "export")
        export(lstm, plan, folder, multipliers=MULTIPLIERS)
        for target in parser.parse_args().targets:
            found = synthesize(folder, target=target)
            kinds = (*TARGETS[target].brams, *TARGETS[target].dsps)
            blocks = ", ".join(f"{n} {name}" for name, n in sorted(found.cells.items()) if name.startswith(kinds))
            counts = (found.luts, found.ffs, found.carries, found.dsps, found.brams)
            print(f"| {target} | {' | '.join(f'{n:,}' for n in counts)} | {blocks} |", flush=True)


if __name__ == "__main__":
    main()
