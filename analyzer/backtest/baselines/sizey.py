"""Sizey: several regressors over the input size, mixed by how accurate each is, and raised by the errors they made.

What comes in: tasks, and finished ones. What goes out: requests in bytes. While nothing is known, the user's request.

Source: Bader, Skalski, Lehmann, Scheinert, Will, Thamsen, Kao, "Sizey: memory-efficient execution of scientific
workflow tasks", IEEE CLUSTER 2024 (arXiv 2407.16353), and ``approach/sizing_tasks.py`` of dos-group/sizey at ae61efb,
as its README runs it: alpha 0, so that the RAQ score is the accuracy; softmax of the scores (beta 1); dynamic offset;
after a failure the largest peak seen, or the double where that is not clearly more or the input is the largest yet of
peaks that rise with it (Kendall's tau above 0.25).

Differs from it: of its four regressors the line and the neighbours take part; the random forest and the neural network
(``sizey_learn.py``) cost a hundred times as much and need scikit-learn, so they take part where a caller asks for them.
The newest 300 tasks count, and models are fitted when there are 10 % more. Its code puts the task's own peak among the
known ones before it chooses the offset, keeps one list of errors for all steps, and never retrains the neighbours:
here nothing of a task is known before, errors are the step's, and all are retrained. It needs ten tasks to begin, and
its authors train it on a third of a workflow's; here one is enough, to the rule's favour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.backtest.baselines.samples import Refit, Samples, input_of
from stepsize.analyzer.backtest.baselines.sizey_models import Line, Neighbours
from stepsize.analyzer.backtest.baselines.sizey_offsets import DEFAULT, dynamic_offset

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.analyzer.backtest.baselines.sizey_models import Model
    from stepsize.analyzer.sizing.memory.arrays import Floats
    from stepsize.analyzer.sizing.memory.history import Finished, Task

_NEWEST = 300
_RISES_WITH_INPUT = 0.25
_CLEARLY_MORE = 1.05


def kendall_tau(x: Floats, y: Floats) -> float:
    """Kendall's tau-b of two arrays of one length; 0 where one of them does not vary."""
    signs_x, signs_y = (np.sign(v[:, None] - v[None, :]) for v in (x, y))
    untied = np.abs(signs_x).sum() * np.abs(signs_y).sum()
    return float((signs_x * signs_y).sum() / np.sqrt(untied)) if untied else 0.0


class Sizey:
    """The ensemble at work on one step."""

    def __init__(self, make_models: Callable[[], Sequence[Model]] = lambda: (Line(), Neighbours())) -> None:
        self._models = make_models()
        self._samples = Samples()
        self._refit = Refit(growth=0.1)
        self._fitted = False
        self._errors: list[Floats] = []
        self._shares: Floats = np.empty(0)
        self._offsets: Floats = np.empty(0)
        self._x_origin, self._x_scale = 0.0, 1.0
        self._y_origin, self._y_scale = 0.0, 1.0
        self._input_of_largest = 0.0
        self._tau: float | None = None

    def size(self, task: Task) -> float:
        """The models' answers mixed, with their offsets mixed alike."""
        if not self._fitted:
            return task.requested_bytes
        raw = float(self._shares @ self._predicted(np.array([input_of(task)]))[:, 0])
        if raw <= 0:
            return float(self._samples.peaks().min()) * (1 + DEFAULT)
        return raw * (1 + float(self._shares @ self._offsets))

    def retry(self, task: Task, killed_bytes: tuple[float, ...]) -> float:
        """The largest peak seen, or twice what failed."""
        largest = self._samples.largest_bytes
        if largest < killed_bytes[-1] * _CLEARLY_MORE or self._may_exceed_all(input_of(task)):
            return killed_bytes[-1] * 2
        return largest

    def learn(self, finished: Finished) -> None:
        """A task that ended: what the models would have answered for it, then its point."""
        at, peak = input_of(finished.task), finished.peak_bytes
        if self._fitted:
            self._errors.append((peak - self._predicted(np.array([at]))[:, 0]) / peak)
        if peak > self._samples.largest_bytes:
            self._input_of_largest = at
        self._samples.add(finished)
        if self._refit.due(self._samples.count):
            self._fit()

    def _fit(self) -> None:
        inputs, peaks = self._samples.inputs(_NEWEST), self._samples.peaks(_NEWEST)
        self._x_origin, self._x_scale = _scaling(inputs)
        self._y_origin, self._y_scale = _scaling(peaks)
        x, y = (inputs - self._x_origin) / self._x_scale, (peaks - self._y_origin) / self._y_scale
        scores = np.exp([model.fit(x, y) for model in self._models])
        self._shares = scores / scores.sum()
        self._fitted, self._tau = True, None
        predicted = self._predicted(inputs)
        errors = np.array(self._errors[-_NEWEST:]).reshape(-1, len(self._models))
        self._offsets = np.array([dynamic_offset(errors[:, i], predicted[i], peaks) for i in range(len(self._models))])

    def _predicted(self, inputs: Floats) -> Floats:
        """Bytes; a row a model."""
        x = (inputs - self._x_origin) / self._x_scale
        return np.array([model.predict(x) for model in self._models]) * self._y_scale + self._y_origin

    def _may_exceed_all(self, at: float) -> bool:
        if at <= self._input_of_largest:
            return False
        if self._tau is None:
            self._tau = kendall_tau(self._samples.inputs(_NEWEST), self._samples.peaks(_NEWEST))
        return self._tau > _RISES_WITH_INPUT


def _scaling(values: Floats) -> tuple[float, float]:
    """The origin and unit in which ``values`` in bytes lie in [0, 1]; the unit is a byte at least."""
    return float(values.min()), max(float(np.ptp(values)), 1.0)
