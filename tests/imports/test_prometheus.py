"""Pods in a real Prometheus: the series are those of cAdvisor and kube-state-metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.imports.conftest import Place
from tests.imports.kubernetes import Pod, prometheus
from tests.interop.peers import PROMETHEUS

HOUR_S = 3600
NOW_S = int(time.time()) // 60 * 60
DAY_AGO_S = NOW_S - 24 * HOUR_S
GIB = 1 << 30


def metaflow(run: int, task: int, attempt: int = 0) -> dict[str, str]:
    """The annotations of Metaflow's pods, as kube-state-metrics calls them."""
    said = {"flow_name": "Train", "run_id": run, "step_name": "fit", "task_id": task, "attempt": attempt, "user": "ann"}
    return {f"metaflow_{name}": str(value) for name, value in said.items()}


PODS = [
    *(
        Pod(f"fit-{n}", DAY_AGO_S + n * HOUR_S, DAY_AGO_S + n * HOUR_S + 1800, GIB, annotations=metaflow(n, n))
        for n in range(6)
    ),
    Pod("oom", NOW_S - 7 * HOUR_S, NOW_S - 7 * HOUR_S + 900, 4 * GIB, reason="OOMKilled", annotations=metaflow(9, 1)),
    Pod(
        *("again", NOW_S - 6 * HOUR_S, NOW_S - 5 * HOUR_S, 5 * GIB),
        annotations=metaflow(9, 1, 1),
        memory_bytes=8 * GIB,
        restarts=2,
        sidecar=True,
    ),
    Pod("running", NOW_S - 600, NOW_S + 600, GIB, annotations=metaflow(10, 1)),
    Pod("early", DAY_AGO_S - 5 * HOUR_S, DAY_AGO_S + HOUR_S, GIB, annotations=metaflow(11, 1)),
    Pod("etl-1", NOW_S - 4 * HOUR_S, NOW_S - 3 * HOUR_S, GIB, cores=2.0, labels={"app": "etl", "role": "load"}),
    Pod("etl-2", NOW_S - 3 * HOUR_S, NOW_S - 2 * HOUR_S, GIB, reason="Error", labels={"app": "etl", "role": "load"}),
]
"""What a Prometheus has seen of a day and a little more."""

pytestmark = [pytest.mark.peers, pytest.mark.needs(PROMETHEUS), pytest.mark.xdist_group("prometheus")]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(PROMETHEUS.path, tmp_path_factory.mktemp("prometheus"), PODS) as address:
        yield address


def test_metaflows_pods_become_advice(place: Place, url: str) -> None:
    """By their annotations, without a word of how they are named; one ran out of memory."""
    said = place.imported("prometheus", url, "--since", "25h")
    assert said["steps"] == [{"flow": "Train", "step": "fit", "runs": 7, "attempts": 8}]
    assert said["passed_over"] == {
        "began before --since": 1,
        "had not ended": 1,
        "no label or annotation names its flow and step": 2,
    }
    advice = place.advice()["Train/fit"]
    assert advice["recommended"]["memory_mb"] > 5 * GIB / 1e6
    assert advice["requested"]["memory_mb"] == pytest.approx(4 * GIB / 1e6, abs=1)


def test_what_a_pod_says(place: Place, url: str) -> None:
    """Use of its own containers, not of its pause or init containers or of the pod's group; what it asked for and was
    given; what each start of a container took, but for what no scrape saw."""
    place.imported("prometheus", url, "--since", "25h")
    rows = {(row["run"], row["attempt"]): row for row in place.tasks()}
    row = rows["3", 0]
    assert (row["step"], row["task"], row["user"], row["target"]) == ("fit", "3", "ann", "kubernetes")
    assert row["started_at"].timestamp() == DAY_AGO_S + 3 * HOUR_S
    assert (row["duration_s"], row["cpu_seconds"], row["outcome"]) == (1800.0, 1800.0, "ok")
    assert (row["memory_peak_bytes"], row["memory_source"]) == (GIB, "prometheus")
    assert (row["requested_cpu"], row["requested_memory_bytes"]) == (2.0, 4 * GIB)
    assert row["memory_limit_bytes"] == 4 * GIB
    again = rows["9", 1]
    assert (again["cpu_seconds"], again["memory_peak_bytes"]) == (3600 - 2 * 30, 5 * GIB + 1000)
    assert again["memory_limit_bytes"] is None  # the sidecar has none
    assert (rows["9", 0]["outcome"], rows["9", 0]["oom_kills"], rows["9", 1]["outcome"]) == ("oom", 1, "ok")


@pytest.mark.parametrize("window", ["20m", "7h", "10d"])
def test_the_window_changes_nothing(place: Place, url: str, window: str) -> None:
    """However many queries it takes, an attempt is in the lake once; again, nothing is added."""
    assert place.imported("prometheus", url, "--since", "25h", "--window", window)["added"] == 8
    assert place.imported("prometheus", url, "--since", "25h")["already_there"] == 8
    assert {row["memory_peak_bytes"] for row in place.tasks() if row["run"] in "012345"} == {GIB}


def test_pods_by_labels(place: Place, url: str) -> None:
    """Those of anybody: fields by labels, a run by the pod's owner; a selector leaves the others out."""
    named = ("--map", "flow=label_app", "--map", "step=label_role")
    said = place.imported("prometheus", url, "--since", "25h", *named, "--selector", 'pod=~"etl-.*"')
    assert (said["read"], said["added"]) == (2, 2)
    first, second = place.tasks()
    assert (first["flow"], first["run"], first["step"], first["task"]) == ("etl", "job-etl-1", "load", "etl-1")
    assert (first["cpu_seconds"], first["outcome"], second["outcome"]) == (7200.0, "ok", "failed")
    assert place.imported("prometheus", url, "--since", "25h", *named[2:], "--flow", "other")["added"] == 2


def test_only_what_began_since_and_was_scraped_until(place: Place, url: str) -> None:
    """Without the part that was not looked at nobody knows a peak."""
    said = place.imported("prometheus", url, "--since", "22.5h", "--until", "20.2h")
    assert {row["run"] for row in place.tasks()} == {"2", "3"}
    assert said["passed_over"] == {"began before --since": 1}


def test_answers_that_are_none(place: Place, url: str) -> None:
    """Each is one line: a query that it refuses, an address where nobody is, options that mean nothing."""
    for code, arguments in (
        (1, (url, "--since", "1h", "--selector", "not a matcher")),
        (1, ("http://127.0.0.1:9", "--since", "1h")),
        (2, (url, "--since", "1h", "--map", "flow")),
        (2, (url, "--since", "1h", "--until", "2h")),
        (2, (url, "--since", "1h", "--window", "2026-01-01")),
        (2, (url,)),
    ):
        done = place.run("import", "prometheus", *arguments)
        assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
    assert not place.data.exists()
