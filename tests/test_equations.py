"""The printed mathematics is evaluated as a program and must give what the reference computes."""

import re

import numpy as np
import pytest
from tests.strategies import random_weights
from tests.tolerances import TOLERANCES

from gatesmith import LSTM, LSTMSpec, run_on_device
from gatesmith.spec import ACTIVATION_DEFAULTS

PYTHON = {
    "·": " @ ",
    "⊙": "*",
    "−": "-",
    "σ": "sigmoid",
    "tanh": "np.tanh",
    "min(": "np.minimum(",
    "max(": "np.maximum(",
    "ln(": "np.log(",
    "e^z": "np.exp(z)",
}
NUMPY = {"np": np, "sigmoid": lambda z: 1 / (1 + np.exp(-z))}


def as_python(expression: str, product: str = " @ ") -> str:
    expression = re.sub(r"([hc])_\{t[−+]1\}", r"\1_old", expression)
    expression = re.sub(r"^(.*) where (.*), else (.*)$", r"np.where(\2, \1, \3)", expression)
    expression = re.sub(r"\|(\w)\|", r"np.abs(\1)", expression).replace("±", "")
    for sign, operator in PYTHON.items():
        pattern = re.escape(sign) if not sign[0].isalpha() else rf"(?<!\w){re.escape(sign)}"
        expression = re.sub(pattern, product if sign == "·" else operator, expression)
    return expression


def definitions(page: str) -> dict[str, object]:
    """The functions that a page defines in one line, such as ``relu(z) = max(z, 0)``."""
    found: dict[str, object] = {}
    for name, arguments, body in re.findall(r"^ +(\w+)\((z[^)]*)\) = (.*?)$", page, flags=re.MULTILINE):
        if name not in ("σ", "norm"):
            found[name] = eval(f"lambda {arguments.replace('±', '')}: {as_python(body, ' * ')}", dict(NUMPY))
    return found


def norms(spec: LSTMSpec, weights: dict[str, np.ndarray], scope: dict[str, object], symbol: str) -> object:
    """norm() as the page defines it, for the gate or state whose line is being evaluated."""
    at = "ifgo".find(symbol[0])
    rows = slice(None) if at < 0 else slice(at * spec.hidden_size, (at + 1) * spec.hidden_size)

    def norm(z: np.ndarray, name: str = "norm_cell" if at < 0 else "norm_gates") -> np.ndarray:
        unit = (z - z.mean()) / np.sqrt(z.var() + 1e-5)
        return unit * weights[f"{name}_gain_l0"][rows] + weights[f"{name}_shift_l0"][rows]

    def part(z: np.ndarray) -> np.ndarray:
        """One gate's rows of what is normalised over all gates together."""
        if at < 0:
            return norm(z)
        for name, kind, seen in (("norm_ih", "i", scope["x_t"]), ("norm_hh", "h", scope["h_old"])):
            parts = [scope[f"W_{kind}{gate}"] @ seen for gate in "ifgo"]
            if np.array_equal(parts[at], z):
                whole = np.concatenate(parts)
                unit = ((whole - whole.mean()) / np.sqrt(whole.var() + 1e-5))[rows]
                return unit * weights[f"{name}_gain_l0"][rows] + weights[f"{name}_shift_l0"][rows]
        raise AssertionError(symbol)

    return norm if spec.layer_norm == "gates_and_cell" else part


def evaluate(spec: LSTMSpec, x: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Run the lines of ``spec.equations()`` for a one-layer, one-direction spec, as Python, over x [T, D]."""
    page = spec.equations()
    lines = re.findall(r"^ +([cfghiom]_t) = (.*?)(?:   .*)?$", page, flags=re.MULTILINE)
    hidden = spec.hidden_size
    weights = {name.removesuffix("_reverse"): array for name, array in weights.items()}
    scope: dict[str, object] = NUMPY | definitions(page)
    for row, gate in enumerate("ifgo"):
        rows = slice(row * hidden, (row + 1) * hidden)
        scope |= {f"W_i{gate}": weights["weight_ih_l0"][rows], f"W_h{gate}": weights["weight_hh_l0"][rows]}
        if spec.bias:
            scope[f"b_{gate}"] = weights["bias_l0"][rows]
        if gate in spec.peepholes:
            scope[f"w_{gate}c"] = weights[f"peephole_{gate}_l0"]
        if gate in spec.full_peepholes:
            scope[f"W_{gate}c"] = weights[f"peephole_{gate}_l0"]
    scope |= {"W_hr": weights.get("weight_hr_l0"), "b_hr": weights.get("bias_hr_l0")}
    scope |= {"h_old": np.zeros(spec.output_size), "c_old": np.zeros(hidden)}
    outputs: list[np.ndarray] = []
    for x_t in x:
        scope["x_t"] = x_t
        for symbol, expression in lines:
            if spec.layer_norm != "none":
                scope["norm"] = norms(spec, weights, scope, symbol)
            scope[symbol] = eval(as_python(expression), scope)
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
        {"proj_size": 2},
        {"proj_size": 2, "proj_bias": True, "proj_clip": 0.1},
        {"layer_norm": "gates_and_cell"},
        {"layer_norm": "inputs_and_cell"},
        *({"activations": (name, name, name)} for name in ACTIVATION_DEFAULTS),
    ],
)
def test_equations_are_what_the_reference_computes(variant: dict) -> None:
    spec = LSTMSpec(3, 4, **variant)
    lstm = LSTM(random_weights(spec, 1, "float64"))
    x = np.random.default_rng(0).normal(size=(6, 3))
    y, _ = run_on_device(lstm, x, device="reference")
    ordered = x[::-1] if spec.direction == "reverse" else x
    weights = {name: array.astype(np.float64) for name, array in lstm.weights.items()}
    expected = evaluate(spec, ordered, weights)
    tolerance = TOLERANCES["reference_to_pytorch_float64"]
    np.testing.assert_allclose(y, expected[::-1] if spec.direction == "reverse" else expected, rtol=0, atol=tolerance)


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
