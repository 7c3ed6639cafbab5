"""docker-compose.yml: that Docker Compose reads it, what of it is closed, and that its services work together."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stepsize.collector.config.service import parse
from stepsize.collector.server.collector import DRAIN_S
from stepsize.commands.collect import command as collect
from stepsize.commands.nightly import command as nightly
from stepsize.commands.sql import command as sql
from stepsize.postgres.places import STARTING
from tests.collector.running import Place, wait_for
from tests.deploy.compose import COMPOSE, FILE, OURS, ROOT, SERVICES, Stack, end, resolved
from tests.interop.peers import COMPOSE as DOCKER_COMPOSE

LOOP = ROOT / "deploy/compose/nightly.sh"
CONFIG = (ROOT / "deploy/compose/collector.yaml").read_text("utf-8")
NEEDS_OPENSSL = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def size_bytes(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([kmg])", text).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


# What Docker Compose says


@pytest.mark.peers
@pytest.mark.needs(DOCKER_COMPOSE)
@pytest.mark.parametrize("profile", ["", "gateway"])
def test_docker_compose_takes_it(profile: str, tmp_path: Path) -> None:
    """By its schema and its own checks, without a word; a profile adds the gateway and nothing else."""
    command = [DOCKER_COMPOSE.path, "--file", FILE, "--profile", profile or "none", "config", "--format", "json"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    read = json.loads(done.stdout)["services"]
    assert set(read) == set(SERVICES) - ({"gateway"} if not profile else set())
    for name, service in read.items():
        assert service["read_only"] is True, name
        assert int(service["mem_limit"]) == size_bytes(SERVICES[name]["mem_limit"])
        assert {port["host_ip"] for port in service.get("ports", ())} <= {"127.0.0.1"}


@pytest.mark.peers
@pytest.mark.needs(DOCKER_COMPOSE)
def test_docker_compose_would_refuse_what_it_does_not_know(tmp_path: Path) -> None:
    """A key that is misspelt is no key."""
    wrong = tmp_path / "compose.yml"
    wrong.write_text(FILE.read_text("utf-8").replace("pids_limit", "pid_limits"))
    command = [DOCKER_COMPOSE.path, "--file", wrong, "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "pid_limits" in done.stderr


# What is closed


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_right_than_needed(name: str) -> None:
    """Nobody's user, nothing writable but volumes, no capability, and bounds of memory, processes and lines."""
    service = SERVICES[name]
    assert re.fullmatch(r"[1-9]\d*:\d+", service["user"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "pid", "ipc", "devices", "env_file"} & set(service)
    assert size_bytes(service["mem_limit"]) <= 4 << 30
    assert service["pids_limit"] <= 1024
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert service["restart"] == "unless-stopped"
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:")
    in_memory = sum(size_bytes(re.search(r"size=(\w+)", one)[1]) for one in service.get("tmpfs", ()))  # type: ignore[index]
    assert in_memory <= size_bytes(service["mem_limit"]) // 2  # what lies there counts towards it


def test_only_who_must_talk_can() -> None:
    """Nothing but Grafana reaches the endpoint, and it reaches nothing; the nightly job and senders reach neither."""
    members = {
        network: {name for name, service in SERVICES.items() if network in service["networks"]}
        for network in COMPOSE["networks"]
    }
    assert members == {
        "ingest": {"collector", "gateway"},
        "dashboards": {"sql", "grafana"},
        "web": {"grafana"},
        "notify": {"nightly"},
    }
    assert COMPOSE["networks"]["dashboards"]["internal"] is True


def test_volumes_and_secrets_go_to_those_who_need_them() -> None:
    """The endpoint cannot write the lake; a password is with who says it, its verifier with who checks it."""
    mounts = {name: service.get("volumes", []) for name, service in SERVICES.items()}
    assert {name for name in mounts if any(str(one).startswith("lake:") for one in mounts[name])} == set(OURS)
    assert mounts["sql"] == ["lake:/data:ro"]
    used = {name: set(service.get("secrets", ())) for name, service in SERVICES.items() if "secrets" in service}
    assert used == {
        "sql": {"sql-users", "sql-certificate", "sql-key"},
        "grafana": {"grafana-admin-password", "sql-password", "sql-certificate"},
        "nightly": {"notify"},
    }
    assert set().union(*used.values()) == set(COMPOSE["secrets"])
    for service in SERVICES.values():
        for name, text in service.get("environment", {}).items():
            assert "PASSWORD" not in name or (name.endswith("FILE") and text.startswith("/run/secrets/")), name


@pytest.mark.parametrize(("name", "command"), [("collector", collect), ("sql", sql), ("nightly", nightly)])
def test_a_command_is_one_of_ours(name: str, command: Any) -> None:
    """With options that it knows."""
    words = SERVICES[name]["command"]
    words = words if name == "nightly" else words[1:]
    assert name == "nightly" or SERVICES[name]["command"][0] == command.name
    secrets = {word.rpartition("=")[2] for word in words if "/run/secrets/" in word}
    assert {Path(one).name for one in secrets} <= set(SERVICES[name].get("secrets", ()))
    command.make_context(command.name, list(words))


def test_images_are_pinned() -> None:
    """Those that are not built here by version and digest."""
    for name, service in SERVICES.items():
        pattern = r"stepsize[a-z-]*:\d+\.\d+\.\d+" if "build" in service else r".+:\d+\.\d+\.\d+@sha256:[0-9a-f]{64}"
        assert re.fullmatch(pattern, service["image"]), name


def test_the_collector_has_time_and_memory() -> None:
    """It may drain before it is killed, and use more memory than it allows itself; it serves what is published."""
    service = SERVICES["collector"]
    assert float(service["stop_grace_period"].removesuffix("s")) > DRAIN_S + 10
    config = parse(CONFIG, "collector.yaml", {})
    assert config.processors["memory_limiter"].limit_mib * 2 <= size_bytes(service["mem_limit"]) >> 20
    protocols = config.receivers["otlp"].protocols
    served = {protocols.grpc.endpoint.port, protocols.http.endpoint.port}
    assert {int(resolved(port).rpartition(":")[2]) for port in service["ports"]} == served
    assert str(config.extensions["health_check"].endpoint.port) in service["healthcheck"]["test"][-1]


def test_grafana_finds_what_it_is_provisioned_with() -> None:
    """Dashboards where the mount has them, secrets that it is given, the endpoint by the name of its certificate."""
    service = SERVICES["grafana"]
    (mount,) = (one for one in service["volumes"] if isinstance(one, dict))
    assert (mount["read_only"], mount["bind"]) == (True, {"create_host_path": False})
    assert Path(service["environment"]["GF_PATHS_PROVISIONING"]).relative_to(mount["target"])
    folder = ROOT / mount["source"]
    for file in (folder / "provisioning").rglob("*.yaml"):
        text = file.read_text("utf-8")
        given = {f"/run/secrets/{name}" for name in service["secrets"]}
        assert set(re.findall(r"/run/secrets/[\w-]+", text)) <= given, file
        assert set(re.findall(r"\$\{?(STEPSIZE_\w+)", text)) <= set(service["environment"]), file
        for provider in yaml.safe_load(text).get("providers", ()):
            assert (folder / Path(provider["options"]["path"]).relative_to(mount["target"])).is_dir(), file
    subject = re.search(r"subjectAltName=DNS:(\S+)", (ROOT / "deploy/compose/secrets.sh").read_text("utf-8"))
    assert subject
    port = next(word for word in SERVICES["sql"]["command"] if word.startswith("--port=")).partition("=")[2]
    assert service["environment"]["STEPSIZE_SQL_URL"] == f"{subject[1]}:{port}"
    assert subject[1] in SERVICES


def test_grafana_is_never_turned_away() -> None:
    """It may open all its connections at once, as when many look at a dashboard after a restart."""
    folder = ROOT / next(one["source"] for one in SERVICES["grafana"]["volumes"] if isinstance(one, dict))
    (source,) = yaml.safe_load((folder / "provisioning/datasources/stepsize.yaml").read_text("utf-8"))["datasources"]
    assert source["jsonData"]["maxOpenConns"] <= STARTING


def test_the_gateway_is_given_what_it_reads() -> None:
    """Variables, ports, volume and memory are those of its configuration."""
    service, text = SERVICES["gateway"], (ROOT / "deploy/gateway/config.yaml").read_text("utf-8")
    config = yaml.safe_load(text)
    variables = {name: resolved(value) for name, value in service["environment"].items()}
    assert dict(re.findall(r"\$\{env:(\w+):-(.+)\}", text)).items() <= variables.items()
    served = [config["receivers"]["otlp"]["protocols"][kind]["endpoint"] for kind in ("grpc", "http")]
    served.append(config["extensions"]["health_check"]["endpoint"])
    assert [resolved(port).rpartition(":")[2] for port in service["ports"]] == [one.split(":")[1] for one in served]
    (volume,) = (one.partition(":")[2] for one in service["volumes"])
    assert Path(config["extensions"]["file_storage"]["directory"]).parent == Path(volume)
    limit_mib = config["processors"]["memory_limiter"]["limit_mib"]
    assert limit_mib < int(variables["GOMEMLIMIT"].removesuffix("MiB")) < size_bytes(service["mem_limit"]) >> 20


# The secrets


@NEEDS_OPENSSL
def test_secrets_are_made_once_and_are_nobodys_else(place: Place) -> None:
    """All that the file names; the directory is closed, its files are open in a container; made again they stay."""
    stack = Stack(place)
    names = {Path(resolved(one["file"])).name for one in COMPOSE["secrets"].values()}
    assert set(stack.make_secrets().split()) == names
    made = {path.name: path.read_bytes() for path in stack.secrets.iterdir()}
    assert set(made) == names
    assert stat.S_IMODE(stack.secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in stack.secrets.iterdir()} == {0o444}
    assert len(made["sql-password"]) >= 32
    assert made["sql-password"] != made["grafana-admin-password"]
    assert made["sql-users"].startswith(b"grafana:SCRAM-SHA-256$")
    assert made["sql-password"] not in made["sql-users"]
    stack.make_secrets()
    assert {path.name: path.read_bytes() for path in stack.secrets.iterdir()} == made


# The nightly job's loop


@pytest.fixture
def loop(tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts it with a `stepsize` and a `date` of the test's own."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch/left").touch()

    def started(body: str, hour: str) -> subprocess.Popen[bytes]:
        for name, text in (("stepsize", body), ("date", f"echo {hour}")):
            (programs / name).write_text(f"#!/bin/sh\n{text}\n")
            (programs / name).chmod(0o755)
        variables = {"PATH": f"{programs}:{os.environ['PATH']}", "NIGHTLY_WELL": str(tmp_path / "mark")}
        variables |= {"NIGHTLY_PAUSE": "0.05", "TMPDIR": str(tmp_path / "scratch"), "HERE": str(tmp_path)}
        return subprocess.Popen(["sh", LOOP, "--keep", "7d"], env=variables)

    return started


def test_the_loop_goes_on_and_shows_when_it_went_well(loop: Callable[..., Any], tmp_path: Path) -> None:
    """A failure does not touch its mark, a later start that goes well does; what was left is gone."""
    process = loop('ls "$TMPDIR" >> "$HERE/found"; echo "$*" >> "$HERE/calls"; [ -e "$HERE/well" ]', "08")
    mark, calls = tmp_path / "mark", tmp_path / "calls"
    wait_for(calls.exists, "it is started")
    os.utime(mark, (0, 0))
    before = len(calls.read_text().splitlines())
    wait_for(lambda: len(calls.read_text().splitlines()) > before + 1, "it is started again")
    assert mark.stat().st_mtime == 0
    (tmp_path / "well").touch()
    wait_for(lambda: mark.stat().st_mtime > 0, "it went well")
    assert end(process) == 0
    assert set(calls.read_text().splitlines()) == {"nightly --keep 7d"}
    assert (tmp_path / "found").read_text() == ""


def test_the_loop_waits_for_its_hour(loop: Callable[..., Any], tmp_path: Path) -> None:
    """Before it nothing is started."""
    process = loop('touch "$HERE/called"', "02")
    wait_for((tmp_path / "mark").exists, "it runs")
    assert end(process) == 0
    assert not (tmp_path / "called").exists()


def test_the_loop_ends_what_it_has_started(loop: Callable[..., Any], tmp_path: Path) -> None:
    """SIGTERM goes to the night that is under way, which is waited for."""
    script = "import pathlib, signal, sys; here = pathlib.Path(sys.argv[1]); (here / 'runs').touch(); "
    script += "signal.sigwait([signal.SIGTERM]); (here / 'ended').touch()"
    mask = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); "
    process = loop(f'exec {sys.executable} -c "{mask}{script}" "$HERE"', "03")
    wait_for((tmp_path / "runs").exists, "a night is under way")
    assert end(process) == 0
    assert (tmp_path / "ended").exists()


# All of it


@NEEDS_OPENSSL
def test_points_are_seen_through_the_endpoint_and_reported(place: Place) -> None:
    """With the services' own commands, files, secrets and health checks: a run is asked for in SQL, and reported."""
    psycopg = pytest.importorskip("psycopg")
    stack = Stack(place)
    stack.make_secrets()
    collector = stack.start("collector")
    stack.until_healthy("collector", collector)
    endpoint = stack.start("sql")
    stack.until_healthy("sql", endpoint)
    tracked = [sys.executable, "-m", "stepsize", "run", "--flow", "Nightly", "--step", "load", "--", "true"]
    sent_to = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{stack.addresses.http}", "STEPSIZE_DATA": str(place.home / "no")}
    subprocess.run(tracked, env=place.environment(**sent_to), check=True, capture_output=True)
    host, _, port = stack.sql.partition(":")
    password = (stack.secrets / "sql-password").read_text()
    # As Grafana has it: the name that the certificate has, which nobody else on the network can show.
    how = {"host": "sql", "hostaddr": host, "port": port, "dbname": "stepsize", "user": "grafana", "password": password}
    how |= {"sslmode": "verify-full", "sslrootcert": str(stack.secrets / "sql-certificate")}
    with psycopg.connect(**how, autocommit=True) as connection:
        ask = "SELECT flow, step, outcome FROM tasks"
        wait_for(lambda: connection.execute(ask).fetchall() == [("Nightly", "load", "ok")], "the attempt is seen")
        own = "SELECT count(*) > 0 FROM points WHERE metric = 'otelcol_process_uptime'"
        wait_for(lambda: connection.execute(own).fetchone() == (True,), "what the collector says of itself is seen")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(**{**how, "password": "wrong"})
    night = stack.start("nightly", NIGHTLY_HOUR="0")
    wait_for((place.settings.data / "reports/latest/report.json").exists, "a report is made")
    stack.until_healthy("nightly", night)
    assert "Nightly" in (place.settings.data / "reports/latest/report.json").read_text()
    for process in (night, endpoint, collector):
        assert end(process) == 0
