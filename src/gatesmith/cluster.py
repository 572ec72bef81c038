"""The workers of a Dask cluster as an executor: the one place that knows of Dask."""

from concurrent.futures import Executor
from typing import Any, cast

from gatesmith.errors import MissingToolError, ToolError

TIMEOUT_SECONDS = 20


def connect(address: str) -> Executor:
    """An executor whose tasks run on the workers behind a scheduler.

    Raises:
        MissingToolError: Dask is not installed.
        ToolError: nobody answers at the address.
    """
    try:
        from distributed import Client  # pyright: ignore[reportMissingImports, reportUnknownVariableType]
    except ImportError:
        raise MissingToolError(
            "running on a cluster needs Dask, which is not installed; run `pip install 'gatesmith[scale]'`"
        ) from None
    try:
        client = cast("Any", Client)(address, timeout=TIMEOUT_SECONDS)
    except (OSError, ValueError) as error:
        raise ToolError(
            f"no Dask scheduler answers at {address!r} ({error}); start one with `dask scheduler`, and workers"
        ) from None
    # One task a file is not retried by itself: a bad record stays bad. A lost worker's files go to another one.
    return cast("Executor", client.get_executor(retries=0))
