"""The contract that every installed policy keeps; a plug-in of one's own is tested by installing it beside stepsize."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.sizing.policy import Confidence, Recommendation
from stepsize.analyzer.usage import Attempt, CpuBucket, StepEvidence
from stepsize.errors import UsageError
from stepsize.model import Outcome
from tests.analyzer.rows import MB, attempt, evidence, tasks

every_policy = pytest.mark.parametrize("name", policies.installed())

sizes = st.one_of(st.none(), st.integers(0, 2**45))
attempts = st.builds(
    Attempt,
    run=st.sampled_from("12"),
    task=st.sampled_from("1234"),
    attempt=st.integers(0, 2),
    outcome=st.one_of(st.none(), st.sampled_from(Outcome)),
    started_at_s=st.one_of(st.none(), st.floats(0, 2e9)),
    duration_s=st.one_of(st.none(), st.floats(0, 1e6)),
    cpu_seconds=st.one_of(st.none(), st.floats(0, 1e6)),
    cpu_mean=st.one_of(st.none(), st.floats(0, 512)),
    cpu_max=st.one_of(st.none(), st.floats(0, 512)),
    throttled_s=st.one_of(st.none(), st.floats(0, 1e6)),
    memory_peak_bytes=sizes,
    memory_source=st.sampled_from([None, "vmhwm", "samples"]),
    memory_limit_bytes=sizes,
    gpu_count=st.one_of(st.none(), st.floats(0, 16)),
    gpu_utilization_mean=st.one_of(st.none(), st.floats(0, 16)),
    gpu_utilization_max=st.one_of(st.none(), st.floats(0, 16)),
    gpu_memory_peak_bytes=sizes,
    disk_peak_bytes=sizes,
    requested_cpu=st.one_of(st.none(), st.floats(0.1, 512)),
    requested_memory_bytes=sizes,
    requested_gpu=st.one_of(st.none(), st.floats(0, 16)),
    requested_disk_bytes=sizes,
    host_cpus=st.one_of(st.none(), st.integers(1, 512)),
)
steps = st.builds(
    StepEvidence,
    flow=st.just("F"),
    step=st.just("s"),
    attempts=st.lists(attempts, max_size=12).map(tuple),
    cpu_histogram=st.lists(
        st.builds(CpuBucket, st.integers(-128, 192), st.floats(0, 1e6)), max_size=6, unique_by=lambda b: b.bucket
    ).map(tuple),
)


def values(recommendation: Recommendation) -> dict[str, int | None]:
    names = ("cpu", "memory_mb", "gpu", "vram_mb", "disk_mb")
    return {name: getattr(recommendation, name).value for name in names}


@every_policy
def test_a_policy_knows_its_name(name: str) -> None:
    """The name that `--policy` takes is the one in the report."""
    assert policies.load(name).name == name


@every_policy
@given(step=steps)
def test_every_evidence_gets_an_answer_that_resources_takes(name: str, step: StepEvidence) -> None:
    """Whole numbers in sensible ranges or "keep", sentences, a rate that is one; never an exception."""
    answer = policies.load(name).recommend(step)
    found = values(answer)
    assert all(value is None or isinstance(value, int) for value in found.values())
    assert found["cpu"] is None or found["cpu"] >= 1
    assert found["memory_mb"] is None or found["memory_mb"] >= 128
    assert found["gpu"] is None or found["gpu"] >= 0
    assert all(re.fullmatch(r"[A-Z0-9][^\n]*\.", reason) for reason in answer.all_reasons)
    assert set(answer.held) <= set(answer.all_reasons)
    expected = answer.failures_expected_per_1000
    assert expected is None or 0 <= expected <= 1000


@every_policy
@given(step=steps, data=st.data())
def test_the_order_of_the_evidence_does_not_matter(name: str, step: StepEvidence, data: st.DataObject) -> None:
    """Two lakes with the same rows give the same advice."""
    shuffled = StepEvidence(
        flow=step.flow,
        step=step.step,
        attempts=tuple(data.draw(st.permutations(step.attempts))),
        cpu_histogram=tuple(data.draw(st.permutations(step.cpu_histogram))),
    )
    # Equal keys (the same attempt twice, with other values) have no order to speak of.
    keys = {(a.run, a.task, a.attempt, a.started_at_s) for a in step.attempts}
    if len(keys) == len(step.attempts):
        policy = policies.load(name)
        assert values(policy.recommend(shuffled)) == values(policy.recommend(step))


@every_policy
def test_nothing_but_running_attempts_keeps_everything_and_says_so(name: str) -> None:
    """No recommendation is a result with a reason."""
    running = [attempt(task=str(n), outcome=None) for n in range(4)]
    answer = policies.load(name).recommend(evidence(*running, cores={}))
    assert set(values(answer).values()) == {None}
    assert answer.all_reasons
    assert answer.confidence is Confidence.NONE


@every_policy
def test_attempts_that_still_run_change_nothing(name: str) -> None:
    """Their peak may yet come."""
    policy = policies.load(name)
    done = tasks([500, 510, 520])
    running = attempt(task="9", outcome=None, memory_peak_bytes=50_000 * MB, cpu_mean=64.0, started_at_s=0.0)
    assert values(policy.recommend(evidence(*done, running))) == values(policy.recommend(evidence(*done)))


def test_an_unknown_policy_is_refused_with_those_known() -> None:
    """Wrong usage, and what would be right."""
    with pytest.raises(UsageError, match=r"no policy is called 'best'.*balanced, cheap.*safe"):
        policies.load("best")
