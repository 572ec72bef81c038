"""Commands that tell what an LSTM costs and what it does: footprint, profile, inspect, report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer
from rich.console import RenderableType

from gatesmith.cli.console import JsonFlag, out, progress_bar, read_text, show, show_json
from gatesmith.cli.operator import spec_of, weights_of
from gatesmith.weights import Weights

if TYPE_CHECKING:
    from gatesmith.datasets import Sequences
    from gatesmith.ops.reference import CellTrace

ModelOrExport = Annotated[Path, typer.Argument(help="A weight file, a specification as .json, or an export folder.")]
SpecArgument = Annotated[Path, typer.Argument(help="A weight file, or a specification as .json.")]
BatchOption = Annotated[int, typer.Option("--batch", "-N", help="Sequences at once.")]
SaveOption = Annotated[Path | None, typer.Option("--save", help="Leave a result file for `gatesmith report`.")]
StepsOption = Annotated[int, typer.Option("--steps", "-T", help="Steps of each sequence.")]


def add_to(app: typer.Typer) -> None:
    """Register this room's commands."""
    app.command()(footprint)
    app.command()(profile)
    app.command()(inspect)
    app.command()(report)


def footprint(
    model: ModelOrExport,
    batch: BatchOption = 1,
    steps: StepsOption = 1,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    training: Annotated[bool, typer.Option("--training", help="Count what training keeps, too.")] = False,
    recompute: Annotated[bool, typer.Option("--recompute", help="Keep h and c, and do the gates again.")] = False,
    device: Annotated[str, typer.Option(help="cpu or reference.")] = "cpu",
    predict_only: Annotated[bool, typer.Option("--predict-only", help="Don't run anything.")] = False,
    save: SaveOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Tell what memory a run takes, predicted and measured, line by line; or what an exported design takes."""
    if model.is_dir():
        _export_footprint(model, save, as_json=as_json)
        return
    from gatesmith.analysis import footprint as run
    from gatesmith.report.tables import footprint_tables

    result = run(spec_of(model), batch, steps, dtype, training, device, recompute=recompute, measure=not predict_only)
    _present(result, footprint_tables(result), model.stem, save, as_json=as_json)


def profile(
    model: SpecArgument,
    steps: StepsOption = 100,
    batches: Annotated[list[int] | None, typer.Option("--batch", "-N", help="A batch size; may be repeated.")] = None,
    device: Annotated[str, typer.Option(help="cpu or reference.")] = "cpu",
    training: Annotated[bool, typer.Option("--training/--inference", help="Time backward too.")] = True,
    seconds: Annotated[float, typer.Option(help="About how long to measure.")] = 10.0,
    save: SaveOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure throughput, the time of every component, and say which bound holds."""
    from gatesmith.analysis import profile as run
    from gatesmith.analysis.profile import BATCHES
    from gatesmith.report.tables import profile_tables

    with progress_bar("profiling", enabled=not as_json) as progress:
        result = run(
            spec_of(model),
            steps,
            batches=batches or BATCHES,
            device=device,
            training=training,
            seconds=seconds,
            progress=progress,
        )
    _present(result, profile_tables(result), model.stem, save, as_json=as_json)


def inspect(
    model: Annotated[Path, typer.Argument(help="Weights, as written by `gatesmith train` or `convert`.")],
    data: Annotated[str, typer.Option(help="japanese-vowels, or a .npz or .npy file with x [T, N, D].")] = (
        "japanese-vowels"
    ),
    limit: Annotated[int, typer.Option(help="Only the first so many sequences.")] = 50,
    plan: Annotated[
        Path | None,
        typer.Option(help="Plan of `gatesmith quantize`: adds the fixed-point model's gates and errors."),
    ] = None,
    save: SaveOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Look at gates, memory and gradients of a model on real sequences."""
    from gatesmith.analysis import inspect as run
    from gatesmith.datasets import load
    from gatesmith.report.tables import inspection_tables

    weights, sequences = weights_of(model), load(data)[slice(limit)]
    with progress_bar("inspecting", enabled=not as_json) as progress:
        fixed = None if plan is None else _fixed_traces(weights, plan, sequences)
        result = run(weights, sequences.x, lengths=sequences.lengths, fixed=fixed, progress=progress)
    _present(result, inspection_tables(result), model.stem, save, as_json=as_json)


def report(
    folder: Annotated[Path, typer.Argument(help="Folder with result files of footprint, profile, inspect or demo.")],
    page: Annotated[Path | None, typer.Option("--out", help="Where the page goes; report.html in the folder.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Turn result files into one page that any browser opens without a network."""
    from gatesmith.report import write_report

    path = write_report(folder, page)
    show({"page": str(path), "bytes": path.stat().st_size}, as_json=as_json)


def _fixed_traces(weights: Weights, plan: Path, sequences: "Sequences") -> "tuple[CellTrace, ...]":
    from gatesmith.fixed import Plan
    from gatesmith.fixed.trace import trace_fixed
    from gatesmith.ops.call import make_call

    call = make_call(weights, sequences.x.astype(weights.dtype), lengths=sequences.lengths)
    return trace_fixed(call, Plan.from_json(read_text(plan)))


def _export_footprint(folder: Path, save: Path | None, *, as_json: bool) -> None:
    from gatesmith.hardware.footprint import export_footprint
    from gatesmith.report.tables import hardware_tables

    result = export_footprint(folder)
    _present(result, hardware_tables(result), folder.name, save, as_json=as_json)


class _Result(Protocol):
    """What every analysis returns."""

    def to_dict(self) -> dict[str, Any]: ...

    def save(self, path: str | Path, *, title: str = "") -> None: ...


def _present(result: _Result, table: RenderableType, title: str, save: Path | None, *, as_json: bool) -> None:
    """Leave a result file where one is asked for, then show the result as JSON or as a table."""
    if save:
        result.save(save, title=title)
    if as_json:
        show_json(result.to_dict())
    else:
        out.print(table)
