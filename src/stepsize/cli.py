"""The ``stepsize`` command: a table of commands, each in a module of its own that is imported when it is called.

What comes in: the command line. What goes out: an exit code: 0 well, 1 the tool's failure, 2 wrong usage (``run``:
the command's own). Never prints a traceback for what a user or a machine can do wrong.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

from stepsize import __version__
from stepsize.errors import StepsizeError

COMMANDS: dict[str, str] = {
    "run": "stepsize.commands.run",
    "collect": "stepsize.commands.collect",
    "report": "stepsize.commands.report",
    "match": "stepsize.commands.match",
    "demo": "stepsize.commands.demo",
}
"""Command name → module that holds it as ``command``."""


class _LazyGroup(click.Group):
    """Imports a command's module when it is asked for, so that ``--help`` and start-up stay quick."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        module = COMMANDS.get(name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(module).command
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="stepsize")
def cli() -> None:
    """Measure what every workflow step really uses; request exactly that."""


def main() -> None:
    """Entry point of the console script."""
    try:
        cli()
    except StepsizeError as error:
        click.echo(f"stepsize: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (`stepsize report | head`): nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
