"""Weights between PyTorch and gatesmith: modules, state dictionaries, and files of tensors alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from gatesmith.errors import UnsupportedError, WeightsError
from gatesmith.ops import operator
from gatesmith.spec import LSTMSpec
from gatesmith.torch.module import LSTM, LSTMCell, module_shapes
from gatesmith.weights import Weights

Source = nn.Module | Mapping[str, Any]


def from_torch(source: Source) -> operator.LSTM:
    """The operator with the weights of a PyTorch module or ``state_dict``; the two biases become their sum.

    Args:
        source: ``torch.nn.LSTM`` or ``LSTMCell``, gatesmith's modules, or a ``state_dict`` that holds one LSTM, at
            any depth of names.

    Raises:
        WeightsError: there is no LSTM, more than one, or its arrays contradict each other.
        UnsupportedError: the module is of another kind.
    """
    if isinstance(source, LSTM):
        return operator.LSTM(_weights(source.spec, source.state_dict()), batch_first=source.batch_first)
    if isinstance(source, nn.LSTM):
        direction = "bidirectional" if source.bidirectional else "forward"
        spec = LSTMSpec(
            source.input_size,
            source.hidden_size,
            source.num_layers,
            direction,
            source.bias,
            proj_size=source.proj_size,
            dropout=source.dropout,
        )
        return operator.LSTM(_weights(spec, source.state_dict()), batch_first=source.batch_first)
    if isinstance(source, nn.LSTMCell | LSTMCell):
        state = {f"{name}_l0": value for name, value in source.state_dict().items()}
        return operator.LSTM(_weights(_spec_of(state), state))
    if isinstance(source, nn.Module):
        raise UnsupportedError(
            f"the module is a {type(source).__name__}; expected an LSTM, an LSTMCell or a state_dict that holds one"
        )
    state = _one_lstm(source)
    return operator.LSTM(_weights(_spec_of(state), state))


def to_torch(lstm: operator.LSTM) -> nn.LSTM:
    """A plain ``torch.nn.LSTM`` with the same outputs; ``bias_ih`` holds the bias, ``bias_hh`` is zero.

    Raises:
        UnsupportedError: ``torch.nn.LSTM`` lacks a feature of the specification; the message names it.
    """
    spec = lstm.spec
    plain = LSTMSpec(
        spec.input_size,
        spec.hidden_size,
        spec.num_layers,
        "bidirectional" if spec.direction == "bidirectional" else "forward",
        spec.bias,
        proj_size=spec.proj_size,
        dropout=spec.dropout,
    )
    for name in LSTMSpec.__dataclass_fields__:
        if getattr(plain, name) != getattr(spec, name):
            raise UnsupportedError(
                f"torch.nn.LSTM can't express {name}={getattr(spec, name)!r}; use gatesmith.torch.from_weights"
            )
    module = nn.LSTM(
        spec.input_size,
        spec.hidden_size,
        spec.num_layers,
        bias=spec.bias,
        batch_first=lstm.batch_first,
        dropout=spec.dropout if spec.num_layers > 1 else 0.0,
        bidirectional=spec.direction == "bidirectional",
        proj_size=spec.proj_size,
        dtype=torch.float64 if lstm.weights.dtype == np.float64 else torch.float32,
    )
    module.load_state_dict(state_dict(lstm.weights))
    return module


def from_weights(weights: Weights, *, batch_first: bool = False) -> LSTM:
    """``gatesmith.torch.LSTM`` of any variant, with a copy of these weights."""
    dtype = torch.float64 if weights.dtype == np.float64 else torch.float32
    module = LSTM.from_spec(weights.spec, batch_first=batch_first, dtype=dtype)
    module.load_state_dict(state_dict(weights))
    return module


def state_dict(weights: Weights) -> dict[str, Tensor]:
    """The arrays under PyTorch's names, copied; ``bias_hh`` is zero."""
    state: dict[str, Tensor] = {}
    for name in module_shapes(weights.spec):
        if name.startswith("bias_hh_"):
            state[name] = torch.zeros_like(state[name.replace("_hh_", "_ih_")])
        else:
            state[name] = torch.tensor(weights[name.replace("bias_ih_", "bias_")])
    return state


def load_torch(path: str | Path) -> operator.LSTM:
    """The LSTM in a ``.pt`` file of tensors, read with ``weights_only``, so that nothing in it is executed.

    Raises:
        WeightsError: the file is missing, is no file of tensors, or doesn't hold one LSTM.
    """
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"can't read {path}: {error.strerror or error}") from None
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"{path} is not a PyTorch file of tensors alone ({reason}); save a state_dict") from None
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}; expected a state_dict of tensors")
    return from_torch(cast("Mapping[str, Any]", content))


def _one_lstm(state: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of the only LSTM in a state_dict, without their prefix."""
    names = [name for name in state if isinstance(cast("object", name), str)]
    roots = [name.removesuffix("weight_ih_l0") for name in names if name.endswith("weight_ih_l0")]
    cells = [name.removesuffix("weight_ih") for name in names if name.endswith("weight_ih")]
    if len(roots) + len(cells) != 1:
        found = ", ".join(repr(root) for root in (*roots, *cells)) or "none"
        raise WeightsError(f"the state_dict holds {len(roots) + len(cells)} LSTMs ({found}); expected one")
    if cells:
        prefix, ending = cells[0], "_l0"
        kept = {name: name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    else:
        prefix, ending = roots[0], ""
        kept = {name: name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    return {f"{short}{ending}": state[name] for name, short in kept.items() if "." not in short}


def _spec_of(state: Mapping[str, Any]) -> LSTMSpec:
    """The plain spec whose parameters these are, from names and shapes alone."""
    w_ih, w_hh = state.get("weight_ih_l0"), state.get("weight_hh_l0")
    for name, array in (("weight_ih_l0", w_ih), ("weight_hh_l0", w_hh)):
        if not isinstance(array, Tensor) or array.ndim != 2:
            raise WeightsError(f"{name} is {_described(array)}; expected a tensor of two axes")
    assert isinstance(w_ih, Tensor)
    assert isinstance(w_hh, Tensor)
    layers = 1
    while f"weight_ih_l{layers}" in state:
        layers += 1
    return LSTMSpec(
        w_ih.shape[1],
        w_ih.shape[0] // 4,
        layers,
        "bidirectional" if "weight_ih_l0_reverse" in state else "forward",
        "bias_ih_l0" in state,
        proj_size=w_hh.shape[1] if "weight_hr_l0" in state else 0,
    )


def _weights(spec: LSTMSpec, state: Mapping[str, Any]) -> Weights:
    """Float32 or float64 arrays by gatesmith's names; half precision is widened."""
    shapes = module_shapes(spec)
    unknown = sorted(set(state) - set(shapes) - {"initial_h", "initial_c"})
    if unknown:
        raise WeightsError(f"parameter {unknown[0]!r} is unknown; expected {', '.join(shapes)}")
    arrays: dict[str, Any] = {}
    for name, shape in shapes.items():
        tensor = state.get(name)
        if not isinstance(tensor, Tensor) or tuple(tensor.shape) != shape or not tensor.is_floating_point():
            raise WeightsError(f"{name} is {_described(tensor)}; expected a floating tensor of shape {shape}")
        wide = tensor.detach().cpu() if tensor.dtype == torch.float64 else tensor.detach().cpu().float()
        if name.startswith("bias_hh_"):
            arrays[name.replace("bias_hh_", "bias_")] += wide.numpy()
        else:
            arrays[name.replace("bias_ih_", "bias_")] = np.array(wide.numpy())
    return Weights(spec, arrays)


def _described(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a {value.dtype} tensor of shape {tuple(value.shape)}"
    return "missing" if value is None else f"a {type(value).__name__}"
