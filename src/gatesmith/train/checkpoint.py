"""Checkpoints: one file each, written beside and renamed, hashed, and parsed (never unpickled) when read again.

A file is safetensors: every tensor of the state under its name, and in the metadata the plain values as JSON and a
digest of everything. A file that does not satisfy its digest is passed over for the one before.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gatesmith.errors import InputError, WeightsError
from gatesmith.files import beside, make_folder

if TYPE_CHECKING:
    from torch import Tensor

STATE_KEY, DIGEST_KEY = "gatesmith_checkpoint", "sha256"
NAME = re.compile(r"step-(\d{9})\.safetensors")


@dataclass(frozen=True, kw_only=True)
class State:
    """Everything that a run needs to go on as if nothing had happened.

    Attributes:
        tensors: by name: parameters, those of the best epoch, the optimiser's moments, random states.
        values: plain ones, that JSON can hold: position, scheduler, losses, and what the run was asked for.
    """

    tensors: "dict[str, Tensor]"
    values: dict[str, Any]

    def under(self, prefix: str) -> "dict[str, Tensor]":
        """The tensors whose names begin with ``prefix.``, without it."""
        return {
            name.removeprefix(f"{prefix}."): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(f"{prefix}.")
        }


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Where the checkpoints of one run lie.

    Attributes:
        folder: of its own; made if it is missing.
        every: steps of the optimiser between two of them.
        keep: how many of the newest stay; two at least, so that a damaged newest one has one before it.
        warn: told, in a sentence, of every checkpoint that could not be used.
    """

    folder: Path
    every: int = 200
    keep: int = 2
    warn: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        if self.every < 1 or self.keep < 2:
            raise InputError(
                f"checkpoints every {self.every} steps, {self.keep} kept; expected at least 1 step, and 2 of them"
            )

    def save(self, step: int, state: State) -> Path:
        """Write the checkpoint of a step, and remove those that are no longer kept.

        Raises:
            OutputError: the folder can't be written to.
        """
        from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]

        make_folder(self.folder)
        path = self.folder / f"step-{step:09d}.safetensors"
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
        text = json.dumps(state.values, sort_keys=True)
        with beside(path) as temporary:
            save_file(tensors, temporary, metadata={STATE_KEY: text, DIGEST_KEY: digest(tensors, text)})
            _flush(temporary)
        _flush(self.folder)
        for old in self._paths()[self.keep :]:
            old.unlink(missing_ok=True)
        return path

    def load_newest(self) -> tuple[int, State] | None:
        """(step, state) of the newest checkpoint that is whole; None where there is none at all.

        Raises:
            WeightsError: there are checkpoints, but none of them can be used.
        """
        paths, reasons = self._paths(), list[str]()
        for path in paths:
            try:
                state = read(path)
            except WeightsError as error:
                reasons.append(str(error))
                self.warn(f"{error}; trying the checkpoint before it")
                continue
            return int(path.stem.removeprefix("step-")), state
        if reasons:
            raise WeightsError(
                f"no checkpoint in {self.folder} can be used: {reasons[0]}; remove the folder to begin anew"
            )
        return None

    def clear_leavings(self) -> None:
        """Remove what a killed process left half-written; only for the one process that writes."""
        for path in self.folder.glob(".step-*"):
            path.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        """Newest first."""
        return sorted((path for path in self.folder.glob("step-*") if NAME.fullmatch(path.name)), reverse=True)


def read(path: Path) -> State:
    """One checkpoint, checked against its digest. The file is untrusted: it is parsed, and nothing in it is executed.

    Raises:
        WeightsError: it is missing, truncated, foreign or altered.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with cast("Any", safe_open(path, framework="pt")) as file:
            metadata = cast("dict[str, str]", file.metadata() or {})
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        text = metadata[STATE_KEY]
        if digest(tensors, text) != metadata[DIGEST_KEY]:
            raise WeightsError(f"the checkpoint {path} was altered or damaged: it doesn't match its digest")
        return State(tensors=tensors, values=json.loads(text))
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"the checkpoint {path} is damaged or not gatesmith's ({error})") from None


def digest(tensors: "dict[str, Tensor]", text: str) -> str:
    """SHA-256 of the values and of every tensor's name, type, shape and bytes."""
    import torch

    total = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _flush(path: Path) -> None:
    """Through to the disk, so that a power cut after the rename can't bring back half a file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
