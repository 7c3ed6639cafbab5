"""What every ``stepsize import`` takes and prints.

What comes in: options, and a source's attempts. What goes out: rows in the lake, or none with ``--dry-run``, and what
became of all that was read, on standard output. Lines that could not be read are told on standard error.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import click

from stepsize.errors import DataError, UsageError
from stepsize.identity import Platform
from stepsize.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stepsize.collector.imports.attempts import Attempt
    from stepsize.collector.imports.into_lake import Imported
    from stepsize.collector.imports.labels import Labels
    from stepsize.collector.imports.reading import Reading

TARGETS = tuple(value for name, value in vars(Platform).items() if name.isupper())


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The options of :data:`_OPTIONS`, as they were given."""

    project: str | None
    branch: str | None
    user: str | None
    target: str | None
    data: str | None
    dry_run: bool
    format_name: str

    def labels(
        self,
        flow: str | None,
        run: str | None = None,
        timezone: str | None = None,
        oom_exit_codes: Iterable[int] = (),
    ) -> Labels:
        """What is said of every attempt.

        Raises:
            UsageError: a name is empty, or the time zone is not known.
        """
        from stepsize.collector.imports.labels import Labels  # noqa: PLC0415 - `--help` stays quick

        named = {"flow": flow, "run": run, "project": self.project, "branch": self.branch, "user": self.user}
        for name, value in named.items():
            if value == "":
                raise UsageError(f"--{name} is empty; leave it away, or give a name")
        return Labels(
            flow=flow or "",
            run=run,
            project=self.project,
            branch=self.branch,
            user=self.user,
            target=self.target,
            zone=None if timezone is None else _zone(timezone),
            oom_exit_codes=frozenset(oom_exit_codes),
        )

    def write(self, source: str, attempts: Iterable[Attempt], reading: Reading) -> None:
        """Have ``attempts`` of ``source``, which counts in ``reading``, in the lake, and print what became of them.

        Raises:
            DataError: nothing of all that was read could be understood.
            StepsizeError: the lake cannot be written, or the source not be read.
        """
        from stepsize.collector.imports.into_lake import import_attempts  # noqa: PLC0415 - as above

        data = Settings.load(data=self.data).here("import")
        done = import_attempts(data, attempts, dry_run=self.dry_run)
        for line in reading.first_bad:
            click.echo(f"stepsize import: {_visible(str(line))}", err=True)
        if reading.bad > len(reading.first_bad):
            click.echo(f"stepsize import: and {reading.bad - len(reading.first_bad)} more like these", err=True)
        if self.format_name == "json":
            click.echo(_as_json(source, done, reading, dry_run=self.dry_run))
        else:
            click.echo(_as_table(done, reading, dry_run=self.dry_run))
        if reading.bad and not done.attempts:
            raise DataError("nothing could be read: see the lines above, and docs/import.md for what is understood")


_OPTIONS = (
    click.option(
        "--project", metavar="NAME", help="The project that the flow belongs to. [default: as the source says]"
    ),
    click.option("--branch", metavar="NAME", help="The project's branch: prod, user.ann; prod is kept apart."),
    click.option("--user", metavar="NAME", help="Who ran it. [default: as the source says]"),
    click.option(
        "--target", type=click.Choice(TARGETS), help="What ran it (docs/targets.md). [default: as the source says]"
    ),
    click.option("--data", metavar="DIR", help="The lake's directory. [STEPSIZE_DATA, default ~/.stepsize]"),
    click.option("--dry-run", is_flag=True, help="Read everything, say what would be added, and add nothing."),
    click.option("--format", "format_name", type=click.Choice(["table", "json"]), default="table", show_default=True),
)


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of :class:`Common`, handed to ``function`` together as ``common``."""

    @functools.wraps(function)
    def gathered(**given: Any) -> Any:
        chosen = {one.name: given.pop(one.name) for one in fields(Common)}
        return function(common=Common(**chosen), **given)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered


flow_option = click.option("--flow", metavar="NAME", required=True, help="What the flow is called in the lake.")
timezone_option = click.option(
    "--timezone", metavar="ZONE", help="Of times that name none: Europe/Berlin, UTC. [default: this machine's]"
)
files_argument = click.argument("files", metavar="FILE...", nargs=-1, required=True)


def _zone(name: str) -> dt.tzinfo:
    if name.upper() == "UTC":
        return dt.timezone.utc
    import zoneinfo  # noqa: PLC0415 - hardly ever needed

    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"--timezone {name!r} is not known here; write one as in Europe/Berlin, or UTC") from None


@dataclass(slots=True)
class _Summary:
    """What ``--format json`` prints."""

    source: str
    dry_run: bool
    read: int
    attempts: int
    added: int
    already_there: int
    read_twice: int
    passed_over: dict[str, int]
    bad: int
    bad_lines: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)


def _as_json(source: str, done: Imported, reading: Reading, *, dry_run: bool) -> str:
    summary = _Summary(
        source=source,
        dry_run=dry_run,
        read=reading.read,
        attempts=done.attempts,
        added=done.added,
        already_there=done.known,
        read_twice=done.repeated,
        passed_over=dict(sorted(reading.passed_over.items())),
        bad=reading.bad,
        bad_lines=[asdict(line) for line in reading.first_bad],
        steps=[asdict(step) for step in done.steps],
    )
    return json.dumps(asdict(summary), indent=2)


def _as_table(done: Imported, reading: Reading, *, dry_run: bool) -> str:
    lines = [f"{_count(done.added, 'attempt')} {'would be added' if dry_run else 'added'}"]
    names = [(_visible(f"{one.flow}/{one.step}"), one.attempts, one.runs) for one in done.steps]
    width = max((len(name) for name, _, _ in names), default=0)
    lines += [f"  {name:<{width}}  {_count(count, 'attempt')} in {_count(runs, 'run')}" for name, count, runs in names]
    if done.known:
        lines.append(f"{done.known} in the lake already")
    if done.repeated:
        lines.append(f"{done.repeated} read twice")
    lines += [f"{count} passed over: {why}" for why, count in sorted(reading.passed_over.items())]
    if reading.bad:
        lines.append(f"{reading.bad} of {reading.read} could not be read")
    return "\n".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _visible(text: str) -> str:
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
