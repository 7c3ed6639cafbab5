"""Keeps what a log holds and nobody can use beside it, for whoever finds out why.

What comes in: damage, or requests that were valid once and cannot be decoded. What goes out: files in the log's
directory, and a line that says so. Never keeps more than :data:`MAX_BYTES` altogether, and never keeps the same twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.collector.wal.format import segment_name
from stepsize.discovery import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from stepsize.collector.wal.reader import Damage
    from stepsize.store.manifest import WalPosition

MAX_BYTES = 256 << 20
_SUFFIX = ".bin"


def keep_damage(directory: Path, damage: Damage) -> str:
    """Keep the bytes of ``damage`` before their segment is deleted; what an operator should know of it."""
    if damage.cut:
        return f"{damage}; what was written then had not been acknowledged"
    with (directory / segment_name(damage.segment)).open("rb") as file:
        file.seek(damage.start)
        content = file.read(damage.end - damage.start)
    return f"{damage}; {_keep(directory, f'damaged-{damage.segment}-{damage.start}', content)}"


def keep_request(directory: Path, after: WalPosition, request: bytes, error: Exception) -> str:
    """Keep a request that cannot be decoded; what an operator should know of it."""
    kept = _keep(directory, f"undecodable-{after.segment}-{after.offset}", request)
    return f"a request cannot be decoded ({error}); {kept}"


def _keep(directory: Path, name: str, content: bytes) -> str:
    path = directory / f"{name}{_SUFFIX}"
    if not path.exists():
        stored_bytes = sum(one.stat().st_size for one in directory.glob(f"*{_SUFFIX}"))
        if stored_bytes + len(content) > MAX_BYTES:
            return f"{len(content)} bytes are not kept: {directory} holds {stored_bytes} bytes of the kind already"
        write_whole(path, content, mode=0o600)
    return f"kept as {path}"
