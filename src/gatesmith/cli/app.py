"""The application: its subcommands, and how errors become one sentence and an exit code."""

import sys
from collections.abc import Sequence

import click
import typer

from gatesmith.cli import analyse, demo, hardware, operator
from gatesmith.cli.console import talk
from gatesmith.errors import GatesmithError

INTERRUPTED = 130

app = typer.Typer(
    name="gatesmith",
    help="The LSTM operator, from equations to silicon.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (operator, hardware, analyse, demo):
    module.add_to(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for wrong use, others as in ``errors.py``, 130 for Ctrl-C."""
    try:
        result = app(args=None if arguments is None else list(arguments), standalone_mode=False)
    except GatesmithError as error:
        talk.print(f"[bold red]error:[/] {_plain(str(error))}", highlight=False, soft_wrap=True)
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "gatesmith"
        talk.print(f"[bold red]error:[/] {_plain(error.format_message())}", highlight=False, soft_wrap=True)
        talk.print(f"hint: see `{command} --help`", highlight=False)
        return 2
    except (KeyboardInterrupt, click.Abort):
        talk.print("interrupted; nothing half-written is left", highlight=False)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return result if isinstance(result, int) else 0


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
