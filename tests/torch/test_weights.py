"""Weights between PyTorch and gatesmith, and files that are no weights."""

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from tests.ops.test_reference import VARIANTS
from tests.strategies import deterministic, plain_specs
from tests.tolerances import TOLERANCES

import gatesmith.torch
from gatesmith.errors import UnsupportedError, WeightsError
from gatesmith.ops import LSTM
from gatesmith.spec import LSTMSpec


@given(spec=plain_specs().filter(lambda spec: spec.direction != "reverse"))
@deterministic(25)
def test_round_trip_through_torch_keeps_the_outputs(spec: LSTMSpec) -> None:
    lstm = LSTM(spec, seed=1)
    module = gatesmith.torch.to_torch(lstm)
    assert type(module) is torch.nn.LSTM
    x = np.random.default_rng(0).normal(size=(5, 2, spec.input_size))
    expected, _ = lstm(x)
    with torch.no_grad():
        actual, _ = module.double()(torch.tensor(x))
    assert np.abs(actual.numpy() - expected).max() <= TOLERANCES["reference_to_pytorch_float64"]
    for back in (gatesmith.torch.from_torch(module.float()), gatesmith.torch.from_torch(module.state_dict())):
        assert back.spec == spec
        for name, array in lstm.weights.items():
            assert np.array_equal(back.weights[name], array)


def test_both_biases_are_summed() -> None:
    module = torch.nn.LSTM(3, 4)
    lstm = gatesmith.torch.from_torch(module)
    assert np.array_equal(lstm.weights["bias_l0"], (module.bias_ih_l0 + module.bias_hh_l0).detach().numpy())


def test_cells_and_batch_first() -> None:
    cell = torch.nn.LSTMCell(3, 4)
    lstm = gatesmith.torch.from_torch(cell)
    x = torch.randn(2, 3)
    y, _ = lstm(x.numpy()[None])
    assert np.abs(y[0] - cell(x)[0].detach().numpy()).max() <= TOLERANCES["module_float32"]
    assert gatesmith.torch.from_torch(gatesmith.torch.LSTMCell(3, 4)).spec == LSTMSpec(3, 4)
    assert gatesmith.torch.from_torch(torch.nn.LSTM(3, 4, batch_first=True)).batch_first


def test_a_state_dict_may_hold_other_layers() -> None:
    model = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(3, 4, 2, bidirectional=True), "head": torch.nn.Linear(8, 2)})
    lstm = gatesmith.torch.from_torch(model.state_dict())
    assert lstm.spec == LSTMSpec(3, 4, 2, "bidirectional")
    cell = torch.nn.ModuleDict({"cell": torch.nn.LSTMCell(3, 4, bias=False)})
    assert gatesmith.torch.from_torch(cell.state_dict()).spec == LSTMSpec(3, 4, bias=False)


@pytest.mark.parametrize("name", VARIANTS)
def test_from_weights_takes_every_variant(name: str) -> None:
    lstm = LSTM(LSTMSpec(3, 4, 2, **{"direction": "forward", **VARIANTS[name]}), seed=2)
    module = gatesmith.torch.from_weights(lstm.weights)
    back = gatesmith.torch.from_torch(module)
    assert back.spec == lstm.spec
    for parameter, array in lstm.weights.items():
        assert np.array_equal(back.weights[parameter], array)


@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in ("no_bias", "projection", "dropout")])
def test_to_torch_names_what_torch_lacks(name: str) -> None:
    variant = VARIANTS[name]
    spec = LSTMSpec(3, 4, 2, **{"direction": "forward", **variant})
    field = next(
        field
        for field in dataclasses.fields(spec)
        if field.name in variant and field.name != "proj_size" and field.name != "direction"
    )
    with pytest.raises(UnsupportedError, match=f"torch.nn.LSTM can't express {field.name}="):
        gatesmith.torch.to_torch(LSTM(spec))


def test_to_torch_names_the_reverse_direction() -> None:
    with pytest.raises(UnsupportedError, match="direction='reverse'"):
        gatesmith.torch.to_torch(LSTM(LSTMSpec(3, 4, direction="reverse")))


def wrong_states() -> dict[str, tuple[dict[str, Any], str]]:
    good = torch.nn.LSTM(3, 4).state_dict()
    return {
        "empty": ({}, r"holds 0 LSTMs \(none\)"),
        "two": ({f"{p}.{k}": v for p in "ab" for k, v in good.items()}, r"holds 2 LSTMs \('a.', 'b.'\)"),
        "missing": ({k: v for k, v in good.items() if k != "bias_hh_l0"}, "bias_hh_l0 is missing"),
        "no recurrent": ({k: v for k, v in good.items() if k != "weight_hh_l0"}, "weight_hh_l0 is missing"),
        "shape": ({**good, "bias_hh_l0": torch.zeros(3)}, r"bias_hh_l0 is a torch.float32 tensor of shape \(3,\)"),
        "integer": ({**good, "bias_hh_l0": torch.zeros(16, dtype=torch.int64)}, "bias_hh_l0 is a torch.int64"),
        "text": ({**good, "weight_ih_l0": "abc"}, "weight_ih_l0 is a str"),
        "unknown": ({**good, "weight_xx_l0": torch.zeros(1)}, "'weight_xx_l0' is unknown"),
        "nan": ({**good, "bias_ih_l0": torch.full((16,), torch.nan)}, "bias_l0 holds nan"),
        "scalar": ({**good, "weight_hh_l0": torch.tensor(1.0)}, "expected a tensor of two axes"),
    }


@pytest.mark.parametrize("name", wrong_states())
def test_wrong_state_dict_is_named(name: str) -> None:
    state, message = wrong_states()[name]
    with pytest.raises(WeightsError, match=message):
        gatesmith.torch.from_torch(state)


def test_other_modules_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="the module is a GRU"):
        gatesmith.torch.from_torch(torch.nn.GRU(3, 4))


def test_load_reads_a_file(tmp_path: Path) -> None:
    module = torch.nn.LSTM(3, 4)
    torch.save(module.state_dict(), tmp_path / "lstm.pt")
    lstm = gatesmith.torch.load_torch(tmp_path / "lstm.pt")
    assert np.array_equal(lstm.weights["weight_ih_l0"], module.weight_ih_l0.detach().numpy())


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    torch.save({"weight_ih_l0": Bomb(tmp_path / "boom")}, tmp_path / "zip.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Bomb(tmp_path / "boom")))
    torch.save(torch.nn.LSTM(3, 4), tmp_path / "module.pt")
    for name in ("zip.pt", "raw.pt", "module.pt"):
        with pytest.raises(WeightsError, match="not a PyTorch file of tensors alone"):
            gatesmith.torch.load_torch(tmp_path / name)
    assert not (tmp_path / "boom").exists()


def test_broken_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="can't read"):
        gatesmith.torch.load_torch(tmp_path / "absent.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="holds a list"):
        gatesmith.torch.load_torch(tmp_path / "list.pt")
    torch.save(torch.nn.LSTM(3, 4).state_dict(), tmp_path / "good.pt")
    content = (tmp_path / "good.pt").read_bytes()
    rng = np.random.default_rng(0)
    for attempt in range(60):
        broken = bytearray(content[: len(content) if attempt % 2 else int(rng.integers(len(content)))])
        for at in rng.integers(0, max(1, len(broken)), 4):
            if broken:
                broken[at] ^= int(rng.integers(1, 256))
        (tmp_path / "broken.pt").write_bytes(broken)
        try:
            gatesmith.torch.load_torch(tmp_path / "broken.pt")
        except WeightsError:
            continue  # a flipped bit in a tensor's own data stays readable; everything else must land here
