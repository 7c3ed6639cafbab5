"""``processors: attributes``: sets, deletes, hashes, extracts and converts attributes of data points.

Keys as upstream's attributesprocessor, as far as metrics go. ``from_context`` is refused: requests are kept without
their headers.
"""

from __future__ import annotations

from dataclasses import dataclass

from stepsize.collector.components.actions import ActionConfig, MatchConfig
from stepsize.collector.config.language import Section, Sections, option


@dataclass(frozen=True, slots=True)
class AttributesConfig:
    """What is done, in order, and to the points of which metrics."""

    actions: tuple[ActionConfig, ...] = option(
        Sections(ActionConfig), says="what is done to each data point's attributes, in order"
    )
    include: MatchConfig | None = option(Section(MatchConfig), default=None, says="only to these metrics")
    exclude: MatchConfig | None = option(Section(MatchConfig), default=None, says="not to these metrics")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not self.actions:
            raise ValueError("actions are needed")
