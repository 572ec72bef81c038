"""Commands that scale out: train in many processes, and run a model over many files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatesmith.cli.console import JsonFlag, progress_bar, show, talk

if TYPE_CHECKING:
    from gatesmith.datasets import Sequences
    from gatesmith.train import Recipe
    from gatesmith.train.sources import Source

SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Name bad records and go on, instead of stopping.")]


def add_to(app: typer.Typer) -> None:
    """Register this room's commands."""
    app.command()(train)
    app.command()(run)


def train(
    out_folder: Annotated[Path, typer.Option("--out", help="Folder for the weights; made if it is missing.")],
    data: Annotated[
        str,
        typer.Option(help="japanese-vowels; a .npz file with x, lengths and labels; or a folder of .parquet files."),
    ] = "japanese-vowels",
    hidden: Annotated[int, typer.Option("--hidden", "-H", help="Hidden units.")] = 32,
    epochs: Annotated[int, typer.Option(help="At most this many.")] = 150,
    seed: Annotated[int, typer.Option(help="Of initial weights, order and noise.")] = 0,
    batch: Annotated[int, typer.Option(help="Sequences of one step, over all processes.")] = 32,
    checkpoint_every: Annotated[
        int,
        typer.Option(help="Steps between checkpoints in OUT/checkpoints, from which a killed run goes on; 0: none."),
    ] = 0,
    sharding: Annotated[str, typer.Option(help="Under torchrun: ddp, or fsdp for FSDP2.")] = "ddp",
    precision: Annotated[str, typer.Option(help="float32, or bfloat16 by autocast.")] = "float32",
    accumulate: Annotated[int, typer.Option(help="Parts that a batch is computed in, to save memory.")] = 1,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the model with torch.compile.")] = False,
    skip_bad: SkipBad = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for another process.")] = 600.0,
    as_json: JsonFlag = False,
) -> None:
    """Train a sequence classifier with PyTorch, stopped early on a split of the data.

    In several processes: torchrun --nproc-per-node 2 -m gatesmith train --out DIR
    """
    from gatesmith.files import make_folder, write_json
    from gatesmith.train import Checkpoints, Engine, Recipe, is_first_process
    from gatesmith.train import train as fit

    recipe = Recipe(hidden_size=hidden, epochs=epochs, seed=seed, batch_size=batch)
    engine = Engine.checked(
        sharding=sharding, precision=precision, accumulate=accumulate, compile=compiled, timeout=timeout
    )
    checkpoints = None
    if checkpoint_every:
        folder = out_folder / "checkpoints"
        checkpoints = Checkpoints(folder=folder, every=checkpoint_every, warn=_warn)
    with progress_bar("training", enabled=not as_json and is_first_process()) as progress:
        source = _training_data(data, recipe, skip_bad=skip_bad)
        training = fit(source, recipe, engine=engine, checkpoints=checkpoints, progress=progress)
    if not is_first_process():
        return
    make_folder(out_folder)
    training.classifier.save(out_folder)
    write_json(out_folder / "training.json", training.to_dict())
    show(training.to_dict(), as_json=as_json, title=f"Trained, weights in {out_folder}")


def run(
    model: Annotated[Path, typer.Argument(help="Weights, as written by `gatesmith train` or `convert`.")],
    inputs: Annotated[list[Path], typer.Argument(help="Parquet files of sequences, or folders of them.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder for one output file an input file.")],
    sequences: Annotated[
        bool, typer.Option("--sequences", help="Keep h of every step, not the final one alone.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="Where to run; by default the compiled kernel if it fits.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="A Dask scheduler, tcp://host:8786, to run on its cluster.")
    ] = None,
    skip_bad: SkipBad = False,
    as_json: JsonFlag = False,
) -> None:
    """Run a model over many files; started again after a kill, it goes on where it was."""
    from gatesmith.inference import Job, run_over_files

    job = Job(model=str(model.resolve()), device=device, sequences=sequences, on_bad="skip" if skip_bad else "stop")
    with progress_bar("running", enabled=not as_json) as progress:
        summary = run_over_files(job, inputs, out_folder, workers=workers, scheduler=scheduler, progress=progress)
    show(summary.to_dict(), as_json=as_json, title=f"Outputs in {out_folder}")


def _training_data(data: str, recipe: "Recipe", *, skip_bad: bool) -> "Sequences | Source":
    from gatesmith.datasets import load

    if not Path(data).is_dir():
        return load(data)
    from gatesmith.shards import find_shards
    from gatesmith.train.streaming import ShardSource

    return ShardSource(
        find_shards([Path(data)]),
        batch_size=recipe.batch_size,
        validation_share=recipe.validation_share,
        seed=recipe.seed,
        on_bad="skip" if skip_bad else "stop",
        warn=_warn,
    )


def _warn(text: str) -> None:
    talk.print(f"warning: {text}", markup=False, highlight=False)
