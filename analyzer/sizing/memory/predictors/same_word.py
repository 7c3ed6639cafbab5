"""What tasks needed of which the same was said in a word, such as the name of a model, or their foreach item.

Several words may be said of a task: one a name. Followed is the name whose words tell the peaks apart best, by the
variance that is left within them; whether following it pays is for the competition to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.sizing.memory.exceedances import tail
from stepsize.analyzer.sizing.memory.proposal import Proposal, Terms, propose

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats
    from stepsize.analyzer.sizing.memory.history import Task
    from stepsize.analyzer.sizing.memory.predictors.base import Evidence

_FEWEST_TASKS = 2
_FEWEST_LEFT = 2
_DIGITS = 9


@dataclass(slots=True)
class SameWord:
    """From the peaks of the newest tasks with the same word."""

    _evidence: Evidence | None = field(default=None, init=False)
    _terms: Terms | None = field(default=None, init=False)
    _name: str | None = field(default=None, init=False)
    _with_word: dict[str, Proposal | None] = field(default_factory=dict, init=False)

    def fit(self, evidence: Evidence, terms: Terms) -> None:
        """Take in the history as it is now."""
        self._evidence, self._terms = evidence, terms
        self._name = _telling(evidence) if evidence.history.words else None
        self._with_word.clear()

    def propose(self, task: Task) -> Proposal | None:
        """The request for a task with this word, once two were seen with it."""
        word = None if self._name is None else task.word(self._name)
        if word is None:
            return None
        if word not in self._with_word:
            self._with_word[word] = self._of(word)
        return self._with_word[word]

    def _of(self, word: str) -> Proposal | None:
        evidence, terms, name = self._evidence, self._terms, self._name
        if evidence is None or terms is None or name is None:
            raise AssertionError("words are followed once they were fitted")
        history, window = evidence.history, evidence.window
        alike = history.word(name, window) == history.words[name].number_of.get(word)
        log_peaks = history.log_peaks(window)[alike]
        count = len(log_peaks)
        if count < _FEWEST_TASKS:
            return None
        reached = [s.at_least_bytes for s in history.stopped_among(window) if s.task.word(name) == word]
        stopped = np.log(np.array(reached, np.float64))
        above = tail(log_peaks, count, None, None)
        return propose(log_peaks, history.hours(window)[alike], 1.0, above, terms, stopped=stopped)


def _telling(evidence: Evidence) -> str | None:
    """The name whose words leave the least variance within them; None where each task has a word of its own."""
    history, window = evidence.history, evidence.window
    log_peaks = history.log_peaks(window)
    left, best = min((_left(history.word(name, window), log_peaks), name) for name in history.words)
    return best if left < np.inf else None


def _left(words: Floats, log_peaks: Floats) -> float:
    """The variance within the words, but for the last digits, which the order of tasks decides; tasks without any are a
    group of their own."""
    _, groups, sizes = np.unique(np.nan_to_num(words, nan=-1.0), return_inverse=True, return_counts=True)
    freedom = len(log_peaks) - len(sizes)
    if freedom < _FEWEST_LEFT:
        return float(np.inf)
    means = np.bincount(groups, log_peaks) / sizes
    return round(float(((log_peaks - means[groups]) ** 2).sum()) / freedom, _DIGITS)
