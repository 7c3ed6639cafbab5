"""The card of an attempt: ordered when its step begins, waited for where its machine ends with it.

What comes in: what Metaflow hands to a task's hooks. What goes out: a process beside the task that writes the card
(`stepsize.card`). No ``@card`` of Metaflow's is attached: a step's own cards and ``current.card`` stay as they are.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stepsize.card.start import CardWriter
    from stepsize.identity import Identity
    from stepsize.settings import Settings


def order_card(identity: Identity, settings: Settings, flow_datastore: Any, metadata: Any) -> CardWriter | None:
    """Start the card's writer, where a card is wanted and anything is measured that could be in it."""
    if not settings.card or settings.sdk_disabled or flow_datastore is None:
        return None
    from stepsize import discovery  # noqa: PLC0415 - absent in isolated interpreters
    from stepsize.card.order import Order  # noqa: PLC0415 - only where a card is wanted
    from stepsize.card.start import CardWriter  # noqa: PLC0415 - as above
    from stepsize.instrumentation.lifetime import end_wait_s  # noqa: PLC0415 - as above

    order = Order(
        identity=identity,
        pid=os.getpid(),
        started_s=time.time(),
        interval_s=settings.interval_s,
        refresh_s=settings.card_refresh_s,
        datastore=flow_datastore.TYPE,
        metadata=metadata.metadata_str(),
        directory=str(Path.cwd()),
    )
    waited_for = end_wait_s(settings, os.environ) > 0
    return CardWriter(order, discovery.pinned(settings), waited_for=waited_for)
