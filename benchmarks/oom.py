"""Ends tasks by the kernel's OOM killer and by SIGKILL, in real memory cgroups, and looks what the lake says of each.

What comes in: how often. What goes out: a table in Markdown; the exit code is 1 where one task has an outcome that is
not its own. Every task runs with its launcher in a control group of its own, of 96 MiB without swap, as in a container;
the agent is outside. Where no such group can be made it says so. A task that is killed before the agent has looked at
it once, some 20 ms after it was executed, is not among them: that it was for memory is known to nobody by then.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environment import clean_environment, settle
from benchmarks.truth.groups import TruthGroup, truth_group

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT_BYTES = 96 << 20
_EATER = "hold = []\nwhile True: hold.append(bytearray(4 << 20))"
_CHILD = f"import subprocess, sys\nsubprocess.run([sys.executable, '-I', '-S', '-c', {_EATER!r}])\n"


@dataclass(frozen=True, slots=True)
class Case:
    """One way to end, and what the lake should say of it.

    Attributes:
        name: a few words.
        code: what the task does.
        outcome: `stepsize.model.Outcome`, as text.
        kills: whether the kernel killed in the group.
    """

    name: str
    code: str
    outcome: str
    kills: bool


CASES = (
    Case("the kernel kills the task for memory", f"import time; time.sleep(1.5)\n{_EATER}", "oom", kills=True),
    Case("the same in its first half second", f"import time; time.sleep(0.2)\n{_EATER}", "oom", kills=True),
    Case(
        "SIGKILL by hand, just below the limit",
        "import os, time\nheld = bytearray(60 << 20); time.sleep(0.5); os.kill(os.getpid(), 9)",
        "killed",
        kills=False,
    ),
    Case("the kernel kills a child, the task goes on", f"{_CHILD}import time; time.sleep(0.5)", "ok", kills=True),
    Case("the kernel kills a child, the task fails of it", f"{_CHILD}sys.exit(3)", "failed", kills=True),
    Case(
        "the kernel kills a child, SIGKILL by hand later",
        f"{_CHILD}import os, time; time.sleep(2.5); os.kill(os.getpid(), 9)",
        "killed",
        kills=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Told:
    """What the lake says of one task."""

    case: Case
    outcome: str | None
    oom_kills: int | None
    limit_bytes: int | None

    @property
    def is_right(self) -> bool:
        """Whether that is what happened."""
        counted = self.oom_kills is not None and (self.oom_kills > 0) is self.case.kills
        return self.outcome == self.case.outcome and counted and self.limit_bytes == LIMIT_BYTES


def end_tasks(environment: dict[str, str], data: Path, cases: Sequence[Case]) -> list[Told]:
    """Run the cases one after the other; what the lake of ``environment``, in ``data``, then says.

    Raises:
        OSError: this machine does not let us make a memory cgroup.
    """
    _run(environment, "warm", ["true"])  # starts the agent, which stays outside of the groups
    for number, case in enumerate(cases):
        with truth_group(f"docker-oom-{os.getpid()}-{number}") as group:
            _limit(group)
            _run(environment, str(number), [sys.executable, "-I", "-S", "-c", case.code], group.enter())
    settle(environment)
    sql = "SELECT step, outcome, oom_kills, memory_limit_bytes FROM tasks WHERE flow = 'Oom'"
    with duckdb.connect(str(data / "stepsize.duckdb"), read_only=True) as lake:
        rows = {row[0]: row[1:] for row in lake.sql(sql).fetchall()}
    return [Told(case, *rows.get(str(number), (None, None, None))) for number, case in enumerate(cases)]


def _limit(group: TruthGroup) -> None:
    one = (group.memory / "memory.limit_in_bytes").exists()
    (group.memory / ("memory.limit_in_bytes" if one else "memory.max")).write_text(str(LIMIT_BYTES))
    swap = group.memory / ("memory.memsw.limit_in_bytes" if one else "memory.swap.max")
    if swap.exists():
        swap.write_text(str(LIMIT_BYTES if one else 0))


def _run(environment: dict[str, str], task: str, command: list[str], through: tuple[str, ...] = ()) -> None:
    identity = ["--flow", "Oom", "--run", "1", "--step", task]
    command = [*through, sys.executable, "-m", "stepsize", "run", *identity, "--", *command]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def main() -> int:
    """Run them and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="ss-", ignore_cleanup_errors=True) as name:
        try:
            told = end_tasks(clean_environment(Path(name), 5), Path(name, "lake"), CASES * rounds)
        except OSError as error:
            print(f"no memory cgroup can be made here: {error}")
            return 2
    machine = f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    print(f"{dt.datetime.now(tz=dt.timezone.utc).date()}, {machine}, {rounds} rounds\n")
    print("| what ended the task | outcome | told so | kills for memory counted | right |")
    print("| --- | --- | --- | --- | --- |")
    for case in CASES:
        of_case = [each for each in told if each.case is case]
        said = ", ".join(sorted({str(each.outcome) for each in of_case}))
        kills = ", ".join(sorted({str(each.oom_kills) for each in of_case}))
        right = sum(each.is_right for each in of_case)
        print(f"| {case.name} | {case.outcome} | {said} | {kills} | {right} of {len(of_case)} |")
    return 0 if all(each.is_right for each in told) else 1


if __name__ == "__main__":
    sys.exit(main())
