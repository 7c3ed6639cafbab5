"""The nightly job as schedulers have it: what they would call is called here, what they read is what they know."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stepsize.commands.nightly import command
from stepsize.errors import BusyError, UsageError
from tests.nightly.site import Site, Told, site_in, told_server

DEPLOY = Path(__file__).parents[2] / "deploy"
PROGRAM = "/opt/stepsize/bin/stepsize"
MANIFEST: dict[str, Any] = yaml.safe_load((DEPLOY / "kubernetes/nightly.yaml").read_text("utf-8"))
COLLECTOR: dict[str, Any] = {
    one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes/collector.yaml").read_text("utf-8"))
}
JOB: dict[str, Any] = MANIFEST["spec"]["jobTemplate"]["spec"]
POD: dict[str, Any] = JOB["template"]["spec"]
CONTAINER: dict[str, Any] = POD["containers"][0]
CRON = (DEPLOY / "cron/stepsize-nightly").read_text("utf-8")
ENTRIES = [line for line in CRON.splitlines() if re.match(r"\d", line)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_in(tmp_path) as made:
        yield made.measured()


@pytest.fixture
def told() -> Iterator[Told]:
    with told_server() as server:
        yield server


def options(arguments: list[str]) -> dict[str, Any]:
    """As the command reads them."""
    return command.make_context("nightly", list(arguments)).params


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as the library documents it
    parser.read(DEPLOY / "systemd" / name)
    return parser


def seconds(text: str) -> float:
    number, of = re.fullmatch(r"(\d+)(s|min|h)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"s": 1, "min": 60, "h": 3600}[of]


# cron


def test_a_line_of_cron_does_the_night(site: Site, told: Told, tmp_path: Path) -> None:
    """As cron's shell runs it: one line to the journal, nothing to mail; the later ones have nothing to do."""
    notify = tmp_path / "notify"
    notify.write_text(told.url("chat"))
    journal = tmp_path / "journal"
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, body in (("stepsize", f'exec {sys.executable} -m stepsize "$@"'), ("logger", f"cat >> {journal}")):
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    for line in ENTRIES:
        minute, hour, _, _, _, user, run = line.split(maxsplit=6)
        assert (0 <= int(minute) < 60, 0 <= int(hour) < 24, user) == (True, True, "stepsize")
        run = run.replace(PROGRAM, str(programs / "stepsize")).replace("/etc/stepsize/notify", str(notify))
        environment = site.environment | {"PATH": f"{programs}:{os.environ['PATH']}"}
        done = subprocess.run(["sh", "-c", run], env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    said = journal.read_text().splitlines()
    assert [("done already" in line) for line in said] == [False, True, True]
    assert told.paths() == ["chat"]


def test_the_crontab_is_one() -> None:
    """Its name has no dot, which cron passes over; no entry has a percent sign, which cron takes for a new line."""
    assert (DEPLOY / "cron/stepsize-nightly").is_file()
    assert len(ENTRIES) == 3
    assert "%" not in CRON
    assert CRON.endswith("\n")


# systemd


def test_the_unit_calls_what_there_is_and_gives_it_time() -> None:
    """Both long stages and five who are told fit; it is tried again but for wrong usage; 75 is no failure."""
    service = unit("stepsize-nightly.service")["Service"]
    program, name, *arguments = shlex.split(service["ExecStart"])
    assert (program, name) == (PROGRAM, "nightly")
    limit_s = seconds(options(arguments)["limit"])
    assert seconds(service["TimeoutStartSec"]) >= 2 * limit_s + 5 * 60
    assert service["Type"] == "oneshot"
    assert int(service["SuccessExitStatus"]) == BusyError.exit_code
    assert int(service["RestartPreventExitStatus"]) == UsageError.exit_code


def test_the_unit_is_as_closed_as_the_collectors_and_leaves_it_alone() -> None:
    """The same user, directories and bounds; what both have open stays when one ends."""
    ours, theirs = (unit(f"stepsize-{name}.service")["Service"] for name in ("nightly", "collector"))
    closed = [
        key for key in theirs if key.startswith(("Protect", "Private", "Restrict", "System", "No", "Lock", "Cap"))
    ]
    assert len(closed) > 15
    for key in (*closed, "User", "StateDirectory", "StateDirectoryMode", "RuntimeDirectory", "UMask", "Environment"):
        assert ours[key] == theirs[key], key
    assert ours["RuntimeDirectoryPreserve"] == "yes"
    assert "RemoveIPC" not in ours


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_finds_nothing_wrong_with_them(tmp_path: Path) -> None:
    """No unknown section, key or value; the timer finds its service, and elapses."""
    for name in ("stepsize-nightly.service", "stepsize-nightly.timer"):
        text = (DEPLOY / "systemd" / name).read_text("utf-8").replace(PROGRAM, "/bin/true")
        (tmp_path / name).write_text(text, "utf-8")
    units = [str(tmp_path / f"stepsize-nightly.{kind}") for kind in ("timer", "service")]
    calls = [
        ["systemd-analyze", "verify", "--man=no", *units],
        ["systemd-analyze", "calendar", unit("stepsize-nightly.timer")["Timer"]["OnCalendar"]],
    ]
    for call in calls:
        run = subprocess.run(call, capture_output=True, text=True, check=False, timeout=60)
        assert "stepsize-nightly" not in run.stderr
        assert run.returncode == 0, run.stderr


# Kubernetes


def test_no_two_run_at_once_and_wrong_usage_is_not_tried_again() -> None:
    """By the job's policies (what its pod may is in test_manifests)."""
    assert MANIFEST["spec"]["concurrencyPolicy"] == "Forbid"
    assert POD["restartPolicy"] == "Never"
    (rule,) = JOB["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["values"] == [UsageError.exit_code]
    assert rule["onExitCodes"]["containerName"] == CONTAINER["name"]


def test_the_pod_finds_the_collectors_lake_and_socket() -> None:
    """The claim is the one that the StatefulSet makes, mounted where its node is and as its user."""
    theirs = COLLECTOR["StatefulSet"]["spec"]
    pod = theirs["template"]["spec"]
    (claim,) = theirs["volumeClaimTemplates"]
    names = {volume["name"]: volume.get("persistentVolumeClaim", {}).get("claimName") for volume in POD["volumes"]}
    assert names["data"] == f"{claim['metadata']['name']}-{COLLECTOR['StatefulSet']['metadata']['name']}-0"
    (term,) = POD["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["labelSelector"]["matchLabels"] == theirs["template"]["metadata"]["labels"]
    assert POD["securityContext"] == pod["securityContext"]
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert mounts["data"] == {one["name"]: one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}["data"]
    runtimes = [
        {one["name"]: one.get("value") for one in container["env"]}["STEPSIZE_RUNTIME"]
        for container in (CONTAINER, pod["containers"][0])
    ]
    assert runtimes[0] == runtimes[1]
    assert runtimes[0].startswith(mounts["data"])
    config = yaml.safe_load(COLLECTOR["ConfigMap"]["data"]["otel-config.yaml"])
    name, *arguments = CONTAINER["args"]
    assert name == "nightly"
    given = options(arguments)
    assert given["data"] == config["exporters"]["parquet"]["directory"]
    assert JOB["activeDeadlineSeconds"] >= 2 * seconds(given["limit"])


def test_the_pods_command_does_the_night(site: Site, told: Told, tmp_path: Path) -> None:
    """With its arguments and its environment, on a lake where the volume would be; the secret may have lines."""
    name, *arguments = CONTAINER["args"]
    where = {"/data/lake": str(site.data), "/data/run": str(site.runtime), "/tmp": str(tmp_path)}
    variables = {one["name"]: where[one["value"]] for one in CONTAINER["env"] if "value" in one}
    variables |= {"STEPSIZE_NOTIFY": f"{told.url('one')}\n{told.url('two')}\n", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "stepsize", name, *(where.get(one, one) for one in arguments)],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert told.paths() == ["one", "two"]


# Metaflow


def test_the_flow_does_the_night(site: Site, told: Told) -> None:
    """As a real flow."""
    script = DEPLOY / "metaflow/nightly_flow.py"
    variables = {
        "METAFLOW_HOME": str(site.home),
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(site.home),
        "METAFLOW_USER": "tester",
        "USER": "tester",
        "STEPSIZE_NOTIFY": told.url("chat"),
    }
    done = subprocess.run(
        [sys.executable, str(script), "run", "--lake", str(site.data), "--options", "--keep 30d"],
        env=site.environment | variables,
        cwd=site.home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "1 change (first report)" in done.stdout
    assert told.paths() == ["chat"]
