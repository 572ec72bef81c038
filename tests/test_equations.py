"""The printed mathematics is evaluated as a program and must give what the reference computes."""

import re

import numpy as np
import pytest

from gatesmith import LSTM, LSTMSpec, run_on_device

PYTHON = {"·": " @ ", "⊙": "*", "−": "-", "σ": "sigmoid", "tanh": "np.tanh"}


def evaluate(spec: LSTMSpec, x: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Run the lines of ``spec.equations()`` for a one-layer, one-direction spec, as Python, over x [T, D]."""
    lines = re.findall(r"^ +([cfghio]_t) = (.*?)(?:   .*)?$", spec.equations(), flags=re.MULTILINE)
    hidden = spec.hidden_size
    weights = {name.removesuffix("_reverse"): array for name, array in weights.items()}
    scope: dict[str, object] = {"np": np, "sigmoid": lambda z: 1 / (1 + np.exp(-z))}
    scope |= {"clip": lambda z, bound: np.clip(z, -bound, bound)}
    for row, gate in enumerate("ifgo"):
        rows = slice(row * hidden, (row + 1) * hidden)
        scope |= {f"W_i{gate}": weights["weight_ih_l0"][rows], f"W_h{gate}": weights["weight_hh_l0"][rows]}
        if spec.bias:
            scope[f"b_{gate}"] = weights["bias_l0"][rows]
        if gate in spec.peepholes:
            scope[f"w_{gate}c"] = weights[f"peephole_{gate}_l0"]
        if gate in spec.full_peepholes:
            scope[f"W_{gate}c"] = weights[f"peephole_{gate}_l0"]
    scope |= {"h_old": np.zeros(hidden), "c_old": np.zeros(hidden)}
    outputs: list[np.ndarray] = []
    for x_t in x:
        scope["x_t"] = x_t
        for symbol, expression in lines:
            expression = re.sub(r"([hc])_\{t[−+]1\}", r"\1_old", expression).replace("±", "")
            for sign, operator in PYTHON.items():
                expression = expression.replace(sign, operator)
            scope[symbol] = eval(expression, scope)
        scope |= {"h_old": scope["h_t"], "c_old": scope["c_t"]}
        outputs.append(np.asarray(scope["h_t"]))
    return np.array(outputs)


@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"bias": False},
        {"direction": "reverse"},
        {"peepholes": "ifo"},
        {"peepholes": "if", "full_peepholes": "o"},
        {"coupled_gates": "f=1-i"},
        {"coupled_gates": "i=1-f"},
        {"gate_clip": 0.3, "cell_clip": 0.2},
        {"forget_bias": 1.5},
        {"forget_bias": -0.5},
    ],
)
def test_equations_are_what_the_reference_computes(variant: dict) -> None:
    spec = LSTMSpec(3, 4, **variant)
    lstm = LSTM(spec, seed=1)
    x = np.random.default_rng(0).normal(size=(6, 3))
    y, _ = run_on_device(lstm, x, device="reference")
    ordered = x[::-1] if spec.direction == "reverse" else x
    weights = {name: array.astype(np.float64) for name, array in lstm.weights.items()}
    expected = evaluate(spec, ordered, weights)
    np.testing.assert_allclose(y, expected[::-1] if spec.direction == "reverse" else expected, rtol=0, atol=1e-14)


def test_page_gives_shapes_counts_and_purposes() -> None:
    page = LSTMSpec(12, 32).equations()
    assert "5,760 parameters" in page
    assert "(H, D) = (32, 12)" in page
    assert page.count("gate: how much") == 3
    assert "candidate: what could be written" in page


def test_deeper_layers_and_both_directions_are_written_down() -> None:
    page = LSTMSpec(12, 32, 2, "bidirectional", proj_size=8).equations()
    assert "(H, 2R) = (32, 16)" in page
    assert "h_{t−1}" in page
    assert "h_{t+1}" in page
    assert "W_hr·m_t" in page


def test_latex_has_one_environment_for_each_direction() -> None:
    text = LSTMSpec(3, 5, direction="bidirectional", peepholes="o").equations("latex")
    assert text.count(r"\begin{align*}") == text.count(r"\end{align*}") == 2
    assert r"w_{oc} \odot c_{t}" in text
    assert text.count("{") == text.count("}")
