"""Answers from the lake: the history of each step that a launch asks about, sized by the policy that it names.

What comes in: settings, which name the lake, and a `Question`. What goes out: an answer for each of its steps, in its
order; of a step without history the flow's own request. Reads the lake, and writes what agent and collector still held.
Of a flow with a great many tasks it looks at the newest runs alone, as many as there is time for.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb

from stepsize.analyzer.lessons import lessons
from stepsize.analyzer.sizing.autosized import launching
from stepsize.analyzer.sizing.lessons import ALONE
from stepsize.analyzer.usage import Attempt, Query, histories, runs_within
from stepsize.autosize.decision import decide, unsized
from stepsize.commands.settle import settle
from stepsize.errors import LakeError, UsageError
from stepsize.store.lake import Lake
from stepsize.store.layout import DATABASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stepsize.analyzer.sizing.lessons import Lessons
    from stepsize.analyzer.sizing.policy import Policy
    from stepsize.analyzer.usage import StepEvidence
    from stepsize.autosize.question import Question, StepAnswer, StepQuestion
    from stepsize.settings import Settings

_SETTLING = 0.3
"""The share of the wait that each part of what was measured last has to reach the lake."""
_TEACHING = 0.3
"""The share of the wait that what other steps teach may take, which grows with the whole lake."""
_ATTEMPTS_PER_S = 3_000
"""What a history may hold for each second of the wait: an attempt takes about 50 µs, and a machine may be busy."""
_FEWEST_RUNS = 3
_MEMORY_BYTES = 1 << 29


def answers(settings: Settings, question: Question) -> tuple[StepAnswer, ...]:
    """What each step is to ask for.

    Raises:
        LakeError: there is a lake, and it cannot be read.
    """
    settle(settings, settings.autosize_wait_s * _SETTLING)  # a run that has just ended counts
    sizing, unknown = _policies(each.policy for each in question.steps)
    found = {each.step: replace(unsized(each), why=unknown.get(each.policy, "")) for each in question.steps}
    if settings.store is None and not (settings.data / DATABASE).is_file():
        if settings.data.exists() and not settings.data.is_dir():
            raise LakeError(f"{settings.data} is no directory")
        return tuple(found.values())
    asked = {each.step: each for each in question.steps if each.policy in sizing}
    if not asked:
        return tuple(found.values())
    own = (question.project, question.production)
    with _reading(settings) as connection:
        query = Query(flow=question.flow, step=next(iter(asked)) if len(asked) == 1 else None)
        taught = _lessons(connection, query, settings.autosize_wait_s * _TEACHING)
        most = round(_ATTEMPTS_PER_S * settings.autosize_wait_s)
        runs = runs_within(connection, query, question.project, most, production=question.production)
        for evidence in histories(connection, replace(query, runs=max(runs, _FEWEST_RUNS))):
            step = asked.get(evidence.step)
            if step is None or (evidence.project, evidence.production) != own or not evidence.ended:
                continue
            advised = sizing[step.policy].recommend(_launching(evidence, step), taught.beside(evidence))
            found[step.step] = decide(step, evidence, advised)
    return tuple(found.values())


def _policies(names: Iterable[str]) -> tuple[dict[str, Policy], dict[str, str]]:
    """The policies called so, and of those that nobody knows a sentence that says so."""
    known: dict[str, Policy] = {}
    unknown: dict[str, str] = {}
    for name in sorted(set(names)):
        try:
            known[name] = launching(name)
        except UsageError as error:  # noqa: PERF203 - of a few names
            said = str(error)
            unknown[name] = f"{said[:1].upper()}{said[1:]}."
    return known, unknown


def _lessons(connection: duckdb.DuckDBPyConnection, query: Query, limit_s: float) -> Lessons:
    """What other steps teach; where that takes too long, a step is sized by its own history alone."""
    alarm = threading.Timer(limit_s, connection.interrupt)
    alarm.start()
    try:
        return lessons(connection, query)
    except duckdb.InterruptException:
        return ALONE
    finally:
        alarm.cancel()
        alarm.join()  # one that came too late interrupts nothing else


@contextmanager
def _reading(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    if settings.store is not None:
        from stepsize.store.objects import ObjectLake  # noqa: PLC0415 - heavy, and hardly ever needed

        with ObjectLake(settings.store).reading(_MEMORY_BYTES) as connection:
            yield connection
    else:
        with Lake(settings.data).reading(_MEMORY_BYTES) as connection:
            yield connection


def _launching(evidence: StepEvidence, question: StepQuestion) -> StepEvidence:
    """The history with the attempt that is being launched, which has used nothing yet and asks for what the flow says.

    A policy compares what it would ask for with the newest request. That of the last run is this module's own, and what
    its advice to keep that would keep is not in the flow.
    """
    newest = evidence.newest
    assert newest is not None, "a step with ended attempts has a newest"
    launched = Attempt(
        run="",
        task="",
        outcome=None,
        started_at_s=max((each.started_at_s or 0.0) for each in evidence.attempts) + 1.0,
        requested_cpu=question.cpu,
        requested_memory_bytes=question.memory_bytes,
        requested_gpu=newest.requested_gpu,
        requested_disk_bytes=newest.requested_disk_bytes,
        requested_timeout_s=newest.requested_timeout_s,
        thread_limits=newest.thread_limits,
        target=question.target or newest.target,
        host_cpus=newest.host_cpus,
        code_version=newest.code_version,
    )
    return replace(evidence, attempts=(*evidence.attempts, launched))
