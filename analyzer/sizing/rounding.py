"""From what was measured to numbers that ``@resources`` and ``@timeout`` take. Pure arithmetic.

What one platform takes and another does not is in ``targets``.
"""

from __future__ import annotations

import math

from stepsize.model import BYTES_PER_MB, CPU_BUCKETS_PER_OCTAVE

CORE_SLACK = 0.1
"""Cores that sampling may add: when a sample was taken is known less well than what CPU time passed until then."""
BUCKET_WIDTH = 2 ** (1 / CPU_BUCKETS_PER_OCTAVE)
"""How many times its lower edge the upper edge of a bucket is, which stands for all of it."""

_LEAST_COUNT = 0.001
_MINUTE_S, _HOUR_S = 60, 3600
_SHORTEST_TIME_S = _MINUTE_S
_TIME_STEPS_S = (
    (2 * _MINUTE_S, 30),
    (10 * _MINUTE_S, _MINUTE_S),
    (_HOUR_S, 5 * _MINUTE_S),
    (4 * _HOUR_S, 15 * _MINUTE_S),
    (12 * _HOUR_S, 30 * _MINUTE_S),
    (48 * _HOUR_S, _HOUR_S),
)
"""Up to when which step: each is a part of the next, so that a time once rounded stays."""
_LONGEST_TIME_STEP_S = 6 * _HOUR_S


def round_up_mb(size_bytes: float) -> int:
    """``size_bytes`` as whole MB, rounded up to a step that a person would write (:func:`round_up`). Monotonic."""
    return round_up(size_bytes / BYTES_PER_MB)


def round_up(amount: float) -> int:
    """``amount`` in MB, rounded up to a step that a person would write.

    10 below 1000, 50 below 10,000, 500 below 100,000 and so on: never more than 5 % above from 200 on. Monotonic.
    """
    # The tolerance keeps 1.2 * 500 at 600, which floating point puts a hair above.
    decade = math.floor(math.log10(max(amount, 1.0)) + 1e-9)
    step = max(10, int(10**decade) // 20)
    return max(step, math.ceil(amount / step - 1e-9) * step)


def round_up_binary(amount: float) -> int:
    """``amount`` in MiB, rounded up to a step that a person would write: 16 below 512, 32 below 1024, 64 below 2048 and
    so on, a sixteenth of the power of two below. Monotonic.
    """
    octave = math.floor(math.log2(max(amount, 1.0)) + 1e-9)
    step = max(16, (1 << octave) // 16)
    return max(step, math.ceil(amount / step - 1e-9) * step)


def round_up_s(duration_s: float) -> int:
    """``duration_s`` in whole seconds, rounded up to a time that a person would write; a minute at least. Monotonic.

    Half minutes up to two, minutes up to ten, 5 minutes up to an hour, 15 up to four, half hours up to twelve, hours up
    to two days, then a quarter of a day.
    """
    step_s = next((step_s for up_to_s, step_s in _TIME_STEPS_S if duration_s <= up_to_s), _LONGEST_TIME_STEP_S)
    return max(_SHORTEST_TIME_S, math.ceil(duration_s / step_s - 1e-9) * step_s)


def two_figures(value: float) -> str:
    """A count that is expected, as a person would write it: ``0.012``, ``3.4``, ``140``; never an exponent."""
    if value < _LEAST_COUNT:
        return f"under {_LEAST_COUNT:g}" if value > 0 else "0"
    figures = float(f"{value:.2g}")
    return f"{figures:,.0f}" if figures >= 10 else f"{figures:g}"


def whole_cores(cores: float) -> int:
    """The whole cores to ask for where ``cores`` are used; at least one.

    Only a fraction of a core is ever dropped, and only where measuring alone may have added it (:func:`covers`).
    """
    fewest = cores / BUCKET_WIDTH - CORE_SLACK
    return max(1, math.floor(cores + 1e-9), math.ceil(fewest - 1e-9))


def covers(requested: float, cores: float) -> bool:
    """Whether ``requested`` cores are as many as ``cores`` less what measuring may have added to them.

    That is a tenth of a core (of a request for less than one core, a tenth of it) and the width of a bucket.
    """
    slack = CORE_SLACK * min(1.0, requested)
    return cores <= (requested + slack) * BUCKET_WIDTH * (1 + 1e-9)
