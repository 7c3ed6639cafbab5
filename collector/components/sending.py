"""What exporters that send over the network have in common: queue and retries.

Keys and defaults as upstream's exporterhelper and configretry, but for the queue's size: the queue is the write-ahead
log, so it lies on disk and is counted in bytes (``docs/decisions/0021``).
"""

from __future__ import annotations

from dataclasses import dataclass

from stepsize.collector.config.language import Section, always, choice, duration_s, flag, number, option, whole


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """``retry_on_failure``."""

    enabled: bool = option(flag, default=True, says="whether what may succeed later is tried again")
    initial_interval_s: float = option(
        duration_s, default=5.0, key="initial_interval", says="how long it waits after the first failure"
    )
    randomization_factor: float = option(
        number, default=0.5, says="each wait is drawn from so far below to so far above it"
    )
    multiplier: float = option(number, default=1.5, says="each wait is so many times the one before")
    max_interval_s: float = option(duration_s, default=30.0, key="max_interval", says="the longest wait")
    max_elapsed_time_s: float = option(
        duration_s,
        default=300.0,
        key="max_elapsed_time",
        says="a batch is given up, and counted, after so long; 0: never",
    )

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.randomization_factor > 1:
            raise ValueError("randomization_factor goes up to 1")
        if self.multiplier < 1:
            raise ValueError("multiplier must be at least 1")
        if self.enabled and (self.initial_interval_s <= 0 or self.max_interval_s < self.initial_interval_s):
            raise ValueError("initial_interval must be above 0 and not above max_interval")


@dataclass(frozen=True, slots=True)
class QueueBatchConfig:
    """``sending_queue.batch``."""

    flush_timeout_s: float = option(
        duration_s, default=0.2, key="flush_timeout", says="what waits for others is sent after so long"
    )
    min_size: int = option(whole, default=8192, says="points that are waited for")
    max_size: int = option(whole, default=0, says="points in one request at most; 0: no bound")
    sizer: str = option(choice("items"), default="items", says="`items`: data points; the only one")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.flush_timeout_s <= 0:
            raise ValueError("flush_timeout must be above 0")
        if self.max_size and self.max_size < self.min_size:
            raise ValueError("max_size must not be below min_size")


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """``sending_queue``: what of the log may wait for this exporter."""

    enabled: bool = option(always, default=True, says="`true`: what waits is on disk in any case")
    num_consumers: int = option(whole, default=10, says="requests under way at once")
    sizer: str = option(choice("bytes"), default="bytes", says="`bytes`: the only one, since the queue is on disk")
    queue_size: int = option(
        whole,
        default=1 << 30,
        says="bytes of the log that may wait; more is refused to clients of the pipeline, who send again",
    )
    batch: QueueBatchConfig | None = option(
        Section(QueueBatchConfig), default=None, says="puts requests together; in place of the pipeline's `batch`"
    )

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not 1 <= self.num_consumers <= 100:
            raise ValueError("num_consumers must be from 1 to 100")
        if self.queue_size < 1 << 20:
            raise ValueError("queue_size is in bytes, and at least 1048576: the queue lies on disk")
