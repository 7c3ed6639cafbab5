"""What the tests of the programs' interface stand on: an environment of their own, agents that end with the test."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stepsize.settings import Settings
from tests.instrumentation.conftest import TIMEOUT_S, receiver, stop_agent
from tests.instrumentation.receiver import Receiver
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Program:
    """The environment that this process tracks in, as a program of a user's would."""

    directory: Path
    receiver: Receiver

    def settings(self) -> Settings:
        return Settings.load()

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, **more}


@pytest.fixture
def program(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """Points go to the test's receiver, samples come five times a second."""
    for name in [name for name in os.environ if name.startswith(("OTEL_", "STEPSIZE"))]:
        monkeypatch.delenv(name)
    with short_directory() as runtime:
        values = {
            "HOME": str(tmp_path),
            "STEPSIZE_DATA": str(tmp_path / "lake"),
            "STEPSIZE_RUNTIME": str(runtime),
            "STEPSIZE_INTERVAL": "0.2",
            "STEPSIZE_EXPORT_INTERVAL": "0.4",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        settings = Settings.load()
        try:
            yield Program(tmp_path, receiver)
        finally:
            stop_agent(settings)


def work(seconds: float) -> None:
    """Keep one core busy for so much CPU time."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        sum(range(1000))


def column(table: Any, name: str) -> list[Any]:
    """The values of a column that could be read."""
    return [value for value in table[name].to_pylist() if value is not None]


__all__ = ["TIMEOUT_S", "Program", "column", "program", "receiver", "work"]
