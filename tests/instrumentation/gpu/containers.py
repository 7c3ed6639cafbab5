"""A container of a test's own: namespaces of processes and mounts, and a /dev with a GPU's node in it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
# A /dev with a device's node in it, which whoever uses the device has open; made at /mnt, which it leaves as it was.
_NODES = """
mount -t tmpfs none /mnt
touch /mnt/nvidia0
for node in null zero random urandom; do touch /mnt/$node; mount --bind /dev/$node /mnt/$node; done
mount --rbind /mnt /dev
umount --lazy /mnt
exec "$@"
"""
CONTAINER = (*UNSHARE, "sh", "-ec", _NODES, "sh")


def _can_unshare() -> bool:
    found = shutil.which("unshare")
    return found is not None and subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode == 0


needs_namespaces = pytest.mark.skipif(not _can_unshare(), reason="needs unshare(1) and the right to make namespaces")
