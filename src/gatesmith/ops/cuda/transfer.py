"""Numbers from the host to the device: without waiting for it, and never into a CUDA graph, which would freeze them."""

import torch
from torch import Tensor

from gatesmith.errors import UnsupportedError


def upload(values: Tensor, like: Tensor) -> Tensor:
    """A tensor on the host, on the device of ``like`` in its own type.

    Raises:
        UnsupportedError: a CUDA graph is being captured; it would replay this call's numbers for ever.
    """
    if not like.is_cuda or values.is_cuda:
        return values.to(like.device)
    if torch.cuda.is_current_stream_capturing():
        raise UnsupportedError(
            "a CUDA graph can't capture numbers that come from the host, and would replay them for ever: lengths, or "
            "masks of dropout and zoneout; expected lengths on the GPU, and a module in evaluation, while capturing"
        )
    return values.pin_memory().to(like.device, non_blocking=True)
