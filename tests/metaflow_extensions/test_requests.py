"""What a step asks for, read from Metaflow's own decorators."""

from __future__ import annotations

from typing import Any

import pytest
from metaflow.plugins.aws.batch.batch_decorator import BatchDecorator
from metaflow.plugins.kubernetes.kubernetes_decorator import KubernetesDecorator
from metaflow.plugins.resources_decorator import ResourcesDecorator

from metaflow_extensions.stepsize.plugins.request import requested
from stepsize.model import Request

MB, MIB = 10**6, 2**20


@pytest.mark.parametrize(
    ("decorators", "expected"),
    [
        ([], Request(cpu=1, memory_bytes=4096 * MB)),
        ([(ResourcesDecorator, {})], Request(cpu=1, memory_bytes=4096 * MB)),
        ([(ResourcesDecorator, {"cpu": 8, "memory": 16000})], Request(cpu=8, memory_bytes=16000 * MB)),
        ([(ResourcesDecorator, {"cpu": "0.5", "memory": "512"})], Request(cpu=0.5, memory_bytes=512 * MB)),
        (
            [(ResourcesDecorator, {"gpu": 2, "disk": 20_000})],
            Request(cpu=1, memory_bytes=4096 * MB, gpu=2, disk_bytes=20_000 * MB),
        ),
        # The compute decorator holds what Metaflow merged by the time a task runs: it wins, in its own megabytes.
        (
            [(ResourcesDecorator, {"cpu": 2}), (KubernetesDecorator, {"cpu": 4, "memory": 9000, "disk": 10240})],
            Request(cpu=4, memory_bytes=9000 * MB, disk_bytes=10240 * MB),
        ),
        ([(BatchDecorator, {"cpu": 4, "memory": 9000})], Request(cpu=4, memory_bytes=9000 * MIB)),
        # What is no number is not known, which is not the default.
        ([(ResourcesDecorator, {"cpu": "many", "memory": "8GB"})], Request()),
    ],
)
def test_a_request_is_what_metaflow_merges(decorators: list[tuple[Any, dict[str, Any]]], expected: Request) -> None:
    """Metaflow's defaults where nothing is said; MB of 10^6 bytes, on Batch of 2^20."""
    assert requested([kind(attributes=attributes) for kind, attributes in decorators]) == expected
