"""Cores that the default policy asks for."""

from __future__ import annotations

import pytest

from stepsize.analyzer.sizing.least_cost import safe
from tests.analyzer.cpu.steps import step
from tests.analyzer.rows import evidence, tasks

POLICY = safe()


def cpu(cores: dict[float, float], requested: float | None = 8.0, count: int = 3, **values: object) -> float | None:
    """Cores to ask for, with the request where it is to be kept."""
    answer = POLICY.recommend(step(cores, requested, count, **values))
    return requested if answer.cpu.value is None else answer.cpu.value


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        ({1.0: 60}, 1),
        ({0.01: 60}, 1),
        ({0.1: 90, 4.0: 10}, 4),  # busy a tenth of the time: the mean, 0.5, would starve it
        ({0.1: 199, 4.0: 1}, 1),  # one second in two hundred is not worth three cores
        ({3.6: 60}, 4),
        ({5.9: 60}, 6),
    ],
)
def test_cores_are_those_that_were_enough_nearly_always(cores: dict[float, float], expected: int) -> None:
    """By the distribution over time, not by its mean."""
    assert cpu(cores) == expected


def test_cpu_time_of_children_between_samples_counts() -> None:
    """Samples saw an idle step, its CPU time says two cores."""
    assert cpu({0.1: 60}, cpu_seconds=40.0, duration_s=20.0) == 2


def test_cpu_time_over_hardly_any_run_time_is_no_number_of_cores() -> None:
    """Half a CPU second booked on an attempt that lived for a tenth of one is not five cores."""
    answer = POLICY.recommend(evidence(*tasks([600], cpu_seconds=0.5, duration_s=0.1), cores={}))
    assert answer.cpu.value is None


@pytest.mark.parametrize(("requested", "expected"), [(1.0, 1), (8.0, 8), (None, 1)])
def test_a_step_over_in_a_moment_says_nothing_of_cores(requested: float | None, expected: float) -> None:
    """Four milliseconds on three cores, histogram and all: the request stays, with the reason; without one it is 1."""
    seen = tasks([600], requested_cpu=requested, duration_s=0.004, cpu_seconds=0.012, cpu_max=3.0, cpu_mean=3.0)
    answer = POLICY.recommend(evidence(*seen, cores={3.0: 0.004}))
    assert (requested if answer.cpu.value is None else answer.cpu.value) == expected
    assert any("4 ms in all are too short" in reason for reason in answer.cpu.reasons)


def test_moments_add_up() -> None:
    """Three hundred tasks of 4 ms are more than a second."""
    assert cpu({3.0: 1.2}, requested=1.0, count=300) == 3


def test_cores_beyond_those_asked_for_are_explained() -> None:
    """1.04 cores were enough and 1 is kept, or asked for: a reader wonders."""
    for requested in (1.0, 4.0):
        seen = tasks([600] * 3, requested_cpu=requested, cpu_seconds=60.5, cpu_max=1.04)
        reasons = POLICY.recommend(evidence(*seen, cores={1.04: 180})).cpu.reasons
        assert any("1.04 cores were enough" in reason for reason in reasons)
        assert any("above 1 is no more than measuring may add" in reason for reason in reasons)
    reasons = POLICY.recommend(evidence(*tasks([600] * 3))).cpu.reasons
    assert not any("measuring" in reason for reason in reasons)


@pytest.mark.parametrize(("used", "expected"), [(93.0, 90), (96.0, 96)])
def test_many_cores_are_not_edited_for_less_than_a_bucket(used: float, expected: int) -> None:
    """93 where 90 are asked for may be 90; 96 are not."""
    assert cpu({used: 60}, requested=90.0) == expected


def test_a_step_held_back_by_a_quota_keeps_its_cores() -> None:
    """What it used is not what it could have used."""
    assert cpu({1.0: 60}, throttled_s=5.0) == 8


def test_cores_beyond_the_request_are_raised_and_explained() -> None:
    """Where the platform enforces nothing, a library takes every core of the host."""
    used = tasks([600], requested_cpu=1.0, host_cpus=8, cpu_max=7.9, cpu_seconds=474.0)
    answer = POLICY.recommend(evidence(*used, cores={7.9: 60}))
    assert answer.cpu.value == 8
    assert any("the request was no limit" in reason for reason in answer.cpu.reasons)
    assert any("the host's 8 cores" in reason for reason in answer.cpu.reasons)
