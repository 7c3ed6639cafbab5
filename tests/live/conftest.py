"""A collector with a live page, whose lake has running, ended and hostile attempts; and a browser."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import pytest

from stepsize.store.reports import LocalShelf
from tests.collector.otlp import SECOND, RequestBuilder, identity
from tests.collector.running import Place, RunningCollector, place_in
from tests.report_page.chromium import Chromium, installed

CONFIG = """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:0"}}}}
exporters: {parquet: {}}
service: {pipelines: {metrics: {receivers: [otlp], exporters: [parquet]}}}
"""
NASTY = "<script>document.title='taken'</script><img src=x onerror=alert(1)>\x1b[31m\N{RIGHT-TO-LEFT OVERRIDE}"
GIB = 1 << 30
WIDE = 60


def attempt(now_s: int, task: str, **more: Any) -> RequestBuilder:
    """Twenty samples, ten seconds apart, of a task that asks for two cores and 4 GiB."""
    asked = {"stepsize.request.cpu": 2.0, "stepsize.request.memory": 4 * GIB}
    times = [(now_s - 200 + 10 * number) * SECOND for number in range(20)]
    request = RequestBuilder(identity(task, **{**asked, **more}))
    request.gauge("stepsize.task.cpu.usage", [(at, 0.5 + number % 3 / 2) for number, at in enumerate(times)], "{cpu}")
    request.gauge("stepsize.task.memory.usage", [(at, GIB + number * 2**26) for number, at in enumerate(times)], "By")
    return request


def others(now_s: int) -> list[RequestBuilder]:
    """Two attempts of one name in two projects, and one with GPUs."""
    made = []
    for project, cores in (("a", 3.0), ("b", 6.0)):
        resource = identity("1", **{"stepsize.run.id": "18", "stepsize.step.name": "twin", "stepsize.project": project})
        one = RequestBuilder({**resource, "stepsize.request.cpu": 2.0, "stepsize.request.memory": 4 * GIB})
        one.gauge("stepsize.task.cpu.usage", [((now_s - at) * SECOND, cores) for at in range(20)], "{cpu}")
        made.append(one.gauge("stepsize.task.memory.usage", [(now_s * SECOND, int(cores) * 2**27)], "By"))
    gpu = RequestBuilder(identity("1", **{"stepsize.run.id": "18", "stepsize.step.name": "gpu"}))
    gpu.gauge("stepsize.task.gpu.count", [(now_s * SECOND, 2)], "1")
    for device, busy, gib in (("0", 0.9, 2), ("1", 0.3, 1)):
        gpu.gauge("stepsize.task.gpu.utilization", [(now_s * SECOND, busy)], "1", **{"hw.id": device})
        gpu.gauge("stepsize.task.gpu.memory.usage", [(now_s * SECOND, gib * GIB)], "By", **{"hw.id": device})
    made.append(gpu)
    return made


def fill(collector: RunningCollector) -> None:
    """A wide step, a hostile one, one that failed, a night's report."""
    now_s = int(time.time())
    requests = [attempt(now_s, str(number)) for number in range(WIDE)]
    nasty = dict.fromkeys(("stepsize.flow.name", "stepsize.run.id", "stepsize.step.name", "host.name"), NASTY)
    requests.append(attempt(now_s, NASTY, **nasty))
    requests.append(attempt(now_s, "1", **{"stepsize.step.name": "../..", "stepsize.run.id": ".."}))
    odd = attempt(now_s, "odd", **{"stepsize.run.id": ".."})
    odd.gauge("stepsize.task.cpu.usage", [(now_s * SECOND, float("nan"))], "{cpu}")
    odd.gauge("stepsize.task.memory.usage", [(now_s * SECOND, float("inf"))], "By")
    requests.append(odd)
    failed = attempt(now_s, "7", **{"stepsize.step.name": "score"})
    requests.append(failed.end(now_s * SECOND, "failed"))
    requests += others(now_s)
    for request in requests:
        assert collector.post(request.content())[0] == 200
    collector.flush()
    shelf = LocalShelf(collector.place.settings.data)
    shelf.put("2026-11-20", "report.html", b"<!doctype html><title>r</title><script>document.title='taken'</script>ok")
    shelf.put("2026-11-20", "report.json", b"{}")


class Answer(NamedTuple):
    """What a path answers."""

    status: int
    text: str
    headers: dict[str, str]


def get(collector: RunningCollector, path: str = "/live", method: str = "GET", **headers: str) -> Answer:
    """Ask for a page as a browser does."""
    with closing(http.client.HTTPConnection(collector.http, timeout=30)) as connection:
        connection.request(method, path, headers=headers)
        found = connection.getresponse()
        return Answer(found.status, found.read().decode(), {k.lower(): v for k, v in found.getheaders()})


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCollector]:
    """A collector with something to show."""
    with place_in(tmp_path_factory.mktemp("live")) as place:
        collector = place.collect(CONFIG)
        fill(collector)
        yield collector


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Directories of one test."""
    with place_in(tmp_path_factory.mktemp("place")) as made:
        yield made


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A browser."""
    program = installed()
    if program is None:
        pytest.skip("no Chromium is installed")
    started = Chromium(program, tmp_path_factory.mktemp("chromium"))
    yield started
    started.close()
