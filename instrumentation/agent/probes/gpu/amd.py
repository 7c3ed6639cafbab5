"""AMD's devices, through AMD SMI (`amdsmi`), where its Python package and ``libamd_smi.so`` are installed.

What comes in: nothing but the library. What goes out: a `Device` per GPU or partition. The package comes with ROCm and
is no dependency of ours: without it there are no figures. Imports it when it is opened, never before.

Source: AMD SMI Python API reference (rocm.docs.amd.com/projects/amdsmi), version 7.0: activity in percent or "N/A",
memory of devices in MiB, of processes in bytes. It finds processes through /proc, so it names them as we do.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from stepsize.instrumentation.agent.probes.gpu.reading import Device, GpuProcess, NoAnswerError
from stepsize.instrumentation.agent.probes.gpu.signs import any_exists, library_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LIBRARY = "libamd_smi.so"
_SIGNS = ("/dev/kfd", "/sys/module/amdgpu", "/opt/rocm")
_MIB = 1 << 20


class Amd:
    """AMD SMI's devices."""

    name = "AMD"

    def __init__(self) -> None:
        self._smi: Any = None
        self._units: list[tuple[Any, str, str]] = []  # handle, id, name

    def is_likely(self) -> bool:
        """Whether there is a driver or a library, and the package: many a display is AMD's, and few have ROCm."""
        is_there = sys.platform.startswith("linux") and (any_exists(_SIGNS) or library_in(_LIBRARY))
        return is_there and importlib.util.find_spec("amdsmi") is not None

    def open(self) -> None:
        """Load AMD SMI; see `Vendor.open`."""
        try:
            import amdsmi  # type: ignore[import-not-found]  # noqa: PLC0415 - comes with ROCm, not with us
        except (ImportError, LookupError, AttributeError, OSError) as error:
            # The package is there, and its library is not, or is another version's.
            raise NoAnswerError(f"amdsmi cannot be imported ({error}); it comes with ROCm") from None
        try:
            amdsmi.amdsmi_init()
            self._smi = amdsmi
            self._units = self._enumerate()
        except amdsmi.AmdSmiException as error:
            self.close()
            raise NoAnswerError(f"AMD SMI cannot be used: {_line(error)}") from None

    def read(self) -> Sequence[Device]:
        """Every device that answers; see `Vendor.read`."""
        found = [self._device(index, *unit) for index, unit in enumerate(self._units)]
        if self._units and not any(found):
            raise NoAnswerError("no device answers AMD SMI")
        return [device for device in found if device is not None]

    def close(self) -> None:
        """Let go of the driver."""
        smi, self._smi, self._units = self._smi, None, []
        if smi is not None:
            try:
                smi.amdsmi_shut_down()
            except smi.AmdSmiException:
                return  # it is gone anyway

    def _enumerate(self) -> list[tuple[Any, str, str]]:
        smi = self._smi
        found, ids = [], set()
        for handle in smi.amdsmi_get_processor_handles():
            place = str(smi.amdsmi_get_gpu_device_bdf(handle))
            uuid = self._told(smi.amdsmi_get_gpu_device_uuid, handle)
            # Partitions of one device may share its UUID.
            unit = str(uuid) if uuid and uuid not in ids else place
            ids.add(unit)
            asic = self._told(smi.amdsmi_get_gpu_asic_info, handle) or {}
            found.append((handle, unit, str(asic.get("market_name") or "AMD GPU")))
        return found

    def _device(self, index: int, handle: Any, unit: str, name: str) -> Device | None:
        smi = self._smi
        memory = self._told(smi.amdsmi_get_gpu_vram_usage, handle)
        activity = self._told(smi.amdsmi_get_gpu_activity, handle)
        if memory is None and activity is None:
            return None
        busy = _number((activity or {}).get("gfx_activity"))
        used, limit = (_number((memory or {}).get(key)) for key in ("vram_used", "vram_total"))
        return Device(
            id=unit,
            index=index,
            name=name,
            vendor=self.name,
            utilization=busy / 100 if busy is not None and busy <= 100 else None,
            memory_bytes=None if used is None else used * _MIB,
            memory_limit_bytes=None if limit is None else limit * _MIB,
            processes=self._processes(handle),
            local_pids=True,
        )

    def _processes(self, handle: Any) -> tuple[GpuProcess, ...] | None:
        listed = self._told(self._smi.amdsmi_get_gpu_process_list, handle)
        if listed is None:
            return None
        return tuple(
            GpuProcess(int(process["pid"]), memory_bytes=_number(process["memory_usage"]["vram_mem"]))
            for process in listed
        )

    def _told(self, ask: Callable[..., Any], handle: Any) -> Any:
        """What a call says; ``None`` where it fails, which its errors do not tell from a device that is gone."""
        try:
            return ask(handle)
        except self._smi.AmdSmiException:
            return None


def _number(value: Any) -> int | None:
    """A figure that is one; AMD SMI says "N/A" otherwise."""
    return value if isinstance(value, int) and value >= 0 else None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
