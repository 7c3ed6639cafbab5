"""Sizey's random forest and neural network, by scikit-learn (the extra ``bench``).

What comes in and goes out: see :class:`stepsize.analyzer.backtest.baselines.sizey_models.Model`. Seeded: the same tasks
give the same answers.

Source: ``approach/random_forest_predictor.py`` and ``approach/neural_network_predictor.py`` of dos-group/sizey at
ae61efb. Of each grid one setting is kept, the middle one (25 trees of depth 5; two layers of 7, ``lbfgs``, 0.0001): the
original tries 36 and 24 settings with five folds at each task, some seconds of work.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from stepsize.analyzer.backtest.baselines.sizey_models import Line, Model, Neighbours, accuracies, folds
from stepsize.errors import UsageError

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats

_SEED = 42


def all_models() -> tuple[Model, ...]:
    """Sizey's four regressors.

    Raises:
        UsageError: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import RandomForestRegressor  # noqa: PLC0415 -- an extra
        from sklearn.neural_network import MLPRegressor  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise UsageError("Sizey's forest and network need scikit-learn: pip install 'stepsize[bench]'") from error
    forest = RandomForestRegressor(n_estimators=25, max_depth=5, max_features=1, random_state=_SEED, n_jobs=1)
    network = MLPRegressor(hidden_layer_sizes=(7, 7), solver="lbfgs", alpha=0.0001, max_iter=200, random_state=_SEED)
    return Line(), Neighbours(), _Learned(forest), _Learned(network)


class _Learned:
    """A regressor of scikit-learn."""

    def __init__(self, regressor: Any) -> None:
        self._regressor = regressor

    def fit(self, x: Floats, y: Floats) -> float:
        """See :class:`Model`."""
        with warnings.catch_warnings():
            # A network that has not converged after its rounds is used as it is, there as here.
            warnings.simplefilter("ignore")
            found = self._cross_validated(x, y) if len(x) > 1 else 0.0
            self._regressor.fit(x[:, None], y)
        return found

    def predict(self, x: Floats) -> Floats:
        """See :class:`Model`."""
        return np.asarray(self._regressor.predict(x[:, None]))

    def _cross_validated(self, x: Floats, y: Floats) -> float:
        fold = folds(len(x))
        predicted = np.empty_like(y)
        for number in range(int(fold[-1]) + 1):
            left_out = fold == number
            self._regressor.fit(x[~left_out, None], y[~left_out])
            predicted[left_out] = self._regressor.predict(x[left_out, None])
        return float(accuracies(y, predicted[:, None], fold)[0])
