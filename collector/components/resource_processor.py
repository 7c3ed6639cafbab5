"""``processors: resource``: sets, deletes, hashes, extracts and converts attributes of resources.

Keys as upstream's resourceprocessor.
"""

from __future__ import annotations

from dataclasses import dataclass

from stepsize.collector.components.actions import ActionConfig
from stepsize.collector.config.language import Sections, option


@dataclass(frozen=True, slots=True)
class ResourceConfig:
    """What is done, in order."""

    attributes: tuple[ActionConfig, ...] = option(
        Sections(ActionConfig), says="what is done to each resource's attributes, in order"
    )

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not self.attributes:
            raise ValueError("attributes are needed: a list of actions")
