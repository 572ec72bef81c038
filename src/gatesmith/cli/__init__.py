"""The command line: one subcommand per stage, each one public call; nothing is computed here."""

from gatesmith.cli.app import main

__all__ = ["main"]
