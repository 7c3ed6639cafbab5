"""Which devices a process may use, by the variables that restrict it.

What comes in: a process's environment, the host's devices. What goes out: the devices that are left. Pure.

Sources: CUDA C++ Programming Guide, "CUDA Environment Variables" (entries after the first that is none do not count;
a UUID may be cut short), MIG User Guide, "Device Enumeration"; ROCm, "GPU isolation techniques".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepsize.instrumentation.agent.probes.gpu.reading import Device

_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "NVIDIA": ("CUDA_VISIBLE_DEVICES",),
    "AMD": ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"),
}


def visible(environment: Mapping[str, str], devices: Sequence[Device]) -> tuple[Device, ...]:
    """Those of the devices that a process with this environment can use, as far as that restricts it."""
    found: list[Device] = []
    for vendor in dict.fromkeys(device.vendor for device in devices):
        left = [device for device in devices if device.vendor == vendor]
        for name in _VARIABLES.get(vendor, ()):
            told = environment.get(name)
            # Each counts among what the one before it has left.
            if told is not None:
                by_index = vendor != "NVIDIA" or _are_in_order(environment, left)
                left = _chosen(told, left, by_index=by_index)
        found += left
    return tuple(found)


def _are_in_order(environment: Mapping[str, str], devices: Sequence[Device]) -> bool:
    """Whether the runtime numbers devices as NVML lists them: CUDA alone puts the fastest first unless it is told."""
    alike = len({device.name for device in devices if device.parent is None}) <= 1
    return alike or environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"


def _chosen(told: str, devices: list[Device], *, by_index: bool) -> list[Device]:
    """The devices that a list of indices or UUIDs names."""
    places = list(dict.fromkeys(device.index for device in devices))
    found: list[Device] = []
    for word in filter(None, (word.strip() for word in told.split(","))):
        if word.lstrip("-").isdecimal():
            if not by_index:
                return devices  # which ones these are cannot be told
            place = int(word)
            named = [d for d in devices if 0 <= place < len(places) and d.index == places[place]]
        else:
            named = [d for d in devices if d.id.startswith(word) or (d.parent or "").startswith(word)]
        if not named:
            break
        found += [device for device in named if device not in found]
    return found
