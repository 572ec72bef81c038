"""A model over many Parquet files: every core, exactly one output record for an input record, resumable by file.

Each input file becomes one output file of the same name, written beside its place and renamed when it is whole. A run
that was killed is started again: files that are whole, and of the same model and input, are left as they are.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, cast

import numpy as np

from gatesmith.classifier import Array
from gatesmith.errors import GatesmithError, InputError, OutputError, ToolError
from gatesmith.files import beside, make_folder
from gatesmith.ops import LSTM, run_on_device
from gatesmith.shards import OnBad, Record, find_shards, read_records, to_batch
from gatesmith.weights import Weights

BATCH = 64
"""Sequences that are run together, of like length within a window of 16 batches."""

RUN_KEY = b"gatesmith_run"
"""Key of the Parquet metadata under which an output says what it was made of."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is done to every file; plain values, so that it travels to other processes and machines.

    Attributes:
        sequences: whether h of every step is kept (column ``y``), besides the final one (column ``h``).
        on_bad: ``"stop"`` ends the run at a bad record; ``"skip"`` gives it an output with nulls and the ``error``.
    """

    model: str
    device: str | None = None
    sequences: bool = False
    on_bad: OnBad = "stop"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a run did.

    Attributes:
        files: outputs that are there now; ``resumed`` of them were there before.
        records, bad: of the files that this run wrote.
    """

    files: int
    resumed: int
    records: int
    bad: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def run_over_files(
    job: Job,
    places: Sequence[Path],
    out: Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[int, int, str], None] = lambda _done, _total, _message: None,
) -> Summary:
    """Run a model over all records of Parquet files, or folders of them.

    Args:
        out: the folder of the outputs, another one than the inputs'.
        workers: processes of this machine; None for one a core.
        scheduler: address of a Dask scheduler (``tcp://host:8786``), whose workers are used instead; they must see
            the same paths.

    Raises:
        InputError: inputs are missing, share a name, or lie in ``out``; or a record is bad and that is to stop.
        OutputError: an output can't be written.
        ToolError: a worker died.
        UnsupportedError: the device can't run the model.
        WeightsError: the model can't be read.
    """
    files = find_shards(places)
    targets = _targets(files, out)
    Weights.load(job.model)  # a model that can't be read is an error of the run, not of its first file
    make_folder(out)
    for target in targets.values():
        for half in out.glob(f".{target.stem}.*.parquet"):  # what a killed run left
            half.unlink(missing_ok=True)
    digest = hashlib.sha256(Path(job.model).read_bytes()).hexdigest()
    waiting = [file for file in files if not _is_done(job, digest, file, targets[file])]
    resumed, done, records, bad = len(files) - len(waiting), len(files) - len(waiting), 0, 0
    progress(done, len(files), f"{resumed} files were there")
    with _executor(workers, scheduler, len(waiting)) as executor:
        futures = {executor.submit(run_file, job, digest, str(file), str(targets[file])): file for file in waiting}
        try:
            for future in as_completed(futures):
                count, wrong = _result(future, futures[future])
                done, records, bad = done + 1, records + count, bad + wrong
                progress(done, len(files), futures[future].name)
        except BaseException:
            for future in futures:
                future.cancel()
            raise
    return Summary(files=len(files), resumed=resumed, records=records, bad=bad)


def run_file(job: Job, digest: str, source: str, target: str) -> tuple[int, int]:
    """One file to its output: (records, bad ones). The unit of work, here or on another machine.

    Raises:
        InputError: the file can't be read, or a record is bad and that is to stop.
    """
    import pyarrow as pa  # pyright: ignore[reportMissingImports]
    import pyarrow.parquet as pq  # pyright: ignore[reportMissingImports]

    arrow, parquet = cast("Any", pa), cast("Any", pq)
    lstm = LSTM(Weights.load(job.model))
    vector = arrow.list_(arrow.float32())
    fields = [("id", arrow.string()), ("row", arrow.int64()), ("steps", arrow.int64()), ("h", vector)]
    fields += [("y", arrow.list_(vector))] if job.sequences else []
    metadata = {RUN_KEY: _made_of(job, digest, Path(source))}
    schema = arrow.schema([*fields, ("error", arrow.string())], metadata=metadata)
    count = bad = 0
    records = read_records(Path(source), features=lstm.spec.input_size)
    with beside(Path(target)) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
        while window := list(islice(records, 16 * BATCH)):
            wrong = [record for record in window if record.error]
            if wrong and job.on_bad == "stop":
                raise InputError(f"{wrong[0]} is bad: {wrong[0].error}; mend it, or ask for bad records to be skipped")
            rows = _run_window(job, lstm, window)
            writer.write_table(arrow.Table.from_pylist([rows[record.row] for record in window], schema=schema))
            count, bad = count + len(window), bad + len(wrong)
    return count, bad


def _run_window(job: Job, lstm: LSTM, window: list[Record]) -> dict[int, dict[str, Any]]:
    """Output rows by the input's row number."""
    rows: dict[int, dict[str, Any]] = {
        record.row: {"id": record.id, "row": record.row, "error": record.error} for record in window
    }
    good = sorted(
        (record for record in window if record.x is not None), key=lambda record: len(cast("Array", record.x))
    )
    for start in range(0, len(good), BATCH):
        records = good[start : start + BATCH]
        batch = to_batch(records)
        y, (h_n, _) = run_on_device(lstm, batch.x, device=job.device, lengths=batch.lengths)
        last = np.concatenate(list(h_n[-lstm.spec.num_directions :]), axis=-1)  # [N, directions * R] of the last layer
        for n, record in enumerate(records):
            length = int(batch.lengths[n])
            rows[record.row] |= {"steps": length, "h": last[n].tolist()}
            if job.sequences:
                rows[record.row]["y"] = y[:length, n].tolist()
    return rows


def _targets(files: list[Path], out: Path) -> dict[Path, Path]:
    """The output of every input."""
    named: dict[str, Path] = {}
    for file in files:
        if file.parent.resolve() == out.resolve():
            raise InputError(f"the input {file} lies in the output folder; expected another folder for the outputs")
        if file.name in named:
            raise InputError(
                f"the inputs {named[file.name]} and {file} have one name, so one output; rename one, or run them apart"
            )
        named[file.name] = file
    return {file: out / file.name for file in files}


def _made_of(job: Job, digest: str, source: Path) -> bytes:
    """What an output depends on: the model's content, the options, and the input's size and time."""
    stat = source.stat()
    options = {"device": job.device, "sequences": job.sequences, "on_bad": job.on_bad}
    values = {"model": digest, "input": [source.name, stat.st_size, stat.st_mtime_ns], "options": options}
    return json.dumps(values, sort_keys=True).encode()


def _is_done(job: Job, digest: str, source: Path, target: Path) -> bool:
    """Whether the output is there, whole, and of this very run; another run's is refused rather than replaced."""
    if not target.exists():
        return False
    import pyarrow as pa  # pyright: ignore[reportMissingImports]
    import pyarrow.parquet as pq  # pyright: ignore[reportMissingImports]

    try:
        found = cast("dict[bytes, bytes]", cast("Any", pq).read_schema(target).metadata or {}).get(RUN_KEY)
    except (OSError, cast("Any", pa).ArrowException):
        found = None
    # A file that was finished where bad records stop has none, so it is what skipping them would have given too.
    if found in (_made_of(job, digest, source), _made_of(replace(job, on_bad="stop"), digest, source)):
        return True
    raise OutputError(
        f"{target} is of another model, input or option; expected an empty folder, or the one of this very run"
    )


def _executor(workers: int | None, scheduler: str | None, files: int) -> Executor:
    """Processes of this machine, or the workers of a Dask cluster behind the same interface."""
    if scheduler is not None:
        from gatesmith.cluster import connect

        return connect(scheduler)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(workers or cores, max(1, files))
    if count < 1:
        raise InputError(f"workers is {workers}; expected 1 or more")
    # Each process computes on one core; fresh ones, since a fork of a threaded program may hang.
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin_worker)


def _begin_worker() -> None:
    """One core; and an end when the run that began it is killed, which a pool's own workers don't notice."""
    parent = parent_process()
    if parent is not None:
        Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


def _result(future: "Future[tuple[int, int]]", file: Path) -> tuple[int, int]:
    try:
        return future.result()
    except GatesmithError:
        raise
    except BrokenProcessPool:
        raise ToolError(
            f"a worker died, perhaps for want of memory, with {file} or a file near it; run the same command again, "
            "finished files are kept"
        ) from None


def outputs(folder: Path) -> Iterator[dict[str, Any]]:
    """The output records of a run, file by file in the order of their names."""
    import pyarrow.parquet as pq  # pyright: ignore[reportMissingImports]

    for path in find_shards([folder]):
        yield from cast("list[dict[str, Any]]", cast("Any", pq).read_table(path).to_pylist())
