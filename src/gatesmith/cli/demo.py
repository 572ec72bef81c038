"""Commands around the whole: demo, doctor, lint."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from gatesmith.cli.console import JsonFlag, out, show_json, talk


def add_to(app: typer.Typer) -> None:
    """Register this room's commands."""
    app.command()(demo)
    app.command()(doctor)
    app.command()(lint)


class Onlooker:
    """Shows each stage as it happens: a bar while it runs, a line when it is done."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = TaskID(0)

    def begin(self, stage: str) -> None:
        self._task = self._progress.add_task(stage, total=None, message="")

    def progress(self, done: int, total: int, message: str = "") -> None:
        self._progress.update(self._task, completed=done, total=total, message=message)

    def end(self, stage: str, seconds: float, outcome: str) -> None:
        self._progress.remove_task(self._task)
        talk.print(f"[green]✓[/] {stage:<10} {seconds:6.1f} s  {outcome}", highlight=False, soft_wrap=True)


def demo(
    folder: Annotated[Path, typer.Option("--out", help="Folder for the results; made if it is missing.")],
    as_json: JsonFlag = False,
) -> None:
    """Train on real data, quantise, export, simulate and synthesise: the main job, end to end."""
    from gatesmith.demo import run_demo

    columns = (
        TextColumn("  {task.description:<10}"),
        TimeElapsedColumn(),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[message]}"),
    )
    with Progress(*columns, console=talk, transient=True) as progress:
        summary = run_demo(folder, Onlooker(progress))
    if as_json:
        show_json(summary)
        return
    table = Table(title=f"The LSTM, from equations to silicon: {folder / 'summary.json'}", title_justify="left")
    table.add_column("result")
    table.add_column("value", justify="right")
    for name, value in summary.items():
        if name.endswith(("accuracy", "utilisation")):
            table.add_row(name, f"{value:.2%}")
        elif isinstance(value, int | float):
            table.add_row(name, f"{value:,}" if isinstance(value, int) else f"{value:,.1f}")
    table.add_row("seconds, all stages", f"{sum(summary['seconds_per_stage'].values()):.1f}")
    out.print(table)


def doctor(as_json: JsonFlag = False) -> None:
    """Say which tools are here and what each of them enables."""
    from gatesmith.doctor import diagnose

    findings = diagnose()
    if as_json:
        show_json([finding.to_dict() for finding in findings])
        return
    for kind in dict.fromkeys(finding.kind for finding in findings):
        out.print(f"[bold]{kind}s[/]")
        for finding in (finding for finding in findings if finding.kind == kind):
            mark = "[green]✓[/]" if finding.found else "[red]✗[/]"
            name = f"{finding.name} {finding.version}".strip()
            out.print(f"  {mark} {name:<42} {finding.enables}")
            if not finding.found:
                hint = finding.hint.replace("[", r"\[")
                out.print(f"    {'':<42} [yellow]missing: {hint}[/]")


def lint(as_json: JsonFlag = False) -> None:
    """Lint every SystemVerilog module alone, with every tool that is here."""
    from gatesmith.hardware.lint import lint as run

    results = run()
    if as_json:
        show_json([result.to_dict() for result in results])
        return
    for result in results:
        out.print(result.sentence())
