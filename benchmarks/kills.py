"""Kills many tasks with SIGKILL at random moments and looks what is left of them in the lake.

What comes in: how many, how many at a time, a seed. What goes out: a table in Markdown; the exit code is 1 where a task
that had registered is missing, has another outcome than ``killed``, or was last sampled more than 1.2 s before its
kill. A task is killed between 0 and 3 s after it was forked, and waited for at once, so that no zombie stays.

A task whose kill came before its registration was sent is known to nobody, whoever measures: those are counted apart.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb

MOST_AGE_S = 1.2
"""So old the last sample of a killed task may be."""

_DRIVER = """
import json, os, random, signal, sys, time
from stepsize.instrumentation import client
from stepsize.model import Identity
from stepsize.settings import Settings
count, at_a_time, seed = map(int, sys.argv[1:])
settings, rng = Settings.load(), random.Random(seed)
def live(number, registered):
    client.register(Identity("Kills", "1", "step", str(number)), settings)
    os.write(registered, b".")
    held = bytearray(4 << 20)
    while True:
        end = time.process_time() + 0.005
        while time.process_time() < end: pass
        time.sleep(0.1)
started, living, told = 0, {}, []
while started < count or living:
    while started < count and len(living) < at_a_time:
        ready, registered = os.pipe()
        pid = os.fork()
        if pid == 0: live(started, registered)
        os.close(registered)
        os.set_blocking(ready, False)
        living[pid] = started, time.monotonic() + rng.uniform(0, 3), ready
        started += 1
    pid = min(living, key=lambda each: living[each][1])
    number, due, ready = living.pop(pid)
    time.sleep(max(0.0, due - time.monotonic()))
    killed_ns = time.time_ns()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try: known = bool(os.read(ready, 1))
    except BlockingIOError: known = False
    os.close(ready)
    told.append({"task": str(number), "killed_ns": killed_ns, "registered": known})
print(json.dumps(told))
"""


@dataclass(frozen=True, slots=True)
class Killed:
    """One task: when it was killed, and what the lake holds of it.

    Attributes:
        registered: whether it had sent its registration by then.
        outcome: as the lake has it; ``None`` where it holds nothing.
        age_s: how long before the kill it was last sampled; ``None`` where it never was.
    """

    task: str
    registered: bool
    outcome: str | None
    age_s: float | None


def kill_tasks(environment: dict[str, str], data: Path, count: int, at_a_time: int, seed: int) -> list[Killed]:
    """Start and kill tasks whose agent serves ``environment``; what its lake, in ``data``, then says of each."""
    driver = [sys.executable, "-c", _DRIVER, *map(str, (count, at_a_time, seed))]
    done = subprocess.run(driver, env=environment, stdout=subprocess.PIPE, check=True)
    # Whatever was sampled is in the lake once this has answered.
    settle = [sys.executable, "-m", "stepsize", "report", "--format", "json"]
    subprocess.run(settle, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    with duckdb.connect(str(data / "stepsize.duckdb"), read_only=True) as lake:
        outcomes = dict(lake.sql("SELECT task, outcome FROM tasks WHERE flow = 'Kills'").fetchall())
        seen = "SELECT task, epoch_ns(max(time)) FROM points WHERE flow = 'Kills' AND metric = ? GROUP BY task"
        sampled = dict(lake.execute(seen, ["stepsize.task.memory.usage"]).fetchall())
    found = []
    for each in json.loads(done.stdout):
        last_ns = sampled.get(each["task"])
        age_s = None if last_ns is None else max(0.0, (each["killed_ns"] - last_ns) / 1e9)
        found.append(Killed(each["task"], each["registered"], outcomes.get(each["task"]), age_s))
    return found


def wrong(killed: list[Killed]) -> list[Killed]:
    """Those that had registered and of whom the lake does not say what it should."""
    return [
        each
        for each in killed
        if each.registered and (each.outcome != "killed" or (each.age_s is not None and each.age_s > MOST_AGE_S))
    ]


def main() -> int:
    """Kill them and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--at-a-time", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ss-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        kept = {key: text for key, text in os.environ.items() if not key.startswith(("OTEL_", "STEPSIZE"))}
        environment = {
            **kept,
            "HOME": name,
            "STEPSIZE_DATA": str(directory / "lake"),
            "STEPSIZE_RUNTIME": str(directory / "run"),
            "STEPSIZE_AGENT_IDLE": "5",
        }
        begun_s = time.monotonic()
        killed = kill_tasks(environment, directory / "lake", options.count, options.at_a_time, options.seed)
        took_s = time.monotonic() - begun_s
    print(_table(killed, options.at_a_time, took_s))
    return 1 if wrong(killed) else 0


def _table(killed: list[Killed], at_a_time: int, took_s: float) -> str:
    known = [each for each in killed if each.registered]
    ages = sorted(each.age_s for each in known if each.age_s is not None)
    outcomes = {outcome: sum(each.outcome == outcome for each in known) for outcome in {e.outcome for e in known}}
    shares = {share: ages[min(len(ages) - 1, int(share * len(ages)))] for share in (0.9, 0.99)}
    rows = [
        ("tasks killed", f"{len(killed)}, {at_a_time} at a time, in {took_s:.0f} s"),
        ("killed before their registration was sent: known to nobody", str(len(killed) - len(known))),
        ("of these in the lake all the same", str(sum(e.outcome is not None for e in killed if not e.registered))),
        ("registered", str(len(known))),
        *((f"of these with outcome {outcome or 'none: missing'}", str(n)) for outcome, n in outcomes.items()),
        ("killed before the agent could look at them even once", str(len(known) - len(ages))),
        ("last sample before the kill: median", f"{statistics.median(ages):.3f} s"),
        *(
            (f"last sample before the kill: {share:.0%}", f"{age:.3f} s")
            for share, age in shares.items()
            if share > 0.5
        ),
        ("last sample before the kill: longest", f"{ages[-1]:.3f} s"),
        (f"last sampled more than {MOST_AGE_S} s before the kill", str(sum(age > MOST_AGE_S for age in ages))),
    ]
    machine = f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    today = dt.datetime.now(tz=dt.timezone.utc).date()
    lines = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"{today}, {machine}\n\n| SIGKILL at a random moment | |\n| --- | --- |\n{lines}"


if __name__ == "__main__":
    sys.exit(main())
