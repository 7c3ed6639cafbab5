"""What a card costs: ``python benchmarks/card_cost.py [--rounds 5] [--seconds 60]`` (``make bench-card``).

Two sides, apart. The task: wall and CPU time of ordering a card, the shell between task and writer included. The
writer: CPU time of a card of an attempt that lasts a second, and what one that lasts a minute more adds. Beside them
Metaflow's own ``@card`` of an empty page, in flows of one step that alternate: none, tracked, tracked with our card,
with Metaflow's. Prints Markdown. Local datastore, loopback only.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environment import clean_environment
from stepsize.card.order import Order
from stepsize.card.start import CardWriter
from stepsize.instrumentation.client import register
from stepsize.model import Identity, Outcome
from stepsize.settings import Settings

FLOW = """
from metaflow import FlowSpec, card, step
class CostFlow(FlowSpec):
    {decorator}
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        pass
if __name__ == "__main__":
    CostFlow()
"""
VARIANTS = {
    "untracked": ("", {}),
    "tracked": ("", {"STEPSIZE": "1"}),
    "tracked, our card": ("", {"STEPSIZE": "1", "STEPSIZE_CARD": "1"}),
    "Metaflow's empty card": ('@card(type="blank")', {}),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ss-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        _become(directory)
        os.chdir(directory)
        (directory / ".metaflow").mkdir()
        print(f"{os.cpu_count()} CPUs, Python {platform.python_version()}, {platform.platform()}\n")
        _task(options.rounds)
        _writer(options.rounds, options.seconds)
        _flows(directory, options.rounds)


def _become(directory: Path) -> None:
    """Take this environment on: tasks are registered from here, too."""
    of_metaflow = {"METAFLOW_HOME": str(directory / "metaflow"), "METAFLOW_USER": "bench"}
    variables = clean_environment(directory, 15, "METAFLOW_") | of_metaflow
    os.environ.clear()
    os.environ.update(variables)


def _order(number: int, settings: Settings) -> Order:
    return Order(
        identity=Identity("CostFlow", str(number), "start", "1"),
        pid=os.getpid(),
        started_s=time.time(),
        interval_s=settings.interval_s,
        refresh_s=settings.card_refresh_s,
        datastore="local",
        metadata="none@",
        directory=str(Path.cwd()),
    )


def _task(rounds: int) -> None:
    settings = Settings.load()
    walls, cpus = [], []
    for number in range(rounds):
        began, used = time.perf_counter(), _used_s()
        writer = CardWriter(_order(number, settings), settings, waited_for=True)
        walls.append(time.perf_counter() - began)
        cpus.append(_used_s() - used)
        register(_order(number, settings).identity, settings).end(Outcome.OK)
        writer.wait(30)
    print(f"Ordering a card, the task's own: {_ms(walls)} wall, {_ms(cpus)} CPU.\n")


def _writer(rounds: int, seconds: float) -> None:
    settings = Settings.load()
    short = [_written(1000 + number, settings, 1.0) for number in range(rounds)]
    long = _written(2000, settings, 1.0 + seconds)
    share = (long - statistics.median(short)) / seconds
    print(f"The writer: {_ms(short)} CPU for an attempt of 1 s; then {share:.2%} of a core over {seconds:g} s more.\n")


def _written(number: int, settings: Settings, seconds: float) -> float:
    """CPU seconds of the writer of an attempt that lasts so long."""
    order = _order(number, settings)
    registration = register(order.identity, settings)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    writer = subprocess.Popen([sys.executable, "-m", "stepsize.card", order.dumps()])
    time.sleep(seconds)
    registration.end(Outcome.OK)
    assert writer.wait(30) == 0
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def _flows(directory: Path, rounds: int) -> None:
    found: dict[str, list[tuple[float, float]]] = {variant: [] for variant in VARIANTS}
    for variant, (decorator, _) in VARIANTS.items():
        (directory / f"{list(VARIANTS).index(variant)}.py").write_text(FLOW.format(decorator=decorator))
    for _ in range(rounds):
        for number, (variant, (_, said)) in enumerate(VARIANTS.items()):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.perf_counter()
            command = [sys.executable, f"{number}.py", "--no-pylint", "run"]
            subprocess.run(command, env={**os.environ, **said}, check=True, stdout=subprocess.DEVNULL)
            wall = time.perf_counter() - began
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            found[variant].append((wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    print("| flow of two empty steps | wall | CPU of launcher and tasks |\n| --- | --- | --- |")
    for variant, rows in found.items():
        print(f"| {variant} | {_ms([row[0] for row in rows])} | {_ms([row[1] for row in rows])} |")


def _used_s() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _ms(values: list[float]) -> str:
    """Median, and the range."""
    return (
        f"{1000 * statistics.median(values):.1f} ms ({1000 * min(values):.1f} to {1000 * max(values):.1f})"
        if values
        else "-"
    )


if __name__ == "__main__":
    main()
