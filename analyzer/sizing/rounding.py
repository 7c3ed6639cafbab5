"""From what was measured to numbers that ``@resources`` takes. Pure arithmetic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepsize.model import BYTES_PER_MB, CPU_BUCKETS_PER_OCTAVE, cpu_bucket_upper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.usage import CpuBucket

CORE_SLACK = 0.1
"""Cores that sampling may add: when a sample was taken is known less well than what CPU time passed until then."""
BUCKET_WIDTH = 2 ** (1 / CPU_BUCKETS_PER_OCTAVE)
"""How many times its lower edge the upper edge of a bucket is, which stands for all of it."""


def round_up_mb(size_bytes: float) -> int:
    """``size_bytes`` as whole MB, rounded up to a step that a person would write.

    10 MB below 1 GB, 50 below 10 GB, 500 below 100 GB and so on: never more than 5 % above 200 MB. Monotonic.
    """
    size_mb = size_bytes / BYTES_PER_MB
    # The tolerance keeps 1.2 * 500 MB at 600, which floating point puts a hair above.
    decade = math.floor(math.log10(max(size_mb, 1.0)) + 1e-9)
    step_mb = max(10, int(10**decade) // 20)
    return max(step_mb, math.ceil(size_mb / step_mb - 1e-9) * step_mb)


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


def stretch(histogram: Sequence[CpuBucket], cores: float) -> float:
    """How many times as long the same work takes where no more than ``cores`` can be used; at least one.

    Work above the limit is spread over it: a second at eight cores becomes four at two. Waiting and the order of the
    work are not modelled, so that a step which would have waited anyway is a little overestimated.
    """
    total_s = math.fsum(bucket.seconds for bucket in histogram)
    if total_s <= 0 or cores <= 0:
        return 1.0
    stretched = (bucket.seconds * max(1.0, cpu_bucket_upper(bucket.bucket) / cores) for bucket in histogram)
    return math.fsum(stretched) / total_s
