"""docker-compose.yml as a test starts it: services as processes on the loopback, with their own commands and files."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.collector.running import Place, wait_for
from tests.interop.processes import Addresses, free_address

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("collector", "sql", "nightly")
"""Services of our own image."""
CLOSED = """
for one in $WRITABLE; do mount --bind "$one" "$one"; done
unset WRITABLE
mount -o remount,ro,bind /
exec "$@"
"""
"""A file system that is read-only but for some directories, as a container's is."""
INTERPOLATED = re.compile(r"\$\{(\w+):-([^}]*)\}")


@functools.cache
def can_close() -> bool:
    """Whether this system lets the test have mounts of its own."""
    tried = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", "mount -o remount,ro,bind /"]
    return (
        shutil.which("unshare") is not None and subprocess.run(tried, capture_output=True, check=False).returncode == 0
    )


def resolved(text: str) -> str:
    """With the defaults of its variables."""
    return INTERPOLATED.sub(lambda found: found[2], text)


@dataclass
class Stack:
    """Services as processes of a test's own place; what a container has at a path lies below `home` here."""

    place: Place
    addresses: Addresses = field(default_factory=Addresses)
    health: str = field(default_factory=free_address)
    sql: str = field(default_factory=free_address)

    def __post_init__(self) -> None:
        for name in ("secrets", "etc", "tmp", "scratch", "bin"):
            (self.place.home / name).mkdir(mode=0o700)
        for name, config in COMPOSE["configs"].items():
            text = self._here((ROOT / config["file"]).read_text("utf-8"))
            text = text.replace(
                "interval: 15000", "interval: 500"
            )  # so that nobody waits for the collector's own metrics
            (self.place.home / "etc" / name).write_text(text)
        self._program("stepsize", f'exec {shlex.quote(sys.executable)} -m stepsize "$@"')
        # `docker run … stepsize:0.1.0 ARGUMENTS`, as the script that makes the secrets calls it
        self._program("docker", 'while [ "$1" != stepsize:0.1.0 ]; do shift; done; shift; exec stepsize "$@"')

    @property
    def secrets(self) -> Path:
        return self.place.home / "secrets"

    def make_secrets(self) -> str:
        """Run the script; what it says."""
        script = ["sh", ROOT / "deploy/compose/secrets.sh"]
        variables = self.variables("collector", STEPSIZE_SECRETS=str(self.secrets))
        done = subprocess.run(script, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def variables(self, service: str, **more: str) -> dict[str, str]:
        """What its container's environment says, with what the image says."""
        said = {name: resolved(str(text)) for name, text in SERVICES[service].get("environment", {}).items() if text}
        image = {"STEPSIZE_DATA": str(self.place.settings.data), "STEPSIZE_RUNTIME": str(self.place.home / "tmp/run")}
        image["TMPDIR"] = str(self.place.home / "tmp")
        path = f"{self.place.home / 'bin'}:{os.environ['PATH']}"
        here = {name: self._here(text) for name, text in said.items()}
        return {**self.place.environment(), **image, **here, "PATH": path, **more}

    def start(self, service: str, **more: str) -> subprocess.Popen[bytes]:
        """Its process, which ends with the place; where that can be, it writes to its volumes alone."""
        described = SERVICES[service]
        command = [*described.get("entrypoint", ["stepsize"]), *described["command"]]
        words = [self._mapped(one, service) for one in command]
        closed = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", CLOSED, "sh"] if can_close() else []
        writable = " ".join(map(str, self._writable(service)))
        with (self.place.home / f"{service}.log").open("ab") as log:
            process = subprocess.Popen(
                [*closed, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.variables(service, WRITABLE=writable, **more),
                cwd=self.place.home,
            )
        self.place.processes.append(process)
        return process

    def is_healthy(self, service: str) -> bool:
        """What its own health check says."""
        kind, *command = SERVICES[service]["healthcheck"]["test"]
        assert kind == "CMD"
        mapped = [self._mapped(one, service) for one in command]
        done = subprocess.run(mapped, env=self.variables(service), capture_output=True, check=False, timeout=20)
        return done.returncode == 0

    def until_healthy(self, service: str, process: subprocess.Popen[bytes]) -> None:
        def settled() -> bool:  # it is asked once it has said something: to ask costs the other processes' time
            return process.poll() is not None or (self.said(service) != "" and self.is_healthy(service))

        wait_for(settled, f"{service} is healthy")
        assert process.poll() is None, self.said(service)

    def said(self, service: str) -> str:
        return (self.place.home / f"{service}.log").read_text(errors="replace")

    def _writable(self, service: str) -> list[Path]:
        """What it may write to: volumes that are not read-only, and memory."""
        lake, home = self.place.settings.data, self.place.home
        lake.mkdir(mode=0o700, exist_ok=True)
        there = {"/data": lake, "/run/stepsize": self.place.runtime, "/scratch": home / "scratch", "/tmp": home / "tmp"}
        mounts = [one.split(":") for one in SERVICES[service].get("volumes", ())]
        targets = [target for _, target, *how in mounts if how != ["ro"]]
        targets += [one.partition(":")[0] for one in SERVICES[service].get("tmpfs", ())]
        return [there[target] for target in targets]

    def _mapped(self, text: str, service: str) -> str:
        """A word of a command with the paths that it has here."""
        for mount in SERVICES[service].get("configs", ()):
            text = text.replace(mount["target"], str(self.place.home / "etc" / mount["source"]))
        if text == "python":
            return sys.executable
        return self._here(text)

    def _here(self, text: str) -> str:
        _, _, grpc = self.addresses.grpc.rpartition(":")
        _, _, http = self.addresses.http.rpartition(":")
        _, _, health = self.health.rpartition(":")
        _, _, sql = self.sql.rpartition(":")
        there = {
            "/run/secrets": str(self.secrets),
            "/run/stepsize": str(self.place.runtime),
            "/scratch": str(self.place.home / "scratch"),
            "/tmp/well": str(self.place.home / "tmp/well"),
            "$$": "$",
            "0.0.0.0": "127.0.0.1",
            "4317": grpc,
            "4318": http,
            "13133": health,
            "5433": sql,
        }
        return re.sub("|".join(map(re.escape, there)), lambda found: there[found[0]], text)

    def _program(self, name: str, body: str) -> None:
        (self.place.home / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.place.home / "bin" / name).chmod(0o755)


def end(process: subprocess.Popen[bytes], within_s: float = 30) -> int:
    """As `docker compose stop` does."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    return process.wait(within_s)
