"""How likely as many failures come by chance.

What comes in: counts. What goes out: a probability (Fisher's exact test, one-sided: R. A. Fisher, "The Design of
Experiments", 1935). Pure.
"""

from __future__ import annotations

import math

_NEGLIGIBLE = 1e-18


def chance_of_more(count: int, of: int, count_before: int, of_before: int) -> float:
    """The probability of ``count`` failures or more among ``of`` attempts, were all failures spread over all attempts
    alike: 0 … 1."""
    failures, attempts = count + count_before, of + of_before
    logs = _log_choose(attempts, of)
    chance = 0.0
    for more in range(count, min(of, failures) + 1):
        if of - more > attempts - failures:
            continue  # so few failures cannot be: there are not enough attempts that went well
        term = math.exp(_log_choose(failures, more) + _log_choose(attempts - failures, of - more) - logs)
        chance += term
        if term < _NEGLIGIBLE and more > of * failures / attempts:
            break  # beyond the most likely count each term is smaller than the one before
    return min(1.0, chance)


def _log_choose(whole: int, part: int) -> float:
    return math.lgamma(whole + 1) - math.lgamma(part + 1) - math.lgamma(whole - part + 1)
