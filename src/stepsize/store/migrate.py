"""Makes an older lake one of today.

What comes in: the data directory and the version that it carries. What goes out: the lake in today's layout, and
`schema.json` last, so that whoever is killed in between leaves an older lake, which is migrated again. Never loses a
row, and never writes Parquet: files of rows are read as they are, whatever version wrote them.

| version | what it has |
| --- | --- |
| 1 | manifests of format 1 |
| 2 | whoever commits for a writer holds the writer's lock, and says so by manifests of format 2 |

A collector of version 1 that runs on meanwhile cannot read the manifests and ends; its write-ahead log waits for one of
today.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.store.layout import LOCK_FILE, SCHEMA_VERSION, check_version, write_version
from stepsize.store.locks import Lock
from stepsize.store.manifest import read_manifests, write_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LOCK_TIMEOUT_S = 60.0


def migrate(data: Path, found: int) -> None:
    """Bring the lake in ``data``, of version ``found``, to `SCHEMA_VERSION`; nothing where it is there already.

    Raises:
        LakeError: a manifest is damaged.
        UnavailableError: somebody else has been at it for a minute.
    """
    if found == SCHEMA_VERSION:
        return
    with Lock(data / LOCK_FILE).held(_LOCK_TIMEOUT_S):
        # Again: whoever held the lock before may have migrated it, and its writers have committed since.
        for version in range(check_version(data) or SCHEMA_VERSION, SCHEMA_VERSION):
            _STEPS[version](data)
        write_version(data)


def _to_2(data: Path) -> None:
    for manifest in read_manifests(data):
        write_manifest(data, manifest)


_STEPS: dict[int, Callable[[Path], None]] = {1: _to_2}
"""Version → what makes a lake of it one of the next."""
