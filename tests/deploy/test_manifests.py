"""All manifests of deploy/: fields that Kubernetes' API has, and pods that its strictest standard lets in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from stepsize.commands.nightly import command as nightly
from stepsize.commands.sql import command as sql
from tests.deploy.compose import SERVICES

ROOT = Path(__file__).parents[2]
FILES = [*sorted((ROOT / "deploy/kubernetes").glob("*.yaml")), ROOT / "deploy/gateway/kubernetes.yaml"]
OBJECTS = [(path, one) for path in FILES for one in yaml.safe_load_all(path.read_text("utf-8"))]
NAMES = [f"{path.parent.name}/{path.stem}-{one['kind']}" for path, one in OBJECTS]
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
"""Those that the standard lets in."""


def pod_of(one: dict[str, Any]) -> dict[str, Any] | None:
    spec = one.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    found: dict[str, Any] | None = spec.get("template", {}).get("spec")
    return found


PODS = {name: pod for name, (_, one) in zip(NAMES, OBJECTS, strict=True) if (pod := pod_of(one))}
SQL = PODS["kubernetes/sql-Deployment"]
(CONTAINER,) = SQL["containers"]


@pytest.mark.parametrize("one", [one for _, one in OBJECTS], ids=NAMES)
def test_every_field_is_one_of_the_api(one: dict[str, Any]) -> None:
    """A field that the client does not know would be lost on the way through it; one that lacks is an error."""
    api = client.ApiClient()
    read = api.deserialize(json.dumps(one), f"V1{one['kind']}", "application/json")
    assert api.sanitize_for_serialization(read) == one


@pytest.mark.parametrize("name", PODS)
def test_a_namespace_that_enforces_the_restricted_standard_takes_it(name: str) -> None:
    """By each of its rules: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    pod = PODS[name]
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"} & set(pod)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"sysctls", "seLinuxOptions", "windowsOptions", "appArmorProfile"} & set(pod["securityContext"])
    assert {kind for volume in pod.get("volumes", ()) for kind in volume} - {"name"} <= VOLUMES
    for container in pod["containers"]:
        closed = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert container["securityContext"] == closed
        assert not any("hostPort" in port for port in container.get("ports", ()))
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", PODS)
def test_no_token_of_the_api_is_in_a_pod_that_does_not_ask_it(name: str) -> None:
    """The gateway alone asks, with an account of its own."""
    asks = name.startswith("gateway/")
    assert PODS[name].get("automountServiceAccountToken", True) is asks
    assert ("serviceAccountName" in PODS[name]) is asks


@pytest.mark.parametrize(("name", "command"), [("sql-Deployment", sql), ("nightly-CronJob", nightly)])
def test_a_command_is_one_of_ours(name: str, command: Any) -> None:
    """With options that it knows."""
    words = PODS[f"kubernetes/{name}"]["containers"][0]["args"]
    assert words[0] == command.name
    command.make_context(command.name, words[1:])


def test_sql_reads_the_collectors_lake_and_can_write_nothing_of_it() -> None:
    """Its volume, where the collector's pod is; what spills has a place; bounds are those of the compose file."""
    (collector,) = (one for name, one in PODS.items() if "collector" in name)
    assert SQL["affinity"] == PODS["kubernetes/nightly-CronJob"]["affinity"]
    mounts = {one["name"]: one for one in CONTAINER["volumeMounts"]}
    (lake,) = (one for one in collector["containers"][0]["volumeMounts"] if one["name"] == "data")
    assert mounts["data"] == {**lake, "readOnly": True}
    claims = [one["persistentVolumeClaim"]["claimName"] for one in SQL["volumes"] if "persistentVolumeClaim" in one]
    assert claims == ["data-stepsize-collector-0"]
    assert CONTAINER["resources"]["limits"]["memory"].lower().removesuffix("i") == SERVICES["sql"]["mem_limit"]


def test_sql_is_started_and_asked_as_in_compose() -> None:
    """Where it is run: the same options but for paths, and the same question whether it is well."""
    options = [word.partition("=") for word in CONTAINER["args"][2:]]
    ours = {name: text for name, _, text in options}
    theirs = {name: text for name, _, text in (word.partition("=") for word in SERVICES["sql"]["command"][2:])}
    assert ours.pop("--data") == "/data/lake"
    assert {name: Path(text).parent for name, text in ours.items() if "/" in text} == dict.fromkeys(
        ("--users", "--tls-cert", "--tls-key"), Path("/etc/stepsize-sql")
    )
    assert set(ours) == set(theirs)
    assert {name: text for name, text in ours.items() if "/" not in text}.items() <= theirs.items()
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert CONTAINER[kind]["exec"]["command"] == SERVICES["sql"]["healthcheck"]["test"][1:]
    (port,) = (one["containerPort"] for one in CONTAINER["ports"])
    assert str(port) == ours["--port"]
