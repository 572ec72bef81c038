"""Files that Keras 3 wrote, against the outputs that Keras 3 computed; our own files; broken and hostile ones.

The files under ``data/keras`` were written by Keras 3.12 with its PyTorch backend; beside each stands an ``.npz``
with an input and Keras's output for it.
"""

import dataclasses
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.test_reference import VARIANTS
from tests.strategies import deterministic, random_weights
from tests.tolerances import TOLERANCES

from gatesmith.errors import GatesmithError, InputError, UnsupportedError, WeightsError
from gatesmith.keras import ACTIVATIONS, from_keras, inexpressible, lengths_from_mask, save_keras
from gatesmith.ops import LSTM
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights

DATA = Path(__file__).parents[1] / "data" / "keras"


@pytest.mark.parametrize(
    "name", ["plain.keras", "plain.weights.h5", "stack.keras", "stack.h5", "bidirectional.keras", "backwards.keras"]
)
def test_files_of_keras_give_its_outputs(name: str) -> None:
    lstm = from_keras(DATA / name)
    with np.load(DATA / f"{name.partition('.')[0]}.npz") as expected:
        y, _ = LSTM(lstm.weights, device="reference", batch_first=True)(expected["x"])
        theirs = expected["y"]
    if name.startswith("backwards"):
        theirs = theirs[:, ::-1]  # Keras returns the outputs of a go_backwards layer in the order of computation
    assert np.abs(y - theirs).max() <= TOLERANCES["module_float32"]


@pytest.mark.parametrize("name", ["functional.keras", "functional.h5"])
def test_other_layers_are_left_out(name: str) -> None:
    lstm = from_keras(DATA / name)
    assert lstm.spec == LSTMSpec(3, 4)
    assert lstm.batch_first


def test_what_the_stack_says() -> None:
    spec = from_keras(DATA / "stack.keras").spec
    assert (spec.num_layers, spec.bias) == (2, False)
    assert [activation.name for activation in spec.activations] == ["hard_sigmoid", "softsign", "softsign"]
    assert from_keras(DATA / "bidirectional.keras").spec == LSTMSpec(3, 4, 2, "bidirectional")
    assert from_keras(DATA / "backwards.keras").spec.direction == "reverse"


@st.composite
def keras_specs(draw: st.DrawFn) -> LSTMSpec:
    direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    layers = 1 if direction == "reverse" else draw(st.integers(1, 12))
    gate, candidate = (ACTIVATIONS[draw(st.sampled_from(sorted(ACTIVATIONS)))] for _ in range(2))
    other = draw(st.sampled_from([None, ("hard_sigmoid", "relu", "relu")])) if direction == "bidirectional" else None
    return LSTMSpec(
        draw(st.integers(1, 4)),
        draw(st.integers(1, 4)),
        layers,
        direction,
        draw(st.booleans()),
        activations=(gate, candidate, candidate),
        reverse_activations=other and tuple(ACTIVATIONS[name] for name in other),
    )


@given(spec=keras_specs())
@deterministic(25)
def test_what_we_write_we_read(spec: LSTMSpec, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("keras")
    lstm = LSTM(random_weights(spec, 0, "float32"))
    save_keras(lstm, folder / "lstm.keras")
    back = from_keras(folder / "lstm.keras")
    assert back.spec == spec
    for name, array in lstm.weights.items():
        assert np.array_equal(back.weights[name], array)


def test_our_layout_is_that_of_keras(tmp_path: Path) -> None:
    """The same groups and arrays as Keras's own file of the same model."""
    for name in ("plain", "bidirectional"):
        save_keras(from_keras(DATA / f"{name}.keras"), tmp_path / f"{name}.keras")
        contents = []
        for path in (DATA / f"{name}.keras", tmp_path / f"{name}.keras"):
            with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
                found: dict[str, Any] = {}
                file.visititems(lambda key, item, into=found: into.update({key: getattr(item, "shape", None)}))
                contents.append(found)
        assert contents[0] == contents[1]


def test_weights_alone(tmp_path: Path) -> None:
    lstm = LSTM(LSTMSpec(3, 4, 2), seed=1)
    save_keras(lstm, tmp_path / "lstm.weights.h5")
    assert from_keras(tmp_path / "lstm.weights.h5").spec == lstm.spec
    odd = LSTM(LSTMSpec(3, 4, activations=("sigmoid", "relu", "relu")))
    with pytest.raises(UnsupportedError, match="activations other than the defaults"):
        save_keras(odd, tmp_path / "odd.weights.h5")


KEPT = {"no_bias", "dropout", "recurrent_dropout"}


@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in KEPT])
def test_what_keras_lacks_is_named(name: str, tmp_path: Path) -> None:
    spec = LSTMSpec(3, 4, 2, **{"direction": "forward", **VARIANTS[name]})
    assert inexpressible(spec)
    with pytest.raises(UnsupportedError, match="Keras can't express"):
        save_keras(LSTM(spec), tmp_path / "lstm.keras")
    assert not list(tmp_path.iterdir())


def test_more_that_keras_lacks() -> None:
    assert inexpressible(LSTMSpec(3, 4, 2, "reverse")) == "a stack in reverse direction"
    assert inexpressible(LSTMSpec(3, 4, activations=("sigmoid", "tanh", "relu"))) == (
        "an output activation that is not the candidate's"
    )


def test_masks_are_lengths() -> None:
    mask = np.array([[True, True, False], [False, False, False], [True, True, True]])
    assert lengths_from_mask(mask).tolist() == [2, 0, 3]
    with pytest.raises(InputError, match="row 1 of the mask has a gap"):
        lengths_from_mask([[True, False], [False, True]])
    with pytest.raises(InputError, match="expected booleans"):
        lengths_from_mask(np.ones((2, 3)))


def rewritten(tmp_path: Path, change: Any) -> Path:
    """Keras's bidirectional model with a changed configuration."""
    with zipfile.ZipFile(DATA / "bidirectional.keras") as archive:
        config, weights = json.loads(archive.read("config.json")), archive.read("model.weights.h5")
    change(config["config"]["layers"])
    with zipfile.ZipFile(tmp_path / "changed.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights)
    return tmp_path / "changed.keras"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda layers: layers[1]["config"].update(merge_mode="sum"), "merge_mode 'sum'; expected 'concat'"),
        (lambda layers: layers[1]["config"]["layer"]["config"].update(activation="swish"), "activation 'swish'"),
        (
            lambda layers: layers[1]["config"]["layer"]["config"].update(activation="relu"),
            "differ in direction or activ",
        ),
        (
            lambda layers: layers[1]["config"].update(backward_layer={"class_name": "GRU", "config": {}}),
            "has a GRU as its backward layer",
        ),
        (
            lambda layers: layers[1]["config"]["layer"]["config"].update(go_backwards=True),
            "a forward layer that goes backwards",
        ),
        (
            lambda layers: layers.insert(2, {"class_name": "Dense", "config": {"name": "between"}}),
            "layer 'bidirectional_1' reads between, not 'bidirectional'",
        ),
        (
            lambda layers: layers[2].update(inbound_nodes=[{"args": [{"keras_history": ["input_layer_2", 0, 0]}]}]),
            "layer 'bidirectional_1' reads .*, not 'bidirectional'",
        ),
        (lambda layers: layers.pop(), "1 LSTM layers and weights for 2"),
    ],
)
def test_what_a_spec_cannot_say_is_named(change: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=message):
        from_keras(rewritten(tmp_path, change))


def test_what_passes_on_in_evaluation_may_stand_between(tmp_path: Path) -> None:
    path = rewritten(tmp_path, lambda layers: layers.insert(2, {"class_name": "Dropout", "config": {"name": "drop"}}))
    assert from_keras(path).spec == LSTMSpec(3, 4, 2, "bidirectional")


def test_a_backward_layer_with_activations_of_its_own(tmp_path: Path) -> None:
    def change(layers: list[Any]) -> None:
        for layer in layers[1:]:
            backward = json.loads(json.dumps(layer["config"]["layer"]))
            backward["config"].update(activation="relu", go_backwards=True)
            layer["config"]["backward_layer"] = backward

    spec = from_keras(rewritten(tmp_path, change)).spec
    assert spec.reverse_activations is not None
    assert [activation.name for activation in spec.reverse_activations] == ["sigmoid", "relu", "relu"]


@pytest.mark.nightly
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_keras_itself_computes_what_we_wrote(direction: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And with a mask, what our lengths give."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    spec = LSTMSpec(3, 4, 2, direction)
    if direction == "bidirectional":
        relu = ("hard_sigmoid", "relu", "relu")
        spec = dataclasses.replace(spec, reverse_activations=tuple(ACTIVATIONS[name] for name in relu))
    lstm = LSTM(random_weights(spec, 0, "float32"), device="reference", batch_first=True)
    save_keras(lstm, tmp_path / "ours.keras")
    x = np.random.default_rng(0).normal(size=(3, 5, 3)).astype(np.float32)
    model = keras.saving.load_model(tmp_path / "ours.keras")
    theirs = model(x).detach().numpy()
    assert np.abs(lstm(x)[0] - theirs).max() <= TOLERANCES["module_float32"]
    mask = np.arange(5) < np.array([[5], [2], [3]])
    layer = model.layers[0]
    theirs = layer(x, mask=keras.ops.convert_to_tensor(mask)).detach().numpy()
    first = from_keras(tmp_path / "ours.keras").weights
    alone = dataclasses.replace(spec, num_layers=1)
    arrays = {name: array for name, array in first.items() if "_l0" in name}
    ours, _ = LSTM(Weights(alone, arrays), device="reference", batch_first=True)(x, lengths=lengths_from_mask(mask))
    assert np.abs((ours - theirs)[mask]).max() <= TOLERANCES["module_float32"]


def h5_with(path: Path, **entries: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in entries.items():
            file[name.replace("__", "/")] = value
    return path


def test_links_out_of_the_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(4 * 48))
    secret = h5_with(tmp_path / "secret.h5", data=np.zeros((3, 16), np.float32))
    for link in (h5py.ExternalLink(str(secret), "data"), h5py.SoftLink("/elsewhere")):
        path = h5_with(tmp_path / "link.h5", layers__lstm__cell__vars__0=link)
        with pytest.raises(WeightsError, match="is a link"):
            from_keras(path)
    with h5py.File(tmp_path / "external.h5", "w") as file:
        place = file.create_group("layers/lstm/cell/vars")
        place.create_dataset("0", (3, 16), "f4", external=[(str(tmp_path / "secret.bin"), 0, 192)])
    with pytest.raises(WeightsError, match="no plain array of floats in the file itself"):
        from_keras(tmp_path / "external.h5")


def test_claimed_sizes_are_bounded(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_group("layers/lstm/cell/vars").create_dataset(
            "0", (2**20, 2**20), "f4", chunks=(16, 16), compression=1
        )
    with pytest.raises(WeightsError, match="claims 4398046511104 bytes"):
        from_keras(tmp_path / "huge.h5")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "holds the LSTM cells none"),
        ({"layers__dense__vars__0": np.zeros((3, 4), np.float32)}, "holds the LSTM cells none"),
        ({"layers__lstm__cell__vars__0": np.zeros((3, 16), np.float32)}, "expected kernel and recurrent_kernel"),
        ({"layers__lstm__cell__vars__0": np.zeros((3, 16), np.int32)}, "no plain array of floats"),
        (
            {
                "layers__lstm__cell__vars__0": np.zeros((3, 16), np.float32),
                "layers__lstm__cell__vars__1": np.zeros((5, 16), np.float32),
            },
            r"weight_ih_l0 has shape \(16, 3\); expected \(20, 3\)",
        ),
    ],
)
def test_wrong_weights_are_named(entries: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(GatesmithError, match=message):
        from_keras(h5_with(tmp_path / "wrong.h5", **entries))


def test_broken_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="can't read"):
        from_keras(tmp_path / "absent.keras")
    with pytest.raises(WeightsError, match="can't read"):
        from_keras(tmp_path / "absent.h5")
    rng = np.random.default_rng(0)
    for name in ("plain.keras", "plain.weights.h5"):
        content = (DATA / name).read_bytes()
        for attempt in range(40):
            broken = bytearray(content)
            if attempt % 2:
                del broken[int(rng.integers(len(broken))) :]
            else:
                for at in rng.integers(0, len(broken), 30):
                    broken[at] ^= int(rng.integers(1, 256))
            path = tmp_path / f"broken{Path(name).suffix}"
            path.write_bytes(broken)
            try:
                from_keras(path)
            except GatesmithError:
                continue


def test_specs_that_keras_can_say_are_expressible() -> None:
    assert inexpressible(LSTMSpec(3, 4, 2, "bidirectional", dropout=0.5, recurrent_dropout=0.5)) is None
    assert inexpressible(dataclasses.replace(LSTMSpec(3, 4), forget_bias=1.0)) == "forget_bias at run time"
