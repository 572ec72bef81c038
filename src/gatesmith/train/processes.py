"""The processes that train together: who is here, sums over all of them, and an end with a sentence when one dies."""

import contextlib
import os
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from gatesmith.errors import ToolError


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among those that ``torchrun`` started; one alone where nobody did."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def share(self, items: list[int]) -> list[int]:
        """This process's part of a global batch; the parts differ in size by one at most."""
        return items[self.rank :: self.count]

    def add_up(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, the same bits in each of them; ``values`` stay as they are."""
        if self.count == 1:
            return values
        total = values.to(self.device, copy=True)
        dist.all_reduce(total)
        return total.to(values.device)

    def gather(self, value: torch.Tensor) -> list[torch.Tensor]:
        """The tensors of all processes, by rank; all must have one shape."""
        if self.count == 1:
            return [value]
        here = value.to(self.device)
        parts = [torch.empty_like(here) for _ in range(self.count)]
        dist.all_gather(parts, here)
        return [part.to(value.device) for part in parts]

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            dist.barrier()


@contextlib.contextmanager
def joined(timeout: float) -> Generator[Processes]:
    """Join the processes that ``torchrun`` started, by gloo on CPUs and NCCL on GPUs, and leave them at the end.

    Args:
        timeout: seconds after which waiting for another process is an error.

    Raises:
        ToolError: another process died or did not answer in time.
    """
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    on_gpu = torch.cuda.is_available()
    device = torch.device("cpu")
    if on_gpu:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.cuda.set_device(device)
    processes = Processes(rank=rank, count=count, device=device)
    if count == 1:
        yield processes
        return
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=timedelta(seconds=timeout))
    try:
        yield processes
        processes.wait()  # PyTorch asks for it before the group goes: none may leave while another still speaks to it
    except (RuntimeError, dist.DistBackendError) as error:
        if not _is_about_another_process(error):
            raise
        raise ToolError(
            f"process {rank} of {count} lost another one ({str(error).splitlines()[0][:120]}); "
            "the job ends here, start it again with the same --out and it goes on from the newest checkpoint"
        ) from None
    finally:
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()


def _is_about_another_process(error: RuntimeError) -> bool:
    text = str(error).lower()
    return isinstance(error, dist.DistBackendError) or any(
        sign in text for sign in ("connection closed", "connection reset", "timed out", "broken pipe", "gloo", "nccl")
    )
