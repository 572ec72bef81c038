"""``gatesmith.torch.LSTM`` and ``LSTMCell``: the modules of ``torch.nn`` with our forward and backward."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import fields
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatesmith.errors import InputError
from gatesmith.spec import LSTMSpec
from gatesmith.torch import eager
from gatesmith.torch.operator import formulate_call
from gatesmith.torch.operator import lstm as lstm_operator

State = tuple[Tensor, Tensor]


class LSTM(nn.Module):
    """``torch.nn.LSTM``: same signature, ``state_dict`` and initial weights; forward and backward are gatesmith's.

    Beyond it: ``lengths=`` in the call (0 to T per sequence, no packing needed), every variant of
    :class:`gatesmith.LSTMSpec` through :meth:`from_spec`, and learned initial states.

    Float32 tensors on the CPU run on the compiled kernel, whatever the spec, float64 ones on the reference;
    half-precision ones are computed in float32. CUDA tensors run on the Triton kernels, in their own precision, and
    what those can't run, as other devices, in a formulation in PyTorch operations.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if dropout and num_layers == 1:
            warnings.warn(
                f"dropout={dropout} acts between layers, so it does nothing with num_layers=1",
                UserWarning,
                stacklevel=2,
            )
        spec = LSTMSpec(
            input_size,
            hidden_size,
            num_layers,
            "bidirectional" if bidirectional else "forward",
            bias,
            proj_size=proj_size,
            dropout=dropout,
        )
        super().__init__()
        self._build(spec, batch_first=batch_first, learned_state=False, device=device, dtype=dtype)

    @classmethod
    def from_spec(
        cls,
        spec: LSTMSpec,
        *,
        batch_first: bool = False,
        learned_state: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> "LSTM":
        """A module of any variant.

        Args:
            spec: its parameters keep their names; ``bias_l0`` is the pair ``bias_ih_l0``, ``bias_hh_l0``.
            batch_first: sequences are (N, T, D).
            learned_state: the initial state is a parameter (``initial_h``, ``initial_c``) for calls that give none.
        """
        module = cls.__new__(cls)
        nn.Module.__init__(module)
        module._build(spec, batch_first=batch_first, learned_state=learned_state, device=device, dtype=dtype)
        return module

    def _build(
        self,
        spec: LSTMSpec,
        *,
        batch_first: bool,
        learned_state: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        self.spec = spec
        self.batch_first = batch_first
        self.learned_state = learned_state
        self._spec_text = spec.to_json()
        shapes = module_shapes(spec)
        self._names = tuple(shapes)
        if learned_state:
            cells = len(spec.cells())
            shapes |= {"initial_h": (cells, spec.output_size), "initial_c": (cells, spec.hidden_size)}
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    mode = "LSTM"
    input_size = property(lambda self: self.spec.input_size)
    hidden_size = property(lambda self: self.spec.hidden_size)
    num_layers = property(lambda self: self.spec.num_layers)
    bias = property(lambda self: self.spec.bias)
    dropout = property(lambda self: self.spec.dropout)
    bidirectional = property(lambda self: self.spec.direction == "bidirectional")
    proj_size = property(lambda self: self.spec.proj_size)

    def reset_parameters(self) -> None:
        """Uniform in [-1/sqrt(H), 1/sqrt(H)], drawn in the order of ``torch.nn.LSTM``; gains 1, shifts and states 0."""
        bound = 1.0 / math.sqrt(self.spec.hidden_size)
        for name, parameter in self.named_parameters():
            if name.startswith("norm_"):
                nn.init.constant_(parameter, 1.0 if "_gain_" in name else 0.0)
            elif name.startswith("initial_"):
                nn.init.zeros_(parameter)
            else:
                nn.init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """For programs that call it; the layout needs no flattening here."""

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The parameters of each cell, as ``torch.nn.LSTM`` lists them."""
        named = dict(self.named_parameters())
        return [[named[name] for name in named if name.endswith(f"_{suffix}")] for _, _, suffix in self.spec.cells()]

    def extra_repr(self) -> str:
        """As ``torch.nn.LSTM``; of a variant every other field of the spec too that is not the default."""
        spec, plain = self.spec, LSTMSpec(self.input_size, self.hidden_size)
        shown = {name: getattr(self, name) for name in ("proj_size", "num_layers", "bias", "batch_first", "dropout")}
        shown["bidirectional"] = self.bidirectional
        if spec.direction == "reverse":
            shown["direction"] = spec.direction
        for field in fields(spec):
            if field.name not in ("direction", *shown) and getattr(spec, field.name) != getattr(plain, field.name):
                shown[field.name] = getattr(spec, field.name)
        shown["learned_state"] = self.learned_state
        defaults = {"num_layers": 1, "bias": True}
        parts = [f"{name}={value!r}" for name, value in shown.items() if value != defaults.get(name, 0)]
        return ", ".join([str(spec.input_size), str(spec.hidden_size), *parts])

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: State | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Tensor | PackedSequence, State]:
        """Run the LSTM.

        Args:
            input: [T, N, D] ([N, T, D] where ``batch_first``), [T, D] unbatched, or packed.
            hx: (h0, c0), [L * directions, N, R] and [L * directions, N, H] (no N where unbatched).
            lengths: [N], valid steps of each sequence, 0 to T; outputs beyond are zero.

        Returns:
            y and (h_n, c_n), of the kind that was given.

        Raises:
            InputError: a shape, dtype or length doesn't fit.
        """
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx, lengths)
        if input.ndim not in (2, 3) or input.shape[-1] != self.spec.input_size:
            raise InputError(
                f"input has shape {tuple(input.shape)}; expected (T, N, D), (N, T, D) where batch_first, or (T, D), "
                f"with D = {self.spec.input_size}"
            )
        if input.ndim == 2:
            state = None if hx is None else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))
            y, (h_n, c_n) = self._run(input.unsqueeze(1), state, lengths)
            return y.squeeze(1), (h_n.squeeze(1), c_n.squeeze(1))
        y, state = self._run(input.transpose(0, 1) if self.batch_first else input, hx, lengths)
        return (y.transpose(0, 1) if self.batch_first else y), state

    def _forward_packed(
        self, packed: PackedSequence, hx: State | None, lengths: object
    ) -> tuple[PackedSequence, State]:
        if lengths is not None:
            raise InputError("a PackedSequence carries its lengths; expected no lengths= beside it")
        order, back = packed.sorted_indices, packed.unsorted_indices
        x, sizes = pad_packed_sequence(PackedSequence(packed.data, packed.batch_sizes))
        if hx is not None and order is not None:
            hx = hx[0].index_select(1, order), hx[1].index_select(1, order)
        y, (h_n, c_n) = self._run(x, hx, sizes)
        data = pack_padded_sequence(y, sizes).data
        if back is not None:
            h_n, c_n = h_n.index_select(1, back), c_n.index_select(1, back)
        return PackedSequence(data, packed.batch_sizes, order, back), (h_n, c_n)

    def _run(self, x: Tensor, hx: State | None, lengths: Tensor | Sequence[int] | None) -> tuple[Tensor, State]:
        """y [T, N, directions * R] and (h_n, c_n) from x [T, N, D]."""
        h0, c0 = self._state(x, hx)
        if lengths is not None:
            on_gpu = x.is_cuda and isinstance(lengths, Tensor)  # lengths that are there stay there
            lengths = torch.as_tensor(lengths, dtype=torch.int64, device=None if on_gpu else "cpu")
        spec = self.spec
        seed = None
        if self.training and (spec.dropout or spec.recurrent_dropout or spec.zoneout_h or spec.zoneout_c):
            seed = torch.randint(2**62, (), device="cpu")  # where its numbers are drawn
        y, h_n, c_n = _call_operator(self, self._names, x, h0, c0, lengths, seed, self._spec_text)
        return y, (h_n, c_n)

    def _state(self, x: Tensor, hx: State | None) -> State:
        spec, batch = self.spec, x.shape[1]
        cells = len(spec.cells())
        shapes = ((cells, batch, spec.output_size), (cells, batch, spec.hidden_size))
        if hx is None:
            if self.learned_state:
                initial = cast("State", (self.initial_h, self.initial_c))
                return initial[0].unsqueeze(1).expand(shapes[0]), initial[1].unsqueeze(1).expand(shapes[1])
            return x.new_zeros(shapes[0]), x.new_zeros(shapes[1])
        for name, tensor, shape in zip(("h0", "c0"), hx, shapes, strict=True):
            if tuple(tensor.shape) != shape:
                raise InputError(
                    f"{name} has shape {tuple(tensor.shape)}; expected (L * directions, N, size) = {shape}"
                )
            if tensor.dtype != x.dtype:
                raise InputError(f"{name} has dtype {tensor.dtype}; expected {x.dtype} like the input")
        return hx


class LSTMCell(nn.Module):
    """``torch.nn.LSTMCell``: one step, with its signature and ``state_dict``."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.spec = LSTMSpec(input_size, hidden_size, bias=bias)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        for name, shape in module_shapes(self.spec).items():
            parameter = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
            self.register_parameter(name.removesuffix("_l0"), parameter)
        self._spec_text = self.spec.to_json()
        self._names = tuple(name.removesuffix("_l0") for name in module_shapes(self.spec))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in [-1/sqrt(H), 1/sqrt(H)]."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")

    def forward(self, input: Tensor, hx: State | None = None) -> State:
        """(h, c) after one step; input [N, D] or [D], states [N, H] or [H].

        Raises:
            InputError: a shape doesn't fit.
        """
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise InputError(
                f"input has shape {tuple(input.shape)}; expected (N, D) or (D,) with D = {self.input_size}"
            )
        x = input if input.ndim == 2 else input.unsqueeze(0)
        shape = (*input.shape[:-1], self.hidden_size)
        if hx is None:
            hx = x.new_zeros(shape), x.new_zeros(shape)
        for name, tensor in zip(("h0", "c0"), hx, strict=True):
            if tensor.shape != shape:
                raise InputError(f"{name} has shape {tuple(tensor.shape)}; expected {tuple(shape)}")
        h0, c0 = (tensor.reshape(1, -1, self.hidden_size) for tensor in hx)
        _, h_n, c_n = _call_operator(self, self._names, x.unsqueeze(0), h0, c0, None, None, self._spec_text)
        return h_n.reshape(shape), c_n.reshape(shape)


def module_shapes(spec: LSTMSpec) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the module's parameters, in the order of ``torch.nn.LSTM``."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in spec.parameter_shapes().items():
        if name.startswith("bias_l"):
            suffix = name.removeprefix("bias_")
            shapes[f"bias_ih_{suffix}"] = shapes[f"bias_hh_{suffix}"] = shape
        else:
            shapes[name] = shape
    return shapes


def _compute_dtype(x: Tensor) -> torch.dtype:
    """Of the whole call: autocast's on a GPU, and on the CPU float32 for half precision and what autocast covers."""
    if x.is_cuda:
        autocast = torch.is_autocast_enabled("cuda") and x.dtype != torch.float64
        return torch.get_autocast_dtype("cuda") if autocast else x.dtype
    if x.dtype in (torch.float16, torch.bfloat16):
        return torch.float32
    return x.dtype


def _parameters_of(module: nn.Module, names: Sequence[str]) -> list[Tensor]:
    """By name; what a parametrisation computes in place of a parameter is an attribute of that name."""
    given = module._parameters  # pyright: ignore[reportPrivateUsage]
    return [cast("Tensor", getattr(module, name) if given.get(name) is None else given[name]) for name in names]


def _parameters_as(dtype: torch.dtype, x: Tensor, names: Sequence[str], parameters: Sequence[Tensor]) -> list[Tensor]:
    """Parameters in the dtype of computation.

    Raises:
        InputError: the input's dtype is not the parameters' one, and no autocast mends that.
    """
    autocast = torch.amp.is_autocast_available(x.device.type) and torch.is_autocast_enabled(x.device.type)
    for name, parameter in zip(names, parameters, strict=True):
        if parameter.dtype != x.dtype and not autocast:
            raise InputError(f"the input has dtype {x.dtype} and {name} {parameter.dtype}; cast one of them")
    return [parameter if parameter.dtype == dtype else parameter.to(dtype) for parameter in parameters]


def _call_operator(
    module: nn.Module,
    names: tuple[str, ...],
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    lengths: Tensor | None,
    seed: Tensor | None,
    spec: str,
) -> Sequence[Tensor]:
    """(y, h_n, c_n) in x's dtype."""
    given, dtype = x.dtype, _compute_dtype(x)
    parameters = _parameters_of(module, names)
    if eager.takes(x, h0, c0, parameters) and dtype == given:
        return eager.lstm(x, h0, c0, lengths, seed, parameters, names, spec)
    parameters = _parameters_as(dtype, x, names, parameters)
    if dtype != given or h0.dtype != dtype or c0.dtype != dtype:
        x, h0, c0 = x.to(dtype), h0.to(dtype), c0.to(dtype)
    weights = eager.add_biases(names, parameters)
    keep_tape = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, h0, c0, *weights))
    if not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active():  # pyright: ignore[reportPrivateUsage]
        # torch.func can't look into an operator with its own gradient, but it can into PyTorch's operations.
        results = list(formulate_call(x, h0, c0, lengths, seed, weights, spec))
    else:
        results = lstm_operator(x, h0, c0, lengths, seed, weights, spec, keep_tape)[:3]
    return results if dtype == given else [result.to(given) for result in results]
