"""The operator by itself: variable lengths, states in and out, gradients of everything, one call on any device."""

import numpy as np

import gatesmith

spec = gatesmith.LSTMSpec(input_size=3, hidden_size=5, num_layers=2, direction="bidirectional")
print(spec.equations())

lstm = gatesmith.LSTM(spec, seed=0)
x = np.random.default_rng(0).normal(size=(7, 4, 3)).astype(np.float32)  # [T, N, D]
lengths = [7, 3, 0, 5]
y, (h_n, c_n) = lstm(x, lengths=lengths)
print(f"\ny {y.shape}, h_n {h_n.shape}, c_n {c_n.shape}; the sequence of length 0 gives {np.abs(y[:, 2]).max()}")

y, _, tape = lstm.forward(x, lengths=lengths)
gradients = lstm.backward(tape, dy=np.ones_like(y))
print(f"gradient of x {gradients.dx.shape}, and of {len(gradients.dweights)} parameters")

for device in ("reference", "cpu", "fixed"):
    other, _ = gatesmith.run_on_device(lstm, x, device=device, lengths=lengths)
    print(f"{device:<10} differs from lstm(x) by at most {np.abs(other - y).max():.1e}")
