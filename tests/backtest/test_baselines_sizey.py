"""Sizey's models, offsets and ensemble."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from stepsize.analyzer.backtest.baselines.sizey import Sizey, kendall_tau
from stepsize.analyzer.backtest.baselines.sizey_learn import all_models
from stepsize.analyzer.backtest.baselines.sizey_models import Line, Neighbours, accuracies, folds
from stepsize.analyzer.backtest.baselines.sizey_offsets import dynamic_offset
from stepsize.errors import UsageError
from tests.backtest.baseline_tasks import finished, retry_mib, size_mib, task, taught


def test_folds_are_contiguous_and_the_larger_ones_come_first() -> None:
    """Twelve tasks in ten folds; three tasks in three."""
    assert folds(12).tolist() == [0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert folds(3).tolist() == [0, 1, 2]


def test_accuracy_is_minus_the_mean_relative_error() -> None:
    """Errors of 0 and 0.5 / 1: -0.25. A target of 0 that is missed counts as 1: -0.5."""
    fold = np.array([0, 1])
    assert accuracies(np.array([0.5, 1.0]), np.array([[0.5], [0.5]]), fold) == pytest.approx([-0.25])
    assert accuracies(np.array([0.0, 1.0]), np.array([[0.5], [1.0]]), fold) == pytest.approx([-0.5])


def test_the_line() -> None:
    """Through (0, 0), (0.5, 0.5), (1, 1) it predicts 0.25 at 0.25, and each point from the other two."""
    line = Line()
    x = np.array([0.0, 0.5, 1.0])
    assert line.fit(x, x) == pytest.approx(0, abs=1e-6)
    assert line.predict(np.array([0.25])) == pytest.approx([0.25])


def test_the_neighbours() -> None:
    """Two clusters, of 0 and of 1: near either it is that, and what stands at a known place is what was seen there."""
    neighbours = Neighbours()
    x = np.array([0.0, 1.0, 0.01, 0.99, 0.02, 0.98, 0.03, 0.97])
    neighbours.fit(x, np.round(x))
    assert neighbours.predict(np.array([0.015, 0.985, 1.0])) == pytest.approx([0, 1, 1])


def test_offsets_know_nothing_at_first() -> None:
    """Without an error 5 % are added."""
    assert dynamic_offset(np.array([]), np.array([100.0]), np.array([120.0])) == 0.05


def test_the_offset_that_would_have_wasted_least() -> None:
    """Predicted 100, needed 120: 0.2 wastes nothing; 0.05 fails and wastes 105 + 210 - 120."""
    assert dynamic_offset(np.array([0.2]), np.array([100.0]), np.array([120.0])) == 0.2


def test_kendalls_tau() -> None:
    """1, 2, 3 against 1, 3, 2: two pairs agree, one does not: 1/3. What does not vary has none."""
    assert kendall_tau(np.array([1.0, 2, 3]), np.array([1.0, 3, 2])) == pytest.approx(1 / 3)
    assert kendall_tau(np.array([1.0, 1, 1]), np.array([1.0, 3, 2])) == 0


def test_one_task_is_enough() -> None:
    """1000 and the first 5 %."""
    assert size_mib(taught(Sizey(), 1000)) == pytest.approx(1050)


def test_what_follows_the_input_is_predicted() -> None:
    """Twenty peaks of a tenth of the input: about 150 at 1500, no more than the offset above it."""
    rule = Sizey()
    for number in range(20):
        rule.learn(finished(100 + 5 * number, 1000 + 50 * number))
    assert size_mib(rule, task(1500)) == pytest.approx(150, rel=0.06)


def test_a_repetition_gets_the_largest_or_the_double() -> None:
    """1000 after 500; 1980 after 990, since 1000 is not 5 % more; 1000 for a larger input too, as peaks do not rise."""
    rule = Sizey()
    for peak, size in ((1000, 1), (500, 2), (400, 3)):
        rule.learn(finished(peak, size))
    assert [retry_mib(rule, 500), retry_mib(rule, 990), retry_mib(rule, 500, of=task(9))] == [1000, 1980, 1000]


def test_a_repetition_of_the_largest_input_doubles_where_peaks_rise() -> None:
    """Peaks rise with inputs: beyond the largest input the largest peak says little."""
    rule = Sizey()
    for peak, size in ((400, 1), (500, 2), (1000, 3)):
        rule.learn(finished(peak, size))
    assert [retry_mib(rule, 600, of=task(2)), retry_mib(rule, 600, of=task(4))] == [1000, 1200]


def test_the_forest_and_the_network_say_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without scikit-learn there is one clear line."""
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(UsageError, match=r"pip install 'stepsize\[bench\]'"):
        all_models()


def test_all_four_models_take_part_where_asked_for() -> None:
    """With scikit-learn: a step function of the input is learned, the same twice."""
    pytest.importorskip("sklearn", reason="scikit-learn is an extra")
    answers = []
    for _ in range(2):
        rule = Sizey(all_models)
        for number in range(12):
            rule.learn(finished(1000 if number % 2 else 100, 10 if number % 2 else 1))
        answers.append((size_mib(rule, task(10)), size_mib(rule, task(1))))
    assert answers[0] == answers[1]
    assert answers[0][0] > 700
    assert answers[0][1] < 400
