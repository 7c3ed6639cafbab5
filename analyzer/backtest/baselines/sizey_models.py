"""The two of Sizey's regressors that need no library: a least-squares line, and nearest neighbours.

What comes in: one feature and a target, both scaled to [0, 1]. What goes out: predictions, and the accuracy that
cross-validation finds: minus the mean relative error, each at most 1; 0 of a single task. Pure.

Source: ``approach/linear_regression_predictor.py`` and ``approach/knn_regression_predictor.py`` of dos-group/sizey at
ae61efb: ``smoothed_mape``, ten folds in the order of arrival, 2, 3, 5, 7 or 9 neighbours, uniform or weighted by
distance, the most accurate of them. With fewer than ten tasks there are as many folds as tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats, Integers

FOLDS = 10
_NEIGHBOURS = (2, 3, 5, 7, 9)
_EPSILON = 1e-8
_LEAST_SPREAD = 1e-12
_LEAST_WEIGHT = 1e-300
_SAME_PLACE = 1e-12


class Model(Protocol):
    """A regressor of one feature."""

    def fit(self, x: Floats, y: Floats) -> float:
        """Learns from these tasks, in the order of arrival; answers the accuracy, from -1 to 0."""
        ...

    def predict(self, x: Floats) -> Floats:
        """The target at each of ``x``."""
        ...


def folds(count: int) -> Integers:
    """The fold of each task: contiguous, of equal size as far as that goes, the larger ones first."""
    number = min(FOLDS, count)
    sizes = np.full(number, count // number)
    sizes[: count % number] += 1
    return np.repeat(np.arange(number), sizes)


def accuracies(y: Floats, predicted: Floats, fold: Integers) -> Floats:
    """For each column of predictions the mean over folds of minus the mean relative error, each error at most 1."""
    errors = np.minimum(np.abs((y[:, None] - predicted) / (y[:, None] + _EPSILON)), 1.0)
    starts = np.searchsorted(fold, np.arange(fold[-1] + 1))
    sizes = np.bincount(fold)[:, None]
    return np.asarray(-(np.add.reduceat(errors, starts, axis=0) / sizes).mean(axis=0))


class Line:
    """Least squares."""

    def __init__(self) -> None:
        self._slope = self._intercept = 0.0

    def fit(self, x: Floats, y: Floats) -> float:
        """See :class:`Model`."""
        fold = folds(len(x))
        moments = np.array([np.ones_like(x), x, y, x * x, x * y])
        of_fold = np.array([np.bincount(fold, moment) for moment in moments])
        total = moments.sum(axis=1)[:, None]
        self._slope, self._intercept = (float(v[0]) for v in _lines(total))
        if len(x) == 1:
            return 0.0
        slopes, intercepts = _lines(total - of_fold)
        return float(accuracies(y, (slopes[fold] * x + intercepts[fold])[:, None], fold)[0])

    def predict(self, x: Floats) -> Floats:
        """See :class:`Model`."""
        return self._slope * x + self._intercept


def _lines(moments: Floats) -> tuple[Floats, Floats]:
    """Slopes and intercepts from counts and sums of x, y, x squared, x times y; level where x does not vary."""
    count, sx, sy, sxx, sxy = moments
    spread = sxx - sx * sx / count
    varies = spread > _LEAST_SPREAD
    slopes = np.divide(sxy - sx * sy / count, spread, out=np.zeros_like(spread), where=varies)
    return slopes, (sy - slopes * sx) / count


class Neighbours:
    """The mean of the nearest, whose number and weighting are those that were most accurate."""

    def __init__(self) -> None:
        self._x: Floats = np.empty(0)
        self._y: Floats = np.empty(0)
        self._number = 1
        self._by_distance = False

    def fit(self, x: Floats, y: Floats) -> float:
        """See :class:`Model`."""
        self._x, self._y = x, y
        self._number, self._by_distance = 1, False
        if len(x) == 1:
            return 0.0
        fold = folds(len(x))
        distances = np.abs(x[:, None] - x[None, :])
        distances[fold[:, None] == fold[None, :]] = np.inf
        available = len(x) - int(np.bincount(fold).max())
        tried = [number for number in _NEIGHBOURS if number <= available] or [1]
        nearest = np.argsort(distances, axis=1, kind="stable")[:, : tried[-1]]
        near = distances[np.arange(len(x))[:, None], nearest]
        columns = np.array(tried) - 1
        means = _means(y[nearest]), _means_by_distance(y[nearest], near)
        found = [accuracies(y, mean[:, columns], fold) for mean in means]
        best = int(np.argmax(np.concatenate(found)))
        self._number, self._by_distance = tried[best % len(tried)], best >= len(tried)
        return float(max(found[0].max(), found[1].max()))

    def predict(self, x: Floats) -> Floats:
        """See :class:`Model`."""
        distances = np.abs(x[:, None] - self._x[None, :])
        nearest = np.argsort(distances, axis=1, kind="stable")[:, : self._number]
        if not self._by_distance:
            return np.asarray(_means(self._y[nearest])[:, -1])
        near = distances[np.arange(len(x))[:, None], nearest]
        return np.asarray(_means_by_distance(self._y[nearest], near)[:, -1])


def _means(y: Floats) -> Floats:
    """In column k the mean of the first k + 1 of each row."""
    return np.asarray(np.cumsum(y, axis=1) / np.arange(1, y.shape[1] + 1))


def _means_by_distance(y: Floats, distances: Floats) -> Floats:
    """The same, weighted by nearness; those at the very place count alone where there are any."""
    here = distances < _SAME_PLACE
    weights = np.where(here, 0.0, 1 / np.where(here, 1.0, distances))
    of_near = np.cumsum(weights * y, axis=1) / np.maximum(np.cumsum(weights, axis=1), _LEAST_WEIGHT)
    at_place = np.cumsum(here, axis=1)
    of_place = np.cumsum(np.where(here, y, 0.0), axis=1) / np.maximum(at_place, 1)
    return np.asarray(np.where(at_place > 0, of_place, of_near))
