"""The programs of other people that these tests run: what each needs, how it is built, where it lies then.

What comes in: files of this folder that pin a peer's version and checksums. What goes out: programs below `.peers/`,
and why one is not there. ``python tests/interop/peers.py`` builds those whose toolchain is here, says a line of each,
and is the only part that downloads (`make test-peers`); tests only look. A peer is built again when its files have
changed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1] / ".peers"
_ROTEL_PYTHONS = ((3, 10), (3, 11), (3, 12), (3, 13))


@dataclass(frozen=True)
class Peer:
    """One program.

    Attributes:
        name: with its version, as it is shown.
        made: what is there once it is built, below `.peers/`.
        sources: the files that say what it is made of, below this folder.
        obstacle: why it cannot be built here, or "".
        build: builds it below `.peers/`.
    """

    name: str
    made: str
    sources: tuple[str, ...]
    obstacle: Callable[[], str]
    build: Callable[[Path], None]

    @property
    def path(self) -> Path:
        """Where it lies."""
        return ROOT / self.made

    @property
    def folder(self) -> str:
        """Its folder below `.peers/`."""
        return self.made.partition("/")[0]

    @property
    def _stamp(self) -> Path:
        return ROOT / f"{self.folder}.built"

    def is_built(self) -> bool:
        """Whether what lies there was made of the files as they are now."""
        return self.path.exists() and self._stamp.exists() and self._stamp.read_text("ascii") == self._digest()

    def make(self) -> None:
        """Build it.

        Raises:
            subprocess.CalledProcessError: it cannot be built, for instance because nothing can be downloaded.
        """
        self._stamp.unlink(missing_ok=True)
        self.build(self.path)
        self._stamp.write_text(self._digest(), "ascii")

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for name in self.sources:
            digest.update((HERE / name).read_bytes())
        return digest.hexdigest()


def _no_node() -> str:
    return _older_than("node", "--version", (18, 19), "Node.js 18.19")


def _no_go() -> str:
    return _older_than("go", "version", (1, 26), "Go 1.26")


def _no_newer_go() -> str:
    return _older_than("go", "version", (1, 26, 8), "Go 1.26.8")


def _no_rotel_wheel() -> str:
    fits = sys.platform == "linux" and platform.machine() == "x86_64" and platform.libc_ver()[0] == "glibc"
    return "" if fits and sys.version_info[:2] in _ROTEL_PYTHONS else "it has no wheel for this system and Python"


def _no_java() -> str:
    return _older_than("java", "--version", (17, 0), "Java 17") or ("" if shutil.which("mvn") else "there is no Maven")


def _no_snakemake() -> str:
    return "" if sys.version_info >= (3, 11) else "it needs Python 3.11"


def _no_prometheus() -> str:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return "it comes from Debian"
    known = subprocess.run(["apt-cache", "show", _prometheus()], capture_output=True, check=False).returncode == 0
    return "" if known else f"this Debian has another version than {_prometheus()}, or apt-get update has not run"


def _older_than(command: str, option: str, wanted: tuple[int, ...], name: str) -> str:
    if shutil.which(command) is None:
        return f"{name} is not installed"
    said = subprocess.run([command, option], capture_output=True, text=True, check=False).stdout
    version = re.search(r"\d+(?:\.\d+)+", said)
    if version is None or tuple(map(int, version[0].split("."))) < wanted:
        return f"{name} or newer is needed, here is {said.strip()}"
    return ""


def _npm_installer(folder: str) -> Callable[[Path], None]:
    def install(target: Path) -> None:
        directory = target.parent
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / folder / name, directory / name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(command, cwd=directory, check=True)

    return install


def _install_rotel(target: Path) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--upgrade", "--no-deps", "--require-hashes"]
    pip = [sys.executable, "-m", "pip", "install", *options, "--only-binary", ":all:"]
    subprocess.run([*pip, "--target", target.parents[1], "--requirement", HERE / "rotel.txt"], check=True)
    target.chmod(0o755)


def _install_jars(module: str) -> Callable[[Path], None]:
    def build(target: Path) -> None:
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={target.parent}"]
        subprocess.run(["mvn", "--quiet", "--batch-mode", *goal], cwd=HERE / module, check=True)

    return build


def _installer(requirements: str) -> Callable[[Path], None]:
    """What installs them in an environment of their own."""

    def build(target: Path) -> None:
        directory = target.parents[1]
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        pip = [directory / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", HERE / requirements], check=True)

    return build


def _prometheus() -> str:
    """Debian's package, in the version that is wanted."""
    return f"prometheus={(HERE / 'prometheus.txt').read_text('ascii').strip()}"


def _unpack_prometheus(target: Path) -> None:
    directory = target.parents[2]
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", _prometheus()], cwd=directory, check=True, capture_output=True)
    for package in directory.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, directory], check=True)
        package.unlink()


def _go_builder(package: str, module: str = "otelcol", *tags: str) -> Callable[[Path], None]:
    def build(target: Path) -> None:
        flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", f"-tags={','.join(tags)}"]
        environment = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}
        command = ["go", "build", *flags, "-o", target, package]
        subprocess.run(command, cwd=HERE / module, env=environment, check=True)

    return build


_GO_SOURCES = ("otelcol/main.go", "otelcol/go.mod", "otelcol/go.sum")
_CONTRIB = "github.com/open-telemetry/opentelemetry-collector-contrib"
JAVASCRIPT = Peer(
    "OpenTelemetry's JavaScript SDK 2.12.1",
    "javascript/node_modules",
    ("javascript/package.json", "javascript/package-lock.json"),
    _no_node,
    _npm_installer("javascript"),
)
AXE = Peer(
    "axe-core 4.14.1",
    "axe/node_modules",
    ("axe/package.json", "axe/package-lock.json"),
    _no_node,
    _npm_installer("axe"),
)
GRAFANA_SCHEMA = Peer(
    "Grafana's schema 11.6.0",
    "grafana/node_modules",
    ("grafana/package.json", "grafana/package-lock.json"),
    _no_node,
    _npm_installer("grafana"),
)
ROTEL = Peer("rotel 0.0.1a15", "rotel/rotel/rotel-agent", ("rotel.txt",), _no_rotel_wheel, _install_rotel)
OTELCOL = Peer("the OpenTelemetry Collector 0.160.0", "otelcol/otelcol", _GO_SOURCES, _no_go, _go_builder("."))
TELEMETRYGEN = Peer(
    "telemetrygen 0.160.0",
    "telemetrygen/telemetrygen",
    _GO_SOURCES,
    _no_go,
    _go_builder(f"{_CONTRIB}/cmd/telemetrygen"),
)
H2SPEC = Peer(
    "h2spec 2.2.1",
    "h2spec/h2spec",
    ("h2spec/go.mod", "h2spec/go.sum"),
    _no_go,
    _go_builder("github.com/summerwind/h2spec/cmd/h2spec", "h2spec"),
)
COMPOSE = Peer(
    "Docker Compose 5.6.0",
    "compose/docker-compose",
    ("compose/go.mod", "compose/go.sum"),
    _no_newer_go,
    _go_builder("github.com/docker/compose/v5/cmd", "compose"),
)
DOCKERFILE = Peer(
    "BuildKit 0.34.2's reading of Dockerfiles",
    "dockerfile/dockerfile",
    ("dockerfile/main.go", "dockerfile/go.mod", "dockerfile/go.sum"),
    _no_newer_go,
    _go_builder(".", "dockerfile"),
)
GO_POSTGRES = Peer(
    "lib/pq 1.12.3 and pgx 5.12.0",
    "postgres/clients",
    ("postgres/main.go", "postgres/go.mod", "postgres/go.sum"),
    _no_go,
    _go_builder(".", "postgres"),
)
JDBC = Peer(
    "the PostgreSQL JDBC driver 42.7.8",
    "jdbc/postgresql-42.7.8.jar",
    ("jdbc/pom.xml",),
    _no_java,
    _install_jars("jdbc"),
)
NEXTFLOW = Peer(
    "Nextflow 24.10.5",
    "nextflow/nextflow-24.10.5.jar",
    ("nextflow/pom.xml",),
    _no_java,
    _install_jars("nextflow"),
)
SNAKEMAKE = Peer(
    "Snakemake 9.27.1",
    "snakemake/bin/snakemake",
    ("snakemake.txt",),
    _no_snakemake,
    _installer("snakemake.txt"),
)
PROMETHEUS = Peer(
    "Prometheus 2.42.0",
    "prometheus/usr/bin/prometheus",
    ("prometheus.txt",),
    _no_prometheus,
    _unpack_prometheus,
)
PROMETHEUS_3 = Peer(
    "Prometheus 3.14.0",
    "prometheus3/prometheus",
    ("prometheus3/go.mod", "prometheus3/go.sum"),
    _no_go,
    # Without the service discoveries of forty clouds, which are most of it.
    _go_builder("github.com/prometheus/prometheus/cmd/prometheus", "prometheus3", "remove_all_sd"),
)
RESOURCE_TRACKER = Peer(
    "resource-tracker 0.5.0",
    "resource-tracker-0.5.0/bin/python",
    ("resource-tracker.txt",),
    lambda: "",
    _installer("resource-tracker.txt"),
)
PEERS = (
    *(JAVASCRIPT, AXE, GRAFANA_SCHEMA, ROTEL, OTELCOL, TELEMETRYGEN, H2SPEC, COMPOSE, DOCKERFILE),
    *(NEXTFLOW, SNAKEMAKE, PROMETHEUS, PROMETHEUS_3, RESOURCE_TRACKER, GO_POSTGRES, JDBC),
)


def main() -> None:
    """Build every peer that can be built here, but those whose folders below `.peers/` are named."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--but", nargs="*", default=[], metavar="FOLDER", help="what is left out")
    left_out = parser.parse_args().but
    if unknown := set(left_out) - {peer.folder for peer in PEERS}:
        parser.error(f"no peer lies in {', '.join(sorted(unknown))}")
    ROOT.mkdir(exist_ok=True)
    for peer in PEERS:
        if peer.folder in left_out and not peer.is_built():
            print(f"peer: {peer.name}: left out", flush=True)
            continue
        if obstacle := peer.obstacle():
            print(f"peer: {peer.name}: not run: {obstacle}", flush=True)
            continue
        if not peer.is_built():
            print(f"peer: {peer.name}: building it below {ROOT}", flush=True)
            peer.make()
        print(f"peer: {peer.name}: ready", flush=True)


if __name__ == "__main__":
    main()
