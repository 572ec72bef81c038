"""From weights to hardware: choose formats, run the integer model, export SystemVerilog for any tool."""

import tempfile
from pathlib import Path

import numpy as np

import gatesmith
from gatesmith.fixed import calibrate
from gatesmith.hardware.export import export

lstm = gatesmith.LSTM(gatesmith.LSTMSpec(input_size=6, hidden_size=20), seed=0)
x = np.random.default_rng(0).normal(size=(20, 100, 6)).astype(np.float32)  # [T, N, D]

for weight_width in (6, 8, 12):
    plan = calibrate(lstm, x, weight_width=weight_width)
    exact, _ = gatesmith.run_on_device(lstm, x, device="reference")
    fixed, _ = gatesmith.run_on_device(lstm, x, device="fixed", plan=plan)
    print(f"{weight_width:>2}-bit weights: largest error of h {np.abs(fixed - exact).max():.4f}")

with tempfile.TemporaryDirectory() as folder:
    exported = export(lstm, plan, Path(folder) / "lstm", multipliers=16)
    for path in sorted(exported.folder.rglob("*")):
        print(path.relative_to(exported.folder))
