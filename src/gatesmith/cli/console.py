"""How commands speak: data on standard output, talk and progress on standard error."""

import contextlib
import json
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gatesmith.errors import InputError

talk = Console(stderr=True)
out = Console(soft_wrap=True, highlight=False)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


def show(values: Mapping[str, Any], *, as_json: bool, title: str = "") -> None:
    """One result: as JSON, or as a table of two columns."""
    if as_json:
        show_json(values)
        return
    table = Table(title=title or None, show_header=False, title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in values.items():
        table.add_row(name.replace("_", " "), _cell(value))
    out.print(table)


def read_text(path: Path) -> str:
    """The text of a file that the user named.

    Raises:
        InputError: it is missing, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror or error}; expected a text file") from None
    except UnicodeDecodeError:
        raise InputError(f"can't read {path}: it is no text; expected a JSON file") from None


def show_json(values: object) -> None:
    """Plain values as JSON, without colour or wrapping."""
    typer.echo(json.dumps(values, indent=2))


@contextlib.contextmanager
def progress_bar(title: str, *, enabled: bool = True) -> Generator[Callable[..., None]]:
    """A progress bar on standard error, as a callback (done, total, message)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}"),
    )
    with Progress(*columns, console=talk, transient=True, disable=not enabled) as progress:
        task = progress.add_task(title, total=None, message="")

        def update(done: int, total: int, message: str = "") -> None:
            progress.update(task, completed=done, total=total, message=message)

        yield update


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(item)}" for name, item in cast("Mapping[str, object]", value).items())
    if isinstance(value, list):
        return ", ".join(map(str, cast("list[object]", value)))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
