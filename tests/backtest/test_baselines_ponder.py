"""Ponder."""

from __future__ import annotations

import numpy as np
import pytest

from stepsize.analyzer.backtest.baselines.ponder import Ponder, lopsided_line, nearby_variance
from tests.backtest.baseline_tasks import REQUEST_MIB, finished, retry_mib, size_mib, task, taught


def test_the_first_five_go_by_a_larger_input() -> None:
    """After one task (input 10, peak 1000) an input of 5 gets 1000 + 128, one of 20 the user's request."""
    rule = Ponder()
    rule.learn(finished(1000, 10))
    assert size_mib(rule, task(5)) == 1128
    assert size_mib(rule, task(20)) == REQUEST_MIB


def test_without_a_relation_it_is_the_largest_peak() -> None:
    """Five tasks without inputs, the largest 300: 300 + 128."""
    assert size_mib(taught(Ponder(), 100, 300, 200, 150, 120)) == 428


def test_with_a_relation_it_is_the_line() -> None:
    """Peaks as large as their inputs, 1000 to 5000: 3500 + 128 at 3500, and 5500 + 128 beyond the largest input."""
    rule = Ponder()
    for size in (1000, 2000, 3000, 4000, 5000):
        rule.learn(finished(size, size))
    assert size_mib(rule, task(3500)) == 3628
    assert size_mib(rule, task(5500)) == 5628


def test_the_answer_stays_between_the_peaks_seen() -> None:
    """Below the smallest peak it is that peak: 1000 + 128 at an input of 1."""
    rule = Ponder()
    for size in (1000, 2000, 3000, 4000, 5000):
        rule.learn(finished(size, size))
    assert size_mib(rule, task(1)) == 1128


def test_the_request_is_never_exceeded_where_it_is_known() -> None:
    """6500 + 128 at an input of 6500, but 6000 were asked for. Where nobody asked, the prediction stands."""
    rule = Ponder()
    for size in (1000, 2000, 3000, 4000, 5000):
        rule.learn(finished(size, size))
    assert size_mib(rule, task(6500)) == REQUEST_MIB
    assert size_mib(rule, task(6500, request_known=False)) == 6628


def test_a_repetition_gets_the_request_then_doubles() -> None:
    """1128 failed: 6000; 6000 failed: 12000."""
    assert [retry_mib(Ponder(), failed) for failed in (1128, 6000)] == [6000, 12000]


def test_a_lopsided_line_lies_high() -> None:
    """At -1, 0 and 1 the peaks are 0, 1 and 0: level, where (1 - c)^2 + 2 * 0.02 c^2 is least: c = 1 / 1.04."""
    slope, intercept = lopsided_line(np.array([-1.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0]))
    assert (slope, intercept) == pytest.approx((0, 1 / 1.04))


def test_a_lopsided_line_is_the_least_of_its_cost() -> None:
    """No line nearby costs less."""
    random = np.random.default_rng(7)
    inputs = random.uniform(0, 10, 40)
    peaks = 3 + 2 * inputs + random.exponential(2, 40)

    def cost(line: tuple[float, float]) -> float:
        errors = peaks - line[0] * inputs - line[1]
        return float((np.where(errors > 0, 1.0, 0.02) * errors**2).sum())

    slope, intercept = lopsided_line(inputs, peaks)
    nearby = [(slope + d, intercept + e) for d in (-0.01, 0, 0.01) for e in (-0.01, 0, 0.01)]
    assert min(map(cost, nearby)) == cost((slope, intercept))


def test_the_variance_nearby() -> None:
    """Of 1 and -1 it is the sample variance of two, 2, wherever one asks: the weights only move the mean."""
    errors, inputs = np.array([1.0, -1.0]), np.array([0.0, 10.0])
    assert nearby_variance(errors, inputs, 0.0) == pytest.approx(2)


def test_the_variance_forgets_what_lies_farthest() -> None:
    """From ten tasks on the farthest weighs nothing: nine errors of 0 nearby and one of 100 far away vary by 0."""
    errors = np.array([0.0] * 9 + [100.0])
    assert nearby_variance(errors, np.array([1.0] * 9 + [50.0]), 1.0) == pytest.approx(0)
    assert nearby_variance(errors, np.array([1.0] * 9 + [50.0]), 50.0) == 0
