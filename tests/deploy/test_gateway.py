"""The Collector in front of ours, with the configurations of deploy/gateway: run as they are, but for addresses."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import DEADLINE_S, Place, RunningCollector, wait_for
from tests.deploy.compose import can_close
from tests.deploy.kubernetes_api import Api, kubernetes_api
from tests.interop.peers import OTELCOL
from tests.interop.processes import PROTOBUF, Addresses, collect_at, free_address, hand_over

DEPLOY = Path(__file__).parents[2] / "deploy/gateway"
CONFIG = (DEPLOY / "config.yaml").read_text("utf-8")
MANIFEST = (DEPLOY / "kubernetes.yaml").read_text("utf-8")
OBJECTS: dict[str, Any] = {one["kind"]: one for one in yaml.safe_load_all(MANIFEST)}
IN_KUBERNETES: str = OBJECTS["ConfigMap"]["data"]["config.yaml"]
POD: dict[str, Any] = OBJECTS["StatefulSet"]["spec"]["template"]["spec"]
CONTAINER: dict[str, Any] = POD["containers"][0]
PINNED = re.compile(r"otel/opentelemetry-collector-contrib:(\S+)@sha256:([0-9a-f]{64})")
POINTS = 20


@dataclass
class Gateway:
    """The gateway, which can be killed and started again where it was."""

    place: Place
    config: str
    variables: dict[str, str]
    disk_kib: int = 0
    """How large the disk of its queue is; 0: as large as the test's."""
    http: str = field(default_factory=free_address)
    health: str = field(default_factory=free_address)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        replaced = {
            "0.0.0.0:4317": free_address(),
            "0.0.0.0:4318": self.http,
            "0.0.0.0:13133": self.health,
            "/var/lib/otelcol": str(self.place.home / "otelcol"),
        }
        text = self.config
        for ours, theirs in replaced.items():
            assert ours in text
            text = text.replace(ours, theirs)
        (self.place.home / "gateway.yaml").write_text(text)
        (self.place.home / "otelcol").mkdir(exist_ok=True)  # as the image and the volume have it
        disk = f'mount -t tmpfs -o size={self.disk_kib}k queue "$1"; shift; exec "$@"'
        small = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-euc",
            disk,
            "sh",
            self.place.home / "otelcol",
        ]
        with (self.place.home / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*(small if self.disk_kib else ()), OTELCOL.path, "--config", self.place.home / "gateway.yaml"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.place.environment(**self.variables),
                cwd=self.place.home,
            )
        wait_for(lambda: self.process.poll() is not None or self.is_healthy(), "the gateway is healthy")
        assert self.process.poll() is None, self.said()

    def is_healthy(self) -> bool:
        with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection(self.health)) as asked:
            asked.request("GET", "/")
            return asked.getresponse().status == 200
        return False

    def post(self, message: Any, **headers: str) -> int:
        """The status that it answers with."""
        with contextlib.closing(http.client.HTTPConnection(self.http, timeout=DEADLINE_S)) as asked:
            asked.request("POST", "/v1/metrics", message.SerializeToString(), {"content-type": PROTOBUF, **headers})
            return asked.getresponse().status

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)

    def said(self) -> str:
        return (self.place.home / "gateway.log").read_text(errors="replace")


@contextlib.contextmanager
def gateway(place: Place, config: str, *, disk_kib: int = 0, **variables: str) -> Iterator[Gateway]:
    made = Gateway(place, config, variables, disk_kib)
    try:
        made.start()
        yield made
    finally:
        if made.process and made.process.poll() is None:
            made.kill()


def numbered(first: int, **resource: Any) -> Any:
    points = [(time.time_ns() + number, first + number) for number in range(POINTS)]
    return RequestBuilder(identity(**resource)).gauge("numbered", points).message


def arrived(collector: RunningCollector) -> list[int]:
    collector.flush()
    return [one for (one,) in collector.place.rows("SELECT value_int FROM exact_points ORDER BY value_int")]


# As docker-compose.yml runs it


@pytest.mark.peers
@pytest.mark.needs(OTELCOL)
def test_nothing_is_lost_whoever_is_killed(place: Place) -> None:
    """Points come while ours is killed, away, killed again, and the gateway with a queue: each is there once."""
    ours, sent = Addresses(), 0
    collector = collect_at(place, ours)
    with gateway(place, CONFIG, COLLECTOR=f"http://{ours.http}") as before:

        def hand_over_some(requests: int) -> None:
            nonlocal sent
            for _ in range(requests):
                hand_over(before.http, numbered(sent * POINTS))  # 200: it is in the queue on disk
                sent += 1

        hand_over_some(5)
        collector.process.kill()  # in the middle
        collector.process.wait()
        hand_over_some(20)
        before.kill()  # with a queue that nobody has taken
        before.start()
        hand_over_some(5)
        collector = collect_at(place, ours)
        hand_over_some(5)
        collector.process.kill()
        collector.process.wait()
        hand_over_some(5)
        collector = collect_at(place, ours)
        wait_for(lambda: len(set(arrived(collector))) == sent * POINTS, "all points arrive")
        assert arrived(collector) == list(range(sent * POINTS))
        assert before.stop() == 0


@pytest.mark.peers
@pytest.mark.needs(OTELCOL)
def test_what_is_true_of_all_senders_is_added_and_nothing_is_changed(place: Place) -> None:
    """OTEL_RESOURCE_ATTRIBUTES joins each resource; what a sender says stays; nothing tells of the gateway."""
    ours = Addresses()
    collector = collect_at(place, ours)
    said = "deployment.environment.name=lab,service.name=gateway"
    with gateway(place, CONFIG, COLLECTOR=f"http://{ours.http}", OTEL_RESOURCE_ATTRIBUTES=said) as before:
        hand_over(before.http, numbered(0))
        wait_for(lambda: arrived(collector), "points arrive")
    (row,) = place.rows("SELECT DISTINCT resource FROM points")
    resource = json.loads(row[0])
    assert resource == {**identity(), "deployment.environment.name": "lab"}


@pytest.mark.peers
@pytest.mark.needs(OTELCOL)
def test_a_full_queue_refuses_retryably(place: Place) -> None:
    """With nobody behind it, it answers 503 beyond `queue_size`, and takes all again once there is room."""
    ours = Addresses()
    config = CONFIG.replace("queue_size: 1073741824", "queue_size: 20000")
    assert config != CONFIG
    with gateway(place, config, COLLECTOR=f"http://{ours.http}") as before:
        taken = 0
        while before.post(numbered(taken * POINTS)) == 200:
            taken += 1
            assert taken < 1000
        assert taken > 0
        assert before.post(numbered(taken * POINTS)) == 503
        collector = collect_at(place, ours)
        wait_for(lambda: len(arrived(collector)) == taken * POINTS, "what was taken arrives")
        hand_over(before.http, numbered(taken * POINTS))
        wait_for(lambda: len(arrived(collector)) == (taken + 1) * POINTS, "it takes points again")


@pytest.mark.peers
@pytest.mark.needs(OTELCOL)
@pytest.mark.skipif(not can_close(), reason="no mounts of its own here")
def test_a_full_disk_refuses_retryably(place: Place) -> None:
    """Before the queue's own bound: 503, and all that was acknowledged arrives once; then it takes points again."""
    ours = Addresses()
    with gateway(place, CONFIG, disk_kib=256, COLLECTOR=f"http://{ours.http}") as before:
        taken = 0
        while before.post(numbered(taken * POINTS)) == 200:
            taken += 1
            assert taken < 5000
        assert taken > 0
        assert before.post(numbered(taken * POINTS)) == 503
        assert "no space left" in before.said()
        collector = collect_at(place, ours)
        wait_for(lambda: len(arrived(collector)) == taken * POINTS, "what was taken arrives")
        hand_over(before.http, numbered(taken * POINTS))
        wait_for(lambda: arrived(collector) == list(range((taken + 1) * POINTS)), "it takes points again")


@pytest.mark.peers
@pytest.mark.needs(OTELCOL)
@pytest.mark.parametrize("detectors", ["[env, ec2]", "[env, gcp]", "[env, azure]"])
def test_the_detectors_that_are_offered_are_known(place: Place, detectors: str) -> None:
    """Each cloud's section has keys that the Collector takes."""
    (place.home / "gateway.yaml").write_text(CONFIG)
    done = subprocess.run(
        [OTELCOL.path, "validate", "--config", place.home / "gateway.yaml"],
        env=place.environment(GATEWAY_DETECTORS=detectors),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# In Kubernetes


@pytest.mark.peers
@pytest.mark.needs(OTELCOL)
def test_kubernetes_knows_the_pod_that_sends(place: Place) -> None:
    """By its address, of an API that allows what the role has and no more; the token is asked for, and presented."""
    with in_kubernetes(place, OBJECTS["ClusterRole"]["rules"]) as (before, collector, api):
        assert before.post(numbered(0)) == 401  # without the token
        wait_for(lambda: POD_NAMES.items() <= sent_and_stored(before, collector).items(), "the pod's names arrive")
        assert before.stop() == 0
        assert api.refused == []


@pytest.mark.peers
@pytest.mark.needs(OTELCOL)
def test_points_come_where_kubernetes_says_nothing(place: Place) -> None:
    """An API that refuses: points arrive without the pod's names."""
    with in_kubernetes(place, []) as (before, collector, api):
        wait_for(lambda: api.refused, "it has asked")
        assert sent_and_stored(before, collector) == identity()


POD_NAMES = {"k8s.namespace.name": "flows", "k8s.pod.name": "train-17-x", "k8s.pod.uid": "u-1"}
POD_NAMES |= {"k8s.node.name": "node-3", "k8s.job.name": "train-17"}


@contextlib.contextmanager
def in_kubernetes(place: Place, rules: list[dict[str, Any]]) -> Iterator[tuple[Gateway, RunningCollector, Api]]:
    """The manifest's configuration, with ours behind it, where this machine is a pod's address."""
    ours, token = Addresses(), place.home / "token"
    token.write_text("sesame")
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "train-17", "uid": "u-job", "controller": True}
    pod = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": "train-17-x", "namespace": "flows", "uid": "u-1", "ownerReferences": [owner]},
        "spec": {"nodeName": "node-3"},
        "status": {"podIP": "127.0.0.1", "phase": "Running", "startTime": "2026-11-22T03:00:00Z"},
    }
    with kubernetes_api({"pods": [pod]}, rules) as api:
        context = {"clusters": [{"name": "k", "cluster": {"server": api.url}}], "users": [{"name": "k", "user": {}}]}
        context |= {"contexts": [{"name": "k", "context": {"cluster": "k", "user": "k"}}], "current-context": "k"}
        (place.home / "kubeconfig").write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **context}))
        config = IN_KUBERNETES.replace("auth_type: serviceAccount", "auth_type: kubeConfig")
        config = config.replace("/etc/stepsize-token/token", str(token)).replace("stepsize-collector:4318", ours.http)
        collector = place.collect(json.dumps(asking_for(token, ours)))
        variables = {one["name"]: one["value"] for one in CONTAINER["env"]}
        with gateway(place, config, KUBECONFIG=str(place.home / "kubeconfig"), **variables) as before:
            yield before, collector, api


def asking_for(token: Path, ours: Addresses) -> dict[str, Any]:
    """A collector of ours as deploy/kubernetes has it."""
    auth = {"auth": {"authenticator": "bearertokenauth"}}
    protocols = {"grpc": {"endpoint": ours.grpc, **auth}, "http": {"endpoint": ours.http, **auth}}
    pipeline = {"receivers": ["otlp"], "exporters": ["parquet"]}
    return {
        "receivers": {"otlp": {"protocols": protocols}},
        "exporters": {"parquet": {}},
        "extensions": {"bearertokenauth": {"filename": str(token)}},
        "service": {"extensions": ["bearertokenauth"], "pipelines": {"metrics": pipeline}},
    }


def sent_and_stored(before: Gateway, collector: RunningCollector) -> dict[str, Any]:
    """Send points; what the lake's newest say of where they came from."""
    assert before.post(numbered(0), authorization="Bearer sesame") == 200
    newest = "SELECT resource FROM points ORDER BY time DESC LIMIT 1"
    wait_for(lambda: collector.flush() or collector.place.rows(newest), "points arrive")
    found: dict[str, Any] = json.loads(collector.place.rows(newest)[0][0])
    return found


def test_the_role_allows_what_is_asked_for() -> None:
    """To list pods and to be told of changes, and nothing else."""
    assert OBJECTS["ClusterRole"]["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}]


def test_the_service_leads_to_what_is_served() -> None:
    """Ports, probes, token, queue and configuration are where the configuration has them."""
    config = yaml.safe_load(IN_KUBERNETES)
    served = {config["receivers"]["otlp"]["protocols"][kind]["endpoint"] for kind in ("grpc", "http")}
    served.add(config["extensions"]["health_check"]["endpoint"])
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert {f"0.0.0.0:{port}" for port in ports.values()} == served
    for port in OBJECTS["Service"]["spec"]["ports"]:
        assert ports[port["targetPort"]] == port["port"]
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert config["extensions"]["bearertokenauth"]["filename"] == f"{mounts['token']}/token"
    assert Path(config["extensions"]["file_storage"]["directory"]).parent == Path(mounts["queue"])
    assert CONTAINER["args"][1] == f"{mounts['config']}/config.yaml"
    collector = (DEPLOY.parent / "kubernetes/collector.yaml").read_text("utf-8")
    assert config["exporters"]["otlp_http"]["endpoint"] == "http://stepsize-collector:4318"
    assert "{name: otlp-http, port: 4318" in collector


@pytest.mark.parametrize("text", [CONFIG, IN_KUBERNETES], ids=["compose", "kubernetes"])
def test_what_is_acknowledged_is_on_disk_and_sent_as_it_came(text: str) -> None:
    """The queue is synced; nothing batches, so that ours knows again what it has; nothing is ever given up."""
    config = yaml.safe_load(text)
    (exporter,) = config["exporters"].values()
    assert exporter["sending_queue"]["storage"] in config["service"]["extensions"]
    assert "batch" not in exporter["sending_queue"]
    assert config["extensions"]["file_storage"]["fsync"] is True
    assert exporter["retry_on_failure"]["max_elapsed_time"] == "0s"
    processors = config["service"]["pipelines"]["metrics"]["processors"]
    assert processors[0] == "memory_limiter"
    assert "batch" not in processors


def test_the_image_is_the_one_that_is_tested() -> None:
    """One version and digest everywhere, which `tests/interop/otelcol` builds."""
    root = DEPLOY.parents[1]
    (image,) = {
        match.groups()
        for file in (DEPLOY / "Dockerfile", DEPLOY / "kubernetes.yaml")
        for match in PINNED.finditer(file.read_text("utf-8"))
    }
    built = (root / "tests/interop/otelcol/go.mod").read_text("utf-8")
    assert set(re.findall(r"collector-contrib/processor/\w+ v(\S+)", built)) == {image[0]}
    assert OTELCOL.name.endswith(image[0])
    assert f"stepsize-gateway:{image[0]}" in (root / "docker-compose.yml").read_text("utf-8")
