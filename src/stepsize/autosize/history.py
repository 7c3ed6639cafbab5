"""Answers from the lake: the history of each step that a launch asks about, sized by the policy that it names.

What comes in: settings, which name the lake, and a `Question`. What goes out: an answer for each of its steps, in its
order; of a step without history the flow's own request. Reads the lake, and writes what agent and collector still held.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb

from stepsize.analyzer.lessons import lessons
from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.sizing.lessons import ALONE
from stepsize.analyzer.usage import Attempt, Query, histories
from stepsize.autosize.decision import decide, unsized
from stepsize.commands.settle import settle
from stepsize.store.lake import Lake
from stepsize.store.layout import DATABASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.analyzer.sizing.lessons import Lessons
    from stepsize.analyzer.usage import StepEvidence
    from stepsize.autosize.question import Question, StepAnswer, StepQuestion
    from stepsize.settings import Settings

_SETTLING = 0.3
"""The share of the wait that each part of what was measured last has to reach the lake."""
_TEACHING = 0.3
"""The share of the wait that what other steps teach may take, which grows with the whole lake."""
_MEMORY_BYTES = 1 << 29


def answers(settings: Settings, question: Question) -> tuple[StepAnswer, ...]:
    """What each step is to ask for.

    Raises:
        LakeError: there is a lake, and it cannot be read.
        UsageError: no policy is called as the question says.
    """
    sizing = {each.policy: policies.load(each.policy) for each in question.steps}
    settle(settings, settings.autosize_wait_s * _SETTLING)  # a run that has just ended counts
    if settings.store is None and not (settings.data / DATABASE).is_file():
        return tuple(unsized(each) for each in question.steps)
    query = Query(flow=question.flow)
    with _reading(settings) as connection:
        taught = _lessons(connection, query, settings.autosize_wait_s * _TEACHING)
        own = (question.project, question.production)
        known = {each.step: each for each in histories(connection, query) if (each.project, each.production) == own}
    found = []
    for step in question.steps:
        evidence = known.get(step.step)
        if evidence is None or not evidence.ended:
            found.append(unsized(step))
            continue
        advised = sizing[step.policy].recommend(_launching(evidence, step), taught.beside(evidence))
        found.append(decide(step, evidence, advised))
    return tuple(found)


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
