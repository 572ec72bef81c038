"""Device "cuda": the operator on an NVIDIA GPU. Importing this needs neither PyTorch nor Triton; running it does."""

from gatesmith.ops.cuda.engine import backward, forward, forward_for_training, missing, unsupported

__all__ = ["backward", "forward", "forward_for_training", "missing", "unsupported"]
