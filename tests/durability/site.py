"""A collector that is to be killed: started again and again in one place, its lines kept in a file."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.collector import control
from stepsize.settings import Settings
from stepsize.store.lake import Lake
from tests.collector.running import CONFIG, DEADLINE_S, Place, RunningCollector, wait_for
from tests.durability import faults

if TYPE_CHECKING:
    from tests.durability.faults import Clock, Rule

_SERVES = re.compile(r"; (no lake|lake in)")
"""What a collector says once it serves."""


@dataclass
class Site(Place):
    """A place whose collectors meet faults, each in a process group of its own; `home` is the disk that fails.

    Attributes:
        library: the faults' library; None where there are none.
        rules: what goes wrong, from the next start on.
        clock: what its processes believe.
        config: the collector's configuration.
        data: the lake's directory, where it is another than the place's.
        state: the log's directory, likewise.
    """

    library: Path | None = None
    rules: list[Rule] = field(default_factory=list)
    clock: Clock | None = None
    config: str = CONFIG
    data: Path | None = None
    state: Path | None = None

    @property
    def settings(self) -> Settings:
        """Where its collectors work."""
        settings = Settings.load({}, data=self.data or self.home / "lake", runtime=self.runtime)
        return settings._replace(state=self.state) if self.state else settings

    @property
    def lake(self) -> Lake:
        """The lake that they write."""
        return Lake(self.settings.data)

    @property
    def log(self) -> Path:
        """What its collectors said."""
        return self.home.parent / "collector.log"

    def said(self) -> str:
        """What its collectors said so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def rule(self, operation: str, pattern: str, action: str, *, nth: str = "*", lasting: bool = False) -> Rule:
        """A rule that acts once it is armed."""
        token = self.home.parent / f"armed-{len(self.rules)}"
        made = faults.Rule(operation, pattern, action, token, nth, lasting)
        self.rules.append(made)
        return made

    def launch(self) -> subprocess.Popen[bytes]:
        """Start a collector and wait for nothing."""
        file = self.home.parent / "config.yaml"
        file.write_text(self.config)
        more = faults.environment(self.library, self.home, self.rules, self.clock) if self.library else {}
        if self.state:
            more["STEPSIZE_STATE"] = str(self.state)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "stepsize", "collect", "--config", str(file), "--data", str(self.settings.data)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(**more),
                cwd=self.home,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def try_collect(self) -> RunningCollector | None:
        """A collector, once it serves; None where it ended before."""
        before = len(self.said())
        process = self.launch()

        def line() -> str | None:
            lines = [one for one in self.said()[before:].splitlines(keepends=True) if one.endswith("\n")]
            serving = next((one for one in lines if _SERVES.search(one)), None)
            return serving or ("" if process.poll() is None else "ended")

        found = wait_for(line, "a collector that serves")
        return RunningCollector(self, process, found) if _SERVES.search(found) else None

    def collect(self, config: str = "") -> RunningCollector:
        """A collector, once it serves; one that ends before is started again."""
        self.config = config or self.config
        for _ in range(4):
            if (collector := self.try_collect()) is not None:
                return collector
        raise AssertionError(f"no collector stays: {self.said()}")

    def flush(self) -> None:
        """Have everything acknowledged made visible, however often the sink starts again meanwhile."""
        wait_for(lambda: control.flush(self.settings, DEADLINE_S) is control.Answer.DONE, "a flush")

    def close(self) -> None:
        """End what was started, groups and all."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        super().close()
