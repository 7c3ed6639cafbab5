"""``processors: batch``: how long points wait for others before they go on, and how many go together.

Keys and defaults as upstream's batchprocessor. Of the lake it bounds the time until points can be queried (sizes do not
matter there: a commit takes all that waits), of an exporter that sends, the requests it makes. It never delays an
acknowledgement, which comes as soon as points are on disk.
"""

from __future__ import annotations

from dataclasses import dataclass

from stepsize.collector.components.sending import QueueBatchConfig
from stepsize.collector.config.language import duration_s, option, whole
from stepsize.collector.limits import CommitLimits


@dataclass(frozen=True, slots=True)
class BatchConfig:
    """The bounds of a batch."""

    timeout_s: float = option(
        duration_s, default=0.2, key="timeout", says="how long points wait for others: 50ms to 4s"
    )
    send_batch_size: int = option(whole, default=8192, says="points that are waited for before a request is sent on")
    send_batch_max_size: int = option(
        whole, default=0, says="points in a request that is sent on, at most; 0: no bound"
    )

    @property
    def commit(self) -> CommitLimits:
        """The bounds as the sink knows them."""
        return CommitLimits(self.timeout_s)

    @property
    def requests(self) -> QueueBatchConfig:
        """The bounds as exporters that send know them."""
        return QueueBatchConfig(self.timeout_s, self.send_batch_size, self.send_batch_max_size)

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not 0.05 <= self.timeout_s <= 4.0:
            raise ValueError("timeout must be from 50ms to 4s: newest points are to be visible within 5 s")
        if self.send_batch_max_size and self.send_batch_max_size < self.send_batch_size:
            raise ValueError("send_batch_max_size must not be below send_batch_size")
