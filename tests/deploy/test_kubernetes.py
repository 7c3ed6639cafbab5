"""The collector's manifest says what the collector does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from stepsize.collector.config.service import parse
from stepsize.collector.server.collector import DRAIN_S

MANIFEST = Path(__file__).parents[2] / "deploy/kubernetes/collector.yaml"
OBJECTS: dict[str, Any] = {one["kind"]: one for one in yaml.safe_load_all(MANIFEST.read_text("utf-8"))}
CONTAINER: dict[str, Any] = OBJECTS["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]


def test_the_configuration_in_it_is_one_of_ours() -> None:
    """It is read as the collector reads it, and serves the ports that the pod and the service name."""
    config = parse(OBJECTS["ConfigMap"]["data"]["otel-config.yaml"], "otel-config.yaml", {})
    protocols = config.receivers["otlp"].protocols
    served = {
        protocols.grpc.endpoint.port,
        protocols.http.endpoint.port,
        config.extensions["health_check"].endpoint.port,
    }
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert set(ports.values()) == served
    for port in OBJECTS["Service"]["spec"]["ports"]:
        assert ports[port["targetPort"]] == port["port"]
    assert CONTAINER["readinessProbe"]["httpGet"]["path"] == config.extensions["health_check"].readiness_path
    assert CONTAINER["livenessProbe"]["httpGet"]["path"] == config.extensions["health_check"].path


def test_the_token_is_where_the_configuration_reads_it() -> None:
    """The secret's file, and no variable or argument that others could read."""
    config = yaml.safe_load(OBJECTS["ConfigMap"]["data"]["otel-config.yaml"])
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert config["extensions"]["bearertokenauth"]["filename"] == f"{mounts['token']}/token"
    for protocol in config["receivers"]["otlp"]["protocols"].values():
        assert protocol["auth"] == {"authenticator": "bearertokenauth"}


def test_there_is_time_to_drain() -> None:
    """The kubelet waits longer than it takes."""
    pod = OBJECTS["StatefulSet"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > DRAIN_S + 10


def test_it_may_use_more_memory_than_it_allows_itself() -> None:
    """The limiter refuses before the kernel kills: what receives and what writes are processes of one pod."""
    config = yaml.safe_load(OBJECTS["ConfigMap"]["data"]["otel-config.yaml"])
    limit_mib = int(CONTAINER["resources"]["limits"]["memory"].removesuffix("Gi")) * 1024
    assert limit_mib >= 2 * config["processors"]["memory_limiter"]["limit_mib"]


def test_what_it_keeps_fits_on_its_volume() -> None:
    """Lake and log have bounds that the disk is larger than: it never fills up."""
    config = parse(OBJECTS["ConfigMap"]["data"]["otel-config.yaml"], "otel-config.yaml", {}).parquet
    claim = OBJECTS["StatefulSet"]["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
    volume_bytes = int(claim.removesuffix("Gi")) << 30
    assert config.retention.max_bytes
    assert config.retention.max_bytes + config.wal.max_total_bytes < volume_bytes


def test_the_lake_is_a_directory_of_its_own_on_the_volume() -> None:
    """The volume's own directory belongs to a group that may write, which a lake must not."""
    config = parse(OBJECTS["ConfigMap"]["data"]["otel-config.yaml"], "otel-config.yaml", {}).parquet
    mounts = {mount["name"]: Path(mount["mountPath"]) for mount in CONTAINER["volumeMounts"]}
    assert config.directory is not None
    assert config.directory.parent == mounts["data"]


def test_the_probes_give_it_time_to_start() -> None:
    """It is not ended while it starts, and found dead within two minutes once it has."""
    start, alive = CONTAINER["startupProbe"], CONTAINER["livenessProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= 60
    assert alive["periodSeconds"] * alive["failureThreshold"] <= 120
    assert OBJECTS["StatefulSet"]["spec"]["template"]["spec"]["enableServiceLinks"] is False
