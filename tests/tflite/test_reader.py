"""LSTM operators of TFLite files against LiteRT's outputs, and operators that no spec says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import deterministic
from tests.tflite.models import ModelFile, cell_inputs, options_of, run_with_litert
from tests.tolerances import TOLERANCES

from gatesmith.errors import GatesmithError, UnsupportedError, WeightsError
from gatesmith.ops import LSTM
from gatesmith.tflite import from_tflite

KERNELS = ("UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "LSTM")
STEPS, BATCH, FEATURES, HIDDEN = 5, 2, 3, 4


@st.composite
def variants(draw: st.DrawFn) -> dict[str, Any]:
    """What one LSTM operator of TFLite can be."""
    kernel = draw(st.sampled_from(KERNELS))
    proj = draw(st.sampled_from([0, 0, 2]))
    return {
        "kernel": kernel,
        "cell": {
            "cifg": draw(st.booleans()),
            "peepholes": draw(st.booleans()),
            "proj": proj,
            "proj_bias": draw(st.booleans()),
            "half": draw(st.booleans()),
        },
        "options": {
            "activation": draw(st.sampled_from(["TANH", "RELU"])),
            "cellClip": draw(st.sampled_from([0.0, 0.25])),
            "projClip": draw(st.sampled_from([0.0, 0.125])),
            **({} if kernel == "LSTM" else {"time_major": draw(st.booleans())}),
        },
        "seed": draw(st.integers(0, 1000)),
    }


def layer(file: ModelFile, x: int, kernel: str, cell: dict[str, Any], options: dict[str, Any], seed: int = 0) -> int:
    """Adds one LSTM operator that reads tensor x; its output."""
    rng = np.random.default_rng(seed)
    features = file.tensors[x].shape[-1]
    cell = {"features": features, "hidden": HIDDEN, **cell}
    out = cell.get("proj") or HIDDEN
    both = kernel.startswith("B")
    arrays = [number for _ in range(2 if both else 1) for number in cell_inputs(file, rng, **cell)]
    batch = file.tensors[x].shape[-2 if options.get("time_major", True) else 0]
    states = [file.tensor((batch, size), variable=True) for _ in range(2 if both else 1) for size in (out, HIDDEN)]
    if both:
        options = {"mergeOutputs": True, **options}
    outer = file.tensors[x].shape[:-1]
    inputs = [x, *arrays, *states, *([-1] * (9 if both else 4))]
    # Versions: 3 is the bidirectional kernel's first with a batch-first layout.
    return file.operator(kernel, inputs, (*outer, out * (2 if both else 1)), options_of(kernel, **options), 3)


def compared(content: bytes, path: Path, x: np.ndarray) -> float:
    """The largest difference between LiteRT's outputs and those of what was read."""
    path.write_bytes(content)
    lstm = from_tflite(path)
    if x.ndim == 2:  # the LSTM operator takes a single step
        y = LSTM(lstm.weights, device="reference")(x[None])[0][0]
    else:
        y, _ = LSTM(lstm.weights, device="reference", batch_first=lstm.batch_first)(x)
    theirs = run_with_litert(content, x)
    assert theirs.shape == y.shape
    assert np.abs(theirs).max() > 0
    return float(np.abs(theirs - y).max())


def sequences(kernel: str, options: dict[str, Any]) -> np.ndarray:
    # LiteRT's bidirectional kernel writes past its states where it is batch-first, merges outputs, and N > 1.
    batch = 1 if kernel.startswith("B") and not options.get("time_major", True) else BATCH
    shape = (STEPS, batch, FEATURES) if options.get("time_major", True) else (batch, STEPS, FEATURES)
    return np.random.default_rng(1).normal(size=shape[1:] if kernel == "LSTM" else shape).astype(np.float32)


@given(variant=variants())
@deterministic(60)
def test_every_operator_computes_what_litert_computes(
    variant: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    kernel, options = variant["kernel"], variant["options"]
    x, file = sequences(kernel, options), ModelFile()
    entry = file.tensor(x.shape)
    y = layer(file, entry, kernel, variant["cell"], options, variant["seed"])
    path = tmp_path_factory.mktemp("tflite") / "lstm.tflite"
    assert compared(file.bytes(entry, y), path, x) <= TOLERANCES["module_float32"]
    spec = from_tflite(path).spec
    cell = variant["cell"]
    assert spec.coupled_gates == ("i=1-f" if cell["cifg"] else "none")
    assert spec.peepholes == (("fo" if cell["cifg"] else "ifo") if cell["peepholes"] else "")
    assert (spec.proj_size, spec.cell_clip) == (cell["proj"], options["cellClip"] or None)
    assert from_tflite(path).batch_first == (kernel != "LSTM" and not options["time_major"])


@pytest.mark.parametrize("kernel", KERNELS[:2])
def test_a_stack(kernel: str, tmp_path: Path) -> None:
    file, x = ModelFile(), sequences(kernel, {})
    entry = file.tensor(x.shape)
    y = layer(file, layer(file, entry, kernel, {}, {}, 1), kernel, {}, {}, 2)
    assert compared(file.bytes(entry, y), tmp_path / "stack.tflite", x) <= TOLERANCES["module_float32"]
    assert from_tflite(tmp_path / "stack.tflite").spec.num_layers == 2


@pytest.mark.parametrize("time_major", [True, False])
def test_two_operators_and_reversals_are_one_bidirectional_layer(time_major: bool, tmp_path: Path) -> None:
    """As TensorFlow converts Keras's Bidirectional(LSTM), here twice."""
    file, options = ModelFile(), {"time_major": time_major}
    x = sequences("", options)
    entry = tensor = file.tensor(x.shape)
    for seed in (0, 2):
        axis = file.tensor(values=np.array([0 if time_major else 1], np.int32))
        outer = (*x.shape[:2], HIDDEN)
        turned = file.operator("REVERSE_V2", [tensor, axis], file.tensors[tensor].shape)
        back = layer(file, turned, KERNELS[0], {}, options, seed)
        forward = layer(file, tensor, KERNELS[0], {}, options, seed + 1)
        both = [forward, file.operator("REVERSE_V2", [back, axis], outer)]
        joined = concatenation()
        tensor = file.operator("CONCATENATION", both, (*x.shape[:2], 2 * HIDDEN), joined)
    assert compared(file.bytes(entry, tensor), tmp_path / "two.tflite", x) <= TOLERANCES["module_float32"]
    spec = from_tflite(tmp_path / "two.tflite").spec
    assert (spec.direction, spec.num_layers) == ("bidirectional", 2)


def concatenation() -> Any:
    from ai_edge_litert import schema_py_generated as schema

    options = schema.ConcatenationOptionsT()
    options.axis = 2
    return options


def test_the_reverse_direction_alone(tmp_path: Path) -> None:
    file, x = ModelFile(), sequences("", {})
    entry = file.tensor(x.shape)
    axis = file.tensor(values=np.array([0], np.int32))
    y = layer(file, file.operator("REVERSE_V2", [entry, axis], x.shape), KERNELS[0], {}, {})
    y = file.operator("REVERSE_V2", [y, axis], (*x.shape[:2], HIDDEN))
    assert compared(file.bytes(entry, y), tmp_path / "reverse.tflite", x) <= TOLERANCES["module_float32"]


@pytest.mark.parametrize("ignored", [{}, {"cellClip": 0.125}, {"projClip": 0.125}, {"activation": "RELU"}])
def test_the_old_kernel_with_one_matrix(ignored: dict[str, Any], tmp_path: Path) -> None:
    file, rng = ModelFile(), np.random.default_rng(0)
    x = rng.normal(size=(BATCH, FEATURES)).astype(np.float32)
    entry = file.tensor(x.shape)
    both = file.tensor(values=rng.normal(size=(4 * HIDDEN, FEATURES + HIDDEN)).astype(np.float32))
    bias = file.tensor(values=rng.normal(size=4 * HIDDEN).astype(np.float32))
    h, c = (file.tensor((BATCH, HIDDEN), variable=True) for _ in range(2))
    basic = options_of("LSTM", kernelType=1, **ignored)
    file.operator("LSTM", [entry, h, both, bias, c], (BATCH, HIDDEN), basic, 1, extra=3)
    outputs = file.operators[-1].outputs
    file.tensors[outputs[2]].shape = [BATCH, FEATURES + HIDDEN]
    file.tensors[outputs[3]].shape = [BATCH, 4 * HIDDEN]
    content = file.bytes(entry, outputs[0])
    assert compared(content, tmp_path / "basic.tflite", x) <= TOLERANCES["module_float32"]


def test_a_diagonal_recurrent_matrix(tmp_path: Path) -> None:
    file, x = ModelFile(), sequences("", {})
    entry = file.tensor(x.shape)
    y = layer(file, entry, KERNELS[0], {"diagonal": True}, {"diagonalRecurrentTensors": True})
    path = tmp_path / "diagonal.tflite"
    assert compared(file.bytes(entry, y), path, x) <= TOLERANCES["module_float32"]
    w_hh = from_tflite(path).weights["weight_hh_l0"][:HIDDEN]
    assert np.count_nonzero(w_hh) == HIDDEN


def changed(change: Any, cell: dict[str, Any] | None = None, options: dict[str, Any] | None = None) -> bytes:
    """A stack of two unidirectional operators after a change to the file."""
    file = ModelFile()
    entry = file.tensor((STEPS, BATCH, FEATURES))
    y = layer(file, layer(file, entry, KERNELS[0], cell or {}, options or {}, 1), KERNELS[0], {}, {}, 2)
    change(file)
    return file.bytes(entry, y)


def set_input(file: ModelFile, at: int, tensor: int) -> None:
    file.operators[0].inputs[at] = tensor


def requantised(file: ModelFile) -> None:
    set_input(file, 2, file.tensor(values=np.zeros((HIDDEN, FEATURES), np.int8)))


def started(file: ModelFile) -> None:
    set_input(file, 18, file.tensor(values=np.ones((BATCH, HIDDEN), np.float32)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: set_input(file, 21, file.operators[0].inputs[13]), "normalises its gates and not its cell"),
        (requantised, "is quantised, sparse or of element type 9"),
        (started, "starts from a state that is not zero"),
        (lambda file: file.operators.pop(), None),
        (lambda file: set_input(file, 2, file.tensor((HIDDEN, FEATURES))), "computed by the model"),
        (lambda file: set_input(file, 2, -1), "weight_ih_f of operator 0 .* is missing"),
        (lambda file: set_input(file, 2, 999), "names tensor 999, which is not there"),
        (lambda file: set_input(file, 12, file.operators[0].inputs[9]), "bias_i of operator 0 .* is missing"),
        (lambda file: file.operators[1].inputs.__setitem__(0, 0), "reads more than operator 0"),
        (lambda file: setattr(file.operators[0].builtinOptions, "cellClip", 1.0), "differ in kind"),
        (lambda file: setattr(file.operators[0].builtinOptions, "cellClip", float("nan")), "expected finite numbers"),
        (lambda file: setattr(file.operators[0].builtinOptions, "fusedActivationFunction", 3), "has activation 3"),
        (lambda file: file.operators.clear(), "holds no LSTM operator"),
    ],
)
def test_what_no_spec_says_is_named(change: Any, message: str | None, tmp_path: Path) -> None:
    path = tmp_path / "changed.tflite"
    path.write_bytes(changed(change))
    if message is None:
        assert from_tflite(path).spec.num_layers == 1
        return
    with pytest.raises((UnsupportedError, WeightsError), match=message):
        from_tflite(path)


def test_other_things_than_merged_outputs_are_named(tmp_path: Path) -> None:
    for change, message in (
        ({"mergeOutputs": False}, "reads more than"),
        ({"aux": True}, "has an auxiliary input"),
    ):
        file = ModelFile()
        entry = file.tensor((STEPS, BATCH, FEATURES))
        options = {name: value for name, value in change.items() if name != "aux"}
        y = layer(file, layer(file, entry, KERNELS[1], {}, options, 1), KERNELS[1], {}, options, 2)
        if "aux" in change:
            file.operators[1].inputs[39] = entry
        (tmp_path / "both.tflite").write_bytes(file.bytes(entry, y))
        with pytest.raises(UnsupportedError, match=message):
            from_tflite(tmp_path / "both.tflite")


def test_absent_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="can't read"):
        from_tflite(tmp_path / "absent.tflite")
    (tmp_path / "text.tflite").write_text("not a model at all")
    with pytest.raises(GatesmithError, match="is not a TFLite file"):
        from_tflite(tmp_path / "text.tflite")
