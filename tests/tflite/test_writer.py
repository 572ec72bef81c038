"""What we write, LiteRT runs and we read; what TFLite lacks is named."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.test_reference import VARIANTS
from tests.strategies import deterministic, random_weights
from tests.tflite.models import run_with_litert
from tests.tolerances import TOLERANCES

from gatesmith.errors import InputError, UnsupportedError
from gatesmith.ops import LSTM
from gatesmith.spec import LSTMSpec
from gatesmith.tflite import from_tflite, inexpressible, save_tflite, to_tflite


@st.composite
def tflite_specs(draw: st.DrawFn) -> LSTMSpec:
    hidden, coupled = draw(st.integers(1, 6)), draw(st.booleans())
    proj = draw(st.integers(0, hidden - 1))
    function = draw(st.sampled_from(["tanh", "relu"]))
    return LSTMSpec(
        draw(st.integers(1, 5)),
        hidden,
        draw(st.integers(1, 3)),
        draw(st.sampled_from(["forward", "reverse", "bidirectional"])),
        draw(st.booleans()),
        peepholes=draw(st.sampled_from(["", "fo" if coupled else "ifo"])),
        coupled_gates="i=1-f" if coupled else "none",
        cell_clip=draw(st.sampled_from([None, 0.25])),
        proj_clip=draw(st.sampled_from([None, 0.125])) if proj else None,
        proj_size=proj,
        proj_bias=bool(proj) and draw(st.booleans()),
        activations=("sigmoid", function, function),
        forget_bias=draw(st.sampled_from([0.0, 1.0])),
    )


@given(spec=tflite_specs(), batch_first=st.booleans())
@deterministic(40)
def test_litert_runs_what_we_write(spec: LSTMSpec, batch_first: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("tflite") / "lstm.tflite"
    lstm = LSTM(random_weights(spec, 0, "float32"), device="reference", batch_first=batch_first)
    save_tflite(lstm, path, batch=3)
    for steps in (1, 4):
        x = np.random.default_rng(1).normal(size=(3, steps, spec.input_size)).astype(np.float32)
        x = x if batch_first else np.ascontiguousarray(x.swapaxes(0, 1))
        y, _ = lstm(x)
        assert np.abs(run_with_litert(path.read_bytes(), x) - y).max() <= TOLERANCES["module_float32"]
        back = LSTM(from_tflite(path).weights, device="reference", batch_first=from_tflite(path).batch_first)
        assert np.abs(back(x)[0] - y).max() <= TOLERANCES["module_float32"]
    again = from_tflite(path).spec
    assert (again.direction, again.num_layers, again.coupled_gates) == (
        spec.direction,
        spec.num_layers,
        spec.coupled_gates,
    )


@pytest.mark.parametrize("name", VARIANTS)
def test_what_tflite_lacks_is_named(name: str, tmp_path: Path) -> None:
    spec = LSTMSpec(3, 4, 2, **{"direction": "forward", **VARIANTS[name]})
    if inexpressible(spec) is None:
        lstm = LSTM(spec)
        save_tflite(lstm, tmp_path / "lstm.tflite")
        assert from_tflite(tmp_path / "lstm.tflite").spec.hidden_size == spec.hidden_size
        return
    with pytest.raises(UnsupportedError, match="TFLite can't express"):
        save_tflite(LSTM(spec), tmp_path / "lstm.tflite")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "feature"),
    [
        ({"peepholes": "o"}, "peepholes on some gates alone"),
        ({"full_peepholes": "o"}, "full-matrix peepholes"),
        ({"coupled_gates": "f=1-i"}, "gates coupled as f = 1 - i"),
        ({"gate_clip": 1.0}, "gate_clip"),
        ({"layer_norm": "gates_and_cell"}, "layer_norm"),
        ({"zoneout_c": 0.1}, "zoneout"),
        ({"drop_states": True}, "drop_states"),
        ({"num_layers": 2, "residual": True}, "residual connections"),
        ({"activations": ("hard_sigmoid", "tanh", "tanh")}, "gates that are no sigmoids"),
        ({"activations": ("sigmoid", "tanh", "relu")}, "an output activation that is not the candidate's"),
        ({"activations": ("sigmoid", "softsign", "softsign")}, "activation Activation(name='softsign'"),
        ({"direction": "bidirectional", "reverse_activations": ("sigmoid", "relu", "relu")}, "reverse_activations"),
    ],
)
def test_each_feature_by_its_name(values: dict, feature: str) -> None:
    assert str(inexpressible(LSTMSpec(3, 4, **values))).startswith(feature)


def test_a_batch_of_none_is_refused() -> None:
    with pytest.raises(InputError, match="batch is 0; expected at least 1"):
        to_tflite(LSTM(LSTMSpec(3, 4)), batch=0)
