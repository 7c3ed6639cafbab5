"""What holds for every test."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import settings

from stepsize.instrumentation.lifetime import ENDING_HOSTS

ORCHESTRATORS = (
    *(
        "AIRFLOW_CTX_",
        "ARGO_",
        "AWS_BATCH_",
        "CI_",
        "DAGSTER_",
        "FLYTE_",
        "GITHUB_",
        "KFP_",
        "MF_",
        "NXF_",
        "PREFECT__",
    ),
    *("SLURM_", "STEPSIZE_TRACKED", "TOWER_"),
)
"""What their variables begin with."""

# Where tests run in somebody's CI or pod, what they start is no task of it: each test says itself where its tasks run.
for _name, _ in ENDING_HOSTS:
    os.environ.pop(_name, None)
for _name in [name for name in os.environ if name.startswith(ORCHESTRATORS)]:
    del os.environ[_name]

# A shared machine stalls now and then: an example that took long is no failure.
settings.register_profile("shared", deadline=None)
settings.register_profile("gate", deadline=None, derandomize=True)  # says the same of the same code each time
settings.register_profile("deep", deadline=None, max_examples=2000)
settings.load_profile("shared")

_PEER = "peer"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test of a peer that is not here is skipped, and says why."""
    for mark in item.iter_markers("needs"):
        for peer in mark.args:
            if not peer.is_built():
                pytest.skip(f"{peer.name} is not here: {peer.obstacle() or 'make test-peers builds it'}")
            item.user_properties.append((_PEER, peer.name))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which peers were run, and with how many tests."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    names = [
        name for report in reports if report.when == "call" for key, name in report.user_properties if key == _PEER
    ]
    for name, count in sorted(Counter(names).items()):
        terminalreporter.line(f"peer: {name}: {count} tests")
