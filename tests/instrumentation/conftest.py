"""What the instrumentation's tests stand on: settings in a place of their own, tasks as processes, agents that end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stepsize.errors import StepsizeError
from stepsize.instrumentation import client, wire
from stepsize.instrumentation.spawn import AGENT_MODULE
from stepsize.settings import Settings
from tests.instrumentation.receiver import TIMEOUT_S, Receiver, http_receiver
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HEADER = """
import os, signal, subprocess, sys, time
from stepsize.instrumentation import client
from stepsize.model import Identity, Outcome
from stepsize.settings import Settings
settings = Settings.load()
task = client.register(Identity("Flow", "1", "step", {name!r}), settings)
"""
_FOOTER = """
task.end(Outcome.OK, 0)
"""


@dataclass
class Place:
    """A home, a data directory and a runtime directory of a test's own, and the agents that were started there."""

    home: Path
    runtime: Path
    used: list[Settings] = field(default_factory=list)
    root: Path = Path(__file__).parents[2]

    def settings(self, **arguments: Any) -> Settings:
        """Settings of this place, quick enough for a test; the agents that serve them are ended with the test."""
        quick = {"interval_s": 0.2, "export_interval_s": 0.4, "agent_idle_s": 30.0, **arguments}
        settings = Settings.load({}, data=self.home / "data", runtime=self.runtime, **quick)
        self.used.append(settings)
        return settings

    def environment(self, settings: Settings, **more: str) -> dict[str, str]:
        clean = {name: text for name, text in os.environ.items() if not name.startswith(("OTEL_", "STEPSIZE"))}
        return settings.environment(clean) | {"HOME": str(self.home)} | more

    def start(
        self, settings: Settings, name: str, body: str, *, end: bool = True, through: tuple[str, ...] = (), **popen: Any
    ) -> subprocess.Popen:
        """Start a task: a process that registers itself, does ``body`` and says that it is well."""
        script = self.home / f"task-{abs(hash((name, body)))}.py"
        script.write_text(_HEADER.format(name=name) + textwrap.dedent(body) + (_FOOTER if end else ""))
        environment = self.environment(settings, **popen.pop("env", {}))
        return subprocess.Popen([*through, sys.executable, str(script)], env=environment, **popen)

    def run(self, settings: Settings, name: str, body: str, **options: Any) -> subprocess.CompletedProcess:
        """As `start`, to its end; returns its exit code and everything it printed."""
        process = self.start(settings, name, body, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
        output, _ = process.communicate(timeout=TIMEOUT_S)
        return subprocess.CompletedProcess(process.args, process.returncode, output)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name in [name for name in os.environ if name.startswith(("OTEL_", "STEPSIZE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    with short_directory() as runtime:
        found = Place(tmp_path, runtime)
        try:
            yield found
        finally:
            for settings in found.used:  # at once: one with points that nobody takes would first try for two seconds
                stop_agent(settings)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as served:
        yield served


@pytest.fixture
def settings(place: Place, receiver: Receiver) -> Settings:
    """Settings whose endpoint is the test's receiver."""
    return place.settings(endpoint=receiver.endpoint)


def wait_until(condition: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> Any:
    """The condition's value once it is true; looked at again and again, since another process makes it so."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.005)


def status(settings: Settings) -> wire.AgentStatus | None:
    """How the agent is, or ``None`` where there is none."""
    try:
        answer = client.ask(settings, wire.Status(), 5.0)
    except (OSError, StepsizeError):
        return None
    return answer if isinstance(answer, wire.AgentStatus) else None


def is_running(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in b"ZX"
    return False


def waiter_of(agent: int) -> list[int]:
    """The shell that starts an agent again when it crashes."""
    with contextlib.suppress(OSError):
        parent = int(Path(f"/proc/{agent}/stat").read_bytes().rpartition(b")")[2].split()[1])
        if AGENT_MODULE.encode() in Path(f"/proc/{parent}/cmdline").read_bytes():
            return [parent]
    return []


def end_agent(settings: Settings) -> None:
    """Ask the agent of these settings to end once its tasks are over: what it cannot send it leaves on disk."""
    agent = wait_until(lambda: (found := status(settings)) and found.tasks == 0 and found)
    os.kill(agent.pid, signal.SIGTERM)
    wait_until(lambda: not is_running(agent.pid))


def stop_agent(settings: Settings) -> None:
    """End the agent that serves these settings, by its pid."""
    with contextlib.suppress(StepsizeError):
        found = status(settings._replace(sdk_disabled=False))
        if found is not None:
            with contextlib.suppress(ProcessLookupError):
                for pid in (*waiter_of(found.pid), found.pid):  # else it would be started again
                    os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not is_running(found.pid))
