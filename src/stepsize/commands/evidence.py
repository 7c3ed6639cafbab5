"""Which evidence a command's advice stands on: the options that choose it, shared by all that advise.

What comes in: options. What goes out: an :class:`Evidence`, which reads the reports of one query from the lake once
everything measured so far is in it. Never changes the lake.
"""

from __future__ import annotations

import functools
import re
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import click

from stepsize.analyzer import report
from stepsize.analyzer.course import courses
from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.sizing import targets
from stepsize.analyzer.sizing.autosized import AsLaunched
from stepsize.analyzer.sizing.least_cost import LeastCostPolicy
from stepsize.analyzer.usage import Query
from stepsize.commands.settle import settle
from stepsize.errors import UsageError
from stepsize.settings import Settings
from stepsize.store.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import duckdb

    from stepsize.analyzer.costs import PriceList
    from stepsize.analyzer.course import Course, StepKey
    from stepsize.analyzer.sizing.targets import Target

_AGO = re.compile(r"(\d+(?:\.\d+)?)([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MEMORY_BYTES = 1 << 30
"""What the lake's queries hold at once; reports of millions of tasks need more, and have it on disk."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A lake and a catalogue that are open, and how to size."""

    connection: duckdb.DuckDBPyConnection
    prices: PriceList
    policy: policies.Policy
    platform: Target | None

    def __call__(self, query: Query) -> list[report.StepReport]:
        """The reports of a query; errors as for :func:`stepsize.analyzer.report.build`."""
        return report.build(self.connection, self.prices, self.policy, query, self.platform)

    def courses(self, query: Query, steps: Sequence[StepKey]) -> dict[StepKey, Course]:
        """What pictures of these steps of the query need."""
        return courses(self.connection, query, steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The options as they were given; see :data:`_OPTIONS`."""

    since: str | None
    runs: int | None
    policy_name: str | None
    target_name: str | None
    cpu_budget: float | None
    branch: str | None
    origin: str | None
    data: str | None

    def checked(self) -> tuple[policies.Policy, Target | None]:
        """The policy and the platform that they name.

        Raises:
            UsageError: two of them exclude each other, or a name means nothing.
        """
        if self.since is not None and self.runs is not None:
            raise UsageError("--since and --runs exclude each other; give one")
        platform = None if self.target_name is None else targets.named(self.target_name)
        if self.policy_name is None:
            return AsLaunched(lambda policy: _within(policy, self.cpu_budget)), platform
        return _within(policies.load(self.policy_name), self.cpu_budget), platform

    def query(self, flow: str | None, step: str | None = None) -> Query:
        """What to ask the lake of a flow, or of all."""
        return Query(
            flow=flow,
            step=step,
            since=None if self.since is None else parse_since(self.since, datetime.now(timezone.utc)),
            runs=self.runs,
            branch=self.branch,
            origin=self.origin,
        )

    @contextmanager
    def reader(self, catalog: AbstractContextManager[PriceList]) -> Iterator[Reader]:
        """What makes the reports of a query, while the lake and ``catalog`` are open.

        Raises:
            StepsizeError: the lake cannot be read, or holds nothing that was asked for.
        """
        policy, platform = self.checked()
        with self._lake() as connection, catalog as prices:
            yield Reader(connection, prices, policy, platform)

    def _lake(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """The lake to read, here or in an object store, once all that was measured on this machine is in it."""
        settings = Settings.load(data=self.data)
        for line in settle(settings, remote=True):
            click.echo(f"stepsize: {line}", err=True)
        if settings.store is not None:
            from stepsize.store.objects import ObjectLake  # noqa: PLC0415 - heavy, and hardly ever needed

            return ObjectLake(settings.store).reading(_MEMORY_BYTES)
        return Lake(settings.data).reading(_MEMORY_BYTES)


def _within(policy: policies.Policy, cpu_budget: float | None) -> policies.Policy:
    """The policy with a budget for cores in place of a price of waiting."""
    if cpu_budget is None:
        return policy
    if not isinstance(policy, LeastCostPolicy):
        raise UsageError(f"--cpu-budget: {policy.name} has a rule of its own for cores; leave out one of the two")
    return replace(policy, waiting=replace(policy.waiting, budget=cpu_budget))


_OPTIONS = (
    click.option(
        "--since", metavar="AGO", help="Only attempts that began since: 30d, 12h, 2w, or a date (2026-11-01)."
    ),
    click.option("--runs", type=click.IntRange(1, 1_000_000), metavar="N", help="Only the newest N runs of each flow."),
    click.option(
        "--policy",
        "policy_name",
        metavar="NAME",
        help="How to size: cheap, balanced, safe, resource-tracker, or an installed plug-in. "
        "[default: safe, or what @autosize sized a step's newest run by]",
    ),
    click.option(
        "--target",
        "target_name",
        metavar="NAME",
        help=f"Say what to write for this platform, not for what ran the newest run: {', '.join(targets.TARGETS)}.",
    ),
    click.option(
        "--cpu-budget",
        type=click.FloatRange(min=1),
        metavar="TIMES",
        help="Instead of a price of waiting: the fastest cores on which a task costs at most so many times what it "
        "costs on the cheapest (1: the cheapest).",
    ),
    click.option("--branch", metavar="GLOB", help="Only this branch of a project (prod, user.ann, test.*)."),
    click.option("--origin", metavar="NAME", help="Only runs of this origin: adhoc, schedule, event, upstream run."),
    click.option(
        "--data",
        metavar="DIR",
        help="The lake's directory, or s3://BUCKET/PREFIX. [STEPSIZE_DATA, default ~/.stepsize]",
    ),
)


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of :class:`Evidence`, handed to ``function`` together as ``evidence``."""

    @functools.wraps(function)
    def gathered(**given: Any) -> Any:
        chosen = {field.name: given.pop(field.name) for field in fields(Evidence)}
        return function(evidence=Evidence(**chosen), **given)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered


def parse_since(text: str, now: datetime) -> datetime:
    """The instant that ``30d``, ``12h``, ``90m``, ``2w`` before ``now`` or an ISO date (UTC) stands for.

    Raises:
        UsageError: it is none of these.
    """
    if ago := _AGO.fullmatch(text.strip()):
        try:
            return now - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        except OverflowError:
            raise UsageError(f"--since {text}: that is before all calendars; give less") from None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--since {text!r} is neither an age (30d, 12h, 2w) nor a date (2026-11-01)") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)
