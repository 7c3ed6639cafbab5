"""What a step asks for, read from Metaflow's own decorators and compared with what Metaflow makes of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from metaflow.plugins.aws.batch.batch_client import BatchJob
from metaflow.plugins.aws.batch.batch_decorator import BatchDecorator
from metaflow.plugins.kubernetes.kube_utils import qos_requests_and_limits
from metaflow.plugins.kubernetes.kubernetes_decorator import KubernetesDecorator
from metaflow.plugins.resources_decorator import ResourcesDecorator
from metaflow.plugins.timeout_decorator import TimeoutDecorator

from metaflow_extensions.stepsize.plugins.request import VARIABLE, carried_request, requested
from stepsize.model import Request

MB, MIB, GIB = 10**6, 2**20, 2**30
S3 = SimpleNamespace(TYPE="s3")


def decorated(*kinds: tuple[Any, dict[str, Any]]) -> list[Any]:
    """A step's decorators with their values, before any of them has looked at the others."""
    decorators = [kind(attributes=attributes) for kind, attributes in kinds]
    for decorator in decorators:
        getattr(decorator, "external_init", decorator.init)()  # older Metaflows know `init` alone
    return decorators


def merged(decorators: list[Any]) -> list[Any]:
    """The same once Metaflow has merged them."""
    for decorator in decorators:
        decorator.step_init(None, None, "train", decorators, None, S3, None)
    return decorators


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([], Request(cpu=1, memory_bytes=4096 * MB)),
        ([(ResourcesDecorator, {})], Request(cpu=1, memory_bytes=4096 * MB)),
        ([(ResourcesDecorator, {"cpu": 8, "memory": 16000})], Request(cpu=8, memory_bytes=16000 * MB)),
        ([(ResourcesDecorator, {"cpu": "0.5", "memory": "512"})], Request(cpu=0.5, memory_bytes=512 * MB)),
        (
            [(ResourcesDecorator, {"gpu": 2, "disk": 20_000, "shared_memory": 64})],
            Request(cpu=1, memory_bytes=4096 * MB, gpu=2, disk_bytes=20_000 * MB, shared_memory_bytes=64 * MIB),
        ),
        (
            [(TimeoutDecorator, {"hours": "1", "minutes": 30, "seconds": 5})],
            Request(cpu=1, memory_bytes=4096 * MB, timeout_s=5405.0),
        ),
        # What is no number is not known, which is not the default.
        ([(ResourcesDecorator, {"cpu": "many", "memory": "8GB"})], Request()),
    ],
)
def test_a_local_step_asks_for_its_resources(kinds: list[tuple[Any, dict[str, Any]]], expected: Request) -> None:
    """Metaflow's defaults where nothing is said; a MB is 10^6 bytes, a MiB of /dev/shm 2^20."""
    assert requested(merged(decorated(*kinds)), {}) == expected


SIZES = st.one_of(st.none(), st.integers(1, 10**6), st.integers(1, 10**6).map(str))
COUNTS = st.one_of(st.none(), st.integers(0, 16), st.integers(0, 16).map(str))
ASKED = st.fixed_dictionaries({}, optional={"cpu": SIZES, "memory": SIZES, "gpu": COUNTS}).map(
    lambda asked: {key: value for key, value in asked.items() if value is not None}
)


@given(own=ASKED, disk=st.integers(1, 10**5), shared=st.one_of(st.none(), st.integers(1, 4096)), resources=ASKED)
def test_a_pod_asks_for_what_its_job_spec_says(
    own: dict[str, Any], disk: int, shared: int | None, resources: dict[str, Any]
) -> None:
    """The quantities that Metaflow writes into the pod, whether its decorators have been merged yet or not."""
    decorators = decorated(
        (KubernetesDecorator, {**own, "disk": disk, "shared_memory": shared}), (ResourcesDecorator, resources)
    )
    early = requested(decorators, {})
    final = merged(decorators)[0].attributes
    asked, _ = qos_requests_and_limits(final["qos"], final["cpu"], final["memory"], final["disk"])
    assert asked["memory"].endswith("M")
    assert asked["ephemeral-storage"].endswith("M")
    assert requested(decorators, {}) == early
    assert early == Request(
        cpu=float(asked["cpu"]),
        memory_bytes=round(float(asked["memory"][:-1]) * MB),
        gpu=None if final["gpu"] is None else float(final["gpu"]),
        disk_bytes=round(float(asked["ephemeral-storage"][:-1]) * MB),
        shared_memory_bytes=None if final["shared_memory"] is None else final["shared_memory"] * MIB,
    )


@given(own=ASKED, resources=st.one_of(st.none(), ASKED))
def test_a_batch_job_asks_for_what_its_payload_says(own: dict[str, Any], resources: dict[str, Any] | None) -> None:
    """AWS Batch takes MiB."""
    kinds = [(BatchDecorator, own)] + ([] if resources is None else [(ResourcesDecorator, resources)])
    decorators = merged(decorated(*kinds))
    final = decorators[0].attributes
    job = BatchJob(None).cpu(final["cpu"]).memory(final["memory"]).gpu(final["gpu"])
    asked = {row["type"]: float(row["value"]) for row in job.payload["containerOverrides"]["resourceRequirements"]}
    request = requested(decorators, {})
    assert request.cpu == asked["VCPU"]
    assert request.memory_bytes == asked["MEMORY"] * MIB
    assert request.gpu == asked.get("GPU", 0)


def test_the_disk_of_a_batch_job_is_fargates() -> None:
    """In GiB; `@resources(disk=…)` is for Kubernetes alone."""
    decorators = merged(decorated((BatchDecorator, {"ephemeral_storage": 40}), (ResourcesDecorator, {"disk": 9000})))
    assert requested(decorators, {}).disk_bytes == 40 * GIB
    assert requested(merged(decorated((BatchDecorator, {}))), {}).disk_bytes is None


@given(
    st.fixed_dictionaries(
        {},
        optional={unit: st.integers(0, 400) | st.integers(0, 9).map(str) for unit in ("hours", "minutes", "seconds")},
    )
)
def test_a_timeout_is_what_metaflow_makes_of_it(given: dict[str, Any]) -> None:
    """On whatever machine the step runs, as Metaflow adds its parts up; a pod is told by its variable."""
    decorators = decorated((TimeoutDecorator, given), (KubernetesDecorator, {}))
    seconds = decorators[0].secs
    assert requested(decorators, {}).timeout_s == (seconds or None)
    assert requested(decorators, carried_request(decorators)).timeout_s == (seconds or None)


def test_a_pod_knows_the_sites_defaults_that_it_cannot_see() -> None:
    """METAFLOW_KUBERNETES_* reach the launcher alone; a variable tells the pod, and no other task believes it."""
    program = (
        "import json; from metaflow.plugins.kubernetes.kubernetes_decorator import KubernetesDecorator as K\n"
        "from metaflow_extensions.stepsize.plugins.request import carried_request\n"
        "k = K(); getattr(k, 'external_init', k.init)(); print(json.dumps(carried_request([k])))"
    )
    site = {
        "METAFLOW_KUBERNETES_CPU": "3",
        "METAFLOW_KUBERNETES_MEMORY": "9000",
        "METAFLOW_KUBERNETES_DISK": "5000",
        "METAFLOW_KUBERNETES_SHARED_MEMORY": "128",
    }
    launcher = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | site, capture_output=True, text=True, check=True
    )
    environment = json.loads(launcher.stdout)
    pod = merged(decorated((KubernetesDecorator, {})))
    assert requested(pod, environment) == Request(
        cpu=3, memory_bytes=9000 * MB, disk_bytes=5000 * MB, shared_memory_bytes=128 * MIB
    )
    assert requested([], environment) == Request(cpu=1, memory_bytes=4096 * MB)
    assert carried_request([]) == {}
    assert requested(pod, {VARIABLE: "damaged"}) == requested(pod, {})
