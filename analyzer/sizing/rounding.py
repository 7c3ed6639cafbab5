"""From what was measured to numbers that ``@resources`` takes. Pure arithmetic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepsize.model import BYTES_PER_MB, cpu_bucket_upper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.usage import CpuBucket

CORE_TOLERANCE = 1.1
"""A further core is asked for only where more than a tenth of it is used: sampling jitter and the 4.4 % width of a
bucket put a single-threaded process at up to 1.09 cores."""


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
    """The whole cores to ask for where ``cores`` are used; at least one."""
    return max(1, math.ceil(cores / CORE_TOLERANCE - 1e-9))


def cpu_quantile(histogram: Sequence[CpuBucket], quantile: float) -> float | None:
    """Cores that were enough for the share ``quantile`` of the time; None where no time was seen.

    The answer is the upper edge of a bucket, so at most 4.4 % above the true quantile and never below it.
    """
    buckets = sorted((bucket for bucket in histogram if bucket.seconds > 0), key=lambda bucket: bucket.bucket)
    total_s = math.fsum(bucket.seconds for bucket in buckets)
    passed_s = 0.0
    for bucket in buckets:
        passed_s += bucket.seconds
        if passed_s >= quantile * total_s * (1 - 1e-12):
            return cpu_bucket_upper(bucket.bucket)
    return None


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
