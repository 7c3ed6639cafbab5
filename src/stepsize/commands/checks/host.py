"""The machine: what of it can be measured, and how exactly.

What comes in: settings. What goes out: findings. Reads a few files of /proc and asks the GPU driver, if any, once.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize import discovery
from stepsize.commands.checks.finding import Finding, Level
from stepsize.errors import LakeError
from stepsize.instrumentation.agent.probes.container import Containers
from stepsize.instrumentation.agent.probes.gpu.amd import Amd
from stepsize.instrumentation.agent.probes.gpu.nvidia import Nvidia
from stepsize.instrumentation.agent.probes.gpu.reading import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.settings import Settings

_PART = "host"


def check_host(settings: Settings) -> list[Finding]:
    """What can be measured here."""
    found = [_sockets(settings)]
    if sys.platform.startswith("linux"):
        found += [*_kernel(), _container()]
    else:
        said = f"{platform.system()}: sampled through psutil; what children used between samples is missed"
        found.append(Finding(_PART, Level.NOTE, said))
    return [*found, *_gpus()]


def _sockets(settings: Settings) -> Finding:
    try:
        path = discovery.agent_socket(settings)
    except LakeError as error:
        return Finding(_PART, Level.FAULT, f"no place for sockets: {error}", "set STEPSIZE_RUNTIME")
    return Finding(_PART, Level.WELL, f"sockets in {path.parent}")


def _kernel() -> Iterator[Finding]:
    missing = []
    if not Path("/proc/thread-self/children").exists():
        missing.append("lists of children (CONFIG_PROC_CHILDREN): every sample reads all of /proc")
    if not hasattr(os, "pidfd_open"):
        missing.append("pidfd: exit codes of killed tasks may be unknown")
    if not Path("/proc/pressure/cpu").exists():
        missing.append("pressure stall information: no *.pressure.time")
    for each in missing:
        yield Finding(_PART, Level.NOTE, f"this system lacks {each}")
    if not missing:
        yield Finding(_PART, Level.WELL, f"Linux {platform.release()}: everything can be read")


def _container() -> Finding:
    container = Containers().of(os.getpid())
    if container is None:
        return Finding(_PART, Level.NOTE, "no control group of this process can be seen: no container.* figures")
    if not container.is_container:
        return Finding(_PART, Level.WELL, "not in a container")
    limits = container.accounts.constraints()
    memory = limits.memory_limit_bytes
    said = [
        "no CPU limit" if limits.cpu_limit_cores is None else f"{limits.cpu_limit_cores:g} CPUs",
        "no memory limit" if memory is None else f"{memory / 2**20:.0f} MiB of memory",
    ]
    return Finding(_PART, Level.WELL, f"in a container with {', '.join(said)}")


def _gpus() -> Iterator[Finding]:
    for vendor in (Nvidia(), Amd()):
        if not vendor.is_likely():
            continue
        try:
            vendor.open()
            devices = vendor.read()
        except NoAnswerError as error:
            yield Finding(
                _PART, Level.FAULT, f"{vendor.name} GPUs cannot be read: {error}", "mend the driver or library"
            )
            continue
        vendor.close()
        yield Finding(_PART, Level.WELL, f"{len(devices)} {vendor.name} devices answer")
