"""What the rules and dashboards for Prometheus cost it, with many attempts at a time.

What comes in: how many attempts run. What goes out: CPU time of a Prometheus 2.42 for one evaluation of each group of
`grafana/prometheus/rules.yaml` and for one look at each board, with what a browser gets of it. Attempts have run for
half an hour, of 200 steps of 50 flows, or all of one step (``--one-step``); gauges have a point a second, sums and
peaks one in five. Needs what `make test-peers` built.
Run: ``python benchmarks/prometheus_rules.py --attempts 10000``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.grafana.prometheus.boards import SHIPPED, Target, targets
from tests.grafana.prometheus.chain import answers
from tests.grafana.prometheus.expanding import All, Window
from tests.interop.peers import PROMETHEUS
from tests.interop.processes import free_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROMTOOL = PROMETHEUS.path.parent / "promtool"
HOSTS, FLOWS, STEPS = 300, 50, 200
LOOKED_AT_S, RUN_S = 130, 1800
LATER_S = 110
"""The minutes' rules look two minutes back."""
CHOSEN = {"flow": All(".*"), "run": All(".*")}
ONE = {"flow": "Flow7", "step": "step7", "run": All(".*")}


class Told:
    """Series of attempts as a file of OpenMetrics, up to a moment.

    Args:
        path: of the file.
        attempts: how many.
        now_s: when that is.
        one_step: whether all are of one step.
    """

    def __init__(self, path: Path, attempts: int, now_s: int, *, one_step: bool) -> None:
        self._file = path.open("w")
        self._now_s = now_s
        self._labels = [self._of(number, 7 if one_step else number) for number in range(attempts)]

    @staticmethod
    def _of(number: int, step: int) -> str:
        flow = f"Flow{step % FLOWS}"
        names = {
            "stepsize_flow_name": flow,
            "stepsize_run_id": f"r{number // 100}",
            "stepsize_step_name": f"step{step % STEPS}",
            "stepsize_task_id": str(number),
            "stepsize_task_attempt": "0",
            "host_name": f"h{number % HOSTS}",
            "job": flow,
            "instance": f"{number:032d}",
        }
        return ",".join(f'{name}="{value}"' for name, value in names.items())

    def family(
        self, name: str, value: Callable[[int, int], float], every_s: int, *, more: str = "", since_s: int = LOOKED_AT_S
    ) -> None:
        """A series of each attempt; ``value`` is by attempt and second."""
        is_sum = name.endswith("_total")
        self._file.write(f"# TYPE {name.removesuffix('_total')} {'counter' if is_sum else 'gauge'}\n")
        times = range(self._now_s - since_s, self._now_s + 1, every_s)
        for number, labels in enumerate(self._labels):
            self._file.write("".join(f"{name}{{{labels}{more}}} {value(number, at)} {at}\n" for at in times))

    def close(self) -> None:
        """End the file."""
        self._file.write("# EOF\n")
        self._file.close()


def attempts(path: Path, count: int, now_s: int, *, one_step: bool) -> None:
    """Write what attempts told."""
    told = Told(path, count, now_s, one_step=one_step)
    told.family("stepsize_task_memory_usage_bytes", lambda number, at: 1e9 + number * 1000 + at % 50, 1)
    told.family("stepsize_task_cpu_usage", lambda number, _: 1.5 + number % 7 / 10, 1)
    source = ',stepsize_memory_source="vmhwm"'
    told.family("stepsize_task_memory_peak_bytes", lambda number, _: 1.1e9 + number * 1000, 5, more=source)
    told.family("stepsize_task_request_memory_bytes", lambda _, __: 2e9, 5)
    told.family("stepsize_task_request_cpu", lambda _, __: 2, 5)
    told.family("stepsize_task_duration_seconds", lambda _, at: at - now_s + RUN_S, 5)
    name = "stepsize_task_cpu_time_seconds_total"
    told.family(name, lambda _, at: at - now_s + RUN_S, 5, more=',cpu_mode="user"', since_s=RUN_S)
    told.close()


def recorded(path: Path, found: dict[str, tuple[int, list[dict[str, Any]]]]) -> None:
    """Write what rules recorded, as it would have been for two minutes."""
    lines = []
    for name, (at, series) in sorted(found.items()):
        lines.append(f"# TYPE {name} gauge")
        for one in series:
            labels = ",".join(f'{key}="{value}"' for key, value in one["metric"].items() if key != "__name__")
            lines += [
                f"{name}{{{labels}}} {one['value'][1]} {moment}" for moment in range(at - LOOKED_AT_S, at + 1, 15)
            ]
    path.write_text("\n".join([*lines, "# EOF", ""]))


class Asked:
    """A Prometheus over blocks that are there, and what asking costs it."""

    def __init__(self, address: str, process: psutil.Process) -> None:
        self._address = address
        self._process = process

    def ask(self, path: str, **parameters: Any) -> tuple[float, int, list[dict[str, Any]]]:
        """CPU seconds, bytes of the answer, series."""
        before = self._cpu_s()
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url) as answer:
            body = answer.read()
        return self._cpu_s() - before, len(body), json.loads(body)["data"]["result"]

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def prometheus(directory: Path) -> Iterator[Asked]:
    """One over the blocks in a directory."""
    (directory / "empty.yaml").write_text("scrape_configs: []\n")
    address = free_address()
    options = [f"--storage.tsdb.path={directory / 'data'}", f"--web.listen-address={address}"]
    command = [PROMETHEUS.path, f"--config.file={directory / 'empty.yaml'}", *options]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            while not answers(f"http://{address}/-/ready"):
                time.sleep(0.05)
            yield Asked(address, psutil.Process(process.pid))
        finally:
            process.terminate()


def load(directory: Path, file: Path) -> None:
    """Make blocks of a file."""
    command = [PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", file, directory / "data"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    file.unlink()


def rules(asked: Asked, now_s: int) -> dict[str, tuple[int, list[dict[str, Any]]]]:
    """Evaluate each group once, and say what it cost."""
    found: dict[str, tuple[int, list[dict[str, Any]]]] = {}
    print("| rules | every | CPU s | series recorded |\n| --- | --- | --- | --- |")
    for group in yaml.safe_load((SHIPPED / "rules.yaml").read_text("utf-8"))["groups"]:
        at = now_s + (LATER_S if group["interval"] == "1m" else -5)
        cpu_s = 0.0
        series = 0
        for rule in group["rules"]:
            used_s, _, result = asked.ask("query", query=rule["expr"], time=at)
            cpu_s += used_s
            if "record" in rule:
                found[rule["record"]] = at, result
                series += len(result)
        print(f"| {group['name']} | {group['interval']} | {cpu_s:.2f} | {series:,} |")
    return found


def boards(asked: Asked, now_s: int) -> None:
    """Look at each board once, and say what it cost."""
    costs: dict[str, list[float]] = {}
    for target in targets():
        cpu_s, size, series = _look(asked, target, now_s - 5)
        cost = costs.setdefault(target.board, [0, 0, 0])
        cost[:] = cost[0] + cpu_s, cost[1] + size, max(cost[2], len(series))
    print("\n| board | CPU s | kB | series of an expression, at most |\n| --- | --- | --- | --- |")
    for board, (cpu_s, size, most) in costs.items():
        print(f"| {board.rpartition('-')[2]} | {cpu_s:.2f} | {size / 1000:.0f} | {most:,.0f} |")


def _look(asked: Asked, target: Target, now_s: int) -> tuple[float, int, list[dict[str, Any]]]:
    window = Window(now_s - 900, now_s)
    expression = target.expand(window, ONE if target.board.endswith("-step") else CHOSEN)
    if target.is_instant:
        return asked.ask("query", query=expression, time=now_s)
    step_s = window.step_s(target.found.get("interval"))
    begin_s, end_s = (moment // step_s * step_s for moment in (window.begin_s, window.end_s))
    return asked.ask("query_range", query=expression, start=begin_s, end=end_s, step=step_s)


def main() -> None:
    """Measure it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attempts", type=int, default=10_000)
    parser.add_argument("--one-step", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        now_s = int(time.time())
        attempts(place / "attempts", options.attempts, now_s, one_step=options.one_step)
        load(place, place / "attempts")
        with prometheus(place) as asked:
            found = rules(asked, now_s)
        recorded(place / "recorded", found)
        load(place, place / "recorded")
        with prometheus(place) as asked:
            boards(asked, now_s)


if __name__ == "__main__":
    main()
