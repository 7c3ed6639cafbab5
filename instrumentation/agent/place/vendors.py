"""The table of clouds: where each one's metadata service is, and how it says what the machine is.

What comes in: a `Service`. What goes out: a `Place`, or ``None`` where the service is not that cloud's: several answer
at the same address, and some take after another's paths, so each has to show what only it has. Pure but for the asking.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from stepsize.instrumentation.agent.place.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.instrumentation.agent.place.service import Service

_LINK_LOCAL = "http://169.254.169.254"
_ALIBABA = "http://100.100.100.200"
_OVH_RESOLVER = "213.186.33.99"
"""cdns.ovh.net, which OVH gives every instance: OpenStack itself says nothing of whose it is."""


class Vendor(NamedTuple):
    """One cloud.

    Attributes:
        name: as the catalogue has it.
        address: of its metadata service.
        ask: says what the machine is.
        source: where the vendor describes the service.
    """

    name: str
    address: str
    ask: Callable[[Service], Place | None]
    source: str


def _aws(service: Service) -> Place | None:
    """Impostors have no tokens: services that take after EC2's, OpenStack's for one, know the first version alone."""
    ttl = "x-aws-ec2-metadata-token-ttl-seconds"
    token = service.put("/latest/api/token", {ttl: "60"})
    if token is None or ttl not in token.headers:
        return None
    headers = {"x-aws-ec2-metadata-token": token.text}
    document = service.get("/latest/dynamic/instance-identity/document", headers)
    facts = {} if document is None else document.json
    if not facts.get("instanceType") or not facts.get("region"):
        return None
    cycle = service.text("/latest/meta-data/instance-life-cycle", headers)
    host = service.text("/latest/meta-data/placement/host-id", headers)  # on a dedicated host alone
    return Place(
        "aws",
        region=_word(facts["region"]),
        zone=_word(facts.get("availabilityZone")),
        instance_type=_word(facts["instanceType"]),
        spot=None if cycle is None else cycle == "spot",
        dedicated=True if host is not None else None,
    )


def _gcp(service: Service) -> Place | None:
    answer = service.get("/computeMetadata/v1/instance/?recursive=true", {"Metadata-Flavor": "Google"})
    if answer is None or answer.headers.get("metadata-flavor") != "Google":
        return None
    facts = answer.json
    zone = _last(facts.get("zone"))
    scheduling = facts.get("scheduling")
    preemptible = scheduling.get("preemptible") if isinstance(scheduling, dict) else None
    return Place(
        "gcp",
        region=zone.rpartition("-")[0] or None if zone else None,
        zone=zone,
        instance_type=_last(facts.get("machineType")),
        spot=None if preemptible is None else str(preemptible).upper() == "TRUE",
    )


def _azure(service: Service) -> Place | None:
    answer = service.get("/metadata/instance?api-version=2021-02-01", {"Metadata": "true"})
    facts = answer.json.get("compute") if answer is not None else None
    if not isinstance(facts, dict) or not facts.get("azEnvironment") or not facts.get("vmSize"):
        return None
    host = facts.get("host")
    return Place(
        "azure",
        region=_word(facts.get("location")),
        zone=_word(facts.get("zone")),
        instance_type=_word(facts.get("vmSize")),
        spot=str(facts.get("priority") or "").lower() in ("spot", "low") if "priority" in facts else None,
        dedicated=True if isinstance(host, dict) and host.get("id") else None,
    )


def _hetzner(service: Service) -> Place | None:
    """Its service does not tell the type of the server."""
    facts = dict(re.findall(r"^([a-z-]+): *['\"]?([\w-]+)", service.text("/hetzner/v1/metadata") or "", re.MULTILINE))
    if not facts.get("instance-id", "").isdecimal() or "availability-zone" not in facts:
        return None
    return Place("hcloud", region=facts.get("region"), zone=facts["availability-zone"])


def _ovh(service: Service) -> Place | None:
    """OpenStack, so the region is not told, and the flavour only by what takes after EC2's service."""
    network = service.get("/openstack/latest/network_data.json")
    services = network.json.get("services") if network is not None else None
    addresses = (
        [each.get("address") for each in services if isinstance(each, dict)] if isinstance(services, list) else []
    )
    if _OVH_RESOLVER not in addresses:
        return None
    facts = service.get("/openstack/latest/meta_data.json")
    return Place(
        "ovh",
        zone=_word(facts.json.get("availability_zone")) if facts is not None else None,
        instance_type=_word(service.text("/latest/meta-data/instance-type")),
    )


def _upcloud(service: Service) -> Place | None:
    """DigitalOcean has the same path. The plan of the server is not told."""
    answer = service.get("/metadata/v1.json")
    facts = answer.json if answer is not None else {}
    return Place("upcloud", region=_word(facts.get("region"))) if facts.get("cloud_name") == "upcloud" else None


def _alibaba(service: Service) -> Place | None:
    """Machines may be set to answer with a token only. A spot instance is known when it is about to be taken away."""
    ttl = "x-aliyun-ecs-metadata-token-ttl-seconds"
    token = service.put("/latest/api/token", {ttl: "60"})
    headers = {} if token is None else {"x-aliyun-ecs-metadata-token": token.text}
    document = service.get("/latest/dynamic/instance-identity/document", headers)
    facts = {} if document is None else document.json
    if not facts.get("instance-type") or not facts.get("region-id"):
        return None
    taken = service.text("/latest/meta-data/instance/spot/termination-time", headers)
    return Place(
        "alicloud",
        region=_word(facts["region-id"]),
        zone=_word(facts.get("zone-id")),
        instance_type=_word(facts["instance-type"]),
        spot=True if taken is not None else None,
    )


VENDORS: tuple[Vendor, ...] = (
    Vendor("aws", _LINK_LOCAL, _aws, "docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html"),
    Vendor("gcp", _LINK_LOCAL, _gcp, "cloud.google.com/compute/docs/metadata/predefined-metadata-keys"),
    Vendor("azure", _LINK_LOCAL, _azure, "learn.microsoft.com/azure/virtual-machines/instance-metadata-service"),
    Vendor("hcloud", _LINK_LOCAL, _hetzner, "docs.hetzner.cloud/reference/cloud#server-metadata"),
    Vendor("ovh", _LINK_LOCAL, _ovh, "docs.openstack.org/nova/latest/user/metadata.html"),
    Vendor("upcloud", _LINK_LOCAL, _upcloud, "upcloud.com/docs/products/cloud-servers/features/metadata-service"),
    Vendor("alicloud", _ALIBABA, _alibaba, "alibabacloud.com/help/ecs/user-guide/view-instance-metadata"),
)


def _word(value: Any) -> str | None:
    """A short text, or ``None``: what a service says becomes a column of the lake."""
    return value if isinstance(value, str) and re.fullmatch(r"[\w.:/-]{1,100}", value) else None


def _last(value: Any) -> str | None:
    """The name at the end of a resource's path: ``projects/1/zones/europe-west1-b``."""
    return _word(value.rpartition("/")[2]) if isinstance(value, str) else None
