"""What the live page costs: ``make bench-live``.

For 10, 1,000 and 10,000 running tasks in a lake that a collector fills: the time of a page that is made anew, its size,
CPU time of the process that makes it. Then viewers at 5 s, with points arriving all the while, and the same without
viewers: the p95 of a page and of a request of points, and the CPU time of each process. Loopback only.
"""

from __future__ import annotations

import http.client
import statistics
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.collector.otlp import SECOND, RequestBuilder, identity
from tests.collector.running import RunningCollector, place_in

CONFIG = """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:0"}}, limits: {max_resources: 100000}}}
exporters: {parquet: {}}
service: {pipelines: {metrics: {receivers: [otlp], exporters: [parquet]}}}
"""
TASKS = (10, 1_000, 10_000)
PAGES = 7
VIEWERS, EVERY_S, WATCHED_S = 20, 5.0, 25.0
REQUESTS_A_SECOND = 100
GIB = 1 << 30


def points(task: int, samples: int) -> bytes:
    """The newest samples of a task, ten seconds apart."""
    now_s = int(time.time())
    asked = {"stepsize.request.cpu": 2.0, "stepsize.request.memory": 4 * GIB, "host.name": f"w{task % 50}"}
    times = [(now_s - 10 * number) * SECOND for number in range(samples)]
    made = RequestBuilder(identity(str(task), **asked))
    made.gauge("stepsize.task.cpu.usage", [(at, 0.5 + (at // SECOND) % 3 / 2) for at in times], "{cpu}")
    made.gauge("stepsize.task.memory.usage", [(at, GIB + at % GIB) for at in times], "By")
    return made.content()


def ask(collector: RunningCollector, path: str = "/live") -> tuple[float, int]:
    """Seconds that a page took, and its bytes."""
    begun = time.perf_counter()
    with closing(http.client.HTTPConnection(collector.http, timeout=30)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        size = len(answer.read())
        assert answer.status == 200, answer.status
    return time.perf_counter() - begun, size


def cpu_s(collector: RunningCollector) -> dict[str, float]:
    """CPU seconds of each process so far."""
    parent = psutil.Process(collector.process.pid)
    found = {"receiver": parent}
    for child in parent.children():
        line = " ".join(child.cmdline())
        found["pages" if "live.process" in line else "sink" if "sink" in line else line] = child
    return {name: sum(one.cpu_times()[:2]) for name, one in found.items()}


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20)[-1]


def pages_anew(collector: RunningCollector, tasks: int) -> None:
    """Pages that are each made anew: every path is another page to the cache."""
    ask(collector)
    before = cpu_s(collector)["pages"]
    taken = [ask(collector, f"/live{'/' * number}") for number in range(1, PAGES + 1)]
    cost = (cpu_s(collector)["pages"] - before) / PAGES
    child = next(one for one in psutil.Process(collector.process.pid).children() if "live" in " ".join(one.cmdline()))
    times = sorted(seconds for seconds, _ in taken)
    print(
        f"| {tasks:,} | {times[PAGES // 2] * 1e3:.0f} | {times[0] * 1e3:.0f} to {times[-1] * 1e3:.0f} "
        f"| {cost * 1e3:.0f} | {taken[0][1] / 1024:.0f} | {child.memory_info().rss / 2**20:.0f} |",
        flush=True,
    )


def watched(collector: RunningCollector, viewers: int, tasks: int) -> None:
    """Requests of points for a while, with so many who look every 5 s."""
    end = time.monotonic() + WATCHED_S
    pages: list[float] = []

    def look(number: int) -> None:
        time.sleep(EVERY_S * number / max(viewers, 1))
        while time.monotonic() < end:
            seconds, _ = ask(collector)
            pages.append(seconds)
            time.sleep(EVERY_S)

    before = cpu_s(collector)
    looking = [threading.Thread(target=look, args=(number,)) for number in range(viewers)]
    for one in looking:
        one.start()
    sent: list[float] = []
    with closing(http.client.HTTPConnection(collector.http, timeout=30)) as connection:
        while (begun := time.monotonic()) < end:
            body = points(len(sent) % tasks, 1)
            started = time.perf_counter()
            connection.request("POST", "/v1/metrics", body, {"content-type": "application/x-protobuf"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            sent.append(time.perf_counter() - started)
            time.sleep(max(0.0, 1 / REQUESTS_A_SECOND - (time.monotonic() - begun)))
    for one in looking:
        one.join()
    after = cpu_s(collector)
    shares = {name: (after[name] - before.get(name, 0)) / WATCHED_S * 100 for name in after}
    shown = " | ".join(f"{shares.get(name, 0):.1f}" for name in ("receiver", "sink", "pages"))
    page = f"{p95(pages) * 1e3:.0f}" if pages else "-"
    print(f"| {viewers} | {len(sent) / WATCHED_S:.0f} | {p95(sent) * 1e3:.1f} | {page} | {shown} |", flush=True)


def main() -> None:
    """Print both tables."""
    print("| running tasks | page, ms (median) | ms, range | CPU ms | KiB | RSS, MiB |\n|---|---|---|---|---|---|")
    for tasks in TASKS:
        with tempfile.TemporaryDirectory() as home, place_in(Path(home)) as place:
            collector = place.collect(CONFIG)
            for task in range(tasks):
                assert collector.post(points(task, 30))[0] == 200
            collector.flush()
            pages_anew(collector, tasks)
            if tasks == TASKS[-1]:
                print("\n| viewers | requests/s | request, p95 ms | page, p95 ms | CPU %: receiver | sink | pages |")
                print("|---|---|---|---|---|---|---|")
                for viewers in (0, VIEWERS, 0, VIEWERS):
                    watched(collector, viewers, tasks)


if __name__ == "__main__":
    main()
