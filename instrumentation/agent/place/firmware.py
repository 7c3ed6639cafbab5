"""Whose machine the firmware says this is, so that no other service is asked, and none where it is nobody's cloud.

What comes in: the directory of the DMI table, the environment. What goes out: names of vendors. Reads a few small
files. Sources: cloud-init, ``tools/ds-identify`` (dscheck_…); the vendors' own pages on identifying their machines.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DMI = Path("/sys/class/dmi/id")
HYPERVISOR = Path("/sys/hypervisor/uuid")
_AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"
_SIGNS: tuple[tuple[str, str, str], ...] = (
    ("sys_vendor", "Amazon EC2", "aws"),
    ("bios_vendor", "Amazon EC2", "aws"),
    ("bios_version", "amazon", "aws"),  # Xen: 4.2.amazon
    ("product_name", "Google Compute Engine", "gcp"),
    ("sys_vendor", "Google", "gcp"),
    ("chassis_asset_tag", _AZURE_TAG, "azure"),
    ("sys_vendor", "Hetzner", "hcloud"),
    ("sys_vendor", "UpCloud", "upcloud"),
    ("product_name", "Alibaba Cloud ECS", "alicloud"),
    ("sys_vendor", "OpenStack Foundation", "ovh"),
    ("product_name", "OpenStack", "ovh"),
)
"""File, text that is part of what it holds, vendor. OpenStack is many vendors': OVH's service has to say that it is."""
_HINTS = {"ECS_CONTAINER_METADATA_URI_V4": "aws", "AWS_EXECUTION_ENV": "aws", "K_SERVICE": "gcp"}
"""Variables of containers that see no DMI table: Fargate, Lambda, Cloud Run."""


def suspects(environ: Mapping[str, str], dmi: Path = DMI, hypervisor: Path = HYPERVISOR) -> tuple[str, ...]:
    """The vendors whose machine this may be; none where nothing says that it is a cloud's."""
    found = [vendor for name, sign, vendor in _SIGNS if sign.lower() in _text(dmi / name).lower()]
    found += ["aws"] if _text(hypervisor).lower().startswith("ec2") else []
    found += [vendor for name, vendor in _HINTS.items() if environ.get(name)]
    return tuple(dict.fromkeys(found))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
