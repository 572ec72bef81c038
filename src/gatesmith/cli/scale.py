"""Commands that scale out: train in many processes, and run a model over many files."""

from pathlib import Path
from typing import Annotated

import typer

from gatesmith.cli.console import JsonFlag, progress_bar, show, talk


def add_to(app: typer.Typer) -> None:
    """Register this room's commands."""
    app.command()(train)


def train(
    out_folder: Annotated[Path, typer.Option("--out", help="Folder for the weights; made if it is missing.")],
    data: Annotated[str, typer.Option(help="japanese-vowels, or a .npz file with x, lengths and labels.")] = (
        "japanese-vowels"
    ),
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
    timeout: Annotated[float, typer.Option(help="Seconds to wait for another process.")] = 600.0,
    as_json: JsonFlag = False,
) -> None:
    """Train a sequence classifier with PyTorch, stopped early on a split of the data.

    In several processes: torchrun --nproc-per-node 2 -m gatesmith train --out DIR
    """
    from gatesmith.datasets import load
    from gatesmith.files import make_folder, write_json
    from gatesmith.train import Checkpoints, Engine, Recipe, is_first_process
    from gatesmith.train import train as run

    recipe = Recipe(hidden_size=hidden, epochs=epochs, seed=seed, batch_size=batch)
    engine = Engine.checked(sharding=sharding, precision=precision, accumulate=accumulate, timeout=timeout)
    checkpoints = None
    if checkpoint_every:
        folder = out_folder / "checkpoints"
        checkpoints = Checkpoints(folder=folder, every=checkpoint_every, warn=lambda text: _warn(text))
    with progress_bar("training", enabled=not as_json and is_first_process()) as progress:
        training = run(load(data), recipe, engine=engine, checkpoints=checkpoints, progress=progress)
    if not is_first_process():
        return
    make_folder(out_folder)
    training.classifier.save(out_folder)
    write_json(out_folder / "training.json", training.to_dict())
    show(training.to_dict(), as_json=as_json, title=f"Trained, weights in {out_folder}")


def _warn(text: str) -> None:
    talk.print(f"warning: {text}", markup=False, highlight=False)
