"""The command line as a shell uses it: output that cannot be written, readers that go away."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stepsize.cli import COMMANDS as ALL
from stepsize.cli import SUMMARIES
from stepsize.testing import write_tasks
from tests.analyzer.rows import row
from tests.places import short_directory

FULL = Path("/dev/full")
COMMANDS = ("report", "report --format json", "match --memory 8GiB --limit 500", "--help", "report --help")


def stepsize(data: Path, arguments: str, then: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`stepsize ARGUMENTS` with the rest of a shell's line; the exit code is that of stepsize."""
    with short_directory() as runtime:
        environment = {"PATH": os.environ["PATH"], "HOME": str(data), "STEPSIZE_DATA": str(data), **more}
        return subprocess.run(
            ["bash", "-c", f'"$0" -m stepsize {arguments} {then}; exit "${{PIPESTATUS[0]}}"', sys.executable],
            env={**environment, "STEPSIZE_RUNTIME": str(runtime)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of so many steps that a report of them is more than a pipe holds."""
    directory = tmp_path_factory.mktemp("lake")
    write_tasks(directory, [row(step=f"step{number}") for number in range(300)])
    return directory


@pytest.mark.skipif(not FULL.exists(), reason="a device that is always full is Linux'")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", COMMANDS)
def test_output_that_cannot_be_written_is_one_line(data: Path, arguments: str, unbuffered: str) -> None:
    """Exit code 1, and no word from the interpreter."""
    finished = stepsize(data, arguments, f">{FULL}", PYTHONUNBUFFERED=unbuffered)
    assert finished.returncode == 1
    assert finished.stderr == "stepsize: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_reader_that_has_seen_enough_is_no_failure(data: Path, arguments: str) -> None:
    """`stepsize report | head -1` is quiet and well, whether or not the pipe would have held the rest."""
    for reader in ("head -1", "true"):
        finished = stepsize(data, arguments, f"| {reader}")
        assert (finished.returncode, finished.stderr) == (0, ""), reader


@pytest.mark.parametrize("arguments", ["match --memory 8GiB", "--version"])
def test_without_any_output_there_is_nothing_to_fail(data: Path, arguments: str) -> None:
    """`>&-` closes it."""
    finished = stepsize(data, arguments, ">&-")
    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("", 2, "Commands:"),
        ("nosuch", 2, "No such command 'nosuch'"),
        ("match --limit 0", 2, "--limit"),
        ("match --vendor nimbus", 2, "stepsize: no vendor is named"),
        ("match --cpu 5000", 1, "stepsize: no server fits"),
        ("run -- sh -c 'exit 7'", 7, "sh/run used"),
    ],
)
def test_exit_codes(data: Path, arguments: str, code: int, said: str) -> None:
    """1 the tool's failure, 2 wrong usage, and a command's own; what is wrong is on standard error."""
    finished = stepsize(data / "other", arguments, "")
    assert (finished.returncode, finished.stdout) == (code, "")
    assert said in finished.stderr


@pytest.mark.parametrize(
    "arguments",
    ["nosuch", "match --cpu -1", "match --format xml", "match --limit 99999999999999999999", "run", "report a/b/c"],
)
def test_wrong_usage_is_one_line_that_says_where_help_is(data: Path, arguments: str) -> None:
    """Exit code 2."""
    finished = stepsize(data, arguments, "")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert len(finished.stderr.splitlines()) == 1
    assert finished.stderr.startswith("stepsize: ")


def test_a_name_cannot_steer_the_terminal_through_an_error(tmp_path: Path) -> None:
    """Flow names are what anybody sent."""
    write_tasks(tmp_path, [row(flow="\x1b[31mred")])
    finished = stepsize(tmp_path, "report nosuch", "")
    assert finished.returncode == 2
    assert "red" in finished.stderr
    assert "\x1b" not in finished.stderr


@pytest.mark.parametrize("name", sorted(SUMMARIES))
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    """`--help` has the first sentence of every command, which it need not import for that."""
    command = importlib.import_module(ALL[name]).command
    assert SUMMARIES[name] == command.get_short_help_str(limit=1000)


def test_help_imports_no_command(data: Path) -> None:
    """Neither DuckDB nor numpy nor any command is read for a list of commands."""
    result = stepsize(data, "--help", "", PYTHONPROFILEIMPORTTIME="1")
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "stepsize.cli" in imported
    assert not {name for name in imported if name.startswith(("duckdb", "numpy", "pyarrow", "stepsize.commands."))}


def test_matching_imports_neither_numpy_nor_pyarrow(data: Path) -> None:
    """A match reads DuckDB and little else, so that it answers before anybody waits."""
    result = stepsize(data, "match --memory 8GiB", "", PYTHONPROFILEIMPORTTIME="1")
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "duckdb" in imported
    assert not {"numpy", "pyarrow", "rich", "jinja2", "yaml", "requests"} & imported
