"""Commands about the operator itself: describe, convert."""

import json
from pathlib import Path
from typing import Annotated

import typer

from gatesmith.cli.console import JsonFlag, out, read_text, show, show_json
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights


def add_to(app: typer.Typer) -> None:
    """Register this room's commands."""
    app.command()(describe)
    app.command()(convert)


def describe(
    model: Annotated[
        Path | None, typer.Argument(help="A weight file of any format, or a specification as .json.")
    ] = None,
    inputs: Annotated[int, typer.Option("--inputs", "-D", help="D, where no file is given.")] = 12,
    hidden: Annotated[int, typer.Option("--hidden", "-H", help="H, where no file is given.")] = 32,
    layers: Annotated[int, typer.Option("--layers", "-L", help="L, where no file is given.")] = 1,
    direction: Annotated[str, typer.Option(help="forward, reverse or bidirectional.")] = "forward",
    peepholes: Annotated[str, typer.Option(help="Gates with a diagonal peephole, such as ifo.")] = "",
    full_peepholes: Annotated[str, typer.Option(help="Gates with a full-matrix peephole, such as o.")] = "",
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX instead of Unicode.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Print the exact mathematics of an LSTM: gates, shapes, parameters."""
    if model is None:
        spec = LSTMSpec.from_dict(
            {
                "input_size": inputs,
                "hidden_size": hidden,
                "num_layers": layers,
                "direction": direction,
                "peepholes": peepholes,
                "full_peepholes": full_peepholes,
            }
        )
    else:
        spec = spec_of(model)
    if as_json:
        shapes = {name: list(shape) for name, shape in spec.parameter_shapes().items()}
        show_json(
            {
                "spec": json.loads(spec.to_json()),
                "parameters": spec.parameter_count(),
                "shapes": shapes,
                "equations": spec.equations(),
                "latex": spec.equations("latex"),
            }
        )
        return
    out.print(spec.equations("latex" if latex else "unicode"), markup=False)


def convert(
    source: Annotated[Path, typer.Argument(help="Model to read; its suffix tells the format.")],
    target: Annotated[Path, typer.Argument(help="Model to write; its suffix tells the format.")],
    as_json: JsonFlag = False,
) -> None:
    """Convert weights between frameworks; what was written is read again and compared."""
    from gatesmith.convert import convert as run

    show(run(source, target).to_dict(), as_json=as_json, title=f"{source} → {target}")


def spec_of(path: Path) -> LSTMSpec:
    """The specification in a weight file of any format that converts, or in a JSON file of its own."""
    return LSTMSpec.from_json(read_text(path)) if path.suffix == ".json" else weights_of(path).spec


def weights_of(path: Path) -> Weights:
    """The weights in a file of any format that converts."""
    from gatesmith.convert import format_of

    return format_of(path).read(path).weights
