"""Weighs, at the level of the allocator, what every component of a run takes."""

import importlib
import tracemalloc
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from gatesmith.analysis.cost import OPTIMISERS
from gatesmith.ops.call import Call, Outputs, make_call
from gatesmith.ops.devices import DEVICES, engine_for
from gatesmith.spec import LSTMSpec
from gatesmith.weights import initialise

T = TypeVar("T")


@dataclass(kw_only=True)
class Scales:
    """Bytes of array data by component, and the peak of a whole run.

    NumPy reports every array's data to tracemalloc under a domain of its own, which is what is read; the few hundred
    bytes of each Python object around it are left out.

    Attributes:
        components: bytes that stayed allocated, or for a workspace those that came and went.
        peak: the most that was allocated at once.
    """

    components: dict[str, int] = field(default_factory=dict[str, int])
    peak: int = 0

    def held(self) -> int:
        """Bytes of array data allocated now."""
        arrays = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
        return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces((arrays,)).traces)

    def weigh(self, component: str, job: Callable[[], T], workspace: str | None = None) -> T:
        """Book what a job leaves allocated, and under ``workspace`` what it needed on top for a while."""
        before = self.held()
        tracemalloc.reset_peak()
        result = job()
        now, peak = tracemalloc.get_traced_memory()
        after = self.held()
        peak -= now - after  # without Python's objects, which hardly change meanwhile
        self.components[component] = self.components.get(component, 0) + after - before
        if workspace is not None:
            self.peak = max(self.peak, peak)
            self.components[workspace] = max(self.components.get(workspace, 0), peak - after)
        return result

    def split(self, component: str, parts: dict[str, int]) -> None:
        """Take parts of known size out of a component: they stand in lines of their own."""
        for name, size in parts.items():
            self.components[name] = self.components.get(name, 0) + size
            self.components[component] -= size


def weigh(
    spec: LSTMSpec, batch: int, steps: int, *, dtype: np.dtype[Any], training: bool, device: str, **options: Any
) -> Scales:
    """Run the operator on ``device`` and weigh its operands, packed weights, workspace, tape and gradients.

    Args:
        options: of the engine's forward run, such as ``recompute``.

    Raises:
        UnsupportedError: the device isn't there or can't run the spec.
    """
    _warm_up(spec, dtype, device)  # modules, thread pools and one-off tables are not part of a run
    keeps_nothing = getattr(DEVICES[device].engine(), "no_spare_memory", nullcontext)
    tracemalloc.start(1)
    try:
        with keeps_nothing():
            return _weigh(spec, batch, steps, dtype, device, options if training else None)
    finally:
        tracemalloc.stop()


def _weigh(
    spec: LSTMSpec, batch: int, steps: int, dtype: np.dtype[Any], device: str, options: dict[str, Any] | None
) -> Scales:
    """An inference run where ``options`` is None, else a training run with them."""
    scales = Scales()
    call = _operands(scales, spec, batch, steps, dtype)
    engine = engine_for(device, call)
    scales.weigh("packed weights", lambda: engine.forward(call) and None)  # the first call packs and keeps
    if options is None:
        outputs = scales.weigh("outputs", lambda: engine.forward(call), "workspace")
        _split_outputs(scales, outputs, "outputs")
    else:
        _weigh_training(scales, engine, call, options)
    return scales


def weigh_optimiser(spec: LSTMSpec, name: str, itemsize: int) -> int | None:
    """Bytes that PyTorch's optimiser keeps for the parameters of ``spec``; None without PyTorch."""
    if not OPTIMISERS[name]:
        return 0
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return None
    dtype = torch.float32 if itemsize == 4 else torch.float64
    parameters = [torch.nn.Parameter(torch.zeros(shape, dtype=dtype)) for shape in spec.parameter_shapes().values()]
    optimiser = torch.optim.Adam(parameters) if name == "adam" else torch.optim.SGD(parameters, momentum=0.9)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    kept = (value for state in optimiser.state.values() for value in state.values() if torch.is_tensor(value))
    return sum(value.numel() * value.element_size() for value in kept)


def _operands(scales: Scales, spec: LSTMSpec, batch: int, steps: int, dtype: np.dtype[Any]) -> Call:
    weights = scales.weigh("weights", lambda: initialise(spec, dtype=dtype))
    x = scales.weigh("input sequence x", lambda: np.zeros((steps, batch, spec.input_size), dtype))
    call = scales.weigh("initial states h0, c0", lambda: make_call(weights, x))
    scales.split("initial states h0, c0", {"lengths": call.lengths.nbytes})
    return call


def _weigh_training(scales: Scales, engine: Any, call: Call, options: dict[str, Any]) -> None:
    outputs, tape = scales.weigh(
        "training tape", lambda: engine.forward_for_training(call, **options), workspace="workspace"
    )
    _split_outputs(scales, outputs, "training tape")
    dy = scales.weigh("gradient of the output dy", lambda: np.zeros_like(outputs.y))
    dh_n = scales.weigh("gradients of the states", lambda: np.zeros_like(outputs.h_n))
    dc_n = scales.weigh("gradients of the states", lambda: np.zeros_like(outputs.c_n))
    gradients = scales.weigh(
        "packed weights of backward", lambda: engine.backward(tape, dy, dh_n, dc_n), workspace="workspace"
    )
    parts = {
        "gradient of the input dx": gradients.dx.nbytes,
        "gradients of the weights": sum(gradient.nbytes for gradient in gradients.dweights.values()),
        "gradients of the states": gradients.dh0.nbytes + gradients.dc0.nbytes,
    }
    scales.split("packed weights of backward", parts)


def _split_outputs(scales: Scales, outputs: Outputs, component: str) -> None:
    parts = {"output sequence y": outputs.y.nbytes, "final states h_n, c_n": outputs.h_n.nbytes + outputs.c_n.nbytes}
    scales.split(component, parts)
    if component == "outputs":
        del scales.components[component]


def _warm_up(spec: LSTMSpec, dtype: np.dtype[Any], device: str) -> None:
    call = make_call(initialise(spec, dtype=dtype), np.zeros((1, 1, spec.input_size), dtype))
    engine = engine_for(device, call)
    engine.forward(call)
