"""Stands for ROCm's `amdsmi`, which needs its driver: the calls that we make, with the shapes that version 7.0 returns.

What it answers is in the JSON file that FAKE_AMDSMI names: a list of devices, or the text of an error.
"""

import json
import os
from pathlib import Path


class AmdSmiException(Exception):  # noqa: N818 - the package's name for it
    pass


class AmdSmiLibraryException(AmdSmiException):
    pass


def _answers():
    found = json.loads(Path(os.environ["FAKE_AMDSMI"]).read_text())
    if isinstance(found, str):
        raise AmdSmiLibraryException(found)
    return found


def _of(handle, key):
    found = _answers()[handle][key]
    if found == "error":
        raise AmdSmiLibraryException("Error code:\n\t2 | AMDSMI_STATUS_NOT_SUPPORTED")
    return found


def amdsmi_init():
    _answers()


def amdsmi_shut_down():
    pass


def amdsmi_get_processor_handles():
    return list(range(len(_answers())))


def amdsmi_get_gpu_device_bdf(handle):
    return _of(handle, "bdf")


def amdsmi_get_gpu_device_uuid(handle):
    return _of(handle, "uuid")


def amdsmi_get_gpu_asic_info(handle):
    return {"market_name": _of(handle, "name"), "vendor_name": "Advanced Micro Devices Inc."}


def amdsmi_get_gpu_vram_usage(handle):
    return dict(zip(("vram_used", "vram_total"), _of(handle, "vram_mib"), strict=True))


def amdsmi_get_gpu_activity(handle):
    return {"gfx_activity": _of(handle, "busy"), "umc_activity": 0, "mm_activity": "N/A"}


def amdsmi_get_gpu_process_list(handle):
    return [
        {
            "name": "N/A",
            "pid": pid,
            "mem": vram,
            "engine_usage": {"gfx": 0, "enc": 0},
            "memory_usage": {"gtt_mem": 0, "cpu_mem": 0, "vram_mem": vram},
            "cu_occupancy": "N/A",
        }
        for pid, vram in _of(handle, "processes")
    ]
