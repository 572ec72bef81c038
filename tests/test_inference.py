"""One output for every input, whatever is killed or bad; the results are those of the operator itself."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gatesmith import LSTM, LSTMSpec
from gatesmith.cli import main
from gatesmith.datasets import pad
from gatesmith.errors import InputError, MissingToolError, OutputError, ToolError, WeightsError
from gatesmith.inference import BATCH, Job, outputs, run_file, run_over_files
from gatesmith.shards import write_shards

LENGTHS = [3, 0, 7, 1, 5, 5, 2, 9, 4, 6, 8]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    data = pad([rng.normal(size=(length, 2)).astype(np.float32) for length in LENGTHS], steps=9)
    write_shards(data, tmp_path / "in", records_per_file=4)
    LSTM(LSTMSpec(2, 3, 2, "bidirectional"), seed=1).weights.save(tmp_path / "model.safetensors")
    np.savez(tmp_path / "data.npz", x=data.x)
    return tmp_path


def job(place: Path, **options: Any) -> Job:
    return Job(model=str(place / "model.safetensors"), **options)


def run_here(place: Path, out: Path, **options: Any) -> None:
    """Without other processes: the unit of work alone."""
    out.mkdir()
    for path in sorted((place / "in").iterdir()):
        run_file(job(place, **options), "digest", str(path), str(out / path.name))


def test_results_are_those_of_the_operator(place: Path) -> None:
    run_here(place, place / "out", sequences=True)
    rows = list(outputs(place / "out"))
    assert [row["id"] for row in rows] == [str(n) for n in range(len(LENGTHS))]
    assert [row["steps"] for row in rows] == LENGTHS
    lstm = LSTM(LSTMSpec(2, 3, 2, "bidirectional"), seed=1)
    y, (h_n, _) = lstm(np.load(place / "data.npz")["x"], lengths=LENGTHS)
    for n, row in enumerate(rows):
        np.testing.assert_allclose(row["h"], np.concatenate([h_n[2, n], h_n[3, n]]), atol=1e-6)
        np.testing.assert_allclose(np.reshape(row["y"], (-1, 6)), y[: LENGTHS[n], n], atol=1e-6)
        assert row["error"] is None


def test_more_records_than_a_batch_keep_their_order(place: Path) -> None:
    rng = np.random.default_rng(1)
    lengths = rng.integers(0, 6, 20 * BATCH)
    data = pad([rng.normal(size=(length, 2)).astype(np.float32) for length in lengths], steps=6)
    (path,) = write_shards(data, place / "many", records_per_file=len(lengths))
    assert run_file(job(place), "digest", str(path), str(place / "out.parquet")) == (len(lengths), 0)
    rows = pq.read_table(place / "out.parquet").to_pylist()
    assert [row["row"] for row in rows] == list(range(len(lengths)))
    assert [row["steps"] for row in rows] == lengths.tolist()


def test_a_run_over_processes_is_resumable_and_refuses_what_is_another_runs(place: Path) -> None:
    seen: list[tuple[int, int]] = []

    def run(**options: Any):
        given = job(place, **options)
        return run_over_files(
            given, [place / "in"], place / "out", workers=2, progress=lambda done, total, _: seen.append((done, total))
        )

    first = run()
    assert (first.files, first.resumed, first.records, first.bad) == (3, 0, 11, 0)
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    (place / "out" / "part-00001.parquet").unlink()
    (place / "out" / ".part-00001.killed.parquet").write_text("half")
    kept = (place / "out" / "part-00000.parquet").stat().st_mtime_ns
    second = run()
    assert (second.files, second.resumed, second.records) == (3, 2, 4)
    assert (place / "out" / "part-00000.parquet").stat().st_mtime_ns == kept
    assert sorted(path.name for path in (place / "out").iterdir()) == [f"part-{n:05d}.parquet" for n in range(3)]
    assert len(list(outputs(place / "out"))) == len(LENGTHS)
    with pytest.raises(OutputError, match="of another model, input or option"):
        run(sequences=True)
    (place / "out" / "part-00000.parquet").write_text("not Parquet")
    with pytest.raises(OutputError, match="of another model, input or option"):
        run()


def test_a_bad_record_stops_or_has_an_output_that_says_so(place: Path) -> None:
    kind = pa.list_(pa.list_(pa.float32()))
    x = pa.array([[[1.0, 2.0]], [[1.0]], [[3.0, 4.0]]], type=kind)
    pq.write_table(pa.table({"x": x, "id": ["a", "b", "c"]}), place / "bad.parquet")
    target = place / "out.parquet"
    with pytest.raises(InputError, match=r"record 1 \(id 'b'\) of .*bad\.parquet is bad"):
        run_file(job(place), "digest", str(place / "bad.parquet"), str(target))
    assert not target.exists()
    assert not list(place.glob(".out*"))
    assert run_file(job(place, on_bad="skip"), "digest", str(place / "bad.parquet"), str(target)) == (3, 1)
    rows = pq.read_table(target).to_pylist()
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert [row["h"] is None for row in rows] == [False, True, False]
    assert "1 numbers; expected D = 2" in rows[1]["error"]


def test_a_run_that_a_bad_record_stopped_goes_on_when_asked_to_skip_it(place: Path) -> None:
    x = pa.array([[[1.0, 2.0]], [[1.0]]], type=pa.list_(pa.list_(pa.float32())))
    pq.write_table(pa.table({"x": x}), place / "in" / "zz-bad.parquet")
    with pytest.raises(InputError, match="ask for bad records to be skipped"):
        run_over_files(job(place), [place / "in"], place / "out", workers=1)
    summary = run_over_files(job(place, on_bad="skip"), [place / "in"], place / "out", workers=1)
    assert (summary.files, summary.resumed, summary.records, summary.bad) == (4, 3, 2, 1)
    with pytest.raises(OutputError, match="of another model, input or option"):
        run_over_files(job(place), [place / "in"], place / "out", workers=1)


def test_inputs_that_would_share_an_output_are_named(place: Path) -> None:
    (place / "twin").mkdir()
    (place / "twin" / "part-00000.parquet").write_bytes((place / "in" / "part-00000.parquet").read_bytes())
    with pytest.raises(InputError, match="have one name"):
        run_over_files(job(place), [place / "in", place / "twin"], place / "out")
    with pytest.raises(InputError, match="lies in the output folder"):
        run_over_files(job(place), [place / "in"], place / "in")
    with pytest.raises(WeightsError, match="can't read the weight file"):
        run_over_files(Job(model=str(place / "nothing")), [place / "in"], place / "out")
    assert not (place / "out").exists()


def test_killing_the_run_leaves_nothing_half_written(place: Path) -> None:
    command = [sys.executable, "-m", "gatesmith", "run", str(place / "model.safetensors"), str(place / "in")]
    command += ["--out", str(place / "out"), "--workers", "1", "--json"]
    job_process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while job_process.poll() is None and not list(place.glob("out/part-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(job_process.pid, signal.SIGKILL)
    job_process.communicate()
    whole = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert whole.returncode == 0, whole.stderr
    assert json.loads(whole.stdout)["files"] == 3
    assert [row["steps"] for row in outputs(place / "out")] == LENGTHS
    assert not list(place.glob("out/.*"))


def test_a_worker_that_dies_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures.process import BrokenProcessPool

    def broken(*_: object) -> None:
        raise BrokenProcessPool

    monkeypatch.setattr("gatesmith.inference._result", _result_of(broken))
    with pytest.raises(ToolError, match="a worker died"):
        run_over_files(job(place), [place / "in"], place / "out", workers=1)


def _result_of(broken: Any) -> Any:
    from gatesmith import inference

    real = inference._result

    class Failed:
        result = staticmethod(broken)

    return lambda _future, file: real(Failed(), file)  # type: ignore[arg-type]


def test_a_cluster_that_does_not_answer_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatesmith.cluster.TIMEOUT_SECONDS", 0.5)
    with pytest.raises(ToolError, match="no Dask scheduler answers"):
        run_over_files(job(place), [place / "in"], place / "out", scheduler="tcp://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingToolError, match="gatesmith\\[scale\\]"):
        run_over_files(job(place), [place / "in"], place / "out", scheduler="tcp://127.0.0.1:9")


CLUSTER = """
import sys
from pathlib import Path
from distributed import LocalCluster
from gatesmith.inference import Job, run_over_files
if __name__ == "__main__":
    place = Path(sys.argv[1])
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster:
        job = Job(model=str(place / "model.safetensors"))
        summary = run_over_files(job, [place / "in"], place / "out", scheduler=cluster.scheduler_address)
    print(summary.records)
"""


def test_the_same_run_on_a_cluster(place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLUSTER, place], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(len(LENGTHS))
    assert [row["steps"] for row in outputs(place / "out")] == LENGTHS


def test_wrong_use_is_a_sentence(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = str(place / "model.safetensors"), str(place / "out")
    assert main(["run", model, str(place / "nothing"), "--out", out]) == 2
    assert "is not there or not a .parquet file" in capsys.readouterr().err.replace("\n", " ")
    assert main(["run", model, str(place / "in"), "--out", out, "--workers", "0"]) == 2
