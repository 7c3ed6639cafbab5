"""GPUs that a source leaves out, filled in from what the vendor documents of the type; what is not known is marked.

What comes in: a server's row. What goes out: the row with its GPU columns complete, or with ``gpu_quality`` ``unknown``
and null columns; a share of a GPU as a fraction of one, other accelerators (TPUs, FPGAs, encoders) as none. Never
guesses: a type that no rule names stays unknown. Source of the Azure rules: Microsoft's "GPU accelerated virtual
machine sizes" (NC, ND, NG and NV series pages); memory is what the page gives per type, in GiB.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepsize.analyzer.catalog.rows import ServerRow

_MIB_PER_GIB = 1024


@dataclass(frozen=True, slots=True)
class _Rule:
    """Types whose name matches ``pattern`` hold GPUs of ``model``; ``fraction`` of one where they share it."""

    pattern: str
    manufacturer: str
    model: str
    memory_gib: float
    fraction: float = 1.0


_AZURE = (
    _Rule(r"NC(6|12|24r?)", "NVIDIA", "K80", 12),
    _Rule(r"NC(6|12|24r?)s_v2", "NVIDIA", "P100", 16),
    _Rule(r"NC(6|12|24r?)s_v3", "NVIDIA", "V100", 16),
    _Rule(r"NC(4|8|16|64)as_T4_v3", "NVIDIA", "T4", 16),
    _Rule(r"NC\d+adi?s_H100_v5", "NVIDIA", "H100", 94),
    _Rule(r"ND(6|12|24r?)s", "NVIDIA", "P40", 24),
    _Rule(r"ND40rs_v2", "NVIDIA", "V100", 32),
    _Rule(r"ND96asr_v4", "NVIDIA", "A100", 40),
    _Rule(r"ND96amsr_A100_v4", "NVIDIA", "A100", 80),
    _Rule(r"ND96isr?_H100_v5", "NVIDIA", "H100", 80),
    _Rule(r"ND96isr?_H200_v5", "NVIDIA", "H200", 141),
    _Rule(r"ND96isr?_MI300X_v5", "AMD", "MI300X", 192),
    _Rule(r"NV(6|12|24)", "NVIDIA", "M60", 8),
    _Rule(r"NV(6|12|24)s_v2", "NVIDIA", "M60", 8),
    _Rule(r"NV(12|24|48)s_v3", "NVIDIA", "M60", 8),
    _Rule(r"NV4as_v4", "AMD", "MI25", 2, 1 / 8),
    _Rule(r"NV8as_v4", "AMD", "MI25", 4, 1 / 4),
    _Rule(r"NV16as_v4", "AMD", "MI25", 8, 1 / 2),
    _Rule(r"NV32as_v4", "AMD", "MI25", 16),
    _Rule(r"NV6ads_A10_v5", "NVIDIA", "A10", 4, 1 / 6),
    _Rule(r"NV12ads_A10_v5", "NVIDIA", "A10", 8, 1 / 3),
    _Rule(r"NV18ads_A10_v5", "NVIDIA", "A10", 12, 1 / 2),
    _Rule(r"NV(36adm?s|72ads)_A10_v5", "NVIDIA", "A10", 24),
    _Rule(r"NG8ads_V620_v1", "AMD", "V620", 8, 1 / 4),
    _Rule(r"NG16ads_V620_v1", "AMD", "V620", 16, 1 / 2),
    _Rule(r"NG32adm?s_V620_v1", "AMD", "V620", 32),
    _Rule(r"NV4ads_V710_v5", "AMD", "V710", 4, 1 / 6),
    _Rule(r"NV8ads_V710_v5", "AMD", "V710", 8, 1 / 3),
    _Rule(r"NV12ads_V710_v5", "AMD", "V710", 12, 1 / 2),
    _Rule(r"NV(24ads|28adms)_V710_v5", "AMD", "V710", 24),
)
_MODELS = {"B200": 180, "RTX Pro 6000": 96}
"""Models whose boards have one size of memory, in GiB as Google's "GPU machine types" page gives it."""
_NO_GPUS = {
    "gcp": re.compile(r"(ct|tpu)\w+-.*"),  # TPUs
    "alicloud": re.compile(r"ecs\.(f\d|video-trans|ebman\d).*"),  # FPGAs, encoders, NPUs
}
"""Types whose accelerators sources count as GPUs."""
_ALIBABA_SHARE = re.compile(r"(?P<model>.+?)(\*1)?/(?P<parts>\d+)")
"""``T4/2``, ``A10*1/12``: so the source names a share of a GPU, and counts one."""
_ALIBABA_48_GIB = re.compile(r"RTX 5880|vGPU8-\d+G")
"""GPUs of 48 GiB of which Alibaba's families sgn8ga and sgn8ia have so much as their memory says."""


def complete(server: ServerRow) -> ServerRow:
    """``server`` with its GPU columns filled in or marked; unchanged where it has no GPU."""
    pattern = _NO_GPUS.get(server.vendor_id)
    if not server.gpu_count or (pattern and pattern.fullmatch(server.api_reference)):
        server = replace(server, gpu_count=0, gpu_manufacturer=None, gpu_family=None)
        return replace(server, gpu_memory_min=None, gpu_memory_total=None, gpu_model=None, gpu_quality=None)
    server = _shared(server)
    if server.gpu_model and server.gpu_memory_min and server.gpu_memory_total:
        return replace(server, gpu_quality="listed")
    return _by_name(server) or _by_model(server) or replace(server, gpu_quality="unknown")


def _shared(server: ServerRow) -> ServerRow:
    """``server`` with the part of a GPU that it has as its count, where the source counts a whole one."""
    model = server.gpu_model or ""
    if server.vendor_id != "alicloud" or server.gpu_count != 1:
        return server
    if found := _ALIBABA_SHARE.fullmatch(model):
        return replace(server, gpu_count=1 / int(found["parts"]), gpu_model=found["model"])
    if server.gpu_memory_min and _ALIBABA_48_GIB.fullmatch(model):
        return replace(server, gpu_count=server.gpu_memory_min / (48 * _MIB_PER_GIB))
    return replace(server, gpu_model=model.removesuffix("*1") or None)


def _by_name(server: ServerRow) -> ServerRow | None:
    if server.vendor_id != "azure":
        return None
    name = server.api_reference.removeprefix("Standard_")
    rule = next((rule for rule in _AZURE if re.fullmatch(rule.pattern, name)), None)
    if rule is None:
        return None
    each_mib = round(rule.memory_gib * _MIB_PER_GIB)
    return replace(
        server,
        gpu_count=server.gpu_count * rule.fraction,
        gpu_manufacturer=rule.manufacturer,
        gpu_model=rule.model,
        gpu_memory_min=each_mib,
        gpu_memory_total=round(each_mib * server.gpu_count),
        gpu_quality="derived",
    )


def _by_model(server: ServerRow) -> ServerRow | None:
    if server.vendor_id != "gcp" or server.gpu_model not in _MODELS:
        return None
    each_mib = _MODELS[server.gpu_model] * _MIB_PER_GIB
    total_mib = round(each_mib * server.gpu_count)
    return replace(server, gpu_memory_min=each_mib, gpu_memory_total=total_mib, gpu_quality="derived")
