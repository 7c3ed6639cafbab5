"""Kills many tasks with SIGKILL at random moments and looks what is left of them in the lake.

What comes in: how many, how many at a time, a seed. What goes out: a table in Markdown; the exit code is 1 where a task
that had registered is missing, has another outcome than ``killed``, or was not looked at for the last 1.2 s before its
kill: neither sampled nor registered since. A task is killed between 0 and 3 s after it was forked, and waited for at
once, so that no zombie stays.

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

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environment import clean_environment, settle

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
    os.write(registered, time.time_ns().to_bytes(8, "little"))
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
    try: registered_ns = int.from_bytes(os.read(ready, 8), "little")
    except BlockingIOError: registered_ns = 0
    os.close(ready)
    told.append({"task": str(number), "killed_ns": killed_ns, "registered_ns": registered_ns})
print(json.dumps(told))
"""


@dataclass(frozen=True, slots=True)
class Killed:
    """One task: when it was killed, and what the lake holds of it.

    Attributes:
        lived_s: how long it lived after it had sent its registration; ``None`` where it had not by then.
        outcome: as the lake has it; ``None`` where it holds nothing.
        age_s: how long before the kill it was last sampled; ``None`` where it never was.
    """

    task: str
    lived_s: float | None
    outcome: str | None
    age_s: float | None

    @property
    def registered(self) -> bool:
        """Whether it had sent its registration before the kill."""
        return self.lived_s is not None

    @property
    def unseen_s(self) -> float:
        """How long before the kill nobody looked at it: since its last sample, or since it had registered."""
        return (self.lived_s or 0.0) if self.age_s is None else self.age_s


def kill_tasks(environment: dict[str, str], data: Path, count: int, at_a_time: int, seed: int) -> list[Killed]:
    """Start and kill tasks whose agent serves ``environment``; what its lake, in ``data``, then says of each."""
    driver = [sys.executable, "-c", _DRIVER, *map(str, (count, at_a_time, seed))]
    done = subprocess.run(driver, env=environment, stdout=subprocess.PIPE, check=True)
    settle(environment)
    with duckdb.connect(str(data / "stepsize.duckdb"), read_only=True) as lake:
        outcomes = dict(lake.sql("SELECT task, outcome FROM tasks WHERE flow = 'Kills'").fetchall())
        seen = "SELECT task, epoch_ns(max(time)) FROM points WHERE flow = 'Kills' AND metric = ? GROUP BY task"
        sampled = dict(lake.execute(seen, ["stepsize.task.memory.usage"]).fetchall())
    found = []
    for each in json.loads(done.stdout):
        lived_s = _before(each["killed_ns"], each["registered_ns"] or None)
        age_s = _before(each["killed_ns"], sampled.get(each["task"]))
        found.append(Killed(each["task"], lived_s, outcomes.get(each["task"]), age_s))
    return found


def _before(killed_ns: int, moment_ns: int | None) -> float | None:
    return None if moment_ns is None else max(0.0, (killed_ns - moment_ns) / 1e9)


def wrong(killed: list[Killed]) -> list[Killed]:
    """Those that had registered and of whom the lake does not say what it should."""
    known = [each for each in killed if each.registered]
    return [each for each in known if each.outcome != "killed" or each.unseen_s > MOST_AGE_S]


def main() -> int:
    """Kill them and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--at-a-time", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ss-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        environment = clean_environment(directory, 5)
        begun_s = time.monotonic()
        killed = kill_tasks(environment, directory / "lake", options.count, options.at_a_time, options.seed)
        took_s = time.monotonic() - begun_s
    print(_table(killed, options.at_a_time, took_s))
    return 1 if wrong(killed) else 0


def _table(killed: list[Killed], at_a_time: int, took_s: float) -> str:
    known = [each for each in killed if each.registered]
    unsampled = [each.unseen_s for each in known if each.age_s is None]
    ages = sorted(each.age_s for each in known if each.age_s is not None)
    outcomes = {outcome: sum(each.outcome == outcome for each in known) for outcome in {e.outcome for e in known}}
    shares = {share: ages[min(len(ages) - 1, int(share * len(ages)))] for share in (0.9, 0.99)}
    rows = [
        ("tasks killed", f"{len(killed)}, {at_a_time} at a time, in {took_s:.0f} s"),
        ("killed before their registration was sent: known to nobody", str(len(killed) - len(known))),
        ("of these in the lake all the same", str(sum(e.outcome is not None for e in killed if not e.registered))),
        ("registered", str(len(known))),
        *((f"of these with outcome {outcome or 'none: missing'}", str(n)) for outcome, n in outcomes.items()),
        ("registered and never sampled", str(len(unsampled))),
        (
            f"of these killed more than {MOST_AGE_S} s after they had registered",
            str(sum(age > MOST_AGE_S for age in unsampled)),
        ),
        ("last sample before the kill: median", f"{statistics.median(ages):.3f} s"),
        *((f"last sample before the kill: {share:.0%}", f"{age:.3f} s") for share, age in shares.items()),
        ("last sample before the kill: longest", f"{ages[-1]:.3f} s"),
        (f"last sampled more than {MOST_AGE_S} s before the kill", str(sum(age > MOST_AGE_S for age in ages))),
    ]
    machine = f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    today = dt.datetime.now(tz=dt.timezone.utc).date()
    lines = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"{today}, {machine}\n\n| SIGKILL at a random moment | |\n| --- | --- |\n{lines}"


if __name__ == "__main__":
    sys.exit(main())
