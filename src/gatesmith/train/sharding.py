"""The model in the hands of PyTorch's engines, and its whole state out of them and back, whatever they made of it."""

import contextlib
from collections.abc import Generator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.nn.parallel import DistributedDataParallel

from gatesmith.train.processes import Processes
from gatesmith.train.recipe import Engine

WHOLE = StateDictOptions(full_state_dict=True)


def wrap(network: nn.Module, engine: Engine, processes: Processes) -> nn.Module:
    """The network as it is where there is one process, else under DistributedDataParallel or FSDP2."""
    if processes.count == 1:
        return network
    if engine.sharding == "fsdp":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(processes.device.type, (processes.count,))
        return cast("nn.Module", fully_shard(network, mesh=mesh))
    return DistributedDataParallel(network)


class Whole:
    """A wrapped model, and its state as whole tensors on the CPU, by the names of the bare one."""

    def __init__(self, model: nn.Module, processes: Processes) -> None:
        self.model = model
        self._count = processes.count

    @contextlib.contextmanager
    def synchronised(self, now: bool) -> Generator[None]:
        """Gradients are summed over processes in this block's backward, or kept until a later block's."""
        model: Any = self.model
        if self._count == 1:
            yield
        elif isinstance(model, DistributedDataParallel):
            with contextlib.nullcontext() if now else model.no_sync():
                yield
        else:
            model.set_requires_gradient_sync(now)
            yield

    def parameters(self) -> dict[str, Tensor]:
        """Collective; present in every process."""
        state = get_model_state_dict(self.model, options=WHOLE)
        return {name: cast("Tensor", tensor).detach().cpu() for name, tensor in state.items()}

    def moments(self, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
        """What the optimiser remembers, as ``parameter/kind``. Collective."""
        state = cast(
            "dict[str, dict[str, Tensor]]", get_optimizer_state_dict(self.model, optimiser, options=WHOLE)["state"]
        )
        return {f"{name}/{kind}": value.cpu() for name, kinds in state.items() for kind, value in kinds.items()}

    def load(self, parameters: dict[str, Tensor], moments: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> None:
        """Give a whole state back to the model and the optimiser. Collective."""
        set_model_state_dict(self.model, cast("dict[str, Any]", parameters), options=WHOLE)
        state: dict[str, dict[str, Tensor]] = {}
        for name, value in moments.items():
            parameter, kind = name.rsplit("/", 1)
            state.setdefault(parameter, {})[kind] = value
        groups = get_optimizer_state_dict(self.model, optimiser, options=WHOLE)["param_groups"]
        whole = cast("Any", {"state": state, "param_groups": groups})
        set_optimizer_state_dict(self.model, optimiser, whole, options=WHOLE)
