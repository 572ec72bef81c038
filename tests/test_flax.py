"""Flax's parameters against Flax's equations, written out here; trees and files that are no LSTM."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from tests.ops.test_reference import VARIANTS
from tests.strategies import deterministic, plain_specs
from tests.tolerances import TOLERANCES

from gatesmith.errors import UnsupportedError, WeightsError
from gatesmith.flax import flattened, from_flax, load_flax, to_flax
from gatesmith.ops import LSTM
from gatesmith.spec import LSTMSpec


def flax_cell(rng: np.random.Generator, features: int, hidden: int) -> dict[str, Any]:
    """The parameters of ``flax.linen.OptimizedLSTMCell``, drawn at random."""
    cell: dict[str, Any] = {f"i{g}": {"kernel": rng.normal(size=(features, hidden))} for g in "ifgo"}
    return cell | {
        f"h{g}": {"kernel": rng.normal(size=(hidden, hidden)), "bias": rng.normal(size=hidden)} for g in "ifgo"
    }


def run_flax_cell(cell: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """The equations of Flax's documentation, one step after the other; x [N, T, D]."""
    h = c = np.zeros((len(x), cell["hi"]["bias"].size))
    ys = []
    for t in range(x.shape[1]):
        z = {g: x[:, t] @ cell[f"i{g}"]["kernel"] + h @ cell[f"h{g}"]["kernel"] + cell[f"h{g}"]["bias"] for g in "ifgo"}
        i, f, o = (1 / (1 + np.exp(-z[g])) for g in "ifo")
        c = f * c + i * np.tanh(z["g"])
        h = o * np.tanh(c)
        ys.append(h)
    return np.stack(ys, 1)


def test_one_cell_computes_what_flax_computes() -> None:
    rng = np.random.default_rng(0)
    cell, x = flax_cell(rng, 3, 4), rng.normal(size=(2, 5, 3))
    for tree in (cell, {"params": {"OptimizedLSTMCell_0": cell}}, {"params": {"RNN_0": {"cell": cell}, "Dense_0": {}}}):
        lstm = from_flax(tree)
        assert lstm.spec == LSTMSpec(3, 4)
        y, _ = lstm(x)
        assert np.abs(y - run_flax_cell(cell, x)).max() <= TOLERANCES["reference_to_pytorch_float64"]


def test_stacks_and_both_directions() -> None:
    rng = np.random.default_rng(0)
    first, second, back = flax_cell(rng, 3, 4), flax_cell(rng, 4, 4), flax_cell(rng, 3, 4)
    x = rng.normal(size=(2, 5, 3))
    y, _ = from_flax({"a": first, "b": second})(x)
    assert np.allclose(y, run_flax_cell(second, run_flax_cell(first, x)))
    y, _ = from_flax({"forward_rnn": {"cell": first}, "backward_rnn": {"cell": back}})(x)
    assert np.allclose(y, np.concatenate([run_flax_cell(first, x), run_flax_cell(back, x[:, ::-1])[:, ::-1]], -1))
    assert from_flax({"backward_rnn": {"cell": back}}).spec.direction == "reverse"


@given(spec=plain_specs().filter(lambda spec: not spec.proj_size))
@deterministic(25)
def test_round_trip_through_a_tree_and_a_file(spec: LSTMSpec, tmp_path_factory: pytest.TempPathFactory) -> None:
    lstm = LSTM(spec, seed=3)
    tree = to_flax(lstm)
    path = tmp_path_factory.mktemp("flax") / "params.npz"
    np.savez(path, **flattened(tree))
    for back in (from_flax(tree), load_flax(path)):
        assert (back.spec.num_layers, back.spec.direction) == (spec.num_layers, spec.direction)
        for name, array in lstm.weights.items():
            assert np.array_equal(back.weights[name], array)
        if not spec.bias:
            assert not any(back.weights[name].any() for name in back.weights if name.startswith("bias"))


@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in ("no_bias", "dropout", "recurrent_dropout")])
def test_what_flax_lacks_is_named(name: str) -> None:
    with pytest.raises(UnsupportedError, match="Flax's LSTM cell can't express"):
        to_flax(LSTM(LSTMSpec(3, 4, 2, **{"direction": "forward", **VARIANTS[name]})))


def broken_trees() -> dict[str, tuple[dict[str, Any], type[Exception], str]]:
    rng = np.random.default_rng(0)
    good, back = flax_cell(rng, 3, 4), flax_cell(rng, 3, 4)
    deep: dict[str, Any] = {}
    for _ in range(50):
        deep = {"deeper": deep}
    return {
        "empty": ({}, WeightsError, "holds no LSTM cell"),
        "gate missing": ({k: v for k, v in good.items() if k != "hf"}, WeightsError, "holds no LSTM cell"),
        "no kernel": ({**good, "hf": {}}, WeightsError, "hf/kernel of cell '' is not a floating array of 2 axes"),
        "no group": ({**good, "hf": 3}, WeightsError, "hf/kernel"),
        "integers": ({**good, "ii": {"kernel": np.zeros((3, 4), int)}}, WeightsError, "ii/kernel"),
        "shapes": ({**good, "ii": {"kernel": np.zeros((2, 4))}}, WeightsError, "expected one"),
        "stack": ({"a": good, "b": flax_cell(rng, 9, 4)}, WeightsError, "weight_ih_l1 has shape"),
        "pairs": (
            {"a": good, "b": good, "backward_rnn": {"cell": back}},
            UnsupportedError,
            "3 cells have 1 backward ones",
        ),
        "deep": (deep, WeightsError, "nests more than 32 deep"),
    }


@pytest.mark.parametrize("name", broken_trees())
def test_wrong_trees_are_named(name: str) -> None:
    tree, error, message = broken_trees()[name]
    with pytest.raises(error, match=message):
        from_flax(tree)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", **{"a/ii/kernel": np.array([{"x": 1}], object)})
    with pytest.raises(WeightsError, match="not a whole .npz file of plain arrays"):
        load_flax(tmp_path / "objects.npz")


def test_broken_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="can't read"):
        load_flax(tmp_path / "absent.npz")
    np.savez(tmp_path / "clash.npz", **{"a": np.zeros(1), "a/b": np.zeros(1)})
    with pytest.raises(WeightsError, match="not a whole .npz"):
        load_flax(tmp_path / "clash.npz")
    np.savez(tmp_path / "good.npz", **flattened(to_flax(LSTM(LSTMSpec(2, 3)))))
    content = (tmp_path / "good.npz").read_bytes()
    for size in (0, 1, 30, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.npz").write_bytes(content[:size])
        with pytest.raises(WeightsError):
            load_flax(tmp_path / "cut.npz")


@pytest.mark.nightly
@pytest.mark.parametrize("cell", ["OptimizedLSTMCell", "LSTMCell"])
def test_flax_itself_computes_the_same(cell: str) -> None:
    """Where Flax is installed: its modules' parameters are read, and ours are taken by its modules."""
    linen, jax = pytest.importorskip("flax.linen"), pytest.importorskip("jax")
    make = getattr(linen, cell)
    model = linen.Sequential(
        [
            linen.Bidirectional(linen.RNN(make(4)), linen.RNN(make(4))),
            linen.Bidirectional(linen.RNN(make(4)), linen.RNN(make(4))),
        ]
    )
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    params = model.init(jax.random.key(0), x)
    lstm = from_flax(jax.tree.map(np.asarray, params))
    assert lstm.spec == LSTMSpec(3, 4, 2, "bidirectional")
    y, _ = LSTM(lstm.weights, device="reference", batch_first=True)(x)
    assert np.abs(y - np.asarray(model.apply(params, x))).max() <= TOLERANCES["module_float32"]
    ours = LSTM(LSTMSpec(3, 4), seed=1, device="reference", batch_first=True)
    theirs = linen.RNN(make(4)).apply({"params": {"cell": to_flax(ours)["layer_0"]["cell"]}}, x)
    assert np.abs(ours(x)[0] - np.asarray(theirs)).max() <= TOLERANCES["module_float32"]
