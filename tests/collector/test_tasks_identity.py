"""Which points belong to one attempt's row, however and whenever its resource tells who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stepsize.model import Identity
from tests.collector.otlp import SECOND, RequestBuilder, cpu_samples, identity
from tests.collector.rollup_log import T0, Log, attempt, final_rows, time_of

if TYPE_CHECKING:
    pass


LATE = [
    {"stepsize.user": "ada"},
    {"stepsize.branch": "prod", "stepsize.project": "shop"},
    {"deployment.environment.name": "prod", "k8s.cluster.name": "a"},
]


@pytest.mark.parametrize("known", LATE, ids=str)
@pytest.mark.parametrize("final", [False, True])
def test_what_is_known_late_makes_no_second_row(log: Log, known: dict[str, str], final: bool) -> None:
    """An attempt whose resource gains (or loses) its user, project or environment stays one row, open or closed."""
    log.fold(attempt().gauge("stepsize.task.memory.usage", [(T0, 1.0)]))
    if final:
        log.fold(attempt().end(T0, "ok"))
        log.sink.tick(time_of(log) + 61 * SECOND)
        assert final_rows(log) == 1
    log.fold(attempt(**known).gauge("stepsize.task.memory.usage", [(T0 + SECOND, 2.0)]))
    log.make_sink()
    log.fold(attempt().gauge("stepsize.task.memory.usage", [(T0 + 2 * SECOND, 3.0)]))
    (row,) = log.tasks()
    assert (row["samples"], row["user"], row["project"]) == (
        3,
        known.get("stepsize.user"),
        known.get("stepsize.project"),
    )


def test_users_that_differ_are_attempts_that_differ(log: Log) -> None:
    """Two known users have a row each, over restarts; points of neither have one of their own."""
    for i, user in enumerate(("ada", "bob", "ada", None, "bob", None)):
        who = {} if user is None else {"stepsize.user": user}
        log.fold(attempt(**who).gauge("stepsize.task.memory.usage", [(T0 + i, 1.0)]))
        log.make_sink()
    assert [(row["user"], row["samples"]) for row in log.tasks("user")] == [("ada", 2), ("bob", 2), (None, 2)]


def test_same_instance_is_the_same_attempt(log: Log) -> None:
    """Points of one service.instance.id belong to one row; the one that our agent makes of the names tells nothing."""
    for instance, user in (("i-1", "ada"), ("i-2", "bob"), ("i-2", None), ("i-1", None), ("i-1", "ada lovelace")):
        who = {} if user is None else {"stepsize.user": user}
        log.fold(attempt(**who, **{"service.instance.id": instance}).sum("container.memory.oom_kills", T0, [(T0, 0)]))
        log.fold(attempt(**who, **{"service.instance.id": instance}).gauge("stepsize.task.memory.usage", [(T0, 1.0)]))
        log.make_sink()
    assert [(row["user"], row["samples"]) for row in log.tasks("user")] == [("ada lovelace", 3), ("bob", 2)]
    derived = Identity("TrainFlow", "17", "train", "2").instance_id
    for user in ("ada", "bob"):
        who = {"service.instance.id": derived, "stepsize.user": user}
        log.fold(attempt("2", **who).gauge("stepsize.task.memory.usage", [(T0, 1.0)]))
    assert [row["user"] for row in log.tasks("task, user")][2:] == ["ada", "bob"]


def test_tags_on_points(log: Log) -> None:
    """What a resource may say of an attempt its points may say too; where both do, the resource counts."""
    tags = {
        **identity(attempt=1, **{"stepsize.user": "bob"}),
        "stepsize.task.item": "lr=0.01",
        "stepsize.project": "shop",
        "stepsize.branch": "prod",
        "stepsize.code.version": "abc",
        "stepsize.request.cpu": 8,
        "stepsize.request.memory": 10**9,
        "stepsize.annotation.rows": 7,
    }
    request = RequestBuilder({"service.name": "any", "stepsize.user": "ada"})
    log.fold(request.gauge("stepsize.task.cpu.usage", cpu_samples(T0, [1.0]), **tags))
    (row,) = log.tasks()
    names = ("task", "attempt", "item", "project", "branch", "user", "code_version", "annotations")
    assert [row[name] for name in names] == ["1", 1, "lr=0.01", "shop", "prod", "ada", "abc", '{"rows":7}']
    assert (row["requested_cpu"], row["requested_memory_bytes"], row["samples"]) == (8.0, 10**9, 1)


def test_attempts_of_a_task_are_rows_of_their_own(log: Log) -> None:
    """A task that failed and was tried again has two rows; so have equal run numbers of different projects."""
    log.fold(
        attempt("1", 0).end(T0, "failed"),
        attempt("1", 1, **{"stepsize.project": "shop"}).end(T0 + SECOND, "ok"),
        attempt("1", 1, **{"stepsize.project": "other"}).end(T0 + SECOND, "killed", process__exit__signal=9),
    )
    rows = [
        (row["attempt"], row["project"], row["outcome"], row["exit_signal"]) for row in log.tasks("attempt, outcome")
    ]
    assert rows == [(0, None, "failed", None), (1, "other", "killed", 9), (1, "shop", "ok", None)]
