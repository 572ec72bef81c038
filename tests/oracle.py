"""A second formulation of every LSTM, written apart from the package: PyTorch float64, one sequence at a time.

It shares no code with gatesmith but the names of the spec's fields: gates are cut from the whole [4H, ...] arrays,
lengths are slices, and reverse is a flipped slice. Gradients come from autograd.
"""

import torch
from torch import Tensor
from torch.nn import functional

from gatesmith.spec import Activation, LSTMSpec

Parameters = dict[str, Tensor]


def activation(which: Activation, x: Tensor) -> Tensor:
    a, b = which.alpha, which.beta
    match which.name:
        case "relu":
            return functional.relu(x)
        case "tanh":
            return torch.tanh(x)
        case "sigmoid":
            return torch.sigmoid(x)
        case "affine":
            return a * x + b
        case "leaky_relu":
            return functional.leaky_relu(x, a)
        case "thresholded_relu":
            return functional.threshold(x, a, 0.0)
        case "scaled_tanh":
            return a * torch.tanh(b * x)
        case "hard_sigmoid":
            return functional.hardtanh(a * x + b, 0.0, 1.0)
        case "elu":
            return functional.elu(x, a)
        case "softsign":
            return functional.softsign(x)
        case "softplus":
            return functional.softplus(x, threshold=40)
    raise AssertionError(which)


def rows(spec: LSTMSpec, gate: str) -> slice:
    at = "ifgo".index(gate)
    return slice(at * spec.hidden_size, (at + 1) * spec.hidden_size)


def normed(x: Tensor, p: Parameters, name: str, suffix: str, at: slice | Tensor) -> Tensor:
    """Layer normalisation of x with the elements ``at`` of a gain and shift."""
    gain, shift = p[f"{name}_gain_{suffix}"][at], p[f"{name}_shift_{suffix}"][at]
    return functional.layer_norm(x, x.shape, gain, shift, 1e-5)


def affine_part(spec: LSTMSpec, p: Parameters, suffix: str, x: Tensor, h: Tensor) -> dict[str, Tensor]:
    """W_ih x + W_hh h + b of every gate that has parameters, normalised apart where the spec says so."""
    gates = [gate for gate in "ifgo" if gate != {"none": "", "f=1-i": "f", "i=1-f": "i"}[spec.coupled_gates]]
    index = torch.cat([torch.arange(4 * spec.hidden_size)[rows(spec, gate)] for gate in gates])
    from_x, from_h = p[f"weight_ih_{suffix}"][index] @ x, p[f"weight_hh_{suffix}"][index] @ h
    if spec.layer_norm == "inputs_and_cell":
        from_x, from_h = normed(from_x, p, "norm_ih", suffix, index), normed(from_h, p, "norm_hh", suffix, index)
    total = from_x + from_h
    if spec.bias:
        total = total + p[f"bias_{suffix}"][index]
    return dict(zip(gates, total.split(spec.hidden_size), strict=True))


def cell_step(
    spec: LSTMSpec, p: Parameters, direction: str, suffix: str, x: Tensor, h: Tensor, c: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of one sequence: (new h, new c) before zoneout."""
    gate_activation, candidate_activation, output_activation = spec.activations_of(direction)
    z = affine_part(spec, p, suffix, x, h)

    def bounded(value: Tensor, bound: float | None) -> Tensor:
        return value if bound is None else value.clamp(-bound, bound)

    def gate(name: str, seen: Tensor) -> Tensor:
        value = z[name]
        if name in spec.peepholes:
            value = value + p[f"peephole_{name}_{suffix}"] * seen
        if name in spec.full_peepholes:
            value = value + p[f"peephole_{name}_{suffix}"] @ seen
        if spec.layer_norm == "gates_and_cell":
            value = normed(value, p, "norm_gates", suffix, rows(spec, name))
        if name == "f":
            value = value + spec.forget_bias
        kind = candidate_activation if name == "g" else gate_activation
        return activation(kind, bounded(value, spec.gate_clip))

    i = gate("i", c) if spec.coupled_gates != "i=1-f" else None
    f = gate("f", c) if spec.coupled_gates != "f=1-i" else None
    i = 1 - f if i is None else i
    f = 1 - i if f is None else f
    new = f * c + i * gate("g", c)
    everything = slice(0, spec.hidden_size)
    if spec.layer_norm == "gates_and_cell":
        new = normed(new, p, "norm_cell", suffix, everything)
    new = bounded(new, spec.cell_clip)
    read = normed(new, p, "norm_cell", suffix, everything) if spec.layer_norm == "inputs_and_cell" else new
    out = gate("o", new) * activation(output_activation, read)
    if spec.proj_size:
        out = p[f"weight_hr_{suffix}"] @ out
        out = out + p[f"bias_hr_{suffix}"] if spec.proj_bias else out
        out = bounded(out, spec.proj_clip)
    return out, new


def run(
    spec: LSTMSpec,
    p: Parameters,
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: list[int],
    masks: dict[str, Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(y, h_n, c_n) of a whole call.

    Args:
        masks: in training, the numbers drawn: ``dropout_{layer}`` factors [T, N, size], ``recurrent_{suffix}``
            factors [N, R], ``zoneout_h_{suffix}`` [T, N, R] and ``zoneout_c_{suffix}`` [T, N, H] kept shares.
    """
    steps, batch, _ = x.shape
    cells = len(spec.cells())
    if batch == 0:
        width = spec.num_directions * spec.output_size
        return x.new_zeros(steps, 0, width), torch.zeros_like(h0), torch.zeros_like(c0)
    h_n, c_n = [], []
    layer_in = x
    for layer in range(spec.num_layers):
        parts = []
        for at, (cell_layer, direction, suffix) in enumerate(spec.cells()):
            if cell_layer != layer:
                continue
            y = []
            for n in range(batch):
                outs, h, c = one_sequence(
                    spec, p, direction, suffix, layer_in[: lengths[n], n], h0[at, n], c0[at, n], masks, n
                )
                pad = torch.zeros(steps - lengths[n], spec.output_size, dtype=x.dtype)
                y.append(torch.cat([*[out[None] for out in outs], pad]))
                dropped = spec.drop_states and lengths[n] < steps
                h_n.append(h * 0 if dropped else h)
                c_n.append(c * 0 if dropped else c)
            parts.append(torch.stack(y, 1))
        layer_out = torch.cat(parts, -1)
        if spec.residual and layer:
            mask = torch.arange(steps)[:, None, None] < torch.tensor(lengths)[:, None]
            layer_out = layer_out + layer_in * mask
        if masks and f"dropout_{layer}" in masks:
            layer_out = layer_out * masks[f"dropout_{layer}"]
        layer_in = layer_out
    return layer_in, torch.stack(h_n).view(cells, batch, -1), torch.stack(c_n).view(cells, batch, -1)


def one_sequence(
    spec: LSTMSpec,
    p: Parameters,
    direction: str,
    suffix: str,
    x: Tensor,
    h: Tensor,
    c: Tensor,
    masks: dict[str, Tensor] | None,
    n: int,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Outputs in order of time, and the final state, of one sequence without padding."""
    order = list(range(len(x)))
    outs: dict[int, Tensor] = {}
    for t in order if direction == "forward" else order[::-1]:
        seen = h * masks[f"recurrent_{suffix}"][n] if masks and f"recurrent_{suffix}" in masks else h
        new_h, new_c = cell_step(spec, p, direction, suffix, x[t], seen, c)
        shares = {"h": spec.zoneout_h, "c": spec.zoneout_c}
        if masks is not None:
            for name in ("h", "c"):
                if f"zoneout_{name}_{suffix}" in masks:
                    shares[name] = masks[f"zoneout_{name}_{suffix}"][t, n]
        h = torch.lerp(new_h, h, torch.as_tensor(shares["h"], dtype=h.dtype))
        c = torch.lerp(new_c, c, torch.as_tensor(shares["c"], dtype=c.dtype))
        outs[t] = h
    return [outs[t] for t in order], h, c
