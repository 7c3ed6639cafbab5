"""Where Metaflow looks for cards: the flow's datastore, under the names that its own cards have.

What comes in: an `Order` and pages. What goes out: ``TYPE-ID-HASH.html`` among the task's cards and the data beside it
by which Metaflow's card server and UI see that there is a newer page. Stands on Metaflow's `CardDatastore`, which knows
the places in each kind of datastore (metaflow/plugins/cards/card_datastore.py). Reads nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stepsize.card.order import Order

CARD_TYPE = "stepsize"
LAST_TOKEN = "final"  # noqa: S105 - Metaflow's word: the page will not change any more (card_cli._extract_reload_token)


class CardStore:
    """The card of one attempt.

    Args:
        order: of which attempt, in which datastore.

    Raises:
        Exception: Metaflow's own, where it has no such datastore or cannot reach it.
    """

    def __init__(self, order: Order) -> None:
        from metaflow.plugins import DATASTORES  # noqa: PLC0415 - the writer asks for samples before it imports this
        from metaflow.plugins.cards.card_datastore import CardDatastore  # noqa: PLC0415 - as above

        identity = order.identity
        os.chdir(order.directory)  # from where Metaflow looks for a local datastore
        try:
            root = CardDatastore.get_storage_root(order.datastore)
            storage = next(kind for kind in DATASTORES if order.datastore == kind.TYPE)(root)
            # What `CardDatastore` takes of a flow's datastore.
            flow = SimpleNamespace(_storage_impl=storage, flow_name=identity.flow)
            self._cards: Any = CardDatastore(flow, pathspec=identity.pathspec)
        finally:
            os.chdir("/")
        self._order = order
        self.hash = identity.instance_id.replace("-", "")
        self.id = f"attempt_{identity.attempt}"

    def save(self, html: str, token: str) -> None:
        """Replace the page; ``token`` is told to whoever shows the one before, and is in the page itself.

        Raises:
            Exception: Metaflow's own, where the datastore takes nothing.
        """
        self._cards.save_card(self.hash, CARD_TYPE, html, card_id=self.id)
        data = {"reload_token": token, "data": {"token": token}, "created_on": time.time()}
        self._cards.save_data(self.hash, CARD_TYPE, data, card_id=self.id)

    def announce(self, refresh_s: float) -> None:
        """Say in the task's metadata that there is a card, as Metaflow's own do; never raises."""
        order, identity = self._order, self._order.identity
        with contextlib.suppress(Exception):
            from metaflow.metadata_provider.metadata import MetaDatum  # noqa: PLC0415 - as above
            from metaflow.plugins import METADATA_PROVIDERS  # noqa: PLC0415 - as above

            kind, _, info = order.metadata.partition("@")
            provider = next(each for each in METADATA_PROVIDERS if kind == each.TYPE)
            provider.INFO = provider.compute_info(info)
            value = {
                "card_uuid": self.hash,
                "type": CARD_TYPE,
                "id": self.id,
                "is_runtime_card": True,
                "is_editable": False,
                "customize": False,
                "refresh_interval": refresh_s,
                "rank": None,
                "options": {},
            }
            told = MetaDatum(
                field=self.hash, value=json.dumps(value), type="card-info", tags=[f"attempt_id:{identity.attempt}"]
            )
            # A provider asks who runs it before it says anything; nothing of that is in what we say.
            about = {"runtime": "", "python_version_code": "", "metaflow_version": ""}
            environment = SimpleNamespace(get_environment_info=lambda: about)
            said = provider(environment, SimpleNamespace(name=identity.flow), None, None)
            said.register_metadata(identity.run, identity.step, identity.task, [told])
