"""Looks for files that speak for a vendor's library, without loading anything.

What comes in: names. What goes out: whether they are there. A few calls of ``stat(2)``: what a host without GPUs pays.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_DIRECTORIES = (
    f"/usr/lib/{os.uname().machine}-linux-gnu" if hasattr(os, "uname") else "",
    "/usr/lib64",
    "/usr/lib/wsl/lib",
    "/usr/local/nvidia/lib64",
    "/opt/rocm/lib",
)
"""Where distributions, WSL, the container runtimes and ROCm put such libraries."""


def any_exists(paths: Iterable[str]) -> bool:
    """Whether one of the paths is there."""
    return any(os.path.exists(path) for path in paths)  # noqa: PTH110 - pathlib costs ten times as much


def library_in(name: str) -> bool:
    """Whether a library is in ``LD_LIBRARY_PATH`` or in one of the usual places."""
    told = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    return any_exists(f"{directory}/{name}" for directory in (*told, *_DIRECTORIES) if directory)
