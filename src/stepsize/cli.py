"""The ``stepsize`` command: a table of commands, each in a module of its own that is imported when it is called.

What comes in: the command line. What goes out: an exit code: 0 well, 1 the tool's failure, 2 wrong usage (``run``:
the command's own). Never prints a traceback for what a user or a machine can do wrong: output that cannot be written
is one line, a reader that went away (``stepsize report | head``) is none.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from stepsize import __version__
from stepsize.errors import StepsizeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

COMMANDS: dict[str, str] = {
    "run": "stepsize.commands.run",
    "collect": "stepsize.commands.collect",
    "report": "stepsize.commands.report",
    "apply": "stepsize.commands.apply",
    "match": "stepsize.commands.match",
    "catalog": "stepsize.commands.catalog",
    "backtest": "stepsize.commands.backtest",
    "compact": "stepsize.commands.compact",
    "nightly": "stepsize.commands.nightly",
    "rollup": "stepsize.commands.rollup",
    "upload": "stepsize.commands.upload",
    "import": "stepsize.commands.import_",
    "erase": "stepsize.commands.erase",
    "doctor": "stepsize.commands.doctor",
    "sql": "stepsize.commands.sql",
    "demo": "stepsize.commands.demo",
}
"""Command name → module that holds it as ``command``."""
SUMMARIES: dict[str, str] = {
    "run": "Run a command, track it and its children, and say what it used.",
    "collect": "Receive OpenTelemetry metrics and keep them as Parquet that DuckDB reads.",
    "report": "Say what each step should ask for, why, what that saves, and which servers fit it.",
    "apply": "Write into a flow's source what each step should ask for; show the diff unless --write.",
    "match": "Find the cheapest servers that fit a need, or all steps of a FLOW.",
    "catalog": "Show what servers and prices are known, and how old they are; fetch newer ones.",
    "backtest": "Replay recorded tasks, each sized before it is seen, and say what that would have allocated.",
    "compact": "Compact the days that are past, and drop what is older than it is to be kept.",
    "nightly": "Compact the lake, report on all flows, compare with the last report, and tell who wants to know.",
    "rollup": "Count tasks anew from every stored point, into a lake of their own that report reads with --data.",
    "upload": "Bring the lake to an object store as it is now, for `stepsize report --data s3://BUCKET/PREFIX`.",
    "import": "Add what others recorded: Nextflow, Snakemake, SLURM, Prometheus, Metaflow, resource-tracker.",
    "erase": "Erase what is stored of a user, a flow or a run: points, tasks, and what is on its way to the lake.",
    "doctor": "Find the usual faults: settings, sockets, agent, endpoint, lake, collector, Metaflow, GPUs.",
    "sql": "Ask the lake in SQL, or serve it to clients of Postgres.",
    "demo": "Run real flows with STEPSIZE=1, then print what each step should ask for.",
}
"""Command name → its line in ``--help``, so that the list imports none; a test holds each to its command's own."""


class _OutputError(Exception):
    """Standard output cannot be written; the cause says why. No ``OSError``: click ends at a broken pipe itself."""


class _Output(io.FileIO):
    """Standard output that tells its own failures from those of other files and sockets."""

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise _OutputError from error


class _LazyGroup(click.Group):
    """Imports a command's module when it is asked for, so that ``--help`` and start-up stay quick."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of ``--help``, from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._summary(ctx, name)) for name in COMMANDS])

    def _summary(self, ctx: click.Context, name: str) -> str:
        known = SUMMARIES.get(name)
        command = None if known else self.get_command(ctx, name)
        return known or (command.get_short_help_str(limit=200) if command else "")

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
        with _watched_output():
            code = _call()
    except _OutputError as failed:
        code = _give_up_output(failed)
    sys.exit(code)


def _call() -> int:
    try:
        answer = cli.main(standalone_mode=False)
    except StepsizeError as error:
        _complain(str(error))
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()  # the help itself
        return error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        more = f" (see {context.command_path} --help)" if context is not None else ""
        _complain(error.format_message() + more)
        return error.exit_code
    except click.Abort:
        _complain("interrupted")
        return 1
    return answer if isinstance(answer, int) else 0


def _complain(text: str) -> None:
    """One line on standard error, whatever names with control characters are in it."""
    line = " ".join(text.split())
    visible = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)
    click.echo(f"stepsize: {visible}", err=True)


@contextmanager
def _watched_output() -> Iterator[None]:
    """Standard output through :class:`_Output`, written to its end; a terminal stays as it is."""
    given = sys.__stdout__
    if given is not None and given is sys.stdout and not given.isatty():
        raw = io.BufferedWriter(_Output(given.fileno(), "wb", closefd=False))
        sys.stdout = io.TextIOWrapper(raw, given.encoding, given.errors)
    yield
    if sys.stdout is not None:
        sys.stdout.flush()


def _give_up_output(failed: _OutputError) -> int:
    """Drop what cannot be written, so that the interpreter does not try once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(failed.__cause__, BrokenPipeError):
        return 0  # the reader has seen enough: nothing is wrong
    reason = failed.__cause__.strerror if isinstance(failed.__cause__, OSError) else failed
    _complain(f"cannot write to standard output: {reason}")
    return 1
