"""Tasks on a host whose `libnvidia-ml.so.1` is ours: a real shared library, loaded by the real pynvml."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stepsize.settings import Settings
from tests.instrumentation.conftest import Place
from tests.instrumentation.receiver import TIMEOUT_S, Receiver

_SOURCE = Path(__file__).with_name("fake_nvml.c")
GIB = 1 << 30


@dataclass
class FakeNvml:
    """A library and what it answers, which may change while it is loaded."""

    library: Path
    answers: Path

    def say(self, *lines: str) -> None:
        """Answer this from now on."""
        new = self.answers.with_suffix(".new")
        new.write_text("\n".join(lines) + "\n")
        new.replace(self.answers)

    def environment(self) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": str(self.library.parent), "FAKE_NVML": str(self.answers)}


def line(word: str, **values: Any) -> str:
    """A line of the answers."""
    return " ".join([word, *(f"{key}={value}" for key, value in values.items())])


def device(number: int = 0, **values: Any) -> str:
    """A device of 16 GiB."""
    usual = {"uuid": f"GPU-{number}{number}", "name": "Fake-16", "minor": number, "total": 16 * GIB}
    return line("device", **{**usual, **values})


def process(pid: int, **values: Any) -> str:
    return line("process", pid=pid, **values)


def build(directory: Path, *flags: str) -> Path:
    """Compile the library."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: the library of the tests cannot be built")
    library = directory / "libnvidia-ml.so.1"
    subprocess.run([compiler, *flags, "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE)], check=True)
    return library


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def nvml(library: Path, tmp_path: Path) -> FakeNvml:
    return FakeNvml(library, tmp_path / "nvml.txt")


@dataclass
class Host:
    """A host with fake GPUs on which tasks run until they are told to end."""

    place: Place
    settings: Settings
    receiver: Receiver
    nvml: FakeNvml
    started: list[subprocess.Popen]

    def start(self, name: str = "gpu", body: str = "sys.stdin.read()", **options: Any) -> subprocess.Popen:
        """A task that is registered and waits, unless ``body`` says otherwise."""
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": {}, **options}
        options["env"] = {**self.nvml.environment(), **options["env"]}
        task = self.place.start(self.settings, name, body, **options)
        self.started.append(task)
        return task

    def end(self, task: subprocess.Popen) -> None:
        task.communicate(timeout=TIMEOUT_S)

    def see(self, metric: str, task: str | None = "gpu", since: int = 0, **attributes: Any) -> Any:
        """The first point of a metric after a moment, waited for."""

        def points() -> list[Any]:
            return [p for p in self.receiver.of(metric, task, **attributes) if p.time_unix_nano > since]

        return self.receiver.wait(points)[0]

    def value(self, metric: str, wanted: float, task: str | None = "gpu", **attributes: Any) -> Any:
        """A point of a metric with this value, waited for."""

        def points() -> list[Any]:
            found = self.receiver.of(metric, task, **attributes)
            return [p for p in found if p.value == pytest.approx(wanted)]

        return self.receiver.wait(points)[0]


@pytest.fixture
def host(place: Place, settings: Settings, receiver: Receiver, nvml: FakeNvml) -> Iterator[Host]:
    found = Host(place, settings, receiver, nvml, [])
    try:
        yield found
    finally:
        for task in found.started:
            if task.poll() is None:
                task.kill()
            task.communicate()
        assert os.environ.get("FAKE_NVML") is None
