"""Where stored points come from: the files of a lake here, or the objects of one in a store.

What comes in: a lake. What goes out: what an engine reads. Reads manifests, and no row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.errors import LakeError
from stepsize.store.layout import check_version
from stepsize.store.manifest import read_manifests

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow.dataset as ds

    from stepsize.store.objects import ObjectLake


@dataclass(frozen=True, slots=True)
class StoredPoints:
    """The points of a lake.

    Attributes:
        files: paths, or addresses as Spark's own connector to the store has them (``s3a://``).
        count: how many points are in them.
        rows: the same through Arrow, for an engine in this process, where they lie in a store.
    """

    files: tuple[str, ...]
    count: int
    rows: ds.Dataset | None = None


def points_here(data: Path) -> StoredPoints:
    """Of the lake in directory ``data``.

    Raises:
        LakeError: there is none, or it has no points.
    """
    if check_version(data) is None:
        raise LakeError(f"no data in {data} yet; run a flow with STEPSIZE=1, or give another --data")
    found = [one for manifest in read_manifests(data) for one in manifest.files if one.table == "points"]
    return _some(StoredPoints(tuple(str(data / one.path) for one in found), sum(one.rows for one in found)), str(data))


def points_in(lake: ObjectLake) -> StoredPoints:
    """Of a lake in an object store; errors as for :func:`points_here`."""
    found, rows = lake.stored("points")
    files = tuple(f"s3a://{lake.place.path(one.path)}" for one in found)
    return _some(StoredPoints(files, sum(one.rows for one in found), rows), str(lake.place))


def _some(points: StoredPoints, place: str) -> StoredPoints:
    if not points.count:
        raise LakeError(f"no points in {place}: there is nothing to roll up")
    return points
