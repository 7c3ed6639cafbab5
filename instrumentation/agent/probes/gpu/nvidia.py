"""NVIDIA's devices, through NVML (`pynvml`, which loads ``libnvidia-ml.so.1``).

What comes in: nothing but the library. What goes out: a `Device` per GPU, or per instance of one that is partitioned
(MIG). Imports `pynvml` when it is opened, never before. Writes nothing, changes no setting of a device.

A call that a driver or a device does not have makes its figure absent; one that says that the device is gone leaves
the device out. Source: NVML API reference (docs.nvidia.com/deploy/nvml-api), and what drivers do beside it: the
process lists come under versioned names, of which older drivers lack the newer; "no samples" of process utilization is
an error, or a success with no rows; its rows may hold figures above 100 for processes that are gone.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepsize.instrumentation.agent.probes.gpu.reading import Device, GpuProcess, NoAnswerError
from stepsize.instrumentation.agent.probes.gpu.signs import any_exists, library_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_SIGNS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/proc/driver/nvidia", "/sys/module/nvidia")
_LIBRARY = "libnvidia-ml.so.1"
_ENUMERATE_S = 30.0
"""Devices and their partitions are looked up this often: both may change while the driver runs."""
_RETRY_S = 1.0
"""The driver is asked anew so long after a device was lost, then after twice as long, up to twice the time above."""
_UTILIZATION_HOLDS_S = 2.0
"""A process's last figure holds so long: the driver makes one every 1/6 to 1 s for those that are busy."""
_TRIES = 3
"""How often a list is asked for that grew while it was being read."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A device or an instance, and what does not change of it."""

    handle: Any
    id: str
    index: int
    name: str
    parent: str | None
    node: str | None
    keeps_accounts: bool


class Nvidia:
    """NVML's devices."""

    name = "NVIDIA"

    def __init__(self) -> None:
        self._nvml: Any = None
        self._units: list[_Unit] = []
        self._enumerate_due_s = 0.0
        self._retry_s = _RETRY_S
        self._lost: set[str] = set()
        self._said: set[str] = set()
        self._busy = _ProcessUtilization()

    def is_likely(self) -> bool:
        """Whether there is a driver or a library."""
        if sys.platform == "win32":
            return any_exists([os.path.expandvars(r"%WINDIR%\System32\nvml.dll")])
        return any_exists(_SIGNS) or library_in(_LIBRARY)

    def open(self) -> None:
        """Load NVML; see `Vendor.open`."""
        try:
            import pynvml  # noqa: PLC0415 - 30 ms that a host without GPUs is not to pay
        except ImportError as error:
            raise NoAnswerError(f"pynvml cannot be imported ({error}); install pynvml") from None
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise NoAnswerError(f"NVML cannot be used: {error}") from None
        self._nvml = pynvml
        self._enumerate_due_s = 0.0

    def read(self) -> Sequence[Device]:
        """Every device that answers; see `Vendor.read`."""
        now_s = time.monotonic()
        if now_s >= self._enumerate_due_s:
            self._look_up(now_s)
        asked = [self._device(unit, now_s) for unit in self._units if unit.id not in self._lost]
        found = [device for device in asked if device is not None]
        if self._lost and not found:
            raise NoAnswerError("no device answers NVML")
        if not self._lost:
            self._said.clear()
            self._retry_s = _RETRY_S
        return found

    def _look_up(self, now_s: float) -> None:
        """See which devices there are. One that was lost comes back to who begins anew, if at all."""
        is_again = bool(self._lost)
        if is_again:
            self.close()
            self.open()
        self._lost = set()
        self._units = list(self._enumerate())
        self._busy.forget({unit.id for unit in self._units})
        if is_again or self._lost:  # a device may be listed and lost again as soon as it is read
            self._retry_s = min(2 * self._retry_s, 2 * _ENUMERATE_S)
        self._enumerate_due_s = now_s + (self._retry_s if self._lost else _ENUMERATE_S)

    def close(self) -> None:
        """Let go of the driver, which may be waited for to be unloaded or reset."""
        nvml, self._nvml, self._units = self._nvml, None, []
        if nvml is not None:
            try:
                nvml.nvmlShutdown()
            except nvml.NVMLError:
                _log.debug("nvmlShutdown failed", exc_info=True)

    def _enumerate(self) -> Iterator[_Unit]:
        for index in range(self._told(self._nvml.nvmlDeviceGetCount) or 0):
            yield from self._at(index)

    def _at(self, index: int) -> list[_Unit]:
        """The device in this place of the list, or what it was divided into."""
        nvml = self._nvml
        try:
            whole = self._unit(nvml.nvmlDeviceGetHandleByIndex(index), index)
            is_divided = (self._told(nvml.nvmlDeviceGetMigMode, whole.handle) or [0])[0]
            return list(self._instances(whole)) if is_divided else [whole]
        except nvml.NVMLError as error:
            self._lose(f"device {index}", error)
            return []

    def _instances(self, whole: _Unit) -> Iterator[_Unit]:
        """Places in the list of instances may be empty."""
        nvml = self._nvml
        for place in range(self._told(nvml.nvmlDeviceGetMaxMigDeviceCount, whole.handle) or 0):
            handle = self._told(nvml.nvmlDeviceGetMigDeviceHandleByIndex, whole.handle, place)
            if handle is not None:
                yield self._unit(handle, whole.index, whole)

    def _unit(self, handle: Any, index: int, parent: _Unit | None = None) -> _Unit:
        nvml = self._nvml
        minor = self._told(nvml.nvmlDeviceGetMinorNumber, handle) if parent is None else None
        accounts = self._told(nvml.nvmlDeviceGetAccountingMode, handle) if parent is None else None
        own_node = None if minor is None else f"/dev/nvidia{minor}"
        return _Unit(
            handle=handle,
            id=str(nvml.nvmlDeviceGetUUID(handle)),
            index=index,
            name=str(self._told(nvml.nvmlDeviceGetName, handle) or "NVIDIA GPU"),
            parent=None if parent is None else parent.id,
            node=own_node if parent is None else parent.node,
            keeps_accounts=bool(accounts),
        )

    def _device(self, unit: _Unit, now_s: float) -> Device | None:
        nvml = self._nvml
        try:
            used, limit = self._memory(unit)
            rates = self._told(nvml.nvmlDeviceGetUtilizationRates, unit.handle)
            return Device(
                id=unit.id,
                index=unit.index,
                name=unit.name,
                vendor=self.name,
                parent=unit.parent,
                node=unit.node,
                utilization=_share(None if rates is None else rates.gpu),
                memory_bytes=used,
                memory_limit_bytes=limit,
                processes=self._processes(unit, now_s),
            )
        except nvml.NVMLError as error:
            self._lose(unit.id, error)
            self._enumerate_due_s = now_s + self._retry_s
            return None

    def _memory(self, unit: _Unit) -> tuple[int | None, int | None]:
        """Used and total; what the driver keeps for itself is not in use, where that is told apart (version 2)."""
        nvml = self._nvml
        version = getattr(nvml, "nvmlMemory_v2", None)
        found = version and self._told(nvml.nvmlDeviceGetMemoryInfo, unit.handle, version)
        found = found or self._told(nvml.nvmlDeviceGetMemoryInfo, unit.handle)
        return (None, None) if found is None else (int(found.used), int(found.total))

    def _processes(self, unit: _Unit, now_s: float) -> tuple[GpuProcess, ...] | None:
        """Whoever computes, draws, or computes through the MPS server. Who does several is one process all the same."""
        memory: dict[int, int | None] = {}
        lists = [self._list(unit, kind) for kind in ("Compute", "Graphics", "MPSCompute")]
        if lists[0] is None:
            return None
        for process in [process for one in lists for process in one or ()]:
            known, told = memory.get(process.pid), process.usedGpuMemory
            memory[process.pid] = known if told is None else max(known or 0, int(told))
        # Who is alone on a device has the device's own figure, which is read anyway.
        shares = self._busy.shares(self._nvml, self._told, unit, now_s) if len(memory) > 1 else {}
        return tuple(
            GpuProcess(
                pid=pid,
                memory_bytes=size,
                memory_peak_bytes=self._peak(unit, pid),
                utilization=None if shares is None else shares.get(pid, 0.0 if len(memory) > 1 else None),
            )
            for pid, size in memory.items()
        )

    def _list(self, unit: _Unit, kind: str) -> Any:
        """Processes of a kind, by the newest call that both sides have; ``None`` where they are not told."""
        for version in ("_v3", "_v2"):
            ask = getattr(self._nvml, f"nvmlDeviceGet{kind}RunningProcesses{version}", None)
            found = None if ask is None else self._told(ask, unit.handle)
            if found is not None:
                return found
        return None

    def _peak(self, unit: _Unit, pid: int) -> int | None:
        if not unit.keeps_accounts:
            return None
        stats = self._told(self._nvml.nvmlDeviceGetAccountingStats, unit.handle, pid)
        return None if stats is None or stats.maxMemoryUsage is None else int(stats.maxMemoryUsage)

    def _told(self, ask: Callable[..., Any], *arguments: Any, tries: int = _TRIES) -> Any:
        """What a call says; ``None`` where it says that it will not tell.

        Raises:
            NVMLError: the device, or the driver, is gone.
        """
        nvml = self._nvml
        try:
            return ask(*arguments)
        except nvml.NVMLError as error:
            if error.value in _gone(nvml):
                raise
            if error.value == nvml.NVML_ERROR_INSUFFICIENT_SIZE and tries > 1:
                return self._told(ask, *arguments, tries=tries - 1)
            return None

    def _lose(self, what: str, error: Exception) -> None:
        """Leave a device out, and say so once."""
        if what not in self._said:
            _log.warning("%s does not answer NVML (%s): its figures are absent until it does", what, error)
        self._said.add(what)
        self._lost.add(what)


def _gone(nvml: Any) -> tuple[int, ...]:
    """Errors that speak of the device or the driver, not of the call."""
    return (
        nvml.NVML_ERROR_UNINITIALIZED,
        nvml.NVML_ERROR_DRIVER_NOT_LOADED,
        nvml.NVML_ERROR_TIMEOUT,
        nvml.NVML_ERROR_IRQ_ISSUE,
        nvml.NVML_ERROR_GPU_IS_LOST,
        nvml.NVML_ERROR_RESET_REQUIRED,
        nvml.NVML_ERROR_OPERATING_SYSTEM,
        nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
        nvml.NVML_ERROR_UNKNOWN,
    )


def _share(percent: int | None) -> float | None:
    """A percentage as a share; what is none is not believed."""
    return percent / 100 if percent is not None and 0 <= percent <= 100 else None


class _ProcessUtilization:
    """Shares of the processes on each device, of which the driver tells what is new since a time that we name."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._last: dict[str, dict[int, tuple[float, float]]] = {}  # device → pid → share, when it was told

    def forget(self, but: set[str]) -> None:
        """Keep what is known of these devices alone."""
        self._newest = {device: newest for device, newest in self._newest.items() if device in but}
        self._last = {device: last for device, last in self._last.items() if device in but}

    def shares(self, nvml: Any, told: Callable[..., Any], unit: _Unit, now_s: float) -> dict[int, float] | None:
        """Process → share of the device's time; who is not named was idle. ``None`` where the device does not tell."""
        since = int((time.time() - _UTILIZATION_HOLDS_S) * 1e6)

        def ask() -> Any:
            try:
                return nvml.nvmlDeviceGetProcessUtilization(unit.handle, self._newest.get(unit.id, since))
            except nvml.NVMLError as error:
                if error.value in (nvml.NVML_SUCCESS, nvml.NVML_ERROR_NOT_FOUND):
                    return []  # nothing new
                raise

        rows = told(ask)
        if rows is None:
            return None
        last = self._last.setdefault(unit.id, {})
        for row in rows:
            self._newest[unit.id] = max(self._newest.get(unit.id, 0), int(row.timeStamp))
            share = _share(row.smUtil)
            if share is not None:
                last[row.pid] = share, now_s
        self._last[unit.id] = {pid: one for pid, one in last.items() if now_s - one[1] <= _UTILIZATION_HOLDS_S}
        return {pid: share for pid, (share, _) in self._last[unit.id].items()}
