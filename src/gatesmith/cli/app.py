"""The application: its subcommands, and how errors become one sentence and an exit code."""

import sys
from collections.abc import Sequence
from typing import cast

import typer

from gatesmith.cli import analyse, demo, hardware, operator, scale
from gatesmith.cli.console import talk
from gatesmith.errors import GatesmithError

INTERRUPTED = 130

# Typer carries click inside; from what it makes public, this is the way to the root of all wrong use.
WrongUse: type[Exception] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="gatesmith",
    help="The LSTM operator, from equations to silicon.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (operator, scale, hardware, analyse, demo):
    module.add_to(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for wrong use, others as in ``errors.py``, 130 for Ctrl-C."""
    try:
        words = sys.argv[1:] if arguments is None else list(arguments)
        result = app(args=words or ["--help"], prog_name="gatesmith", standalone_mode=False)
    except GatesmithError as error:
        talk.print(f"[bold red]error:[/] {_plain(str(error))}", highlight=False, soft_wrap=True)
        return error.exit_code
    except WrongUse as error:
        message = cast("typer.BadParameter", error).format_message()
        context = cast("typer.Context | None", getattr(error, "ctx", None))
        talk.print(f"[bold red]error:[/] {_plain(message)}", highlight=False, soft_wrap=True)
        talk.print(f"hint: see `{context.command_path if context else 'gatesmith'} --help`", highlight=False)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    # Typer returns the code of an early exit, and turns Ctrl-C into one.
    return _interrupted() if result == INTERRUPTED else result if isinstance(result, int) else 0


def _interrupted() -> int:
    talk.print("interrupted; nothing half-written is left", highlight=False)
    return INTERRUPTED


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
