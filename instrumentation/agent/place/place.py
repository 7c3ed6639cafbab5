"""A place, and how OpenTelemetry names it.

What comes in: nothing. What goes out: a frozen value and resource attributes. Pure. Source: OpenTelemetry semantic
conventions, resource/cloud and resource/host; what they have no name for is under ``stepsize.host.``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.model import CLOUD_VENDORS, Attr

if TYPE_CHECKING:
    from stepsize.model import AttributeValue

_PROVIDERS = {vendor: provider for provider, vendor in CLOUD_VENDORS.items()}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a machine runs; ``None`` where its cloud does not say.

    Attributes:
        vendor: the cloud, as the catalogue names it.
        region, zone: as the cloud names them.
        instance_type: as the cloud names it.
        spot: whether the cloud may take the machine away at short notice.
        dedicated: whether the physical machine is this customer's alone.
    """

    vendor: str
    region: str | None = None
    zone: str | None = None
    instance_type: str | None = None
    spot: bool | None = None
    dedicated: bool | None = None

    def attributes(self) -> dict[str, AttributeValue]:
        """Resource attributes, unknown ones left out."""
        found: dict[str, AttributeValue | None] = {
            "cloud.provider": _PROVIDERS.get(self.vendor, self.vendor),
            "cloud.region": self.region,
            "cloud.availability_zone": self.zone,
            "host.type": self.instance_type,
            Attr.HOST_SPOT: self.spot,
            Attr.HOST_DEDICATED: self.dedicated,
        }
        return {name: value for name, value in found.items() if value is not None}
